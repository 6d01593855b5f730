"""CK+ from tiny trees: which frames are taken, their labels and codes, and where their eyes come to lie."""

import shutil
import sys

import numpy as np
import pytest
from ck_plus_files import (
    DISGUST,
    HAPPY,
    SET,
    SIZE,
    H,
    W,
    as_split,
    eyes,
    findings,
    frame_pixels,
    read,
    stem,
    taken,
    told,
    write_set,
)

from data_pipelines import BadInput, ck_plus, faces, labels


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


def test_a_single_frame_is_the_emotion(tmp_path):
    made = {("S001", "001"): ([4], DISGUST, [(9, 1)]), ("S002", "001"): ([1, 2], HAPPY, None)}
    a = read(write_set(tmp_path, made))
    assert [ck_plus.CLASSES[label] for label in a["label"]] == ["disgust", "neutral", "happiness"]


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
