"""What CASME II's coding sheet says, and what was published about the set."""

import re
from pathlib import Path

from data_pipelines import BadInput, coding, labels

COLUMNS = {
    "subject": (0, "subject"),
    "clip": (1, "filename"),
    "onset": (3, "onset"),
    "apex": (4, "apex"),
    "offset": (5, "offset"),
    "units": (7, "action"),
    "emotion": (8, "estimatedemotion"),
}
"""Place in the sheet, from 0, and how the header names it; columns 2 and 6 are blank in most copies."""

CLASSES = tuple(
    name
    for name in labels.CLASSES
    if name in ("disgust", "fear", "happiness", "sadness", "surprise", "others", "repression")
)

USUAL = r"EP\d\d_\d\d+f?"  # names of clips; `EP01_2`, `EP09f` and `EP06_02_01` occur too

# Yan et al. 2014 and the sheet of 2014-05-08, as public readers of it count them.
PUBLISHED = {
    "clips": 255,
    "subjects": 26,
    "disgust": 63,
    "fear": 2,
    "happiness": 32,
    "sadness": 7,
    "surprise": 25,
    "others": 99,
    "repression": 27,
}


def read(path: Path) -> list[coding.Coding]:
    """The rows of the sheet.

    Raises:
      BadInput: see `coding.read`.
    """
    return coding.read(path, COLUMNS, subject, emotion)


def subject(said: str) -> str:
    """1, "01" and "sub1" are "sub01"; other words are themselves."""
    match = re.fullmatch(r"(?i)(?:sub)?0*(\d+)", said)
    return f"sub{int(match[1]):02d}" if match else said


def emotion(said: str) -> str:
    """One of CLASSES.

    Raises:
      BadInput: another word.
    """
    try:
        name = labels.class_name(said)
    except BadInput:
        name = ""
    if name not in CLASSES:
        raise BadInput(f"{said!r} is no emotion of CASME II; it has {', '.join(CLASSES)}")
    return name
