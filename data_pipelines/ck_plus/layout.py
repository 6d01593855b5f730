"""Finds the frames, labels, codes and landmarks of CK+ in a tree as it was unpacked; decodes nothing.

A file's name says which subject, sequence and frame it is of; folders between do not count, so that doubled
ones (Emotion_labels/Emotion, Landmarks/Landmarks) do no harm.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from data_pipelines import BadInput, disk, no_folder

ROLES = {
    "images": ("cohn-kanade-images", "extended-cohn-kanade-images"),
    "emotion": ("emotion", "emotion_labels"),
    "facs": ("facs", "facs_labels"),
    "landmarks": ("landmarks",),
}
"""What the folders are called, in lower case."""

_STEM = r"(?i)(S\d+)_(\d+)_(\d+)"
PATTERNS = {
    "images": re.compile(_STEM + r"\.(?:png|jpe?g|bmp|tiff?|pgm)"),
    "emotion": re.compile(_STEM + r"_emotion\.txt"),
    "facs": re.compile(_STEM + r"_facs\.txt"),
    "landmarks": re.compile(_STEM + r"_landmarks\.txt"),
}
DEPTH = 3  # folders below the given one in which the parts of the set are looked for


class Sequence(NamedTuple):
    """One sequence, from neutral to apex.

    Attributes:
      name: "S005/001".
      subject: "S005".
      frames: (number, file), by number.
      emotion: (frame number, file), or None.
      facs: (frame number, file), or None.
      landmarks: frame number -> file.
    """

    name: str
    subject: str
    frames: tuple[tuple[int, Path], ...]
    emotion: tuple[int, Path] | None
    facs: tuple[int, Path] | None
    landmarks: dict[int, Path]


class Tree(NamedTuple):
    """What lies on disk.

    Attributes:
      sequences: sorted by name.
      roles: the parts of the set that are there: of "images", "emotion", "facs", "landmarks".
      junk: number of junk files passed over.
      strange: other files that do not belong, as paths below the given folder.
      without_frames: names of sequences with labels, codes or landmarks and no frame.
    """

    sequences: tuple[Sequence, ...]
    roles: tuple[str, ...]
    junk: int
    strange: tuple[str, ...]
    without_frames: tuple[str, ...]


def scan(folder: str) -> Tree:
    """Lists the set.

    Args:
      folder: where it lies, or up to three folders above that.
    Returns:
      Tree.
    Raises:
      BadInput: no such folder, no frames in it, or a file that is there twice.
    """
    top = Path(folder).expanduser()
    if not folder or not top.is_dir():
        raise no_folder(folder, "cohn-kanade-images, Emotion, FACS and Landmarks")
    places = _places(top)
    if not places["images"]:
        if any(re.fullmatch(r"(?i)S\d+", path.name) for path in disk.folders(top)):
            raise BadInput(
                f"{top}: holds the subjects themselves; name the folder above it, in which "
                "cohn-kanade-images, Emotion and FACS lie side by side"
            )
        raise BadInput(
            f"{top}: no CK+ here or up to {DEPTH} folders below; expected a folder cohn-kanade-images and "
            "beside it Emotion, FACS and Landmarks"
        )
    files, junk, strange = {}, 0, []
    for role, folders in places.items():
        files[role], passed, odd = _files(role, folders)
        junk += passed
        strange += [path.relative_to(top).as_posix() for path in odd]
    if not files["images"]:
        raise BadInput(
            f"{places['images'][0]}: no frames in it; CK+'s are named like S005/001/S005_001_00000011.png"
        )
    found = []
    for key, frames in sorted(files["images"].items()):
        found.append(
            Sequence(
                name="/".join(key),
                subject=key[0],
                frames=tuple(sorted(frames.items())),
                emotion=_only("emotion", files, key),
                facs=_only("facs", files, key),
                landmarks=files["landmarks"].get(key, {}),
            )
        )
    lost = {key for role in files for key in files[role]} - set(files["images"])
    return Tree(
        tuple(found),
        tuple(role for role in ROLES if files[role]),
        junk,
        tuple(sorted(strange)),
        tuple(sorted("/".join(key) for key in lost)),
    )


def _places(top: Path) -> dict[str, list[Path]]:
    """Role -> the folders that play it, of the level on which the first is found."""
    places = {role: [] for role in ROLES}
    level = [top]
    for _ in range(DEPTH + 1):
        below, now = [], {role: [] for role in ROLES}
        for path in (path for place in level for path in disk.folders(place)):
            role = next((role for role, words in ROLES.items() if path.name.lower() in words), None)
            if role:
                now[role].append(path)
            elif not re.fullmatch(r"(?i)S\d+", path.name):
                below.append(path)
        places = {role: places[role] or now[role] for role in ROLES}
        level = below
    return places


def _walk(folder: Path) -> Iterator[tuple[Path, bool]]:
    """(file, is it junk) of a folder and all below it."""
    for place, folders, names in os.walk(folder):
        bad = [name for name in folders if disk.junk(name)]
        for name in bad:
            folders.remove(name)
            for inner, _, more in os.walk(Path(place, name)):
                yield from ((Path(inner, file), True) for file in more)
        for name in names:
            yield Path(place, name), disk.junk(name)


def _files(role: str, folders: list[Path]) -> tuple[dict, int, list[Path]]:
    """(subject, sequence) -> {frame: file}; the number of junk files; files of other names."""
    found, passed, strange = {}, 0, []
    for path, bad in (pair for folder in folders for pair in _walk(folder)):
        match = PATTERNS[role].fullmatch(path.name)
        if bad:
            passed += 1
        elif not match:
            strange.append(path)
        else:
            key = (match[1].upper(), match[2].zfill(3))
            frames = found.setdefault(key, {})
            other = frames.setdefault(int(match[3]), path)
            if other != path:
                first, second = sorted((str(other), str(path)))
                raise BadInput(f"{first} and {second}: one frame's twice; keep one of them")
    return found, passed, strange


def _only(role: str, files: dict, key: tuple[str, str]) -> tuple[int, Path] | None:
    """The one file of a sequence, with its frame number."""
    found = files[role].get(key, {})
    if len(found) > 1:
        first, second, *_ = (str(path) for _, path in sorted(found.items()))
        raise BadInput(f"{first} and {second}: a sequence has one such file; keep one of them")
    return next(iter(found.items()), None)
