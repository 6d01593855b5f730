"""CASME II (Yan et al. 2014): spontaneous micro-expressions at 200 frames a second, with action units.

No TensorFlow here. The names below are what `data_pipelines.arrays` and `data_pipelines.clips` ask of a data
set's folder; docs/data.md describes them.
"""

from data_pipelines import coding as coding_sheet
from data_pipelines import manifest, micro, recordings, rules
from data_pipelines.casme2 import layout, sheet
from data_pipelines.casme2.layout import FPS
from data_pipelines.casme2.sheet import CLASSES

__all__ = [
    "BUILT_ON", "CLASSES", "FPS", "OPTIONS", "arrays", "au_names", "check", "checked", "classes", "coding",
    "crop", "files", "findings", "gaps", "listing", "parts", "phases", "sequences",
]  # fmt: skip

BUILT_ON = (manifest, micro, recordings, rules, coding_sheet)
OPTIONS = {
    "dir": "",  # folder with Cropped or a raw tree, and the coding sheet; or up to three above them
    "tree": "auto",  # "cropped", "selected" or "raw"; auto is the first of these that is there
    "sheet": "",  # the coding sheet, where there are several
    "image_size": 48,  # pixels; faces are cut out at this size, grey
    "crop": "auto",  # none for Cropped, detect for the others; or "none", "detect"
    "undetected": "leave_out",  # with detect, a clip without a face; or "fail"
}


_set = micro.ClipSet(
    "casme2", layout.scan, OPTIONS, {"tree": ("auto", *layout.TREES)}, lambda _: sheet.PUBLISHED
)
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
