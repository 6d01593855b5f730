"""One network on the inputs of an attribution: the same numbers for this network and for every control."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from ferjax.attribution import activations, controls, matching, units
from ferjax.attribution.inputs import Inputs
from ferjax.attribution.network import Network

MEASURES = ("auc", "within", "outside")  # of a match: over all inputs, within emotion, on those without one


@dataclasses.dataclass(frozen=True, eq=False)
class Measured:
    """What was found of a network's j filters.

    Attributes:
      layer: str [j]; filter: int [j].
      active: bool [j] above zero for some input.
      kept: bool [j] active, and not rejected by the paper's rule.
      match: `matching.Match`, chosen on one half of the subjects and measured on the other.
      tested: `controls.Permuted` over all inputs, [j, u]; None where no permutations were asked for.
    """

    layer: np.ndarray
    filter: np.ndarray
    active: np.ndarray
    kept: np.ndarray
    match: matching.Match
    tested: controls.Permuted | None

    def effects(self, layer: str) -> dict[str, np.ndarray]:
        """{"auc", "within", "outside"} of the matches of a layer's active filters; others are NaN."""
        rows = self.layer == layer
        return {m: np.where(self.active, getattr(self.match, m), np.nan)[rows] for m in MEASURES}

    def significant(self, level: float) -> np.ndarray:
        """Bool [j] active filters whose match passes `level` by `controls.adjusted`."""
        return self.active & (of_match(controls.adjusted(self.tested, level)[0], self.match.au) < level)


def of_match(values: np.ndarray, au: np.ndarray) -> np.ndarray:
    """[j, u] and the matched units [j] -> [j]; NaN where there is no match."""
    found = np.take_along_axis(values, np.maximum(au, 0)[:, None], 1)[:, 0]
    return np.where(au >= 0, found, np.nan)


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
    found = matching.match(
        x, inputs.present, inputs.subject, inputs.emotion, inputs.choose, least, bootstrap, seed
    )
    tested = None
    if permutations:
        tested = controls.permutation_test(
            x, inputs.present, inputs.subject, permutations, seed, progress=progress
        )
    active = units.active(x)
    kept = active & ~units.rejected(units.unit_au_precision(x, inputs.present, top_n), active)
    return Measured(acts.layer, acts.filter, active, kept, found, tested), acts


def thresholds(networks: list[Measured], layers: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """layer -> {"auc", "within", "outside"}: 95th percentile of what random networks' matches reach there."""
    out = {}
    for layer in layers:
        every = [n.effects(layer) for n in networks]
        out[layer] = {m: controls.above_random(np.zeros(0), [e[m] for e in every])[0] for m in MEASURES}
    return out


def survivors(
    found: Measured, limits: Mapping[str, Mapping[str, float]], level: float
) -> dict[str, np.ndarray]:
    """Filters that pass each control, judged alike for every network, without intervals.

    Args:
      found: of one network, with its permutation test.
      limits: of `thresholds`.
      level: of `controls.adjusted`.
    Returns:
      bool [j] each: "significant" (allowing for all pairs of this network), "above" (and its AUC above the
      random networks' 95th percentile in its layer), and of those above "outside", "within" and "both".
    """
    above = {}
    for m in MEASURES:
        limit = np.array([limits[layer][m] for layer in found.layer.tolist()])
        value = np.where(found.active, getattr(found.match, m), np.nan)
        above[m] = value > limit
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
    out = {key: getattr(found, key) for key in ("layer", "filter", "active", "kept")}
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
    return Measured(*(arrays[key] for key in ("layer", "filter", "active", "kept")), match, tested)
