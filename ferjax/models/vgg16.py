"""The convolutional part of VGG16 (Simonyan & Zisserman 2015, configuration D), its pooling as asked for.

Thirteen 3x3 convolutions with ReLU in five blocks; parts conv1_1 to conv5_3. The last pooling and the dense
layers are left out.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from data_pipelines import BadInput
from ferjax.models.parts import INITS, Conv, recorder, unchanged
from ferjax.ops.pool import max_pool_2x2

Array = jax.Array
BLOCKS = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))  # convolutions and their filters
MEAN = (123.68, 116.779, 103.939)  # red, green, blue: of ImageNet, as the authors' Caffe model has it
POOLS = ("caffe", "theano")
LAYERS = tuple(f"conv{b}_{i}" for b, (n, _) in enumerate(BLOCKS, 1) for i in range(1, n + 1))


class Vgg16(nn.Module):
    """Five blocks of convolutions, with pooling between them.

    Attributes:
      width: share of the filters, for small networks.
      pool4_stride: 2; or 1, after which block 5 sees the scale of block 4 (ML-Net).
      pool: where windows of 2x2 begin. "caffe": at the first pixel; an odd last row and column are dropped,
        and at stride 1 the last ones see nothing beyond. "theano": one pixel before it, as Keras 1 does on
        Theano for border_mode="same": the output has ceil(n / stride) rows, and with stride 2 and an even n
        the last row is in no window.
      conv: method of `ops.conv.conv2d`.
      relu: the rectifier; attribution passes others in.
      edit: (name, activation) -> activation, at every named place.
    """

    width: float = 1.0
    pool4_stride: int = 2
    pool: str = "caffe"
    conv: str = "auto"
    kernel_init: Callable = INITS["he_normal"]
    dtype: Any = jnp.float32
    param_dtype: Any = jnp.float32
    relu: Callable = nn.relu
    edit: Callable[[str, Array], Array] = unchanged

    @nn.compact
    def __call__(self, x: Array, keys: Array | None = None) -> tuple[Array, dict[str, Array]]:
        """The last ReLU and every named activation.

        Args:
          x: [b, h, w, 3] red, green, blue from 0 to 255, less MEAN (see `normalise`).
          keys: not used; there is no dropout.
        Returns:
          [b, h / 16, w / 16, 512 width], twice as fine with pool4_stride 1; {"conv1_1", "conv1_1/relu", ...,
          "pool1" to "pool4"}.
        Raises:
          BadInput: the image is too small to be halved by every pooling.
        """
        del keys
        named, acts = recorder(self.edit)
        return self.convolutions(named, x), acts

    def convolutions(self, named: Callable, x: Array) -> Array:
        """The five blocks, within the `__call__` of this network or of one that goes on from it.

        Args:
          named: (name, activation) -> activation, which keeps it.
          x: as of `__call__`.
        Returns:
          The last ReLU.
        Raises:
          BadInput: the image is too small.
        """
        if min(x.shape[1:3]) < 16:
            raise BadInput(f"VGG16 halves its input four times; {x.shape[1]}x{x.shape[2]} pixels are too few")
        x = x.astype(self.dtype)
        for block, (n, features) in enumerate(BLOCKS, 1):
            for i in range(1, n + 1):
                name = f"conv{block}_{i}"
                filters = scaled(features, self.width)
                of = (filters, 3, self.conv, self.kernel_init, self.dtype, self.param_dtype)
                x = named(name, Conv(*of, name=name)(x))
                x = named(f"{name}/relu", self.relu(x))
            if block < len(BLOCKS):
                stride = self.pool4_stride if block == 4 else 2
                x = named(f"pool{block}", max_pool(x, stride, self.pool))
        return x


def scaled(features: int, width: float) -> int:
    """So many filters at a share of the network's width, at least 1."""
    return max(1, round(features * width))


def normalise(images: Array) -> Array:
    """[b, h, w, 3] red, green, blue (or [b, h, w, 1] grey), 0..255 -> float32 [b, h, w, 3] less MEAN."""
    return images.astype(jnp.float32) - jnp.array(MEAN, jnp.float32)


def max_pool(x: Array, stride: int, pool: str) -> Array:
    """Maximum over 2x2 windows; of equal elements the first one takes the gradient, as in PyTorch.

    Args:
      x: [b, h, w, c].
      stride: 1 or 2.
      pool: "caffe" or "theano", see `Vgg16`.
    Returns:
      [b, h', w', c]: the size of x at stride 1; at stride 2 half of it, rounded down for "caffe", up for
      "theano".
    """
    before = (1, 0) if pool == "theano" else (0, 1) if stride == 1 else (0, 0)
    x = jnp.pad(x, ((0, 0), before, before, (0, 0)), mode="edge")  # a copy changes no maximum
    if stride == 2:
        return max_pool_2x2(x)
    rows = _first_larger(x[:, :, :-1], x[:, :, 1:])
    return _first_larger(rows[:, :-1], rows[:, 1:])


def _first_larger(a: Array, b: Array) -> Array:
    """The maximum, whose gradient goes to a where both are equal; NaN where one is."""
    return jnp.where((a >= b) | (a != a), a, b)
