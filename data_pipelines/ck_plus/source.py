"""Reads CK+ as it lies on a user's disk: which frames are taken, their labels and codes, their crops.

Of a sequence with an emotion: the last frames, which show it, and perhaps the first, as neutral. Of one
without: the last frame, whose action units are known all the same. Nothing else is decoded.

The eyes are placed frame by frame, by the landmarks: the head's movement is gone, and what differs between
frames is expression. The eyes' centres themselves move little with it: on rendered sequences the bridge of
the nose goes astray by 0.3 pixels of 48 from neutral to apex, and by 0.4 with one transform for the sequence.
Where a sequence has no landmarks the detector looks at one frame, and its transform serves all: its error,
some hundredths of the eyes' distance, differs from frame to frame and would look like movement.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_pipelines import BadInput, faces, labels
from data_pipelines.ck_plus import layout, tables
from data_pipelines.disk import progress, readers

CLASSES = labels.EMOTIONS
PREFIX = "ckplus-"  # of a subject's name, so that it is no other set's


class Row(NamedTuple):
    """A frame that is taken.

    Attributes:
      sequence: its sequence.
      frame: its number.
      path: its file.
      label: index into CLASSES; -1 unknown.
      aus: int8 [u].
    """

    sequence: layout.Sequence
    frame: int
    path: Path
    label: int
    aus: np.ndarray

    @property
    def id(self) -> str:
        """Such as "S005/001/S005_001_00000011"."""
        return f"{self.sequence.name}/{self.path.stem}"


def read(options: Mapping) -> dict[str, np.ndarray]:
    """Reads the set.

    Args:
      options: all of `ck_plus.OPTIONS`.
    Returns:
      image uint8 [n, size, size, 1], label int32 [n], aus int8 [n, u], subject str [n], id str [n].
    Raises:
      BadInput: names the file, and the row, and says what to do.
    """
    size = options["image_size"]
    rows = choose(layout.scan(options["dir"]), options)
    image = np.empty((len(rows), size, size, 1), np.uint8)
    with readers() as pool:
        missing = {row.sequence.name: row.sequence for row in rows if not row.sequence.landmarks}
        found = pool.map(lambda sequence: guess(sequence, size), missing.values())
        guessed = dict(zip(missing, progress(found, "ck_plus's faces", len(missing)), strict=True))

        def crop(row: Row) -> np.ndarray:
            picture = faces.read_grey(row.path)
            matrix = guessed.get(row.sequence.name)
            if matrix is None:
                matrix = by_landmarks(row, picture.shape, size)
            return faces.warp(picture, matrix, size)

        for place, pixels in enumerate(progress(pool.map(crop, rows), "ck_plus", len(rows))):
            image[place, :, :, 0] = pixels
    return {
        "image": image,
        "label": np.array([row.label for row in rows], np.int32),
        "aus": np.array([row.aus for row in rows], np.int8).reshape(len(rows), len(tables.AU_NAMES)),
        "subject": np.array([PREFIX + row.sequence.subject for row in rows], np.str_),
        "id": np.array([row.id for row in rows], np.str_),
    }


def choose(tree: layout.Tree, options: Mapping) -> list[Row]:
    """The frames that are taken, with their labels and codes, in the order of sequences and frames.

    Args:
      tree: as `layout.scan` gives it.
      options: of `ck_plus.OPTIONS`: last_frames, first_neutral, aus.
    """
    rows = []
    unknown = tables.au_codes(None)
    for sequence in tree.sequences:
        emotion = tables.read_emotion(sequence.emotion[1]) if sequence.emotion else None
        listed = tables.read_facs(sequence.facs[1]) if sequence.facs else None
        codes = tables.au_codes(listed)
        carried = options["aus"] == "carried"
        if emotion is None:
            rows.append(Row(sequence, *sequence.frames[-1], -1, codes))
            continue
        frames = sequence.frames
        if options["first_neutral"] and len(frames) > 1:
            first, *frames = frames
            absent = tables.au_codes({}) if carried and listed is not None else unknown
            rows.append(Row(sequence, *first, CLASSES.index("neutral"), absent))
        late = frames[-options["last_frames"] :]
        for frame, path in late:
            known = carried or frame == late[-1][0]
            rows.append(Row(sequence, frame, path, CLASSES.index(emotion), codes if known else unknown))
    return rows


# Where the face is.


def by_landmarks(row: Row, shape: tuple[int, int], size: int) -> np.ndarray:
    """The transform by a frame's landmarks; by those of the nearest frame where it has none."""
    path = row.sequence.landmarks[min(row.sequence.landmarks, key=lambda n: (abs(n - row.frame), n))]
    eyes = faces.eye_centres(tables.read_landmarks(path))
    low, high = np.min(eyes, 0), np.max(eyes, 0)
    if low.min() < 0 or high[0] > shape[1] - 1 or high[1] > shape[0] - 1:
        raise BadInput(
            f"{path}: the eyes lie outside the frame of {shape[1]}x{shape[0]} pixels; landmarks and "
            "frames must be of one copy"
        )
    if eyes[0][0] >= eyes[1][0]:
        raise BadInput(
            f"{path}: points 37-48 are not the eyes from left to right; CK+'s 68 points come in "
            "Multi-PIE order"
        )
    return faces.similarity(*eyes, size)


def guess(sequence: layout.Sequence, size: int) -> np.ndarray:
    """The transform of a sequence without landmarks: by the detector, in its first frame, else in its last.

    Where no face is found it is that of a square in the middle.
    """
    for _, path in (sequence.frames[0], sequence.frames[-1]):
        picture = faces.read_grey(path)
        found = faces.detect(picture)
        if found is not None:
            return faces.similarity(found.left_eye, found.right_eye, size)
    return faces.centred(*picture.shape, size)
