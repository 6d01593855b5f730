"""ML-Net with its weights: built from a config, begun from a file, read from a training, asked for maps."""

import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from data_pipelines import BadInput, gaze
from ferjax import evaluate, results, transfer, weights
from ferjax.models import keras1, vgg16
from ferjax.models.ml_net import MlNet
from ferjax.parallel import Devices
from ferjax.saliency.settings import data_of

FRAME = (480, 640)  # height and width that the published network takes
SMALL = (16, 16, 3)  # the least input; weights do not depend on it
RUN = "cells/training/ml_net/run"  # where a study keeps its training


def build(c: ConfigDict) -> MlNet:
    """The network of a study's `model`."""
    return MlNet(
        width=c.model.width,
        dropout=c.model.dropout,
        pool=c.model.pool,
        conv=c.model.conv,
        dtype=jnp.dtype(c.model.compute_dtype),
        param_dtype=jnp.dtype(c.model.param_dtype),
    )


def init(model: MlNet, seed: int) -> dict:
    """Weights drawn from a seed; they do not depend on the frame.

    By XLA's own generator: fifteen draws by JAX's default one take far longer to compile.
    """
    return model.init(jax.random.key(seed, impl="rbg"), jnp.zeros((1, *SMALL)))["params"]


def shapes(model: MlNet) -> dict:
    """Part -> {"kernel", "bias"} -> shape and type."""
    return jax.eval_shape(functools.partial(init, model, 0))


def begin(params: dict, path: str) -> tuple[dict, dict]:
    """Weights as a published file has them, those of other parts as they are.

    Args:
      params: drawn, of a network of full width.
      path: of VGG16's or of ML-Net's file, see `models.keras1`.
    Returns:
      (params, {"file", "sha256", "taken"}).
    Raises:
      BadInput: no such file, a damaged one, or one of another network.
    """
    arrays, digest = weights.read(path, published=keras1.PUBLISHED)
    take = keras1.ml_net if keras1.is_ml_net(arrays) else keras1.vgg16
    taken = take(arrays, params, path)
    return {**params, **taken}, {"file": str(path), "sha256": digest, "taken": sorted(taken)}


class Predictor:
    """Maps of frames, always as many at once, so that what one gives does not depend on the others.

    Args:
      model: as `build` gives it.
      devices: where to run.
      batch_size: frames at once, rounded up to fit the devices.
    """

    def __init__(self, model: MlNet, devices: Devices, batch_size: int):
        def forward(params, batch, resident):
            del resident
            return model.apply({"params": params}, vgg16.normalise(batch["image"]))[0]

        self.batch_size = -(-batch_size // devices.count) * devices.count
        self.forward = devices.compile(forward, per_example=True)

    def __call__(self, params: dict, frames: np.ndarray) -> np.ndarray:
        """uint8 [n, h, w, 3], n at most batch_size -> float32 [n, h', w'], 0 or more."""
        n = len(frames)
        image = np.concatenate([frames, np.zeros((self.batch_size - n, *frames.shape[1:]), np.uint8)])
        return self.forward(params, {"image": image}, {})[:n]

    def part(self, params: dict, part: gaze.Gaze, wanted: tuple[int, int] | None = None):
        """(row, map, target uint8 or None) of every picture of a part, in its order."""
        n, b = len(part), self.batch_size
        rows = ({"id": np.arange(i, min(i + b, n))} for i in range(0, n, b))
        for batch in gaze.batches(part, rows, wanted):
            found = self(params, batch["image"])
            yield from zip(batch["id"].tolist(), found, batch.get("map", [None] * b), strict=False)


def from_file(path: str) -> tuple[MlNet, dict, tuple[int, int], str]:
    """The published network: (model, params, frame, sha256 of the file); raises as `begin`."""
    model = MlNet()
    arrays, digest = weights.read(path, published=keras1.PUBLISHED)
    return model, keras1.ml_net(arrays, shapes(model), path), FRAME, digest


def from_workdir(workdir: str, which: str = "best") -> tuple[MlNet, dict, tuple[int, int], str]:
    """A trained network: (model, params, frame, sha256 of the weights).

    Args:
      workdir: of a study of ML-Net, or of its training alone.
      which: best (by selection), last, or a step.
    Raises:
      BadInput: nothing of the kind there, or no such checkpoint.
    """
    run = pathlib.Path(workdir)
    run = run / RUN if (run / RUN).is_dir() else run
    saved = results.read_workdir(run)
    if saved["config"].get("study") != "saliency_training":
        raise BadInput(f"{workdir}: no training of ML-Net; give the --workdir of one, or --weights FILE")
    c = ConfigDict(saved["config"])
    model = build(c)
    params, _ = evaluate.load_weights(run, which, model, SMALL)
    return model, params, tuple(data_of(c).frame), transfer.weights_hash(params)
