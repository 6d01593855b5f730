"""Finds SAMM's clips and coding sheet as they were unpacked, and puts them together; decodes nothing.

    SAMM/006/006_1_2/006_05562.jpg              whole frames, grey; also SAMM_CROP with crops
    SAMM_Micro_FACS_Codes_v2.xlsx

From memory of public readers, not from the set itself: the sheet's columns (Subject, Filename, Inducement
Code, Onset Frame, Apex Frame, Offset Frame, Duration, Micro, Action Units, Estimated Emotion, Objective
Classes, Notes), its header in row 14, SAMM_CROP, the counts of emotions, and that a few rows have an apex
outside onset and offset (028_4_1, 032_3_1) or a mistyped offset; `rules.settle` has rules for these.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from data_pipelines import BadInput, coding, disk, labels, recordings, rules
from data_pipelines.recordings import DEPTH, PICTURES, Found
from data_pipelines.rules import Scan

COLUMNS = {
    "subject": (0, "subject"),
    "clip": (1, "filename"),
    "onset": (3, "onset"),
    "apex": (4, "apex"),
    "offset": (5, "offset"),
    "units": (8, "action"),
    "emotion": (9, "estimatedemotion"),
}
"""Place in the sheet, from 0, and how the header names it."""

CLASSES = ("anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise", "others")
WANTED = "006/006_1_2/006_05562.jpg and SAMM_Micro_FACS_Codes_v2.xlsx"
USUAL = r"\d{3}_\d+_\d+"
FPS = 200.0

# Davison et al. 2018 for the clips; the emotions as public readers of the sheet count them (from memory).
PUBLISHED = {
    "clips": 159,
    "anger": 57,
    "contempt": 12,
    "disgust": 9,
    "fear": 8,
    "happiness": 26,
    "sadness": 6,
    "surprise": 15,
    "others": 26,
}

_FRAME = re.compile(rf"(?i)(?:\d+_)?0*(\d+){PICTURES}")
_SUBJECT = re.compile(r"\d{3}")


def scan(options: Mapping) -> Scan:
    """What is on disk, after the rules of `rules.RULES`.

    Args:
      options: of `samm.OPTIONS`: dir, tree, sheet.
    Raises:
      BadInput: no such folder, tree or sheet, or a sheet that cannot be read.
    """
    top, trees, sheets = recordings.trees(options["dir"], WANTED, _holds)
    if not trees:
        raise BadInput(f"{top}: no SAMM here or up to {DEPTH} folders below; expected {WANTED}")
    tree, cropped = recordings.one_tree(trees, top, options["tree"])
    path = recordings.one_sheet(
        top, sheets, r"samm.*micro.*codes", "SAMM_Micro_FACS_Codes_v2.xlsx", options["sheet"]
    )
    return rules.assemble(
        path,
        coding.read(path, COLUMNS, subject, emotion),
        _found(tree),
        tree=tree,
        prefix="samm-",
        fps=FPS,
        cropped=cropped,
        usual=USUAL,
    )


def subject(said: str) -> str:
    """6 and "006" are "006"; other words are themselves."""
    return f"{int(said):03d}" if said.isascii() and said.isdecimal() else said


def emotion(said: str) -> str:
    """One of CLASSES; the sheet's "Other" is "others".

    Raises:
      BadInput: another word.
    """
    try:
        name = labels.class_name("others" if said.lower() == "other" else said)
    except BadInput:
        name = ""
    if name not in CLASSES:
        raise BadInput(f"{said!r} is no emotion of SAMM; it has {', '.join(CLASSES)}")
    return name


def _holds(folder: Path) -> bool:
    """Whether subjects' folders with clips are in it."""
    subjects = (path for path in disk.folders(folder) if _SUBJECT.fullmatch(path.name))
    return any(clip.name.startswith(f"{path.name}_") for path in subjects for clip in disk.folders(path))


def _found(tree: Path) -> Found:
    """The clips of a tree."""
    subjects = {place.name: place for place in disk.folders(tree) if _SUBJECT.fullmatch(place.name)}
    return recordings.clips_of(tree, subjects, _FRAME)
