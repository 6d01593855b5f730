"""`ferjax saliency` as a user meets it."""

import json
import os

import numpy as np
import pytest
import runs
import saliency_runs
from cli import files_of, refused
from PIL import Image

from data_pipelines import arrays, gaze, saliency_maps, saliency_shapes
from ferjax.main import main
from ferjax.saliency import maps, network, settings, training


@pytest.fixture
def folder(tmp_path):
    """Five scenes of different sizes, one of them below; a grey picture; a file that is none."""
    place = tmp_path / "pictures"
    (place / "below").mkdir(parents=True)
    for i in range(5):
        picture, _ = saliency_shapes.scene((40 + i, 60 - i), (7, False, i))
        Image.fromarray(picture).save(place / ("below/e.png" if i == 4 else f"{i}.png"))
    Image.fromarray(np.arange(900, dtype=np.uint8).reshape(30, 30)).save(place / "grey.bmp")
    (place / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    return place


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The workdir of a training of two steps or three."""
    c, workdir = saliency_runs.tiny_config(train__epochs=1), tmp_path_factory.mktemp("trained")
    assert training.train(c, workdir, gaze.load(settings.data_of(c)))[0] == 0
    return workdir


def words(folder, out, method, *more):
    return ["saliency", "--images", str(folder), "--method", method, "--out", str(out), *map(str, more)]


def read(path):
    return np.asarray(Image.open(path))


@pytest.mark.parametrize("method", ["spectral", "centre"])
def test_maps_without_weights(folder, tmp_path, capsys, method):
    out = tmp_path / "maps"
    assert main(words(folder, out, method)) == 0
    said = capsys.readouterr().err
    assert (
        "6 maps written" in said
        and "1 of no readable picture" in said
        and "broken.jpg: cannot be read" in said
    )
    found = sorted(p.relative_to(out).as_posix() for p in out.rglob("*.png"))
    assert found == [
        "0.png.png",
        "1.png.png",
        "2.png.png",
        "3.png.png",
        "below/e.png.png",
        "grey.bmp.png",
        "look.png",
    ]
    for name in ("0.png", "below/e.png"):
        picture = read(folder / name)
        wanted = (
            saliency_maps.spectral_residual(picture)
            if method == "spectral"
            else saliency_maps.centre(*picture.shape[:2])
        )
        np.testing.assert_array_equal(read(out / f"{name}.png"), np.round(255 * wanted))
    held = json.loads((out / "maps.json").read_text())
    assert held["method"] == method and held["weights_sha256"] == "" and held["sizes"]["30x30"] == 1
    assert read(out / "look.png").shape[1] == 8 * maps.THUMB


def test_maps_that_are_there_are_kept(folder, tmp_path, capsys):
    out = tmp_path / "maps"
    main(words(folder, out, "spectral"))
    before = files_of(out)
    (out / "1.png.png").unlink()
    marked = out / "2.png.png"
    marked.write_bytes(marked.read_bytes() + b" ")
    capsys.readouterr()
    assert main(words(folder, out, "spectral")) == 0
    assert "1 maps written" in capsys.readouterr().err
    assert marked.read_bytes().endswith(b" ")
    # one that is older than its picture is made again
    os.utime(marked, (1, 1))
    assert main(words(folder, out, "spectral")) == 0
    assert files_of(out) == before


def test_another_method_in_the_same_folder(folder, tmp_path, capsys):
    out = tmp_path / "maps"
    main(words(folder, out, "spectral"))
    before = files_of(out)
    refused(capsys, words(folder, out, "centre"), "holds maps by another method", "'spectral'", "--out")
    assert files_of(out) == before
    (out / "maps.json").unlink()
    refused(capsys, words(folder, out, "spectral"), "holds pictures and no maps.json")


def test_maps_of_a_trained_network(folder, tmp_path, trained, capsys):
    out = tmp_path / "maps"
    assert main(words(folder, out, "ml_net", "--workdir", trained)) == 0
    assert "6 maps written" in capsys.readouterr().err
    held = json.loads((out / "maps.json").read_text())
    digest = network.from_workdir(str(trained))[3]
    assert held["weights_sha256"] == digest and held["options"] == {"frame": [48, 64]}
    one = read(out / "0.png.png")
    assert one.shape == (40, 60) and one.max() == 255
    # what a picture gives does not depend on the others
    (tmp_path / "alone").mkdir()
    Image.fromarray(read(folder / "below/e.png")).save(tmp_path / "alone/e.png")
    assert main(words(tmp_path / "alone", tmp_path / "one", "ml_net", "--workdir", trained)) == 0
    np.testing.assert_array_equal(read(tmp_path / "one/e.png.png"), read(out / "below/e.png.png"))


def test_maps_of_all_images_of_an_experiment(tmp_path, capsys):
    runs.write_config(tmp_path / "experiment.py", runs.write_set(tmp_path / "set"))
    out = tmp_path / "maps"
    given = ["saliency", "--config", str(tmp_path / "experiment.py"), "--method", "centre", "--out", str(out)]
    assert main(given) == 0
    parts = arrays.load_parts({"name": "npz", "dir": str(tmp_path / "set")})
    ids = [name for split in (parts.train, parts.select, parts.test) for name in split.id]
    assert all(read(out / f"{name}.png").shape == (16, 16) for name in ids)
    assert len(list(out.glob("*.png"))) == len(ids) + 1
    assert json.loads((out / "maps.json").read_text())["sizes"] == {"16x16": len(ids)}
    refused(capsys, [*given, "--config.data.nam=npz"], "data.nam")
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("*.png")}
    assert main(given) == 0  # the same pictures: kept
    assert {n: (out / n).stat().st_mtime_ns for n in before if n != "look.png"} == {
        n: t for n, t in before.items() if n != "look.png"
    }
    assert main([*given, "--config.data.image_size=12"]) == 0  # others by the same names: made anew
    assert all(read(out / f"{name}.png").shape == (12, 12) for name in ids)


def test_a_folder_without_a_readable_picture_is_no_success(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.png").write_bytes(b"\x89PNG\r\n")
    out = tmp_path / "maps"
    given = ["saliency", "--images", str(tmp_path / "in"), "--method", "centre", "--out", str(out)]
    refused(capsys, given, "no map was written", before=["0 maps written"])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (["--method", "magic"], "--method magic is unknown; write ml_net, spectral, centre"),
        (["--method", "ml_net"], "needs --weights FILE"),
        (["--method", "ml_net", "--weights", "absent.pkl"], "github.com/marcellacornia/mlnet"),
        (["--method", "ml_net", "--workdir", "/nowhere"], "no training of ML-Net"),
        (["--method", "centre", "--weights", "x"], "has no weights"),
        (["--images", "/nowhere"], "no such folder"),
        (["--images", ""], "name the pictures"),
        (["--config.data.dir=x"], "none was given"),
    ],
)
def test_what_is_refused(folder, tmp_path, capsys, change, says):
    given = {"--images": str(folder), "--method": "centre", "--out": str(tmp_path / "o")}
    more = [c for c in change if c.startswith("--config")]
    given |= dict(zip(*[iter(change)] * 2, strict=True)) if not more else {}
    refused(capsys, ["saliency", *(word for pair in given.items() for word in pair), *more], says)


def test_maps_may_not_lie_among_the_pictures(folder, capsys):
    refused(capsys, words(folder, folder / "maps", "centre"), "lies in --images")


def test_ids_that_would_leave_the_folder(tmp_path):
    source = maps.Source("../a", lambda: np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(ValueError, match="would lie outside"):
        maps.write(str(tmp_path / "o"), "centre", [source])
