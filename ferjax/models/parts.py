"""What the networks are made of: convolution, dropout, initialisers, and the edit that changes nothing."""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from ferjax.ops.conv import conv2d

Array = jax.Array
# made once: networks of one config are then equal, and share what is compiled for them
INITS = {"glorot_uniform": nn.initializers.glorot_uniform(), "he_normal": nn.initializers.he_normal()}


class Conv(nn.Module):
    """Convolution with stride 1 that keeps the size, and a bias."""

    features: int
    kernel: int
    method: str
    kernel_init: Callable
    dtype: Any
    param_dtype: Any

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[b, h, w, c] -> [b, h, w, features]."""
        shape = (self.kernel, self.kernel, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape, self.param_dtype)
        bias = self.param("bias", nn.initializers.zeros, (self.features,), self.param_dtype)
        return conv2d(x, kernel.astype(self.dtype), method=self.method) + bias.astype(self.dtype)


class Stage(NamedTuple):
    """One convolution of a network and the pooling after it, as receptive fields are computed from.

    Attributes:
      block: "block1"; its maps are block1/conv, block1/relu and, if there is a pooling, block1/pool.
      kernel, stride: of the convolution.
      before: rows and columns of padding before the image.
      pool: side of the pooling, which has stride 2 and no padding; 0: there is none.
    """

    block: str
    kernel: int
    stride: int
    before: int
    pool: int

    @property
    def maps(self) -> tuple[str, ...]:
        """Names of its activations."""
        return tuple(f"{self.block}/{what}" for what in ("conv", "relu", "pool")[: 3 if self.pool else 2])


def unchanged(name: str, x: Array) -> Array:
    """The edit that changes nothing."""
    del name
    return x


def recorder(edit: Callable[[str, Array], Array]) -> tuple[Callable[[str, Array], Array], dict[str, Array]]:
    """(what passes an activation on under its name, edited, and keeps it; where it keeps them)."""
    acts: dict[str, Array] = {}

    def named(name: str, x: Array) -> Array:
        acts[name] = edit(name, x)
        return acts[name]

    return named, acts


def dropout(x: Array, keys: Array | None, rate: float, layer: int) -> Array:
    """Dropout with one key an example, so that the mask does not depend on the batch or the device."""
    if keys is None or rate == 0:
        return x
    levels = round(rate * 256)  # a byte a unit: rates are multiples of 1/256
    shape = x.shape[1:]
    bits = jax.vmap(lambda k: jax.random.bits(jax.random.fold_in(k, layer), shape, jnp.uint8))(keys)
    return jnp.where(bits >= levels, x * (256 / (256 - levels)), 0).astype(x.dtype)


def dense(model: nn.Module, features: int, name: str) -> nn.Dense:
    """A dense layer of a network, with its types and initialiser."""
    return nn.Dense(
        features, dtype=model.dtype, param_dtype=model.param_dtype, kernel_init=model.kernel_init, name=name
    )
