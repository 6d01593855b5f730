"""Maps of what stands out that need no weights: the spectral residual, and a Gaussian in the centre.

A saliency map is float32 [h, w] in 0..1. NumPy alone: nothing here opens a file.
"""

import functools

import numpy as np

from data_pipelines import BadInput

SIZE = 64  # pixels of the width at which `spectral_residual` works; Hou & Zhang's
BLUR = 2.5  # pixels at that size, standard deviation; of the authors' published code
SHARE = 0.25  # of the sides, standard deviation of `centre`
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow's "L"


def spectral_residual(image: np.ndarray, size: int = SIZE, blur: float = BLUR) -> np.ndarray:
    """What of a picture's log amplitude spectrum differs from its local mean, brought back to pixels.

    The picture, grey and `size` wide, goes to the frequency domain. Its log amplitude, less the mean over
    3x3 frequencies (the border's own values go on outside), with its phase, goes back; the square of that,
    blurred, is the map, scaled from 0 to 1 and brought to the picture's size.

    Args:
      image: uint8 or float [h, w] or [h, w, c], c = 1 grey or 3 RGB.
      size: working width, pixels; the height follows. Smaller sees larger things.
      blur: standard deviation of the Gaussian, pixels at the working size; 0: none.
    Returns:
      float32 [h, w]; 0 throughout where the picture is of one single value, and nothing stands out.
    Raises:
      BadInput: a size below 3 or a blur below 0.
      ValueError: another shape.
    Source: Hou & Zhang 2007, Saliency detection: a spectral residual approach, section 2.
    """
    if size < 3 or blur < 0:
        raise BadInput(f"spectral residual: size {size} must be 3 pixels or more, and blur {blur} 0 or more")
    grey = _grey(image)
    h, w = grey.shape
    small = resize(grey, max(3, round(h * size / w)), size)
    if np.ptp(grey) == 0 or np.ptp(small) < 1e-6 * max(1.0, np.abs(small).max()):
        return np.zeros((h, w), np.float32)
    spectrum = np.fft.fft2(small)
    amplitude = np.abs(spectrum)
    log = np.log(np.maximum(amplitude, 1e-9 * amplitude.max()))  # a frequency may be absent
    residual = log - _mean_3x3(log)
    back = np.fft.ifft2(np.exp(residual + 1j * np.angle(spectrum)))
    found = gaussian(np.abs(back) ** 2, blur)
    return resize(scaled(found), h, w).astype(np.float32)


def centre(h: int, w: int, share: float | tuple[float, float] = SHARE) -> np.ndarray:
    """A Gaussian in the middle of the picture: where people look whatever it shows.

    Args:
      h: height, pixels.
      w: width, pixels.
      share: standard deviation as a share of height and width; two for a share of each.
    Returns:
      float32 [h, w], its largest value 1.
    Raises:
      BadInput: a share that is not above 0.
    Source: the "center" baseline of Bylinskii et al. 2019, section 4 (a Gaussian stretched to the picture).
    """
    tall, wide = share if isinstance(share, tuple) else (share, share)
    if min(tall, wide) <= 0:
        raise BadInput(f"centre prior: its width is {share}; it must be above 0, a share of the sides")
    lines = []
    for n, s in ((h, tall), (w, wide)):
        at = (np.arange(n) - (n - 1) / 2) / (s * n)
        lines.append(np.exp(-0.5 * at * at))
    out = np.outer(*lines)
    return (out / out.max()).astype(np.float32)


def scaled(found: np.ndarray) -> np.ndarray:
    """A map from its least value as 0 to its largest as 1; a flat one, or one not finite, is all 0."""
    found = np.asarray(found, np.float64)
    low, span = found.min(), np.ptp(found)
    if not np.isfinite(span) or span <= 1e-12 * max(abs(low), 1e-30):
        return np.zeros(found.shape)
    return (found - low) / span


def gaussian(x: np.ndarray, sigma: float) -> np.ndarray:
    """[h, w] blurred by a Gaussian of that standard deviation, pixels; outside, the border's values go on."""
    if sigma == 0:
        return np.asarray(x, np.float64)
    reach = max(1, int(np.ceil(4 * sigma)))
    at = np.arange(-reach, reach + 1)
    kernel = np.exp(-0.5 * (at / sigma) ** 2)
    kernel /= kernel.sum()
    for axis in (0, 1):
        wide = np.pad(x, [(reach, reach) if a == axis else (0, 0) for a in (0, 1)], mode="edge")
        n = x.shape[axis]
        x = sum(k * np.take(wide, range(i, i + n), axis) for i, k in enumerate(kernel))
    return x


def resize(x: np.ndarray, h: int, w: int) -> np.ndarray:
    """float64 [h, w] of [h', w']: bilinear, pixels taken as areas; what becomes smaller is averaged."""
    return _triangles(x.shape[0], h) @ np.asarray(x, np.float64) @ _triangles(x.shape[1], w).T


@functools.lru_cache(maxsize=64)  # a set's pictures have one size
def _triangles(n: int, m: int) -> np.ndarray:
    """[m, n]: the weights that take n pixels to m, rows of sum 1."""
    ratio = n / m
    centre = (np.arange(m) + 0.5) * ratio - 0.5
    far = np.abs(np.arange(n)[None] - centre[:, None]) / max(1.0, ratio)
    weights = np.maximum(0, 1 - far)
    return weights / weights.sum(1, keepdims=True)


def _mean_3x3(x: np.ndarray) -> np.ndarray:
    h, w = x.shape
    wide = np.pad(x, 1, mode="edge")
    return sum(wide[i : i + h, j : j + w] for i in range(3) for j in range(3)) / 9


def _grey(image: np.ndarray) -> np.ndarray:
    """float64 [h, w]."""
    image = np.asarray(image, np.float64)
    if image.ndim == 3 and image.shape[2] == 3:
        return image @ np.array(LUMA)
    if image.ndim == 3 and image.shape[2] == 1:
        return image[:, :, 0]
    if image.ndim == 2:
        return image
    raise ValueError(f"a picture is [h, w], [h, w, 1] or [h, w, 3], got {image.shape}")
