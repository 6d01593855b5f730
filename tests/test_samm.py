"""SAMM: a sheet whose header lies deep, action units with grades, phases that cannot be, and mistakes."""

import sys

import numpy as np
import pytest
from casme2_files import SAMM_HEADER, SAMM_ROWS, sheet, write_samm

from data_pipelines import BadInput, arrays, clips, coding, faces, manifest, samm
from data_pipelines.coding import Unit
from data_pipelines.samm import layout
from ferjax.main import main

SIZE = 20


def options(folder, **changes):
    return {**samm.OPTIONS, "dir": str(folder), "image_size": SIZE, "crop": "none", **changes}


def data(folder, cache):
    opts = {"crop": "none"}
    return {"name": "samm", "dir": str(folder), "image_size": SIZE, "cache_dir": str(cache), "options": opts}


@pytest.mark.parametrize("tree", ["SAMM", "a/b", "SAMM_CROP"])
def test_a_tree(tmp_path, tree):
    o = options(write_samm(tmp_path, tree=tree))
    assert samm.classes(o) == ("anger", "happiness", "surprise", "others")
    assert samm.au_names(o) == ("AU04", "AU07", "AU12", "AU14")
    assert samm.phases(o) == {
        "006/006_1_2": (5562, 5565, 5567), "006/006_1_3": (101, 103, 104),
        "007/007_3_1": (9, 10, 12), "011/011_2_1": (20, -1, 23),
    }  # fmt: skip
    made = samm.arrays(o)["frames"]
    at = made["id"].tolist().index("006/006_1_2/005565")
    on_disk = faces.read_grey(tmp_path / tree / "006/006_1_2/006_05565.jpg")
    np.testing.assert_array_equal(made["image"][at, :, :, 0], on_disk)
    assert made["subject"][at] == "samm-006" and made["aus"][at].tolist() == [9, 1, 0, 0]
    assert made["aus"][made["id"].tolist().index("007/007_3_1/000010")].tolist() == [0, 0, -1, -1]
    assert samm.crop({**o, "crop": "auto"}) == ("none" if tree == "SAMM_CROP" else "detect")


def test_coding_and_rules(tmp_path):
    found = {row.clip: row for row in samm.coding(options(write_samm(tmp_path)))}
    assert found["006/006_1_3"].units == (Unit(12, "R", 2),) and found["006/006_1_2"].row == 15
    told = {(t.rule, t.clip): t.words for t in layout.scan(options(tmp_path)).told}
    assert told == {
        ("apex_outside", "011/011_2_1"): "99; 20 to 23",
        ("uncertain_au", "007/007_3_1"): "12 or 14 unknown",
        ("one_clip", "007"): "",
        ("one_clip", "011"): "",
    }


def test_clips_parts_and_the_builder(tmp_path, monkeypatch):
    write_samm(tmp_path / "s")
    with_tfds = arrays.load_parts(data(tmp_path / "s", tmp_path / "a"))
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    parts = arrays.load_parts(data(tmp_path / "s", tmp_path / "b"))
    assert [p.hash for p in with_tfds[:3]] == [p.hash for p in parts[:3]] and with_tfds[3:] == parts[3:]
    assert parts.train.classes == ("anger", "happiness", "surprise", "others", "neutral")
    made, found = clips.load(data(tmp_path / "s", tmp_path / "b"))
    assert made.apex.tolist() == [3, 2, 1, -1] and made.fps == 200
    assert made.aus.tolist() == [[9, 1, 0, 0], [0, 0, 2, 0], [0, 0, -1, -1], [9, 0, 0, 0]]
    assert any(line.startswith("samm: 4 clips, published 159; 1 anger, published 57;") for line in found)
    from data_pipelines.samm import builder

    info = builder.Builder(data_dir=str(tmp_path / "t"), options=options(tmp_path / "s")).info
    assert "davison2018samm" in info.citation and list(info.metadata["au_names"])[-1] == "AU14"


def test_as_a_manifest_and_check(tmp_path, capsys):
    write_samm(tmp_path)
    assert main(["data", "manifest", "samm", "--dir", str(tmp_path)]) == 0
    assert "data.options.crop=detect reads them" in capsys.readouterr().out
    o = {**manifest.OPTIONS, "dir": str(tmp_path)}
    assert manifest.phases(o) == samm.phases(options(tmp_path))
    assert manifest.classes(o) == samm.classes(options(tmp_path))
    pytest.importorskip("cv2")
    assert main(["data", "check", "samm", "--dir", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "159  differs" in said and "clips without a face" in said and "samm: apex_outside" in said


def test_refused(tmp_path):
    for change, words in (
        ({"tree": "selected"}, "data.options.tree: 'selected' is not known; write auto, cropped, raw"),
        ({"dir": ""}, "data.dir: '' is no folder; name the one with 006/006_1_2"),
        ({}, "no SAMM here or up to 3 folders below; expected 006/006_1_2/006_05562.jpg and SAMM"),
    ):
        with pytest.raises(BadInput, match=words):
            samm.arrays(options(tmp_path, **{"dir": str(tmp_path), **change}))
    write_samm(tmp_path, [*SAMM_ROWS, (12, "012_1_1", 1, 2, 3, 4, "Boredom")])
    with pytest.raises(
        BadInput, match=r"Codes_v2.xlsx row 19: 'Boredom' is no emotion of SAMM; it has anger"
    ):
        samm.arrays(options(tmp_path))
    path = tmp_path / "SAMM_Micro_FACS_Codes_v2.xlsx"
    sheet(path, [], [*SAMM_HEADER[:8], "Notes"], above=13)
    with pytest.raises(
        BadInput, match=r"no header row in the first worksheet; expected columns A subject.*J est"
    ):
        samm.arrays(options(tmp_path))
    path.unlink()
    with pytest.raises(BadInput, match=r"no coding sheet here .* put SAMM_Micro_FACS_Codes_v2.xlsx there"):
        samm.arrays(options(tmp_path))


def test_subjects_and_emotions_by_name():
    assert [layout.subject(said) for said in ("6", "006", "37", "x")] == ["006", "006", "037", "x"]
    assert [layout.emotion(said) for said in ("Other", "others", "Anger", "Sadness")] == [
        "others", "others", "anger", "sadness",
    ]  # fmt: skip
    assert coding.parse("12 or 14")[0][0].either
