"""How well action units are detected and their intensity told: F1, AUC, AP, ICC; intervals over people.

Axis letters: n inputs, u action units, r bootstrap resamples. Codes of presence: 1, 0, -1 unknown (left out
for that unit alone).
"""

import math

import numpy as np

from ferjax.metrics import _CHUNK, LEVEL, Estimate, Scores, _interval, _Ranks, _ratio


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
) -> Scores:
    """F1 at the thresholds, ROC AUC and average precision of every unit and their means, with intervals.

    A unit that is nowhere present (or nowhere absent) is undefined and left out of the means; which are in
    them is seen by their values. Resampling is by subject, by input where subjects are unknown.

    Args:
      present: [n, u] 1, 0 or -1.
      score: [n, u], higher means present; or [m, n, u] of m networks (seeds), whose measures are averaged.
      units: u names.
      threshold: [u] or [m, u], chosen elsewhere, see `best_thresholds`.
      subject: str [n]; "" is unknown, and the input then one of its own.
      n_bootstrap: resamples; 0 for no intervals.
      seed: of the resampling.
    Returns:
      Scores with metrics "f1", "auc", "average_precision", each also "/<unit>", "prevalence/<unit>" and
      "threshold/<unit>"; confusion None, classes the units.
    """
    present, score = np.asarray(present), np.asarray(score, np.float64)
    n, u = present.shape
    score, threshold = score.reshape(-1, n, u), np.asarray(threshold, np.float64).reshape(-1, u)
    names = np.where(subject == "", np.char.add("input ", np.arange(n).astype(str)), subject)
    unit = np.unique(names, return_inverse=True)[1].reshape(-1)
    groups, over = int(unit.max()) + 1, "subject" if (subject != "").any() else "image"
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

    point = measure(np.ones((n, 1), np.float32))
    drawn: dict[str, list] = {name: [] for name in point}
    rng, width = np.random.default_rng(seed), max(8, _CHUNK // max(n, 1))
    for start in range(0, n_bootstrap if groups > 1 else 0, width):
        r = min(width, n_bootstrap - start)
        pick = rng.integers(0, groups, (groups, r)) + groups * np.arange(r)
        times = np.bincount(pick.reshape(-1), minlength=groups * r).reshape(r, groups).astype(np.float32)
        for name, values in measure(np.ascontiguousarray(times.T)[unit]).items():
            drawn[name].append(values)
    metrics = {}
    for name, values in point.items():
        every = np.concatenate(drawn[name]) if drawn[name] else None
        mean = None if every is None else _means(every)
        metrics[name] = _estimate(_means(values)[0], mean, over, groups, n_bootstrap, n, "no unit has both")
        for j, au in enumerate(units):
            one = None if every is None else every[:, j]
            positives = int(truth[j].sum())
            why = f"{au} is present in {positives} of {len(rows[j])} inputs where it is known"
            metrics[f"{name}/{au}"] = _estimate(values[0, j], one, over, groups, n_bootstrap, positives, why)
    for j, au in enumerate(units):
        share = float(truth[j].mean()) if len(rows[j]) else math.nan
        metrics[f"prevalence/{au}"] = Estimate(share, math.nan, math.nan, len(rows[j]), "a count")
        at = float(threshold[:, j].mean()) if np.isfinite(threshold[:, j]).all() else math.nan
        metrics[f"threshold/{au}"] = Estimate(at, math.nan, math.nan, 0, "chosen on the selecting part")
    interval = {
        "level": LEVEL,
        "over": over,
        "units": groups,
        "method": f"percentile bootstrap, {n_bootstrap} resamples, seed {seed}" if n_bootstrap else "none",
    }
    return Scores(metrics, interval, None, units, int((present < 0).all(1).sum()))


def _means(values: np.ndarray) -> np.ndarray:
    """Means over the units that are defined, [r, u] -> [r]; NaN where none is."""
    defined = ~np.isnan(values)
    return _ratio(np.where(defined, values, 0).sum(1), defined.sum(1).astype(np.float64))


def _estimate(value, resampled, over, groups, n_bootstrap, n, why) -> Estimate:
    low, high, reason = _interval(float(value), resampled, over, groups, n_bootstrap)
    return Estimate(float(value), low, high, n, why if math.isnan(value) else reason)


def icc(truth: np.ndarray, told: np.ndarray) -> float:
    """ICC(3,1) of two raters, consistency (Shrout & Fleiss 1979, table 4): (BMS - EMS) / (BMS + EMS).

    Args:
      truth, told: [n] intensities of the same n inputs.
    Returns:
      In [-1, 1]; NaN for fewer than two inputs or none that differ.
    """
    pair = np.stack([truth, told], 1).astype(np.float64)
    n = len(pair)
    if n < 2:
        return math.nan
    row, column, mean = pair.mean(1), pair.mean(0), pair.mean()
    between = 2 * ((row - mean) ** 2).sum() / (n - 1)
    error = ((pair - row[:, None] - column[None] + mean) ** 2).sum() / (n - 1)
    return float((between - error) / (between + error)) if between + error > 0 else math.nan
