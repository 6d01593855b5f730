"""SMIC as a TensorFlow Datasets builder. The only module of this folder that needs TensorFlow."""

from typing import ClassVar

from data_pipelines import smic
from data_pipelines.builder import SetBuilder

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


class Smic(SetBuilder):
    """SMIC, one part "frames" (TFDS keeps "all" for itself); `smic.parts` divides it by subject."""

    SET = smic
    WORDS: ClassVar = {"description": _DESCRIPTION, "citation": _CITATION}


Builder = Smic
