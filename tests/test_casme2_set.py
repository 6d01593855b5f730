"""CASME II as a data set: clips, single frames, one transform a clip, what is refused, the look-alike."""

import csv
import sys
import tarfile

import numpy as np
import pytest
from casme2_files import ROWS, SIZE, crop, data, options, sheet, split_of, spread, write_set, xls
from manifest_files import photograph, save

from data_pipelines import BadInput, arrays, casme2, clips, coded, faces, labels, manifest
from data_pipelines.casme2 import layout
from data_pipelines.manifest import source, table
from ferjax.main import main

# As data sets are used.


def test_clips(tmp_path):
    made, found = clips.load(data(write_set(tmp_path / "s"), tmp_path / "c"))
    assert made.id.tolist() == [
        "sub01/EP02_01f", "sub01/EP03_02", "sub02/EP01_11f", "sub03/EP12_01f", "sub17/EP04_02",
    ]  # fmt: skip
    assert (made.fps, made.apex.tolist()) == (200, [3, 2, 2, -1, 2])
    assert made.aus[3].tolist() == [0, 0, 9, 0, 0, 9] and made.aus[0].tolist() == [9, 9, 0, 0, 0, 0]
    assert any(
        "casme2: no_apex (no apex is coded: it is unknown): 1 (sub03/EP12_01f)" in line for line in found
    )
    assert any(
        "casme2: 5 clips, published 255; 4 subjects, published 26; 1 disgust, " in line for line in found
    )
    three, _ = clips.load({**data(tmp_path / "s", tmp_path / "c"), "map": "composite_3"})
    assert three.classes == ("negative", "positive", "surprise") and len(three) == 4


def test_single_frames_for_training(tmp_path, monkeypatch):
    """Onset, apex and offset show the emotion, ends are neutral, subjects are apart; the builder agrees."""
    write_set(tmp_path / "s")
    with_tfds = arrays.load_parts(data(tmp_path / "s", tmp_path / "a"))
    assert list((tmp_path / "a").glob("casme2/*/tfds/casme2/*/*.tfrecord*"))
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    without = arrays.load_parts(data(tmp_path / "s", tmp_path / "b"))
    assert [p.hash for p in with_tfds[:3]] == [p.hash for p in without[:3]] and with_tfds[3:] == without[3:]
    parts = without
    assert parts.train.classes == ("disgust", "happiness", "surprise", "others", "repression", "neutral")
    assert parts.selection == "validation, divided by hash of the subject"
    sides = [set(part.subjects) for part in parts[:3]]
    assert sorted(map(len, sides)) == [1, 1, 2] and len(set.union(*sides)) == 4
    ids = {name: part for part in parts[:3] for name in part.id.tolist()}
    assert {n[-6:] for n in ids if n.startswith("sub01/EP02_01f")} == {"000046", "000049", "000052"}
    part = ids["sub01/EP02_01f/000049"]
    row = part.id.tolist().index("sub01/EP02_01f/000049")
    assert part.classes[part.label[row]] == "disgust" and part.aus[row].tolist() == [9, 9, 0, 0, 0, 0]
    with pytest.raises(BadInput, match=r"coding-20140508.xlsx: 1 subjects cannot be divided into train"):
        arrays.load_parts(data(write_set(tmp_path / "t", rows=ROWS[:2]), tmp_path / "b"))


def test_a_changed_sheet_is_read_again(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    write_set(tmp_path / "s")
    first, _ = clips.load(data(tmp_path / "s", tmp_path / "c"))
    rows = [*ROWS[:4], (17, "EP04_02", 1, 2, 4, 15, "fear")]
    sheet(tmp_path / "s" / "CASME2-coding-20140508.xlsx", spread(rows))
    again, _ = clips.load(data(tmp_path / "s", tmp_path / "c"))
    assert len(list((tmp_path / "c" / "casme2").iterdir())) == 2
    assert again.apex.tolist() == [3, 2, 2, -1, 1] and first.classes != again.classes


def test_inputs_for_attribution(tmp_path):
    load = coded.load(data(write_set(tmp_path / "s"), tmp_path / "c"))
    assert load.sequence.tolist() == [
        "sub01/EP02_01f", "sub01/EP03_02", "sub02/EP01_11f", "sub03/EP12_01f", "sub17/EP04_02",
    ]  # fmt: skip
    assert load.split.id[0] == "sub01/EP02_01f/000049"


def test_builder_describes_itself(tmp_path):
    from data_pipelines.casme2 import builder

    info = builder.Builder(data_dir=str(tmp_path / "t"), options=options(write_set(tmp_path / "s"))).info
    assert info.features["image"].shape == (SIZE, SIZE, 1) and "yan2014casme" in info.citation
    assert info.metadata["classes"][0] == "disgust" and "Licence" in info.description


def test_check(tmp_path, capsys):
    write_set(tmp_path)
    assert main(["data", "check", "casme2", "--dir", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    rows = {line.split("  ")[0]: line.split() for line in said.splitlines()}
    assert rows["clips"][1:] == ["5", "255", "differs"] and rows["others"][1:] == ["1", "99", "differs"]
    assert rows["frames"][1:] == ["26"] and rows["clips with AU12"][-1] == "1"
    assert rows["clips with a one-sided unit"][-1] == "2" and "casme2: no_apex (" in said


def test_as_a_manifest(tmp_path, capsys):
    """It says the same as the set, the division of subjects too."""
    write_set(tmp_path / "s")
    assert main(["data", "manifest", "casme2", "--dir", str(tmp_path / "s")]) == 0
    path = tmp_path / "s" / "manifest.csv"
    assert f"26 frames of 5 clips are in {path}; data.name=manifest" in capsys.readouterr().out
    assert "Cropped/sub01/EP02_01f/reg_img46.jpg,disgust,casme2-sub01,," in path.read_text()
    o = {**manifest.OPTIONS, "dir": str(path), "crop": "none"}
    assert manifest.phases(o) == casme2.phases(options(tmp_path / "s")) and manifest.fps(o) == 200
    ours, _ = clips.load(data(tmp_path / "s", tmp_path / "c"))
    theirs, _ = clips.load({**data(tmp_path / "s", tmp_path / "c"), "name": "manifest"})
    assert ours.hash == theirs.hash
    assert main(["data", "manifest", "casme2", "--dir", str(tmp_path / "s")]) == 2
    said = capsys.readouterr().err
    assert "manifest.csv is there already; name another by --out, or overwrite it by --force" in said
    assert main(["data", "manifest", "casme2", "--dir", str(tmp_path / "s"), "--force"]) == 0
    words = ["data", "manifest", "casme2", "--dir", str(tmp_path / "s"), "--out", str(tmp_path / "o")]
    assert main([*words, "--option", "tree=raw"]) == 2
    assert "no tree raw" in capsys.readouterr().err
    assert main([*words, "--option", "tree"]) == 2 and main([*words, "--option", "x=1"]) == 2
    assert (
        main([*words, "--config.data.dir=x"]) == 2
        and main(["data", "manifest", "fer2013", "--dir", "x"]) == 2
    )
    assert "only casme2, samm, smic can be written" in capsys.readouterr().err


# One transform a clip.


def film(folder, shifts, size=None):
    """Frames of a face that moves aside; None is one without a face."""
    for n, shift in enumerate(shifts, 1):
        picture = np.full((300, 440), 120, np.uint8) if shift is None else photograph(0, shift, grey=True)
        save(folder / f"img{n}.jpg", picture if size is None or n < 3 else picture[: size[0], : size[1]])


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    pytest.importorskip("cv2")
    top = tmp_path_factory.mktemp("films")
    rows = [(who, "EP01_01f", 1, apex, 5, 4, "fear") for who, apex in ((1, 3), (2, 4), (3, 3), (4, 3))]
    shown = {
        1: (0, 6, 12, 6, 0),
        2: (None, None, None, 9, 9),
        3: (None,) * 5,
        4: (None, None, None, None, 20),
    }
    for who, shifts in shown.items():
        film(top / "CASME2_RAW_selected" / f"sub{who:02d}" / "EP01_01f", shifts)
    sheet(top / "CASME2-coding.xlsx", spread(rows))
    return top


def test_all_frames_of_a_clip_are_cut_alike(films):
    """By the face in the first frame, or the apex, or the last; so that motion stays in the clip."""
    o = options(films)
    made = casme2.arrays(o)["frames"]
    place = films / "CASME2_RAW_selected"
    assert [n for n in made["id"].tolist() if n.endswith("1")] == [
        f"sub0{s}/EP01_01f/000001" for s in (1, 2, 4)
    ]
    for who, frame in ((1, 1), (2, 4), (4, 5)):
        found = faces.search(faces.read_grey(place / f"sub0{who}/EP01_01f/img{frame}.jpg"))
        matrix = faces.similarity(found.left_eye, found.right_eye, SIZE)
        for n in range(1, 6):
            at = made["id"].tolist().index(f"sub0{who}/EP01_01f/{n:06d}")
            grey = faces.read_grey(place / f"sub0{who}/EP01_01f/img{n}.jpg")
            np.testing.assert_array_equal(made["image"][at, :, :, 0], faces.warp(grey, matrix, SIZE))
    lines = casme2.findings(o, {"frames": split_of(o)})
    assert "casme2: no face found, left out: 5 of 20 (sub03/EP01_01f (5 frames))" in lines
    assert dict((w, n) for w, n, _ in casme2.check(str(films)))["clips without a face"] == 1
    assert "casme2: clips without a face: 1 (sub03/EP01_01f)" in casme2.gaps(str(films))
    with pytest.raises(BadInput, match=r"row 4: no face is found in clip sub03/EP01_01f, looked for in"):
        casme2.arrays(options(films, undetected="fail"))


def test_frames_of_several_sizes(tmp_path):
    write_set(tmp_path)
    odd = tmp_path / "Cropped/sub01/EP02_01f/reg_img50.jpg"
    save(odd, crop(1, 24))
    with pytest.raises(
        BadInput, match=r"row 2: .*img50.jpg: 24x24 pixels, and .*img46.jpg, the first of its"
    ):
        casme2.arrays(options(tmp_path))


# What is refused.


def test_refused(tmp_path):
    with pytest.raises(BadInput, match=r"data.dir: '' is no folder; name the one with Cropped"):
        casme2.arrays(options(""))
    with pytest.raises(BadInput, match="is no folder"):
        casme2.arrays(options(tmp_path / "gone"))
    with pytest.raises(BadInput, match=r"no CASME II here or up to 3 folders below; expected Cropped"):
        casme2.arrays(options(tmp_path))
    for change, words in (
        ({"tree": "all"}, "data.options.tree: 'all' is not known; write auto, cropped, selected, raw"),
        ({"crop": "face"}, "data.options.crop: 'face' is not known; write auto or detect or none"),
        ({"image_size": 4}, "data.options.image_size: 4"),
        ({"undetected": "keep"}, "data.options.undetected"),
    ):
        with pytest.raises(BadInput, match=words):
            casme2.arrays(options(tmp_path, **change))
    write_set(tmp_path)
    path = tmp_path / "CASME2-coding-20140508.xlsx"
    other = sheet(tmp_path / "CASME2-coding-20190701.xlsx", spread(ROWS[:2]))
    with pytest.raises(BadInput, match=r"20140508.xlsx and .*20190701.xlsx: two coding sheets; name one"):
        casme2.arrays(options(tmp_path))
    assert len(casme2.coding(options(tmp_path, sheet=other.name))) == 2
    assert len(casme2.coding(options(tmp_path, sheet=str(path)))) == 5
    with pytest.raises(BadInput, match=r"data.options.sheet: no file .*x.xlsx"):
        casme2.arrays(options(tmp_path, sheet="x.xlsx"))
    other.write_bytes(path.read_bytes())  # two copies of one are one
    assert len(casme2.coding(options(tmp_path))) == 5
    other.unlink()
    path.unlink()
    with pytest.raises(BadInput, match=r"no coding sheet here or up to 3 folders below; put CASME2-coding"):
        casme2.arrays(options(tmp_path))
    xls(tmp_path / "mine.xls", [("Subject", "Filename"), (1, "EP02_01f")])
    with pytest.raises(BadInput, match=r"mine.xls: no header row in the first worksheet"):
        casme2.arrays(options(tmp_path))
    sheet(path, spread([(9, "EP99_01", 1, 2, 3, 4, "fear")]))
    (tmp_path / "mine.xls").unlink()
    with pytest.raises(
        BadInput, match=r"no clip is left of 1, with frames in .*Cropped \(missing_folder; the"
    ):
        casme2.arrays(options(tmp_path))


def test_damaged_and_doubled_frames_are_named(tmp_path):
    write_set(tmp_path)
    clip = tmp_path / "Cropped" / "sub01" / "EP02_01f"
    whole = (clip / "reg_img49.jpg").read_bytes()
    (clip / "reg_img49.jpg").write_bytes(whole[:-100])
    for crop_ in ("none", "detect"):
        if crop_ == "detect":
            pytest.importorskip("cv2")
        with pytest.raises(BadInput, match=r"row 2: .*reg_img49.jpg: cannot be read \(truncated"):
            casme2.arrays(options(tmp_path, crop=crop_))
    save(clip / "reg_img046.png", crop(1))
    with pytest.raises(BadInput, match=r"reg_img046.png and .*reg_img46.jpg: one frame's twice; keep one"):
        casme2.arrays(options(tmp_path))


# The look-alike.

BY_EMOTION = {"disgust": 37, "happiness": 10, "surprise": 10, "others": 43, "repression": 12}
BY_UNIT = {4: 51, 7: 24, 14: 21, 10: 15, 9: 11, 12: 10, 15: 10, 2: 9, 17: 4, 1: 3, 6: 3, 24: 3, 5: 2}


@pytest.fixture(scope="module")
def real(real_data, tmp_path_factory):
    place = tmp_path_factory.mktemp("casme2")
    with tarfile.open(real_data / "ict_casme2.tar") as file:
        file.extractall(place, filter="data")
    return place


@pytest.mark.real_data
def test_look_alike(real, tmp_path):
    """Counts as its README has them; units and phases as its truth, which moved the faces, has them."""
    found = {what: n for what, n, _ in casme2.check(str(real))}
    assert (found["clips"], found["subjects"], found["frames"]) == (112, 16, 6301)
    assert {name: found[name] for name in BY_EMOTION} == BY_EMOTION
    assert {w: n for w, n in found.items() if w.startswith("clips with AU")} == {
        f"clips with {labels.au_name(number)}": n for number, n in sorted(BY_UNIT.items())
    }
    assert found["clips with a one-sided unit"] == 18
    o = options(real, image_size=48)
    assert [(t.rule, t.clip) for t in layout.scan(o).told] == [("no_apex", "sub08/EP01_12")]
    made, _ = clips.load({**data(real, tmp_path / "c", crop="auto"), "image_size": 48})
    assert len(made) == 112 and int((made.apex < 0).sum()) == 1 and len(made.image) == 6301
    assert (made.onset == 0).all() and (made.offset == np.diff(made.start) - 1).all()
    with open(real / "casme2" / "truth.csv", newline="") as file:
        truth = {tuple(row["image"].split("/")[2:]): row for row in csv.DictReader(file)}
    for i, row in enumerate(casme2.coding(o)):
        apex = made.number[made.start[i]] + (made.apex[i] if made.apex[i] >= 0 else made.offset[i] // 2)
        true = truth[(*row.clip.split("/"), f"reg_img{apex}.jpg")]
        shown = {u for u in true if u.startswith("AU") and float(true[u]) > 0} - {"AU45", "AU25"}
        assert {labels.au_name(u.number) for u in row.units} == shown
        sides = {f"{u.number}{u.side}" for u in row.units if u.side}
        assert sides == set(filter(None, true["sides"].replace("+", " ").split()))
        assert made.classes[made.label[i]] == true["emotion"]


@pytest.mark.real_data
def test_look_alike_by_the_detector(real, tmp_path):
    """Each clip gets one transform: a still corner of the picture stays where it is in all its frames."""
    pytest.importorskip("cv2")
    scan = layout.scan(options(real))
    placed = source.clip_places(scan.table, "detect")
    assert len(placed) == 112 and all(place.found is not None for place in placed.values())
    made = casme2.arrays(options(real, crop="detect", image_size=48))["frames"]
    assert len(made["id"]) == 6301
    rows = {row.id: row for row in scan.table.rows}
    for name in made["id"][::211].tolist():
        place = placed[rows[name].clip].found
        grey = faces.read_grey(rows[name].path)
        at = made["id"].tolist().index(name)
        np.testing.assert_array_equal(
            made["image"][at, :, :, 0], faces.align(grey, place.left_eye, place.right_eye, 48)
        )
    table.write(scan.table, tmp_path / "m.csv")
    assert table.read(tmp_path / "m.csv").phases == scan.table.phases
