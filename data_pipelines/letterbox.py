"""Pictures and maps in a frame of one size: resized, their aspect kept, black beside them; and back.

As ML-Net's published code has it (Cornia et al. 2016), except that what becomes smaller is averaged.
"""

from typing import NamedTuple

import numpy as np


class Box(NamedTuple):
    """Where a picture lies in its frame, pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def inside(self) -> tuple[slice, slice]:
        """Rows and columns of the frame that show the picture."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)


def place(h: int, w: int, frame: tuple[int, int]) -> Box:
    """Where a picture of h by w pixels comes to lie in a frame (height, width), in its middle."""
    tall, wide = frame
    if h * wide > w * tall:  # fills the height
        width = max(1, w * tall // h)
        return Box(0, (wide - width) // 2, tall, width)
    height = max(1, h * wide // w)
    return Box((tall - height) // 2, 0, height, wide)


def pad(image: np.ndarray, frame: tuple[int, int]) -> np.ndarray:
    """uint8 [h, w] or [h, w, 3] -> the same in a frame (height, width), black beside it."""
    from PIL import Image

    box = place(*image.shape[:2], frame)
    if box[2:] != image.shape[:2]:
        image = np.asarray(Image.fromarray(image).resize((box.width, box.height), Image.Resampling.BILINEAR))
    if box[2:] == tuple(frame):
        return image
    out = np.zeros((*frame, *image.shape[2:]), np.uint8)
    out[box.inside] = image
    return out


def unpad(found: np.ndarray, box: Box, frame: tuple[int, int], h: int, w: int) -> np.ndarray:
    """A map of a frame, of whatever resolution -> float32 [h, w], the part that shows the picture.

    Args:
      found: float [h', w'], of the whole frame.
      box: where the picture lies in the frame.
      frame: height and width of the frame.
      h: height of the result, pixels.
      w: width of the result, pixels.
    """
    from PIL import Image

    tall, wide = found.shape[0] / frame[0], found.shape[1] / frame[1]
    part = (box.left * wide, box.top * tall, (box.left + box.width) * wide, (box.top + box.height) * tall)
    whole = Image.fromarray(np.ascontiguousarray(found, np.float32))
    return np.asarray(whole.resize((w, h), Image.Resampling.BILINEAR, box=part))
