"""A tiny training of ML-Net on drawn scenes, for the tests."""

import pathlib

from ferjax.saliency import settings

ROOT = pathlib.Path(__file__).parent.parent


def tiny_config(**changes):
    """Scenes of 48x64, a sixteenth of the filters, 19 pictures to train on, batches of 8, plain SGD.

    What is compiled for one test is kept for the others that change nothing of what a step depends on.
    """
    c = settings.default()
    c.name = "tiny"
    options = {"train": 20, "test": 6, "seed": 0}
    settings.add_set(c, "saliency_shapes", "drawn scenes", frame=(48, 64), options=options)
    c.model.width, c.model.conv = 1 / 16, "xla"
    c.train.batch_size, c.train.epochs, c.train.patience = 8, 2, 0
    c.bootstrap = 100
    c.parallel.devices = 1
    for key, value in changes.items():
        group, _, leaf = key.rpartition("__")
        (c[group] if group else c)[leaf] = value
    return c


def write_config(path: pathlib.Path, **changes) -> str:
    """The same as a file, for the command line."""
    path.write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT / 'tests')!r})\nimport saliency_runs\n\n\n"
        f"def get_config():\n    return saliency_runs.tiny_config(**{changes!r})\n"
    )
    return str(path)
