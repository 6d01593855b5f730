"""`ferjax predict`: a network on a user's own pictures, the same whatever is read with them."""

import csv
import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest
import runs
from cli import files_of, refused
from manifest_files import colours, crop, photograph, save

from data_pipelines import BadInput, arrays, exported, faces
from data_pipelines.split import Split
from ferjax import across, config, evaluate, predict, predict_formats, train
from ferjax.main import main
from ferjax.models import fer_cnn
from ferjax.parallel import Devices

CLASSES = ["anger", "happiness", "neutral"]
BOX = ["FaceRectX", "FaceRectY", "FaceRectWidth", "FaceRectHeight", "FaceScore"]


def table(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def argv(workdir, images, out, *more):
    return ["predict", "--workdir", str(workdir), "--images", str(images), "--out", str(out), *more]


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """37 small pictures, in folders below folders, and files that are none."""
    folder = tmp_path_factory.mktemp("many")
    for number in range(37):
        save(folder / f"s{number % 3}" / "x" / f"img{number}.png", crop(number, side=16 + number % 5))
    (folder / "notes.txt").write_text("x")
    (folder / "__MACOSX").mkdir()
    save(folder / "__MACOSX" / "img.png", crop(0))
    return folder


def test_any_batch_size_gives_the_same_bytes(place, many, tmp_path):
    made = []
    for batch in (1, 3, 64):
        out = tmp_path / f"{batch}.csv"
        words = ("--crop", "none", f"--config.evaluate.batch_size={batch}")
        assert main(argv(place / "trained", many, out, *words)) == 0
        made.append(out.read_bytes())
    assert made[0] == made[1] == made[2]
    rows = table(tmp_path / "1.csv")
    assert list(rows[0]) == ["input", "frame", *BOX, *CLASSES]
    names = [f"s{n % 3}/x/img{n}.png" for n in range(37)]
    order = sorted(names, key=lambda name: (name[1], int(name[8:-4])))
    assert [row["input"] for row in rows] == order and [row["frame"] for row in rows] == [
        *map(str, range(37))
    ]
    for n in (0, 20, 36):  # alone, and from a manifest, it is what it is among others
        name = order[n]
        assert main(argv(place / "trained", many / name, tmp_path / "one.csv", "--crop", "none")) == 0
        (one,) = table(tmp_path / "one.csv")
        assert one == rows[n] | {"input": name.rpartition("/")[2], "frame": "0"}
    text = "path,label,subject,split,clip,frame\n" + f"{order[5]},,,,c,12\n{order[2]},joy,,,,\n"
    (tmp_path / "m.csv").write_text(text.replace("s0/", f"{many}/s0/"))
    assert main(argv(place / "trained", tmp_path / "m.csv", tmp_path / "m_out.csv", "--crop", "none")) == 0
    listed = table(tmp_path / "m_out.csv")
    assert [row["frame"] for row in listed] == ["12", "1"]
    assert [[row[c] for c in CLASSES] for row in listed] == [[rows[n][c] for c in CLASSES] for n in (5, 2)]


def test_probabilities_are_the_networks(place, tmp_path):
    """Worked out by the model itself, from the same pixels."""
    pixels = np.stack([crop(n, side=16) for n in range(3)])
    for n in range(3):
        save(tmp_path / "in" / f"{n}.png", pixels[n])
    assert main(argv(place / "trained", tmp_path / "in", tmp_path / "o.csv", "--crop", "none")) == 0
    c = config.from_json(json.loads((place / "trained" / "config.json").read_text()))
    model = fer_cnn.build(c.model, 3)
    params, step = evaluate.load_weights(place / "trained", "best", model, (16, 16, 1))
    logits, _ = model.apply({"params": params}, pixels[..., None].astype(np.float32) / 255)
    rows = table(tmp_path / "o.csv")
    got = np.array([[float(row[name]) for name in CLASSES] for row in rows])
    np.testing.assert_allclose(got, jax.nn.softmax(logits), atol=2e-6)
    said = json.loads((tmp_path / "o.csv.json").read_text())
    assert (said["checkpoint_step"], said["size"], said["crop"], said["n_images"]) == (step, 16, "none", 3)
    assert said["outputs"] == CLASSES and said["found_by"] == {"whole": 3} and said["views"] == 1
    run = json.loads((place / "trained" / "run.json").read_text())
    assert run["image_shape"] == [16, 16, 1] and said["config_hash"] == run["config_hash"]
    words = ("--crop", "none", "--config.evaluate.views=2")
    assert main(argv(place / "trained", tmp_path / "in", tmp_path / "v.csv", *words)) == 0
    assert json.loads((tmp_path / "v.csv.json").read_text())["config_hash"] == run["config_hash"]
    mirrored, _ = model.apply({"params": params}, pixels[:, :, ::-1, None].astype(np.float32) / 255)
    both = (jax.nn.softmax(logits) + jax.nn.softmax(mirrored)) / 2
    got = np.array([[float(row[name]) for name in CLASSES] for row in table(tmp_path / "v.csv")])
    np.testing.assert_allclose(got, both, atol=2e-6)


def test_faces_are_found_and_what_cannot_be_used_is_told(place, tmp_path, capsys):
    pytest.importorskip("cv2")
    save(tmp_path / "in" / "a.png", photograph(0))
    save(tmp_path / "in" / "b.png", np.full((90, 100), 50, np.uint8))
    (tmp_path / "in" / "c.jpg").write_bytes(b"\xff\xd8\xff")
    save(tmp_path / "in" / "d.png", photograph(1, shift=20, grey=True))
    assert main(argv(place / "trained", tmp_path / "in", tmp_path / "o.csv")) == 0
    said = capsys.readouterr()
    assert "4 pictures, 2 with a face; no face found: 1 (b.png); cannot be read: 1 (c.jpg)" in said.err
    assert said.out == f"predictions: {tmp_path / 'o.csv'}\n"
    a, b, c, d = table(tmp_path / "o.csv")
    assert [*b.values()] == ["b.png", "1", *[""] * 8] and [*c.values()] == ["c.jpg", "2", *[""] * 8]
    found = faces.detect(photograph(0))
    assert [int(a[name]) for name in BOX] == [*found.box, 1]
    assert sum(float(d[name]) for name in CLASSES) == pytest.approx(1, abs=2e-6)
    facts = json.loads((tmp_path / "o.csv.json").read_text())
    assert facts["no_face"] == ["b.png"] and list(facts["unreadable"]) == ["c.jpg"]
    assert (facts["crop"], facts["n_faces"], facts["found_by"]) == ("detect", 2, {"frontal": 2})


def test_further_faces_are_counted_and_told(place, tmp_path, capsys):
    pytest.importorskip("cv2")
    save(tmp_path / "in" / "a.png", photograph(0))
    two = np.concatenate([photograph(0, grey=True), photograph(2, grey=True)], 1)
    save(tmp_path / "in" / "b.png", two)
    assert main(argv(place / "trained", tmp_path / "in", tmp_path / "o.csv")) == 0
    assert "2 with a face; 1 further face in 1 picture was passed over (b.png)" in capsys.readouterr().err
    facts = json.loads((tmp_path / "o.csv.json").read_text())
    assert facts["further_faces"] == {"b.png": 1} and len(table(tmp_path / "o.csv")) == 2


def test_a_network_that_takes_colours_is_shown_colours(tmp_path):
    """Trained on RGB, it gives what the model gives for the very pixels; grey pictures are read too."""
    grey = [runs.tiny_split(37, 0), runs.tiny_split(12, 1, "select"), runs.tiny_split(13, 2, "test")]
    tint = np.array([1, 0.6, 0.3])
    made = [dataclasses.replace(s, image=(s.image * tint).astype(np.uint8)) for s in grey]
    exported.write(arrays.Parts(*made, "theirs"), tmp_path / "set")
    c = runs.tiny_config(str(tmp_path / "set"), train__epochs=1, parallel__devices=1)
    assert train.train(c, str(tmp_path / "w")) == 0
    pixels = np.stack([colours(n, 16) for n in range(2)])
    for n in range(2):
        save(tmp_path / "in" / f"{n}.png", pixels[n])
    save(tmp_path / "in" / "2.png", crop(3, 16))
    pixels = np.concatenate([pixels, np.repeat(crop(3, 16)[None, ..., None], 3, -1)])
    assert main(argv(tmp_path / "w", tmp_path / "in", tmp_path / "o.csv", "--crop", "none")) == 0
    model = fer_cnn.build(c.model, 3)
    params, _ = evaluate.load_weights(tmp_path / "w", "best", model, (16, 16, 3))
    logits, _ = model.apply({"params": params}, pixels.astype(np.float32) / 255)
    got = np.array([[float(row[name]) for name in CLASSES] for row in table(tmp_path / "o.csv")])
    np.testing.assert_allclose(got, jax.nn.softmax(logits), atol=2e-6)
    said = json.loads((tmp_path / "o.csv.json").read_text())
    assert (said["size"], said["channels"]) == (16, "red, green, blue")
    with pytest.raises(BadInput, match=r"has pictures of 16x16x1 values, and the network of .* 16x16x3"):
        across.across(tmp_path / "w", across.of_set("npz", runs.write_set(tmp_path / "grey")))


# The tables.

FACES = [
    predict_formats.Face("a.png", 0, (3, 4, 50, 60), "frontal"),
    predict_formats.Face("b.png", 1, None, ""),
]
UNITS = np.array([[0.25, 0.5], [np.nan, np.nan]])


def test_columns_of_action_units():
    assert predict_formats.rows("py-feat", FACES, "aus", ("AU01", "AU12"), UNITS) == [
        ["input", "frame", *BOX, "AU01", "AU12"],
        ["a.png", 0, 3, 4, 50, 60, 1, "0.250000", "0.500000"],
        ["b.png", 1, *[""] * 7],
    ]
    assert predict_formats.rows("openface", FACES, "aus", ("AU01", "AU12"), UNITS) == [
        [
            "frame",
            "face_id",
            "timestamp",
            "confidence",
            "success",
            "AU01_r",
            "AU12_r",
            "AU01_c",
            "AU12_c",
            "input",
        ],
        [1, 0, "", 1, 1, "", "", 0, 1, "a.png"],
        [2, 0, "", 0, 0, "", "", "", "", "b.png"],
    ]
    assert predict_formats.rows("libreface", FACES, "aus", ("AU01", "AU12"), UNITS) == [
        ["frame_idx", "frame_time_in_ms", "au_1", "au_12", "au_1_intensity", "au_12_intensity", "input"],
        [0, "", 0, 1, "", "", "a.png"],
        [1, "", "", "", "", "", "b.png"],
    ]


def test_columns_of_emotions():
    p = np.array([[0.1, 0.7, 0.2], [np.nan] * 3])
    assert predict_formats.rows("libreface", FACES, "emotion", CLASSES, p) == [
        ["frame_idx", "frame_time_in_ms", "facial_expression", "input"],
        [0, "", "happiness", "a.png"],
        [1, "", "", "b.png"],
    ]
    assert predict_formats.rows("py-feat", FACES, "emotion", CLASSES, p)[1][-3:] == [
        "0.100000", "0.700000", "0.200000"
    ]  # fmt: skip


def test_a_network_of_action_units(place, tmp_path, monkeypatch):
    """Outputs named by run.json's au_names reach the columns; here of a made-up predictor."""
    trained = predict.load(place / "trained")

    def units(params, split: Split):
        bright = split.image.reshape(len(split.image), -1).mean(1) / 255
        return np.stack([bright, 1 - bright], 1)

    fake = trained._replace(task="aus", names=("AU04", "AU25"), predictor=units)
    monkeypatch.setattr(predict, "load", lambda *_: fake)
    for name, value in (("a", 51), ("b", 204)):
        save(tmp_path / "in" / f"{name}.png", np.full((16, 16), value, np.uint8))
    words = ("--crop", "none", "--format", "openface")
    assert main(argv(place / "trained", tmp_path / "in", tmp_path / "o.csv", *words)) == 0
    assert [(r["AU04_c"], r["AU25_c"]) for r in table(tmp_path / "o.csv")] == [("0", "1"), ("1", "0")]


# What is taken from the training.


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("npz", {}, "detect"),
        ("fer2013", {}, "detect"),
        ("manifest", {}, "detect"),
        ("manifest", {"crop": "none"}, "none"),
        ("nova_emotions", {}, "none"),
    ],
)
def test_the_crop_is_that_of_the_set(name, options, expected):
    c = config.default()
    c.data.name = name
    c.data.options.update(options)
    assert predict._crop_of(c) == expected
    assert predict._size_of(c) == 48
    c.data.image_size = 0
    assert predict._size_of(c) == 48


def test_one_device_sees_all_whatever_there_is():
    assert jax.device_count() == 8 and Devices("pmap", None, 1).count == 1


# What is refused.


def _no_checkpoint(w):
    shutil.rmtree(w / "checkpoints")


def _no_classes(w):
    said = json.loads((w / "run.json").read_text())
    del said["classes"]
    (w / "run.json").write_text(json.dumps(said))


def _two_channels(w):
    said = json.loads((w / "run.json").read_text())
    (w / "run.json").write_text(json.dumps(said | {"image_shape": [16, 16, 2]}))


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (_no_checkpoint, "holds no complete checkpoint; train first"),
        (lambda w: (w / "config.json").unlink(), "has no config.json; give the --workdir of a training"),
        (_no_classes, "run.json does not name the network's classes"),
        (_two_channels, "the network takes 16x16x2 values; only square pictures, grey or in colour"),
    ],
)
def test_workdirs(capsys, trained, many, tmp_path, break_it, words):
    break_it(trained)
    refused(capsys, argv(trained, many, tmp_path / "o.csv", "--crop", "none"), words)
    assert not (tmp_path / "o.csv").exists()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--format", "openface"), "OpenFace's columns are action units, and the network in "),
        (("--format", "excel"), "--format excel is not known; write py-feat, openface, libreface"),
        (("--crop", "face"), "--crop face is not known; write detect or none"),
        (("--checkpoint", "7"), "checkpoint 7 is not there"),
        (("--config.data.image_size=20",), "--config.data.image_size cannot change what was trained"),
        (("--config.evaluate.views=3",), "config key evaluate.views is 3"),
    ],
)
def test_words(capsys, place, many, tmp_path, more, words):
    refused(capsys, argv(place / "trained", many, tmp_path / "o.csv", *more), words)
    assert list(tmp_path.iterdir()) == []


def test_places(capsys, place, many, tmp_path):
    trained, out = place / "trained", tmp_path / "o.csv"
    refused(capsys, argv(trained, tmp_path / "gone", out), "gone: no such file or folder; name a folder, a")
    (tmp_path / "empty").mkdir()
    refused(capsys, argv(trained, tmp_path / "empty", out), "empty: no picture in this folder or below it")
    (tmp_path / "m.csv").write_text("path,label\n")
    refused(capsys, argv(trained, tmp_path / "m.csv", out), "m.csv: no column subject, split")
    refused(capsys, argv(trained, tmp_path / "m.csv", tmp_path / "m.csv"), "m.csv: no column")
    refused(capsys, argv(trained, many, tmp_path / "empty"), "--out ", "is a folder; name a file")
    one = next(many.rglob("*.png"))
    before = files_of(many)
    refused(capsys, argv(trained, one, one), "is what --images names; choose another file")
    assert files_of(many) == before and not out.exists()
    refused(capsys, ["predict", "--workdir", "w"], "required: --images, --out; see ferjax predict --help")
    refused(capsys, argv("no_such", many, out), "no_such has no config.json")


def test_a_table_that_cannot_be_written(capsys, place, many, tmp_path):
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "o.csv"
    refused(capsys, argv(place / "trained", many, out, "--crop", "none"), "cannot be written")


def test_without_a_picture_of_a_face_the_table_is_empty_and_no_error(place, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"")
    assert main(argv(place / "trained", tmp_path / "broken.png", tmp_path / "o.csv")) == 0
    (row,) = table(tmp_path / "o.csv")
    assert row["input"] == "broken.png" and row["anger"] == ""
    with pytest.raises(BadInput, match="--format x"):
        predict_formats.check("x", "emotion", "w")
