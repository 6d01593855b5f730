"""FER2013 as a TensorFlow Datasets builder, and the check of a user's copy."""

from typing import ClassVar

from data_pipelines import fer2013
from data_pipelines.builder import SetBuilder
from data_pipelines.fer2013 import tables

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


class Fer2013(SetBuilder):
    """FER2013, with FER2013's labels or FER+'s majorities (`options["labels"]`)."""

    SET = fer2013
    WORDS: ClassVar = {
        "description": _DESCRIPTION,
        "citation": _CITATION,
        "homepage": "https://www.kaggle.com/c/challenges-in-representation-learning-facial-expression-recognition-challenge",
    }
    SIDE = tables.SIDE
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Download FER2013 from Kaggle under its terms and unpack it. The folder must hold one of:
    - fer2013.csv (emotion,pixels,Usage) or icml_face_data.csv; for FER+ labels, fer2013new.csv beside it;
    - train/<class>/*.jpg, test/<class>/*.jpg and perhaps validation/<class>/*.jpg, with class folders named
      angry, disgust, fear, happy, neutral, sad, surprise, or by FER2013's codes 0 to 6.
    """


Builder = Fer2013
