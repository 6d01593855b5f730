"""Predictions as the columns of py-feat, OpenFace and LibreFace (docs/predict.md). No JAX, no model."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from data_pipelines import BadInput, labels

FORMATS = ("py-feat", "openface", "libreface")
PRESENT = 0.5  # least probability of an action unit that is called present


class Face(NamedTuple):
    """Where a picture's face is.

    Attributes:
      input: the picture's name.
      frame: its number, from 0.
      box: x, y, width, height in pixels of the picture; None without a face.
      how: what found it; "" without a face.
    """

    input: str
    frame: int
    box: tuple[int, int, int, int] | None
    how: str


def check(format: str, task: str, workdir) -> None:
    """Raises BadInput for an unknown format, or one that cannot hold the network's outputs."""
    if format not in FORMATS:
        raise BadInput(f"--format {format} is not known; write {', '.join(FORMATS)}")
    if format == "openface" and task != "aus":
        raise BadInput(
            f"--format openface: OpenFace's columns are action units, and the network in {workdir} was "
            "trained on emotions; write --format py-feat or libreface, or give a training on action units"
        )


def rows(
    format: str, faces: Sequence[Face], task: str, names: Sequence[str], probability: np.ndarray
) -> list:
    """The table, header first.

    Args:
      format: one of FORMATS.
      faces: [n].
      task: "emotion", names are classes; "aus", names are action units.
      names: k.
      probability: [n, k]; rows without a face are not looked at.
    Returns:
      n + 1 rows of fields; what is not known is "".
    """
    emotions, units = ((), tuple(names)) if task == "aus" else (tuple(names), ())
    numbers = [labels.au_number(name) for name in units]
    header = {
        "py-feat": [
            *("input", "frame", "FaceRectX", "FaceRectY", "FaceRectWidth", "FaceRectHeight", "FaceScore"),
            *map(labels.au_name, numbers),
            *emotions,
        ],
        "openface": [
            *("frame", "face_id", "timestamp", "confidence", "success"),
            *(f"{labels.au_name(n)}_r" for n in numbers),
            *(f"{labels.au_name(n)}_c" for n in numbers),
            "input",
        ],
        "libreface": [
            *("frame_idx", "frame_time_in_ms"),
            *(f"au_{n}" for n in numbers),
            *(f"au_{n}_intensity" for n in numbers),
            *(["facial_expression"] if emotions else []),
            "input",
        ],
    }[format]
    out = [header]
    for face, p in zip(faces, np.asarray(probability, np.float64), strict=True):
        there = bool(face.how)
        values = [f"{v:.6f}" if there else "" for v in p]
        present = [int(v >= PRESENT) if there else "" for v in p] if units else []
        unknown = [""] * len(units)  # intensities: the network says how sure it is, not how strong they are
        if format == "py-feat":
            box = [*face.box, 1] if there else [""] * 5
            out.append([face.input, face.frame, *box, *values])
        elif format == "openface":
            sure = int(there)
            out.append([face.frame + 1, 0, "", sure, sure, *unknown, *present, face.input])
        else:
            expression = [emotions[int(p.argmax())] if there else ""] if emotions else []
            out.append([face.frame, "", *present, *unknown, *expression, face.input])
    return out
