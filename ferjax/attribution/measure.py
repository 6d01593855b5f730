"""One network on the inputs of an attribution: the same numbers for this network and for every control.

A filter's unit is chosen on one half of the subjects. Everything that is said of the match (its effect, its
interval, the permutations within subjects) comes from the other half.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from ferjax.attribution import activations, controls, matching, units
from ferjax.attribution.inputs import Inputs
from ferjax.attribution.network import Network

MEASURES = ("auc", "within", "outside")  # of a match: over all inputs, within emotion, on those without one
ARRAYS = ("layer", "filter", "active", "kept", "auc")


LIKE = 20  # random filters of the same layer and unit that a threshold of their own takes


@dataclasses.dataclass(frozen=True, eq=False)
class Measured:
    """What was found of a network's j filters.

    Attributes:
      layer: str [j]; filter: int [j].
      active: bool [j] above zero for some input.
      kept: bool [j] active, and not rejected by the paper's rule.
      auc: float32 [j, u] over all inputs, whatever is matched.
      match: `matching.Match`, chosen on one half of the subjects and measured on the other.
      tested: `controls.Permuted` of each filter's match, on the half that measures; None where no
        permutations were asked for.
      filters: of the studied network, which decide by what rule many tests are allowed for.
    """

    layer: np.ndarray
    filter: np.ndarray
    active: np.ndarray
    kept: np.ndarray
    auc: np.ndarray
    match: matching.Match
    tested: controls.Permuted | None
    filters: int

    def effect(self, measure: str) -> np.ndarray:
        """[j] one of MEASURES of the matches of active filters; others are NaN."""
        return np.where(self.active, getattr(self.match, measure), np.nan)

    def corrected(self, level: float) -> tuple[np.ndarray, str]:
        """[j] p-value of each match that allows for the number of filters, and its kind: see `adjusted`."""
        values, kind = controls.adjusted(self.tested, level, self.filters)
        return of_match(values, self.match.au), kind

    def significant(self, level: float) -> np.ndarray:
        """Bool [j] active filters whose match passes `level` by `controls.adjusted`."""
        return self.active & (self.corrected(level)[0] < level)


def of_match(values: np.ndarray, au: np.ndarray) -> np.ndarray:
    """[j, u] and the matched units [j] -> [j]; NaN where there is no match."""
    found = np.take_along_axis(values, np.maximum(au, 0)[:, None], 1)[:, 0]
    return np.where(au >= 0, found, np.nan)


def matched(
    x: np.ndarray, inputs: Inputs, least: int, bootstrap: int, permutations: int, seed: int, progress=None
) -> tuple[matching.Match, controls.Permuted | None]:
    """Chooses each filter's unit on one half of the subjects; measures and tests the match on the other.

    Args:
      x: [q, j] activation of j filters by the q inputs.
      least, bootstrap, permutations, seed, progress: as for `measure`.
    """
    rest, units_of = ~inputs.choose, np.arange(inputs.present.shape[1])
    found = matching.match(
        x, inputs.present, inputs.subject, inputs.emotion, inputs.choose, least, bootstrap, seed
    )
    if not permutations:
        return found, None
    tested = controls.permutation_test(
        x[rest], inputs.present[rest], inputs.subject[rest], permutations, seed,
        only=found.au[:, None] == units_of, progress=progress,
    )  # fmt: skip
    return found, tested


def measure(
    network: Network,
    inputs: Inputs,
    layers: tuple[str, ...],
    *,
    top_n: int,
    least: int,
    bootstrap: int,
    permutations: int,
    seed: int,
    batch_size: int,
    folder=None,
    progress=None,
) -> tuple[Measured, activations.Activations]:
    """Runs a network over the inputs once, matches its filters and tests the matches.

    Args:
      network: any of one architecture.
      inputs: q of them.
      layers: names of maps.
      top_n: of the paper's rule.
      least: see `matching.match`.
      bootstrap: resamples for intervals; 0 for none.
      permutations: of AU rows within subjects; 0 for no test.
      seed: of resamples and permutations.
      batch_size: inputs at once.
      folder: where the activations are kept, or None.
      progress: called as progress(done, permutations).
    """
    acts = activations.collect(
        network, inputs.split.image, layers, batch_size, folder, progress=folder is not None
    )
    x = np.asarray(acts.maximum)
    active = units.active(x)
    found, tested = matched(x, inputs, least, bootstrap, permutations, seed, progress)
    kept = active & ~units.rejected(units.unit_au_precision(x, inputs.present, top_n), active)
    auc = units.auc(x, inputs.present).astype(np.float32)
    return Measured(acts.layer, acts.filter, active, kept, auc, found, tested, len(active)), acts


def limits(found: Measured, networks: Sequence[Measured]) -> dict[str, np.ndarray]:
    """What random networks reach with filters like each of this network's: 5 % of theirs exceed it.

    Like it are random filters of the same layer that are matched to the same unit, since units differ in how
    well any edge detector tells them. Where there are fewer than LIKE of them: all of the layer.

    Args:
      found: of the network that is judged.
      networks: with random weights; the network itself is left out, if it is one of them.
    Returns:
      {"auc", "within", "outside"}: [j]; NaN for a filter without a match, or with nothing to compare.
    """
    networks = [n for n in networks if n is not found]
    out = {m: np.full(len(found.layer), np.nan) for m in MEASURES}
    if not networks:
        return out
    layer = np.concatenate([n.layer for n in networks])
    unit = np.concatenate([n.match.au for n in networks])
    for m in MEASURES:
        every = np.concatenate([n.effect(m) for n in networks])
        known = ~np.isnan(every)
        for name in np.unique(found.layer):
            here = known & (layer == name)
            for u in np.unique(found.match.au[(found.layer == name) & (found.match.au >= 0)]):
                alike = here & (unit == u)
                some = every[alike if alike.sum() >= LIKE else here]
                rows = (found.layer == name) & (found.match.au == u)
                out[m][rows] = controls.upper(some)
    return out


def random_band(networks: Sequence[Measured], layer: str) -> np.ndarray:
    """[u, 2]: 2.5th and 97.5th percentile of the AUC over all inputs of the layer's active random filters."""
    every = np.concatenate([n.auc[(n.layer == layer) & n.active] for n in networks])
    if not len(every):
        return np.full((networks[0].auc.shape[1], 2), np.nan)
    return np.percentile(every, [2.5, 97.5], axis=0).T


def survivors(found: Measured, networks: Sequence[Measured], level: float) -> dict[str, np.ndarray]:
    """Filters that pass each control, judged alike for every network, without intervals.

    Args:
      found: of one network, with its permutation test.
      networks: the random ones, for `limits`.
      level: of `controls.adjusted`.
    Returns:
      bool [j] each: "significant" (allowing for all filters of this network), "above" (and its AUC above the
      random networks' reach for its layer and unit), and of those above "outside", "within" and
      "both".
    """
    reach = limits(found, networks)
    above = {m: found.effect(m) > reach[m] for m in MEASURES}
    significant = found.significant(level)
    real = significant & above["auc"]
    outside, within = real & above["outside"], real & above["within"]
    return {
        "significant": significant,
        "above": real,
        "outside": outside,
        "within": within,
        "both": outside & within,
    }


def to_arrays(found: Measured) -> dict[str, np.ndarray]:
    """A Measured as named arrays, to be kept in a file."""
    out = {key: getattr(found, key) for key in ARRAYS}
    out |= {f"match.{f.name}": getattr(found.match, f.name) for f in dataclasses.fields(found.match)}
    if found.tested is not None:
        out |= {f"tested.{f.name}": getattr(found.tested, f.name) for f in dataclasses.fields(found.tested)}
    return out


def of_arrays(arrays: Mapping[str, np.ndarray]) -> Measured:
    """The reverse of `to_arrays`."""

    def part(name: str, kind):
        values = {k.partition(".")[2]: v for k, v in arrays.items() if k.startswith(f"{name}.")}
        return kind(**{k: v.item() if v.ndim == 0 else v for k, v in values.items()}) if values else None

    match, tested = part("match", matching.Match), part("tested", controls.Permuted)
    active = arrays["active"]
    return Measured(*(arrays[key] for key in ARRAYS), match, tested, len(active))
