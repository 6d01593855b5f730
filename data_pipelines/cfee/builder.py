"""CFEE as a TensorFlow Datasets builder. The only module of this folder that needs TensorFlow."""

from collections.abc import Iterator, Mapping
from typing import ClassVar

import tensorflow_datasets as tfds

from data_pipelines import cfee, pictures
from data_pipelines.tfds_examples import examples, info

_CITATION = """
@article{du2014compound,
  title = {Compound facial expressions of emotion},
  author = {Du, Shichuan and Tao, Yong and Martinez, Aleix M.},
  journal = {Proceedings of the National Academy of Sciences},
  volume = {111},
  number = {15},
  pages = {E1454--E1462},
  year = {2014},
}
"""

_DESCRIPTION = """
Posed expressions of 230 people: neutral, six basic emotions and fifteen compound ones. Here: the basic ones
and neutral, or all that the set's sheet names; faces found, aligned and cut out, grey or in colour. Licence:
by agreement with the set's owners, for research. Whoever uses the set asks its owners for it.
"""


class Cfee(tfds.core.GeneratorBasedBuilder):
    """Train, validation and test, divided by hash of the person.

    Args:
      options: any of `cfee.OPTIONS`; `dir` must be given, since the classes are those of its sheet.
      **kwargs: as of every TFDS builder; `data_dir` is where it writes.
    """

    code_path = None  # nothing is downloaded; TFDS would look for checksums beside this file

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "First version."}

    def __init__(self, *, options: Mapping | None = None, **kwargs):
        self.options = cfee.checked(options or {})
        super().__init__(**kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        o = self.options
        said = {"channels": pictures.channels(o), "description": _DESCRIPTION, "citation": _CITATION}
        return info(self, o["image_size"], cfee.classes(o), cfee.AU_NAMES, **said)

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict:
        del dl_manager
        return {part: self._generate_examples(found) for part, found in cfee.arrays(self.options).items()}

    def _generate_examples(self, arrays: Mapping) -> Iterator[tuple[str, dict]]:
        return examples(arrays)


Builder = Cfee
check = cfee.check
