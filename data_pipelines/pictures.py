"""Any picture on disk -> a network's input: which files are pictures, where the face is, the crop.

`manifest`, `nova_emotions` and `ferjax predict` read pictures through `look_at_all`, so that what a
network is shown later is cut as what it was trained on.
"""

import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_pipelines import BadInput, faces
from data_pipelines.disk import junk, progress

CROPS = ("detect", "none")
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".pgm", ".ppm", ".webp")


class Looked(NamedTuple):
    """What was found in a picture.

    Attributes:
      pixels: uint8 [size, size], grey; None where there is no face, or no readable picture.
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


def look(path: str | os.PathLike, crop: str, size: int) -> Looked:
    """Reads a picture and cuts its face out.

    Args:
      path: an image file.
      crop: "detect": the face, its eyes level (`faces.search`, `faces.align`); "none": the square in the
      middle. size: of the result, pixels.
    Returns:
      Looked; one with a `problem` where the picture cannot be read.
    Raises:
      BadInput: OpenCV is missing.
    """
    try:
        grey = faces.read_grey(path)
    except BadInput as error:
        return Looked(None, problem=str(error))
    if crop == "none":
        h, w = grey.shape
        side = min(h, w)
        box = ((w - side) // 2, (h - side) // 2, side, side)
        return Looked(faces.warp(grey, faces.centred(h, w, size), size), "whole", box)
    found = faces.search(grey)
    if found is None:
        return Looked(None)
    pixels = faces.align(grey, found.left_eye, found.right_eye, size)
    return Looked(pixels, found.by, found.box, further=found.further)


def look_at_all(paths: Sequence, crop: str, size: int, what: str, ahead: int = 256) -> Iterator[Looked]:
    """`look` at every picture, in parallel threads, with a progress bar where it takes long.

    Args:
      paths: [n] image files.
      crop: as of `look`.
      size: as of `look`.
      what: the progress bar's words.
      ahead: so many pictures are held at once.
    Yields:
      n results, in the order of the paths.
    """

    def chunks():
        with ThreadPoolExecutor(min(8, (os.cpu_count() or 1) * 2)) as pool:
            for start in range(0, len(paths), ahead):
                yield from pool.map(lambda path: look(path, crop, size), paths[start : start + ahead])

    yield from progress(chunks(), what, len(paths))


def below(folder: str | os.PathLike) -> tuple[list[Path], list[Path]]:
    """All pictures in a folder and below it, and the other files that are not junk, each sorted.

    Numbers in names sort as numbers: img2 comes before img10.
    """
    found, other = [], []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not junk(name)]
        for name in names:
            if not junk(name):
                (found if name.lower().endswith(SUFFIXES) else other).append(Path(place, name))
    return sorted(found, key=natural), sorted(other, key=natural)


def natural(path: str | os.PathLike) -> tuple:
    """A key that sorts numbers in names as numbers."""
    text = Path(path).as_posix()
    pieces = re.split(r"(\d+)", text)
    return tuple((int(p), "") if i % 2 else (-1, p) for i, p in enumerate(pieces)), text
