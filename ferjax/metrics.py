"""How good a classifier is: (sum, count) pairs inside the step, host metrics with intervals from predictions.

Conventions, the same in every result file:

- Predictions of all subjects are pooled, then counted once: no mean of per-subject or per-batch scores.
- A confusion matrix has the truth in its rows and the prediction in its columns.
- `uf1` (unweighted or macro F1) is the mean F1 over the classes that occur in the truth or the predictions.
  A class that only the predictions show counts with F1 = 0; one that neither shows is left out, as
  scikit-learn does.
- `uar` (unweighted average recall) is the mean recall over the classes that occur in the truth.
- A number that is undefined is NaN and says why; it is never a silent 0.

Axis letters: n examples, k classes, r bootstrap resamples. Nothing here imports JAX: `accuracy_sums` works on
NumPy and JAX arrays alike, and may be traced.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

LEVEL = 0.95  # of every interval
_CHUNK = 1_000_000  # weights held at once while resampling: 4 MB of float32 per array
_TINY = 1e-12  # the smallest probability that log_loss sees


def accuracy_sums(logits, label, mask):
    """(correct, counted): add over batches and devices, then divide.

    Args:
      logits: [..., k] scores, or probabilities; of equal scores the first class is the prediction.
      label: [...] index of the true class; -1 (unknown) is not counted.
      mask: [...] bool, False for padding.
    Returns:
      Two scalars, float32: correctly predicted examples, counted examples.
    """
    counted = mask & (label >= 0)
    correct = counted & (logits.argmax(-1) == label)
    return correct.sum().astype("float32"), counted.sum().astype("float32")


def confusion(label, predicted, k: int) -> np.ndarray:
    """C[i, j]: how many examples of class i were predicted as class j.

    Args:
      label: [n] int, true class in [0, k).
      predicted: [n] int in [0, k).
      k: number of classes.
    Returns:
      [k, k] int64.
    Raises:
      ValueError: shapes differ, or a class is out of range; names the first such row.
    """
    label, predicted = _classes(label, "label", k), _classes(predicted, "predicted", k)
    if len(label) != len(predicted):
        raise ValueError(f"confusion: {len(label)} labels but {len(predicted)} predictions")
    return np.bincount(label * k + predicted, minlength=k * k).reshape(k, k)


def accuracy(counts) -> np.ndarray:
    """Share of examples on the diagonal.

    Args:
      counts: [..., k, k] confusion matrices.
    Returns:
      [...] in [0, 1]; NaN for an empty matrix.
    """
    counts = _counts(counts)
    return _ratio(_diagonal(counts).sum(-1), counts.sum((-2, -1)))


def precision(counts) -> np.ndarray:
    """Share of the predictions of each class that are right: [..., k, k] -> [..., k]; NaN where none."""
    counts = _counts(counts)
    return _ratio(_diagonal(counts), counts.sum(-2))


def recall(counts) -> np.ndarray:
    """Share of each true class that is found: [..., k, k] -> [..., k]; NaN where the class does not occur."""
    counts = _counts(counts)
    return _ratio(_diagonal(counts), counts.sum(-1))


def f1(counts) -> np.ndarray:
    """F1 = 2 TP / (2 TP + FP + FN) per class: [..., k, k] -> [..., k]; NaN where TP + FP + FN = 0."""
    counts = _counts(counts)
    return _ratio(2 * _diagonal(counts), counts.sum(-1) + counts.sum(-2))


def uf1(counts) -> np.ndarray:
    """Mean F1 over the classes in the truth or the predictions: [..., k, k] -> [...]; NaN if empty."""
    return _mean_of_defined(f1(counts))


def uar(counts) -> np.ndarray:
    """Mean recall over the classes in the truth: [..., k, k] -> [...]; NaN for an empty matrix."""
    return _mean_of_defined(recall(counts))


def roc_auc(positive, score) -> float:
    """Probability that a positive outranks a negative, ties counted half (Mann & Whitney 1947).

    Args:
      positive: [n] bool.
      score: [n] higher means more positive.
    Returns:
      In [0, 1]; NaN where there is no positive or no negative.
    Raises:
      ValueError: shapes differ, or a score is NaN; names the first such row.
    """
    return float(_ranking(*_scores(positive, score))[0])


def average_precision(positive, score) -> float:
    """AP = sum over thresholds of (R_i - R_{i-1}) P_i, tied scores taken at once; no interpolation.

    Args:
      positive: [n] bool.
      score: [n] higher means more positive.
    Returns:
      In [0, 1]; NaN where there is no positive. Chance is the share of positives.
    Raises:
      ValueError: shapes differ, or a score is NaN; names the first such row.
    """
    return float(_ranking(*_scores(positive, score))[1])


@dataclasses.dataclass(frozen=True)
class Estimate:
    """One number with its interval.

    Attributes:
      value: NaN where undefined.
      low: lower end of the interval; NaN where there is none.
      high: upper end.
      n: the examples the number stands on: for recall, F1, AUC and average precision of a class its true
        examples, for precision its predictions, otherwise all.
      reason: why value, or low and high, are NaN; "" where nothing is.
    """

    value: float
    low: float
    high: float
    n: int
    reason: str = ""


@dataclasses.dataclass(frozen=True)
class Scores:
    """What `classification` found.

    Attributes:
      metrics: name -> Estimate; "accuracy", "uf1", "uar", "auc", "log_loss", and "<measure>/<class>".
      interval: {"level", "over" ("subject" or "image"), "units", "method"}: over what the intervals run.
      confusion: [k, k] int64, truth in rows.
      classes: the k class names.
      unlabelled: examples left out because their label is -1.
      notes: sentences that a reader of the numbers should see.
    """

    metrics: dict[str, Estimate]
    interval: dict
    confusion: np.ndarray
    classes: tuple[str, ...]
    unlabelled: int
    notes: tuple[str, ...] = ()


def classification(
    label, probability, classes, groups=None, n_bootstrap: int = 2000, seed: int = 0
) -> Scores:
    """Every metric of a classifier with 95 % percentile bootstrap intervals.

    Units are resampled with replacement, each with all its images: subjects where `groups` tells them,
    otherwise images. A measure that is undefined in more than half of the resamples gets no interval.

    Args:
      label: [n] int, index into classes; rows with -1 (unknown) are left out.
      probability: [n, k], rows sum to 1. The prediction is the argmax, the first one of equals.
      classes: k names.
      groups: [n] subject of each image, names or codes; "" or a negative code is unknown. With none known,
        images are resampled; where some are known, each image of unknown subject is a unit of its own.
      n_bootstrap: resamples; 0 for no intervals.
      seed: of the resampling; equal arguments give equal intervals.
    Returns:
      Scores.
    Raises:
      ValueError: wrong shapes, no labelled row, or a row that is not a probability; names the row.
    """
    classes = tuple(str(c) for c in classes)
    k = len(classes)
    label, probability, unit, over = _check(label, probability, k, groups)
    labelled = label >= 0
    unlabelled = int((~labelled).sum())
    label, probability = label[labelled], probability[labelled]
    unit = np.unique(unit[labelled], return_inverse=True)[1].reshape(-1)
    units = int(unit.max()) + 1

    predicted = probability.argmax(1)
    loss = -np.log(np.maximum(probability[np.arange(len(label)), label], _TINY))
    counts = confusion(label, predicted, k)
    ranks = [_Ranks(label == c, probability[:, c]) for c in range(k)]

    one = np.ones((len(label), 1))
    point = {
        name: values[0]
        for name, values in _measures(counts[None], loss.mean()[None], ranks, one, classes).items()
    }
    resampled = (
        _bootstrap(label, predicted, loss, ranks, unit, units, classes, n_bootstrap, seed)
        if units > 1
        else {}
    )
    true, said = counts.sum(1), counts.sum(0)
    metrics = {}
    for name, value in point.items():
        measure, _, which = name.partition("/")
        c = classes.index(which) if which else 0
        n = len(label) if not which else int(said[c]) if measure == "precision" else int(true[c])
        low, high, reason = _interval(float(value), resampled.get(name), over, units, n_bootstrap)
        if math.isnan(value):
            reason = _why(measure, which, int(true[c]), len(label))
        metrics[name] = Estimate(float(value), low, high, n, reason)
    interval = {
        "level": LEVEL,
        "over": over,
        "units": units,
        "method": f"percentile bootstrap, {n_bootstrap} resamples, seed {seed}" if n_bootstrap else "none",
    }
    return Scores(metrics, interval, counts, classes, unlabelled)


class _Ranks:
    """One class against the rest, its scores sorted once for all resamples.

    Rows are cut into segments: one for every score that a positive has (with the negatives tied to it), one
    for every stretch of negatives between those. Of a segment, AUC and AP need only two sums of weights.
    """

    def __init__(self, positive: np.ndarray, score: np.ndarray):
        self.order = np.argsort(-score, kind="stable")
        positive, score = positive[self.order], score[self.order]
        new_score = np.append(True, score[1:] != score[:-1])
        holds = np.zeros(new_score.sum(), bool)  # per distinct score: has it a positive?
        run = np.cumsum(new_score) - 1
        holds[run[positive]] = True
        new_segment = new_score & (holds | np.append(True, holds[:-1]))[run]
        self.starts, segment = np.flatnonzero(new_segment), np.cumsum(new_segment) - 1
        self.positives = self.order[positive]
        self.held, self.held_starts = np.unique(segment[positive], return_index=True)

    def __call__(self, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Whole-number weights [n, r] -> ROC AUC [r], average precision [r]."""
        r = weight.shape[1]
        if not len(self.held):
            return np.full(r, math.nan), np.full(r, math.nan)
        every = np.add.reduceat(
            weight[self.order], self.starts, axis=0
        )  # whole numbers: exact in float32 below 2^24
        new_hits = np.zeros_like(every)
        new_hits[self.held] = np.add.reduceat(weight[self.positives], self.held_starts, axis=0)
        new_misses, hits = every - new_hits, np.cumsum(new_hits, 0)
        pairs = (new_misses * (hits - new_hits / 2)).sum(0, dtype=np.float64)
        total = hits[-1].astype(np.float64)
        auc = _ratio(pairs, total * new_misses.sum(0))
        steps = (new_hits * (hits / np.maximum(np.cumsum(every, 0), 1))).sum(0, dtype=np.float64)
        return auc, _ratio(steps, total)


def _ranking(positive: np.ndarray, score: np.ndarray) -> tuple[float, float]:
    auc, ap = _Ranks(positive, score)(np.ones((len(score), 1)))
    return auc[0], ap[0]


def _measures(counts, loss, ranks, weight, classes) -> dict[str, np.ndarray]:
    """Confusion matrices [r, k, k], losses [r] and image weights [n, r] -> every metric by name, each [r]."""
    by_class = {"f1": f1(counts), "precision": precision(counts), "recall": recall(counts)}
    ranked = [rank(weight) for rank in ranks]
    by_class["auc"] = np.stack([auc for auc, _ in ranked], -1)
    by_class["average_precision"] = np.stack([ap for _, ap in ranked], -1)
    out = {"accuracy": accuracy(counts), "uf1": uf1(counts), "uar": uar(counts)}
    out |= {"auc": _mean_of_defined(by_class["auc"]), "log_loss": np.asarray(loss)}
    return out | {f"{m}/{c}": v[:, i] for m, v in by_class.items() for i, c in enumerate(classes)}


def _bootstrap(
    label, predicted, loss, ranks, unit, units, classes, n_bootstrap, seed
) -> dict[str, np.ndarray]:
    """Every metric over resamples of the units: name -> [n_bootstrap]."""
    if not n_bootstrap:
        return {}
    n, k = len(label), len(classes)
    cells = np.bincount(unit * k * k + label * k + predicted, minlength=units * k * k)
    cells = cells.reshape(units, k * k).astype(np.float32)
    losses, sizes = np.bincount(unit, loss, units), np.bincount(unit, minlength=units)
    rng = np.random.default_rng(seed)
    width, parts = max(32, _CHUNK // n), []
    for start in range(0, n_bootstrap, width):
        r = min(width, n_bootstrap - start)
        drawn = rng.integers(0, units, (units, r)) + units * np.arange(r)
        times = np.bincount(drawn.reshape(-1), minlength=units * r).reshape(r, units).astype(np.float32)
        counts = (times @ cells).reshape(r, k, k)
        mean_loss = (times @ losses) / (times @ sizes)
        parts.append(_measures(counts, mean_loss, ranks, np.ascontiguousarray(times.T)[unit], classes))
    return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}


def _interval(value, resampled, over, units, n_bootstrap) -> tuple[float, float, str]:
    if not n_bootstrap or math.isnan(value):
        return math.nan, math.nan, "no interval was asked for"
    if resampled is None:
        return math.nan, math.nan, f"no interval from {units} {over}"
    defined = resampled[~np.isnan(resampled)]
    if 2 * len(defined) < n_bootstrap:
        return math.nan, math.nan, f"no interval: undefined in more than half of the resamples over {over}s"
    low, high = np.percentile(defined, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return float(low), float(high), ""


def _why(measure: str, which: str, true: int, n: int) -> str:
    if measure == "precision":
        return f"no example was predicted as {which}"
    if measure == "f1":
        return f"{which} occurs neither in the truth nor in the predictions"
    if measure == "auc" and (not which or true == n):
        return "there is only one true class"
    return f"no example of {which} in the truth"


def _check(label, probability, k, groups):
    label, probability = _integers(label, "label"), np.asarray(probability, np.float64)
    if probability.shape != (len(label), k):
        wanted = (len(label), k)
        raise ValueError(f"probability has shape {probability.shape}; these labels and classes need {wanted}")
    bad = ~np.isfinite(probability).all(1)
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(f"probability is NaN or infinite in row {row} ({int(bad.sum())} such rows)")
    bad = (probability < 0).any(1) | (np.abs(probability.sum(1) - 1) > 0.01)
    if bad.any():
        row = int(bad.argmax())
        total = probability[row].sum()
        raise ValueError(f"probability row {row} sums to {total:.4g} or has a negative entry: logits?")
    bad = (label < -1) | (label >= k)
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(
            f"label {label[row]} in row {row} is no index into {k} classes, and not -1 (unknown)"
        )
    if not (label >= 0).any():
        raise ValueError(f"no labelled row among {len(label)}: nothing to score")
    own = np.arange(len(label))
    if groups is None:
        return label, probability, own, "image"
    groups = np.asarray(groups)
    if groups.shape != label.shape:
        raise ValueError(f"groups has shape {groups.shape}, label {label.shape}")
    known = groups >= 0 if groups.dtype.kind in "iu" else groups.astype(str) != ""
    if not known[label >= 0].any():
        return label, probability, own, "image"
    code = np.unique(groups, return_inverse=True)[1].reshape(-1)
    return label, probability, np.where(known, code, len(label) + own), "subject"


def _integers(values, what: str) -> np.ndarray:
    values = np.asarray(values)
    if values.ndim != 1 or (values.dtype.kind not in "iu" and values.size):
        raise ValueError(
            f"{what} must be whole numbers in one row, not {values.dtype} of shape {values.shape}"
        )
    return values.astype(np.int64)


def _classes(values, what: str, k: int) -> np.ndarray:
    values = _integers(values, what)
    bad = (values < 0) | (values >= k)
    if bad.any():
        raise ValueError(
            f"{what} {values[bad.argmax()]} in row {int(bad.argmax())} is no index into {k} classes"
        )
    return values


def _scores(positive, score) -> tuple[np.ndarray, np.ndarray]:
    positive, score = np.asarray(positive).astype(bool), np.asarray(score, np.float64)
    if positive.ndim != 1 or positive.shape != score.shape or not score.size:
        raise ValueError(f"positive has shape {positive.shape}, score {score.shape}; both must be [n], n > 0")
    if np.isnan(score).any():
        raise ValueError(f"score is NaN in row {int(np.isnan(score).argmax())}")
    return positive, score


def _counts(counts) -> np.ndarray:
    counts = np.asarray(counts, np.float64)
    if counts.ndim < 2 or counts.shape[-1] != counts.shape[-2]:
        raise ValueError(f"a confusion matrix is [..., k, k], not {counts.shape}")
    return counts


def _diagonal(counts: np.ndarray) -> np.ndarray:
    return np.diagonal(counts, axis1=-2, axis2=-1)


def _ratio(top, bottom) -> np.ndarray:
    top, bottom = np.asarray(top, np.float64), np.asarray(bottom, np.float64)
    return np.divide(top, bottom, out=np.full(np.broadcast(top, bottom).shape, math.nan), where=bottom > 0)


def _mean_of_defined(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis of what is not NaN; NaN where everything is."""
    defined = ~np.isnan(values)
    return _ratio(np.where(defined, values, 0).sum(-1), defined.sum(-1))
