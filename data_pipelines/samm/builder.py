"""SAMM as a TensorFlow Datasets builder. The only module of this folder that needs TensorFlow."""

from typing import ClassVar

from data_pipelines import samm
from data_pipelines.builder import SetBuilder

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


class Samm(SetBuilder):
    """SAMM, one part "frames" (TFDS keeps "all" for itself); `samm.parts` divides it by subject."""

    SET = samm
    WORDS: ClassVar = {"description": _DESCRIPTION, "citation": _CITATION}


Builder = Samm
