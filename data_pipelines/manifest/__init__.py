"""Any set of pictures or clips, from a CSV: path, label, subject, split, and action units if there are any.

No TensorFlow here. The names below are what `data_pipelines.arrays` asks of every data set's folder;
docs/data.md describes them.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from data_pipelines import labels
from data_pipelines.manifest import source, table
from data_pipelines.split import Split

CLASSES = labels.CLASSES  # those that may occur; `classes` gives those that do
OPTIONS = {
    "dir": "",  # the CSV, or the folder that holds manifest.csv
    "crop": "detect",  # find, align and cut out the face; or "none": the square in the middle
    "image_size": 48,  # pixels; faces are cut out at this size
    "colour": False,  # grey, of colours their luma; True: red, green and blue
    "undetected": "leave_out",  # a picture without a face; or "fail"
    "prefix": "",  # before every subject's name, where two labs number their people alike
}


def checked(options: Mapping) -> dict:
    """OPTIONS with the given ones filled in; BadInput where a value makes no sense."""
    return source.checked(options, OPTIONS)


def _table(options: Mapping) -> table.Table:
    return table.read(table.locate(options["dir"]))


def classes(options: Mapping) -> tuple[str, ...]:
    """The emotions that occur in the CSV, in the order of labels.CLASSES."""
    return _table(options).classes


def au_names(options: Mapping) -> tuple[str, ...]:
    """The action units that have a column, "AU01" and so on, by number."""
    return _table(options).au_names


def files(options: Mapping) -> list[Path]:
    """What is read: the CSV and its pictures."""
    found = _table(options)
    return [found.source, *(Path(row.path) for row in found.rows)]


def arrays(options: Mapping) -> dict[str, dict]:
    """Reads the CSV and its pictures; see `source.read`.

    Returns:
      "train", "validation", "test" (those with rows) -> image uint8 [n, size, size, c] (c = 1, in colour 3),
      label int32 [n] (in `classes(options)`; -1 unknown), aus int8 [n, u], subject str [n], id str [n]
      ("a/b.jpg" below the CSV's folder, or "clip/000012").

    Raises:
      BadInput: an option that makes no sense, or files that cannot be read.
    """
    o = checked(options)
    return source.read(_table(o), o)


def sequences(ids: Sequence[str] | np.ndarray) -> np.ndarray:
    """The clip of each frame; of a picture outside any clip, itself.

    Args:
      ids: [n], such as "smile1/000012".
    Returns:
      str [n], such as "smile1".
    """
    return np.array([re.sub(r"/\d{6,}$", "", str(name)) for name in ids], np.str_)


def phases(options: Mapping) -> dict[str, tuple[int, int, int]]:
    """Clip -> frame numbers of its onset, apex and offset, -1 where the CSV does not say."""
    return _table(options).phases


def fps(options: Mapping) -> float:
    """Frames a second of its clips; 200, as of CASME II, where the CSV does not say."""
    return _table(options).fps or 200.0


def parts(options: Mapping, splits: Mapping[str, Split]) -> tuple:
    """Which pictures train, select the epoch, and are reported; see `source.parts`."""
    return source.parts(_table(options), splits)


def findings(options: Mapping, splits: Mapping[str, Split]) -> list[str]:
    """What a user should know about the pictures read, a line each."""
    return source.findings(_table(options), splits, checked(options), "manifest")


def check(place: str) -> list[tuple[str, int, None]]:
    """What a manifest holds, (what, found, None) rows; looks for a face in every picture."""
    o = {**OPTIONS, "dir": place}
    return source.counts(_table(o), o)


def gaps(place: str) -> list[str]:
    """What is odd about a manifest, a line each, and every picture without a face."""
    o = {**OPTIONS, "dir": place}
    return source.gaps(_table(o), o, "manifest")
