"""FER2013 as a TensorFlow Datasets builder, and the check of a user's copy."""

from collections.abc import Iterator, Mapping
from typing import ClassVar

import tensorflow_datasets as tfds

from data_pipelines import fer2013
from data_pipelines.tfds_examples import examples, info

_CITATION = """
@inproceedings{goodfellow2013challenges,
  title = {Challenges in representation learning: A report on three machine learning contests},
  author = {Goodfellow, Ian J. and Erhan, Dumitru and Carrier, Pierre Luc and Courville, Aaron and others},
  booktitle = {International Conference on Neural Information Processing},
  pages = {117--124},
  year = {2013},
}
@inproceedings{barsoum2016training,
  title = {Training deep networks for facial expression recognition with crowd-sourced label distribution},
  author = {Barsoum, Emad and Zhang, Cha and Canton Ferrer, Cristian and Zhang, Zhengyou},
  booktitle = {ACM International Conference on Multimodal Interaction},
  pages = {279--283},
  year = {2016},
}
"""

_DESCRIPTION = """
48x48 grey faces found by web search, in seven classes of expression; 28,709 Training, 3,589 PublicTest and
3,589 PrivateTest images. Licence: published for Kaggle's 2013 challenge, under its rules (research use); the
images were found on the web and remain their owners'. Whoever uses them downloads them from Kaggle.
"""


class Fer2013(tfds.core.GeneratorBasedBuilder):
    """FER2013, with FER2013's labels or FER+'s majorities (`options["labels"]`).

    Args:
      options: any of `fer2013.OPTIONS`; `dir` defaults to TFDS's manual folder.
      **kwargs: as of every TFDS builder; `data_dir` is where it writes.
    """

    # TFDS looks beside the class's file for checksums of downloads, and needs importlib_resources for it, a
    # package that 4.9.10 does not declare. Nothing is downloaded here.
    code_path = None

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "First version."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Download FER2013 from Kaggle under its terms and unpack it. The folder must hold one of:
    - fer2013.csv (emotion,pixels,Usage) or icml_face_data.csv; for FER+ labels, fer2013new.csv beside it;
    - train/<class>/*.jpg, test/<class>/*.jpg and perhaps validation/<class>/*.jpg, with class folders named
      angry, disgust, fear, happy, neutral, sad, surprise, or by FER2013's codes 0 to 6.
    """

    def __init__(self, *, options: Mapping | None = None, **kwargs):
        self.options = {**fer2013.OPTIONS, **(options or {})}
        super().__init__(**kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        return info(
            self,
            48,
            fer2013.classes(self.options),
            fer2013.AU_NAMES,
            description=_DESCRIPTION,
            citation=_CITATION,
            homepage="https://www.kaggle.com/c/challenges-in-representation-learning-facial-expression-recognition-challenge",
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict:
        options = {**self.options, "dir": self.options["dir"] or str(dl_manager.manual_dir)}
        return {part: self._generate_examples(arrays) for part, arrays in fer2013.arrays(options).items()}

    def _generate_examples(self, arrays: Mapping) -> Iterator[tuple[str, dict]]:
        return examples(arrays)


Builder = Fer2013
check = fer2013.check
