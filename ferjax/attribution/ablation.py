"""What a unit's logit loses when filters are replaced by their neutral mean: the causal test of a match.

A head that was fitted on features falls with any of them, so a drop says nothing alone. Beside it stand the
drops from filters of the same layer that answer as strongly on average and are not significantly matched to
the same unit, and the drops of the other units.

Replaced is a filter's whole map, place by place, by its mean map over neutral inputs ("neutral mean"): what
the next layer would see if this filter always said what it says of a face at rest. A mean per place keeps
what every face has there, so that the network is not pushed to inputs it has never seen; a mean per filter
(one number) can be had by giving [j] or [1, 1, j] instead of [h, w, j].

Axis letters: n inputs, j filters of the layer, m masks, r random draws, u action units.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from data_pipelines import BadInput
from ferjax.attribution import controls
from ferjax.attribution.activations import check_layers
from ferjax.attribution.network import HEAD, Network
from ferjax.attribution.subjects import mean_interval, subject_codes
from ferjax.augment import normalise

Array = jax.Array
NEAREST = 20  # filters, nearest in mean activation, among which a random one is drawn
DRAWS = 100
ALIKE = 1.25  # times as strong, or as weak
LEAST_SETS = 20


@dataclasses.dataclass(frozen=True)
class Ablation:
    """The ablation of the filters matched to one unit.

    A drop is the logit with all filters at work less the logit without the ablated ones, in units of the
    logit, a mean over the inputs that show the unit.

    Attributes:
      unit: index of the unit.
      filters: the ablated ones, by index in the layer.
      drop, low, high: of the unit's own logit; 95 % bootstrap interval over subjects.
      random: [r] drops of the same logit with random filters of the layer instead.
      random_mean, random_95: their mean, and what 5 % of such sets exceed (`controls.upper`); NaN where there
        are none to draw from.
      share: mean activation of the stand-ins as a share of the filters'; NaN likewise.
      others_drop: mean over the other units of the drop of each one's logit on the inputs that show it.
      stronger: whether drop is above random_95; None where no input shows the unit, the stand-ins are not
        `alike`, or fewer than LEAST_SETS different sets can be drawn.
      n: inputs that show the unit; subjects: of how many.
    """

    unit: int
    filters: tuple[int, ...]
    drop: float
    low: float
    high: float
    random: np.ndarray
    random_mean: float
    random_95: float
    share: float
    others_drop: float
    stronger: bool | None
    n: int
    subjects: int


def neutral_mean(network: Network, images: np.ndarray, layer: str, batch_size: int = 128) -> np.ndarray:
    """Mean map of every filter of a layer over images of neutral faces.

    Args:
      images: uint8 [n, h, w, c].
    Returns:
      float32 [h', w', j].
    Raises:
      BadInput: no images, or no such layer.
    """
    if not len(images):
        raise BadInput(
            "there is no neutral input to take a filter's neutral mean from; give a set that has some"
        )
    check_layers(network, images.shape[1:], (layer,))
    total = 0.0
    for batch, real in _batches(images, batch_size):
        maps = _maps(network, batch, layer=layer)
        total = total + np.asarray(maps[:real].astype(jnp.float32).sum(0), np.float64)
    return (total / len(images)).astype(np.float32)


def ablated_logits(
    network: Network,
    images: np.ndarray,
    layer: str,
    masks: np.ndarray,
    neutral: np.ndarray,
    batch_size: int = 64,
) -> tuple[np.ndarray, np.ndarray]:
    """The units' logits with all filters, and with those of each mask at their neutral mean.

    The layer's maps are computed once for each batch, and of the network only what comes after them once for
    each mask: an early layer costs far more than a late one. One program serves all masks. Memory: the maps
    of a batch, and the result.

    Args:
      network: with a head.
      images: uint8 [n, h, w, c].
      layer: name of a map with j filters.
      masks: bool [m, j], True for filters to replace.
      neutral: [h', w', j], or [j] for one number a filter.
      batch_size: images a step.
    Returns:
      (float32 [n, u], float32 [m, n, u]).
    Raises:
      ValueError: no head, or shapes that do not fit.
      BadInput: no images, or no such layer.
    """
    if network.head is None:
        raise ValueError("ablation looks at the units' logits: the network needs a head")
    if not len(images):
        raise BadInput("there is no input to ablate filters on; give a split that has some")
    check_layers(network, images.shape[1:], (layer,))
    masks, base, ablated = np.asarray(masks, bool), [], []
    for batch, real in _batches(images, batch_size):
        maps = _maps(network, batch, layer=layer)
        if masks.ndim != 2 or masks.shape[1] != maps.shape[3]:
            raise ValueError(f"masks has shape {masks.shape}; {layer} needs [m, {maps.shape[3]}]")
        try:
            rest = jnp.broadcast_to(jnp.asarray(neutral, maps.dtype), maps.shape[1:])
        except ValueError:
            shape = np.shape(neutral)
            raise ValueError(f"neutral has shape {shape}; {layer} needs {maps.shape[1:]}") from None
        run = partial(_from_layer, network, batch, maps, neutral=rest, layer=layer)
        base.append(np.asarray(run(np.zeros(masks.shape[1], bool)))[:real])
        each = [run(mask) for mask in masks]
        empty = np.zeros((0, *base[-1].shape), np.float32)
        ablated.append(np.stack([np.asarray(z)[:real] for z in each]) if each else empty)
    return np.concatenate(base), np.concatenate(ablated, 1)


@partial(jax.jit, static_argnames="layer")
def _maps(network: Network, images: Array, layer: str) -> Array:
    return network(normalise(images, network.normalise))[layer]


@partial(jax.jit, static_argnames="layer")
def _from_layer(
    network: Network, images: Array, maps: Array, mask: Array, neutral: Array, layer: str
) -> Array:
    """The units' logits from a layer's maps on; XLA drops what came before, whose result nothing uses."""

    def edit(name, a):
        return jnp.where(mask, neutral, maps) if name == layer else a

    return network(normalise(images, network.normalise), edit=edit)[HEAD].astype(jnp.float32)


def _batches(images: np.ndarray, batch_size: int):
    """(batch [b, ...], how many are real), all of one size, the last one padded."""
    batch_size = max(1, min(batch_size, len(images)))
    for start in range(0, len(images), batch_size):
        batch = np.asarray(images[start : start + batch_size])
        yield np.pad(batch, [(0, batch_size - len(batch))] + [(0, 0)] * 3), len(batch)


def nearest_filters(
    mean_activation: np.ndarray, filter: int, allowed: np.ndarray, nearest: int = NEAREST
) -> np.ndarray:
    """The allowed filters nearest in mean activation, the filter itself left out; of equals the first.

    Args:
      mean_activation: [j] of a layer's filters, over all inputs.
      filter: index.
      allowed: bool [j].
      nearest: how many, where there are so many.
    Returns:
      int [at most nearest].
    """
    mean_activation = np.asarray(mean_activation, np.float64)
    candidates = np.flatnonzero(np.asarray(allowed, bool))
    candidates = candidates[candidates != filter]
    distance = np.abs(mean_activation[candidates] - mean_activation[filter])
    return candidates[np.argsort(distance, kind="stable")][:nearest]


def matched_draws(
    mean_activation: np.ndarray,
    filters: Sequence[int],
    allowed: np.ndarray,
    draws: int = DRAWS,
    nearest: int = NEAREST,
    seed: int = 0,
) -> np.ndarray:
    """Random stand-ins: for each filter one of those nearest in mean activation, none twice in a draw.

    Args:
      mean_activation: [j] of the layer's filters.
      filters: the ones to stand in for; never drawn.
      allowed: bool [j] that may be drawn.
      draws: how many.
      nearest: among how many each stand-in is drawn.
      seed: of the draws.
    Returns:
      int [r, len(filters)], r = draws; [0, ...] where fewer filters are allowed than have to be drawn.
    Raises:
      ValueError: no filters, or one that is not there.
    """
    j, filters = len(mean_activation), [int(f) for f in filters]
    if not filters or not all(0 <= f < j for f in filters):
        raise ValueError(f"filters {filters} must be some of 0 to {j - 1}")
    allowed = np.asarray(allowed, bool).copy()
    allowed[filters] = False
    if allowed.sum() < len(filters):
        return np.zeros((0, len(filters)), int)
    orders = [nearest_filters(mean_activation, f, allowed, j) for f in filters]
    rng, out = np.random.default_rng(seed), np.empty((draws, len(filters)), int)
    for r in range(draws):
        taken = set()
        for place in rng.permutation(len(filters)):
            free = [f for f in orders[place] if f not in taken][:nearest]
            out[r, place] = free[rng.integers(len(free))]
            taken.add(out[r, place])
    return out


def ablate_units(
    network: Network,
    images: np.ndarray,
    present: np.ndarray,
    subject: np.ndarray,
    layer: str,
    matched: Mapping[int, Sequence[int]],
    mean_activation: np.ndarray,
    neutral: np.ndarray,
    allowed: np.ndarray | None = None,
    draws: int = DRAWS,
    nearest: int = NEAREST,
    n_bootstrap: int = 2000,
    seed: int = 0,
    batch_size: int = 64,
) -> list[Ablation]:
    """The causal test for every unit that has matched filters in a layer.

    Args:
      network: with a head.
      images: uint8 [n, h, w, c] of subjects that neither the head nor the match has seen.
      present: [n, u] 1 present, 0 absent, -1 unknown.
      subject: str [n].
      layer: name of a map with j filters.
      matched: unit -> indices of its filters.
      mean_activation: [j] of the layer's filters, over all inputs.
      neutral: as for `ablated_logits`.
      allowed: bool [j] that random stand-ins are drawn from; None: all that no unit of `matched` has.
      draws, nearest, seed: of the stand-ins.
      n_bootstrap: resamples of the subjects.
      batch_size: images a step.
    Returns:
      One Ablation a unit, in the order of `matched`.
    Raises:
      ValueError: as `ablated_logits` and `matched_draws`, or shapes that do not fit.
    """
    present, mean_activation = np.asarray(present), np.asarray(mean_activation)
    if len(present) != len(images) or len(subject) != len(images):
        raise ValueError(f"{len(images)} images, {len(present)} rows of units, {len(subject)} subjects")
    if allowed is None:
        allowed = np.ones(len(mean_activation), bool)
        allowed[[f for filters in matched.values() for f in filters]] = False
    stand_ins = {
        unit: matched_draws(mean_activation, filters, allowed, draws, nearest, seed)
        for unit, filters in matched.items()
    }
    sets = [frozenset(map(int, f)) for f in matched.values()]
    sets += [frozenset(row.tolist()) for drawn in stand_ins.values() for row in drawn]
    number = {chosen: i for i, chosen in enumerate(dict.fromkeys(sets))}  # each set once
    masks = np.zeros((len(number), len(mean_activation)), bool)
    for chosen, i in number.items():
        masks[i, list(chosen)] = True
    base, ablated = ablated_logits(network, images, layer, masks, neutral, batch_size)
    if present.shape != base.shape:
        raise ValueError(f"present has shape {present.shape}, the head's logits {base.shape}")
    out = []
    for unit, filters in matched.items():
        own = number[frozenset(map(int, filters))]
        drawn = [number[frozenset(row.tolist())] for row in stand_ins[unit]]
        share = mean_activation[stand_ins[unit]].mean() if len(drawn) else np.nan
        share /= max(mean_activation[list(filters)].mean(), 1e-12)
        result = compare(
            base,
            ablated[own],
            ablated[drawn],
            present,
            subject,
            unit,
            share,
            len(set(drawn)),
            n_bootstrap,
            seed,
        )
        out.append(dataclasses.replace(result, filters=tuple(map(int, filters))))
    return out


def compare(
    base: np.ndarray,
    ablated: np.ndarray,
    random: np.ndarray,
    present: np.ndarray,
    subject: np.ndarray,
    unit: int,
    share: float,
    sets: int,
    n_bootstrap: int = 2000,
    seed: int = 0,
) -> Ablation:
    """From logits to what the ablation says of one unit.

    Args:
      base: [n, u] with all filters.
      ablated: [n, u] without the matched ones.
      random: [r, n, u] without the stand-ins of each draw; r may be 0.
      present: [n, u]; subject: [n]; unit: index.
      share: see Ablation; sets: how many different ones are among the draws.
      n_bootstrap, seed: of the interval.
    Returns:
      Ablation, `filters` left empty.
    """
    shown = np.asarray(present)[:, unit] == 1
    drop = (base - ablated)[shown, unit]
    value, low, high = mean_interval(drop, np.asarray(subject)[shown], n_bootstrap, seed)
    drops = (
        (base[shown, unit] - random[:, shown, unit]).mean(1) if shown.any() else np.full(len(random), np.nan)
    )
    limit = controls.upper(drops)
    comparable = alike(share) and np.isfinite(value) and sets >= LEAST_SETS
    every = unit_drops(base, ablated[None], present)[0]
    return Ablation(
        unit=int(unit),
        filters=(),
        drop=float(value),
        low=float(low),
        high=float(high),
        random=drops,
        random_mean=float(drops.mean()) if len(drops) else np.nan,
        random_95=limit,
        share=float(share),
        others_drop=float(others_drop(every[None], np.array([unit]))[0]),
        stronger=bool(value > limit) if comparable else None,
        n=int(shown.sum()),
        subjects=len(np.unique(subject_codes(np.asarray(subject)[shown]))),
    )


def unit_drops(base: np.ndarray, ablated: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Mean drop of each unit's logit over the inputs that show it: [n, u], [m, n, u] -> [m, u].

    NaN where none does.
    """
    shown = (np.asarray(present) == 1)[None]
    count = shown.sum(1)
    total = np.where(shown, base - ablated, 0).sum(1, dtype=np.float64)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def others_drop(drops: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Mean drop of the units a filter is not matched to: [m, u], int [m] (-1 none) -> [m]; NaN likewise."""
    others = np.where(np.arange(drops.shape[1]) == unit[:, None], np.nan, drops)
    known = np.isfinite(others) & (unit >= 0)[:, None]
    total, count = np.where(known, others, 0).sum(1), known.sum(1)
    return np.divide(total, count, out=np.full(len(drops), np.nan), where=count > 0)


def single_limits(
    drops: np.ndarray,
    mean_activation: np.ndarray,
    unit: np.ndarray,
    allowed: np.ndarray,
    follows: np.ndarray,
    nearest: int = NEAREST,
) -> tuple[np.ndarray, np.ndarray]:
    """What every filter's drop is compared with: filters like it that are not known to follow its unit.

    Args:
      drops: [j, u], `unit_drops` of every single filter of a layer.
      mean_activation: [j].
      unit: int [j] of each filter; -1 none.
      allowed: bool [j] that may stand in.
      follows: bool [j], filters that are significantly matched to their unit: they do not stand in for one of
        the same unit.
      nearest: how many stand in.
    Returns:
      ([j] largest drop of the unit's logit among the stand-ins, which a filter like them exceeds once in
      nearest + 1 times; NaN where there are fewer, or they are not `alike`. [j] their mean activation as a
      share of the filter's; NaN where there are fewer.)
    """
    limit, share = np.full(len(drops), np.nan), np.full(len(drops), np.nan)
    for j in np.flatnonzero(unit >= 0):
        near = nearest_filters(mean_activation, j, allowed & ~(follows & (unit == unit[j])), nearest)
        if len(near) == nearest and mean_activation[j] > 0:
            share[j] = mean_activation[near].mean() / mean_activation[j]
            if alike(share[j]):
                limit[j] = drops[near, unit[j]].max()
    return limit, share


def alike(share: float) -> bool:
    """Whether stand-ins that answer `share` times as strongly on average may be compared: 0.8 to 1.25."""
    return bool(1 / ALIKE <= share <= ALIKE)
