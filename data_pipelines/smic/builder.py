"""SMIC as a TensorFlow Datasets builder. The only module of this folder that needs TensorFlow."""

from collections.abc import Iterator, Mapping
from typing import ClassVar

import tensorflow_datasets as tfds

from data_pipelines import smic
from data_pipelines.tfds_examples import examples, info

_CITATION = """
@inproceedings{li2013spontaneous,
  title = {A spontaneous micro-expression database: Inducement, collection and baseline},
  author = {Li, Xiaobai and Pfister, Tomas and Huang, Xiaohua and Zhao, Guoying and Pietik{\\"a}inen, Matti},
  booktitle = {IEEE International Conference and Workshops on Automatic Face and Gesture Recognition},
  year = {2013},
}
"""

_DESCRIPTION = """
Spontaneous micro-expressions in three classes, filmed by three cameras: 164 clips of 16 subjects at 100
frames a second (HS), 71 of 8 subjects at 25 (VIS, and near infrared, NIR). No apex and no action units are
coded. Here: the faces in all frames, grey, those of a clip cut alike, each frame with its clip's class.
Licence: by agreement with the set's owners, for research. Whoever uses the set asks its owners for it.
"""


class Smic(tfds.core.GeneratorBasedBuilder):
    """SMIC, one part "frames" (TFDS keeps "all" for itself); `smic.parts` divides its key frames by subject.

    Args:
      options: any of `smic.OPTIONS`; `dir` must be given, since classes and units are those found there.
      **kwargs: as of every TFDS builder; `data_dir` is where it writes.
    """

    code_path = None  # nothing is downloaded; TFDS would look for checksums beside this file

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "First version."}

    def __init__(self, *, options: Mapping | None = None, **kwargs):
        self.options = smic.checked(options or {})
        super().__init__(**kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        o = self.options
        units, classes = smic.AU_NAMES, smic.classes(o)
        return info(self, o["image_size"], classes, units, description=_DESCRIPTION, citation=_CITATION)

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict:
        del dl_manager
        return {part: self._generate_examples(found) for part, found in smic.arrays(self.options).items()}

    def _generate_examples(self, arrays: Mapping) -> Iterator[tuple[str, dict]]:
        return examples(arrays)


Builder = Smic
check = smic.check
