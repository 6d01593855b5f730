"""Ranks: what AUC, its stratified form and the permutation test are made of. NumPy only.

With ranks taken within strata and centred there, c[q, j] = rank - (n + 1) / 2, the concordant (positive,
negative) pairs of all strata, less half of all pairs, are the sum of c over the positives. AUC is therefore
linear in the presence of an action unit, and all filters by all units are one matrix product.

Axis letters: q sequence, j filter, u action unit.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

_BLOCK = 4_000_000  # numbers held at once per array: 32 MB of float64


def check(activation, aus=None) -> tuple[np.ndarray, np.ndarray | None]:
    """Activation [q, j] as float and presence [q, u] as int8, or an error that says what is wrong.

    Raises:
      ValueError: shapes differ, an activation is not finite, or a presence is not 1, 0 or -1.
    """
    activation = np.asarray(activation)
    if activation.ndim != 2 or not activation.shape[0]:
        raise ValueError(f"activation must be [q, j] with q > 0, not {activation.shape}")
    if activation.dtype.kind != "f":
        activation = activation.astype(np.float64)
    if not np.isfinite(activation).all():
        row, filter_ = np.argwhere(~np.isfinite(activation))[0]
        raise ValueError(f"activation of filter {filter_} is not finite in row {row}")
    if aus is None:
        return activation, None
    aus = np.asarray(aus)
    if aus.ndim != 2 or len(aus) != len(activation):
        raise ValueError(f"aus must be [{len(activation)}, u], not {aus.shape}")
    strange = (aus != 0) & (aus != 1) & (aus != -1)
    if strange.any():
        row, unit = np.argwhere(strange)[0]
        raise ValueError(
            f"aus holds {aus[row, unit]} in row {row}; wanted presence 1, 0 or -1 (labels.au_present)"
        )
    return activation, aus.astype(np.int8)


def known_groups(aus: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Units whose unknown rows are the same, to be ranked together: (rows that are known, their columns)."""
    if not aus.shape[1]:
        return
    masks, group = np.unique(aus >= 0, axis=1, return_inverse=True)
    group = group.reshape(-1)
    for i in range(masks.shape[1]):
        yield np.flatnonzero(masks[:, i]), np.flatnonzero(group == i)


def filter_blocks(rows: int, filters: int) -> Iterator[slice]:
    """Slices over filters that keep [rows, slice] within bounded memory."""
    width = max(1, _BLOCK // max(rows, 1))
    for start in range(0, filters, width):
        yield slice(start, min(start + width, filters))


def runs(ordered: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of values sorted along the last axis: where the run of equals each belongs to starts and ends.

    Args:
      ordered: [..., n].
    Returns:
      Two int arrays [..., n]: index of the first and of the last of the equals.
    """
    n = ordered.shape[-1]
    edge = np.ones((*ordered.shape[:-1], n + 1), bool)
    edge[..., 1:-1] = ordered[..., 1:] != ordered[..., :-1]
    place = np.arange(n)
    start = np.maximum.accumulate(np.where(edge[..., :-1], place, 0), -1)
    end = np.minimum.accumulate(np.where(edge[..., 1:], place, n - 1)[..., ::-1], -1)[..., ::-1]
    return start, end


def average_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks 1 to n down each column, equal values sharing the mean of theirs: [n, j] -> float64 [n, j]."""
    columns = np.ascontiguousarray(np.asarray(values).T)
    order = np.argsort(columns, -1)
    start, end = runs(np.take_along_axis(columns, order, -1))
    ranks = np.empty(columns.shape)
    np.put_along_axis(ranks, order, (start + end) / 2 + 1, -1)
    return ranks.T


def centred_ranks(values: np.ndarray, stratum: np.ndarray | None = None) -> np.ndarray:
    """Average ranks within each stratum, less their mean there: [n, j] -> float64 [n, j], multiples of 1/2.

    Args:
      values: [n, j].
      stratum: [n] int; rows with a negative one get 0. None: all rows are one stratum.
    """
    if stratum is None:
        return average_ranks(values) - (len(values) + 1) / 2
    out = np.zeros(values.shape)
    for s in np.unique(stratum[stratum >= 0]):
        rows = np.flatnonzero(stratum == s)
        out[rows] = average_ranks(values[rows]) - (len(rows) + 1) / 2
    return out


def pair_counts(present: np.ndarray, stratum: np.ndarray) -> np.ndarray:
    """(present, absent) pairs that lie in one stratum: bool [n, u], int [n] -> float64 [u]."""
    used = stratum >= 0
    codes, code = np.unique(stratum[used], return_inverse=True)
    member = (code.reshape(-1)[:, None] == np.arange(len(codes))).astype(np.float64)
    ones = member.T @ present[used]
    return (ones * (member.sum(0)[:, None] - ones)).sum(0)


def comparable(aus, stratum) -> tuple[np.ndarray, np.ndarray]:
    """How many inputs `stratified_auc` rests on: those of strata that hold inputs with and without the unit.

    Args:
      aus: [q, u] 1 present, 0 absent, -1 unknown.
      stratum: int [q]; rows with a negative one are left out.
    Returns:
      int [u] with the unit, int [u] without.
    """
    aus, stratum = np.asarray(aus), np.asarray(stratum)
    counts = np.zeros((2, aus.shape[1]), int)
    for s in np.unique(stratum[stratum >= 0]):
        here = np.stack([(aus[stratum == s] == value).sum(0) for value in (1, 0)])
        counts += np.where((here > 0).all(0), here, 0)
    return counts[0], counts[1]


def stratified_auc(activation, aus, stratum) -> np.ndarray:
    """Share of concordant (present, absent) pairs among the pairs of one stratum; ties count half.

    The strata's AUCs averaged with their numbers of pairs as weights: the statistic of van Elteren (1960)
    with pair-count weights. A link that only runs through the stratum (the emotion) leaves 0.5.

    Args:
      activation: [q, j].
      aus: [q, u] 1 present, 0 absent, -1 unknown (left out of that unit's pairs).
      stratum: [q] int, such as the emotion; rows with a negative one are left out.
    Returns:
      [j, u] in [0, 1]; NaN where no stratum has both a present and an absent input.
    Raises:
      ValueError: wrong shapes or values.
    """
    activation, aus = check(activation, aus)
    stratum = np.asarray(stratum)
    if stratum.shape != (len(aus),):
        raise ValueError(f"stratum must be [{len(aus)}], not {stratum.shape}")
    out = np.full((activation.shape[1], aus.shape[1]), np.nan)
    for rows, units in known_groups(aus):
        rows = rows[stratum[rows] >= 0]
        if not len(rows):
            continue
        present = aus[np.ix_(rows, units)] == 1
        pairs = pair_counts(present, stratum[rows])
        pairs[pairs == 0] = np.nan
        for part in filter_blocks(len(rows), activation.shape[1]):
            c = centred_ranks(activation[rows, part], stratum[rows])
            out[part, units] = 0.5 + c.T @ present.astype(np.float64) / pairs
    return out


def auc(activation, aus) -> np.ndarray:
    """Probability that an input with the unit drives the filter harder than one without; ties count half.

    Args:
      activation: [q, j].
      aus: [q, u] 1 present, 0 absent, -1 unknown (left out).
    Returns:
      [j, u] in [0, 1]; NaN where a unit is never present or never absent.
    Raises:
      ValueError: wrong shapes or values.
    Source: Mann & Whitney 1947; `metrics.roc_auc` is the same for one pair.
    """
    return stratified_auc(activation, aus, np.zeros(len(np.asarray(aus)), np.int64))


def outside_auc(activation, aus, emotion) -> np.ndarray:
    """`auc` on the inputs without an emotion label (emotion negative): [j, u]; NaN where undefined."""
    return stratified_auc(activation, aus, without_emotion(emotion))


def without_emotion(emotion) -> np.ndarray:
    """The stratum of "outside emotion": 0 where there is no emotion label, -1 (left out) where there is."""
    return np.where(np.asarray(emotion) < 0, 0, -1)
