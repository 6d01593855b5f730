"""NovaEmotions as a TensorFlow Datasets builder. The only module of this folder that needs TensorFlow."""

from collections.abc import Iterator, Mapping
from typing import ClassVar

import tensorflow_datasets as tfds

from data_pipelines import nova_emotions
from data_pipelines.tfds_examples import examples, info

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


class NovaEmotions(tfds.core.GeneratorBasedBuilder):
    """Train, validation and test, divided by hash unless a manifest says otherwise.

    Args:
      options: any of `nova_emotions.OPTIONS`; `dir` must be given, since the classes are those found there.
      **kwargs: as of every TFDS builder; `data_dir` is where it writes.
    """

    code_path = None  # nothing is downloaded; TFDS would look for checksums beside this file

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "First version."}

    def __init__(self, *, options: Mapping | None = None, **kwargs):
        self.options = nova_emotions.checked(options or {})
        super().__init__(**kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        o = self.options
        units, classes = nova_emotions.au_names(o), nova_emotions.classes(o)
        return info(self, o["image_size"], classes, units, description=_DESCRIPTION, citation=_CITATION)

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict:
        del dl_manager
        return {
            part: self._generate_examples(found) for part, found in nova_emotions.arrays(self.options).items()
        }

    def _generate_examples(self, arrays: Mapping) -> Iterator[tuple[str, dict]]:
        return examples(arrays)


Builder = NovaEmotions
check = nova_emotions.check
