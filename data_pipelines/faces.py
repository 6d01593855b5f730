"""What turns a photo into a model input: find the eyes, place them, cut the square around them.

Points are (x, y) in pixels; the centre of the top left pixel is (0, 0). A transform is a float64 [2, 3]
matrix that takes points of the picture to points of the crop. "Left" is the picture's left, the person's
right.

    left, right = eye_centres(landmarks)          # or detect(picture)
    crop = align(picture, left, right, size=48)   # similarity and warp in one

For a clip that shall keep its motion, take one matrix of `similarity` and `warp` every frame with it.
"""

import functools
import threading
from os import PathLike
from typing import NamedTuple

import numpy as np

from data_pipelines import BadInput, resample

# Between facsynth's framing, whose average face has its eyes 0.315 of the side apart at a height of 0.38, and
# FER2013's (0.38 and 0.39; median of 327 Training images in which the detector below found both eyes). Brows
# and, unless the jaw drops far, the chin are inside.
EYE_DISTANCE = 0.33  # between the eyes' centres, share of the crop's side
EYE_HEIGHT = 0.37  # of the line through them below the upper edge, share of the side

LEFT_EYE = slice(36, 42)  # of the 68 points in Multi-PIE order, from 0
RIGHT_EYE = slice(42, 48)

# Where eyes lie in a box of the frontal face detector: share of its side from its left (right) and upper edge
# (medians: 0.30 and 0.39 on FER2013's images, 0.31 and 0.42 on rendered faces).
BOX_EYE_X = 0.30
BOX_EYE_Y = 0.40

# Boxes of the eye detector take in some brow: how far down the box the eye's centre lies, share of its height
# (medians of 0.55 to 0.59 on three kinds of drawn and rendered faces).
EYE_IN_BOX = 0.56

# EXIF orientation -> Pillow's Transpose that makes the picture upright (EXIF 2.3, tag 0x0112).
UPRIGHT = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}

PROFILES = ("profile", "mirrored profile")  # faces that the detector knows, and their mirror images
LARGER = 1.3  # a frontal face without eyes gives way to one in profile that is so many times as wide
LARGEST = 1280  # pixels; `search` looks at larger photographs reduced to this
SMALLEST = 480  # pixels of the shorter side, below which `search` doubles a picture to look for small faces


class Found(NamedTuple):
    """A face that the detector found.

    Attributes:
      box: x, y, width, height, pixels.
      left_eye: float64 [2], x and y of the centre of the eye on the picture's left.
      right_eye: float64 [2], of the one on its right.
      how: "eyes": found in the box; "box": taken where a box of that size has them.
      by: which detector: "frontal"; of `search` also "enlarged" (a small face), "profile" or "mirrored
        profile".
      further: faces apart from this one that the same detector sees.
    """

    box: tuple[int, int, int, int]
    left_eye: np.ndarray
    right_eye: np.ndarray
    how: str
    by: str = "frontal"
    further: int = 0


def read_grey(path: str | PathLike) -> np.ndarray:
    """uint8 [h, w], the grey values of an image file of 8 bits a channel; of colours, their luma.

    A photograph that a camera marked as turned (EXIF) comes upright.

    Raises:
      BadInput: unreadable, truncated, or of more than 8 bits.
    """
    return _read(path, "L")


def read_rgb(path: str | PathLike) -> np.ndarray:
    """uint8 [h, w, 3], red, green and blue of an image file; otherwise as `read_grey`.

    Palettes and CMYK become RGB, grey is written into all three, transparency does not count.
    """
    return _read(path, "RGB")


def grey_of(picture: np.ndarray) -> np.ndarray:
    """uint8 [h, w], the luma of a picture [h, w, 3] (ITU-R 601, as `read_grey` has it); [h, w] as it is."""
    picture = np.asarray(picture)
    if picture.ndim == 2:
        return picture
    from PIL import Image

    return np.asarray(Image.fromarray(picture).convert("L"))


def _read(path: str | PathLike, mode: str) -> np.ndarray:
    """The pixels of an image file, upright, in Pillow's mode L or RGB."""
    from PIL import Image

    try:
        with Image.open(path) as file:
            if file.mode[0] in "IF":
                raise BadInput(
                    f"{path}: more than 8 bits a pixel; save it with 8 (Pillow's mode {file.mode})"
                )
            turn = UPRIGHT.get(_exif_orientation(file))
            pixels = file.convert(mode)
            return np.asarray(pixels if turn is None else pixels.transpose(turn))
    except BadInput:
        raise
    except Image.DecompressionBombError:
        raise BadInput(f"{path}: too many pixels to be a photograph; make it smaller") from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        reason = "truncated" if "truncated" in str(error) else "not an image file"
        raise BadInput(
            f"{path}: cannot be read ({reason}); unpack the archive again, or delete the file"
        ) from None


def _exif_orientation(file) -> int:
    """How the camera was held, 1 to 8; 1 where the picture does not say, or says it in a damaged way."""
    try:
        return file.getexif().get(0x0112, 1)
    except Exception:  # whatever Pillow's parsers raise: the pixels may still be good
        return 1


# Geometry.


def eye_centres(landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centres of the eyes, each the mean of its six points.

    Args:
      landmarks: [..., 68, 2] in Multi-PIE order.
    Returns:
      (left, right), float64 [..., 2]; left in the picture.
    Raises:
      ValueError: not 68 points.
    """
    landmarks = np.asarray(landmarks, np.float64)
    if landmarks.shape[-2:] != (68, 2):
        raise ValueError(f"landmarks are [..., 68, 2], not {landmarks.shape}")
    return landmarks[..., LEFT_EYE, :].mean(-2), landmarks[..., RIGHT_EYE, :].mean(-2)


def similarity(
    left_eye: np.ndarray,
    right_eye: np.ndarray,
    size: int,
    eye_distance: float = EYE_DISTANCE,
    eye_height: float = EYE_HEIGHT,
) -> np.ndarray:
    """The rotation, scale and shift that bring two eyes to their places.

    Shares of the side mean the same at every size: a share s is the coordinate s * size - 1/2.

    Args:
      left_eye: [2], in the picture.
      right_eye: [2].
      size: side of the crop, pixels.
      eye_distance: between the eyes, share of the side; they lie level and evenly about the middle.
      eye_height: of the eyes below the upper edge, share of the side.
    Returns:
      float64 [2, 3], picture to crop.
    Raises:
      ValueError: both eyes at one place.
    """
    left, right = np.asarray(left_eye, np.float64), np.asarray(right_eye, np.float64)
    x, y = right - left
    square = x * x + y * y
    if not square > 0:
        raise ValueError(f"two eyes at one place, {left.tolist()}")
    turn = eye_distance * size / square * np.array([[x, y], [-y, x]])  # takes (x, y) to (distance, 0)
    place = np.array([0.5 * size - 0.5, eye_height * size - 0.5])
    return np.column_stack([turn, place - turn @ (left + right) / 2])


def centred(height: int, width: int, size: int) -> np.ndarray:
    """The transform of the largest square in the middle of a picture, float64 [2, 3]."""
    scale = size / min(height, width)
    shift = [size / 2 - 0.5 - scale * (side / 2 - 0.5) for side in (width, height)]
    return np.column_stack([scale * np.eye(2), shift])


def move(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Points [..., 2] of the picture as points of the crop, float64 [..., 2]."""
    return np.asarray(points, np.float64) @ matrix[:, :2].T + matrix[:, 2]


def warp(picture: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    """Cuts a square out of a picture.

    The picture is sampled bilinearly on a grid m times as fine as the crop's, no coarser than its own pixels,
    and every m x m samples are averaged: shrinking does not alias. Beyond the border its outermost pixels go
    on.

    Args:
      picture: uint8 [h, w] or [h, w, c].
      matrix: [2, 3], picture to crop; a similarity.
      size: side of the crop, pixels.
    Returns:
      uint8 [size, size] or [size, size, c].
    Raises:
      ValueError: not a uint8 picture, or a matrix that cannot be inverted.
    """
    picture = np.asarray(picture)
    if picture.dtype != np.uint8 or picture.ndim not in (2, 3) or not picture.size:
        raise ValueError(f"a picture is uint8 [h, w] or [h, w, c], not {picture.dtype} {picture.shape}")
    turn = np.asarray(matrix, np.float64)[:, :2]
    back = np.linalg.det(turn)
    if not (np.isfinite(back) and back != 0):
        raise ValueError(f"{turn.tolist()} cannot be inverted")
    back = np.linalg.inv(turn)
    fine = max(1, int(np.ceil(np.hypot(*back[:, 0]) - 1e-6)))  # pixels of the picture per pixel of the crop
    grid = (np.arange(size * fine) + 0.5) / fine - 0.5
    x0, y0 = -back @ np.asarray(matrix, np.float64)[:, 2]
    x, y = back[0, 0] * grid + x0, back[1, 1] * grid + y0
    h, w = picture.shape[:2]
    if back[0, 1] == back[1, 0] == 0:
        sampled = resample.upright(picture, np.clip(x, 0, w - 1), np.clip(y, 0, h - 1))
    else:
        x = x[None, :] + (back[0, 1] * grid)[:, None]
        y = (back[1, 0] * grid + y0)[None, :] + (back[1, 1] * grid)[:, None]
        sampled = resample.anyhow(picture, np.clip(x, 0, w - 1), np.clip(y, 0, h - 1))
    mean = sampled.reshape(size, fine, size, fine, *picture.shape[2:]).mean((1, 3))
    return np.rint(mean).astype(np.uint8)


def align(
    picture: np.ndarray,
    left_eye: np.ndarray,
    right_eye: np.ndarray,
    size: int,
    eye_distance: float = EYE_DISTANCE,
    eye_height: float = EYE_HEIGHT,
) -> np.ndarray:
    """The face with its eyes level, at a fixed distance and height: `warp` by `similarity`.

    Args:
      picture: uint8 [h, w] or [h, w, c].
      left_eye: [2], centre of the eye on the picture's left.
      right_eye: [2].
      size: side of the crop, pixels.
      eye_distance: share of the side.
      eye_height: share of the side.
    Returns:
      uint8 [size, size] or [size, size, c].
    """
    return warp(picture, similarity(left_eye, right_eye, size, eye_distance, eye_height), size)


# Detection: Viola & Jones 2001, "Rapid object detection using a boosted cascade of simple features", with the
# cascades that OpenCV ships (Lienhart & Maydt 2002 for the faces).

_one_at_a_time = threading.Lock()  # two threads must neither use one cascade nor import cv2 at once


def detect(picture: np.ndarray) -> Found | None:
    """Finds the largest frontal face of a picture and its eyes.

    Args:
      picture: uint8 [h, w] or [h, w, 3].
    Returns:
      The face; None where there is none.
    Raises:
      BadInput: OpenCV or its cascades are missing.
    """
    return _frontal(grey_of(picture), 6)


def search(picture: np.ndarray, facing: str = "") -> Found | None:
    """Finds a face by `detect`, and where that finds none by further ways, the first that succeeds.

    These are: a face in profile, in the picture or its mirror image, whichever the detector is surer of; a
    frontal face down to a sixteenth of the shorter side, in a small picture at twice its size. A face in
    profile also wins over a frontal one without eyes that is much smaller, which mostly is an ear. It has its
    eyes where a box has them (`how` is "box"). What lies further down this list is more often no face at all.

    Args:
      picture: uint8 [h, w] or [h, w, 3].
      facing: one of PROFILES where it is known that the face is turned so; then that is looked for first.
    Returns:
      The face; None where there is none.
    Raises:
      BadInput: OpenCV or its cascades are missing.
    """
    from PIL import Image

    picture = grey_of(picture)
    factor = -(-max(picture.shape) // LARGEST)
    if factor > 1:
        picture = np.asarray(Image.fromarray(picture).reduce(factor))
    turned = _profile(picture, (facing,)) if facing else None
    found = turned or _frontal(picture, 6)
    if found is None or (found.how == "box" and not turned):
        side = _profile(picture)
        if side is not None and (found is None or side.box[2] > LARGER * found.box[2]):
            found = side
    found = found or _small(picture)
    return found if found is None or factor == 1 else _scaled(found, factor)


def _scaled(found: Found, by: float) -> Found:
    """The same face in a picture so many times as large."""
    return found._replace(
        box=tuple(round(v * by) for v in found.box),
        left_eye=(found.left_eye + 0.5) * by - 0.5,
        right_eye=(found.right_eye + 0.5) * by - 0.5,
    )


def _largest(boxes) -> tuple[int, int, int, int] | None:
    """Of boxes [n, 4] the largest, the upper left of equals."""
    if not len(boxes):
        return None
    return tuple(int(v) for v in max(boxes.tolist(), key=lambda b: (b[2] * b[3], -b[1], -b[0])))


def _apart(boxes, box: tuple[int, int, int, int]) -> int:
    """How many boxes [n, 4] lie apart from one: their centre is outside of it, and its outside of them."""
    a, b = np.asarray(boxes, float).reshape(-1, 4), np.asarray(box, float)
    off = np.abs(a[:, :2] + a[:, 2:] / 2 - b[:2] - b[2:] / 2)
    return int((off > np.maximum(a[:, 2:], b[2:]) / 2).any(1).sum())


def _frontal(picture: np.ndarray, share: int) -> Found | None:
    """The largest frontal face, at least 1 / share of a grey picture's shorter side, and its eyes."""
    least = max(20, min(picture.shape) // share)
    with _one_at_a_time:
        faces, eyes, _ = _cascades()
        boxes = faces.detectMultiScale(
            np.ascontiguousarray(picture), scaleFactor=1.1, minNeighbors=4, minSize=(least, least)
        )
        box = _largest(boxes)
        if box is None:
            return None
        x, y, w, h = box
        upper = np.ascontiguousarray(picture[y : y + (6 * h) // 10, x : x + w])
        least = max(8, w // 8)
        found = eyes.detectMultiScale(
            upper, scaleFactor=1.05, minNeighbors=3, minSize=(least, least), maxSize=(w // 2, w // 2)
        )
    pair = _pair(np.asarray(found, np.float64).reshape(-1, 4), w)
    if pair is not None:
        corner = np.array([x, y], np.float64)
        return Found(box, pair[0] + corner, pair[1] + corner, "eyes", further=_apart(boxes, box))
    return Found(box, *_eyes_of_box(box), "box", further=_apart(boxes, box))


def _small(picture: np.ndarray) -> Found | None:
    """A frontal face of at least a sixteenth of the shorter side; small pictures are doubled for it."""
    from PIL import Image

    if min(picture.shape) >= SMALLEST:
        found = _frontal(picture, 16)
    else:
        h, w = picture.shape
        double = np.asarray(Image.fromarray(picture).resize((2 * w, 2 * h), Image.Resampling.BILINEAR))
        found = _frontal(double, 16)
        found = found and _scaled(found, 0.5)
    return found and found._replace(by="enlarged")


def _profile(picture: np.ndarray, sides: tuple[str, ...] = PROFILES) -> Found | None:
    """The face in profile that the detector is surest of, in a grey picture or its mirror image."""
    least = max(20, min(picture.shape) // 6)
    best, every = None, []
    for by in sides:
        seen = picture if by == "profile" else picture[:, ::-1]
        with _one_at_a_time:
            boxes, _, sure = _cascades()[2].detectMultiScale3(
                np.ascontiguousarray(seen),
                scaleFactor=1.1,
                minNeighbors=4,
                minSize=(least, least),
                outputRejectLevels=True,
            )
        for (x, y, w, h), weight in zip(
            np.reshape(boxes, (-1, 4)).tolist(), np.ravel(sure).tolist(), strict=True
        ):
            x = picture.shape[1] - x - w if by == "mirrored profile" else x
            every.append((int(x), int(y), int(w), int(h)))
            if best is None or weight > best[0]:
                best = (weight, every[-1], by)
    return best and Found(best[1], *_eyes_of_box(best[1]), "box", best[2], _apart(every, best[1]))


def _eyes_of_box(box: tuple[int, int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Where the eyes of a face in such a box are, (left, right)."""
    x, y, w, h = box
    level = y + BOX_EYE_Y * h - 0.5
    left, right = x + BOX_EYE_X * w - 0.5, x + (1 - BOX_EYE_X) * w - 0.5
    return np.array([left, level]), np.array([right, level])


def _pair(boxes: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Of eye candidates [n, 4] in a face of that width, the two that lie most like a pair of eyes."""
    centre = boxes[:, :2] + boxes[:, 2:] * [0.5, EYE_IN_BOX] - 0.5
    best = None
    for left in centre[centre[:, 0] < width / 2]:
        for right in centre[centre[:, 0] >= width / 2]:
            across, down = (right - left) / width
            aside = abs((left + right)[0] / 2 / width - 0.5)
            if not (0.28 <= across <= 0.60 and abs(down) <= 0.35 * across and aside <= 0.12):
                continue
            odd = abs(across - (1 - 2 * BOX_EYE_X)) + abs(down) + aside
            odd += abs((left + right)[1] / 2 / width - BOX_EYE_Y)
            if best is None or odd < best[0]:
                best = (odd, left, right)
    return None if best is None else best[1:]


@functools.lru_cache(maxsize=1)
def _cascades() -> tuple:
    """OpenCV's detectors of frontal faces, of eyes, and of faces in profile."""
    try:
        import cv2
    except ImportError:
        raise BadInput(
            "no landmarks here, and faces are detected with OpenCV, which is not installed; "
            'pip install "opencv-python-headless>=4.10,<5"'
        ) from None
    made = []
    for name in (
        "haarcascade_frontalface_alt2.xml",
        "haarcascade_eye.xml",
        "haarcascade_profileface.xml",
    ):
        try:
            cascade = cv2.CascadeClassifier(f"{cv2.data.haarcascades}{name}")
            if cascade.empty():
                raise AttributeError
        except (AttributeError, cv2.error):
            raise BadInput(
                f"OpenCV {cv2.__version__} has no {name}, which finds faces where landmarks are missing; "
                'pip install "opencv-python-headless>=4.10,<5"'
            ) from None
        made.append(cascade)
    return tuple(made)
