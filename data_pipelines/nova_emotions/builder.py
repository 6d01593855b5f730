"""NovaEmotions as a TensorFlow Datasets builder. The only module of this folder that needs TensorFlow."""

from typing import ClassVar

from data_pipelines import nova_emotions
from data_pipelines.builder import SetBuilder

_CITATION = """
@inproceedings{mourao2013competitive,
  title = {Competitive affective gaming: Winning with a smile},
  author = {Mour{\\~a}o, Andr{\\'e} and Magalh{\\~a}es, Jo{\\~a}o},
  booktitle = {ACM International Conference on Multimedia},
  pages = {83--92},
  year = {2013},
}
"""

_DESCRIPTION = """
About 42,000 face crops of 40 people who played a game of facial expressions, labelled by several annotators.
Here: one label a picture, as its folder or a manifest says; grey. Licence: by agreement with the set's
authors, for research. Whoever uses the set asks its authors for it.
"""


class NovaEmotions(SetBuilder):
    """Train, validation and test, divided by hash unless a manifest says otherwise."""

    SET = nova_emotions
    WORDS: ClassVar = {"description": _DESCRIPTION, "citation": _CITATION}


Builder = NovaEmotions
