"""Folders of numbered frames as sets of clips were unpacked: trees, sheets beside them, clips."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from data_pipelines import BadInput, disk, no_folder

DEPTH = 3  # folders below the given one in which a set's tree and sheet are looked for
PICTURES = r"\.(?:jpe?g|png|bmp|tiff?)"


class Folder(NamedTuple):
    """A clip on disk.

    Attributes:
      name: "sub01/EP02_01f".
      frames: (number, file), by number.
    """

    name: str
    frames: tuple[tuple[int, str], ...]


class Found(NamedTuple):
    """The clips in a tree.

    Attributes:
      clips: name -> Folder.
      junk: number of junk files passed over.
      strange: other files that are no frames, as paths below the tree.
    """

    clips: dict[str, Folder]
    junk: int = 0
    strange: tuple[str, ...] = ()


def trees(place: str, wanted: str, holds: Callable[[Path], bool]) -> tuple[Path, list[Path], list[Path]]:
    """Looks for a set's trees and sheets in a folder and up to DEPTH folders below it.

    Args:
      place: the folder, as the user wrote it.
      wanted: what it should hold, in words.
      holds: whether a folder is a tree; nothing is looked for below one.
    Returns:
      (the folder, trees, workbooks beside or above them), each in the order in which they are met.
    Raises:
      BadInput: no such folder.
    """
    top = Path(place).expanduser()
    if not place or not top.is_dir():
        raise no_folder(place, wanted)
    found, sheets, level = [], [], [top]
    for _ in range(DEPTH + 1):
        below = []
        for folder in level:
            sheets += workbooks(folder)
            if holds(folder):
                found.append(folder)
            else:
                below += disk.folders(folder)
        level = below
    return top, found, sheets


def workbooks(folder: Path) -> list[Path]:
    """The .xlsx and .xls files of a folder, without those that a spreadsheet keeps while one is open."""
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".xlsx", ".xls"))
    except PermissionError:
        return []
    return [path for path in files if not disk.junk(path.name) and not path.name.startswith("~$")]


def named(tree: Path, top: Path) -> list[str]:
    """Names, in lower case, of a tree and the folders above it up to `top`, nearest first."""
    above = [tree, *tree.parents]
    return [path.name.lower() for path in above[: len(tree.parts) - len(top.parts) + 1]]


def one_tree(trees: Sequence[Path], top: Path, wanted: str) -> tuple[Path, bool]:
    """Of the trees of a set that has crops and raw frames the one that is read.

    Args:
      trees: at least one.
      top: the set's folder.
      wanted: the option `tree`: "cropped", "raw", or "auto" for the first of these that is there.
    Returns:
      (the tree, whether it is one of crops: where a folder's name from `top` down says so).
    Raises:
      BadInput: none of that kind, or several.
    """
    kinds = {"cropped": [], "raw": []}
    for tree in trees:
        kinds["cropped" if any("crop" in name for name in named(tree, top)) else "raw"].append(tree)
    kind = wanted if wanted != "auto" else "cropped" if kinds["cropped"] else "raw"
    if not kinds[kind]:
        raise BadInput(f"data.options.tree: no tree {kind} in {top}, only {trees[0]}")
    if len(kinds[kind]) > 1:
        raise BadInput(
            f"{kinds[kind][0]} and {kinds[kind][1]}: two trees of one kind ({kind}); keep one of them"
        )
    return kinds[kind][0], kind == "cropped"


def one_sheet(top: Path, sheets: Sequence[Path], like: str, wanted: str, given: str = "") -> Path:
    """The coding sheet among the workbooks found.

    Args:
      top: the set's folder.
      sheets: workbooks in it.
      like: what its name looks like, a regular expression; case does not count.
      wanted: its usual name.
      given: the option `sheet`: a path, also one below `top`; "" looks for it.
    Raises:
      BadInput: none, or several that differ.
    """
    if given:
        path = top / Path(given).expanduser()
        if not path.is_file():
            raise BadInput(f"data.options.sheet: no file {path}; name the coding sheet ({wanted})")
        return path
    fits = [path for path in sheets if re.search(like, path.name, re.IGNORECASE)] or list(sheets)
    if not fits:
        raise BadInput(
            f"{top}: no coding sheet here or up to {DEPTH} folders below; put {wanted} there, or name it by "
            "data.options.sheet"
        )
    if len({path.read_bytes() for path in fits}) > 1:
        first, second, *_ = fits
        raise BadInput(f"{first} and {second}: two coding sheets; name one of them by data.options.sheet")
    return fits[0]


def folder(path: Path, name: str, pattern: re.Pattern) -> tuple[Folder, int, list[str]]:
    """The frames of one clip.

    Args:
      path: its folder.
      name: the clip's.
      pattern: a frame's file, with its number as group 1.
    Returns:
      (Folder, number of junk files, paths of other files).
    Raises:
      BadInput: two files of one frame.
    """
    frames, junk, strange = {}, 0, []
    with os.scandir(path) as entries:
        for entry in sorted(entries, key=lambda e: e.name):
            match = pattern.fullmatch(entry.name)
            if disk.junk(entry.name):
                junk += 1
            elif not match or not entry.is_file():
                strange.append(entry.path)
            elif int(match[1]) in frames:
                raise BadInput(
                    f"{frames[int(match[1])]} and {entry.path}: one frame's twice; keep one of them"
                )
            else:
                frames[int(match[1])] = entry.path
    return Folder(name, tuple(sorted(frames.items()))), junk, strange


def clips_of(tree: Path, subjects: Mapping[str, Path], pattern: re.Pattern, clips=disk.folders) -> Found:
    """All clips of a tree.

    Args:
      tree: of which names of strange files are relative to.
      subjects: name -> folder.
      pattern: as of `folder`.
      clips: the clips' folders, in a subject's.
    """
    found, junk, strange = {}, sum(map(disk.junk, os.listdir(tree))), []
    for subject, place in subjects.items():
        junk += sum(map(disk.junk, os.listdir(place)))
        for path in clips(place):
            clip, passed, odd = folder(path, f"{subject}/{path.name}", pattern)
            found[clip.name] = clip
            junk += passed
            strange += [Path(name).relative_to(tree).as_posix() for name in odd]
    return Found(found, junk, tuple(strange))
