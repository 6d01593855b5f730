"""RaFD as a TensorFlow Datasets builder. The only module of this folder that needs TensorFlow."""

from collections.abc import Iterator, Mapping
from typing import ClassVar

import tensorflow_datasets as tfds

from data_pipelines import pictures, rafd
from data_pipelines.tfds_examples import examples, info

_CITATION = """
@article{langner2010presentation,
  title = {Presentation and validation of the {Radboud Faces Database}},
  author = {Langner, Oliver and Dotsch, Ron and Bijlstra, Gijsbert and Wigboldus, Daniel H. J. and
    Hawk, Skyler T. and van Knippenberg, Ad},
  journal = {Cognition and Emotion},
  volume = {24},
  number = {8},
  pages = {1377--1388},
  year = {2010},
}
"""

_DESCRIPTION = """
Posed expressions of 67 people: eight emotions, each with the gaze ahead, left and right, photographed by five
cameras at once. Here: the cameras and gazes asked for, faces found, aligned and cut out, grey or in colour.
Licence: by agreement with the set's owners, for research. Whoever uses the set asks its owners for it.
"""


class Rafd(tfds.core.GeneratorBasedBuilder):
    """Train, validation and test, divided by hash of the person.

    Args:
      options: any of `rafd.OPTIONS`; `dir` must be given, since the classes are those found there.
      **kwargs: as of every TFDS builder; `data_dir` is where it writes.
    """

    code_path = None  # nothing is downloaded; TFDS would look for checksums beside this file

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "First version."}

    def __init__(self, *, options: Mapping | None = None, **kwargs):
        self.options = rafd.checked(options or {})
        super().__init__(**kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        o = self.options
        said = {"channels": pictures.channels(o), "description": _DESCRIPTION, "citation": _CITATION}
        return info(self, o["image_size"], rafd.classes(o), rafd.AU_NAMES, **said)

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict:
        del dl_manager
        return {part: self._generate_examples(found) for part, found in rafd.arrays(self.options).items()}

    def _generate_examples(self, arrays: Mapping) -> Iterator[tuple[str, dict]]:
        return examples(arrays)


Builder = Rafd
check = rafd.check
