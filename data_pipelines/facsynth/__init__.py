"""facsynth, the built-in face set: faces with known action units, drawn by a differentiable renderer in JAX.

The names below are what `data_pipelines.arrays` asks of every data set's folder. The renderer is in `render`,
people, poses and lights in `identity`, emotions and time courses in `expressions`; docs/facsynth.md
describes them.
"""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from data_pipelines import filled
from data_pipelines.facsynth.expressions import CLASSES
from data_pipelines.facsynth.generate import check_options, generate
from data_pipelines.facsynth.muscles import AU_NAMES
from data_pipelines.split import Split, join

__all__ = ["AU_NAMES", "CLASSES", "OPTIONS", "arrays", "checked", "coded", "generate"]

OPTIONS = {
    "n_subjects": 300,
    "images_per_subject": 40,
    "mode": "emotion",  # or "independent": action units drawn without regard to any emotion, label -1
    "image_size": 48,  # pixels; the renderer draws at this size
    "seed": 0,
}


def checked(options: Mapping | None) -> dict:
    """OPTIONS with the given ones filled in.

    Raises:
      BadInput: an unknown option, or a value that makes no sense.
    """
    options = filled("facsynth", options, OPTIONS)
    check_options(**options)
    return options


def arrays(options: Mapping | None = None) -> dict[str, dict[str, np.ndarray]]:
    """Draws the set, without TensorFlow.

    Args:
      options: any of OPTIONS.

    Returns:
      "train", "validation", "test" -> dict of arrays, see `generate.generate`.

    Raises:
      BadInput: an unknown option, or a value that makes no sense.
    """
    options = checked(options)
    return generate(size=options.pop("image_size"), **options)


def coded(options: Mapping, load: Callable[[Mapping], Mapping[str, Split]]) -> tuple[Split, str]:
    """The inputs for attribution: the people of the test part, with emotions and with independent units.

    The second kind has label -1: there, no emotion can stand in for an action unit. Ids end in its mode.

    Args:
      options: as OPTIONS; the mode is not looked at.
      load: options -> part -> Split, see `coded.load`.
    """
    modes = {mode: load({**options, "mode": mode})["test"] for mode in ("emotion", "independent")}
    named = [dataclasses.replace(s, id=np.char.add(s.id, f"-{mode}")) for mode, s in modes.items()]
    return join("facsynth/test", named), "people of the test part, with emotions and with independent units"
