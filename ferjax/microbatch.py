"""A device's share of a batch, some of it at a time, so that memory does not grow with the batch."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from data_pipelines import BadInput

AT_ONCE = 64  # on CPU, see `training`


def training(config: ConfigDict, platform: str, size: int) -> int:
    """Examples of a device's `size` to do at once in a training step, as parallel.microbatch asks.

    Where that is 0, all; on CPU, with convolutions that cost no more inside of a loop, `AT_ONCE`: its
    activations stay near the processor, and the step's memory no longer grows with the batch.

    Raises:
      BadInput: a size that does not divide.
    """
    asked = config.parallel.microbatch
    if asked and size > asked and size % asked:
        raise BadInput(
            f"config key parallel.microbatch is {asked}; it must divide a device's {size} examples, or be 0"
        )
    if asked or platform != "cpu" or config.model.name != "fer_cnn" or config.model.conv == "xla":
        return asked
    return 0 if size % AT_ONCE else AT_ONCE


def inference(config: ConfigDict, platform: str, size: int) -> int:
    """The same where nothing is learned: a size that does not divide becomes one that does."""
    asked = config.parallel.microbatch
    return math.gcd(asked, size) if asked else training(config, platform, size)


def summed(of: Callable, batch: dict, at_once: int):
    """of(batch), a pytree of sums over examples [n, ...], `at_once` examples after the others; 0: all."""
    parts = _parts(batch, at_once)
    if parts is None:
        return of(batch)
    one = jax.eval_shape(of, jax.tree.map(lambda a: a[0], parts))
    zero = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), one)

    def then(total, part):
        return jax.tree.map(jnp.add, total, of(part)), None

    return jax.lax.scan(then, zero, parts)[0]


def mapped(of: Callable, batch: dict, at_once: int):
    """of(batch), a pytree of results by example [n, ...], `at_once` examples after the others; 0: all."""
    parts = _parts(batch, at_once)
    if parts is None:
        return of(batch)
    return jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), jax.lax.map(of, parts))


def _parts(batch: dict, at_once: int):
    """[n, ...] -> [n / at_once, at_once, ...], or None where one part is all."""
    if not 0 < at_once < len(batch["mask"]):
        return None
    return jax.tree.map(lambda a: a.reshape(-1, at_once, *a.shape[1:]), batch)
