"""Any picture on disk -> a network's input: which files are pictures, where the face is, the crop.

`manifest`, the sets built on it and `ferjax predict` read pictures through `look_at_all`, so that what a
network is shown later is cut as what it was trained on. All frames of a clip are cut alike, where
`look_at_clip` says: a detector's error differs from frame to frame and would look like movement.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_pipelines import BadInput, faces
from data_pipelines.disk import junk, progress, readers

CROPS = ("detect", "none")
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".pgm", ".ppm", ".webp")


class Looked(NamedTuple):
    """What was found in a picture.

    Attributes:
      pixels: uint8 [size, size] grey, or [size, size, 3] RGB; None where there is no face, or no readable
        picture.
      how: "frontal", "enlarged", "profile" or "mirrored profile", as `faces.search` found it; "whole"
        without a search; "" where there is no face.
      box: x, y, width, height of the face in the picture, pixels; of the middle square without a search.
      problem: why the picture cannot be read, else "".
      further: faces beside this one, see `faces.Found`.
    """

    pixels: np.ndarray | None
    how: str = ""
    box: tuple[int, int, int, int] | None = None
    problem: str = ""
    further: int = 0


class Placed(NamedTuple):
    """Where the face is in a clip, for all its frames.

    Attributes:
      shape: height and width that every frame must have, pixels.
      first: the file of the first frame, which has them.
      found: the face; None where there is none, or none was searched.
      problem: why one of the frames looked at cannot be read, else "".
      at: which of the clip's frames that is, or the one in which the face was found; from 0.
    """

    shape: tuple[int, int]
    first: str
    found: faces.Found | None = None
    problem: str = ""
    at: int = 0


def look(
    path: str | os.PathLike,
    crop: str,
    size: int,
    placed: Placed | None = None,
    colour: bool = False,
    facing: str = "",
) -> Looked:
    """Reads a picture and cuts its face out, which is looked for in its grey values.

    Args:
      path: an image file.
      crop: "detect": the face, its eyes level (`faces.search`, `faces.align`); "none": the square in the
        middle.
      size: of the result, pixels.
      placed: of a clip's frame, what `look_at_clip` found; there is no further search.
      colour: RGB; else grey, of colours their luma.
      facing: how the face is turned, where that is known: see `faces.search`.
    Returns:
      Looked; one with a `problem` where the picture cannot be read, or is of another size than its clip.
    Raises:
      BadInput: OpenCV is missing.
    """
    try:
        picture = faces.read_rgb(path) if colour else faces.read_grey(path)
    except BadInput as error:
        return Looked(None, problem=str(error))
    h, w = picture.shape[:2]
    if placed and (h, w) != placed.shape:
        height, width = placed.shape
        sizes = f"{w}x{h} pixels, and {placed.first}, the first of its clip, {width}x{height}"
        mend = "one cut serves a whole clip: give its frames one size, or make two clips of them"
        return Looked(None, problem=f"{path}: {sizes}; {mend}")
    if crop == "none":
        side = min(h, w)
        box = ((w - side) // 2, (h - side) // 2, side, side)
        return Looked(faces.warp(picture, faces.centred(h, w, size), size), "whole", box)
    found = placed.found if placed else faces.search(picture, facing)
    if found is None:
        return Looked(None)
    pixels = faces.align(picture, found.left_eye, found.right_eye, size)
    return Looked(pixels, found.by, found.box, further=found.further)


def look_at_clip(paths: Sequence, crop: str, apex: int = -1) -> Placed:
    """Finds the face of a clip: in its first frame, else in its apex, else in its last.

    Args:
      paths: [t] image files, in the frames' order.
      crop: "none" searches nothing, and only learns the frames' size.
      apex: place of the apex among them; -1 unknown, the frame in the middle is taken instead.
    Returns:
      Placed, to `look` at each frame with; of these frames at most three are decoded.
    Raises:
      BadInput: OpenCV is missing.
    """
    places = [0, apex if apex >= 0 else (len(paths) - 1) // 2, len(paths) - 1]
    placed = Placed((0, 0), str(paths[0]))
    for at in dict.fromkeys(places):
        try:
            grey = faces.read_grey(paths[at])
        except BadInput as error:
            return placed._replace(problem=str(error), at=at)
        if not at:
            placed = placed._replace(shape=grey.shape)
        if crop == "none" or grey.shape != placed.shape:  # `look` will name the one of another size
            break
        found = faces.search(grey)
        if found is not None:
            return placed._replace(found=found, at=at)
    return placed


def look_at_clips(clips: Sequence[tuple[Sequence, int]], crop: str, what: str) -> Iterator[Placed]:
    """`look_at_clip` at every (paths, apex), in parallel threads, with a progress bar; in their order."""
    with readers() as pool:
        yield from progress(
            pool.map(lambda clip: look_at_clip(clip[0], crop, clip[1]), clips), what, len(clips)
        )


def look_at_all(
    paths: Sequence,
    crop: str,
    size: int,
    what: str,
    ahead: int = 256,
    placed: Sequence[Placed | None] | None = None,
    colour: bool = False,
    facing: Sequence[str] | None = None,
) -> Iterator[Looked]:
    """`look` at every picture, in parallel threads, with a progress bar where it takes long.

    Args:
      paths: [n] image files.
      crop: as of `look`.
      size: as of `look`.
      what: the progress bar's words.
      ahead: so many pictures are held at once.
      placed: [n], of each frame of a clip what `look_at_clip` found; None where a picture is of no clip.
      colour: as of `look`.
      facing: [n], as of `look`.
    Yields:
      n results, in the order of the paths.
    """

    def chunks():
        known, turned = placed or [None] * len(paths), facing or [""] * len(paths)
        with readers() as pool:
            for start in range(0, len(paths), ahead):
                some = slice(start, start + ahead)
                yield from pool.map(
                    lambda p, q, f: look(p, crop, size, q, colour, f), paths[some], known[some], turned[some]
                )

    yield from progress(chunks(), what, len(paths))


def below(folder: str | os.PathLike, deep: int | None = None) -> tuple[list[Path], list[Path]]:
    """All pictures in a folder and below it, and the other files that are not junk, each sorted.

    Numbers in names sort as numbers: img2 comes before img10. With `deep`, no further than so many folders
    below it.
    """
    found, other = [], []
    top = len(Path(folder).parts)
    for place, folders, names in os.walk(folder):
        go_on = deep is None or len(Path(place).parts) - top < deep
        folders[:] = [name for name in folders if go_on and not junk(name)]
        for name in names:
            if not junk(name):
                (found if name.lower().endswith(SUFFIXES) else other).append(Path(place, name))
    return sorted(found, key=natural), sorted(other, key=natural)


def channels(options: Mapping) -> int:
    """Of the pictures of a set with these options: 3 in colour, 1 in grey, as sets without `colour` are."""
    return 3 if options.get("colour") else 1


def natural(path: str | os.PathLike) -> tuple:
    """A key that sorts numbers in names as numbers."""
    text = Path(path).as_posix()
    pieces = re.split(r"(\d+)", text)
    return tuple((int(p), "") if i % 2 else (-1, p) for i, p in enumerate(pieces)), text
