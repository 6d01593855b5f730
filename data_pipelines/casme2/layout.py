"""Finds CASME II's trees and coding sheet as they were unpacked, and puts them together; decodes nothing.

    Cropped/sub01/EP02_01f/reg_img46.jpg                face crops; also Cropped/Cropped
    CASME2_RAW_selected/sub01/EP02_01f/img46.jpg        whole frames, from onset to offset
    CASME2-RAW/sub01/EP02_01f/img1.jpg                  the whole recording, from frame 1
    CASME2-coding-20140508.xlsx                         or .xls

All three number frames as the sheet does. Numbers are not padded.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from data_pipelines import BadInput, disk, recordings, rules
from data_pipelines.casme2 import sheet
from data_pipelines.recordings import DEPTH, PICTURES, Found
from data_pipelines.rules import Scan

TREES = ("cropped", "selected", "raw")
"""In the order in which `tree` = auto takes them."""

WANTED = "Cropped, CASME2_RAW_selected or CASME2-RAW, and CASME2-coding-*.xlsx"
FPS = 200.0

_FRAME = re.compile(rf"(?i)(?:reg_?)?img_?0*(\d+){PICTURES}")
_SUBJECT = re.compile(r"(?i)sub0*(\d+)")


def scan(options: Mapping) -> Scan:
    """What is on disk, after the rules of `rules.RULES`.

    Args:
      options: of `casme2.OPTIONS`: dir, tree, sheet.
    Raises:
      BadInput: no such folder, tree or sheet, or a sheet that cannot be read.
    """
    top, trees, sheets = recordings.trees(options["dir"], WANTED, _holds)
    if not trees:
        raise BadInput(
            f"{top}: no CASME II here or up to {DEPTH} folders below; expected {WANTED}, with folders sub01, "
            "sub02, ... of clips"
        )
    kind, tree = _choose(top, trees, options["tree"])
    path = recordings.one_sheet(top, sheets, r"casme.*coding", "CASME2-coding-*.xlsx", options["sheet"])
    return rules.assemble(
        path,
        sheet.read(path),
        _found(tree),
        tree=tree,
        prefix="casme2-",
        fps=FPS,
        cropped=kind == "cropped",
        usual=sheet.USUAL,
    )


def _holds(folder: Path) -> bool:
    """Whether subjects' folders are in it."""
    return any(_SUBJECT.fullmatch(path.name) for path in disk.folders(folder))


def _choose(top: Path, trees: list[Path], wanted: str) -> tuple[str, Path]:
    """The kind of the tree that is read, and its folder."""
    kinds = {kind: [tree for tree in trees if _kind(tree, top) == kind] for kind in TREES}
    there = [kind for kind in TREES if kinds[kind]]
    kind = there[0] if wanted == "auto" else wanted
    if not kinds[kind]:
        raise BadInput(f"data.options.tree: no tree {kind} in {top}; there is {', '.join(there)}")
    if len(kinds[kind]) > 1:
        first, second, *_ = kinds[kind]
        raise BadInput(f"{first} and {second}: two trees of one kind ({kind}); keep one of them")
    return kind, kinds[kind][0]


def _kind(tree: Path, top: Path) -> str:
    """By the names of its folders, the nearest that says it; else by its first frames."""
    for name in recordings.named(tree, top):
        for word, kind in (("crop", "cropped"), ("select", "selected"), ("raw", "raw")):
            if word in name:
                return kind
    numbers = []
    for place in disk.folders(tree):
        for clip in disk.folders(place):
            names = [path.name for path in clip.iterdir() if _FRAME.fullmatch(path.name)]
            if any(name.lower().startswith("reg") for name in names):
                return "cropped"
            numbers += [int(_FRAME.fullmatch(name)[1]) == 1 for name in names]
            if names:
                return "raw" if any(numbers) else "selected"
    return "selected"


def _found(tree: Path) -> Found:
    """The clips of a tree; a folder sub1 is the sheet's sub01."""
    subjects = {}
    for place in disk.folders(tree):
        name = sheet.subject(place.name)
        if name in subjects:
            raise BadInput(f"{subjects[name]} and {place}: two folders of one subject; keep one of them")
        subjects[name] = place
    return recordings.clips_of(tree, subjects, _FRAME)
