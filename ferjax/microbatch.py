"""A device's share of a batch, some of it at a time, so that memory does not grow with the batch."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from data_pipelines import BadInput

AT_ONCE, LEAST = 64, 16  # on CPU, see `training`


def training(config: ConfigDict, platform: str, size: int) -> int:
    """Examples of a device's `size` to do at once in a training step, as parallel.microbatch asks; 0: all.

    Where that is 0, all; on CPU, with convolutions that cost no more inside of a loop, the largest divisor of
    `size` from `LEAST` to `AT_ONCE`, if there is one: its activations stay near the processor, and the step's
    memory no longer grows with the batch.

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
    largest = _divisor(size, AT_ONCE)
    return largest if largest >= LEAST else 0


def inference(config: ConfigDict, platform: str, size: int) -> int:
    """The same where nothing is learned: for a size that does not divide, the largest one below that does."""
    asked = config.parallel.microbatch
    return _divisor(size, asked) if asked else training(config, platform, size)


def _divisor(size: int, most: int) -> int:
    """The largest divisor of `size` that is not above `most`."""
    return next(n for n in range(min(size, most), 0, -1) if size % n == 0)


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
