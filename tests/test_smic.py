"""SMIC: three cameras, classes by folders, no apex, and mistakes."""

import sys

import numpy as np
import pytest
from casme2_files import SMIC_CLIPS, crop, frames, write_smic
from manifest_files import save

from data_pipelines import BadInput, arrays, clips, manifest, smic
from data_pipelines.smic import layout
from ferjax.main import main

SIZE = 20


def options(folder, **changes):
    return {**smic.OPTIONS, "dir": str(folder), "image_size": SIZE, **changes}


def data(folder, cache, **changes):
    return {
        "name": "smic",
        "dir": str(folder),
        "image_size": SIZE,
        "cache_dir": str(cache),
        "options": changes,
    }


@pytest.mark.parametrize("tree", ["SMIC_all_cropped", "SMIC_all_cropped/SMIC", "cropped"])
def test_a_tree(tmp_path, tree):
    o = options(write_smic(tmp_path, tree=tree))
    assert smic.classes(o) == ("surprise", "negative", "positive") and smic.crop(o) == "none"
    assert smic.phases(o) == {
        "s1/s1_ne_01": (100, 103, 106), "s1/s1_po_01": (7, 9, 12),
        "s3/s3_sur_02": (1, 3, 5), "s11/s11_ne_03": (30, 31, 33),
    }  # fmt: skip
    made = smic.arrays(o)["frames"]
    assert made["image"].shape == (22, SIZE, SIZE, 1) and made["aus"].shape == (22, 0)
    at = made["id"].tolist().index("s1/s1_ne_01/000103")
    np.testing.assert_array_equal(made["image"][at, :, :, 0], crop(103))
    assert made["subject"][at] == "smic-s1" and smic.classes(o)[made["label"][at]] == "negative"


def test_cameras_and_trees(tmp_path):
    write_smic(tmp_path)
    write_smic(tmp_path, "VIS", {"s01/micro/positive/s1_po_01": range(3)}, "SMIC_all_raw")
    assert smic.fps(options(tmp_path)) == 100 and smic.fps(options(tmp_path, camera="VIS")) == 25
    visible = options(tmp_path, camera="VIS")
    assert list(smic.phases(visible)) == ["s1/s1_po_01"] and smic.crop(visible) == "detect"
    with pytest.raises(
        BadInput, match=r"no SMIC of camera NIR here .*; there is HS, VIS: set data.options.camera"
    ):
        smic.phases(options(tmp_path, camera="NIR"))
    write_smic(tmp_path, tree="SMIC_all_raw")
    assert layout.scan(options(tmp_path)).tree == tmp_path / "SMIC_all_cropped/HS"
    assert layout.scan(options(tmp_path, tree="raw")).tree == tmp_path / "SMIC_all_raw/HS"
    with pytest.raises(BadInput, match=r"data.options.tree: no tree cropped in"):
        smic.phases(options(tmp_path, camera="VIS", tree="cropped"))
    write_smic(tmp_path, tree="copy_of_SMIC_all_raw")
    with pytest.raises(BadInput, match=r"two trees of one kind \(raw\); keep one"):
        smic.phases(options(tmp_path, tree="raw"))
    # given the camera's own folder, or one without a camera's name
    assert len(smic.phases(options(tmp_path / "SMIC_all_cropped" / "HS"))) == 4
    (tmp_path / "SMIC_all_cropped" / "HS").rename(tmp_path / "mine")
    assert len(smic.phases(options(tmp_path / "mine"))) == 4


def test_rules(tmp_path):
    changed = {
        **SMIC_CLIPS,
        "s3/micro/surprise/s3_sur_02": [1, 2, 6, 7, 8],
        "s3/micro/surprise/s3_sur_05": [4],
        "s4/micro/positive/s4_po_1a": [2, 3],
    }
    write_smic(tmp_path, clips=changed)
    (tmp_path / "SMIC_all_cropped/HS/readme").mkdir()
    (tmp_path / "SMIC_all_cropped/HS/s1/micro/negative/s1_ne_01/Thumbs.db").write_text("")
    scan = layout.scan(options(tmp_path))
    told = {(t.rule, t.clip): t.words for t in scan.told}
    assert told["apex_in_middle", "s1/s1_ne_01"] == "103" and told["gap", "s3/s3_sur_02"] == "3-5"
    assert told["one_frame", "s3/s3_sur_05"] == "1 on disk" and told["odd_name", "s4/s4_po_1a"] == ""
    assert ("apex_in_middle", "s3/s3_sur_05") not in told and ("no_units", "s1/s1_ne_01") not in told
    assert {who for rule, who in told if rule == "one_clip"} == {"s11", "s3", "s4"}
    assert smic.phases(options(tmp_path))["s4/s4_po_1a"] == (2, 2, 3) and scan.junk == 1
    assert scan.strange == ("readme",)
    assert told["apex_at_onset", "s4/s4_po_1a"] == "2"


def test_parts_and_clips(tmp_path, monkeypatch):
    write_smic(tmp_path / "s")
    with_tfds = arrays.load_parts(data(tmp_path / "s", tmp_path / "a"))
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    parts = arrays.load_parts(data(tmp_path / "s", tmp_path / "b"))
    assert [p.hash for p in with_tfds[:3]] == [p.hash for p in parts[:3]]
    assert parts.train.classes == ("surprise", "negative", "positive", "neutral")
    assert sum(len(part) for part in parts[:3]) == 4 * 3
    made, found = clips.load(data(tmp_path / "s", tmp_path / "b"))
    assert made.id.tolist() == ["s1/s1_ne_01", "s1/s1_po_01", "s11/s11_ne_03", "s3/s3_sur_02"]
    assert made.apex.tolist() == [3, 2, 1, 2] and made.fps == 100
    assert any(
        "smic: 4 clips, published 164; 3 subjects, published 16; 1 surprise, publ" in line for line in found
    )
    assert any(
        "smic: apex_in_middle (the set codes no apex: the frame in the middle" in line for line in found
    )


def test_as_a_manifest_and_check(tmp_path, capsys):
    write_smic(tmp_path / "s", "VIS")
    out = tmp_path / "m" / "vis.csv"
    words = ["data", "manifest", "smic", "--dir", str(tmp_path / "s"), "--out", str(out)]
    assert main(words) == 2 and "there is VIS" in capsys.readouterr().err
    assert main([*words, "--option", "camera=VIS"]) == 0
    assert "22 frames of 4 clips are in" in capsys.readouterr().out
    o = {**manifest.OPTIONS, "dir": str(out), "crop": "none"}
    assert manifest.fps(o) == 25 and manifest.phases(o) == smic.phases(options(tmp_path / "s", camera="VIS"))
    write_smic(tmp_path / "s")
    assert main(["data", "check", "smic", "--dir", str(tmp_path / "s")]) == 0
    said = capsys.readouterr().out
    assert "164  differs" in said and "smic: apex_in_middle" in said


def test_builder_describes_itself(tmp_path):
    from data_pipelines.smic import builder

    info = builder.Builder(data_dir=str(tmp_path / "t"), options=options(write_smic(tmp_path / "s"))).info
    assert info.features["image"].shape == (SIZE, SIZE, 1) and 'Pietik{\\"a}inen' in info.citation


def test_refused(tmp_path):
    for change, words in (
        ({"camera": "hs"}, "data.options.camera: 'hs' is not known; write HS, VIS, NIR"),
        ({"tree": "selected"}, "data.options.tree: 'selected'"),
        ({"dir": ""}, "data.dir: '' is no folder; name the one with HS/s1/micro"),
        ({}, r"no SMIC of camera HS here or up to 3 folders below; expected HS/s1/micro"),
    ):
        with pytest.raises(BadInput, match=words):
            smic.arrays(options(tmp_path, **{"dir": str(tmp_path), **change}))
    write_smic(tmp_path)
    frames(tmp_path / "SMIC_all_cropped/HS/s1/micro/boredom/s1_bo_01", range(3))
    with pytest.raises(
        BadInput, match=r"boredom: 'boredom' is no class of SMIC; it has surprise, negative, pos"
    ):
        smic.arrays(options(tmp_path))


def test_damaged_frames_and_doubled_clips(tmp_path):
    write_smic(tmp_path)
    clip = tmp_path / "SMIC_all_cropped/HS/s1/micro/negative/s1_ne_01"
    (clip / "reg_image000104.bmp").write_bytes(b"BM")
    with pytest.raises(BadInput, match=r"HS row \d: .*000104.bmp: cannot be read"):
        smic.arrays(options(tmp_path))
    save(clip / "reg_image000104.bmp", crop(1, 22))
    with pytest.raises(
        BadInput, match=r"000104.bmp: 22x22 pixels, and .*000100.bmp, the first of its clip, 20x20"
    ):
        smic.arrays(options(tmp_path))
    frames(tmp_path / "SMIC_all_cropped/HS/s1/micro/positive/s1_ne_01", range(3))
    with pytest.raises(BadInput, match=r"clip s1/s1_ne_01 is in two folders"):
        smic.arrays(options(tmp_path))
