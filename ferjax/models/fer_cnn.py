"""The expression CNN of Breuer & Kimmel 2017: three convolution blocks, one hidden layer.

A block is a 5x5 convolution, ReLU and 2x2 max pool. At 48x48x1 and 8 outputs: 5,749,256 parameters.
"""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from data_pipelines import BadInput
from ferjax.models.parts import INITS, Conv, Stage, dense, dropout, recorder, unchanged
from ferjax.ops.pool import max_pool_2x2

Array = jax.Array


class FerCnn(nn.Module):
    """Blocks of convolution, ReLU and pooling, then a hidden layer and the logits.

    Attributes:
      outputs: logits.
      features: filters of each block.
      relu: the rectifier; attribution passes others in (deconvnet, guided backpropagation).
      edit: (name, activation) -> activation, at every named place; attribution ablates filters with it,
        and differentiates with respect to a layer.
    """

    outputs: int
    features: Sequence[int] = (64, 128, 256)
    kernel: int = 5
    dense: int = 512
    dropout_conv: float = 0.25
    dropout_dense: float = 0.5
    kernel_init: Callable = nn.initializers.glorot_uniform()
    conv: str = "auto"
    dtype: Any = jnp.float32
    param_dtype: Any = jnp.float32
    relu: Callable = nn.relu
    edit: Callable[[str, Array], Array] = unchanged

    features_layer = "dense/relu"  # the hidden layer, on which heads stand

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Its convolutions and poolings, in order."""
        before = (self.kernel - 1) // 2
        return tuple(Stage(f"block{i}", self.kernel, 1, before, 2) for i in range(1, len(self.features) + 1))

    @nn.compact
    def __call__(self, x: Array, keys: Array | None = None) -> tuple[Array, dict[str, Array]]:
        """Logits and every named activation.

        Args:
          x: [b, h, w, c], normalised (see `augment.normalise`).
          keys: [b] one random key an example, for dropout; None: evaluation, no dropout.
        Returns:
          logits [b, outputs] float32; {"block1/conv": [b, h, w, j], "block1/relu", "block1/pool", ...,
          "dense": [b, dense] before and "dense/relu" after its ReLU, "logits"}.
        Raises:
          BadInput: the image is too small to be halved by every block.
        """
        if min(x.shape[1:3]) < 2 ** len(self.features):
            raise BadInput(
                f"config key model.features has {len(self.features)} blocks that halve the image; the data's "
                f"are {x.shape[1]}x{x.shape[2]}; take fewer blocks or a larger data.image_size"
            )
        named, acts = recorder(self.edit)
        x = x.astype(self.dtype)
        for i, features in enumerate(self.features, 1):
            block = f"block{i}"
            x = Conv(
                features,
                self.kernel,
                self.conv,
                self.kernel_init,
                self.dtype,
                self.param_dtype,
                name=f"{block}_conv",
            )(x)
            x = named(f"{block}/conv", x)
            x = named(f"{block}/relu", self.relu(x))
            x = named(f"{block}/pool", max_pool_2x2(x))
        x = dropout(x, keys, self.dropout_conv, 0)
        x = x.reshape(len(x), -1)
        x = named("dense", dense(self, self.dense, "dense")(x))
        x = named("dense/relu", self.relu(x))
        x = dropout(x, keys, self.dropout_dense, 1)
        x = named("logits", dense(self, self.outputs, "logits")(x).astype(jnp.float32))
        return x, acts


def build(config: ConfigDict, outputs: int) -> FerCnn:
    """The network of config.model."""
    return FerCnn(
        outputs=outputs,
        features=config.features,
        kernel=config.kernel,
        dense=config.dense,
        dropout_conv=config.dropout_conv,
        dropout_dense=config.dropout_dense,
        kernel_init=INITS[config.init],
        conv=config.conv,
        dtype=jnp.dtype(config.compute_dtype),
        param_dtype=jnp.dtype(config.param_dtype),
    )
