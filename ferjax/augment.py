"""Random changes of the input images, on the device, inside the step.

Every random number is drawn from a key made of (seed, step, example), so that a run does not depend on how
many devices share the batch, nor on where it was interrupted.
"""

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from data_pipelines import BadInput

Array = jax.Array
MEAN, DEVIATION = (
    (0.485, 0.456, 0.406),
    (0.229, 0.224, 0.225),
)  # of ImageNet's colours, as torchvision has them


def example_keys(seed: int, step: Array, ids: Array) -> Array:
    """One key an example: [b] from the run's seed, the step and the examples' rows in their Split."""
    key = jax.random.fold_in(jax.random.key(seed), step)
    return jax.vmap(lambda i: jax.random.fold_in(key, i))(ids)


def normalise(images: Array, kind: str) -> Array:
    """Values of pixels to network input.

    Args:
      images: [b, h, w, c], 0..255, any dtype.
      kind: "scale": x / 255; "standardise": each image to mean 0 and deviation 1 (a blank image gives 0);
        "imagenet": x / 255, grey as three equal channels, minus `MEAN`, over `DEVIATION`. With 2 or 4
        channels the last one is a map of saliency, which becomes x / 255 - 0.5 and the fourth channel.
    Returns:
      [b, h, w, c] float32; for "imagenet" c is 3, or 4 with a map.
    Raises:
      BadInput: "imagenet", and more than 4 channels.
    """
    x = images.astype(jnp.float32) / 255
    if kind == "imagenet":
        return _imagenet(x)
    if kind == "scale":
        return x
    axes = (1, 2, 3)
    x = x - jnp.mean(x, axes, keepdims=True)
    return x / jnp.sqrt(jnp.mean(x * x, axes, keepdims=True) + 1e-6)


def _imagenet(x: Array) -> Array:
    channels = x.shape[-1]
    if channels > 4:
        raise BadInput(
            f"config key model.normalise is imagenet, which takes grey or colour and a map; these images "
            f"have {channels} channels; set standardise"
        )
    mapped = channels % 2 == 0
    picture = (x[..., : channels - mapped] - jnp.array(MEAN)) / jnp.array(DEVIATION)  # grey: of each colour
    return jnp.concatenate([picture, x[..., -1:] - 0.5], -1) if mapped else picture


def middle(images, side: int):
    """The middle square of [..., h, w, c], an odd pixel more left below and right; all where side is 0."""
    if not side:
        return images
    top, left = ((n - side) // 2 for n in images.shape[-3:-1])
    return images[..., top : top + side, left : left + side, :]


def input_shape(config: ConfigDict, image_shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """[h, w, c] of what a network gets of images of that shape: cut by augment.crop, then normalised.

    Raises:
      BadInput: the images are smaller than augment.crop, or have channels that model.normalise cannot take.
    """
    h, w, _ = image_shape
    side = config.augment.crop
    if side > min(h, w):
        raise BadInput(
            f"config key augment.crop is {side}; the images are {h}x{w}; set a larger data.image_size, or "
            "cut less"
        )
    one = jax.eval_shape(
        lambda x: normalise(middle(x, side), config.model.normalise), jnp.zeros((1, *image_shape))
    )
    return one.shape[1:]


def by_turns(seed: int, epoch: Array, ids: Array) -> Array:
    """bool [b]: which examples are mirrored in an epoch: half of them, the other half in the next.

    Source: Jordan 2024, 94% on CIFAR-10 in 3.29 seconds on a single GPU, section 3.6.
    """
    keys = example_keys(seed, 2**32 - 1, ids)  # of no step
    return jax.vmap(jax.random.bernoulli)(keys) ^ (epoch % 2 == 1)


def augment(
    images: Array,
    keys: Array,
    config: ConfigDict,
    geometry_on: Array | bool = True,
    mirrored: Array | None = None,
) -> Array:
    """Flip, affine map, crop, contrast and erasing, each by config.augment.

    Args:
      images: [b, h, w, c], 0..255.
      keys: [b], see `example_keys`.
      geometry_on: scalar; False leaves only the flip, and cuts from the middle (used for the last epochs).
      mirrored: bool [b], with config.augment.flip_alternate: see `by_turns`.
    Returns:
      [b, h, w, c] float32, 0..255; with a crop, h and w are its side.
    """
    on = jnp.asarray(geometry_on, jnp.float32)

    def one(image, key, turn):
        k = jax.random.split(key, 4)
        x = image.astype(jnp.float32)
        affine = config.rotation or config.translation or config.scale or config.shear
        by_lot = jax.random.bernoulli(k[0]) if config.flip else False
        mirrored = by_lot if turn is None else turn
        if affine:
            x = _affine(x, _random_affine(k[1], config, on, mirrored))
        elif config.flip:
            x = jnp.where(mirrored, x[:, ::-1], x)
        if config.crop:
            x = _cut(x, jax.random.fold_in(key, 4), config.crop, on)
        if config.contrast:
            gain = 1 + on * jax.random.uniform(k[2], minval=-config.contrast, maxval=config.contrast)
            mean = jnp.mean(x)
            x = jnp.clip(mean + gain * (x - mean), 0, 255)
        if config.erase:
            x = _erase(x, k[3], config.erase * on, config.erase_area)
        return x

    return jax.vmap(one, in_axes=(0, 0, None if mirrored is None else 0))(images, keys, mirrored)


def _cut(image: Array, key: Array, side: int, on: Array) -> Array:
    """A square of [h, w, c] from anywhere; from the middle where `on` is 0."""
    room = jnp.array([n - side for n in image.shape[:2]])
    at = jnp.where(on > 0, jax.random.randint(key, (2,), 0, room + 1), room // 2)
    return jax.lax.dynamic_slice(image, (at[0], at[1], 0), (side, side, image.shape[2]))


def _random_affine(key: Array, config: ConfigDict, on: Array, mirrored: Array) -> Array:
    """[2, 3]: where each output pixel is read from, about the centre, in shares of half the side."""
    u = on * jax.random.uniform(key, (5,), minval=-1, maxval=1)
    angle = u[0] * jnp.deg2rad(config.rotation)
    shear = jnp.tan(u[1] * jnp.deg2rad(config.shear))
    scale = 1 + u[2] * config.scale
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    linear = jnp.array([[cos, -sin], [sin, cos]]) @ jnp.array([[1.0, shear], [0.0, 1.0]]) / scale
    linear = linear * jnp.where(mirrored, jnp.array([-1.0, 1.0]), 1.0)
    return jnp.concatenate([linear, 2 * config.translation * u[3:5, None]], 1)


def _affine(image: Array, matrix: Array) -> Array:
    """Bilinear resampling of [h, w, c]; outside, the border goes on."""
    h, w, _ = image.shape
    y, x = (jnp.arange(h) - (h - 1) / 2) / (h / 2), (jnp.arange(w) - (w - 1) / 2) / (w / 2)
    sx = matrix[0, 0] * x[None] + matrix[0, 1] * y[:, None] + matrix[0, 2]
    sy = matrix[1, 0] * x[None] + matrix[1, 1] * y[:, None] + matrix[1, 2]
    sx = jnp.clip(sx * (w / 2) + (w - 1) / 2, 0, w - 1)
    sy = jnp.clip(sy * (h / 2) + (h - 1) / 2, 0, h - 1)
    x0, y0 = jnp.floor(sx).astype(jnp.int32), jnp.floor(sy).astype(jnp.int32)
    x1, y1 = jnp.minimum(x0 + 1, w - 1), jnp.minimum(y0 + 1, h - 1)
    fx, fy = (sx - x0)[..., None], (sy - y0)[..., None]
    top = image[y0, x0] * (1 - fx) + image[y0, x1] * fx
    bottom = image[y1, x0] * (1 - fx) + image[y1, x1] * fx
    return top * (1 - fy) + bottom * fy


def _erase(image: Array, key: Array, chance: Array, area: tuple[float, float]) -> Array:
    """Random erasing (Zhong et al. 2017): one rectangle becomes the image's mean."""
    h, w, _ = image.shape
    u = jax.random.uniform(key, (5,))
    share = area[0] + u[1] * (area[1] - area[0])
    aspect = jnp.exp((2 * u[2] - 1) * jnp.log(3.0))
    eh, ew = jnp.sqrt(share * aspect) * h, jnp.sqrt(share / aspect) * w
    top, left = u[3] * (h - eh), u[4] * (w - ew)
    y, x = jnp.arange(h)[:, None, None], jnp.arange(w)[None, :, None]
    inside = (y >= top) & (y < top + eh) & (x >= left) & (x < left + ew)
    return jnp.where(inside & (u[0] < chance), jnp.mean(image), image)
