"""CK+ as people have it on disk: layouts that are read alike, what is told, and mistakes that are refused."""

import shutil

import numpy as np
import pytest
from ck_plus_files import SET, as_split, findings, options, read, taken, told, write, write_set
from PIL import Image

from data_pipelines import BadInput, arrays, ck_plus, disk
from data_pipelines.ck_plus import layout


def doubled(place):
    """`place` with its contents in a folder of the same name within."""
    moved = place.rename(place.with_name("moved"))
    place.mkdir()
    return moved.rename(place / place.name)


def double_all(folder):
    for name in ("Emotion", "FACS", "Landmarks", "cohn-kanade-images"):
        doubled(folder / name)


def kaggle_names(folder):
    (folder / "Emotion_labels").mkdir()
    (folder / "Emotion").rename(folder / "Emotion_labels" / "Emotion")
    (folder / "FACS_labels").mkdir()
    (folder / "FACS").rename(folder / "FACS_labels" / "FACS")
    (folder / "extended-cohn-kanade-images").mkdir()
    (folder / "cohn-kanade-images").rename(folder / "extended-cohn-kanade-images" / "cohn-kanade-images")


def apart(folder):
    """Labels and pictures unpacked into different folders."""
    (folder / "labels").mkdir()
    for name in ("Emotion", "FACS"):
        (folder / name).rename(folder / "labels" / name)


def strew_junk(folder):
    for place in (folder, *sorted(path for path in folder.rglob("*") if path.is_dir())[::3]):
        for name in (".DS_Store", "Thumbs.db", "._S005_001_00000001.png", "S005 - Shortcut.lnk"):
            (place / name).write_text("junk")
    write(folder / "cohn-kanade-images" / "__MACOSX" / "S005" / "S005_001_00000099.png", "junk")
    write(folder / "__MACOSX" / "Emotion" / "S005_004_00000005_emotion.txt", "1")


def unpadded(folder):
    for path in sorted(folder.rglob("S*_*.*")):
        subject, sequence, frame, *rest = path.stem.split("_")
        path.rename(path.with_name("_".join([subject, sequence, str(int(frame)), *rest]) + path.suffix))


def no_empty_folders(folder):
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def colour(folder):
    for path in sorted(folder.glob("cohn-kanade-images/S0*/*/*.png")):
        grey = np.asarray(Image.open(path))
        Image.fromarray(np.stack([grey] * 3, -1)).save(path)


def other_spelling(folder):
    (folder / "Emotion").rename(folder / "emotion")
    for path in folder.glob("emotion/*/*/*.txt"):
        path.write_bytes(b"\xef\xbb\xbf" + f"{float(path.read_text()):.0f}".encode() + b"\r\n\r\n")
    for path in folder.glob("FACS/*/*/*.txt"):
        rows = [line.split() for line in path.read_text().splitlines()]
        path.write_text("\r\n".join(f"{float(a):.0f}\t{float(b):.0f}" for a, b in rows) + "\n\n")


@pytest.mark.parametrize(
    "change",
    [
        double_all,
        kaggle_names,
        strew_junk,
        unpadded,
        no_empty_folders,
        colour,
        other_spelling,
        lambda folder: doubled(folder / "Landmarks" / "S005" / "001"),
    ],
)
@pytest.mark.parametrize("below", ["", "CK+", "a/b/CK+"])
def test_layouts(tmp_path, change, below):
    plain = read(write_set(tmp_path / "plain"))
    write_set(tmp_path / "other" / below)
    change(tmp_path / "other" / below)
    a = read(tmp_path / "other")
    for field in ("image", "label", "aus", "subject"):
        np.testing.assert_array_equal(a[field], plain[field])
    if change is not unpadded:
        assert a["id"].tolist() == plain["id"].tolist()
    else:
        assert a["id"].tolist()[9:13] == [f"S011/001/S011_001_{frame}" for frame in (1, 9, 10, 11)]


@pytest.mark.parametrize("below", ["", "CK+", "a/CK+"])
def test_labels_unpacked_elsewhere(tmp_path, below):
    plain = read(write_set(tmp_path / "plain"))
    apart(write_set(tmp_path / "other" / below))
    a = read(tmp_path / "other")
    assert taken(a) == taken(plain)


def test_what_is_passed_over_or_odd_is_told(tmp_path, capsys):
    write_set(tmp_path)
    strew_junk(tmp_path)
    junk = sum(
        disk.junk(path.name) or "__MACOSX" in path.parts for path in tmp_path.rglob("*") if path.is_file()
    )
    images = tmp_path / "cohn-kanade-images"
    outside = len([path for path in tmp_path.iterdir() if path.is_file()]) + 1  # nobody walks there
    write(images / "S005" / "001" / "notes.txt", "blurred")
    write(tmp_path / "FACS" / "S005" / "004" / "S005_004_00000005_facs.txt", "12 5\n80 2\n1 1\n1 3\n")
    write(tmp_path / "Emotion" / "S500" / "001" / "S500_001_00000005_emotion.txt", "3")
    write(tmp_path / "Emotion" / "S005" / "004" / "S005_004_00000005_emotion.txt", "\n \n")
    (images / "S010" / "002" / "S010_002_00000008.png").unlink()
    found = findings(tmp_path)
    capsys.readouterr()
    assert arrays.print_check("ck_plus", str(tmp_path)) == 0
    said = capsys.readouterr().out
    assert f"{junk - outside} junk files passed over" in said and "1 (S500/001)" in said
    assert "nothing was passed over" not in said
    assert told(found, "junk files passed over").startswith(f"ck_plus: {junk - outside} ")
    assert told(found, "other names, passed over: 1 (cohn-kanade-images/S005/001/notes.txt)")
    assert told(found, "sequences with AU80, which has no column and is left out: 1 (S005/004)")
    assert told(found, "and no frame, left out: 1 (S500/001)")
    assert told(found, "empty files of emotions or codes", ": 1 (S005_004_00000005_emotion.txt)")
    names = "S010_002_00000008_emotion.txt, S010_002_00000008_facs.txt"
    assert told(found, "of another frame than the last on disk", f": 2 ({names})")
    assert told(found, "fewer frames than asked for", ": 1 (S999/003)")
    assert not [line for line in findings(tmp_path, last_frames=2) if "fewer frames" in line]  # 3 are enough
    assert told(found, "5 sequences, published 593") and told(found, "4 subjects, published 123")
    assert "disgust 1, published 59" in told(found, "sequences of an emotion: anger 1, published 45")
    a = taken(read(tmp_path))
    assert a["S005/004/S005_004_00000005"] == (None, {"AU12": 5, "AU01": 3})  # the higher grade of the two
    assert a["S010/002/S010_002_00000007"] == ("happiness", {"AU06": 3, "AU12": 4, "AU25": 1})


def test_a_part_of_the_set_that_is_not_there_is_told(tmp_path):
    write_set(tmp_path)
    shutil.rmtree(tmp_path / "FACS")
    assert (read(tmp_path)["aus"] == -1).all()
    assert told(findings(tmp_path), "no facs files here")
    shutil.rmtree(tmp_path / "Emotion")
    a = read(tmp_path)
    assert (a["label"] == -1).all() and len(a["label"]) == len(SET)
    assert told(findings(tmp_path), "no emotion files here; nothing has a label")
    with pytest.raises(BadInput, match=r"0 subjects with an emotion do not make 3 folds.*Emotion folder"):
        ck_plus.parts(options(tmp_path), {"frames": as_split(a)})


# Mistakes.

EMOTION = "Emotion/S005/001/S005_001_00000007_emotion.txt"
FACS = "FACS/S005/001/S005_001_00000007_facs.txt"
MARKS = "Landmarks/S005/001/S005_001_00000006_landmarks.txt"


def change_rows(path, change):
    rows = path.read_text().splitlines()
    change(rows)
    path.write_text("\n".join(rows))


def set_row(row, text):
    return lambda rows: rows.__setitem__(row - 1, text)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        (EMOTION, lambda rows: rows.append("2"), r"'3.0000000e\+00 2' is not one code of an emotion"),
        (EMOTION, set_row(1, "disgust"), r"'disgust' is not one code"),
        (EMOTION, set_row(1, "3.5"), r"'3.5' is not one code"),
        (EMOTION, set_row(1, "nan"), r"'nan' is not one code"),
        (EMOTION, set_row(1, "8"), r"code 8 is no emotion of CK\+; it has 0 neutral, 1 anger"),
        (FACS, set_row(2, "9.0 4.0 1.0"), r" row 2: '9.0 4.0 1.0' is not an action unit and its intensity"),
        (FACS, set_row(2, "9"), r" row 2: '9' is not an action unit"),
        (FACS, set_row(3, "L14 2"), r" row 3: 'L14 2' is not"),
        (FACS, set_row(1, "0 2"), r" row 1: '0 2' is not"),
        (FACS, set_row(2, "9 6"), r" row 2: intensity 6 of AU 9; expected 1 to 5 for A to E, or 0"),
        (FACS, set_row(2, "9 -1"), r" row 2: intensity -1 of AU 9"),
        (MARKS, lambda rows: rows.pop(), r": 67 rows, 68 landmarks expected"),
        (MARKS, set_row(40, "1.0 x"), r" row 40: '1.0 x' is not x and y of a landmark"),
        (MARKS, set_row(3, "1.0 inf"), r" row 3: '1.0 inf' is not"),
        (MARKS, set_row(5, "1.0"), r" row 5: '1.0' is not"),
        (MARKS, lambda rows: rows.reverse(), r"points 37-48 are not the eyes"),
        (
            MARKS,
            lambda rows: rows.__setitem__(slice(36, 42), ["-9 20"] * 6),
            r"outside the frame of 80x60 pixels",
        ),
        (
            MARKS,
            lambda rows: rows.__setitem__(slice(36, 48), ["9 62"] * 12),
            r"outside the frame of 80x60 pixels",
        ),
    ],
)
def test_mistakes_in_text(tmp_path, name, change, words):
    write_set(tmp_path)
    if name == MARKS and words.startswith("points"):
        change = swap_eyes
    change_rows(tmp_path / name, change)
    with pytest.raises(BadInput, match=words) as caught:
        read(tmp_path)
    assert str(tmp_path / name) in str(caught.value) and "\n" not in str(caught.value)


def swap_eyes(rows):
    rows[36:42], rows[42:48] = rows[42:48], rows[36:42]


@pytest.mark.parametrize("name", [EMOTION, FACS, MARKS])
def test_text_that_is_none(tmp_path, name):
    write_set(tmp_path)
    (tmp_path / name).write_bytes(bytes(range(128, 256)))
    with pytest.raises(BadInput, match="not a text file; unpack the archive again") as caught:
        read(tmp_path)
    assert str(tmp_path / name) in str(caught.value)


def test_truncated_frame(tmp_path):
    write_set(tmp_path)
    path = tmp_path / "cohn-kanade-images/S010/002/S010_002_00000007.png"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(BadInput, match=r"S010_002_00000007.png: cannot be read \(truncated\)"):
        read(tmp_path)


def test_files_that_are_there_twice(tmp_path):
    write_set(tmp_path)
    path = tmp_path / "cohn-kanade-images/S010/002/S010_002_00000007.png"
    for other in (path.with_name("S010_002_7.png"), path.with_suffix(".jpg")):
        shutil.copy(path, other)
        with pytest.raises(BadInput, match=rf"{other} and .*|.* and {other}.*keep one") as caught:
            read(tmp_path)
        assert str(path) in str(caught.value)
        other.unlink()
    emotion = tmp_path / EMOTION
    shutil.copy(emotion, emotion.with_name("S005_001_00000006_emotion.txt"))
    with pytest.raises(BadInput, match="a sequence has one such file; keep one of them"):
        read(tmp_path)
    shutil.copytree(tmp_path, tmp_path.with_name("both") / "one")
    shutil.copytree(tmp_path, tmp_path.with_name("both") / "two")
    with pytest.raises(BadInput, match="twice; keep one of them"):
        read(tmp_path.with_name("both"))


def test_wrong_folders(tmp_path):
    for folder in ("", str(tmp_path / "nowhere")):
        with pytest.raises(BadInput, match=r"data.dir: .* is no folder.*cohn-kanade-images"):
            layout.scan(folder)
    with pytest.raises(BadInput, match=r"no CK\+ here or up to 3 folders below; expected"):
        layout.scan(str(tmp_path))
    (tmp_path / "cohn-kanade-images" / "S005" / "001").mkdir(parents=True)
    with pytest.raises(BadInput, match=r"cohn-kanade-images: no frames in it"):
        layout.scan(str(tmp_path))
    write_set(tmp_path)
    with pytest.raises(BadInput, match=r"holds the subjects themselves; name the folder above it"):
        layout.scan(str(tmp_path / "cohn-kanade-images"))
    deep = tmp_path / "deep" / "1" / "2" / "3" / "4"
    write_set(deep)
    with pytest.raises(BadInput, match=r"no CK\+ here"):
        layout.scan(str(tmp_path / "deep"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"last_frames": 0}, "options.last_frames: 0 is out of range; write 1 or more"),
        ({"last_frames": True}, "options.last_frames: True is not a whole number"),
        ({"folds": 2}, "options.folds: 2 is out of range; write 3 or more"),
        ({"fold": 3}, "options.fold: 3 of 3 folds; they are numbered 0 to 2"),
        ({"fold": -1}, "options.fold: -1 is out of range"),
        ({"image_size": 4}, "options.image_size: 4 is out of range; write 8 to 1024"),
        ({"aus": "all"}, "options.aus: 'all' is not known; write last or carried"),
    ],
)
def test_options_that_make_no_sense(tmp_path, changes, words):
    with pytest.raises(BadInput, match=words):
        read(tmp_path, **changes)
