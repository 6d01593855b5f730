"""The networks that a network is compared with: random weights, shuffled labels, other seeds."""

import dataclasses
import pathlib

from ml_collections import ConfigDict

from data_pipelines import arrays
from ferjax import config as config_lib
from ferjax import evaluate, models
from ferjax.attribution import randomise
from ferjax.attribution.network import Network
from ferjax.augment import input_shape


@dataclasses.dataclass(eq=False)
class Side:
    """A control network: kind is random, shuffled or seed."""

    kind: str
    name: str
    network: Network


def load_network(workdir, config: ConfigDict, like, which: str = "best") -> tuple[Network, int]:
    """A checkpoint of a training as a Network, and its step.

    Args:
      workdir: of the training.
      config: of the training.
      like: a Split with its classes and picture size.
      which: best or last.
    """
    model = models.build(config.model, len(like.classes))
    params, step = evaluate.load_weights(workdir, which, model, input_shape(config, like.image.shape[1:]))
    return Network.of(config, model, params, like.classes), step


def trained(config: ConfigDict, workdir: pathlib.Path, seeds: int, shuffled: int) -> tuple[list[Side], int]:
    """Trains, or goes on with, the control networks of a training, each in a workdir of its own.

    Of shuffled labels the last checkpoint is taken, as they were learned: the best on a validation that can
    tell them by chance alone is an early one, of a network that has hardly learned anything.

    Args:
      config: of the training.
      workdir: of the training; the controls are in W/attribution/networks.
      seeds, shuffled: how many of each.
    Returns:
      (the networks so far, exit status: 0, or 128 + signal where a signal stopped a training).
    """
    from ferjax import train  # brings the whole training with it

    sides = []
    for kind, i in [("seed", i + 1) for i in range(seeds)] + [("shuffled", i + 1) for i in range(shuffled)]:
        other = config_lib.from_json(config_lib.to_json(config))
        with other.unlocked():
            if kind == "seed":
                other.seed = config.seed + i
            else:
                other.data.shuffle_labels = i
            other.name = f"{config.name} ({kind} {i})"
        folder = workdir / "attribution" / "networks" / f"{kind}-{i}"
        print(f"control {kind} {i}: {folder}", flush=True)
        status = train.train(other.lock(), str(folder))
        if status:
            return sides, status
        which = "best" if kind == "seed" else "last"
        network = load_network(folder, other, arrays.load_parts(other.data).train, which)[0]
        sides.append(Side(kind, f"{kind} {i}", network))
    return sides, 0


def random(network: Network, n: int) -> list[Side]:
    """n networks of the same architecture with random weights, each drawn anew."""
    return [Side("random", f"random {i}", randomise.random_network(network, i)) for i in range(n)]
