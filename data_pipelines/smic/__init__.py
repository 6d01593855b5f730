"""SMIC (Li et al. 2013): spontaneous micro-expressions in three classes, by three cameras.

No TensorFlow here. The names below are what `data_pipelines.arrays` and `data_pipelines.clips` ask of a data
set's folder; docs/data.md describes them.
"""

from collections.abc import Mapping

from data_pipelines import coding, manifest, micro, recordings, rules
from data_pipelines.smic import layout
from data_pipelines.smic.layout import CLASSES

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


_set = micro.ClipSet(
    "smic",
    layout.scan,
    OPTIONS,
    {"camera": tuple(layout.CAMERAS), "tree": micro.TREES},
    lambda o: layout.PUBLISHED[o["camera"]],
)
arrays = _set.arrays
check = _set.check
checked = _set.checked
classes = _set.classes
crop = _set.crop
files = _set.files
findings = _set.findings
gaps = _set.gaps
listing = _set.listing
parts = _set.parts
phases = _set.phases
sequences = manifest.sequences


def fps(options: Mapping) -> float:
    """Frames a second of the camera."""
    return layout.CAMERAS[checked(options)["camera"]]
