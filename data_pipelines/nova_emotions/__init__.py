"""NovaEmotions (Mourao & Magalhaes 2013): about 42,000 face crops of 40 people who played a game.

No TensorFlow here. The names below are what `data_pipelines.arrays` asks of every data set's folder;
docs/data.md describes them. The pictures are read as those of a manifest are.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from data_pipelines import labels, manifest
from data_pipelines.manifest import source
from data_pipelines.manifest.table import NAME, Table
from data_pipelines.nova_emotions import layout
from data_pipelines.split import Split

BUILT_ON = (manifest,)
CLASSES = labels.EMOTIONS  # those that may occur; `classes` gives those that do
OPTIONS = {
    "dir": "",  # folder with NovaEmotions/<emotion>/*.png, or up to three above; or with manifest.csv
    "crop": "none",  # the pictures are crops already; or "detect": find, align and cut out the face
    "image_size": 48,  # pixels, grey
    "undetected": "leave_out",  # with crop = detect, a picture without a face; or "fail"
}


def checked(options: Mapping) -> dict:
    """OPTIONS with the given ones filled in; BadInput where a value makes no sense."""
    return source.checked(options, OPTIONS)


def classes(options: Mapping) -> tuple[str, ...]:
    """The emotions that occur, in the order of labels.EMOTIONS."""
    return layout.scan(options["dir"]).classes


def au_names(options: Mapping) -> tuple[str, ...]:
    """The action units of a manifest; folders have none."""
    return layout.scan(options["dir"]).au_names


def files(options: Mapping) -> list[Path]:
    """What is read: the pictures, and a manifest."""
    found = layout.scan(options["dir"])
    listed = [found.source] if found.source.is_file() else []
    return [*listed, *(Path(row.path) for row in found.rows)]


def arrays(options: Mapping) -> dict[str, dict]:
    """Reads the set; see `manifest.source.read`.

    Returns:
      "train", "validation", "test" -> image uint8 [n, size, size, 1], label int32 [n] (index into
      `classes(options)`), aus int8 [n, u] (without a manifest u is 0), subject str [n] ("" there),
      id str [n], the path below `dir`.

    Raises:
      BadInput: an option that makes no sense, or files that cannot be read.
    """
    o = checked(options)
    return source.read(layout.scan(o["dir"]), o)


def sequences(ids: Sequence[str] | np.ndarray) -> np.ndarray:
    """The clip of each frame, str [n], where a manifest has clips; else each picture itself."""
    return manifest.sequences(ids)


def parts(options: Mapping, splits: Mapping[str, Split]) -> tuple:
    """Which pictures train, select the epoch, and are reported; see `manifest.source.parts`."""
    return source.parts(layout.scan(options["dir"]), splits)


def findings(options: Mapping, splits: Mapping[str, Split]) -> list[str]:
    """What a user should know about the pictures read, a line each."""
    found = layout.scan(options["dir"])
    return [*_people(found), *source.findings(found, splits, checked(options), "nova_emotions")]


def _people(found: Table) -> list[str]:
    if found.source.is_file():
        return []
    return [
        "nova_emotions: folders do not say who a picture is of: the 40 people are in train and in test "
        f"alike, and accuracies say nothing about new people; a {NAME} with subjects would divide them"
    ]


def check(place: str) -> list[tuple[str, int, None]]:
    """What is there, (what, found, None) rows; its authors' counts are not exact enough to compare with."""
    o = {**OPTIONS, "dir": place}
    return source.counts(layout.scan(place), o)


def gaps(place: str) -> list[str]:
    """What is odd about a copy, a line each."""
    o, found = {**OPTIONS, "dir": place}, layout.scan(place)
    return [*_people(found), *source.gaps(found, o, "nova_emotions")]
