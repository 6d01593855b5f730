"""ML-Net (Cornia, Baraldi, Serra & Cucchiara 2016, A deep multi-level network for saliency prediction).

VGG16 with pool4 at stride 1, so that everything is at an eighth of the input; its pool3, pool4 and conv5_3
side by side, dropout, a 3x3 convolution, a 1x1 convolution to one map, times a learned prior of 6x8, which
is enlarged.

What the paper leaves open is taken from the authors' code for Keras 1.1 on Theano 0.9
(github.com/marcellacornia/mlnet, model.py and eltwise_product.py):

- Pooling with border_mode="same": on Theano its windows begin one pixel before the picture, see
  `vgg16.Vgg16`. The published weights learned so.
- The prior is 1 + W, enlarged ten times by bilinear_upsampling of theano/tensor/nnet/abstract_conv.py:
  row i of the result lies at row (i - 4) / 10 of the prior (in general (i - (r - 1) // 2) / r), the outermost
  rows going on outside. The bilinear resizing of images would be (i - 4.5) / 10.
- ReLU after the 1x1 convolution and after the product.

Decided here: an input that is not 480x640 keeps the prior of 6x8, enlarged to its output; where that is no
whole multiple, as images are resized (pixels as areas). Channels are red, green, blue: `keras1` turns the
published first kernel round. VGG's convolutions begin as He et al. 2015; the 1x1 convolution begins
with the absolute values of Glorot's, which keep the map above 0: where its ReLU is 0 nothing is learned.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from ferjax.models.parts import Conv, dropout, recorder
from ferjax.models.vgg16 import Vgg16, scaled

Array = jax.Array
PRIOR = (6, 8)  # of an output of 60x80
SCALE = 8  # pixels of the input to one of the output
GLOROT = nn.initializers.glorot_normal()


def positive(key: Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
    """Absolute values of Glorot's normal initialisation."""
    return jnp.abs(GLOROT(key, shape, dtype))


class Prior(nn.Module):
    """A learned map, zero at the start, by whose enlarged 1 + W the saliency is multiplied."""

    param_dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[b, h, w, 1] -> [b, h, w, 1]."""
        kernel = self.param("kernel", nn.initializers.zeros, PRIOR, self.param_dtype)
        rows, columns = (jnp.asarray(upsampling(n, m)) for n, m in zip(PRIOR, x.shape[1:3], strict=True))
        large = jnp.matmul(rows, jnp.matmul(1 + kernel, columns.T, precision="highest"), precision="highest")
        return x * large[None, :, :, None].astype(x.dtype)


class OneMap(nn.Module):
    """The 1x1 convolution to one map."""

    dtype: Any
    param_dtype: Any

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[b, h, w, c] -> [b, h, w, 1]."""
        kernel = self.param("kernel", positive, (1, 1, x.shape[-1], 1), self.param_dtype)
        bias = self.param("bias", nn.initializers.zeros, (1,), self.param_dtype)
        return x @ kernel[0, 0].astype(self.dtype) + bias.astype(self.dtype)


class MlNet(Vgg16):
    """A picture's saliency; VGG16's parts, and three more.

    Attributes:
      dropout: of the three levels side by side; a multiple of 1/256.
      pool4_stride, pool: 1 and "theano", as published.
      relu: the rectifier, also of the map.
    """

    pool4_stride: int = 1
    pool: str = "theano"
    dropout: float = 0.5

    @nn.compact
    def __call__(self, x: Array, keys: Array | None = None) -> tuple[Array, dict[str, Array]]:
        """The map and every named activation.

        Args:
          x: [b, h, w, 3], as of `vgg16.normalise`; 480x640 in the paper.
          keys: [b] one random key an example, for dropout; None: evaluation, no dropout.
        Returns:
          float32 [b, h', w'], 0 or more, of no particular scale, h' and w' as h and w halved three times and
          rounded up ("caffe": down); those of `vgg16.Vgg16`, "levels", "encode", "encode/relu", "map",
          "map/relu", "prior" and "prior/relu", of which the last four have one channel.
        Raises:
          BadInput: the image is too small.
        """
        named, acts = recorder(self.edit)
        last = self.convolutions(named, x)
        x = named("levels", jnp.concatenate([acts["pool3"], acts["pool4"], last], -1))
        x = dropout(x, keys, self.dropout, 0)
        filters = scaled(64, self.width)
        x = Conv(filters, 3, self.conv, GLOROT, self.dtype, self.param_dtype, name="encode")(x)
        x = named("encode/relu", self.relu(named("encode", x)))
        x = named("map", OneMap(self.dtype, self.param_dtype, name="map")(x))
        x = named("map/relu", self.relu(x)).astype(jnp.float32)
        x = named("prior", Prior(self.param_dtype, name="prior")(x))
        x = named("prior/relu", self.relu(x))
        return x[..., 0], acts


def output_shape(h: int, w: int) -> tuple[int, int]:
    """Rows and columns of the map of an input of h by w pixels, with pooling as published."""
    return -(-h // SCALE), -(-w // SCALE)


def upsampling(n: int, m: int) -> np.ndarray:
    """float32 [m, n]: the weights that enlarge n rows to m.

    Where m is a whole multiple r of n, as Theano's bilinear_upsampling: row i is at (i - (r - 1) // 2) / r.
    Else as images are resized: at (i + 1/2) n / m - 1/2. Outside, the outermost rows go on.
    """
    i = np.arange(m)
    at = (i - (m // n - 1) // 2) * n / m if m % n == 0 else (i + 0.5) * n / m - 0.5
    far = np.abs(np.clip(at, 0, n - 1)[:, None] - np.arange(n)[None])
    return np.maximum(0, 1 - far).astype(np.float32)
