"""SAMM (Davison et al. 2018): spontaneous micro-movements at 200 frames a second, with action units.

No TensorFlow here. The names below are what `data_pipelines.arrays` and `data_pipelines.clips` ask of a data
set's folder; docs/data.md describes them.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from data_pipelines import coding as coding_sheet
from data_pipelines import manifest, micro, recordings, rules
from data_pipelines.coding import Coding
from data_pipelines.manifest.table import Table
from data_pipelines.samm import layout
from data_pipelines.samm.layout import CLASSES, FPS
from data_pipelines.split import Split

__all__ = [
    "BUILT_ON", "CLASSES", "FPS", "OPTIONS", "arrays", "au_names", "check", "checked", "classes", "coding",
    "crop", "files", "findings", "gaps", "listing", "parts", "phases", "sequences",
]  # fmt: skip

BUILT_ON = (manifest, micro, recordings, rules, coding_sheet)
OPTIONS = {
    "dir": "",  # folder with 006/006_1_2/006_05562.jpg and the coding sheet, or up to three above them
    "tree": "auto",  # "cropped" or "raw"; auto is the first of these that is there
    "sheet": "",  # the coding sheet, where there are several
    "image_size": 48,  # pixels; faces are cut out at this size, grey
    "crop": "auto",  # none for SAMM_CROP, detect for others; or "none", "detect"
    "undetected": "leave_out",  # with detect, a clip without a face; or "fail"
}


def checked(options: Mapping) -> dict:
    """OPTIONS with the given ones filled in; BadInput where a value makes no sense."""
    return micro.checked(options, OPTIONS, {"tree": micro.TREES})


def _scan(options: Mapping) -> rules.Scan:
    return layout.scan(checked(options))


def classes(options: Mapping) -> tuple[str, ...]:
    """Those of CLASSES that occur."""
    return _scan(options).table.classes


def au_names(options: Mapping) -> tuple[str, ...]:
    """The action units that occur in the sheet, by number."""
    return _scan(options).table.au_names


def files(options: Mapping) -> list:
    """What is read: the sheet and the frames."""
    return micro.files(_scan(options))


def listing(options: Mapping) -> Table:
    """The set as a manifest's table, for `ferjax data manifest samm`."""
    return _scan(options).table


def crop(options: Mapping) -> str:
    """How frames are cut: `crop`, or what its auto comes to."""
    o = checked(options)
    return micro.cut(layout.scan(o), o)["crop"]


def coding(options: Mapping) -> tuple[Coding, ...]:
    """What is coded of each clip that is read: onset, apex and offset after the rules, units with sides."""
    return _scan(options).codings


def phases(options: Mapping) -> dict[str, tuple[int, int, int]]:
    """Clip -> frame numbers of its onset, apex (-1 unknown) and offset."""
    return _scan(options).table.phases


def arrays(options: Mapping) -> dict[str, dict]:
    """Reads the set; see `micro.arrays`.

    Returns:
      {"frames": image uint8 [n, size, size, 1], label int32 [n] (index into `classes(options)`; the clip's
      emotion), aus int8 [n, u] (-1 but at the apex), subject str [n] ("samm-006"), id str [n]
      ("006/006_1_2/005562")}.

    Raises:
      BadInput: an option that makes no sense, or files that cannot be read.
    """
    o = checked(options)
    return micro.arrays(layout.scan(o), o)


def sequences(ids: Sequence[str] | np.ndarray) -> np.ndarray:
    """The clip of each frame, str [n]."""
    return manifest.sequences(ids)


def parts(options: Mapping, splits: Mapping[str, Split]) -> tuple:
    """Single frames for `ferjax train`: onset, apex, offset, and neutral ends; see `micro.parts`."""
    return micro.parts("samm", _scan(options), splits)


def findings(options: Mapping, splits: Mapping[str, Split]) -> list[str]:
    """What a user should know about the copy read, a line each."""
    o = checked(options)
    return micro.findings("samm", layout.scan(o), splits, o, layout.PUBLISHED)


def check(folder: str) -> list[tuple[str, int, int | None]]:
    """Compares a user's copy with what was published: (what, found, published) rows."""
    o = checked({"dir": folder})
    return micro.counts(layout.scan(o), o, layout.PUBLISHED)


def gaps(folder: str) -> list[str]:
    """Every rule that applied to a user's copy, with the clips, a line each."""
    o = checked({"dir": folder})
    return micro.gaps("samm", layout.scan(o), o)
