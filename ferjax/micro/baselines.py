"""What a micro-expression network has to beat: the majority class, and a linear SVM on a clip's features.

All in the protocol of the network: one subject is held out, and everything else, standardisation and choice
of C included, comes from the others. Rows of scores sum to 1, so that `metrics.classification` takes them.

Axis letters: n clips, d features, k classes, g values of C.
"""

from collections.abc import Sequence

import numpy as np

from data_pipelines import BadInput
from ferjax.attribution.subjects import subject_codes

C_GRID = (0.1, 1.0, 10.0)  # see svm_path: the kernel of a clip with itself is about 1; 10 allows no error


def majority(train_label: np.ndarray, k: int) -> np.ndarray:
    """The share of each class among the training clips: its argmax is the majority, of equals the first.

    Args:
      train_label: int [n], n at least 1.
      k: number of classes.
    Returns:
      float64 [k], sums to 1.
    Raises:
      ValueError: no clip.
    """
    if not len(train_label):
        raise ValueError("majority: no clip to count")
    return np.bincount(train_label, minlength=k) / len(train_label)


def svm(train_x: np.ndarray, train_y: np.ndarray, test_x: np.ndarray, k: int, c: float) -> np.ndarray:
    """`svm_path` for one C: float64 [n, k]."""
    return svm_path(train_x, train_y, test_x, k, (c,))[0]


def svm_path(
    train_x: np.ndarray, train_y: np.ndarray, test_x: np.ndarray, k: int, c_grid: Sequence[float]
) -> np.ndarray:
    """Linear support vector machines, one against one, classes weighted alike, for several C.

    Features are standardised by the training rows (constant ones drop out) and their products averaged over
    the d features, so that a C means the same for few features as for many. The machine is scikit-learn's
    SVC.

    Args:
      train_x: [m, d].
      train_y: int [m] in [0, k). Classes that do not occur get no score; if only one does, it gets all.
      test_x: [n, d].
      k: number of classes.
      c_grid: g values of C.
    Returns:
      float64 [g, n, k]: softmax of each class's votes and margins, not calibrated: the argmax is the
      prediction, the order may be ranked, the logarithm says nothing.
    """
    from sklearn.svm import SVC

    seen = np.unique(train_y)
    out = np.zeros((len(c_grid), len(test_x), k))
    if len(seen) == 1:
        out[..., seen] = 1
        return out
    mean, spread = train_x.mean(0, dtype=np.float64), train_x.std(0, dtype=np.float64)
    scale = np.where(spread > 1e-12, 1 / np.maximum(spread, 1e-12), 0) / np.sqrt(train_x.shape[1])
    train, test = (train_x - mean) * scale, (test_x - mean) * scale
    own, across = train @ train.T, test @ train.T
    for i, c in enumerate(c_grid):
        machine = SVC(C=c, kernel="precomputed", class_weight="balanced").fit(own, train_y)
        score = machine.decision_function(across)
        if len(seen) == 2:  # one margin, towards the second class
            score = np.stack([np.zeros(len(test)), score], 1)
        share = np.exp(score - score.max(1, keepdims=True))
        out[i][:, seen] = share / share.sum(1, keepdims=True)
    return out


def choose_c(
    x: np.ndarray, label: np.ndarray, subject: np.ndarray, k: int, c_grid: Sequence[float] = C_GRID
) -> float:
    """The C of the highest accuracy where each of these subjects is told by the others, pooled.

    Args:
      x: [n, d], label: int [n], subject: [n]: of the training subjects and of nobody else.
      k: number of classes.
      c_grid: values of C; of equals the first. With a single subject there is nothing to choose by, and it is
        the first too.
    """
    code = subject_codes(subject)
    if len(c_grid) == 1 or code.max() == 0:
        return c_grid[0]
    right = np.zeros(len(c_grid), int)
    for s in range(code.max() + 1):
        out = code == s
        scores = svm_path(x[~out], label[~out], x[out], k, c_grid)
        right += (scores.argmax(-1) == label[out]).sum(-1)
    return c_grid[int(right.argmax())]


def lbp_top_loso(
    features: np.ndarray,
    label: np.ndarray,
    subject: np.ndarray,
    k: int,
    c_grid: Sequence[float] = C_GRID,
) -> np.ndarray:
    """Every subject's clips told by a machine that never saw them: leave one subject out.

    Args:
      features: [n, d], such as `lbp_top` of each clip.
      label: int [n] in [0, k).
      subject: [n] names or codes; a clip of unknown subject ("" or negative) is a subject of its own.
      k: number of classes.
      c_grid: values of C to choose from, in each fold by `choose_c` among its training subjects.
    Returns:
      float64 [n, k]; rows sum to 1, see `svm_path`.
    Raises:
      BadInput: a single subject.
    """
    code = subject_codes(subject)
    if code.max(initial=0) == 0:
        raise BadInput(f"leaving one subject out needs two or more; all {len(code)} clips are of one")
    out = np.zeros((len(code), k))
    for s in range(code.max() + 1):
        test = code == s
        x, y = features[~test], label[~test]
        c = choose_c(x, y, code[~test], k, c_grid)
        out[test] = svm(x, y, features[test], k, c)
    return out
