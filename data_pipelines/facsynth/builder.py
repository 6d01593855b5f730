"""facsynth as a TensorFlow Datasets builder. The only module of this folder that needs TensorFlow."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import ClassVar

import numpy as np
import tensorflow_datasets as tfds

from data_pipelines import facsynth
from data_pipelines.tfds_examples import examples, info

_DESCRIPTION = """
Grey pictures of faces that do not exist, drawn by a differentiable renderer from FACS action units, which are
therefore known exactly. Eight classes of expression, or action units drawn independently of any emotion.
Splits by
subject. Not evidence about real faces.
"""


@dataclasses.dataclass
class FacsynthConfig(tfds.core.BuilderConfig):
    """What is drawn; the values of `facsynth.OPTIONS`."""

    n_subjects: int = facsynth.OPTIONS["n_subjects"]
    images_per_subject: int = facsynth.OPTIONS["images_per_subject"]
    mode: str = facsynth.OPTIONS["mode"]
    image_size: int = facsynth.OPTIONS["image_size"]
    seed: int = facsynth.OPTIONS["seed"]

    def options(self) -> dict:
        """The values that `facsynth.arrays` takes."""
        return {name: getattr(self, name) for name in facsynth.OPTIONS}


def _config(options: Mapping | None) -> FacsynthConfig:
    o = facsynth.checked(options)
    name = f"{o['mode']}_{o['n_subjects']}x{o['images_per_subject']}_{o['image_size']}px_seed{o['seed']}"
    return FacsynthConfig(name=name, description=f"{o['mode']}, {o['n_subjects']} subjects", **o)


class Facsynth(tfds.core.GeneratorBasedBuilder):
    """facsynth, drawn on the spot.

    Args:
      options: any of `facsynth.OPTIONS`; or give `config`, a FacsynthConfig or one of the names in
      BUILDER_CONFIGS.
      **kwargs: as of every TFDS builder; `data_dir` is where it writes.
    """

    code_path = None  # nothing is downloaded; TFDS would look for checksums beside this file

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "First version."}
    BUILDER_CONFIGS: ClassVar = [_config(None), _config({"mode": "independent"})]

    def __init__(self, *, options: Mapping | None = None, **kwargs):
        if options is not None or kwargs.get("config") is None:
            kwargs["config"] = _config(options)
        super().__init__(**kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        c, u = self.builder_config, len(facsynth.AU_NAMES)
        return info(
            self,
            c.image_size,
            facsynth.CLASSES,
            facsynth.AU_NAMES,
            more={"au_intensity": tfds.features.Tensor(shape=(u, 2), dtype=np.float32)},
            metadata=c.options(),
            description=_DESCRIPTION,
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict:
        del dl_manager
        drawn = facsynth.arrays(self.builder_config.options())
        return {part: self._generate_examples(arrays) for part, arrays in drawn.items()}

    def _generate_examples(self, arrays: Mapping) -> Iterator[tuple[str, dict]]:
        return examples(arrays, more=("au_intensity",))


Builder = Facsynth
