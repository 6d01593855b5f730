"""How a clip's frames become a network's input: as they are, as differences to the onset, or as optical flow.

What moves in a micro-expression is small: across a face of 48 pixels a tenth of a pixel to one pixel. The two
signed kinds keep it as uint8 around 128, so that every kind is stored, batched and augmented alike.

Axis letters: n clips, t time, h w c image.
"""

import dataclasses

import numpy as np

from data_pipelines import BadInput
from data_pipelines.clips import Clips, frames_at
from data_pipelines.split import Split

KINDS = ("grey", "difference", "flow")
ZERO = 128  # the grey level of no change
FLOW_LEVELS = 64  # grey levels a pixel of displacement: from -2 to just below 2 pixels, in steps of 1/64
STRAIN_LEVELS = 512  # grey levels a unit of strain: 0 to 0.248; a grimace within 48 pixels has up to 0.23
LEAST_SIDE = 96  # pixels; smaller frames are enlarged for the flow, whose patches are 8 pixels wide


def channels(kind: str, c: int = 1) -> int:
    """How many channels frames of c channels have as `kind`.

    Raises:
      BadInput: an unknown kind.
    """
    _known(kind)
    return 3 if kind == "flow" else c


def represent(frames: np.ndarray, reference: np.ndarray, kind: str, gain: float = 1.0) -> np.ndarray:
    """Frames as a network's input.

    Args:
      frames: uint8 [t, h, w, c]; c = 1 for "flow".
      reference: uint8 [h, w, c], the frame that shows no expression yet.
      kind: "grey": the frames as they are, the gain being of no effect;
        "difference": 128 + gain * (frame - reference);
        "flow": u, v and strain between the reference and each frame, see `flow` and `strain`, as
        128 + gain * FLOW_LEVELS * u, the same of v (pixels), and 128 + gain * STRAIN_LEVELS * strain.
      gain: factor before rounding; what then leaves 0 to 255 is clipped. Displacement grows with the frames'
        side, strain does not.
    Returns:
      uint8 [t, h, w, c], for "flow" [t, h, w, 3]; where nothing moves, exactly 128 but in "grey".
    Raises:
      BadInput: an unknown kind, or a gain that is not a positive number.
      ValueError: shapes that do not fit.
    """
    _known(kind)
    if not (np.isfinite(gain) and gain > 0):
        raise BadInput(f"clip.gain is {gain}; write a positive number")
    if frames.ndim != 4 or frames.shape[1:] != reference.shape:
        raise ValueError(f"frames have shape {frames.shape}, their reference {reference.shape}")
    if kind == "grey":
        return frames
    if kind == "difference":
        return _levels(gain * (frames.astype(np.float32) - reference))
    moved = flow(frames, reference)
    scaled = [FLOW_LEVELS * moved, STRAIN_LEVELS * strain(moved)[..., None]]
    return _levels(gain * np.concatenate(scaled, -1))


def flow(frames: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Dense optical flow from a reference to each frame.

    OpenCV's DIS (Kroeger et al. 2016, "Fast optical flow using dense inverse search", ECCV), medium preset.
    Frames whose shorter side is below LEAST_SIDE are enlarged (bicubic) by a whole factor and the flow
    brought back by averaging and division: of shifts by a third of a pixel at 48x48 the mean error falls from
    0.033 to 0.012 pixels. Equal frames give equal flow, however many threads OpenCV uses.

    Args:
      frames: uint8 [t, h, w, 1].
      reference: uint8 [h, w, 1].
    Returns:
      float32 [t, h, w, 2]: u (to the right) and v (down), in pixels of the frames given: what lies at (x, y)
      in the reference lies at (x + u, y + v) in the frame.
    Raises:
      BadInput: OpenCV is missing.
      ValueError: frames of several channels.
    """
    try:
        import cv2
    except ImportError:
        raise BadInput(
            "clip.input is 'flow', which OpenCV computes, and that is not installed; "
            'pip install "opencv-python-headless>=4.10,<5"'
        ) from None
    t, h, w, c = frames.shape
    if c != 1:
        raise ValueError(f"optical flow is of grey frames; these have {c} channels")
    factor = -(-LEAST_SIDE // min(h, w))
    size = (factor * w, factor * h)

    def enlarged(image):
        image = np.ascontiguousarray(image[..., 0])
        return image if factor == 1 else cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)

    dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)  # one a call: it holds buffers
    start, out = enlarged(reference), np.zeros((t, h, w, 2), np.float32)
    for i in range(t):
        large = dis.calc(start, enlarged(frames[i]), None)
        out[i] = large.reshape(h, factor, w, factor, 2).mean((1, 3)) / factor
    return out


def strain(moved: np.ndarray) -> np.ndarray:
    """Magnitude of the optical strain, the deformation without the shift: sqrt(exx^2 + eyy^2 + 2 exy^2).

    exx = du/dx, eyy = dv/dy, exy = (du/dy + dv/dx) / 2, by central differences. A rigid shift has none; a
    small rotation has none to first order.

    Args:
      moved: float32 [t, h, w, 2], u and v in pixels; h and w at least 2.
    Returns:
      float32 [t, h, w], a pixel a pixel.
    Source: Shreve et al. 2011, "Macro- and micro-expression spotting in long videos using spatio-temporal
      strain" (FG).
    """
    u, v = moved[..., 0], moved[..., 1]
    uy, ux = np.gradient(u, axis=(1, 2))
    vy, vx = np.gradient(v, axis=(1, 2))
    return np.sqrt(ux**2 + vy**2 + (uy + vx) ** 2 / 2)


def clip_inputs(clips: Clips, place: np.ndarray, kind: str, gain: float = 1.0) -> np.ndarray:
    """The sequences of clips as a network's input, each against its own onset frame.

    Args:
      clips: n of them.
      place: [n, t] places within each clip's frames, from `clips.positions`.
      kind, gain: as of `represent`.
    Returns:
      uint8 [n, t, h, w, c].
    Raises:
      BadInput: as `represent`.
    """
    n, t = np.shape(place)
    shape = clips.image.shape[1:]
    out = np.zeros((n, t, *shape[:2], channels(kind, shape[2])), np.uint8)
    for i in range(n):
        frames = clips.frames(i)
        at, again = np.unique(place[i], return_inverse=True)  # padding repeats a frame
        out[i] = represent(frames_at(frames, at), frames[clips.onset[i]], kind, gain)[again]
    return out


def key_inputs(of: Clips, key: Split, kind: str, gain: float = 1.0) -> Split:
    """Key frames of clips as a network's input; those without change, being the onset, are left out.

    Args:
      of: the clips.
      key: as `clips.key_frames` gives them.
      kind, gain: as of `represent`.
    Returns:
      Split, image uint8 [m, h, w, channels].
    Raises:
      BadInput: as `represent`.
    """
    owner = {name: i for i, name in enumerate(of.id.tolist())}
    images = []
    for name, image in zip(key.id.tolist(), key.image, strict=True):
        i = owner[name.rpartition("/")[0]]
        images.append(represent(image[None], of.frames(i)[of.onset[i]], kind, gain)[0])
    key = dataclasses.replace(key, image=np.stack(images))
    return key if kind == "grey" else key.take(~(key.image == ZERO).all((1, 2, 3)))


def _known(kind: str):
    if kind not in KINDS:
        raise BadInput(f"clip.input is {kind!r}; write {', '.join(KINDS)}")


def _levels(change: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(ZERO + change), 0, 255).astype(np.uint8)
