"""CASME II as a TensorFlow Datasets builder. The only module of this folder that needs TensorFlow."""

from collections.abc import Iterator, Mapping
from typing import ClassVar

import tensorflow_datasets as tfds

from data_pipelines import casme2
from data_pipelines.tfds_examples import examples, info

_CITATION = """
@article{yan2014casme,
  title = {{CASME II}: An improved spontaneous micro-expression database and the baseline evaluation},
  author = {Yan, Wen-Jing and Li, Xiaobai and Wang, Su-Jing and Zhao, Guoying and Liu, Yong-Jin and
    Chen, Yu-Hsin and Fu, Xiaolan},
  journal = {PLoS ONE},
  volume = {9},
  number = {1},
  pages = {e86041},
  year = {2014},
}
"""

_DESCRIPTION = """
Spontaneous micro-expressions, filmed at 200 frames a second: 255 clips of 26 subjects, with onset, apex and
offset, action units with their sides, and an emotion. Here: the faces in all frames, grey, those of a clip
cut alike, each frame with its clip's emotion, the apex with its action units. Licence: by agreement with the
set's owners, for research. Whoever uses the set asks its owners for it.
"""


class Casme2(tfds.core.GeneratorBasedBuilder):
    """CASME II, one part "frames" (TFDS keeps "all" for itself); `casme2.parts` divides its subjects.

    Args:
      options: any of `casme2.OPTIONS`; `dir` must be given, since classes and units are those found there.
      **kwargs: as of every TFDS builder; `data_dir` is where it writes.
    """

    code_path = None  # nothing is downloaded; TFDS would look for checksums beside this file

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "First version."}

    def __init__(self, *, options: Mapping | None = None, **kwargs):
        self.options = casme2.checked(options or {})
        super().__init__(**kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        o = self.options
        units, classes = casme2.au_names(o), casme2.classes(o)
        return info(self, o["image_size"], classes, units, description=_DESCRIPTION, citation=_CITATION)

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict:
        del dl_manager
        return {part: self._generate_examples(found) for part, found in casme2.arrays(self.options).items()}

    def _generate_examples(self, arrays: Mapping) -> Iterator[tuple[str, dict]]:
        return examples(arrays)


Builder = Casme2
check = casme2.check
