"""AlexNet as torchvision has it (Krizhevsky 2014, "One weird trick"): five convolutions, two hidden layers.

At 224x224x3 and 1000 outputs: 61,100,840 parameters. There is neither local response normalisation nor are
there groups, as in Krizhevsky et al. 2012 and Caffe; of Caffe's form only the first convolution is taken,
which has no padding, for 227x227 pixels.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from ml_collections import ConfigDict

from data_pipelines import BadInput
from ferjax.models.parts import INITS, Conv, Stage, dense, dropout, recorder, unchanged
from ferjax.ops.pool import max_pool_3x3

Array = jax.Array
FEATURES, DENSE = (64, 192, 384, 256, 256), 4096  # filters and units at width 1
KERNEL = (11, 5, 3, 3, 3)
STRIDE = 4  # of the first convolution
PADDING = {"torchvision": 2, "caffe": 0}  # of the first convolution, by form
POOLED = (1, 2, 5)  # blocks that a pooling follows
SIDE = 6  # of the map that the first dense layer sees
# torchvision's names: block -> features.<n>, dense layer -> classifier.<n>
CONVOLUTIONS, CLASSIFIER = (0, 3, 6, 8, 10), {"dense1": 1, "dense2": 4, "logits": 6}


class First(nn.Module):
    """The first convolution: 11x11 with stride 4, and a bias."""

    features: int
    padding: int
    kernel_init: Callable
    dtype: Any
    param_dtype: Any

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[b, h, w, c] -> [b, h', w', features], h' = (h + 2 padding - 11) // 4 + 1."""
        shape = (KERNEL[0], KERNEL[0], x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape, self.param_dtype)
        bias = self.param("bias", nn.initializers.zeros, (self.features,), self.param_dtype)
        x = lax.conv_general_dilated(
            x,
            kernel.astype(self.dtype),
            (STRIDE, STRIDE),
            [(self.padding, self.padding)] * 2,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        return x + bias.astype(self.dtype)


class AlexNet(nn.Module):
    """Five blocks, an adaptive pooling to 6x6, two hidden layers and the logits.

    Attributes:
      outputs: logits.
      features: filters of each block.
      dense: units of both hidden layers.
      padding: of the first convolution: 2 as torchvision, 0 as Caffe.
      dropout: before each hidden layer.
      relu, edit: as in `FerCnn`.
    """

    outputs: int
    features: Sequence[int] = FEATURES
    dense: int = DENSE
    padding: int = 2
    dropout: float = 0.5
    kernel_init: Callable = nn.initializers.glorot_uniform()
    conv: str = "auto"
    dtype: Any = jnp.float32
    param_dtype: Any = jnp.float32
    relu: Callable = nn.relu
    edit: Callable[[str, Array], Array] = unchanged

    features_layer = "dense2/relu"  # the last hidden layer, on which heads stand

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Its convolutions and poolings, in order."""
        return tuple(
            Stage(
                f"block{i}",
                kernel,
                STRIDE if i == 1 else 1,
                self.padding if i == 1 else kernel // 2,
                3 if i in POOLED else 0,
            )
            for i, kernel in enumerate(KERNEL, 1)
        )

    @nn.compact
    def __call__(self, x: Array, keys: Array | None = None) -> tuple[Array, dict[str, Array]]:
        """Logits and every named activation.

        Args:
          x: [b, h, w, c], normalised (see `augment.normalise`); any size from 63 pixels on (as Caffe 67).
          keys: [b] one random key an example, for dropout; None: evaluation, no dropout.
        Returns:
          logits [b, outputs] float32; {"block1/conv": [b, h, w, j], "block1/relu", "block1/pool" (blocks 1, 2
          and 5), ..., "dense1": [b, dense] before and "dense1/relu" after its ReLU, "dense2", "dense2/relu",
          "logits"}.
        Raises:
          BadInput: the image is too small.
        """
        check_side(min(x.shape[1:3]), self.padding)
        named, acts = recorder(self.edit)
        x = x.astype(self.dtype)
        types = (self.kernel_init, self.dtype, self.param_dtype)
        for i, (features, kernel) in enumerate(zip(self.features, KERNEL, strict=True), 1):
            block = f"block{i}"
            if i == 1:
                x = First(features, self.padding, *types, name=f"{block}_conv")(x)
            else:
                x = Conv(features, kernel, self.conv, *types, name=f"{block}_conv")(x)
            x = named(f"{block}/conv", x)
            x = named(f"{block}/relu", self.relu(x))
            if i in POOLED:
                x = named(f"{block}/pool", max_pool_3x3(x))
        x = adaptive_mean(x, SIDE).reshape(len(x), -1)
        for i in (1, 2):
            x = dropout(x, keys, self.dropout, i - 1)
            x = named(f"dense{i}", dense(self, self.dense, f"dense{i}")(x))
            x = named(f"dense{i}/relu", self.relu(x))
        x = named("logits", dense(self, self.outputs, "logits")(x).astype(jnp.float32))
        return x, acts


def least_side(padding: int) -> int:
    """The least side in pixels that leaves a place of the last map: 63 as torchvision, 67 as Caffe."""
    return 67 - 2 * padding


def check_side(side: int, padding: int) -> None:
    """BadInput where an image is too small."""
    if side < least_side(padding):
        raise BadInput(
            f"config key model.name is alexnet, which takes images from {least_side(padding)} pixels on; "
            f"these have {side}; set a larger data.image_size or augment.crop"
        )


def adaptive_mean(x: Array, side: int) -> Array:
    """[b, h, w, c] -> [b, side, side, c]: means of rows floor(i h / side) to ceil((i + 1) h / side).

    Source: torch.nn.AdaptiveAvgPool2d.
    """
    if x.shape[1:3] == (side, side):
        return x
    down, across = (jnp.asarray(_means(n, side), x.dtype) for n in x.shape[1:3])
    return jnp.einsum("ih,jw,bhwc->bijc", down, across, x, precision="highest")


def _means(n: int, side: int) -> np.ndarray:
    """[side, n]: the weights of n values in each of `side` means, which may overlap."""
    i, place = np.arange(side)[:, None], np.arange(n)
    inside = (place >= i * n // side) & (place < -(-(i + 1) * n // side))
    return inside / inside.sum(1, keepdims=True)


def build(config: ConfigDict, outputs: int) -> AlexNet:
    """The network of config.model."""
    return AlexNet(
        outputs=outputs,
        features=tuple(max(1, round(config.width * n)) for n in FEATURES),
        dense=max(1, round(config.width * DENSE)),
        padding=PADDING[config.form],
        dropout=config.dropout_dense,
        kernel_init=INITS[config.init],
        conv=config.conv,
        dtype=jnp.dtype(config.compute_dtype),
        param_dtype=jnp.dtype(config.param_dtype),
    )


def from_torch(arrays: Mapping[str, np.ndarray], path) -> dict[str, dict[str, np.ndarray]]:
    """The weights of a state dict of torchvision's AlexNet, of any widths, in this network's layout.

    Convolutions O,I,H,W become H,W,I,O; dense layers are transposed, and the rows of the first one, which
    sees a map flattened as C,H,W, go to H,W,C.

    Args:
      arrays: name -> array, as `weights.read` gives them.
      path: of their file, for the error.
    Returns:
      part -> {"kernel", "bias"}.
    Raises:
      BadInput: an array is missing, of another rank, or its sizes do not fit the others.
    """
    names = {f"block{i}_conv": f"features.{n}" for i, n in enumerate(CONVOLUTIONS, 1)}
    names |= {part: f"classifier.{n}" for part, n in CLASSIFIER.items()}
    wanted = {f"{name}.{what}" for name in names.values() for what in ("weight", "bias")}
    for name in sorted(wanted):
        if name not in arrays:
            has = ", ".join(sorted(arrays)[:4])
            raise BadInput(
                f"{path}: has no {name}, and so is no AlexNet of torchvision; it has {has}, ... "
                f"({len(arrays)} arrays)"
            )
    others = sorted(set(arrays) - wanted)
    if others:
        raise BadInput(f"{path}: has {others[0]}, which torchvision's AlexNet lacks: it is another network")
    out, before = {}, arrays[f"{names['block1_conv']}.weight"].shape[1:2]  # what the layer sees
    for part, name in names.items():
        weight, bias = arrays[f"{name}.weight"], arrays[f"{name}.bias"]
        convolves = part.endswith("_conv")
        sides = (KERNEL[int(part[5]) - 1],) * 2 if convolves else ()
        if part == "dense1":
            before = (before[0] * SIDE * SIDE,)
        wanted = (*bias.shape, *before, *sides)
        if weight.shape != wanted or bias.ndim != 1:
            raise BadInput(
                f"{path}: {name}.weight is {weight.shape} where its bias and the layer before it ask for "
                f"{wanted}: it is another network"
            )
        if convolves:
            kernel = weight.transpose(2, 3, 1, 0)
        elif part == "dense1":
            kernel = (
                weight.reshape(len(weight), -1, SIDE, SIDE).transpose(2, 3, 1, 0).reshape(-1, len(weight))
            )
        else:
            kernel = weight.T
        out[part] = {"kernel": np.ascontiguousarray(kernel), "bias": bias}
        before = bias.shape
    return out
