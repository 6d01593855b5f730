"""SAMM (Davison et al. 2018): spontaneous micro-movements at 200 frames a second, with action units.

No TensorFlow here. The names below are what `data_pipelines.arrays` and `data_pipelines.clips` ask of a data
set's folder; docs/data.md describes them.
"""

from data_pipelines import coding as coding_sheet
from data_pipelines import manifest, micro, recordings, rules
from data_pipelines.samm import layout
from data_pipelines.samm.layout import CLASSES, FPS

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


_set = micro.ClipSet("samm", layout.scan, OPTIONS, {"tree": micro.TREES}, lambda _: layout.PUBLISHED)
au_names = _set.au_names
arrays = _set.arrays
check = _set.check
checked = _set.checked
classes = _set.classes
coding = _set.coding
crop = _set.crop
files = _set.files
findings = _set.findings
gaps = _set.gaps
listing = _set.listing
parts = _set.parts
phases = _set.phases
sequences = manifest.sequences
