"""LBP-TOP: local binary patterns on three orthogonal planes, the feature micro-expressions began with.

Source: Zhao & Pietikäinen 2007, "Dynamic texture recognition using local binary patterns with an application
to facial expressions", IEEE TPAMI 29(6), section 3.2; blocks from section 4.

Axis letters: t time, h w image; x across, y down.
"""

import functools

import numpy as np

from data_pipelines import BadInput

PLANES = ((2, 1), (2, 0), (1, 0))  # XY, XT, YT, as axes of [t, h, w]: where the cosine goes, where the sine
_TIE = 1e-6  # grey levels; a mixture of equal values must not fall below them by rounding


def lbp_top(
    frames: np.ndarray,
    radii: tuple[int, int, int] = (1, 1, 4),
    neighbours: tuple[int, int, int] = (8, 8, 8),
    blocks: tuple[int, int, int] = (5, 5, 1),
    uniform: bool = True,
) -> np.ndarray:
    """Histograms of the patterns on XY, XT and YT in every block of a clip.

    As in the source all three planes are coded at the same places, those that have every neighbour; the
    blocks divide these evenly. The common setting for CASME II is radii (1, 1, 4), 8 neighbours, 5x5 blocks.

    Args:
      frames: uint8 [t, h, w]. A clip of fewer than 2 * rt + 1 frames (and one more for each further block in
        time) is lengthened by repeating its first and last frame in turn, the last one first.
      radii: rx, ry (pixels) and rt (frames); where two of a plane differ, its neighbours lie on an ellipse.
      neighbours: on XY, XT and YT.
      blocks: across, down and in time.
      uniform: one bin for each pattern of at most two changes around the circle and one for all others, P (P
        - 1) + 3 bins; otherwise 2^P.
    Returns:
      float32 [features]: block by block (in time, then down, then across), within it XY, XT, YT; each
      histogram sums to 1. With the defaults 25 * 3 * 59 = 4,425.
    Raises:
      BadInput: frames too small for the radii and blocks.
      ValueError: settings below 1, or more than 16 neighbours.
    """
    if min(*radii, *neighbours, *blocks) < 1 or max(neighbours) > 16:
        raise ValueError(f"LBP-TOP of radii {radii}, neighbours {neighbours}, blocks {blocks}")
    (rx, ry, rt), (across, down, deep) = radii, blocks
    _, h, w = frames.shape
    if w - 2 * rx < across or h - 2 * ry < down:
        raise BadInput(
            f"LBP-TOP: frames of {w} x {h} pixels are too small for {across} x {down} blocks at radii "
            f"{rx}, {ry}; raise data.image_size"
        )
    volume = lengthened(frames, 2 * rt + deep).astype(np.float64)
    block = _blocks(tuple(n - 2 * r for n, r in zip(volume.shape, (rt, ry, rx), strict=True)), blocks)
    parts = []
    for plane, points in zip(PLANES, neighbours, strict=True):
        code = codes(volume, plane, radii, points)
        bins = 2**points
        if uniform:
            code, bins = uniform_bins(points)[code], points * (points - 1) + 3
        cell = block.reshape(-1) * bins + code.reshape(-1)
        count = np.bincount(cell, minlength=across * down * deep * bins).reshape(-1, bins)
        parts.append(count / count.sum(1, keepdims=True))
    return np.concatenate(parts, 1).reshape(-1).astype(np.float32)


def codes(volume: np.ndarray, plane: tuple[int, int], radii: tuple[int, int, int], points: int) -> np.ndarray:
    """The pattern of every place that has all its neighbours in all three planes.

    Bit p is set where the neighbour at the angle 2 pi p / P is not below the centre. Neighbours between
    places are mixed bilinearly.

    Args:
      volume: float64 [t, h, w].
      plane: one of PLANES.
      radii: rx, ry, rt.
      points: P.
    Returns:
      int64 [t - 2 rt, h - 2 ry, w - 2 rx].
    """
    reach = radii[::-1]  # in the order of the axes: t, y, x
    centre = _moved(volume, reach, (0, 0, 0)) - _TIE
    code = np.zeros(centre.shape, np.int64)
    a, b = plane
    for p in range(points):
        angle = 2 * np.pi * p / points
        # up and backwards in time, as in the source; rounded so that whole places stay whole
        place = (round(reach[a] * np.cos(angle), 9), round(-reach[b] * np.sin(angle), 9))
        low = [int(np.floor(v)) for v in place]
        share = [v - n for v, n in zip(place, low, strict=True)]
        value = 0
        for i in (0, 1):
            for j in (0, 1):
                weight = (share[0] if i else 1 - share[0]) * (share[1] if j else 1 - share[1])
                if weight:
                    by = [0, 0, 0]
                    by[a], by[b] = low[0] + i, low[1] + j
                    value = value + weight * _moved(volume, reach, by)
        code |= (value >= centre).astype(np.int64) << p
    return code


def lengthened(frames: np.ndarray, least: int) -> np.ndarray:
    """Frames [t, ...] with the last and the first repeated in turn until there are `least`."""
    missing = max(0, least - len(frames))
    after = -(-missing // 2)
    return np.concatenate([frames[:1]] * (missing - after) + [frames] + [frames[-1:]] * after)


@functools.lru_cache
def uniform_bins(points: int) -> np.ndarray:
    """int64 [2^P]: bin of each pattern; the uniform ones in the order of their codes, all others in the last.

    Uniform is a pattern of at most two changes between 0 and 1 around the circle (Ojala et al. 2002, IEEE
    TPAMI 24(7)): there are P (P - 1) + 2.
    """
    code = np.arange(2**points)
    turned = (code >> 1) | ((code & 1) << (points - 1))
    changes = sum(((code ^ turned) >> p) & 1 for p in range(points))
    return np.where(changes <= 2, np.cumsum(changes <= 2) - 1, points * (points - 1) + 2)


def _moved(volume: np.ndarray, reach, by) -> np.ndarray:
    """The part of a volume that lies `by` from the places that are `reach` from its borders."""
    part = (slice(r + d, n - r + d) for n, r, d in zip(volume.shape, reach, by, strict=True))
    return volume[tuple(part)]


def _blocks(shape: tuple[int, int, int], blocks: tuple[int, int, int]) -> np.ndarray:
    """int64 [t, h, w]: the block of every place; blocks differ by one place at most on each side."""
    across, down, deep = blocks
    t, y, x = (np.arange(n) * m // n for n, m in zip(shape, (deep, down, across), strict=True))
    return (t[:, None, None] * down + y[:, None]) * across + x
