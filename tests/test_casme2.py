"""CASME II: three trees and a sheet, onset to offset, action units with sides, rules, parts, and mistakes."""

import numpy as np
import pytest
from casme2_files import NAMES, NORMAL, ROWS, crop, frames, options, sheet, split_of, spread, told, write_set
from manifest_files import save

from data_pipelines import BadInput, casme2, clips, faces
from data_pipelines.casme2 import layout
from data_pipelines.coding import Unit

# The trees.


@pytest.mark.parametrize("tree", list(NAMES))
@pytest.mark.parametrize("below", ["", "CASME2/{tree}"])
def test_trees(tmp_path, tree, below):
    """Each tree, also doubled; the sheet beside it or above."""
    write_set(tmp_path / "u")
    write_set(tmp_path / "x", tree)
    (tmp_path / "d" / below.format(tree=tree)).mkdir(parents=True)
    (tmp_path / "x" / tree).rename(tmp_path / "d" / below.format(tree=tree) / tree)
    (tmp_path / "x" / "CASME2-coding-20140508.xlsx").rename(tmp_path / "d" / "CASME2-coding-20140508.xlsx")
    o = options(tmp_path / "d", crop="none")
    assert casme2.classes(o) == ("disgust", "happiness", "surprise", "others", "repression")
    assert casme2.au_names(o) == ("AU04", "AU07", "AU10", "AU12", "AU14", "AU15")
    made = casme2.arrays(o)["frames"]
    first, last = (1, 55) if tree == "CASME2-RAW" else (46, 52)
    mine = [name for name in made["id"].tolist() if name.startswith("sub01/EP02_01f")]
    assert mine == [f"sub01/EP02_01f/{n:06d}" for n in range(first, last + 1)]
    assert casme2.phases(o)["sub01/EP02_01f"] == (46, 49, 52)
    assert casme2.phases(o)["sub03/EP12_01f"] == (5, -1, 9)
    at = made["id"].tolist().index("sub01/EP02_01f/000049")
    on_disk = next((tmp_path / "d").rglob(f"sub01/EP02_01f/{NAMES[tree].format(49)}"))
    np.testing.assert_array_equal(made["image"][at, :, :, 0], faces.read_grey(on_disk))
    assert made["subject"][at] == "casme2-sub01" and casme2.classes(o)[made["label"][at]] == "disgust"
    assert made["aus"][at].tolist() == [9, 9, 0, 0, 0, 0] and (made["aus"][at - 1] == -1).all()
    known = made["id"][(made["aus"] >= 0).all(1)].tolist()
    assert len(known) == len(ROWS) and "sub03/EP12_01f/000007" in known  # without an apex, in the middle
    assert layout.scan(o).cropped == (tree == "Cropped")
    assert casme2.crop(options(tmp_path / "d")) == ("none" if tree == "Cropped" else "detect")


def test_a_tree_named_by_nothing_is_known_by_its_files(tmp_path):
    for tree, kind in (("Cropped", "cropped"), ("CASME2_RAW_selected", "selected"), ("CASME2-RAW", "raw")):
        rows = [row for row in ROWS if row[2] > 1]
        place = write_set(tmp_path / kind[0], tree, rows)
        (place / tree).rename(place / "mine")
        assert layout.scan(options(place, tree=kind)).tree == place / "mine"


def test_of_several_trees(tmp_path):
    for tree in NAMES:
        write_set(tmp_path, tree)
    for wanted, name in (
        ("auto", "Cropped"), ("cropped", "Cropped"),
        ("selected", "CASME2_RAW_selected"), ("raw", "CASME2-RAW"),
    ):  # fmt: skip
        assert layout.scan(options(tmp_path, tree=wanted)).tree == tmp_path / name
    write_set(tmp_path / "copy")
    with pytest.raises(BadInput, match=r"Cropped and .*Cropped: two trees of one kind \(cropped\); keep one"):
        layout.scan(options(tmp_path))
    write_set(tmp_path / "one", "CASME2-RAW")
    with pytest.raises(BadInput, match=r"data.options.tree: no tree cropped in .*; there is raw"):
        layout.scan(options(tmp_path / "one", tree="cropped"))


def test_junk_and_strange_files_are_passed_over_and_counted(tmp_path):
    write_set(tmp_path)
    clip = tmp_path / "Cropped" / "sub01" / "EP02_01f"
    for path in (clip / "Thumbs.db", clip.parent / ".DS_Store", tmp_path / "Cropped" / "desktop.ini"):
        path.write_bytes(b"x")
    (clip / "notes.txt").write_text("x")
    save(clip / "reg_img46 (1).jpg", crop(1))
    (tmp_path / "~$CASME2-coding-20140508.xlsx").write_bytes(b"x")  # as a spreadsheet that is open leaves it
    scan = layout.scan(options(tmp_path))
    assert scan.junk == 3
    assert scan.strange == ("sub01/EP02_01f/notes.txt", "sub01/EP02_01f/reg_img46 (1).jpg")
    said = "\n".join(casme2.gaps(str(tmp_path)))
    assert (
        "casme2: 3 junk files passed over" in said
        and "files that are no frames, passed over: 2 (sub01/" in said
    )


# What is coded.


def test_coding_keeps_sides_and_doubts(tmp_path):
    rows = [*ROWS[:3], (3, "EP12_01f", 5, 7, 9, "R12A+4 or 7+x", "repression"), ROWS[4]]
    found = {row.clip: row for row in casme2.coding(options(write_set(tmp_path, rows=rows)))}
    assert found["sub02/EP01_11f"].units == (Unit(14, "L"),)
    assert found["sub17/EP04_02"].units == (Unit(15, certain=False),)
    choice = (Unit(4, "", 0, False, True), Unit(7, "", 0, False, True))
    assert found["sub03/EP12_01f"].units == (Unit(12, "R", 1), *choice)
    assert found["sub03/EP12_01f"][:6] == (5, "sub03/EP12_01f", "sub03", 5, 7, 9)
    o = options(tmp_path, crop="none")
    made = casme2.arrays(o)["frames"]
    at = made["id"].tolist().index("sub03/EP12_01f/000007")
    assert dict(zip(casme2.au_names(o), made["aus"][at].tolist(), strict=True)) == {
        "AU04": -1, "AU07": -1, "AU12": 1, "AU14": 0, "AU15": 0,
    }  # fmt: skip
    assert told(tmp_path)["uncertain_au", "sub03/EP12_01f"] == "4 or 7 unknown"
    assert told(tmp_path)["unread_au", "sub03/EP12_01f"] == "'x'"


@pytest.mark.parametrize(
    ("rows", "disk", "expected"),
    [
        ({}, {}, {}),
        ({1: (1, "EP03_02", 9, 9, 13, 12, "happiness")}, {}, {("apex_at_onset", "sub01/EP03_02"): "9"}),
        ({}, {"EP03_02": range(9, 12)}, {("offset_past_end", "sub01/EP03_02"): "13; the last is 11"}),
        ({}, {"EP03_02": [9, 10, 12, 13]}, {("gap", "sub01/EP03_02"): "11; apex 11 is now 10"}),
        ({}, {"EP03_02": [9]}, {("one_frame", "sub01/EP03_02"): "1 on disk", ("one_clip", "sub01"): ""}),
        ({}, {"EP03_02": []}, {("one_frame", "sub01/EP03_02"): "0 on disk", ("one_clip", "sub01"): ""}),
        ({}, {"EP03_02": None}, {("missing_folder", "sub01/EP03_02"): "row 3", ("one_clip", "sub01"): ""}),
        ({1: (1, "EP01_2", 9, 11, 13, 12, "happiness")}, {}, {("odd_name", "sub01/EP01_2"): ""}),
        ({1: (1, "EP09f", 9, 11, 13, 12, "happiness")}, {}, {("odd_name", "sub01/EP09f"): ""}),
        ({1: (1, "EP06_02_01", 9, 11, 13, 12, "happiness")}, {}, {("odd_name", "sub01/EP06_02_01"): ""}),
        ({1: (1, "EP03_02", 9, 11, 13, None, "happiness")}, {}, {("no_units", "sub01/EP03_02"): ""}),
        ({1: (1, "EP03_02", 9, 11, 13, 12, None)}, {}, {("no_emotion", "sub01/EP03_02"): ""}),
    ],
)  # fmt: skip
def test_every_odd_row_has_a_rule(tmp_path, rows, disk, expected):
    changed = [rows.get(place, row) for place, row in enumerate(ROWS)]
    write_set(tmp_path, rows=changed, disk=disk)
    assert told(tmp_path) == NORMAL | expected
    o = options(tmp_path)
    splits = {"frames": split_of(o)}
    lines = "\n".join([*casme2.gaps(str(tmp_path)), *casme2.findings(o, splits)])
    for (rule, clip), words in (NORMAL | expected).items():
        assert f"casme2: {rule} (" in lines and f"{clip}: {words}" in lines if words else clip in lines
    made = clips.of_frames(
        splits["frames"], casme2.phases(o), casme2.FPS
    )  # whatever is odd, clips can be made
    assert len(made) == len(ROWS) - any(r in ("one_frame", "missing_folder") for r, _ in expected)


def test_folders_and_rows_without_each_other(tmp_path):
    write_set(tmp_path)
    frames(tmp_path / "Cropped" / "sub05" / "EP01_01", range(3))
    sheet(tmp_path / "CASME2-coding-20140508.xlsx", spread([*ROWS, ROWS[0]]))
    found = told(tmp_path)
    assert found["folder_without_row", "sub05/EP01_01"] == ""
    assert found["repeated_row", "sub01/EP02_01f"] == "row 7"
