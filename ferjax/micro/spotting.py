"""Onset, apex and offset of the expression in a recording, from each frame's distance to the neutral face.

A recording begins and ends neutral and has one expression. `distance` -> `settle` -> `spot`; what `spot` is
set to is chosen on the training subjects (`leave_one_out`). Frames are places, from 0.

Axis letters: n clips, t time, d features, g settings.
"""

import math
from collections.abc import Sequence

import numpy as np

from data_pipelines import BadInput
from ferjax.attribution.subjects import mean_interval, subject_codes
from ferjax.metrics import LEVEL, Estimate, Scores

NOTHING = (-1, -1, -1)  # no expression found
FLOOR = 0.1  # quantile of a curve that counts as its neutral level: a single dip is none
FLAT = 1e-6  # a curve that rises less has only rounding in it
HIT = 0.5  # IoU from which an interval counts as found, as in the spotting challenges (MEGC) since 2019


def distance(frames: np.ndarray, lead: int) -> np.ndarray:
    """How far each frame is from the neutral face, the median of the first `lead` frames.

    Args:
      frames: [t, ...]: uint8 frames [t, h, w, c], or float features [t, d].
      lead: frames that are surely neutral; at least 1.
    Returns:
      float64 [t]: root of the mean squared difference, in the frames' own unit (grey levels).
    Raises:
      BadInput: fewer than 2 * lead frames.
    """
    _enough(len(frames), lead)
    flat = frames.reshape(len(frames), -1).astype(np.float32)
    change = flat - np.median(flat[:lead], 0)
    return np.sqrt((change**2).mean(1, dtype=np.float64))


def settle(curve: np.ndarray, lead: int, window: int, detrend: bool = False) -> np.ndarray:
    """A curve smoothed and with its neutral level at 0.

    Args:
      curve: [t].
      lead: so many frames at the start, and with `detrend` at the end too, are neutral.
      window: odd; the moving average's length. Near an end it is shorter, the same on both sides, so that a
        slope stays a slope.
      detrend: take away the line through the first and last `lead` frames (least squares), because a drifting
        head makes the distance rise all along; otherwise only the median of the first `lead`.
    Returns:
      float64 [t].
    Raises:
      BadInput: fewer than 2 * lead frames.
      ValueError: an even window.
    """
    curve, t = np.asarray(curve, np.float64), len(curve)
    _enough(t, lead)
    if window < 1 or window % 2 == 0:
        raise ValueError(f"a moving average needs an odd window, not {window}")
    at = np.arange(t)
    half = np.minimum(window // 2, np.minimum(at, t - 1 - at))
    total = np.concatenate([[0], np.cumsum(curve)])
    smooth = (total[at + half + 1] - total[at - half]) / (2 * half + 1)
    if not detrend:
        return smooth - np.median(smooth[:lead])
    ends = np.concatenate([at[:lead], at[-lead:]])
    return smooth - np.polyval(np.polyfit(ends, smooth[ends], 1), at)


def motion_curve(frames: np.ndarray, lead: int, window: int, detrend: bool = False) -> np.ndarray:
    """`distance` and `settle` in one: frames [t, ...] -> float64 [t]."""
    return settle(distance(frames, lead), lead, window, detrend)


def spot(curve: np.ndarray, rise: float, fall: float, least: float = 0.0) -> tuple[int, int, int]:
    """Onset, apex and offset of the one expression in a curve.

    The apex is the maximum (of equals the first). The onset is the last frame before it whose height over the
    neutral level (the FLOOR quantile) is below `rise` of the apex's height, the offset the first frame after
    it below `fall`; where no frame is, the recording's first and last.

    Args:
      curve: [t], from `motion_curve`.
      rise, fall: in (0, 1).
      least: an apex no higher than this over the neutral level is none.
    Returns:
      (onset, apex, offset), or NOTHING where the curve is flat.
    """
    floor = np.quantile(curve, FLOOR, method="lower")
    apex = int(np.argmax(curve))
    height = curve[apex] - floor
    if not height > max(least, FLAT):
        return NOTHING
    share = (curve - floor) / height
    before = np.flatnonzero(share[:apex] < rise)
    after = np.flatnonzero(share[apex:] < fall)
    onset = int(before[-1]) if len(before) else 0
    offset = apex + int(after[0]) if len(after) else len(curve) - 1
    return onset, apex, offset


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of closed frame intervals, each counted with both its ends.

    Args:
      a, b: int [..., 2], first and last frame; a negative first frame is no interval.
    Returns:
      float64 [...] in [0, 1]; 0 where either is no interval.
    """
    a, b = np.asarray(a), np.asarray(b)
    shared = np.minimum(a[..., 1], b[..., 1]) - np.maximum(a[..., 0], b[..., 0]) + 1
    shared = np.where((a[..., 0] < 0) | (b[..., 0] < 0), 0, np.maximum(shared, 0))
    either = (a[..., 1] - a[..., 0] + 1) + (b[..., 1] - b[..., 0] + 1) - shared
    return shared / either


def score(
    found: np.ndarray,
    truth: np.ndarray,
    length: np.ndarray,
    subject: np.ndarray,
    n_bootstrap: int = 2000,
    seed: int = 0,
) -> Scores:
    """How well expressions are found, pooled over clips, with 95 % intervals over subjects.

    Args:
      found: int [n, 3], onset, apex, offset; NOTHING is a miss.
      truth: int [n, 3]; apex -1 where unknown.
      length: [n], frames of each recording.
      subject: str [n]; a clip of unknown subject ("") is a subject of its own.
      n_bootstrap: resamples of the subjects; 0 for no intervals.
      seed: of the resampling.
    Returns:
      Scores with metrics
        "iou": mean IoU of onset to offset, 0 for a miss;
        "hits": share of clips with an IoU of HIT or more;
        "misses": share of clips in which nothing was found;
        "apex_error", "apex_error_median": frames between found and true apex, misses left out;
        "apex_error_share": the mean of these as a share of the recording's length;
      confusion None, no classes.
    """
    found, truth, length = np.asarray(found), np.asarray(truth), np.asarray(length)
    overlap = iou(found[:, [0, 2]], truth[:, [0, 2]])
    missed = found[:, 1] < 0
    error = np.where(missed | (truth[:, 1] < 0), np.nan, np.abs(found[:, 1] - truth[:, 1]).astype(np.float64))
    units = len(np.unique(subject_codes(subject)))
    known, nothing = int((~np.isnan(error)).sum()), "no apex was found where one is known"
    means = {
        "iou": overlap,
        "hits": overlap >= HIT,
        "misses": missed,
        "apex_error": error,
        "apex_error_share": error / length,
    }
    metrics = {}
    for name, values in means.items():
        value, low, high = (float(v) for v in mean_interval(values, subject, n_bootstrap, seed))
        n = known if name.startswith("apex") else len(found)
        why = nothing if math.isnan(value) else ""
        if not why and math.isnan(low):
            why = "no interval from one subject, or one undefined in more than half of the resamples"
            why = why if n_bootstrap else "no interval was asked for"
        metrics[name] = Estimate(value, low, high, n, why)
    middle_error = float(np.nanmedian(error)) if known else math.nan
    why = "a median, without interval" if known else nothing
    metrics["apex_error_median"] = Estimate(middle_error, math.nan, math.nan, known, why)
    interval = {
        "level": LEVEL,
        "over": "subject",
        "units": units,
        "method": f"percentile bootstrap, {n_bootstrap} resamples, seed {seed}" if n_bootstrap else "none",
    }
    return Scores(metrics, interval, None, (), 0)


Setting = tuple[float, float, int]  # rise, fall, window of the smoothing

GRID: tuple[Setting, ...] = tuple(
    (rise, fall, window)
    for window in (5, 9, 15, 25, 41)  # at 200 frames a second 0.025 to 0.2 s
    for rise in (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
    for fall in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
)


def leave_one_out(
    curves: Sequence[np.ndarray],
    truth: np.ndarray,
    subject: np.ndarray,
    lead: int,
    detrend: bool = False,
    grid: Sequence[Setting] = GRID,
) -> tuple[np.ndarray, list[tuple[int, Setting]]]:
    """Every subject's expressions found with the setting of the highest mean IoU on all other subjects.

    Args:
      curves: n of [t], from `distance`, or of [s, t], s kinds of curves of which one is chosen too.
      truth: int [n, 3].
      subject: str [n]; a clip of unknown subject is a subject of its own.
      lead, detrend: as of `settle`.
      grid: g settings; of equals the first.
    Returns:
      (found int [n, 3]; the kind of curve, from 0, and the setting that each clip was searched with).
    Raises:
      BadInput: a single subject.
    """
    code = subject_codes(subject)
    if code.max(initial=0) == 0:
        raise BadInput(f"leaving one subject out needs two or more; all {len(code)} clips are of one")
    tried, overlap = _tried(curves, truth, lead, detrend, grid)
    best = np.zeros(len(code), int)
    for s in range(code.max() + 1):
        best[code == s] = overlap[:, code != s].mean(1).argmax()
    return tried[best, np.arange(len(code))], [(b // len(grid), grid[b % len(grid)]) for b in best]


def middle(length: np.ndarray, duration: float) -> np.ndarray:
    """The guess that looks at nothing: an expression of the usual duration in the middle of every recording.

    Args:
      length: int [n], frames.
      duration: mean frames from onset to offset, both counted, of the training subjects.
    Returns:
      int [n, 3], within the recordings.
    """
    length = np.asarray(length)
    apex = (length - 1) // 2
    lasting = np.minimum(max(1, round(duration)), length)
    onset = (length - lasting) // 2
    return np.stack([onset, apex, onset + lasting - 1], 1)


def _tried(curves, truth, lead, detrend, grid) -> tuple[np.ndarray, np.ndarray]:
    """What every kind of curve and setting finds in every clip, int [s * g, n, 3], and its IoU [s * g, n]."""
    windows = {window for _, _, window in grid}
    found = []
    for clip in curves:
        of_clip = []
        for raw in np.atleast_2d(clip):
            settled = {w: settle(raw, lead, w, detrend) for w in windows}
            of_clip += [spot(settled[window], rise, fall) for rise, fall, window in grid]
        found.append(of_clip)
    found = np.array(found).swapaxes(0, 1)
    return found, iou(found[..., [0, 2]], np.asarray(truth)[None][..., [0, 2]])


def _enough(t: int, lead: int):
    if lead < 1 or t < 2 * lead:
        raise BadInput(
            f"spotting.lead is {lead}, for a recording of {t} frames; it must be at least 1, and twice that "
            "no more than the frames"
        )
