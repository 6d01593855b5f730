"""RaFD, the Radboud Faces Database (Langner et al. 2010): posed expressions, five cameras, three gazes.

No TensorFlow here. The names below are what `data_pipelines.arrays` asks of every data set's folder;
docs/data.md describes them. The pictures are read as those of a manifest are.
"""

from collections.abc import Mapping

from data_pipelines import labels, manifest, photos
from data_pipelines.manifest.table import Row
from data_pipelines.rafd import layout, turned

__all__ = [
    "AU_NAMES", "BUILT_ON", "CLASSES", "OPTIONS", "arrays", "check", "checked", "classes", "files",
    "findings", "gaps", "parts", "sequences",
]  # fmt: skip

AU_NAMES = ()
BUILT_ON = (manifest, photos)
CLASSES = labels.EMOTIONS  # those that may occur; `classes` gives those that do
OPTIONS = {
    "dir": "",  # folder with Rafd090_01_Caucasian_female_angry_frontal.jpg and so on, or up to three above it
    "cameras": "090",  # of 000, 045, 090 (in front), 135, 180, comma between; or "all"
    "gazes": "all",  # or of frontal, left, right, comma between
    **photos.OPTIONS,
}


def _rule(options: Mapping) -> None:
    layout.chosen(options["cameras"], layout.CAMERAS, "cameras")
    layout.chosen(options["gazes"], layout.GAZES, "gazes")


def _camera(row: Row) -> str:
    return f"camera {layout.camera(row)}"


_set = photos.PhotoSet(
    "rafd",
    layout.scan,
    OPTIONS,
    _rule,
    layout.PUBLISHED,
    {"cameras": "all", "gazes": "all"},
    _camera,
    turned.turned,
)
arrays = _set.arrays
check = _set.check
checked = _set.checked
classes = _set.classes
files = _set.files
findings = _set.findings
gaps = _set.gaps
parts = _set.parts
sequences = photos.sequences
