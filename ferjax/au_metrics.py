"""How well action units are detected and their intensity told: F1, AUC, AP, ICC; intervals over people.

Axis letters: n inputs, u action units, r bootstrap resamples. Codes of presence: 1, 0, -1 unknown (left out
for that unit alone).
"""

import dataclasses
import math

import numpy as np

from ferjax.metrics import _CHUNK, LEVEL, Estimate, Scores, _interval, _Ranks, _ratio

PEOPLE = 2  # subjects that must show a unit, and as many lack it, before it is in a mean or has an interval


def best_thresholds(present: np.ndarray, score: np.ndarray) -> np.ndarray:
    """The threshold of each unit with the highest F1 on these inputs: those that select, never test's.

    Of equals the highest threshold. A prediction is `score >= threshold`.

    Args:
      present: [n, u] 1, 0 or -1.
      score: [n, u].
    Returns:
      float64 [u]: halfway to the next lower score; infinity where the unit is nowhere known to be present.
    """
    out = np.full(present.shape[1], np.inf)
    for u in range(present.shape[1]):
        known = present[:, u] >= 0
        truth, values = present[known, u] == 1, score[known, u].astype(np.float64)
        if not truth.any():
            continue
        order = np.argsort(-values, kind="stable")
        values, hits = values[order], np.cumsum(truth[order])
        last = np.append(values[1:] != values[:-1], True)  # a threshold cannot part equal scores
        f1 = np.where(last, 2 * hits / (np.arange(1, len(values) + 1) + truth.sum()), -1.0)
        best = int(f1.argmax())
        below = values[best + 1] if best + 1 < len(values) else values[best]
        out[u] = (values[best] + below) / 2
    return out


def balance(code: np.ndarray) -> np.ndarray:
    """float32 [u, 2] weights of absent and present: both sums of a unit alike, mean 1 over its known codes.

    Args:
      code: [n, u] 1, 0 or -1.
    """
    count = np.stack([(code == 0).sum(0), (code == 1).sum(0)], 1)
    return (count.sum(1, keepdims=True) / (2 * np.maximum(count, 1))).astype(np.float32)


def detection(
    present: np.ndarray,
    score: np.ndarray,
    units: tuple[str, ...],
    threshold: np.ndarray,
    subject: np.ndarray,
    n_bootstrap: int = 2000,
    seed: int = 0,
    people: int = PEOPLE,
) -> Scores:
    """F1 at the thresholds, ROC AUC and average precision of every unit and their means, with intervals.

    Resampling is by subject, by input where subjects are unknown. The means run over one fixed set of units,
    in
    the value as in every resample: those that `people` subjects show and as many lack. What one subject alone
    shows says nothing of how subjects differ; it has its value, no interval, and no place in a mean. A
    resample that draws none of a unit's few subjects leaves the unit undefined: for that unit alone it is
    drawn again, until there is one. Left out of that resample's mean instead, hard units would come and go,
    and the interval would be one of another figure; resamples lost whole would be nearly all, where ten units
    are rare.

    Args:
      present: [n, u] 1, 0 or -1.
      score: [n, u], higher means present; or [m, n, u] of m networks (seeds), whose measures are averaged.
      units: u names.
      threshold: [u] or [m, u], chosen elsewhere, see `best_thresholds`.
      subject: str [n]; "" is unknown, and the input then one of its own.
      n_bootstrap: resamples; 0 for no intervals.
      seed: of the resampling.
      people: subjects that show a unit, and that lack it, for its place in the means.
    Returns:
      Scores with metrics "f1", "auc", "average_precision", each also "/<unit>", "prevalence/<unit>" and
      "threshold/<unit>"; confusion None, classes the units; notes say which units are in the means.
    """
    present, score = np.asarray(present), np.asarray(score, np.float64)
    n, u = present.shape
    score, threshold = score.reshape(-1, n, u), np.asarray(threshold, np.float64).reshape(-1, u)
    rows = [np.flatnonzero(present[:, j] >= 0) for j in range(u)]
    truth = [present[rows[j], j] == 1 for j in range(u)]
    ranks = [[_Ranks(truth[j], s[rows[j], j]) for s in score] for j in range(u)]
    said = [[s[rows[j], j] >= t[j] for s, t in zip(score, threshold, strict=True)] for j in range(u)]

    def measure(weight: np.ndarray) -> dict[str, np.ndarray]:
        """Weights [n, r] of inputs -> measure -> [r, u]."""
        out = {name: np.full((weight.shape[1], u), np.nan) for name in ("f1", "auc", "average_precision")}
        for j in range(u):
            w = weight[rows[j]]
            if not len(w):
                continue
            w = np.ascontiguousarray(w)
            positives = w[truth[j]].sum(0, dtype=np.float64)
            f1 = [
                _ratio(
                    2 * w[truth[j] & s].sum(0, dtype=np.float64), positives + w[s].sum(0, dtype=np.float64)
                )
                for s in said[j]
            ]
            # F1 of a unit that is not there says nothing of its detector
            out["f1"][:, j] = np.where(positives > 0, np.mean(f1, 0), np.nan)
            ranked = np.mean([rank(w) for rank in ranks[j]], 0)
            out["auc"][:, j], out["average_precision"][:, j] = ranked
        return out

    more = {}
    for j, au in enumerate(units):
        share = float(truth[j].mean()) if len(rows[j]) else math.nan
        more[f"prevalence/{au}"] = Estimate(share, math.nan, math.nan, len(rows[j]), "a count")
        at = float(threshold[:, j].mean()) if np.isfinite(threshold[:, j]).all() else math.nan
        more[f"threshold/{au}"] = Estimate(at, math.nan, math.nan, 0, "chosen on the selecting part")
    return _scores(measure, present, units, subject, n_bootstrap, seed, people, more)


def intensity(
    truth: np.ndarray,
    told: np.ndarray,
    units: tuple[str, ...],
    subject: np.ndarray,
    n_bootstrap: int = 2000,
    seed: int = 0,
) -> Scores:
    """ICC(3,1) of every unit's intensities and its mean, with intervals, by the rules of `detection`.

    Args:
      truth: [n, u] 0 to 5; negative: unknown or not graded.
      told: [n, u], or [m, n, u] of m networks, whose ICCs are averaged.
      units: u names.
      subject: str [n].
      n_bootstrap: resamples; 0 for no intervals.
      seed: of the resampling.
    Returns:
      Scores with metrics "icc" and "icc/<unit>"; n counts the inputs that show the unit.
    """
    truth, told = np.asarray(truth, np.float64), np.asarray(told, np.float64)
    n, u = truth.shape
    told = told.reshape(-1, n, u)
    present = np.where(truth < 0, -1, truth > 0)

    def measure(weight: np.ndarray) -> dict[str, np.ndarray]:
        """Weights [n, r] of inputs -> {"icc": [r, u]}."""
        out = np.full((weight.shape[1], u), np.nan)
        for j in range(u):
            rows = truth[:, j] >= 0
            if (present[rows, j] == 1).any():
                out[:, j] = np.mean([icc(truth[rows, j], one[rows, j], weight[rows]) for one in told], 0)
        return {"icc": out}

    return _scores(measure, present, units, subject, n_bootstrap, seed, PEOPLE, {})


def _scores(measure, present, units, subject, n_bootstrap, seed, people, more) -> Scores:
    """Every measure of every unit and its mean, as `detection` says.

    Args:
      measure: weights [n, r] of inputs -> name -> [r, u].
      present: [n, u] 1, 0 or -1.
      units: u names.
      subject: str [n].
      n_bootstrap: resamples.
      seed: of them.
      people: see `detection`.
      more: further metrics.
    """
    n, u = present.shape
    names = np.where(subject == "", np.char.add("input ", np.arange(n).astype(str)), subject)
    unit = np.unique(names, return_inverse=True)[1].reshape(-1)
    groups, over = int(unit.max()) + 1, "subject" if (subject != "").any() else "image"
    shown, lacked = ([len(np.unique(unit[present[:, j] == k])) for j in range(u)] for k in (1, 0))
    fixed = [j for j in range(u) if min(shown[j], lacked[j]) >= people]
    point = measure(np.ones((n, 1), np.float32))
    drawn = _resampled(measure, unit, groups, n_bootstrap, seed) if n_bootstrap and groups > 1 else {}
    rng, metrics, lost = np.random.default_rng((seed, 1)), {}, 0.0
    for name, values in point.items():
        every, mean = drawn.get(name), None
        if every is not None and fixed:
            lost = max(lost, float(np.isnan(every[:, fixed]).mean(0).max()))
            mean = _drawn_again(every[:, fixed], rng).mean(1)
        value = float(values[0, fixed].mean()) if fixed else math.nan
        why = f"no unit is shown by {people} {over}s and lacked by {people}"
        metrics[name] = _estimate(value, mean, over, groups, n_bootstrap, n, why)
        for j, au in enumerate(units):
            positives, known = int((present[:, j] == 1).sum()), int((present[:, j] >= 0).sum())
            why = f"{au} is present in {positives} of {known} inputs where it is known"
            one = _estimate(
                values[0, j],
                None if every is None else every[:, j],
                over,
                groups,
                n_bootstrap,
                positives,
                why,
            )
            if math.isfinite(one.low) and j not in fixed:
                few = f"no interval: {shown[j]} {over}s show it and {lacked[j]} lack it"
                one = dataclasses.replace(one, low=math.nan, high=math.nan, reason=few)
            metrics[f"{name}/{au}"] = one
    interval = {
        "level": LEVEL,
        "over": over,
        "units": groups,
        "method": f"percentile bootstrap, {n_bootstrap} resamples, seed {seed}" if n_bootstrap else "none",
    }
    left = [f"{au} ({shown[j]} show it)" for j, au in enumerate(units) if j not in fixed]
    note = f"Means are over {len(fixed)} units: {', '.join(units[j] for j in fixed) or 'none'}."
    if left:
        note += f" Not in them, as fewer than {people} {over}s show or lack them: {', '.join(left)}."
    if lost:
        note += (
            f" Up to {100 * lost:.1f} % of the resamples lack one of these units, which is then drawn again."
        )
    return Scores(metrics | more, interval, None, units, int((present < 0).all(1).sum()), (note,))


def _resampled(measure, unit, groups, n_bootstrap, seed) -> dict[str, np.ndarray]:
    """Name -> [n_bootstrap, u], of resamples of the groups that the inputs belong to."""
    rng, width, parts = np.random.default_rng(seed), max(8, _CHUNK // max(len(unit), 1)), []
    for start in range(0, n_bootstrap, width):
        r = min(width, n_bootstrap - start)
        pick = rng.integers(0, groups, (groups, r)) + groups * np.arange(r)
        times = np.bincount(pick.reshape(-1), minlength=groups * r).reshape(r, groups).astype(np.float32)
        parts.append(measure(np.ascontiguousarray(times.T)[unit]))
    return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}


def _drawn_again(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """[r, u] with every NaN replaced by the unit's value in a resample, drawn at random, that has it."""
    out = values.copy()
    for column in out.T:
        lost = np.isnan(column)
        if lost.any() and not lost.all():
            column[lost] = rng.choice(column[~lost], lost.sum())
    return out


def _estimate(value, resampled, over, groups, n_bootstrap, n, why) -> Estimate:
    low, high, reason = _interval(float(value), resampled, over, groups, n_bootstrap)
    return Estimate(float(value), low, high, n, why if math.isnan(value) else reason)


def icc(truth: np.ndarray, told: np.ndarray, weight: np.ndarray | None = None) -> float | np.ndarray:
    """ICC(3,1) of two raters, consistency (Shrout & Fleiss 1979, table 4): (BMS - EMS) / (BMS + EMS).

    Of two raters that is 2 cov(x, y) / (var(x) + var(y)).

    Args:
      truth, told: [n] intensities of the same n inputs.
      weight: [n, r], how often each input counts in each of r resamples; None: once.
    Returns:
      In [-1, 1], a number, or [r]; NaN for fewer than two inputs or none that differ.
    """
    w = np.ones((len(truth), 1)) if weight is None else np.asarray(weight, np.float64)
    x, y = np.asarray(truth, np.float64), np.asarray(told, np.float64)
    total = np.maximum(w.sum(0), 1)
    x, y = x - x.mean() if len(x) else x, y - y.mean() if len(y) else y
    mean_x, mean_y = x @ w / total, y @ w / total
    both = (x * y) @ w / total - mean_x * mean_y
    apart = (x * x + y * y) @ w / total - mean_x**2 - mean_y**2
    out = np.where(apart > 1e-12, 2 * both / np.maximum(apart, 1e-12), math.nan)
    return float(out[0]) if weight is None else out
