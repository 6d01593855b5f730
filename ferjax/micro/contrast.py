"""How much a face differs from itself shortly before and after, with the head's own motion taken away.

A drifting head moves every edge, and within a second by more than a micro-expression does. Both remedies
here are linear, so that they act on the pictures and not on a curve of them: what a moving head would change
at first order is projected out, and each frame is compared with the mean of one before and one after, in
which any steady change cancels.

Axis letters: t time, p pixels, s spans.
"""

from collections.abc import Sequence

import numpy as np

SPANS = (10, 14, 20, 28)  # frames before and after; at 200 a second 0.05 to 0.14 s
SMOOTH = 9  # frames, moving average against the camera's noise


def head_motion(neutral: np.ndarray) -> np.ndarray:
    """What changes in a picture when the head moves a little or the light varies, at first order.

    Args:
      neutral: float [h, w].
    Returns:
      float64 [p, 6], orthonormal columns that span shifts along x and y, turning and growing about the
      middle, more light, more contrast.
    """
    h, w = neutral.shape
    down, right = np.gradient(neutral)
    y, x = np.mgrid[:h, :w].astype(np.float64)
    y, x = y / h - 0.5, x / w - 0.5
    columns = [right, down, x * down - y * right, x * right + y * down, np.ones((h, w)), neutral]
    return np.linalg.qr(np.stack([c.ravel() for c in columns], 1))[0]


def changes(frames: np.ndarray, lead: int) -> np.ndarray:
    """Each frame's difference to the neutral face, without what the head's motion explains.

    Args:
      frames: uint8 [t, h, w, c]; of colours the mean is taken.
      lead: neutral frames at the start, whose median is the neutral face.
    Returns:
      float32 [t, p].
    """
    grey = frames.astype(np.float64).mean(-1)
    neutral = np.median(grey[:lead], 0)
    basis = head_motion(neutral)
    change = (grey - neutral).reshape(len(grey), -1)
    return (change - (change @ basis) @ basis.T).astype(np.float32)


def contrast(change: np.ndarray, span: int, smooth: int = SMOOTH) -> np.ndarray:
    """Feature difference contrast (Moilanen, Zhao & Pietikainen 2014), here on pixels.

    Args:
      change: [t, p].
      span: frames before and after; beyond an end the outermost frame goes on.
      smooth: frames of a moving average over time, taken first.
    Returns:
      float64 [t]: root mean squared difference of each frame to the mean of the frames `span` before and
      after it.
    """
    t = len(change)
    padded = np.pad(change, ((smooth // 2, (smooth - 1) // 2), (0, 0)), mode="edge")
    total = np.cumsum(np.concatenate([np.zeros_like(padded[:1]), padded]), 0, dtype=np.float64)
    mean = (total[smooth:] - total[:-smooth]) / smooth
    at = np.arange(t)
    sides = (mean[np.maximum(at - span, 0)] + mean[np.minimum(at + span, t - 1)]) / 2
    return np.sqrt(((mean - sides) ** 2).mean(1))


def curves(frames: np.ndarray, lead: int, spans: Sequence[int] = SPANS) -> np.ndarray:
    """`contrast` of `changes` for each span, float64 [s, t]; frames uint8 [t, h, w, c]."""
    change = changes(frames, lead)
    return np.stack([contrast(change, span) for span in spans])
