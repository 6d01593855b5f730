"""From what heads told after every epoch to one answer a clip: the clean rule, and the field's, which leaks.

Axis letters: e epochs, m heads (fold by fold, s seeds of each), w rows watched, n clips, k classes.
"""

import numpy as np

from ferjax.micro.folds import NONE


def clean(
    probability: np.ndarray, chosen: np.ndarray, watch: np.ndarray, choose: np.ndarray, n: int
) -> np.ndarray:
    """Every clip's probabilities by the head of its fold at the epoch that the rule gave; sees no label.

    Args:
      probability: [e, m, w, k].
      chosen: int [m], epoch of each head: the last, or the one of least loss on inner subjects.
      watch: int [f, w], clips told; NONE beyond a fold's own.
      choose: bool [f, w]: those of inner subjects, which are not reported.
      n: clips.
    Returns:
      float [s, n, k].
    Raises:
      ValueError: a clip that no fold, or more than one, reports.
    """
    s = probability.shape[1] // len(watch)
    out = np.full((s, n, probability.shape[-1]), np.nan, np.float32)
    for f, (rows, inner) in enumerate(zip(watch, choose, strict=True)):
        held = (rows != NONE) & ~inner
        if not np.isnan(out[0, rows[held]]).all():
            raise ValueError(f"fold {f} reports clips that another fold reports too")
        for i in range(s):
            out[i, rows[held]] = probability[chosen[f * s + i], f * s + i, held]
    if np.isnan(out).any():
        raise ValueError("a clip is reported by no fold")
    return out


def field_style(
    probability: np.ndarray, watch: np.ndarray, choose: np.ndarray, label: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What much of the field reports: of each fold the epoch that did best ON THE SUBJECT HELD OUT.

    That subject then chose what is reported of it. It is computed beside the clean figures only to show what
    the leak is worth.

    Args:
      probability, watch, choose: as of `clean`.
      label: int [n], true classes: the leak.
    Returns:
      (float [s, n, k]; int [m], the epoch taken of each head: of equals the first).
    """
    best = np.zeros(probability.shape[1], int)
    s = probability.shape[1] // len(watch)
    for f, (rows, inner) in enumerate(zip(watch, choose, strict=True)):
        held = (rows != NONE) & ~inner
        for i in range(f * s, (f + 1) * s):
            right = probability[:, i, held].argmax(-1) == label[rows[held]]
            best[i] = int(right.mean(1).argmax())
    return clean(probability, best, watch, choose, len(label)), best
