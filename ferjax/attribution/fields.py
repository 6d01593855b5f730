"""Where a place of a layer's map lies in the picture, and how maps become pictures."""

from typing import NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from data_pipelines import BadInput
from ferjax import models

Array = jax.Array


class ReceptiveField(NamedTuple):
    """Which pixels a place in a layer's map can see; the same down and across.

    Place i sees the `size` pixels from start + i * stride on; those outside of the image are padding.
    """

    size: int
    stride: int
    start: int

    def box(self, position, image: tuple[int, int], clipped: bool = True) -> np.ndarray:
        """The pixels that a place sees.

        Args:
          position: [..., 2] int row and column in the layer's map.
          image: (h, w) in pixels.
          clipped: cut to the image.
        Returns:
          [..., 4] int32 top, left, bottom, right in pixels; bottom and right are the first outside:
          image[top:bottom, left:right].
        """
        low = self.start + np.asarray(position, np.int32) * self.stride
        high = low + self.size
        if clipped:
            low, high = np.clip(low, 0, image), np.clip(high, 0, image)
        return np.concatenate([low, high], -1).astype(np.int32)


def receptive_field(model, layer: str) -> ReceptiveField:
    """The receptive field of a layer's places: its size, how far apart two are, where the first begins.

    A convolution or pooling of side k at a stride s so far makes it (k - 1) s larger, with p s of it before
    where p pixels are padded there, and multiplies s by its own stride.

    Args:
      model: a network, or config.model.
      layer: "block<i>/conv", "block<i>/relu" or "block<i>/pool".
    Returns:
      ReceptiveField, in pixels.
    Raises:
      BadInput: another layer; beyond the blocks, a unit sees the whole image.
    Source: Araujo et al. 2019, Computing receptive fields of convolutional neural networks, equations 2 to 5.
    """
    if isinstance(model, ConfigDict):
        model = models.build(model, 1)
    size, stride, start = 1, 1, 0
    fields = {}
    for stage in model.stages:
        size, start = size + (stage.kernel - 1) * stride, start - stage.before * stride
        stride *= stage.stride
        fields |= dict.fromkeys(stage.maps[:2], ReceptiveField(size, stride, start))
        if stage.pool:
            size, stride = size + (stage.pool - 1) * stride, 2 * stride
            fields[stage.maps[2]] = ReceptiveField(size, stride, start)
    if layer not in fields:
        raise BadInput(
            f"layer {layer!r} has no receptive field smaller than the image; take one of {', '.join(fields)}"
        )
    return fields[layer]


def enlarge(maps: Array, size: tuple[int, int]) -> Array:
    """Bilinear, with pixel centres at halves (torch's align_corners=False): [..., h', w'] -> [..., h, w]."""
    return jax.image.resize(maps, (*maps.shape[:-2], *size), "linear")


def as_picture(maps) -> np.ndarray:
    """Maps as grey pictures, each scaled by its own largest absolute value.

    Args:
      maps: [..., h, w, c]; channels are added.
    Returns:
      uint8 [..., h, w]: 128 is 0, 255 the largest absolute value, 1 its negative; all 128 where the map is 0.
    Raises:
      ValueError: a map is not finite.
    """
    maps = np.asarray(maps, np.float64).sum(-1)
    if not np.isfinite(maps).all():
        raise ValueError("as_picture: a map is NaN or infinite")
    largest = np.abs(maps).max((-2, -1), keepdims=True)
    return np.rint(128 + 127 * maps / np.where(largest > 0, largest, 1)).astype(np.uint8)
