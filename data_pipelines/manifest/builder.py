"""A manifest as a TensorFlow Datasets builder. The only module of this folder that needs TensorFlow."""

from typing import ClassVar

from data_pipelines import manifest
from data_pipelines.builder import SetBuilder

_DESCRIPTION = """
A user's own pictures, listed in a CSV with columns path, label, subject, split, and perhaps action units
(AU01, ...), clip and frame. Here: faces found, aligned and cut out, or the middle squares of pictures that
are crops already; colours kept, or turned to grey (luma). Licence and citation are those of the pictures.
"""


class Manifest(SetBuilder):
    """The parts of a manifest: train, validation, test, those that have rows."""

    SET = manifest
    WORDS: ClassVar = {"description": _DESCRIPTION}


Builder = Manifest
