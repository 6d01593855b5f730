"""Is a match more than chance: permutations, many tests at once, random networks, other seeds.

verdict.py puts the answers into words. Axis letters: q sequence, j filter, u action unit.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable

import numpy as np

from ferjax.attribution.ranks import centred_ranks, check, known_groups

_PER_BLOCK = 128  # permutations drawn and multiplied at a time; below 256, so that a uint8 counts them
_BLOCK = 8_000_000  # numbers held at once per array: 32 MB of float32


@dataclasses.dataclass(frozen=True)
class Permuted:
    """What `permutation_test` found.

    Attributes:
      p: [j, u] one-sided: permutations whose AUC is at least the observed, (1 + count) / (1 +
        permutations). NaN where no permutation can change the AUC (a constant filter; a unit that no group
        both shows and lacks).
      p_max: [j, u] share of permutations whose largest z over ALL pairs reaches this pair's, counted
        likewise: a p-value that already allows for the number of pairs (family-wise error, Westfall & Young
        1993).
      z: [j, u] the observed AUC in standard deviations above the mean of its own permutations; both are
        exact (over all permutations, not those drawn).
      permutations: drawn.
      smallest_p: [u] the smallest p that was attainable: 1 / (1 + permutations), or one over the number of
        ways to arrange the unit within the groups where that is larger; NaN where p is.
      log_arrangements: natural log of the number of distinct arrangements of whole rows of units within
        groups; below log(permutations), permutations repeat and more of them say nothing new.
    """

    p: np.ndarray
    p_max: np.ndarray
    z: np.ndarray
    permutations: int
    smallest_p: np.ndarray
    log_arrangements: float


def permutation_test(
    activation,
    aus,
    group,
    permutations: int,
    seed: int = 0,
    stratum=None,
    only=None,
    progress: Callable[[int, int], None] | None = None,
) -> Permuted:
    """Tests filter-unit AUCs against whole AU rows permuted among the inputs of one group.

    With `group` the subject, a filter that knows the person and a unit that the person shows often stay
    linked in every permutation, so that only what follows the unit within a person counts. With `group` and
    `stratum` both the emotion, the statistic is the stratified AUC and the null keeps what comes through
    the emotion. Whole rows move, so units stay together as they come; rows where a unit is unknown keep
    still for that unit.

    For given ranks the AUC is linear in the presence of a unit (ranks.py), so a block of permutations is
    one matrix product in float32; sums of half ranks are exact up to some 8,000 inputs, and the comparison
    allows for rounding beyond. Results depend on the seed, not on the machine. Only positive links are
    tested (AUC above 0.5).

    Args:
      activation: [q, j].
      aus: [q, u] 1 present, 0 absent, -1 unknown.
      group: [q] str or int, rows that may change places. "" or negative: those rows are one group, which
        supposes that they are of different people.
      permutations: how many; `smallest_p` says what they can show, `seconds_per_permutation` what they
        cost.
      seed: of the permutations.
      stratum: int [q] for the stratified AUC, negative left out; constant within each group. None: plain
        AUC.
      only: bool [j, u], the pairs to test, such as each filter's matched unit; the others are NaN, and
        p_max allows for these alone. None: all.
      progress: called as progress(done, permutations).
    Returns:
      Permuted.
    Raises:
      ValueError: wrong shapes or values, or a group that lies in several strata.
    Source: Phipson & Smyth 2010, "Permutation p-values should never be zero" (the 1 + count).
    """
    if permutations < 1:
        raise ValueError(f"permutations must be 1 or more, not {permutations}")
    plan = _Plan(activation, aus, group, stratum, seed, only)
    count, largest, done = np.zeros(plan.z.shape, np.int64), [], 0
    for block in range(-(-permutations // _PER_BLOCK)):
        n = min(_PER_BLOCK, permutations - done)
        reached, maxima = plan.block(block, n)
        count += reached
        largest.append(maxima)
        done += n
        if progress:
            progress(done, permutations)
    largest = np.sort(np.concatenate(largest))
    z = plan.z.T
    tested = ~np.isnan(z)
    # float32 against float64: allow a millionth, in the careful direction
    over = permutations - np.searchsorted(largest, np.where(tested, z - 1e-5, 0), "left")
    total = permutations + 1
    smallest = np.maximum(1 / total, np.exp(-plan.log_ways))
    return Permuted(
        p=np.where(tested, (1 + count.T) / total, math.nan),
        p_max=np.where(tested, (1 + over) / total, math.nan),
        z=z,
        permutations=permutations,
        smallest_p=np.where(tested.any(0), smallest, math.nan),
        log_arrangements=plan.log_arrangements,
    )


def seconds_per_permutation(activation, aus, group, stratum=None, only=None) -> float:
    """What one permutation costs here and now, measured on two blocks of 128: multiply to decide how many.

    The work is q multiplications a permutation and pair. Where time allows only a few thousand,
    Benjamini-Hochberg over thousands of pairs can reject nothing (`smallest_p` times the number of pairs is
    above the level): go by `p_max` then.

    Args and errors: as `permutation_test`.
    """
    plan = _Plan(activation, aus, group, stratum, 0, only)
    plan.block(0, 8)  # the first call pays for memory
    start = time.perf_counter()
    plan.block(1, _PER_BLOCK)
    plan.block(2, _PER_BLOCK)
    return (time.perf_counter() - start) / (2 * _PER_BLOCK)


class _Part:
    """Units known in the same rows: what each block of permutations needs of them."""

    def __init__(self, activation, aus, group, stratum, rows, units, only):
        c = centred_ranks(activation[rows], None if stratum is None else stratum[rows])
        order = np.argsort(group[rows], kind="stable")
        rows, c = rows[order], c[order]
        _, start, size = np.unique(group[rows], return_index=True, return_counts=True)
        present = (aus[np.ix_(rows, units)] == 1).astype(np.float64)

        # mean and variance over all permutations: a group's are those of drawing without replacement
        sums_c, sums_a = np.add.reduceat(c, start, axis=0), np.add.reduceat(present, start, axis=0)
        mean = (sums_a / size[:, None]).T @ sums_c
        inside_c = c - np.repeat(sums_c / size[:, None], size, axis=0)
        inside_a = present - np.repeat(sums_a / size[:, None], size, axis=0)
        squares_c = np.add.reduceat(inside_c**2, start, axis=0)
        squares_a = np.add.reduceat(inside_a**2, start, axis=0)
        variance = (squares_a / np.maximum(size - 1, 1)[:, None]).T @ squares_c  # [u, j]
        self.columns = None if only is None else [np.flatnonzero(row) for row in only]
        tested = variance > 1e-9 if only is None else (variance > 1e-9) & only
        self.scale = 1 / np.sqrt(np.where(tested, variance, math.nan))
        observed = present.T @ c
        self.z = (observed - mean) * self.scale
        self.log_ways = _log_choose(size, sums_a).sum(0)

        moves = np.repeat(size > 1, size)  # rows that are alone in their group stay
        still = present[~moves].T @ c[~moves]
        self.c = c[moves].astype(np.float32)
        slack = max(0.25, 1e-6 * len(rows) ** 2 / 8)  # half of the smallest step between sums, or rounding
        self.threshold = (observed - still - slack).astype(np.float32)
        self.mean, self.units = (mean - still).astype(np.float32), units
        self.inverse = np.nan_to_num(self.scale).astype(np.float32)
        self.rows, self.group = rows[moves], group[rows[moves]].astype(np.float64)
        self.present = np.ascontiguousarray(present[moves].T, np.float32)  # [u, n]

    def block(self, key, reached, largest):
        """Counts in `reached` [u, j] and raises `largest` [b] by the permutations that order `key` [b, q]."""
        if not len(self.rows):
            return  # nothing can move, no pair is tested
        order = np.argsort(key[:, self.rows] + self.group, axis=1)
        b, n = order.shape
        width, every = max(1, _BLOCK // (b * max(self.c.shape))), np.arange(self.c.shape[1])
        chosen = [(slice(i, i + width), every) for i in range(0, len(self.units), width)]
        if self.columns is not None:
            chosen = [(slice(i, i + 1), columns) for i, columns in enumerate(self.columns) if len(columns)]
        for part, columns in chosen:
            shuffled = self.present[part].take(order.reshape(-1), axis=1).reshape(-1, n)
            c = self.c if columns is every else self.c[:, columns]
            sums = (shuffled @ c).reshape(-1, b, c.shape[1])  # [u, b, j]
            hit = (sums >= self.threshold[part, None, columns]).view(np.uint8)
            reached[self.units[part, None], columns] += hit.sum(1, dtype=np.uint8)
            sums -= self.mean[part, None, columns]
            sums *= self.inverse[part, None, columns]
            np.maximum(largest, sums.max((0, 2)), out=largest)


class _Plan:
    """Everything that does not change from permutation to permutation. Arrays here are [u, j]."""

    def __init__(self, activation, aus, group, stratum, seed, only=None):
        activation, aus = check(activation, aus)
        shape = (aus.shape[1], activation.shape[1])
        if only is not None:
            only = np.asarray(only, bool).T
            if only.shape != shape:
                raise ValueError(f"only must be [{shape[1]}, {shape[0]}], not {only.T.shape}")
        group = _group_codes(group, len(aus))
        self.q, self.seed = len(aus), seed
        used = np.ones(len(aus), bool)
        if stratum is not None:
            stratum = np.asarray(stratum)
            if stratum.shape != group.shape:
                raise ValueError(f"stratum must be [{len(aus)}], not {stratum.shape}")
            used = stratum >= 0
            both = np.unique(np.stack([group[used], stratum[used]]), axis=1)[0]
            if len(np.unique(both)) != len(both):
                raise ValueError("a group lies in several strata: its rows may not change places")
        self.z, self.log_ways = np.full(shape, math.nan), np.zeros(shape[0])
        self.parts = []
        for rows, units in known_groups(aus):
            rows = rows[used[rows]]
            if not len(rows):
                continue
            some = None if only is None else only[units]
            part = _Part(activation, aus, group, stratum, rows, units, some)
            self.parts.append(part)
            self.z[units], self.log_ways[units] = part.z, part.log_ways
        self.log_arrangements = _log_arrangements(aus[used], group[used])

    def block(self, index: int, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Permutations of one block: how often each pair was reached [u, j], and each one's largest z [n]."""
        key = np.random.default_rng([self.seed, index]).random((_PER_BLOCK, self.q))[:n]
        reached, largest = np.zeros(self.z.shape, np.int64), np.full(n, -np.inf, np.float32)
        for part in self.parts:
            part.block(key, reached, largest)
        return reached, largest


def benjamini_hochberg(p) -> np.ndarray:
    """q-values: the smallest false discovery rate at which each test is rejected.

    q of the i-th smallest of m is the least over k >= i of p_(k) m / k.

    Args:
      p: any shape; NaN was not tested and is left out of m.
    Returns:
      Same shape; NaN where p is.
    Raises:
      ValueError: a p outside [0, 1].
    Source: Benjamini & Hochberg 1995.
    """
    p = np.asarray(p, np.float64)
    tested = ~np.isnan(p)
    values = p[tested]
    if ((values < 0) | (values > 1)).any():
        raise ValueError(f"p-values lie in [0, 1]; found {values[(values < 0) | (values > 1)][0]}")
    order, m = np.argsort(values), len(values)
    least = np.minimum.accumulate((values[order] * m / np.arange(1, m + 1))[::-1])[::-1]
    out = np.full(p.shape, math.nan)
    adjusted = np.empty(m)
    adjusted[order] = np.minimum(least, 1)
    out[tested] = adjusted
    return out


def adjusted(tested: Permuted, level: float, tests: int | None = None) -> tuple[np.ndarray, str]:
    """p-values that allow for the number of pairs, by the rule that so many permutations can serve.

    Benjamini-Hochberg where a single true link could pass it, that is, where the smallest attainable p times
    the number of pairs is at most `level`. With fewer permutations it would pass links only where there are
    many, and so favour one network over another; there the max-statistic decides, which needs no more than
    1 / level permutations.

    Args:
      tested: of one network.
      level: at which a link is called significant.
      tests: how many links decide the rule, so that networks of which fewer can be tested go by the same
        one; None: those tested.
    Returns:
      ([j, u] q or p_max, "q" or "p_max").
    """
    smallest = np.nanmin(tested.smallest_p, initial=1.0)
    if smallest * (np.isfinite(tested.p).sum() if tests is None else tests) <= level:
        return benjamini_hochberg(tested.p), "q"
    return tested.p_max, "p_max"


def upper(values, level: float = 0.05) -> float:
    """The least of some values that one more of their kind exceeds with a probability of at most `level`.

    The k-th smallest of n, k the least with (n + 1 - k) / (n + 1) <= level; where n is too small for that,
    the largest. An interpolated percentile lies lower: the 95th of 20 values is exceeded by 9 % of the kind.

    Args:
      values: [n]; NaN is left out.
      level: in (0, 1).
    Returns:
      NaN where there is none.
    """
    values = np.asarray(values, np.float64).reshape(-1)
    values = np.sort(values[~np.isnan(values)])
    n = len(values)
    k = math.ceil((1 - level) * (n + 1) - 1e-9)
    return float(values[min(k, n) - 1]) if n else math.nan


def recurring(au_counts_a, au_counts_b) -> float:
    """How far two networks from different seeds have the same matches.

    Filters have no identity from seed to seed, so what can recur is how many filters of a layer match a
    unit: sum_u min(a_u, b_u) / sum_u max(a_u, b_u), the same from either side, and 1 where all counts agree.

    Args:
      au_counts_a: [u] significant filters of one network per unit (or per layer and unit).
      au_counts_b: [u] of the other network.
    Returns:
      In [0, 1]; NaN where neither has any.
    Source: Ruzicka 1958.
    """
    a, b = np.asarray(au_counts_a, np.float64), np.asarray(au_counts_b, np.float64)
    if a.shape != b.shape:
        raise ValueError(f"counts per unit have shapes {a.shape} and {b.shape}")
    either = np.maximum(a, b).sum()
    return float(np.minimum(a, b).sum() / either) if either else math.nan


def _group_codes(group, q: int) -> np.ndarray:
    group = np.asarray(group)
    if group.shape != (q,):
        raise ValueError(f"group must be [{q}], not {group.shape}")
    if group.dtype.kind in "iu":
        group = np.maximum(group.astype(np.int64), -1)
    return np.unique(group, return_inverse=True)[1].reshape(-1)


def _log_factorial(n) -> np.ndarray:
    return np.vectorize(math.lgamma, otypes=[float])(np.asarray(n, np.float64) + 1)


def _log_choose(n, k) -> np.ndarray:
    """Log of the ways to place k of n: [g], [g, u] -> [g, u]."""
    n = np.asarray(n)[:, None]
    return _log_factorial(n) - _log_factorial(k) - _log_factorial(n - k)


def _log_arrangements(aus, group) -> float:
    """Log of the distinct ways to arrange rows within groups: per group n! / (equal rows)!."""
    if not aus.size:
        return 0.0
    sizes = np.unique(group, return_counts=True)[1]
    equal = np.unique(np.column_stack([group, aus]), axis=0, return_counts=True)[1]
    return float(_log_factorial(sizes).sum() - _log_factorial(equal).sum())
