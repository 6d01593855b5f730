"""CK+ as a TensorFlow Datasets builder. The only module of this folder that needs TensorFlow."""

from collections.abc import Iterator, Mapping
from typing import ClassVar

import tensorflow_datasets as tfds

from data_pipelines import ck_plus
from data_pipelines.tfds_examples import examples, info

_CITATION = """
@inproceedings{lucey2010extended,
  title = {The Extended {Cohn-Kanade} Dataset ({CK+}): A complete dataset for action unit and
    emotion-specified expression},
  author = {Lucey, Patrick and Cohn, Jeffrey F. and Kanade, Takeo and Saragih, Jason and Ambadar, Zara and
    Matthews, Iain},
  booktitle = {IEEE Computer Society Conference on Computer Vision and Pattern Recognition Workshops},
  pages = {94--101},
  year = {2010},
}
@inproceedings{kanade2000comprehensive,
  title = {Comprehensive database for facial expression analysis},
  author = {Kanade, Takeo and Cohn, Jeffrey F. and Tian, Yingli},
  booktitle = {IEEE International Conference on Automatic Face and Gesture Recognition},
  pages = {46--53},
  year = {2000},
}
"""

_DESCRIPTION = """
Posed facial expressions, filmed from neutral to apex: 593 sequences of 123 subjects, action units of each
last frame coded by FACS, 327 sequences with one of seven emotions. Here: faces cut out around the eyes, the
last frames of sequences with an emotion and their first as neutral, the last frame of those without. Licence:
by agreement with the set's owners, for research; pictures may be shown only of subjects who consented to it.
Whoever uses the set asks its owners for it.
"""


class CkPlus(tfds.core.GeneratorBasedBuilder):
    """CK+, one part "frames" (TFDS keeps "all" for itself); `ck_plus.parts` divides it by subject.

    Args:
      options: any of `ck_plus.OPTIONS`; `dir` defaults to TFDS's manual folder.
      **kwargs: as of every TFDS builder; `data_dir` is where it writes.
    """

    code_path = None  # nothing is downloaded; TFDS would look for checksums beside this file

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "First version."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Ask the owners of CK+ for it and unpack all of it into one folder, which then holds
    cohn-kanade-images/S005/001/S005_001_00000011.png, Emotion/S005/001/S005_001_00000011_emotion.txt,
    FACS/S005/001/S005_001_00000011_facs.txt and Landmarks/S005/001/S005_001_00000001_landmarks.txt.
    """

    def __init__(self, *, options: Mapping | None = None, **kwargs):
        self.options = ck_plus.checked(options or {})
        super().__init__(**kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        return info(
            self,
            self.options["image_size"],
            ck_plus.CLASSES,
            ck_plus.AU_NAMES,
            description=_DESCRIPTION,
            citation=_CITATION,
            homepage="https://www.jeffcohn.net/resources/",
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict:
        options = {**self.options, "dir": self.options["dir"] or str(dl_manager.manual_dir)}
        return {part: self._generate_examples(arrays) for part, arrays in ck_plus.arrays(options).items()}

    def _generate_examples(self, arrays: Mapping) -> Iterator[tuple[str, dict]]:
        return examples(arrays)


Builder = CkPlus
check = ck_plus.check
