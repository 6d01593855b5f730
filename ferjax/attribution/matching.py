"""A filter's match: the unit chosen on half of the subjects, measured on the other half. NumPy only.

Choosing the best of many units and measuring it on the same inputs makes every filter look good. So the
subjects are divided (`halves`), the unit with the largest AUC on one half is the match, and AUC, its
intervals and the controls within and outside emotion come from the other half (`match`).

Intervals are percentile bootstrap intervals over subjects, each drawn with all its inputs. For subject
weights w (how often each was drawn) the AUC of a filter and a unit is

    w' M w / sum_k (w' a_k)(w' b_k),

M[s, t] being the concordant pairs (ties half) between inputs of subject s with the unit and inputs of
subject t without it in the same stratum, a_k[s] and b_k[t] their numbers in stratum k. M is counted once,
so that 2,000 resamples are one matrix product; with very many subjects the weights themselves are summed
along the ranks.

Axis letters: q sequence, j filter, u action unit, s subject, r resample, m pair of filter and unit.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math

import numpy as np

from data_pipelines import BadInput
from ferjax.attribution.ranks import auc, check, comparable, runs, stratified_auc, without_emotion
from ferjax.attribution.subjects import subject_codes
from ferjax.attribution.units import average_precision
from ferjax.metrics import LEVEL

_BLOCK = 4_000_000  # numbers held at once per array: 32 MB of float64
_CACHE = 250_000  # numbers summed along the ranks at once: 1 MB of float32


def halves(subject, seed: int = 0) -> np.ndarray:
    """Divides the subjects in two, equal in number, by a hash of their names.

    Of an odd number, the choosing half has one more.

    The same names and seed give the same halves, in whatever order the inputs come.

    Args:
      subject: str [q]; an input of unknown subject ("") is a subject of its own, named by its row.
      seed: another seed, other halves.
    Returns:
      bool [q], True for the choosing half; all inputs of a subject are on one side.
    Raises:
      BadInput: there is only one subject.
    """
    subject = np.asarray(subject).astype(str)
    names = np.where(subject == "", np.char.add("\0row ", np.arange(len(subject)).astype(str)), subject)
    known, code = np.unique(names, return_inverse=True)
    if len(known) < 2:
        raise BadInput(
            f"all {len(subject)} inputs are of one subject ({known[0] if len(known) else 'none'}); "
            "choosing units on one half of the subjects and measuring on the other takes two or more"
        )
    digest = [hashlib.sha256(f"{seed}:{name}".encode()).digest() for name in known]
    chosen = np.zeros(len(known), bool)
    chosen[sorted(range(len(known)), key=digest.__getitem__)[: (len(known) + 1) // 2]] = True
    return chosen[code.reshape(-1)]


@dataclasses.dataclass(frozen=True)
class Match:
    """Every filter's matched unit and how well it holds on the measuring half. All [j].

    Attributes:
      au: int, column of the unit; -1 where no unit could be chosen.
      auc_choose: its AUC on the choosing half.
      auc, auc_low, auc_high: AUC on the measuring half, with its interval over subjects.
      ap: average precision there.
      present, absent: int, inputs of the measuring half with and without the unit.
      within, within_low, within_high: AUC there among inputs of the same emotion (`ranks.stratified_auc`).
      within_present, within_absent: int, inputs with and without the unit that it rests on
        (`ranks.comparable`).
      outside, outside_low, outside_high, outside_present, outside_absent: the same among inputs without an
        emotion.
    NaN where undefined, or (intervals) not asked for, or without width: resamples of a perfect separation are
    all perfect, which says nothing of how far it would hold.
    """

    au: np.ndarray
    auc_choose: np.ndarray
    auc: np.ndarray
    auc_low: np.ndarray
    auc_high: np.ndarray
    ap: np.ndarray
    present: np.ndarray
    absent: np.ndarray
    within: np.ndarray
    within_low: np.ndarray
    within_high: np.ndarray
    within_present: np.ndarray
    within_absent: np.ndarray
    outside: np.ndarray
    outside_low: np.ndarray
    outside_high: np.ndarray
    outside_present: np.ndarray
    outside_absent: np.ndarray


def match(
    activation, aus, subject, emotion, choose, least: int = 8, bootstrap: int = 2000, seed: int = 0
) -> Match:
    """Chooses each filter's unit on one half of the subjects and measures it on the other.

    Args:
      activation: [q, j].
      aus: [q, u] 1 present, 0 absent, -1 unknown.
      subject: str [q]; "" unknown, an input of its own in the bootstrap.
      emotion: int [q]; -1 no emotion.
      choose: bool [q] of `halves`.
      least: inputs of each half a unit must be present in, and absent from, to be chosen. What is measured
        within or outside emotion has to rest on as many (`ranks.comparable`), or is NaN: one pair of inputs
        gives an AUC of 0 or 1.
      bootstrap: resamples for the intervals; 0 for none (networks that only serve for comparison).
      seed: of the resampling.
    Returns:
      Match. A filter that is the same for all inputs of the choosing half prefers no unit: au is -1.
    Raises:
      ValueError: wrong shapes or values.
    """
    activation, aus = check(activation, aus)
    choose, emotion, subject = np.asarray(choose, bool), np.asarray(emotion), np.asarray(subject)
    q, j = activation.shape
    if not choose.shape == emotion.shape == subject.shape == (q,):
        raise ValueError(
            f"choose {choose.shape}, emotion {emotion.shape} and subject {subject.shape} must be [{q}]"
        )
    if choose.all() or not choose.any():
        raise ValueError("choose must leave inputs on both sides (matching.halves)")
    eligible = _enough(aus[choose], least) & _enough(aus[~choose], least)
    au, auc_choose = _largest(activation[choose], aus[choose], eligible)

    x, y, emotion, subject = activation[~choose], aus[~choose], emotion[~choose], subject[~choose]
    matched = np.flatnonzero(au >= 0)
    pairs = matched, au[matched]

    def spread(values, fill=math.nan):
        out = np.full(j, fill, np.asarray(values).dtype)
        out[matched] = values
        return out

    found = {"ap": spread(average_precision(x, y)[pairs])}
    strata = {
        "auc": np.zeros(len(y), int),
        "within": np.where(emotion < 0, -1, emotion),
        "outside": without_emotion(emotion),
    }
    for name, stratum in strata.items():
        counts = [side[pairs[1]] for side in comparable(y, stratum)]
        for key, side in zip(("present", "absent"), counts, strict=True):
            found[key if name == "auc" else f"{name}_{key}"] = spread(side, 0)
        enough = np.minimum(*counts) >= least
        low, high = auc_intervals(x, y, subject, stratum, pairs, bootstrap, seed)
        ends = (np.where(low < high, end, math.nan) for end in (low, high))
        values = (stratified_auc(x, y, stratum)[pairs], *ends)
        for key, value in zip((name, f"{name}_low", f"{name}_high"), values, strict=True):
            found[key] = spread(np.where(enough, value, math.nan))
    return Match(au=au, auc_choose=auc_choose, **found)


def emotion_preference(
    activation, emotion, choose, classes: int, least: int = 8
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The emotion each filter prefers: the largest AUC against the rest on the choosing half.

    Args:
      activation: [q, j].
      emotion: int [q], index of a class; -1 (no emotion) is left out.
      choose: bool [q] of `halves`.
      classes: k.
      least: inputs of the choosing half an emotion must have, and leave to the rest, to be chosen.
    Returns:
      int [j] the class (-1: none could be chosen), [j] its AUC on the choosing half, [j] on the other half.
    Raises:
      ValueError: wrong shapes or values.
    """
    emotion, choose = np.asarray(emotion), np.asarray(choose, bool)
    shown = np.where(emotion[:, None] < 0, -1, emotion[:, None] == np.arange(classes)).astype(np.int8)
    activation, shown = check(activation, shown)
    if choose.shape != emotion.shape:
        raise ValueError(f"choose must be [{len(emotion)}], not {choose.shape}")
    eligible = _enough(shown[choose], least) & _enough(shown[~choose], 1)
    best, auc_choose = _largest(activation[choose], shown[choose], eligible)
    measured = np.full(len(best), math.nan)
    chosen = np.flatnonzero(best >= 0)
    if len(chosen):
        measured[chosen] = auc(activation[~choose], shown[~choose])[chosen, best[chosen]]
    return best, auc_choose, measured


def auc_intervals(
    activation, aus, subject, stratum=None, pairs=None, bootstrap: int = 2000, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Percentile bootstrap intervals over subjects of the AUC of pairs of a filter and a unit.

    Subjects with an input in some stratum are drawn with replacement, as many as there are. A pair that is
    undefined in more than half of the resamples, or rests on one subject, gets no interval.

    Args:
      activation: [q, j].
      aus: [q, u] 1 present, 0 absent, -1 unknown.
      subject: str [q]; "" unknown, each a subject of its own.
      stratum: int [q] for the stratified AUC, negative left out; None for the plain one.
      pairs: (int [m] filters, int [m] units); None for all, filter by filter: m = j * u.
      bootstrap: resamples; 0 gives NaN.
      seed: of the draws; all pairs share them.
    Returns:
      [m] low and [m] high ends of the 95 % interval.
    Raises:
      ValueError: wrong shapes or values.
    Source: Efron & Tibshirani 1993, "An introduction to the bootstrap"; drawing whole clusters,
      Field & Welsh 2007.
    """
    activation, aus = check(activation, aus)
    if pairs is None:
        pairs = tuple(i.reshape(-1) for i in np.indices((activation.shape[1], aus.shape[1])))
    filters, units = (np.asarray(p, int) for p in pairs)
    low, high = np.full(len(filters), math.nan), np.full(len(filters), math.nan)
    stratum = np.zeros(len(aus), int) if stratum is None else np.asarray(stratum)
    used = np.flatnonzero(stratum >= 0)
    if not bootstrap or not len(used):
        return low, high
    code = subject_codes(np.asarray(subject)[used])
    weight = draws(int(code.max()) + 1, bootstrap, seed)
    if weight.shape[1] < 2:
        return low, high
    for u in np.unique(units):
        which = np.flatnonzero(units == u)
        rows = used[aus[used, u] >= 0]
        known = aus[used, u] >= 0
        if len(np.unique(aus[rows, u])) < 2:
            continue
        aucs = _Resampled(aus[rows, u] == 1, stratum[rows], code[known], weight)
        for start in range(0, len(which), aucs.width):
            some = which[start : start + aucs.width]
            low[some], high[some] = _percentiles(aucs(activation[np.ix_(rows, filters[some])]))
    return low, high


def draws(subjects: int, resamples: int, seed: int) -> np.ndarray:
    """How often each subject is drawn: [r, s] whole numbers in float64, each row adding up to s."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(subjects, np.full(subjects, 1 / subjects), resamples).astype(np.float64)


class _Resampled:
    """AUCs of one unit under all resamples, for some filters at a time (`width` keeps memory bounded)."""

    def __init__(self, present, stratum, code, weight):
        self.present, self.stratum, self.code, self.weight = present, stratum, code, weight
        r, s = weight.shape
        _, k = np.unique(stratum, return_inverse=True)
        table = np.zeros((2, s, k.max() + 1))
        np.add.at(table, (present.astype(int), code, k.reshape(-1)), 1)
        self.pairs = ((weight @ table[1]) * (weight @ table[0])).sum(1)  # [r]
        self.by_subject = _by_subject(len(present), s, r)
        # summed along the ranks: which subject, or how often drawn in each resample; exact in float32
        self.columns = np.eye(s, dtype=np.float32) if self.by_subject else weight.T.astype(np.float32)
        self.width = max(1, _BLOCK // (r * s if self.by_subject else r))

    def __call__(self, x) -> np.ndarray:
        """Activation [n, m] -> AUC [m, r]; NaN where a resample has no pair."""
        if self.by_subject:
            M = np.stack([self._sums(column) for column in x.T])  # [m, s, s]
            m, s, _ = M.shape
            rows = (self.weight @ M.transpose(1, 0, 2).reshape(s, m * s)).reshape(-1, m, s)
            top = np.einsum("rms,rs->mr", rows, self.weight)
        else:
            top = np.stack([self._sums(column) for column in x.T])
        return np.divide(top, self.pairs, out=np.full(top.shape, math.nan), where=self.pairs > 0)

    def _sums(self, x) -> np.ndarray:
        """M [s, s] of the module's docstring, or w' M w of every resample [r] without M."""
        order = np.lexsort((x, self.stratum))
        x, stratum, present = x[order], self.stratum[order], self.present[order]
        step = (x[1:] != x[:-1]) | (stratum[1:] != stratum[:-1])
        start, end = runs(np.append(0, np.cumsum(step)))
        first, _ = runs(stratum)
        # inputs with the unit, subject by subject; for each, how many inputs without it are ahead of its
        # ties, of what follows its ties and of its stratum
        ones = np.flatnonzero(present)
        ones = ones[np.argsort(self.code[order[ones]], kind="stable")]
        before = np.append(0, np.cumsum(~present))
        lower, upper, base = before[start[ones]], before[end[ones] + 1], before[first[ones]]
        mine, others = self.code[order[ones]], self.code[order[~present]]
        starts = np.flatnonzero(np.append(True, np.diff(mine) != 0))

        columns = self.columns.shape[1]
        out = np.zeros((columns, columns) if self.by_subject else columns)
        width = max(1, _CACHE // len(x))
        for part in (slice(i, i + width) for i in range(0, columns, width)):
            below = np.zeros((len(others) + 1, len(range(columns)[part])), np.float32)
            np.cumsum(self.columns[others, part], 0, out=below[1:])
            sums = below[lower]
            sums += below[upper]
            sums *= 0.5  # ties count half
            if base.any():
                sums -= below[base]
            if self.by_subject:
                out[mine[starts], part] = np.add.reduceat(sums, starts, axis=0)
            else:
                sums *= self.columns[mine, part]
                out[part] = sums.sum(0, dtype=np.float64)
        return out


def _by_subject(n: int, s: int, r: int) -> bool:
    """Whether M by subjects costs less than sums along n ranks for each of r resamples, as measured."""
    return n * s + r * s * s / 10 <= 3 * n * r


def _percentiles(values) -> tuple[np.ndarray, np.ndarray]:
    """[m, r] -> both ends [m]; NaN where more than half of the resamples are undefined."""
    ends = [50 * (1 - LEVEL), 50 * (1 + LEVEL)]
    undefined = np.isnan(values)
    out = np.full((2, len(values)), math.nan)
    whole = ~undefined.any(1)
    if whole.any():
        out[:, whole] = np.percentile(values[whole], ends, axis=1)
    for m in np.flatnonzero(~whole & (2 * undefined.sum(1) <= values.shape[1])):
        out[:, m] = np.percentile(values[m, ~undefined[m]], ends)
    return out[0], out[1]


def _enough(aus, least) -> np.ndarray:
    return ((aus == 1).sum(0) >= least) & ((aus == 0).sum(0) >= least)


def _largest(activation, aus, eligible) -> tuple[np.ndarray, np.ndarray]:
    """The eligible column with the largest AUC, the first of equals: int [j] (-1: none) and that AUC [j]."""
    j = activation.shape[1]
    best, value = np.full(j, -1), np.full(j, math.nan)
    varies = np.ptp(activation, 0) > 0
    if eligible.any() and varies.any():
        columns = np.flatnonzero(eligible)
        found = auc(activation[:, varies], aus[:, columns])
        best[varies], value[varies] = columns[found.argmax(1)], found.max(1)
    return best, value
