"""A manifest as a TensorFlow Datasets builder. The only module of this folder that needs TensorFlow."""

from collections.abc import Iterator, Mapping
from typing import ClassVar

import tensorflow_datasets as tfds

from data_pipelines import manifest, pictures
from data_pipelines.tfds_examples import examples, info

_DESCRIPTION = """
A user's own pictures, listed in a CSV with columns path, label, subject, split, and perhaps action units
(AU01, ...), clip and frame. Here: faces found, aligned and cut out, or the middle squares of pictures that
are crops already; colours kept, or turned to grey (luma). Licence and citation are those of the pictures.
"""


class Manifest(tfds.core.GeneratorBasedBuilder):
    """The parts of a manifest: train, validation, test, those that have rows.

    Args:
      options: any of `manifest.OPTIONS`; `dir` must be given, since classes and units are the CSV's own.
      **kwargs: as of every TFDS builder; `data_dir` is where it writes.
    """

    code_path = None  # nothing is downloaded; TFDS would look for checksums beside this file

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "First version."}

    def __init__(self, *, options: Mapping | None = None, **kwargs):
        self.options = manifest.checked(options or {})
        super().__init__(**kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        o = self.options
        units, classes = manifest.au_names(o), manifest.classes(o)
        channels = pictures.channels(o)
        return info(self, o["image_size"], classes, units, channels=channels, description=_DESCRIPTION)

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict:
        del dl_manager
        return {part: self._generate_examples(found) for part, found in manifest.arrays(self.options).items()}

    def _generate_examples(self, arrays: Mapping) -> Iterator[tuple[str, dict]]:
        return examples(arrays)


Builder = Manifest
check = manifest.check
