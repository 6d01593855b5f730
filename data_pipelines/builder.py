"""What the TensorFlow Datasets builders of sets that are read from a user's folder have in common.

Only builders import it: it needs TensorFlow, which the rest of the project does without.
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar

import tensorflow_datasets as tfds

from data_pipelines import pictures, prepared
from data_pipelines.tfds_examples import examples, info


class SetBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A set's parts as its `arrays` gives them.

    Attributes:
      SET: the set's module, as docs/data.md describes.
      WORDS: description, citation and homepage, those that there are.
      SIDE: of the pictures, pixels, of a set that has no option image_size.

    Args:
      options: any of the set's OPTIONS; `dir` may be left out where TFDS's manual folder holds the files.
      **kwargs: as of every TFDS builder; `data_dir` is where it writes.
    """

    SET: ClassVar
    WORDS: ClassVar[Mapping[str, str]] = {}
    SIDE: ClassVar = 0

    # TFDS looks beside the class's file for checksums of downloads, and needs importlib_resources for it, a
    # package that 4.9.10 does not declare. Nothing is downloaded here.
    code_path = None

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "First version."}

    def __init__(self, *, options: Mapping | None = None, **kwargs):
        self.options = self.SET.checked(options or {})
        super().__init__(**kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        o = self.options
        size, told = o.get("image_size", self.SIDE), prepared.names(self.SET, o)
        return info(self, size, *told, channels=pictures.channels(o), **self.WORDS)

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict:
        options = {**self.options, "dir": self.options["dir"] or str(dl_manager.manual_dir)}
        return {part: self._generate_examples(found) for part, found in self.SET.arrays(options).items()}

    def _generate_examples(self, arrays: Mapping) -> Iterator[tuple[str, dict]]:
        return examples(arrays)
