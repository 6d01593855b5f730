"""A filter's pictures packed for a page: one grey JPEG a filter, one sheet of thumbnails for all."""

import base64
import io
from collections.abc import Sequence

import numpy as np

from ferjax.report.explorer_data import Top

BUDGET = 10_000_000  # letters of base64 that the pictures of all filters may take together
QUALITIES = (88, 78, 66, 52, 38, 24)  # of JPEG, the first that fits the budget
LARGEST = 96  # pixels; longer sides are scaled down to it
THUMB = 36  # pixels of a thumbnail's side
ACROSS = 32  # thumbnails in a row of the sheet


def sprites(top: Top, keys: Sequence[str]) -> dict[str, str]:
    """Base64 of one grey JPEG a filter: n pictures across; inputs, guided and deconvnet pictures down.

    Args:
      top: as explorer_data reads it.
      keys: of the filters wanted; those that top does not have are left out.
    """
    grey = _grey(top.image)
    rows = {key: top.place[key] for key in keys if key in top.place}

    def encoded(j: int, quality: int) -> str:
        there = (top.index[j] >= 0)[:, None, None]
        inputs = np.where(there, grey[top.index[j]], 128)
        strips = (inputs, np.where(there, top.guided[j], 128), np.where(there, top.deconv[j], 128))
        return _jpeg(np.concatenate([_strip(strip.astype(np.uint8)) for strip in strips]), quality)

    some = list(rows.values())[:: max(1, len(rows) // 24)]
    for quality in QUALITIES:
        if quality != QUALITIES[-1]:  # a few filters tell soon whether it can fit
            guess = sum(len(encoded(j, quality)) for j in some) * len(rows) / max(1, len(some))
            if guess > 1.1 * BUDGET:
                continue
        out = {key: encoded(j, quality) for key, j in rows.items()}
        if sum(map(len, out.values())) <= BUDGET:
            break
    return out


def scale(top: Top) -> tuple[int, int, float]:
    """Height and width of a picture in a sprite, and pixels of it per pixel of the input."""
    h, w = top.image.shape[1:3]
    by = min(1.0, LARGEST / max(h, w))
    return max(1, round(h * by)), max(1, round(w * by)), by


def thumbnails(top: Top, keys: Sequence[str]) -> str:
    """Base64 of one grey JPEG: each filter's guided picture of its top input, cut to the receptive field.

    The i-th key's thumbnail is in row i // ACROSS, column i % ACROSS of the sheet.
    """
    from PIL import Image

    down = max(1, -(-len(keys) // ACROSS))
    sheet = np.full((down * THUMB, ACROSS * THUMB), 128, np.uint8)
    for i, key in enumerate(keys):
        j = top.place.get(key)
        if j is None or top.index[j, 0] < 0:
            continue
        y0, x0, y1, x1 = top.box[j, 0]
        part = Image.fromarray(np.ascontiguousarray(top.guided[j, 0, y0:y1, x0:x1]))
        large = max(part.size) > THUMB
        part = part.resize((THUMB, THUMB), Image.Resampling.BOX if large else Image.Resampling.NEAREST)
        y, x = THUMB * (i // ACROSS), THUMB * (i % ACROSS)
        sheet[y : y + THUMB, x : x + THUMB] = np.asarray(part)
    return _jpeg(sheet, 80)


def _grey(image: np.ndarray) -> np.ndarray:
    """uint8 [m, h, w, c] -> [m, h, w]; colours by ITU-R BT.601's luma."""
    if image.shape[-1] == 1:
        return image[..., 0]
    return np.rint(image @ np.array([0.299, 0.587, 0.114], np.float32)).astype(np.uint8)


def _strip(pictures: np.ndarray) -> np.ndarray:
    """[n, h, w] -> [h, n w], scaled down where they are large."""
    from PIL import Image

    n, h, w = pictures.shape
    strip = pictures.transpose(1, 0, 2).reshape(h, n * w)
    by = min(1.0, LARGEST / max(h, w))
    if by == 1.0:
        return strip
    size = (n * max(1, round(w * by)), max(1, round(h * by)))
    return np.asarray(Image.fromarray(strip).resize(size, Image.Resampling.BOX))


def _jpeg(picture: np.ndarray, quality: int) -> str:
    from PIL import Image

    data = io.BytesIO()
    Image.fromarray(picture).save(data, "JPEG", quality=quality, optimize=True)
    return base64.b64encode(data.getvalue()).decode()
