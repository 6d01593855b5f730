"""NovaEmotions as a TensorFlow Datasets builder. The only module of this folder that needs TensorFlow."""

from collections.abc import Iterator, Mapping
from typing import ClassVar

import numpy as np
import tensorflow_datasets as tfds

from data_pipelines import nova_emotions
from data_pipelines.tfds_examples import examples

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
        size, units = self.options["image_size"], nova_emotions.au_names(self.options)
        return tfds.core.DatasetInfo(
            builder=self,
            description=_DESCRIPTION,
            citation=_CITATION,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(size, size, 1), encoding_format="png"),
                    "label": np.int64,
                    "aus": tfds.features.Tensor(shape=(len(units),), dtype=np.int8),
                    "subject": tfds.features.Text(),
                    "id": tfds.features.Text(),
                }
            ),
            supervised_keys=("image", "label"),
            metadata=tfds.core.MetadataDict(
                classes=list(nova_emotions.classes(self.options)), au_names=list(units)
            ),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict:
        del dl_manager
        return {
            part: self._generate_examples(found) for part, found in nova_emotions.arrays(self.options).items()
        }

    def _generate_examples(self, arrays: Mapping) -> Iterator[tuple[str, dict]]:
        return examples(arrays)


Builder = NovaEmotions
check = nova_emotions.check
