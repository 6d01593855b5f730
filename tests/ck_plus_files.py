"""CK+ as tiny trees of files, whose frames have dots for eyes, and what is read from them."""

from pathlib import Path

import numpy as np
from PIL import Image

from data_pipelines import ck_plus
from data_pipelines.split import Split

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
    """Two dots, in each person of another brightness: no crop is another person's, pixel for pixel."""
    y, x = np.mgrid[:H, :W]
    light = sum(
        np.exp(-((x - a) ** 2 + (y - b) ** 2) / (2 * 1.5**2)) for a, b in eyes(subject, sequence, frame)
    )
    return np.rint((255 - 6 * (int(subject[1:]) % 11)) * np.minimum(light, 1)).astype(np.uint8)


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
