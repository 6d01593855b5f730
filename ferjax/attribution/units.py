"""Which filter goes with which action unit: the paper's top-n share, and measures over all inputs.

One row is one sequence: frames of a sequence are near-copies, so `by_sequence` comes first. Everything here
describes; whether it is more than chance is the business of controls.py, and which unit is a filter's match
that of matching.py.

Axis letters: n frame, q sequence, j filter, u action unit.
"""

from __future__ import annotations

import numpy as np

from data_pipelines import BadInput, labels
from ferjax.attribution.ranks import (
    auc,
    average_ranks,
    check,
    filter_blocks,
    known_groups,
    outside_auc,
    runs,
    stratified_auc,
)
from ferjax.attribution.subjects import subject_codes

__all__ = [
    "active",
    "auc",
    "aus_by_sequence",
    "average_precision",
    "best_unit",
    "by_sequence",
    "effect_size",
    "implied",
    "kl_divergence",
    "mutual_information",
    "outside_auc",
    "rejected",
    "stratified_auc",
    "testable",
    "together",
    "unit_au_precision",
]

KL_BINS = 10
MI_BINS = 5


def by_sequence(values, sequence) -> tuple[np.ndarray, np.ndarray]:
    """The largest value of each sequence's frames.

    Args:
      values: [n, j] activation per frame.
      sequence: [n] name or code; "" is no sequence, and such a row stands alone.
    Returns:
      [q, j] maxima and int [q] each sequence's first row, in order of first appearance.
    Raises:
      ValueError: the lengths differ.
    """
    values = np.asarray(values)
    order, starts, first = _sequences(values, sequence)
    shown = np.argsort(first, kind="stable")
    return np.maximum.reduceat(values[order], starts, axis=0)[shown], first[shown]


def aus_by_sequence(codes, sequence, threshold: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Whether a sequence shows each action unit at or above an intensity in any of its frames.

    Frames that are not coded are left out. A unit is present if one frame reaches the threshold. If none
    does, but one is present without a grade (`labels.AU_PRESENT`) and the threshold is above 1, its peak
    may lie on either side and the unit is unknown; otherwise it is absent; with no coded frame it is
    unknown.

    Args:
      codes: int8 [n, u] codes of `labels.AU_CODES`.
      sequence: [n] as in `by_sequence`.
      threshold: least intensity that counts as present, 1 to 5.
    Returns:
      int8 [q, u] in {1, 0, -1}, and int [q] first rows; sequences in order of first appearance.
    Raises:
      ValueError: the lengths differ, or the threshold is out of range.
    """
    codes = np.asarray(codes, np.int8)
    presence = labels.au_present(codes, threshold)
    doubtful = (presence == labels.AU_UNKNOWN) & (codes == labels.AU_PRESENT)
    seen, first = by_sequence(presence, sequence)
    in_doubt, _ = by_sequence(doubtful, sequence)
    return np.where((seen < 1) & in_doubt, labels.AU_UNKNOWN, seen).astype(np.int8), first


def testable(aus, au_names, least: int, choose=None) -> tuple[np.ndarray, list[dict]]:
    """Units with enough inputs to say anything about, and why the others are left out.

    Args:
      aus: [q, u] in {1, 0, -1}.
      au_names: u names.
      least: inputs a unit must be present in, and be absent from.
      choose: bool [q], one half of the inputs; in each half a unit needs least // 2, at least 1. None: no
        halves.
    Returns:
      bool [u], and a dict {"name", "present", "why"} for each unit that is left out.
    Raises:
      BadInput: the set has no action units, or none has enough inputs; says what it has.
    """
    aus = np.asarray(aus)
    present, absent = (aus == 1).sum(0), (aus == 0).sum(0)
    if not aus.size or not (present + absent).any():
        raise BadInput(
            "the data set has no action unit labels, which matching filters to units needs; "
            "take one that has, such as facsynth"
        )
    sides = [] if choose is None else [aus[np.asarray(choose, bool)], aus[~np.asarray(choose, bool)]]
    few = np.zeros(aus.shape[1], bool)
    for side in sides:
        few |= np.minimum((side == 1).sum(0), (side == 0).sum(0)) < max(1, least // 2)
    left_out = []
    for name, ones, zeros, uneven in zip(au_names, present, absent, few, strict=True):
        if not ones + zeros:
            why = "not coded in any input"
        elif ones < least:
            why = f"seen in fewer than {least} inputs"
        elif zeros < least:
            why = f"absent from fewer than {least} inputs"
        elif uneven:
            why = f"seen in, or absent from, fewer than {max(1, least // 2)} inputs of one half of the people"
        else:
            continue
        left_out.append({"name": str(name), "present": int(ones), "why": why})
    keep = (present >= least) & (absent >= least) & ~few
    if not keep.any():
        raise BadInput(
            f"no action unit is both present in and absent from {least} inputs or more"
            f"{', and half as many of each half of the people' if sides else ''} (the most frequent, "
            f"{au_names[int(present.argmax())]}, is present in {present.max()} of {len(aus)}); "
            "lower `least` or take a larger set"
        )
    return keep, left_out


def active(activation) -> np.ndarray:
    """Filters that are above zero for any input: [q, j] -> bool [j]."""
    return (np.asarray(activation) > 0).any(0)


def unit_au_precision(activation, aus, top_n: int) -> np.ndarray:
    """P[j, u]: share of filter j's top-n inputs that show AU u.

    Inputs of equal activation are taken in the order they come in (all of an inactive filter's are equal:
    its row describes the first n inputs and means nothing).

    Args:
      activation: [q, j] each input's maximum response of filter j.
      aus: [q, u] 1 present, 0 absent, -1 unknown (left out of that AU's count).
      top_n: inputs per filter; at least 1 and at most q.
    Returns:
      [j, u] in [0, 1]; NaN where every one of the top n is unknown.
    Raises:
      BadInput: top_n out of range; names it and the number of inputs.
      ValueError: wrong shapes or values.
    Source: Breuer & Kimmel 2017, section on filter visualisation.
    """
    activation, aus = check(activation, aus)
    if not 1 <= top_n <= len(activation):
        raise BadInput(f"top_n is {top_n}, but the set has {len(activation)} inputs; take 1 to that many")
    top = np.argsort(-activation, axis=0, kind="stable")[:top_n]  # [top_n, j]
    shown = np.zeros((activation.shape[1], aus.shape[1]))
    known = np.zeros_like(shown)
    for rows in top:
        shown += aus[rows] == 1
        known += aus[rows] >= 0
    return np.divide(shown, known, out=np.full_like(shown, np.nan), where=known > 0)


def best_unit(P, base_rate=None) -> np.ndarray:
    """The unit with the largest P of each filter; -1 where all are NaN.

    Args:
      P: [j, u] of `unit_au_precision`.
      base_rate: [u] share of inputs that show the unit. Among equal P the rarest unit is taken, which says
        most; None, or equal rates: the first.
    Returns:
      int [j].
    """
    P = np.asarray(P, np.float64)
    undefined = np.isnan(P)
    P = np.where(undefined, -1.0, P)
    rate = np.zeros(P.shape[1]) if base_rate is None else np.asarray(base_rate, np.float64)
    best = np.where(P.max(1, keepdims=True) == P, rate, np.inf).argmin(1)
    return np.where(undefined.all(1), -1, best)


def rejected(P, is_active) -> np.ndarray:
    """The paper's rule: an active filter is rejected when no unit is shown by all of its top inputs.

    Args:
      P: [j, u] of `unit_au_precision`; a NaN is no match.
      is_active: bool [j] of `active`. Filters that are not count neither as active nor as rejected.
    Returns:
      bool [j].
    Source: Breuer & Kimmel 2017: "P < 1 is rejected", as commonly quoted.
    """
    return np.asarray(is_active, bool) & ~(np.asarray(P) == 1).any(1)


def average_precision(activation, aus) -> np.ndarray:
    """AP[j, u] = sum over thresholds of (R_i - R_{i-1}) P_i, tied activations taken at once.

    Args:
      activation: [q, j].
      aus: [q, u] 1 present, 0 absent, -1 unknown (left out).
    Returns:
      [j, u] in [0, 1]; NaN where the unit is never present. Chance is the unit's share among known inputs.
    Raises:
      ValueError: wrong shapes or values.
    Source: as scikit-learn's; `metrics.average_precision` is the same for one pair.
    """
    activation, aus = check(activation, aus)
    present, known = (aus == 1).astype(np.int32), (aus >= 0).astype(np.int32)
    total = np.zeros((activation.shape[1], aus.shape[1]))
    for j in range(activation.shape[1]):
        order = np.argsort(-activation[:, j], kind="stable")
        end = runs(activation[order, j])[1]
        hit = present[order]
        precision = np.cumsum(hit, 0) / np.maximum(np.cumsum(known[order], 0), 1)
        total[j] = np.einsum("qu,qu->u", hit, precision[end])
    count = present.sum(0)
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def kl_divergence(activation, aus, bins: int = KL_BINS) -> np.ndarray:
    """D[j, u] = sum_b p_b log2(p_b / a_b): a filter's activation with the unit present (p) and absent (a).

    Histograms of `bins` equal bins from the filter's least to its largest activation over all inputs. Into
    each goes one input's worth of the histogram of both together, so that no bin is empty where the other
    is not: a constant filter has exactly 0. The estimate is above 0 by chance, the more so the rarer the
    unit; compare with the same number of a network with random weights.

    Args:
      activation: [q, j].
      aus: [q, u] 1 present, 0 absent, -1 unknown (left out).
      bins: at least 2.
    Returns:
      [j, u] in bits, >= 0; NaN where a unit is never present or never absent.
    Raises:
      ValueError: wrong shapes or values.
    Source: Khorrami, Le Paine & Huang 2015, "Do deep neural networks learn facial action units when doing
      expression recognition?"; they do not state bins or smoothing, these are ours.
    """
    activation, aus = check(activation, aus)
    out = np.full((activation.shape[1], aus.shape[1]), np.nan)
    for part in filter_blocks(len(aus), activation.shape[1]):
        x = activation[:, part].astype(np.float64)
        low, span = x.min(0), np.ptp(x, 0)
        cell = np.minimum((x - low) / np.where(span > 0, span, 1) * bins, bins - 1).astype(np.int8)
        ones, zeros = _cell_counts(cell, aus, bins)  # [bins, j, u]
        n1, n0 = ones.sum(0), zeros.sum(0)
        both = (ones + zeros) / np.maximum(n1 + n0, 1)
        p, a = (ones + both) / (n1 + 1), (zeros + both) / (n0 + 1)
        ratio = np.divide(p, a, out=np.ones_like(p), where=a > 0)
        kl = np.maximum((p * np.log2(ratio)).sum(0), 0)  # rounding can give -1e-17
        out[part] = np.where((n1 > 0) & (n0 > 0), kl, np.nan)
    return out


def mutual_information(activation, aus, bins: int = MI_BINS) -> np.ndarray:
    """I[j, u] in bits between a filter's activation, in bins of equal count, and the presence of a unit.

    Bins are cut at quantiles of the inputs known for the unit; equal activations share a bin, so there may
    be fewer. Plug-in entropies with the Miller-Madow correction (cells - 1) / 2N each:

        I = H(x) + H(y) - H(x, y) + (K_x + K_y - K_xy - 1) / (2 N ln 2),

    K the cells that are not empty. Close to unbiased, hence sometimes a little below 0 where there is no
    link; that is left as it is.

    Args:
      activation: [q, j].
      aus: [q, u] 1 present, 0 absent, -1 unknown (left out).
      bins: at least 2.
    Returns:
      [j, u] in bits; NaN where a unit is never present or never absent.
    Raises:
      ValueError: wrong shapes or values.
    Source: Miller 1955, "Note on the bias of information estimates".
    """
    activation, aus = check(activation, aus)
    out = np.full((activation.shape[1], aus.shape[1]), np.nan)
    for rows, units in known_groups(aus):
        n = len(rows)
        for part in filter_blocks(n, activation.shape[1]) if n else ():
            cell = ((average_ranks(activation[rows, part]) - 0.5) * (bins / n)).astype(np.int8)
            ones, zeros = _cell_counts(cell, aus[np.ix_(rows, units)], bins)
            joint = np.concatenate([ones, zeros])  # [2 bins, j, u]
            sides = np.stack([ones.sum(0), zeros.sum(0)])
            plug_in = _entropy(ones + zeros, n) + _entropy(sides, n) - _entropy(joint, n)
            cells = ((ones + zeros) > 0).sum(0) + (sides > 0).sum(0) - (joint > 0).sum(0) - 1
            defined = (sides > 0).all(0)
            out[part, units] = np.where(defined, plug_in + cells / (2 * n * np.log(2)), np.nan)
    return out


def effect_size(activation, aus) -> np.ndarray:
    """d[j, u]: mean activation with the unit less that without, in pooled standard deviations.

    Args:
      activation: [q, j].
      aus: [q, u] 1 present, 0 absent, -1 unknown (left out).
    Returns:
      [j, u]; NaN where a side has no input, or neither side varies.
    Raises:
      ValueError: wrong shapes or values.
    Source: Cohen 1988.
    """
    activation, aus = check(activation, aus)
    out = np.full((activation.shape[1], aus.shape[1]), np.nan)
    varies = np.ptp(activation, 0) > 0
    for rows, units in known_groups(aus):
        present = (aus[np.ix_(rows, units)] == 1).astype(np.float64)
        n1, n0 = present.sum(0), (1 - present).sum(0)
        for part in filter_blocks(len(rows), activation.shape[1]) if len(rows) else ():
            x = activation[rows, part].astype(np.float64)
            x -= x.mean(0)
            m1, m0 = x.T @ present / np.maximum(n1, 1), x.T @ (1 - present) / np.maximum(n0, 1)
            total = (x * x).sum(0)[:, None]
            inside = total - n1 * m1**2 - n0 * m0**2  # sum of squares within the two sides
            ok = (n1 > 0) & (n0 > 0) & (n1 + n0 > 2) & varies[part, None] & (inside > 1e-12 * total)
            sd = np.sqrt(np.where(ok, inside, 1) / np.maximum(n1 + n0 - 2, 1))
            out[part, units] = np.where(ok, (m1 - m0) / sd, np.nan)
    return out


def together(aus, least_jaccard: float = 0.8) -> list[tuple[int, ...]]:
    """Units that nearly always come together: no filter can be said to follow one rather than another.

    Two units are linked when the inputs that show both are at least `least_jaccard` of those that show
    either, over inputs where both are known. What is linked, directly or through others, is one group.

    Args:
      aus: [q, u] in {1, 0, -1}.
      least_jaccard: in (0, 1].
    Returns:
      For each unit, the other members of its group, ascending; empty for most.
    Source: Jaccard 1901.
    """
    aus = np.asarray(aus)
    present, known = (aus == 1).astype(np.float64), (aus >= 0).astype(np.float64)
    both, mine = present.T @ present, present.T @ known
    either = mine + mine.T - both
    linked = (both >= least_jaccard * either) & (both > 0)
    group = np.arange(aus.shape[1])
    for _ in range(aus.shape[1]):  # the smallest index spreads by one link at a time
        group = np.where(linked, group, aus.shape[1]).min(1, initial=aus.shape[1])
        group = np.where(group == aus.shape[1], np.arange(aus.shape[1]), group)
    return [tuple(int(o) for o in np.flatnonzero(group == g) if o != i) for i, g in enumerate(group)]


def implied(aus, least: float = 0.8) -> list[tuple[int, ...]]:
    """Units that nearly always come with a unit, whether or not it comes with them.

    Args:
      aus: [q, u] in {1, 0, -1}.
      least: share of the inputs with the unit (where the other is known) that show the other.
    Returns:
      For each unit the others, ascending; empty for most.
    """
    aus = np.asarray(aus)
    present, known = (aus == 1).astype(np.float64), (aus >= 0).astype(np.float64)
    both, mine = present.T @ present, present.T @ known  # [unit, other]
    linked = (both >= least * mine) & (both > 0)
    return [tuple(int(o) for o in np.flatnonzero(row) if o != i) for i, row in enumerate(linked)]


def _sequences(values, sequence) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows sorted by sequence, where each sequence starts in that order, and its first row."""
    sequence = np.asarray(sequence)
    if sequence.shape != (len(values),) or values.ndim != 2 or not len(values):
        raise ValueError(f"values has shape {values.shape}, sequence {sequence.shape}: wanted [n, j] and [n]")
    code = subject_codes(sequence)
    order = np.argsort(code, kind="stable")
    starts = np.flatnonzero(np.append(True, np.diff(code[order]) != 0))
    return order, starts, order[starts]


def _cell_counts(cell, aus, bins) -> tuple[np.ndarray, np.ndarray]:
    """Inputs in each bin with the unit present, and absent: [q, j] bins, [q, u] -> two [bins, j, u]."""
    side = np.concatenate([aus == 1, aus == 0], 1).astype(np.float32)  # counts: exact below 2^24
    counts = np.stack([(cell == b).T.astype(np.float32) @ side for b in range(bins)]).astype(np.float64)
    return counts[..., : aus.shape[1]], counts[..., aus.shape[1] :]


def _entropy(counts, n) -> np.ndarray:
    """Plug-in entropy in bits over the first axis."""
    share = counts / n
    return -(share * np.log2(np.where(share > 0, share, 1))).sum(0)
