"""facsynth_clips as a TensorFlow Datasets builder. The only module of this folder that needs TensorFlow."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import ClassVar

import tensorflow_datasets as tfds

from data_pipelines import facsynth_clips
from data_pipelines.tfds_examples import examples, info

_DESCRIPTION = """
Micro-expressions at 200 frames a second, of people who do not exist: grey frames drawn by a differentiable
renderer from FACS action units. Five classes, as CASME II has them; ids are clip and frame number, the action
units are known at the apex. Not evidence about real faces.
"""


@dataclasses.dataclass
class FacsynthClipsConfig(tfds.core.BuilderConfig):
    """What is drawn; the values of `facsynth_clips.OPTIONS`."""

    n_subjects: int = facsynth_clips.OPTIONS["n_subjects"]
    clips_per_subject: int = facsynth_clips.OPTIONS["clips_per_subject"]
    image_size: int = facsynth_clips.OPTIONS["image_size"]
    seed: int = facsynth_clips.OPTIONS["seed"]
    lead: int = facsynth_clips.OPTIONS["lead"]
    weakest: float = facsynth_clips.OPTIONS["weakest"]
    strongest: float = facsynth_clips.OPTIONS["strongest"]
    drift: float = facsynth_clips.OPTIONS["drift"]
    noise: float = facsynth_clips.OPTIONS["noise"]
    blinks: float = facsynth_clips.OPTIONS["blinks"]

    def options(self) -> dict:
        """The values that `facsynth_clips.arrays` takes."""
        return {name: getattr(self, name) for name in facsynth_clips.OPTIONS}


def _config(options: Mapping | None) -> FacsynthClipsConfig:
    o = facsynth_clips.checked(options)
    name = "_".join(
        f"{key}{o[key]:g}" for key in ("lead", "weakest", "strongest", "drift", "noise", "blinks")
    )
    name = f"{o['n_subjects']}x{o['clips_per_subject']}_{o['image_size']}px_seed{o['seed']}_{name}"
    return FacsynthClipsConfig(name=name, description=f"{o['n_subjects']} subjects", **o)


class FacsynthClips(tfds.core.GeneratorBasedBuilder):
    """facsynth_clips, drawn on the spot; its one part is `frames`.

    Args:
      options: any of `facsynth_clips.OPTIONS`; or give `config`, a FacsynthClipsConfig or the name of one in
        BUILDER_CONFIGS.
      **kwargs: as of every TFDS builder; `data_dir` is where it writes.
    """

    code_path = None  # nothing is downloaded; TFDS would look for checksums beside this file

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "First version."}
    BUILDER_CONFIGS: ClassVar = [_config(None), _config({"lead": 100})]

    def __init__(self, *, options: Mapping | None = None, **kwargs):
        if options is not None or kwargs.get("config") is None:
            kwargs["config"] = _config(options)
        super().__init__(**kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        c = self.builder_config
        return info(
            self,
            c.image_size,
            facsynth_clips.CLASSES,
            facsynth_clips.AU_NAMES,
            metadata=c.options(),
            description=_DESCRIPTION,
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict:
        del dl_manager
        drawn = facsynth_clips.arrays(self.builder_config.options())
        return {part: self._generate_examples(arrays) for part, arrays in drawn.items()}

    def _generate_examples(self, arrays: Mapping) -> Iterator[tuple[str, dict]]:
        return examples(arrays)


Builder = FacsynthClips
