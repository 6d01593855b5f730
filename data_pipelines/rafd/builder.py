"""RaFD as a TensorFlow Datasets builder. The only module of this folder that needs TensorFlow."""

from typing import ClassVar

from data_pipelines import rafd
from data_pipelines.builder import SetBuilder

_CITATION = """
@article{langner2010presentation,
  title = {Presentation and validation of the {Radboud Faces Database}},
  author = {Langner, Oliver and Dotsch, Ron and Bijlstra, Gijsbert and Wigboldus, Daniel H. J. and
    Hawk, Skyler T. and van Knippenberg, Ad},
  journal = {Cognition and Emotion},
  volume = {24},
  number = {8},
  pages = {1377--1388},
  year = {2010},
}
"""

_DESCRIPTION = """
Posed expressions of 67 people: eight emotions, each with the gaze ahead, left and right, photographed by five
cameras at once. Here: the cameras and gazes asked for, faces found, aligned and cut out, grey or in colour.
Licence: by agreement with the set's owners, for research. Whoever uses the set asks its owners for it.
"""


class Rafd(SetBuilder):
    """Train, validation and test, divided by hash of the person."""

    SET = rafd
    WORDS: ClassVar = {"description": _DESCRIPTION, "citation": _CITATION}


Builder = Rafd
