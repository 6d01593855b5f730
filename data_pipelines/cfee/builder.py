"""CFEE as a TensorFlow Datasets builder. The only module of this folder that needs TensorFlow."""

from typing import ClassVar

from data_pipelines import cfee
from data_pipelines.builder import SetBuilder

_CITATION = """
@article{du2014compound,
  title = {Compound facial expressions of emotion},
  author = {Du, Shichuan and Tao, Yong and Martinez, Aleix M.},
  journal = {Proceedings of the National Academy of Sciences},
  volume = {111},
  number = {15},
  pages = {E1454--E1462},
  year = {2014},
}
"""

_DESCRIPTION = """
Posed expressions of 230 people: neutral, six basic emotions and fifteen compound ones. Here: the basic ones
and neutral, or all that the set's sheet names; faces found, aligned and cut out, grey or in colour. Licence:
by agreement with the set's owners, for research. Whoever uses the set asks its owners for it.
"""


class Cfee(SetBuilder):
    """Train, validation and test, divided by hash of the person."""

    SET = cfee
    WORDS: ClassVar = {"description": _DESCRIPTION, "citation": _CITATION}


Builder = Cfee
