"""Finds SMIC's clips as they were unpacked; decodes nothing.

    SMIC_all_cropped/HS/s1/micro/negative/s1_ne_01/reg_image000123.bmp      face crops
    SMIC_all_raw/HS/s1/micro/negative/s1_ne_01/image000123.bmp              whole frames

From memory of public readers, not from the set itself: the names of the two trees and of the frames' files,
non_micro beside micro, and that a clip's folder holds it from onset to offset.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from data_pipelines import BadInput, disk, labels, recordings, rules
from data_pipelines.coding import Coding
from data_pipelines.recordings import DEPTH, PICTURES
from data_pipelines.rules import Scan, Told

CAMERAS = {"HS": 100.0, "VIS": 25.0, "NIR": 25.0}
"""Folder of a camera -> frames a second."""

CLASSES = ("surprise", "negative", "positive")
WANTED = "HS/s1/micro/negative/s1_ne_01/*.bmp"
USUAL = r"s\d+_[a-z]+_\d+"

# Li et al. 2013; the clips of each class of HS as public readers count them (from memory).
PUBLISHED = {
    "HS": {"clips": 164, "subjects": 16, "surprise": 43, "negative": 70, "positive": 51},
    "VIS": {"clips": 71, "subjects": 8},
    "NIR": {"clips": 71, "subjects": 8},
}

_FRAME = re.compile(rf"(?i).*?0*(\d+){PICTURES}")
_SUBJECT = re.compile(r"(?i)s0*(\d+)")


def scan(options: Mapping) -> Scan:
    """What is on disk, after the rules of `rules.RULES`; the apex is the frame in the middle.

    Args:
      options: of `smic.OPTIONS`: dir, camera, tree.
    Raises:
      BadInput: no such folder or tree, or a folder named by no class.
    """
    camera = options["camera"]
    top, trees, _ = recordings.trees(options["dir"], WANTED, _holds)
    mine = [tree for tree in trees if _camera(tree, top) in (camera, "")]
    if not mine:
        there = sorted({_camera(tree, top) for tree in trees})
        has = f"; there is {', '.join(there)}: set data.options.camera" if there else ""
        raise BadInput(
            f"{top}: no SMIC of camera {camera} here or up to {DEPTH} folders "
            f"below{has or f'; expected {WANTED}'}"
        )
    tree, cropped = recordings.one_tree(mine, top, options["tree"])
    clips, emotions, passed = {}, {}, recordings.Found({})
    for place in disk.folders(tree):
        match = _SUBJECT.fullmatch(place.name)
        if not match:
            passed = passed._replace(strange=(*passed.strange, place.name))
            continue
        for emotion, folder in _classes(place):
            found = recordings.clips_of(tree, {f"s{int(match[1])}": folder}, _FRAME)
            twice = next((name for name in found.clips if name in clips), None)
            if twice:
                raise BadInput(f"{tree}: clip {twice} is in two folders; keep one of them")
            clips |= found.clips
            emotions |= dict.fromkeys(found.clips, emotion)
            passed = passed._replace(junk=passed.junk + found.junk, strange=(*passed.strange, *found.strange))
    rows, told = [], []
    for number, (name, clip) in enumerate(sorted(clips.items()), 1):
        frames = [n for n, _ in clip.frames] or [0]
        middle = frames[(len(frames) - 1) // 2]
        rows.append(
            Coding(number, name, name.partition("/")[0], frames[0], middle, frames[-1], None, emotions[name])
        )
        if len(clip.frames) > 1:
            told.append(Told("apex_in_middle", name, f"{middle}"))
    return rules.assemble(
        tree,
        rows,
        passed._replace(clips=clips),
        tree=tree,
        prefix="smic-",
        fps=CAMERAS[camera],
        cropped=cropped,
        usual=USUAL,
        told=told,
    )


def _holds(folder: Path) -> bool:
    """Whether subjects' folders with micro-expressions are in it."""
    subjects = [path for path in disk.folders(folder) if _SUBJECT.fullmatch(path.name)]
    return any(_classes(path) for path in subjects)


def _camera(tree: Path, top: Path) -> str:
    """By the names of its folders, the nearest that says it; "" where none does."""
    for name in recordings.named(tree, top):
        words = re.split(r"[\W_]+", name.upper())
        for camera in CAMERAS:
            if camera in words:
                return camera
    return ""


def _classes(subject: Path) -> list[tuple[str, Path]]:
    """(class, folder) of a subject: of its folder micro, or where there is none its own.

    Raises:
      BadInput: a folder of micro that is named by no class.
    """
    micro = next((path for path in disk.folders(subject) if path.name.lower() == "micro"), None)
    found = []
    for path in disk.folders(micro or subject):
        try:
            name = labels.class_name(path.name)
        except BadInput:
            name = ""
        if name in CLASSES:
            found.append((name, path))
        elif micro:
            raise BadInput(f"{path}: {path.name!r} is no class of SMIC; it has {', '.join(CLASSES)}")
    return found
