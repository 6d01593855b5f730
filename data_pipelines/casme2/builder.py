"""CASME II as a TensorFlow Datasets builder. The only module of this folder that needs TensorFlow."""

from typing import ClassVar

from data_pipelines import casme2
from data_pipelines.builder import SetBuilder

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


class Casme2(SetBuilder):
    """CASME II, one part "frames" (TFDS keeps "all" for itself); `casme2.parts` divides its subjects."""

    SET = casme2
    WORDS: ClassVar = {"description": _DESCRIPTION, "citation": _CITATION}


Builder = Casme2
