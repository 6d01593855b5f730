"""Networks with random weights, and whether a map notices them: the test of Adebayo et al. 2018.

A map that stays the same while the weights it is said to explain are drawn anew, shows the input and not the
network. Weights are drawn anew from the output down, one layer more at each step ("cascading").

Axis letters: n inputs, l steps of the cascade.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from ferjax.attribution import ranks
from ferjax.attribution.network import HEAD, Network
from ferjax.attribution.subjects import mean_interval
from ferjax.augment import normalise

Array = jax.Array
Method = Callable[..., Array]  # (network, x, layer, index, key) -> [b, h, w, c], as in attribution.pixels


LEAST = 67  # pixels that every AlexNet takes
_APART = 7919  # no training draws its first weights with this, so that "drawn anew" never gives those again


def random_network(network: Network, seed: int, image_shape: tuple[int, int, int] | None = None) -> Network:
    """The same architecture with weights as at the start of a training, and no head.

    Args:
      network: the trained one.
      seed: other seeds, other weights.
      image_shape: [h, w, c] of its input; None: a square image, whose side the weights of the hidden layer
        tell.
    Raises:
      ValueError: weights of these shapes do not fit an image of that shape.
    """
    shape = tuple(image_shape or _square(network))
    key = jax.random.fold_in(jax.random.key(seed), _APART)
    try:
        jax.eval_shape(network.model.init, key, jnp.zeros((1, *shape)))
    except (ValueError, TypeError) as error:
        raise ValueError(f"the network cannot take images of shape {shape}: {error}") from error
    params = _drawn(network.model, key, shape)
    if jax.tree.map(jnp.shape, params) != jax.tree.map(jnp.shape, dict(network.params)):
        raise ValueError(f"the network's weights do not fit images of shape {shape}")
    return network.replace(params=params, head=None, au_names=())


def cascade(
    network: Network, seed: int, image_shape: tuple[int, int, int] | None = None, target: str = "logits"
) -> Iterator[tuple[str, Network]]:
    """The network with its last layer drawn anew, then its last two, and so on down to the first block.

    Args:
      network: the trained one.
      seed: of the new weights, which are the same at every step.
      image_shape: as for `random_network`.
      target: what will be explained: a layer of a block begins the cascade at that block. "aus" puts the
        head in the place of the logits. Its new weights are Gaussian with the deviation of the old ones, unit
        by unit, since it has no initial ones.
    Yields:
      (name of the layer now drawn anew too, network): "logits" or "aus", "dense", "block3", ... "block1"; of
      AlexNet "dense2", "dense1", "block5", ...
    Raises:
      ValueError: as `random_network`, or target "aus" without a head.
    """
    fresh, params = random_network(network, seed, image_shape).params, dict(network.params)
    if target == HEAD:
        if network.head is None:
            raise ValueError("the action units are to be explained, and the network has no head")
        network = network.replace(head=_random_head(network.head, seed))
        yield HEAD, network
    blocks = [stage.block for stage in reversed(network.model.stages)]
    hidden = sorted((name for name in params if name.startswith("dense")), reverse=True)
    names, first = ["logits", *hidden, *blocks], target.partition("/")[0]
    for name in names[1 if target == HEAD else names.index(first) if first in names else 0 :]:
        weights = f"{name}_conv" if name in blocks else name
        params = params | {weights: fresh[weights]}
        yield name, network.replace(params=params)


def _random_head(head: dict, seed: int) -> dict:
    kernel = jnp.asarray(head["kernel"])
    noise = jax.random.normal(jax.random.fold_in(jax.random.key(seed), 1), kernel.shape)
    return {"kernel": noise * kernel.std(0), "bias": jnp.zeros_like(head["bias"])}


@partial(jax.jit, static_argnums=(0, 2))
def _drawn(model, key: Array, shape: tuple[int, int, int]) -> dict:
    return model.init(key, jnp.zeros((1, *shape)))["params"]


def _square(network: Network) -> tuple[int, int, int]:
    """[h, w, c] of the square image that the weights belong to."""
    channels = jnp.shape(network.params["block1_conv"]["kernel"])[2]
    if "dense" not in network.params:  # AlexNet, whose weights fit every size
        return (LEAST, LEAST, channels)
    features = network.model.features
    rows = jnp.shape(network.params["dense"]["kernel"])[0] // features[-1]
    side = math.isqrt(rows)
    if side * side != rows:
        raise ValueError(f"a map of {rows} places comes from no square image: give image_shape")
    return (side * 2 ** len(features), side * 2 ** len(features), channels)


def spearman(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Rank correlation of each row, equal values sharing the mean of their ranks.

    Args:
      a, b: [n, ...]; all but the first axis is one row.
    Returns:
      float64 [n] in [-1, 1]; NaN where one of the two is constant.
    Source: Spearman 1904.
    """
    a, b = (np.asarray(x).reshape(len(x), -1) for x in (a, b))
    if a.shape != b.shape:
        raise ValueError(f"spearman needs two arrays of one shape, got {a.shape} and {b.shape}")
    a, b = (ranks.centred_ranks(x.T) for x in (a, b))
    top, size = (a * b).sum(0), np.sqrt((a * a).sum(0) * (b * b).sum(0))
    return np.divide(top, size, out=np.full(len(top), np.nan), where=size > 0)


def alike_in(a: np.ndarray, b: np.ndarray, region: np.ndarray | None) -> np.ndarray:
    """`spearman` of each row over the pixels of its region, bool [n, h, w]; None: over all."""
    if region is None:
        return spearman(a, b)
    each = [spearman(x[inside][None], y[inside][None])[0] for x, y, inside in zip(a, b, region, strict=True)]
    return np.array(each)


def run_method(
    method: Method,
    network: Network,
    images: np.ndarray,
    layer: str,
    index,
    key: Array | None = None,
    batch_size: int = 32,
    position: np.ndarray | None = None,
) -> np.ndarray:
    """A pixel method over a set, batch by batch, channels added: float32 [n, h, w].

    Args:
      method: as in `attribution.pixels.METHODS`.
      network: its `normalise` is applied to the images.
      images: uint8 [n, h, w, c].
      layer, index: what is explained; index is one number, or int [n].
      key: of random methods, folded with the number of the batch; None: key 0.
      batch_size: images a step; the last step is padded.
      position: int [n, 2] as of `attribution.pixels`; None: the method's own.
    Raises:
      ValueError: the method gives maps of another shape, or not finite ones.
    """
    n, key = len(images), jax.random.key(0) if key is None else key
    index = np.broadcast_to(np.asarray(index, np.int32), n)
    batch_size, out = max(1, min(batch_size, n)), []
    for i, start in enumerate(range(0, n, batch_size)):
        batch = np.asarray(images[start : start + batch_size])
        real = len(batch)
        x = normalise(jnp.asarray(np.pad(batch, [(0, batch_size - real)] + [(0, 0)] * 3)), network.normalise)
        chosen = np.pad(index[start : start + batch_size], (0, batch_size - real), mode="edge")
        place = {}
        if position is not None:
            some = position[start : start + batch_size]
            place["position"] = np.pad(some, [(0, batch_size - real), (0, 0)], mode="edge")
        maps = np.asarray(method(network, x, layer, chosen, jax.random.fold_in(key, i), **place), np.float32)
        if maps.shape != x.shape:
            raise ValueError(f"a method gave maps {maps.shape} of images {x.shape}")
        if not np.isfinite(maps).all():
            raise ValueError(f"a method gave a map that is not finite, of {layer}, inputs from {start} on")
        out.append(maps[:real].sum(-1))
    return np.concatenate(out) if out else np.zeros((0, *images.shape[1:3]), np.float32)


@dataclasses.dataclass(frozen=True)
class Randomisation:
    """How alike a method's maps of the trained and of the randomised networks are.

    Attributes:
      method: its name.
      layers: l names in the order of the cascade; at each all before it are drawn anew too.
      spearman, low, high: [l] mean over inputs of the rank correlation of absolute maps, and its 95 %
        interval over subjects (or over inputs, where none are known).
      signed, signed_low, signed_high: [l] of the maps with their signs.
      undefined: [l] share of inputs and seeds that are left out, since one of the two maps is constant.
    """

    method: str
    layers: tuple[str, ...]
    spearman: np.ndarray
    low: np.ndarray
    high: np.ndarray
    signed: np.ndarray
    signed_low: np.ndarray
    signed_high: np.ndarray
    undefined: np.ndarray


def randomisation_test(
    network: Network,
    images: np.ndarray,
    methods: Mapping[str, Method],
    layer: str,
    index,
    subject: np.ndarray,
    seeds: Sequence[int] = (0,),
    batch_size: int = 32,
    n_bootstrap: int = 2000,
    position: np.ndarray | None = None,
    region: np.ndarray | None = None,
) -> list[Randomisation]:
    """The cascading randomisation test of every method.

    Compared are maps of the same input for the same target, channels added, by Spearman's correlation over
    the pixels: of absolute values, as in the paper's main figure, and with signs. An input's value is its
    mean over seeds.

    Args:
      network: the trained one.
      images: uint8 [n, h, w, c].
      methods: name -> method.
      layer, index: what is explained, as for `run_method`; the cascade begins there.
      subject: str [n].
      seeds: of the new weights, one cascade each.
      batch_size: images a step.
      n_bootstrap: resamples of the subjects.
      position: as for `run_method`: the place in the trained network's map, kept when weights change.
      region: bool [n, h, w], the pixels compared, such as a place's receptive field: the zeros around it
        are the same under all weights. None: all.
    Returns:
      One Randomisation a method.
    Raises:
      ValueError: as `cascade` and `run_method`, or no seeds.
    Source: Adebayo et al. 2018, Sanity checks for saliency maps, section 3 (cascading randomisation).
    """
    if not len(seeds) or not len(images):
        raise ValueError("randomisation_test needs at least one seed and one image")
    shape = jax.eval_shape(lambda x: normalise(x, network.normalise), images).shape[1:]

    def run(method, network):
        return run_method(method, network, images, layer, index, None, batch_size, position)

    original = {name: run(method, network) for name, method in methods.items()}
    names, alike = (), {name: [] for name in methods}  # alike: of each seed [l, 2, n]
    for seed in seeds:
        steps, rows = [], {name: [] for name in methods}
        for step, other in cascade(network, seed, shape, layer):
            steps.append(step)
            for name, method in methods.items():
                a, b = original[name], run(method, other)
                rows[name].append([alike_in(np.abs(a), np.abs(b), region), alike_in(a, b, region)])
        names = tuple(steps)
        for name, values in rows.items():
            alike[name].append(np.array(values))
    return [_summary(name, names, np.array(values), subject, n_bootstrap) for name, values in alike.items()]


def _summary(
    name: str, layers: tuple[str, ...], values: np.ndarray, subject, n_bootstrap: int
) -> Randomisation:
    """values [seeds, l, 2, n]."""
    defined = np.isfinite(values)
    count = defined.sum(0)
    total = np.where(defined, values, 0).sum(0)
    each = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)  # [l, 2, n]
    mean, low, high = mean_interval(np.moveaxis(each, -1, 0), subject, n_bootstrap)
    return Randomisation(
        name,
        layers,
        mean[:, 0],
        low[:, 0],
        high[:, 0],
        mean[:, 1],
        low[:, 1],
        high[:, 1],
        1 - defined[:, :, 0].mean((0, 2)),
    )
