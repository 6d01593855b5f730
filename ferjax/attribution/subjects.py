"""People as the unit of analysis: inputs of one person are near-copies, so intervals run over people."""

import numpy as np


def subject_codes(subject) -> np.ndarray:
    """Names -> codes 0, 1, ...; each unknown one ("" or negative) is a subject of its own: [q] -> int [q]."""
    subject = np.asarray(subject)
    code = np.unique(subject, return_inverse=True)[1].reshape(-1)
    unknown = subject < 0 if subject.dtype.kind in "if" else subject.astype(str) == ""
    own = len(subject) + np.arange(len(subject))
    return np.unique(np.where(unknown, own, code), return_inverse=True)[1].reshape(-1)


def mean_interval(
    values: np.ndarray, subject: np.ndarray, n_bootstrap: int = 2000, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean over inputs with its 95 % percentile bootstrap interval over subjects.

    Subjects are drawn with replacement, each with all its inputs.

    Args:
      values: [n, ...]; NaN is left out.
      subject: [n] names or codes; an unknown one is a subject of its own.
      n_bootstrap: resamples; 0 for no interval.
      seed: of the resampling.
    Returns:
      (mean, low, high), each [...]; NaN where nothing is defined, and low and high also from one subject, or
      where more than half of the resamples have nothing defined.
    """
    values = np.asarray(values, np.float64)
    if len(values) != len(subject):
        raise ValueError(f"{len(values)} values, {len(subject)} subjects")
    shape, nothing = values.shape[1:], np.full(values.shape[1:], np.nan)
    if not len(values):
        return nothing, nothing, nothing
    code = subject_codes(subject)
    units, values = int(code.max()) + 1, values.reshape(len(values), -1)
    defined = ~np.isnan(values)
    total, count = np.zeros((units, values.shape[1])), np.zeros((units, values.shape[1]))
    np.add.at(total, code, np.where(defined, values, 0))
    np.add.at(count, code, defined)

    def ratio(top, bottom):
        return np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)

    mean = ratio(total.sum(0), count.sum(0)).reshape(shape)
    if units < 2 or not n_bootstrap:
        return mean, nothing, nothing
    times = np.random.default_rng(seed).multinomial(units, np.full(units, 1 / units), n_bootstrap)
    drawn = ratio(times @ total, times @ count)
    enough = 2 * np.isfinite(drawn).sum(0) >= n_bootstrap
    limits = np.full((2, drawn.shape[1]), np.nan)
    if enough.any():
        limits[:, enough] = np.nanpercentile(drawn[:, enough], [2.5, 97.5], axis=0)
    return mean, *limits.reshape(2, *shape)
