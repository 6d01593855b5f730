"""Action-unit detectors on a frozen network's features: one for each unit, as the paper has, or one for all.

Features are computed once. All single detectors (and seeds) are then one program: `vmap` over detectors of a
`scan` over steps. Breuer & Kimmel 2017, section on transfer from emotions to action units.

Axis letters: n inputs, d features, u action units, m detectors (a unit and a seed each), o outputs of one.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ferjax import au_metrics
from ferjax.attribution import heads
from ferjax.attribution.network import Network
from ferjax.augment import middle, normalise

Array = jax.Array


class Recipe(NamedTuple):
    """How a detector is trained.

    Attributes:
      hidden: units of its hidden layer; 0: linear.
      steps: of Adam, cosine to 0.
      batch: inputs a step.
      rate: learning rate.
      decay: decoupled weight decay.
      balanced: images with and without a unit weigh the same.
      looks: times the selecting part is looked at, evenly over the steps; the best is kept.
    """

    hidden: int = 64
    steps: int = 600
    batch: int = 128
    rate: float = 1e-3
    decay: float = 1e-2
    balanced: bool = True
    looks: int = 10


def features(network: Network, image: np.ndarray, layer: str = "dense/relu", batch: int = 128) -> np.ndarray:
    """A layer's activations, flattened, float32 [n, d], of uint8 [n, h, w, c]; the same for any batch."""
    out = []
    for i in range(0, len(image), batch):
        part = image[i : i + batch]
        fill = np.zeros((batch - len(part), *part.shape[1:]), part.dtype)
        out.append(np.asarray(_look(network, np.concatenate([part, fill]), layer))[: len(part)])
    return np.concatenate(out)


@partial(jax.jit, static_argnames="layer")
def _look(network: Network, x: Array, layer: str) -> Array:
    return (
        network(normalise(middle(x, network.crop), network.normalise))[layer]
        .reshape(len(x), -1)
        .astype(jnp.float32)
    )


def init(key: Array, d: int, outputs: int, hidden: int) -> dict:
    """Weights of one detector (he_normal; biases 0)."""
    normal = jax.nn.initializers.he_normal()
    if not hidden:
        return {"out": {"kernel": normal(key, (d, outputs)) * 0.1, "bias": jnp.zeros(outputs)}}
    a, b = jax.random.split(key)
    return {
        "hidden": {"kernel": normal(a, (d, hidden)), "bias": jnp.zeros(hidden)},
        "out": {"kernel": normal(b, (hidden, outputs)), "bias": jnp.zeros(outputs)},
    }


def apply(params: dict, x: Array) -> Array:
    """[n, d] standardised features -> [n, o] logits."""
    if "hidden" in params:
        x = jax.nn.relu(x @ params["hidden"]["kernel"] + params["hidden"]["bias"])
    return x @ params["out"]["kernel"] + params["out"]["bias"]


def loss(params: dict, x: Array, target: Array, weight: Array, graded: bool) -> Array:
    """Mean over what is known of binary cross-entropy, or of the squared error of intensities.

    Args:
      x: [b, d].
      target: [b, o], presence 0 or 1, or intensity 0 to 5.
      weight: [b, o]; 0 is unknown and counts nothing.
      graded: intensities.
    """
    out = apply(params, x)
    each = (out - target) ** 2 if graded else optax.sigmoid_binary_cross_entropy(out, target)
    return jnp.sum(jnp.where(weight > 0, weight * each, 0.0)) / jnp.maximum(weight.sum(), 1e-9)


def weights_of(code: np.ndarray, balanced: bool) -> np.ndarray:
    """float32 [n, u]: 0 where a code is -1; else 1, or so that 1 and 0 of a unit weigh the same."""
    known = (code >= 0).astype(np.float32)
    if not balanced:
        return known
    absent, present = au_metrics.balance(code).T
    return known * np.where(code == 1, present, absent)


class Fitted(NamedTuple):
    """Trained detectors.

    Attributes:
      params: as `init`, with a leading axis of detectors.
      select_loss: [looks, m] of the selecting part.
      batch_loss: [steps, m] of the batches trained on.
    """

    params: dict
    select_loss: np.ndarray
    batch_loss: np.ndarray


def _one(key, x, target, weight, xs, ts, ws, recipe: Recipe, graded: bool):
    """Trains one detector: (params of the best look, select losses [looks], batch losses [steps])."""
    begin, order = jax.random.split(key)
    params = init(begin, x.shape[1], target.shape[1], recipe.hidden)
    tx = optax.adamw(optax.cosine_decay_schedule(recipe.rate, recipe.steps), weight_decay=recipe.decay)
    state = tx.init(params)

    def step(carry, i):
        params, state = carry
        rows = jax.random.randint(jax.random.fold_in(order, i), (min(recipe.batch, len(x)),), 0, len(x))
        value, gradient = jax.value_and_grad(loss)(params, x[rows], target[rows], weight[rows], graded)
        updates, state = tx.update(gradient, state, params)
        return (optax.apply_updates(params, updates), state), value

    def look(carry, i):
        learner, best, best_loss = carry
        each = recipe.steps // recipe.looks
        learner, values = jax.lax.scan(step, learner, i * each + jnp.arange(each))
        now = loss(learner[0], xs, ts, ws, graded)
        better = now < best_loss
        best = jax.tree.map(lambda new, old: jnp.where(better, new, old), learner[0], best)
        return (learner, best, jnp.minimum(now, best_loss)), (now, values)

    start = ((params, state), params, jnp.inf)
    (_, best, _), (selected, values) = jax.lax.scan(look, start, jnp.arange(recipe.looks))
    return best, selected, values.reshape(-1)


@partial(jax.jit, static_argnames=("recipe", "graded"))
def _program(keys, x, target, weight, xs, ts, ws, recipe, graded):
    one = partial(_one, recipe=recipe, graded=graded)
    return jax.vmap(one, in_axes=(0, None, 0, 0, None, 0, 0))(keys, x, target, weight, xs, ts, ws)


def fit(
    train: tuple[np.ndarray, np.ndarray],
    select: tuple[np.ndarray, np.ndarray],
    recipe: Recipe,
    seeds: int = 1,
    joint: bool = False,
    graded: bool = False,
    looped: bool = False,
) -> Fitted:
    """Trains single detectors, or one with all units as outputs, for every seed.

    Args:
      train, select: (features [n, d], codes [n, u]): presence 1, 0, -1 unknown; or with `graded` intensities
        0 to 5, -1 unknown. The selecting part chooses among `recipe.looks` states of each detector by its
        loss.
      recipe: see `Recipe`.
      seeds: of weights and order.
      joint: one detector with u outputs a seed, else u detectors with one.
      graded: regression of the intensity.
      looped: the detectors one after the other, for comparison.
    Returns:
      Fitted with m = seeds (joint) or u * seeds detectors, seeds slowest.
    """
    mean, scale = heads.standard(train[0].astype(np.float64))
    x, xs = (((part[0] - mean) * scale).astype(np.float32) for part in (train, select))
    tables = []
    for code in (train[1], select[1]):
        weight = (code >= 0).astype(np.float32) if graded else weights_of(code, recipe.balanced)
        target = np.maximum(code, 0).astype(np.float32)
        # detectors first: [m, n, o]
        both = [a[None] if joint else a.T[:, :, None] for a in (target, weight)]
        tables += [np.concatenate([a] * seeds) for a in both]
    target, weight, ts, ws = tables
    each = 1 if joint else train[1].shape[1]
    keys = jax.vmap(lambda s, u: jax.random.fold_in(jax.random.key(s), u))(
        jnp.repeat(jnp.arange(seeds), each), jnp.tile(jnp.arange(each), seeds)
    )
    x, xs, target, weight, ts, ws = map(jnp.asarray, (x, xs, target, weight, ts, ws))
    if looped:
        runs = [
            _program(
                keys[i : i + 1],
                x,
                target[i : i + 1],
                weight[i : i + 1],
                xs,
                ts[i : i + 1],
                ws[i : i + 1],
                recipe,
                graded,
            )
            for i in range(len(keys))
        ]
        jax.block_until_ready(runs)
        params, selected, values = jax.tree.map(lambda *a: jnp.concatenate(a), *runs)
    else:
        params, selected, values = jax.block_until_ready(
            _program(keys, x, target, weight, xs, ts, ws, recipe, graded)
        )
    params = fold_in(jax.tree.map(np.asarray, params), mean, scale)
    return Fitted(params, np.asarray(selected).T, np.asarray(values).T)


def fold_in(params: dict, mean: np.ndarray, scale: np.ndarray) -> dict:
    """Detectors of standardised features as detectors of features as they are."""
    first = "hidden" if "hidden" in params else "out"
    kernel = params[first]["kernel"] * scale[None, :, None]
    bias = params[first]["bias"] - np.einsum("d,mdo->mo", mean, kernel)
    return {**params, first: {"kernel": kernel.astype(np.float32), "bias": bias.astype(np.float32)}}


def scores(fitted: Fitted, x: np.ndarray, seeds: int, joint: bool) -> np.ndarray:
    """[seeds, n, u] logits, or intensities, of [n, d] features."""
    out = np.asarray(jax.vmap(apply, in_axes=(0, None))(fitted.params, jnp.asarray(x)))  # [m, n, o]
    return out if joint else out[..., 0].reshape(seeds, -1, len(x)).transpose(0, 2, 1)
