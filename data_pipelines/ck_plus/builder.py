"""CK+ as a TensorFlow Datasets builder. The only module of this folder that needs TensorFlow."""

from typing import ClassVar

from data_pipelines import ck_plus
from data_pipelines.builder import SetBuilder

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


class CkPlus(SetBuilder):
    """CK+, one part "frames" (TFDS keeps "all" for itself); `ck_plus.parts` divides it by subject."""

    SET = ck_plus
    WORDS: ClassVar = {
        "description": _DESCRIPTION,
        "citation": _CITATION,
        "homepage": "https://www.jeffcohn.net/resources/",
    }
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Ask the owners of CK+ for it and unpack all of it into one folder, which then holds
    cohn-kanade-images/S005/001/S005_001_00000011.png, Emotion/S005/001/S005_001_00000011_emotion.txt,
    FACS/S005/001/S005_001_00000011_facs.txt and Landmarks/S005/001/S005_001_00000001_landmarks.txt.
    """


Builder = CkPlus
