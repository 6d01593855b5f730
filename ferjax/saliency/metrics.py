"""How well a map tells where people looked: CC, SIM, KL, NSS, AUC-Judd, shuffled AUC.

Definitions of Bylinskii, Judd, Oliva, Torralba & Durand 2019, What do different evaluation metrics tell us
about saliency models? (section 3, and the authors' published code), with these differences:

- Areas under ROC curves are exact, equal values counted half. The authors' code jitters equal values, and of
  AUC-Judd joins its points by slanted lines, which adds at most half of one over the number of fixations.
- The shuffled AUC takes all of the other fixations as negatives at once, where theirs draws 100 samples.
- A map without any contrast says nothing, and gets what chance gets: CC and NSS 0, both AUC 0.5.

A fixated pixel counts once, however often it was looked at. All maps are [h, w] of one size.
"""

import numpy as np

NAMES = ("CC", "SIM", "NSS", "AUC-Judd", "sAUC", "KL")
BETTER = {name: "lower" if name == "KL" else "higher" for name in NAMES}
EPSILON = float(np.finfo(np.float64).eps)  # MATLAB's eps, which keeps KL finite
FLAT = 1e-12  # of its largest value: a map's contrast below which it has none


def cc(found: np.ndarray, density: np.ndarray) -> float:
    """Pearson's correlation of two maps, -1 to 1; NaN where the density is flat."""
    a, b = _centred(found), _centred(density)
    if b is None:
        return np.nan
    return 0.0 if a is None else float((a * b).mean() / np.sqrt((a * a).mean() * (b * b).mean()))


def sim(found: np.ndarray, density: np.ndarray) -> float:
    """Histogram intersection of two maps, each from 0 on and of sum 1: 0 to 1; NaN for a flat density."""
    if _centred(density) is None:
        return np.nan
    return float(np.minimum(_from_zero(found), _from_zero(density)).sum())


def kl(found: np.ndarray, density: np.ndarray) -> float:
    """Kullback-Leibler divergence of the density from the map, each of sum 1, in nats: 0 is best.

    Raises:
      ValueError: a value below 0.
    """
    p, q = _of_sum_one(density), _of_sum_one(found)
    return float((p * np.log(EPSILON + p / (q + EPSILON))).sum())


def nss(found: np.ndarray, fixations: np.ndarray) -> float:
    """Mean of the map, standardised, over fixated pixels.

    Args:
      found: [h, w].
      fixations: int [m, 2], rows and columns; may repeat.
    Returns:
      0 is chance; NaN without fixations.
    """
    at = fixated(fixations, found.shape)
    a = _centred(found)
    if not at.any():
        return np.nan
    return 0.0 if a is None else float(a[at].mean() / np.sqrt((a * a).mean()))


def auc_judd(found: np.ndarray, fixations: np.ndarray) -> float:
    """Probability that a fixated pixel has a higher value than one that is not, ties counted half.

    Args:
      found, fixations: as of `nss`.
    Returns:
      0.5 is chance; NaN where no pixel, or every one, is fixated.
    """
    at = fixated(fixations, found.shape)
    return _auc(found[at], found[~at])


def shuffled_auc(found: np.ndarray, fixations: np.ndarray, others: np.ndarray) -> float:
    """Probability that a fixated pixel has a higher value than one fixated in other pictures: no centre bias.

    Args:
      found, fixations: as of `nss`.
      others: int [m, 2], fixations of other pictures; ten in Bylinskii et al.
    Returns:
      0.5 is chance; NaN without either.
    """
    return _auc(found[fixated(fixations, found.shape)], found[fixated(others, found.shape)])


def every(found: np.ndarray, density: np.ndarray, fixations: np.ndarray, others: np.ndarray) -> np.ndarray:
    """float64 [6]: all of them, in the order of NAMES."""
    return np.array(
        [
            cc(found, density),
            sim(found, density),
            nss(found, fixations),
            auc_judd(found, fixations),
            shuffled_auc(found, fixations, others),
            kl(found, density),
        ]
    )


def fixated(fixations: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """bool [h, w] of int [m, 2]; those outside are left out."""
    out = np.zeros(shape, bool)
    rows, columns = np.asarray(fixations, int).reshape(-1, 2).T
    inside = (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
    out[rows[inside], columns[inside]] = True
    return out


def _auc(positive: np.ndarray, negative: np.ndarray) -> float:
    if not len(positive) or not len(negative):
        return np.nan
    negative = np.sort(negative)
    below = np.searchsorted(negative, positive, "left") + np.searchsorted(negative, positive, "right")
    return float(below.mean() / (2 * len(negative)))


def _centred(x: np.ndarray) -> np.ndarray | None:
    """The map less its mean; None where it has no contrast."""
    x = np.asarray(x, np.float64)
    return None if np.ptp(x) <= FLAT * np.abs(x).max() else x - x.mean()


def _from_zero(x: np.ndarray) -> np.ndarray:
    """Of sum 1, its least value 0; uniform where it has no contrast."""
    x = np.asarray(x, np.float64)
    if np.ptp(x) <= FLAT * np.abs(x).max():
        return np.full(x.shape, 1 / x.size)
    return (x - x.min()) / (x - x.min()).sum()


def _of_sum_one(x: np.ndarray) -> np.ndarray:
    x = np.asarray(x, np.float64)
    if x.min() < 0:
        raise ValueError(f"a map of saliency has no values below 0, and here is {x.min()}")
    return x / x.sum() if x.sum() > 0 else np.full(x.shape, 1 / x.size)
