"""CK+ from tiny trees, whose frames have dots for eyes; and from the look-alike, where its archive is."""

import csv
import hashlib
import os
import shutil
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_pipelines import BadInput, arrays, ck_plus, coded, faces, labels
from data_pipelines.arrays import load_parts, load_splits
from data_pipelines.ck_plus import layout, source, tables
from data_pipelines.split import Split
from data_pipelines.tfds_examples import examples

H, W = 60, 80
SIZE = 24
ANGER, DISGUST, HAPPY, SURPRISE = 1, 3, 5, 7
# (subject, sequence) -> frames, code of the emotion, FACS rows; None: no file
SET = {
    ("S005", "001"): (range(1, 8), DISGUST, [(1, 2), (9, 4), (17, 0)]),
    ("S005", "004"): (range(1, 6), None, [(12, 5)]),
    ("S010", "002"): (range(3, 9), HAPPY, [(6, 3), (12, 4), (25, 1)]),
    ("S011", "001"): ((1, 2, 9, 10, 11), SURPRISE, None),
    ("S999", "003"): (range(1, 4), ANGER, [(4, 0)]),
}


def stem(subject, sequence, frame):
    return f"{subject}_{sequence}_{frame:08d}"


def eyes(subject, sequence, frame):
    """Where the eyes of a frame are: the head moves and turns."""
    n = int(subject[1:]) + int(sequence)
    left = np.array([22 + n % 5 + frame * 0.7, 24 + n % 3 + frame * 0.4])
    return left, left + np.array([18 + n % 4, frame * 0.3 - 1])


def frame_pixels(subject, sequence, frame):
    y, x = np.mgrid[:H, :W]
    light = sum(
        np.exp(-((x - a) ** 2 + (y - b) ** 2) / (2 * 1.5**2)) for a, b in eyes(subject, sequence, frame)
    )
    return np.rint(255 * np.minimum(light, 1)).astype(np.uint8)


def landmarks_text(subject, sequence, frame):
    points = np.full((68, 2), 40.0)
    circle = 2 * np.stack([np.cos(np.arange(6) * np.pi / 3), np.sin(np.arange(6) * np.pi / 3)], -1)
    left, right = eyes(subject, sequence, frame)
    points[36:42], points[42:48] = left + circle, right + circle
    return "".join(f"   {x:.7e}   {y:.7e}\n" for x, y in points)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def write_set(folder, made=None, landmarks=True):
    """The set as CK+ lies on disk; returns its folder."""
    for (subject, sequence), (frames, emotion, facs) in (SET if made is None else made).items():
        frames = list(frames)
        below = Path(subject, sequence)
        for frame in frames:
            name = stem(subject, sequence, frame)
            path = folder / "cohn-kanade-images" / below / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(frame_pixels(subject, sequence, frame)).save(path)
            if landmarks:
                write(
                    folder / "Landmarks" / below / f"{name}_landmarks.txt",
                    landmarks_text(subject, sequence, frame),
                )
        last = stem(subject, sequence, frames[-1])
        (folder / "Emotion" / below).mkdir(parents=True, exist_ok=True)
        if emotion is not None:
            write(folder / "Emotion" / below / f"{last}_emotion.txt", f"   {emotion:.7e}\n")
        if facs is not None:
            rows = "".join(f"   {unit:.7e}   {grade:.7e}\n" for unit, grade in facs)
            write(folder / "FACS" / below / f"{last}_facs.txt", rows)
    return folder


def options(folder, **changes):
    return {**ck_plus.OPTIONS, "dir": str(folder), "image_size": SIZE, "folds": 3, **changes}


def read(folder, **changes):
    return ck_plus.arrays(options(folder, **changes))["frames"]


def as_split(read_arrays):
    return Split(name="ck_plus/frames", classes=ck_plus.CLASSES, au_names=ck_plus.AU_NAMES, **read_arrays)


def findings(folder, **changes):
    o = options(folder, **changes)
    return ck_plus.findings(o, {"frames": as_split(ck_plus.arrays(o)["frames"])})


def told(found, *words):
    """The one finding with all the words."""
    lines = [line for line in found if all(word in line for word in words)]
    assert len(lines) == 1, found
    return lines[0]


def taken(a):
    """id -> (label's name or None, {unit: code} of what is not absent, or None where unknown)."""
    out = {}
    for name, label, aus in zip(a["id"].tolist(), a["label"].tolist(), a["aus"], strict=True):
        assert (aus == -1).all() or (aus >= 0).all()
        shown = {unit: int(code) for unit, code in zip(ck_plus.AU_NAMES, aus, strict=True) if code > 0}
        out[name] = (ck_plus.CLASSES[label] if label >= 0 else None, None if aus[0] < 0 else shown)
    return out


def test_which_frames_are_taken(tmp_path):
    a = read(write_set(tmp_path))
    disgust = {"AU01": 2, "AU09": 4, "AU17": labels.AU_PRESENT}
    happiness = {"AU06": 3, "AU12": 4, "AU25": 1}
    assert taken(a) == {
        "S005/001/S005_001_00000001": ("neutral", None),
        "S005/001/S005_001_00000005": ("disgust", None),
        "S005/001/S005_001_00000006": ("disgust", None),
        "S005/001/S005_001_00000007": ("disgust", disgust),
        "S005/004/S005_004_00000005": (None, {"AU12": 5}),
        "S010/002/S010_002_00000003": ("neutral", None),
        "S010/002/S010_002_00000006": ("happiness", None),
        "S010/002/S010_002_00000007": ("happiness", None),
        "S010/002/S010_002_00000008": ("happiness", happiness),
        "S011/001/S011_001_00000001": ("neutral", None),
        "S011/001/S011_001_00000009": ("surprise", None),
        "S011/001/S011_001_00000010": ("surprise", None),
        "S011/001/S011_001_00000011": ("surprise", None),
        "S999/003/S999_003_00000001": ("neutral", None),
        "S999/003/S999_003_00000002": ("anger", None),
        "S999/003/S999_003_00000003": ("anger", {"AU04": labels.AU_PRESENT}),
    }
    assert a["subject"].tolist() == ["ckplus-" + name[:4] for name in a["id"].tolist()]
    assert a["image"].shape == (16, SIZE, SIZE, 1) and a["image"].dtype == np.uint8
    assert ck_plus.CLASSES == labels.EMOTIONS
    assert ck_plus.sequences(a["id"])[[0, 4, 15]].tolist() == ["S005/001", "S005/004", "S999/003"]
    as_split(a)  # every type and shape is a Split's


def test_carried_codes(tmp_path):
    """The last frames have the last one's codes, the first all absent; without a file all stay unknown."""
    a = taken(read(write_set(tmp_path), aus="carried"))
    assert a["S010/002/S010_002_00000003"] == ("neutral", {})
    for frame in (6, 7, 8):
        assert a[f"S010/002/S010_002_{frame:08d}"] == ("happiness", {"AU06": 3, "AU12": 4, "AU25": 1})
    assert [shown for name, (_, shown) in a.items() if name.startswith("S011")] == [None] * 4
    assert a["S005/004/S005_004_00000005"] == (None, {"AU12": 5})


def test_other_choices_of_frames(tmp_path):
    write_set(tmp_path)
    a = read(tmp_path, last_frames=1, first_neutral=False)
    assert [name[-2:] for name in a["id"]] == ["07", "05", "08", "11", "03"]
    assert (a["aus"][[0, 1, 2, 4]] >= 0).all() and (a["aus"][3] == -1).all()
    a = read(tmp_path, last_frames=20, first_neutral=False)
    assert len(a["id"]) == 7 + 1 + 6 + 5 + 3 and (a["label"] != ck_plus.CLASSES.index("neutral")).all()
    a = read(tmp_path, last_frames=20)
    assert len(a["id"]) == 7 + 1 + 6 + 5 + 3 and (a["label"] == ck_plus.CLASSES.index("neutral")).sum() == 4


def test_every_code_of_an_emotion(tmp_path):
    made = {(f"S{code:03d}", "001"): (range(1, 4), code, None) for code in range(8)}
    a = read(write_set(tmp_path, made), last_frames=1, first_neutral=False)
    names = ["neutral", "anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise"]
    assert [ck_plus.CLASSES[label] for label in a["label"]] == names


# Crops.


def centre(image):
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    return np.array([(image * x).sum(), (image * y).sum()]) / image.sum(dtype=float)


def test_eyes_come_to_their_places_in_every_frame(tmp_path):
    a = read(write_set(tmp_path), image_size=48)
    for image in a["image"][..., 0]:
        left, right = centre(image[:, :24]), centre(image[:, 24:]) + np.array([24, 0])
        level = faces.EYE_HEIGHT * 48 - 0.5
        apart = faces.EYE_DISTANCE * 24
        np.testing.assert_allclose(left, [23.5 - apart, level], atol=0.15)
        np.testing.assert_allclose(right, [23.5 + apart, level], atol=0.15)


def test_a_frame_without_landmarks_takes_the_nearest_ones(tmp_path):
    write_set(tmp_path)
    marks = tmp_path / "Landmarks" / "S005" / "001"
    for frame in (6, 7):
        (marks / f"{stem('S005', '001', frame)}_landmarks.txt").unlink()
    a = read(tmp_path)
    for row, frame in ((1, 5), (2, 6), (3, 7)):
        matrix = faces.similarity(*eyes("S005", "001", 5), SIZE)
        expected = faces.warp(frame_pixels("S005", "001", frame), matrix, SIZE)
        assert np.abs(a["image"][row, :, :, 0].astype(int) - expected).max() <= 1
    line = told(findings(tmp_path), "placed by those of the nearest frame: 2 (")
    assert "S005/001/S005_001_00000006" in line


def test_without_landmarks_the_detector_looks_once_a_sequence(tmp_path, monkeypatch):
    """One transform serves all frames; where the first shows no face, the last one's; else the middle."""
    pictures = []
    of = {frame_pixels(*key, frame).tobytes(): (*key, frame) for key in SET for frame in SET[key][0]}

    def detect(picture):
        subject, sequence, frame = of[picture.tobytes()]
        pictures.append((subject, sequence, frame))
        if subject == "S010" or (subject == "S999" and frame == 1):
            return None
        return faces.Found((0, 0, 9, 9), *eyes(subject, sequence, frame), "eyes")

    monkeypatch.setattr(faces, "detect", detect)
    write_set(tmp_path, landmarks=False)
    a = read(tmp_path)
    once = [("S005", "001", 1), ("S005", "004", 1), ("S011", "001", 1)]
    tried_twice = [("S010", "002", 3), ("S010", "002", 8), ("S999", "003", 1), ("S999", "003", 3)]
    assert sorted(pictures) == sorted(once + tried_twice)
    for row, name in enumerate(a["id"].tolist()):
        subject, sequence, frame = name.split("/")[2].split("_")
        if subject == "S010":
            matrix = faces.centred(H, W, SIZE)
        else:
            matrix = faces.similarity(*eyes(subject, sequence, 3 if subject == "S999" else 1), SIZE)
        expected = faces.warp(frame_pixels(subject, sequence, int(frame)), matrix, SIZE)
        np.testing.assert_array_equal(a["image"][row, :, :, 0], expected)
    found = findings(tmp_path)
    assert told(
        found, "without landmarks, whose faces the detector looked for: 5 (S005/001, S005/004, S010/002, ...)"
    )
    assert told(found, "no face was found, cut from the middle of the frame: 1 (S010/002)")
    assert dict((what, n) for what, n, _ in ck_plus.check(str(tmp_path)))["sequences without landmarks"] == 5


def test_without_landmarks_and_opencv(tmp_path, monkeypatch):
    faces._cascades.cache_clear()
    monkeypatch.setitem(sys.modules, "cv2", None)
    read(write_set(tmp_path))  # landmarks do without
    shutil.rmtree(tmp_path / "Landmarks" / "S011")
    with pytest.raises(BadInput, match="no landmarks here, and faces are detected with OpenCV"):
        read(tmp_path)


def test_only_the_frames_taken_are_decoded(tmp_path):
    write_set(tmp_path)
    kept = {name.rpartition("/")[2] for name in read(tmp_path)["id"].tolist()}
    spoilt = 0
    for path in tmp_path.glob("cohn-kanade-images/*/*/*.png"):
        if path.stem not in kept:
            path.write_bytes(b"not a picture")
            spoilt += 1
    assert spoilt == 10
    assert len(read(tmp_path)["id"]) == len(kept)


# Layouts.


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


def test_what_is_passed_over_or_odd_is_told(tmp_path):
    write_set(tmp_path)
    strew_junk(tmp_path)
    junk = sum(
        layout.junk(path) or "__MACOSX" in path.parts for path in tmp_path.rglob("*") if path.is_file()
    )
    images = tmp_path / "cohn-kanade-images"
    outside = len([path for path in tmp_path.iterdir() if path.is_file()]) + 1  # nobody walks there
    write(images / "S005" / "001" / "notes.txt", "blurred")
    write(tmp_path / "FACS" / "S005" / "004" / "S005_004_00000005_facs.txt", "12 5\n80 2\n1 1\n1 3\n")
    write(tmp_path / "Emotion" / "S500" / "001" / "S500_001_00000005_emotion.txt", "3")
    write(tmp_path / "Emotion" / "S005" / "004" / "S005_004_00000005_emotion.txt", "\n \n")
    (images / "S010" / "002" / "S010_002_00000008.png").unlink()
    found = findings(tmp_path)
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


def test_a_single_frame_is_the_emotion(tmp_path):
    made = {("S001", "001"): ([4], DISGUST, [(9, 1)]), ("S002", "001"): ([1, 2], HAPPY, None)}
    a = read(write_set(tmp_path, made))
    assert [ck_plus.CLASSES[label] for label in a["label"]] == ["disgust", "neutral", "happiness"]


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


# Folds.


def many(n, unlabelled=3):
    """A Split of n subjects with an emotion, four rows each, and some without."""
    names = [f"ckplus-S{number:03d}" for number in range(5, 5 + n + unlabelled) for _ in range(4)]
    rows = len(names)
    label = np.where(np.arange(rows) < 4 * n, np.arange(rows) % 8, -1)
    return Split(
        name="ck_plus/frames",
        image=np.zeros((rows, 2, 2, 1), np.uint8),
        label=label,
        aus=np.zeros((rows, len(ck_plus.AU_NAMES))),
        subject=np.array(names),
        id=np.array([f"{row:04d}" for row in range(rows)]),
        classes=ck_plus.CLASSES,
        au_names=ck_plus.AU_NAMES,
    )


def test_folds_are_apart_by_subject_and_cover_all():
    split = many(23)
    tested, sizes = [], []
    for fold in range(10):
        train, select, test, words = ck_plus.parts({"folds": 10, "fold": fold}, {"frames": split})
        sides = [set(part.subject.tolist()) for part in (train, select, test)]
        assert not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])
        assert sorted([*train.id, *select.id, *test.id]) == split.id[split.label >= 0].tolist()
        assert words == f"fold {(fold + 1) % 10} of 10 by subject, numbered from 0 (fold {fold} is reported)"
        assert test.name == f"ck_plus/frames[test, fold {fold} of 10]"
        after = ck_plus.parts({"folds": 10, "fold": (fold + 1) % 10}, {"frames": split})[2]
        assert select.id.tolist() == after.id.tolist()
        tested += test.id.tolist()
        sizes.append(len(sides[2]))
    assert sorted(tested) == split.id[split.label >= 0].tolist()
    assert sorted(sizes) == [2] * 7 + [3] * 3


def test_folds_come_from_the_names_alone():
    names = [f"ckplus-S{number:03d}" for number in (5, 10, 11, 14, 22, 26, 28)]
    by_hash = sorted(names, key=lambda name: hashlib.sha256(b"ferjax ck_plus " + name.encode()).digest())
    assert ck_plus.folds(names, 3) == {name: rank % 3 for rank, name in enumerate(by_hash)}
    assert ck_plus.folds(names[::-1] * 2, 3) == ck_plus.folds(np.array(names), 3)
    assert [name for name, part in ck_plus.folds(names, 3).items() if part == 0] == [
        "ckplus-S014",
        "ckplus-S028",
        "ckplus-S010",
    ]
    split = many(12)
    other = split.take(np.flatnonzero(split.label != 3)[::-1])
    for a, b in zip(
        *(ck_plus.parts({"folds": 4, "fold": 1}, {"frames": s}) for s in (split, other)), strict=True
    ):
        if isinstance(a, Split):
            assert set(a.subject.tolist()) == set(b.subject.tolist())


def test_fewer_subjects_than_folds():
    with pytest.raises(
        BadInput, match=r"/d: 9 subjects with an emotion do not make 10 folds; set data.options.folds"
    ):
        ck_plus.parts({"dir": "/d"}, {"frames": many(9)})


# The set as others use it.


def test_builder_and_arrays_give_the_same(tmp_path, monkeypatch):
    write_set(tmp_path / "source")
    data = {"name": "ck_plus", "dir": str(tmp_path / "source"), "image_size": SIZE, "options": {"folds": 4}}
    with_tfds = load_parts({**data, "cache_dir": str(tmp_path / "a")})
    assert list((tmp_path / "a").glob("ck_plus/*/tfds/ck_plus/*/*.tfrecord*"))
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    without = load_parts({**data, "cache_dir": str(tmp_path / "b")})
    assert not list((tmp_path / "b").glob("ck_plus/*/tfds"))
    assert with_tfds.selection == without.selection
    assert with_tfds.findings == without.findings and told(without.findings, "5 sequences, published 593")
    for a, b in zip(with_tfds[:3], without[:3], strict=True):
        assert (a.hash, a.name) == (b.hash, b.name) and a.image.shape[1:] == (SIZE, SIZE, 1)
    splits = load_splits(ck_plus, options(tmp_path / "source"), str(tmp_path / "c"))
    plain = read(tmp_path / "source")
    assert list(splits) == ["frames"]
    for field, values in plain.items():
        np.testing.assert_array_equal(getattr(splits["frames"], field), values)


def test_builder_describes_itself(tmp_path):
    from data_pipelines.ck_plus import builder

    info = builder.Builder(data_dir=str(tmp_path), options={"image_size": 32}).info
    assert list(info.metadata["classes"]) == list(labels.EMOTIONS)
    assert list(info.metadata["au_names"]) == list(ck_plus.AU_NAMES)
    assert info.features["image"].shape == (32, 32, 1)
    assert "lucey2010extended" in info.citation and "Licence" in info.description
    with pytest.raises(BadInput, match="last_frames"):
        builder.Builder(data_dir=str(tmp_path), options={"last_frames": 0})


def test_inputs_for_attribution(tmp_path):
    """The last frames of all coded sequences, once each; with carried codes, several of one sequence."""
    data = {"name": "ck_plus", "dir": str(write_set(tmp_path / "source")), "image_size": SIZE}
    load = coded.load({**data, "cache_dir": str(tmp_path / "cache")})
    assert load.sequence.tolist() == ["S005/001", "S005/004", "S010/002", "S999/003"]
    assert load.rule == "last frames of the sequences with FACS codes"
    assert load.split.label[1] == -1 and (load.split.label[[0, 2, 3]] >= 0).all()
    more = coded.load({**data, "cache_dir": str(tmp_path / "cache"), "options": {"aus": "carried"}})
    assert more.sequence.tolist() == ["S005/001"] * 4 + ["S005/004"] + ["S010/002"] * 4 + ["S999/003"] * 3
    assert "carried" in more.rule


def test_examples_keep_every_bit():
    rng = np.random.default_rng(0)
    a = {
        "image": rng.integers(0, 256, (3, 9, 7, 1), np.uint8),
        "label": np.array([2, -1, 0]),
        "aus": np.array([[1, 0], [-1, -1], [9, 5]], np.int8),
        "subject": np.array(["a", "", "c"]),
        "id": np.array(["x/1", "x/2", "y"]),
        "au_intensity": rng.random((3, 2, 2)),
    }
    made = list(examples(a))
    assert [key for key, _ in made] == ["x/1", "x/2", "y"]
    for row, (key, example) in enumerate(made):
        np.testing.assert_array_equal(np.asarray(Image.open(example["image"])), a["image"][row, :, :, 0])
        np.testing.assert_array_equal(example["aus"], a["aus"][row])
        assert (example["label"], example["subject"], example["id"]) == (
            a["label"][row],
            a["subject"][row],
            key,
        )
        assert set(example) == {"image", "label", "aus", "subject", "id"}
    for row, (_, example) in enumerate(examples(a, more=("au_intensity",))):
        np.testing.assert_array_equal(example["au_intensity"], a["au_intensity"][row])


def test_check(tmp_path, capsys):
    write_set(tmp_path)
    found = {what: (n, published) for what, n, published in ck_plus.check(str(tmp_path))}
    assert found["sequences"] == (5, 593) and found["subjects"] == (4, 123)
    assert found["sequences with an emotion"] == (4, 327) and found["subjects with an emotion"] == (4, 118)
    assert found["sequences with FACS codes"] == (4, 593)
    assert found["anger"] == (1, 45) and found["contempt"] == (0, 18) and "neutral" not in found
    assert found["frames"] == (26, None) and found["sequences without landmarks"] == (0, None)
    assert found["last frames with AU12"] == (2, None)
    assert arrays.print_check("ck_plus", str(tmp_path)) == 0
    assert "differs" in capsys.readouterr().out


def test_published_counts_add_up():
    assert sum(tables.PUBLISHED_EMOTIONS.values()) == tables.PUBLISHED["sequences with an emotion"]
    numbers = [labels.au_number(name) for name in ck_plus.AU_NAMES]
    assert numbers == sorted(set(numbers))


# The look-alike.

BY_EMOTION = {
    "surprise": 34,
    "happiness": 30,
    "disgust": 28,
    "anger": 22,
    "fear": 17,
    "sadness": 10,
    "contempt": 10,
}
BY_UNIT = (
    "1:99 2:91 4:89 5:88 6:59 7:61 9:28 10:18 12:42 14:22 15:17 16:10 17:50 18:15 20:28 22:5 23:16 24:22 "
    "25:140 26:26 27:26 28:10 43:14"
)


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    folder = os.environ.get("FERJAX_REAL_DATA")
    if not folder:
        pytest.skip("FERJAX_REAL_DATA is not set")
    place = tmp_path_factory.mktemp("ckplus")
    with tarfile.open(Path(folder) / "ict_ckplus.tar") as file:
        file.extractall(place, filter="data")
    return place


@pytest.mark.real_data
def test_look_alike(real, tmp_path):
    """Counts as its README has them; codes as its truth, which moved the faces, has them."""
    found = {what: n for what, n, _ in ck_plus.check(str(real))}
    assert (found["sequences"], found["subjects"], found["frames"]) == (269, 30, 1997)
    assert found["sequences with an emotion"] == 151 and found["sequences with FACS codes"] == 269
    assert {name: found[name] for name in BY_EMOTION} == BY_EMOTION
    units = {labels.au_name(int(a)): int(b) for a, b in (pair.split(":") for pair in BY_UNIT.split())}
    assert {what[-4:]: n for what, n in found.items() if what.startswith("last frames with")} == units
    splits = load_splits(ck_plus, options(real, image_size=48), str(tmp_path))
    split = splits["frames"]
    assert len(split) == 151 * 4 + 118 and (split.label == -1).sum() == 118
    assert "3 junk files" in told(ck_plus.findings(options(real), splits), "junk")
    shown_last = split.take(split.aus[:, 0] >= 0)
    assert len(shown_last) == 269 and len(set(ck_plus.sequences(shown_last.id).tolist())) == 269
    assert (
        dict(zip(split.au_names, (shown_last.aus > 0).sum(0).tolist(), strict=True))
        == dict.fromkeys(split.au_names, 0) | units
    )
    with open(real / "ckplus" / "truth.csv", newline="") as file:
        truth = {Path(row["image"]).stem: row for row in csv.DictReader(file)}
    names = {"happy": "happiness", "": None}
    for row in range(len(shown_last)):
        true = truth[shown_last.id[row].rpartition("/")[2]]
        assert shown_last.subject[row] == "ckplus-" + true["subject"]
        shown = shown_last.classes[shown_last.label[row]] if shown_last.label[row] >= 0 else None
        assert shown == names.get(true["emotion"], true["emotion"])
        for unit, code in zip(shown_last.au_names, shown_last.aus[row].tolist(), strict=True):
            strength = float(true.get(unit) or 0)
            if unit not in ("AU45", "AU61", "AU62"):  # blinks and eye turns move faces but are not coded
                assert (code > 0) == (strength > 0), (shown_last.id[row], unit)
                if 1 <= code <= 5:
                    assert (code - 1) / 5 <= strength + 0.01 and strength - 0.01 <= code / 5


@pytest.mark.real_data
def test_look_alike_without_landmarks(real, tmp_path):
    """The detector's crops are the landmarks' but for a few hundredths of the eyes' distance."""
    pytest.importorskip("cv2")
    tree = layout.scan(str(real))
    error = []
    for sequence in tree.sequences[::6]:
        eyes = faces.eye_centres(tables.read_landmarks(sequence.landmarks[sequence.frames[0][0]]))
        at = faces.move(np.array(eyes), source.guess(sequence._replace(landmarks={}), 48))
        expected = faces.move(np.array(eyes), faces.similarity(*eyes, 48))
        error.append(np.abs(at - expected).max())
    assert len(error) > 40 and np.median(error) < 1.5 and np.max(error) < 5
