"""What in the input drives a filter, a unit or an output: maps over the pixels, by seven methods.

A target is a layer's name and an index: a filter ("block3/relu", 17), a unit ("dense/relu", 33), a logit
("logits", k), an action unit's output ("aus", u). What is explained is one number for each input. Where the
layer has space, `position` says which number:

    "max"    the activation at the filter's largest place in that input, the first of equals in row-major
             order (the default). Found once, on the input itself, and kept for its noisy or interpolated
             copies, so that every map lies within the place's receptive field
    "sum"    the sum over all places
    array    the activation at a given row and column of the layer's map, [b, 2] or [t, b, 2]

A filter that is 0 everywhere in an input has its maximum at (0, 0): its maps are 0, but deconvnet's are not,
since deconvnet asks for no activation.

Arguments of every method:

    network  `attribution.network.Network`
    x        [b, h, w, c] floats, after `augment.normalise`: a map is of what the network gets
    layer    name of an activation, see `layers`
    index    int, [b]: one for each input; or [t, b]: t targets for each input; or one number for all
    key      random key, of smoothgrad; other methods do not look at it
    returns  [b, h, w, c], or [t, b, h, w, c], float32; or as the method says

All raise BadInput for a layer, index or position that the network does not have, and ValueError for shapes.
A program is compiled once for a layer, method and shape; index, weights and position are arguments of it.

Convolutions are summed directly here ("explicit"), whatever the model's own way. Under "winograd", the equal
values of an even surface differ by their rounding, and pooling's tie rule does not hold: on pictures with
even areas, random weights of the paper's network gave gradients up to 0.7 of the largest value off torch's.

Axis letters: t targets for each input, b batch, h w c image, j filter, n steps or samples.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from data_pipelines import BadInput
from ferjax.attribution import fields
from ferjax.attribution.network import HEAD, Network
from ferjax.ops import relu as rectifiers

Array = jax.Array
IMAGES = 32  # maps at once, where there are more: the largest arrays are [32, h, w, filters]


def gradient(network: Network, x, layer: str, index, key=None, *, position="max") -> Array:
    """d target / d x.

    Source: Simonyan et al. 2014, Deep inside convolutional networks (there its absolute value).
    """
    del key
    return _backward(network, x, layer, index, position, nn.relu)


def gradient_x_input(network: Network, x, layer: str, index, key=None, *, position="max") -> Array:
    """x * d target / d x.

    Source: Shrikumar et al. 2016, Not just a black box.
    """
    return gradient(network, x, layer, index, key, position=position) * x


def guided_backprop(network: Network, x, layer: str, index, key=None, *, position="max") -> Array:
    """The gradient, cut to its positive part at every ReLU on the way down. See `ops.relu.guided`.

    Source: Springenberg et al. 2015, Striving for simplicity.
    """
    del key
    return _backward(network, x, layer, index, position, rectifiers.guided)


def deconvnet(network: Network, x, layer: str, index, key=None, *, position="max") -> Array:
    """Rectified at every ReLU, unpooled to the place of each maximum, filtered by the kernels turned about.

    See `ops.relu.deconvnet`; a tie in a pooling window goes to its first element (`ops.pool`).

    Source: Zeiler & Fergus 2014, Visualizing and understanding convolutional networks.
    """
    del key
    return _backward(network, x, layer, index, position, rectifiers.deconvnet)


def both_rectified(network: Network, x, layer: str, index, *, position="max") -> dict[str, Array]:
    """{"guided_backprop", "deconvnet"}: the maps of both, which share their forward pass."""
    target = _target(network, x, layer, index, position)
    maps = _both(network, x, *target.traced, layer=layer, where=target.where)
    return {name: target.shaped(each) for name, each in maps.items()}


def integrated_gradients(
    network: Network, x, layer: str, index, key=None, *, position="max", baseline=0.0, n_steps: int = 50
) -> Array:
    """(x - baseline) * integral over a in [0, 1] of the gradient at baseline + a (x - baseline).

    Complete: a map sums to target(x) - target(baseline), both at the position found on x, up to the error of
    the quadrature.

    Args:
      baseline: [b, h, w, c] or what broadcasts to it, normalised as x is; 0 is black under "scale".
      n_steps: nodes of the Gauss-Legendre quadrature, at least 1.
    Source: Sundararajan et al. 2017, Axiomatic attribution for deep networks; nodes as Captum has them.
    """
    del key
    if n_steps < 1:
        raise ValueError(f"integrated_gradients needs n_steps of at least 1, got {n_steps}")
    target = _target(network, x, layer, index, position)
    baseline = jnp.broadcast_to(jnp.asarray(baseline, jnp.float32), x.shape)
    nodes, weights = np.polynomial.legendre.leggauss(n_steps)
    mean = _mean(network, x, target, partial(_between, x, baseline), (1 + nodes) / 2, weights / 2)
    return target.shaped(mean) * (x - baseline)


def smoothgrad(
    network: Network, x, layer: str, index, key=None, *, position="max", sigma: float = 0.15, n: int = 25
) -> Array:
    """Mean gradient over n copies of x with Gaussian noise.

    Args:
      key: a random key. The noise of an input depends on it, on its row in the batch and on the sample, not
        on the target.
      sigma: deviation of the noise as a share of the input's range, its largest less its smallest value.
      n: samples, at least 1.
    Raises:
      ValueError: no key, or sigma or n out of range.
    Source: Smilkov et al. 2017, SmoothGrad.
    """
    if key is None or n < 1 or not 0 <= sigma < np.inf:
        raise ValueError(
            f"smoothgrad needs a key, n >= 1 and sigma >= 0; got key {key}, n {n}, sigma {sigma}"
        )
    target = _target(network, x, layer, index, position)
    points = partial(_noisy, x, key, jnp.float32(sigma))
    return target.shaped(_mean(network, x, target, points, np.arange(n), np.full(n, 1 / n)))


def grad_cam(
    network: Network, x, layer: str, index, key=None, *, position="max", at: str | None = None
) -> Array:
    """relu(sum_j a_j A_j): A_j is filter j's map in layer `at`, a_j the mean gradient of the target on it.

    Args:
      at: a layer with space, not later than `layer`. None: the last block's ReLU that is not later, and
        `layer` itself where there is none.
    Returns:
      [b, h', w'] or [t, b, h', w'] at the resolution of `at`, not negative; `fields.enlarge` brings it to the
      input's.
    Raises:
      BadInput: `at` has no space, is unknown, or comes after the target.
    Source: Selvaraju et al. 2017, Grad-CAM, equations 1 and 2.
    """
    del key
    target = _target(network, x, layer, index, position)
    shapes = layers(network, x.shape)
    names = list(shapes)
    earlier = names[: names.index(layer) + 1]
    if at is None:
        at = next((n for n in reversed(earlier) if n.startswith("block") and n.endswith("/relu")), layer)
    if at not in shapes:
        raise _unknown(at, names)
    if len(shapes[at]) != 4:
        raise BadInput(
            f"Grad-CAM at {at}: that layer has no space; take one of "
            + ", ".join(n for n in earlier if len(shapes[n]) == 4)
        )
    if at not in earlier:
        raise BadInput(
            f"Grad-CAM at {at} for a target in {layer}, which comes before it; take an earlier `at`"
        )
    return target.shaped(_cams(network, x, *target.traced, layer=layer, where=target.where, at=at))


def grad_cam_enlarged(network: Network, x, layer: str, index, key=None, **options) -> Array:
    """`grad_cam` at the input's resolution, the same on every channel: [..., b, h, w, c]."""
    cam = fields.enlarge(grad_cam(network, x, layer, index, key, **options), x.shape[1:3])
    return jnp.broadcast_to(cam[..., None], (*cam.shape, x.shape[3]))


METHODS: dict[str, Callable[..., Array]] = {  # (network, x, layer, index, key) -> [b, h, w, c]
    "gradient": gradient,
    "gradient_x_input": gradient_x_input,
    "integrated_gradients": integrated_gradients,
    "guided_backprop": guided_backprop,
    "deconvnet": deconvnet,
    "smoothgrad": smoothgrad,
    "grad_cam": grad_cam_enlarged,
}


def attribute(network: Network, x, layer: str, index, method: str, key=None, **options) -> Array:
    """A method by its name in METHODS; `options` are the method's own.

    Returns:
      [b, h, w, c], or [t, b, h, w, c] where index is [t, b].
    Raises:
      BadInput: an unknown method, layer, index or position.
    """
    if method not in METHODS:
        raise BadInput(f"no attribution method is called {method!r}; take one of {', '.join(METHODS)}")
    return METHODS[method](network, x, layer, index, key, **options)


def many(
    network: Network, x, layer: str, indices, method: str, key=None, *, chunk: int | None = None, **options
) -> np.ndarray:
    """Maps of many filters on the same inputs, a few filters at a time by one program.

    Where each filter has inputs of its own, `attribute` with an index for each input is the faster way.

    Args:
      indices: [t] int.
      chunk: filters at a time; memory grows with chunk * b. None: about IMAGES maps at a time.
      options: the method's; a `position` array is [b, 2].
    Returns:
      [t, b, h, w, c] float32, in the host's memory.
    Raises:
      as `attribute`, and ValueError for a chunk below 1.
    """
    indices = np.asarray(indices)
    if indices.ndim != 1 or (chunk is not None and chunk < 1):
        raise ValueError(f"many needs indices [t] and a chunk of at least 1, got {indices.shape} and {chunk}")
    b, t = len(x), len(indices)
    chunk = min(chunk or max(1, IMAGES // max(b, 1)), max(t, 1))
    out = np.empty((t, *x.shape), np.float32)
    for start in range(0, t, chunk):
        part = indices[start : start + chunk]
        filled = np.pad(part, (0, chunk - len(part)), mode="edge")  # the last chunk is as large as the others
        index = np.broadcast_to(filled[:, None], (chunk, b))
        maps = attribute(network, x, layer, index, method, key, **options)
        out[start : start + len(part)] = maps[: len(part)]
    return out


def layers(network: Network, size: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """The names of a network's activations in the order they are computed, and their shapes.

    Args:
      network: its weights are not looked at.
      size: (b, h, w, c) of the input.
    Returns:
      name -> (b, h', w', j), or (b, j) where the layer has no space.
    """
    leaves, tree = jax.tree.flatten(network)
    return dict(_layers(tree, tuple((a.shape, a.dtype) for a in leaves), tuple(size)))


@lru_cache(maxsize=64)
def _layers(tree, leaves, size) -> dict[str, tuple[int, ...]]:
    names = []  # in order; a traced dict comes back sorted

    def named(network, x):
        acts = network(x)
        names.extend(acts)
        return acts

    abstract = tree.unflatten([jax.ShapeDtypeStruct(*leaf) for leaf in leaves])
    shapes = jax.eval_shape(named, abstract, jax.ShapeDtypeStruct(size, jnp.float32))
    return {name: shapes[name].shape for name in names}


class _Target(NamedTuple):
    """Checked arguments: index [t, b], position [t, b, 2] (0 unless `where` is "at")."""

    layer: str
    index: Array
    where: str  # "max", "sum" or "at"
    position: Array
    single: bool  # no axis t was asked for

    @property
    def traced(self) -> tuple[Array, Array]:
        return self.index, self.position

    def shaped(self, maps: Array) -> Array:
        return maps[0] if self.single else maps


def _target(network: Network, x, layer: str, index, position) -> _Target:
    if x.ndim != 4 or not jnp.issubdtype(x.dtype, jnp.floating):
        raise ValueError(f"attribution needs x [b, h, w, c] of normalised floats, got {x.shape} {x.dtype}")
    shapes = layers(network, x.shape)
    if layer not in shapes:
        raise _unknown(layer, list(shapes))
    shape, index = shapes[layer], np.asarray(index)
    if index.dtype.kind not in "iu" or index.ndim > 2 or (index.ndim and index.shape[-1] != len(x)):
        raise ValueError(
            f"index must be int [], [{len(x)}] or [t, {len(x)}], got {index.dtype} {index.shape}"
        )
    outside = index[(index < 0) | (index >= shape[-1])]
    if outside.size:
        raise BadInput(
            f"layer {layer} has no index {outside[0]}; it has {shape[-1]}, from 0 to {shape[-1] - 1}"
        )
    single = index.ndim < 2
    index = np.broadcast_to(index, (1, len(x)) if single else index.shape)
    where, place = position, np.zeros((*index.shape, 2), np.int32)
    if not isinstance(position, str):
        where, place = "at", _place(np.asarray(position), layer, shape, place.shape)
    elif position not in ("max", "sum"):
        raise BadInput(f"position {position!r} is unknown; take max, sum, or an array of rows and columns")
    return _Target(layer, jnp.asarray(index, jnp.int32), where, jnp.asarray(place), single)


def _place(position: np.ndarray, layer: str, shape: tuple[int, ...], wanted: tuple[int, ...]) -> np.ndarray:
    if len(shape) != 4:
        raise BadInput(f"layer {layer} has no space, so no position in it; leave out position")
    if position.dtype.kind not in "iu" or position.shape not in (wanted, wanted[1:]):
        raise ValueError(f"position must be int {list(wanted[1:])}, got {position.dtype} {position.shape}")
    outside = ((position < 0) | (position >= shape[1:3])).any(-1)
    if outside.any():
        row, column = position[outside][0]
        raise BadInput(f"layer {layer} has no position ({row}, {column}); its map is {shape[1]}x{shape[2]}")
    return np.broadcast_to(position, wanted).astype(np.int32)


def _unknown(layer: str, names: list[str]) -> BadInput:
    hint = " (only a network with an action-unit head has it)" if layer == HEAD else ""
    return BadInput(f"no layer is called {layer!r}{hint}; take one of {', '.join(names)}")


def _first_largest(act: Array, index: Array) -> Array:
    """Where each filter is largest: act [b, h, w, j], index [t, b] -> [t, b, 2]."""
    b, h, w, j = act.shape
    chosen = act.reshape(b, h * w, j)[jnp.arange(b), :, index]  # [t, b, h w]
    return jnp.stack(jnp.divmod(jnp.argmax(chosen, -1), w), -1).astype(jnp.int32)


def _selection(act: Array, index: Array, position: Array, where: str) -> Array:
    """d target / d act, [t, *act.shape]: 1 at the chosen places of the chosen filters."""
    filters = index[..., None] == jnp.arange(act.shape[-1])  # [t, b, j]
    if act.ndim == 2:
        return filters.astype(act.dtype)
    h, w = act.shape[1:3]
    if where == "max":
        position = _first_largest(act, index)
    places = jnp.ones((*index.shape, h, w), bool)
    if where != "sum":
        row, column = position[..., :1, None], position[..., 1:, None]
        places = (row == jnp.arange(h)[:, None]) & (column == jnp.arange(w))
    return (places[..., None] & filters[..., None, None, :]).astype(act.dtype)


def _pulled_back(back: Callable, act: Array, index: Array, position: Array, where: str) -> Array:
    """One forward pass serves all targets: [t, *shape of what was differentiated by]."""
    return jax.vmap(lambda g: back(g)[0])(_selection(act, index, position, where))


def _direct(network: Network) -> Network:
    if not hasattr(network.model, "conv"):
        return network
    return network.replace(model=network.model.clone(conv="explicit"))


@partial(jax.jit, static_argnames=("layer", "where", "rule"))
def _gradients(network, x, index, position, *, layer, where, rule) -> Array:
    act, back = jax.vjp(lambda x: _direct(network)(x, relu=rule)[layer], x)
    return _pulled_back(back, act, index, position, where)


@partial(jax.jit, static_argnames=("layer", "where"))
def _both(network, x, index, position, *, layer, where) -> dict[str, Array]:
    """Going forward both rules are max(x, 0), which XLA finds and does once."""
    rules = {"guided_backprop": rectifiers.guided, "deconvnet": rectifiers.deconvnet}
    of = partial(_gradients, network, x, index, position, layer=layer, where=where)
    return {name: of(rule=rule) for name, rule in rules.items()}


def _backward(network, x, layer, index, position, rule) -> Array:
    target = _target(network, x, layer, index, position)
    maps = _gradients(network, x, *target.traced, layer=layer, where=target.where, rule=rule)
    return target.shaped(maps)


@partial(jax.jit, static_argnames=("layer", "where", "at"))
def _cams(network, x, index, position, *, layer, where, at) -> Array:
    def moved(shift):
        acts = _direct(network)(x, edit=lambda name, a: a + shift if name == at else a)
        return acts[layer], acts[at]

    shape = jax.eval_shape(network, x)[at]
    act, back, maps = jax.vjp(moved, jnp.zeros(shape.shape, shape.dtype), has_aux=True)
    gradients = _pulled_back(back, act, index, position, where)
    weights = gradients.mean((2, 3))  # [t, b, j]
    return nn.relu(jnp.einsum("tbj,bhwj->tbhw", weights, maps, precision="highest")).astype(jnp.float32)


@partial(jax.jit, static_argnames="layer")
def _places(network, x, index, *, layer) -> Array:
    return _first_largest(_direct(network)(x)[layer], index)


@jax.jit
def _between(x, baseline, nodes) -> Array:
    return baseline + nodes[:, None, None, None, None].astype(x.dtype) * (x - baseline)


@jax.jit
def _noisy(x, key, sigma, samples) -> Array:
    keys = jax.vmap(lambda row: jax.random.fold_in(key, row))(jnp.arange(len(x)))
    spread = sigma * (x.max((1, 2, 3)) - x.min((1, 2, 3)))

    def copy(image, key, spread, sample):
        return image + spread * jax.random.normal(jax.random.fold_in(key, sample), image.shape, image.dtype)

    return jax.vmap(lambda sample: jax.vmap(copy, (0, 0, 0, None))(x, keys, spread, sample))(samples)


@partial(jax.jit, static_argnames=("layer", "where"))
def _weighted(network, points, weights, index, position, *, layer, where) -> Array:
    """sum_g weights[g] * gradient at points[g]: [g, b, h, w, c] -> [t, b, h, w, c]."""
    g, b = points.shape[:2]
    index, position = jnp.tile(index, (1, g)), jnp.tile(position, (1, g, 1))
    flat = points.reshape(g * b, *points.shape[2:])
    act, back = jax.vjp(lambda x: _direct(network)(x)[layer], flat)
    gradients = _pulled_back(back, act, index, position, where)
    gradients = gradients.reshape(-1, g, *points.shape[1:])
    return jnp.einsum("g,tgbhwc->tbhwc", weights, gradients, precision="highest")


def _mean(network, x, target: _Target, points: Callable, nodes, weights) -> Array:
    """Weighted mean gradient over copies of x, a group of copies at a time: [t, b, h, w, c]."""
    where, position = target.where, target.position
    if where == "max":
        where = "at"
        if len(layers(network, x.shape)[target.layer]) == 4:
            position = _places(network, x, target.index, layer=target.layer)
    n = len(nodes)
    groups = -(-n * target.index.size // IMAGES)
    size = -(-n // min(groups, n))
    filled = -n % size
    nodes, weights = np.pad(nodes, (0, filled), mode="edge"), np.pad(weights, (0, filled)).astype(np.float32)
    total = 0
    for start in range(0, len(nodes), size):
        part = slice(start, start + size)
        copies = points(jnp.asarray(nodes[part]))
        total += _weighted(
            network, copies, weights[part], target.index, position, layer=target.layer, where=where
        )
    return total
