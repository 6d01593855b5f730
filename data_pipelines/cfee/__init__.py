"""CFEE, Compound Facial Expressions of Emotion (Du, Tao & Martinez 2014): 22 categories, 230 people.

No TensorFlow here. The names below are what `data_pipelines.arrays` asks of every data set's folder;
docs/data.md describes them. The pictures are read as those of a manifest are.
"""

from collections.abc import Mapping

from data_pipelines import BadInput, coding, labels, manifest, photos, recordings
from data_pipelines.cfee import layout

__all__ = [
    "AU_NAMES", "BUILT_ON", "CLASSES", "OPTIONS", "arrays", "check", "checked", "classes", "files",
    "findings", "gaps", "parts", "sequences",
]  # fmt: skip

AU_NAMES = ()  # the sheet's columns of action units are in no layout that is sure
BUILT_ON = (manifest, photos, coding, recordings)
CLASSES = tuple(name for name in labels.EMOTIONS if name != "contempt")  # and, with "all", the sheet's others
OPTIONS = {
    "dir": "",  # folder with CFEE_Database_230, or up to three above it, and the sheet
    "sheet": "",  # AU_annotation_all_subjects.xls, below `dir` or by its whole path, where there are several
    "categories": "basic",  # the six basic emotions and neutral; or "all" that the sheet names
    **photos.OPTIONS,
}


def _rule(options: Mapping) -> None:
    if options["categories"] not in layout.CATEGORIES:
        known = " or ".join(layout.CATEGORIES)
        raise BadInput(f"data.options.categories: {options['categories']!r} is not known; write {known}")


_set = photos.PhotoSet("cfee", layout.scan, OPTIONS, _rule, layout.PUBLISHED, {"categories": "all"})
arrays = _set.arrays
check = _set.check
checked = _set.checked
classes = _set.classes
files = _set.files
findings = _set.findings
gaps = _set.gaps
parts = _set.parts
sequences = photos.sequences
