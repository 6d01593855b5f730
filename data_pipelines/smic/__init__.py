"""SMIC (Li et al. 2013): spontaneous micro-expressions in three classes, by three cameras.

No TensorFlow here. The names below are what `data_pipelines.arrays` and `data_pipelines.clips` ask of a data
set's folder; docs/data.md describes them.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from data_pipelines import coding, manifest, micro, recordings, rules
from data_pipelines.manifest.table import Table
from data_pipelines.smic import layout
from data_pipelines.smic.layout import CLASSES
from data_pipelines.split import Split

__all__ = [
    "AU_NAMES", "BUILT_ON", "CLASSES", "OPTIONS", "arrays", "check", "checked", "classes", "crop", "files",
    "findings", "fps", "gaps", "listing", "parts", "phases", "sequences",
]  # fmt: skip

BUILT_ON = (manifest, micro, recordings, rules, coding)
AU_NAMES = ()  # none are coded
OPTIONS = {
    "dir": "",  # folder with HS/s1/micro/negative/s1_ne_01/*.bmp, or up to three above HS
    "camera": "HS",  # 100 frames a second; or "VIS", "NIR", 25
    "tree": "auto",  # "cropped" or "raw"; auto is the first of these that is there
    "image_size": 48,  # pixels; faces are cut out at this size, grey
    "crop": "auto",  # none for SMIC_all_cropped, detect for others; or "none", "detect"
    "undetected": "leave_out",  # with detect, a clip without a face; or "fail"
}


def checked(options: Mapping) -> dict:
    """OPTIONS with the given ones filled in; BadInput where a value makes no sense."""
    return micro.checked(options, OPTIONS, {"camera": tuple(layout.CAMERAS), "tree": micro.TREES})


def _scan(options: Mapping) -> rules.Scan:
    return layout.scan(checked(options))


def classes(options: Mapping) -> tuple[str, ...]:
    """Those of CLASSES that occur."""
    return _scan(options).table.classes


def files(options: Mapping) -> list:
    """What is read: the frames."""
    return micro.files(_scan(options))


def listing(options: Mapping) -> Table:
    """The set as a manifest's table, for `ferjax data manifest smic`."""
    return _scan(options).table


def crop(options: Mapping) -> str:
    """How frames are cut: `crop`, or what its auto comes to."""
    o = checked(options)
    return micro.cut(layout.scan(o), o)["crop"]


def fps(options: Mapping) -> float:
    """Frames a second of the camera."""
    return layout.CAMERAS[checked(options)["camera"]]


def phases(options: Mapping) -> dict[str, tuple[int, int, int]]:
    """Clip -> numbers of its first frame, the one in the middle, and the last."""
    return _scan(options).table.phases


def arrays(options: Mapping) -> dict[str, dict]:
    """Reads the set; see `micro.arrays`.

    Returns:
      {"frames": image uint8 [n, size, size, 1], label int32 [n] (index into `classes(options)`), aus int8
      [n, 0], subject str [n] ("smic-s1"), id str [n] ("s1/s1_ne_01/000123")}.

    Raises:
      BadInput: an option that makes no sense, or files that cannot be read.
    """
    o = checked(options)
    return micro.arrays(layout.scan(o), o)


def sequences(ids: Sequence[str] | np.ndarray) -> np.ndarray:
    """The clip of each frame, str [n]."""
    return manifest.sequences(ids)


def parts(options: Mapping, splits: Mapping[str, Split]) -> tuple:
    """Single frames for `ferjax train`; see `micro.parts`."""
    return micro.parts("smic", _scan(options), splits)


def findings(options: Mapping, splits: Mapping[str, Split]) -> list[str]:
    """What a user should know about the copy read, a line each."""
    o = checked(options)
    return micro.findings("smic", layout.scan(o), splits, o, layout.PUBLISHED[o["camera"]])


def check(folder: str) -> list[tuple[str, int, int | None]]:
    """Compares a user's copy of HS with what was published: (what, found, published) rows."""
    o = checked({"dir": folder})
    return micro.counts(layout.scan(o), o, layout.PUBLISHED[o["camera"]])


def gaps(folder: str) -> list[str]:
    """Every rule that applied to a user's copy, with the clips, a line each."""
    o = checked({"dir": folder})
    return micro.gaps("smic", layout.scan(o), o)
