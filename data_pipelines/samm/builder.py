"""SAMM as a TensorFlow Datasets builder. The only module of this folder that needs TensorFlow."""

from collections.abc import Iterator, Mapping
from typing import ClassVar

import tensorflow_datasets as tfds

from data_pipelines import samm
from data_pipelines.tfds_examples import examples, info

_CITATION = """
@article{davison2018samm,
  title = {{SAMM}: A spontaneous micro-facial movement dataset},
  author = {Davison, Adrian K. and Lansley, Cliff and Costen, Nicholas and Tan, Kevin and Yap, Moi Hoon},
  journal = {IEEE Transactions on Affective Computing},
  volume = {9},
  number = {1},
  pages = {116--129},
  year = {2018},
}
"""

_DESCRIPTION = """
Spontaneous micro-movements of the face, filmed at 200 frames a second: 159 clips of people of 13 ethnicities,
with onset, apex and offset, action units, and an emotion. Here: the faces in all frames, grey, those of a
clip cut alike, each frame with its clip's emotion, the apex with its action units. Licence: by agreement
with the set's owners, for research. Whoever uses the set asks its owners for it.
"""


class Samm(tfds.core.GeneratorBasedBuilder):
    """SAMM, one part "frames" (TFDS keeps "all" for itself); `samm.parts` divides its key frames by subject.

    Args:
      options: any of `samm.OPTIONS`; `dir` must be given, since classes and units are those found there.
      **kwargs: as of every TFDS builder; `data_dir` is where it writes.
    """

    code_path = None  # nothing is downloaded; TFDS would look for checksums beside this file

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "First version."}

    def __init__(self, *, options: Mapping | None = None, **kwargs):
        self.options = samm.checked(options or {})
        super().__init__(**kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        o = self.options
        units, classes = samm.au_names(o), samm.classes(o)
        return info(self, o["image_size"], classes, units, description=_DESCRIPTION, citation=_CITATION)

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict:
        del dl_manager
        return {part: self._generate_examples(found) for part, found in samm.arrays(self.options).items()}

    def _generate_examples(self, arrays: Mapping) -> Iterator[tuple[str, dict]]:
        return examples(arrays)


Builder = Samm
check = samm.check
