"""Drawn scenes of which it is known where people would look: the odd one out among things of one kind.

Each scene has a ground of soft noise and a dozen bars or discs of one colour. One to three further ones are
odd: another colour, far from the ground's. They lie anywhere, more often away from the middle. Fixations
are drawn: most on the odd things, some on the others, some in the middle, where people look in any case.
No picture of anything; for tests of training and for a first try without SALICON.
"""

import hashlib

import numpy as np

from data_pipelines import BadInput, letterbox, saliency_maps
from data_pipelines.gaze import Gaze
from data_pipelines.letterbox import Box

OPTIONS = {"train": 600, "test": 100, "seed": 0}
FIXATIONS = 60  # of all observers of a scene
ON_ODD, ON_OTHERS = 0.75, 0.1  # shares of them; the rest is in the middle
SPREAD = 0.03  # of fixations about what they are on, share of the scene's height
MIDDLE = 0.18  # of those in the middle, share of the sides
BLUR = 0.06  # of the map, share of the height


def gaze(folder: str, frame: tuple[int, int], options: dict) -> dict:
    """The parts train and test, drawn.

    Args:
      folder: must be empty: nothing is read.
      frame: height and width of the scenes, pixels; at least 32.
      options: train and test, scenes of each; seed.
    Raises:
      BadInput: a folder, too small a frame, or no scenes.
    """
    if folder:
        raise BadInput(f"data.dir: {folder!r}; saliency_shapes is drawn and reads no folder, leave it empty")
    if min(frame) < 32:
        raise BadInput(f"data.frame is {frame}; saliency_shapes needs 32 pixels a side or more")
    if min(options["train"], options["test"]) < 1:
        raise BadInput("data.options: saliency_shapes needs train and test of 1 or more")
    parts = {part: _part(part, options[part], frame, options["seed"]) for part in ("train", "test")}
    return parts | {"findings": ["drawn scenes; no paper reports on them"]}


def _part(part: str, n: int, frame: tuple[int, int], seed: int) -> Gaze:
    names = [f"{part}{i:05d}" for i in range(n)]
    drawn = {name: scene(frame, (seed, part == "test", i)) for i, name in enumerate(names)}
    maps = {name: density(points, frame) for name, (_, points) in drawn.items()}

    def stamp(name: str) -> str:
        picture, points = drawn[name]
        return hashlib.sha256(picture.tobytes() + points.tobytes() + maps[name].tobytes()).hexdigest()

    return Gaze(
        f"saliency_shapes/{part}",
        np.array(names),
        frame,
        lambda name: drawn[name][0],
        lambda name, frame: letterbox.pad(maps[name], frame),
        lambda name: drawn[name][1],
        lambda name: Box(0, 0, *frame),
        stamp,
    )


def scene(frame: tuple[int, int], key: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """(uint8 [h, w, 3], int64 [m, 2] rows and columns of fixations) of a key (seed, part, number)."""
    h, w = frame
    rng = np.random.default_rng(key)
    ground = rng.uniform(90, 150, 3)
    noise = saliency_maps.resize(rng.normal(0, 12, (max(3, h // 12), max(3, w // 12))), h, w)
    picture = ground + noise[..., None] + rng.normal(0, 4, (h, w, 1))
    plain = ground + rng.uniform(20, 35) * rng.choice([-1, 1]) + rng.normal(0, 5, 3)
    odd = np.clip(ground + rng.uniform(70, 110, 3) * rng.choice([-1, 1], 3), 0, 255)
    size, form, places = rng.uniform(0.05, 0.08) * h, rng.integers(2), []
    n_odd, n_plain = rng.integers(1, 4), rng.integers(9, 14)
    while len(places) < n_odd + n_plain:
        places.append(_free(rng, frame, size, places, away=len(places) < n_odd))
    for i, at in enumerate(places):
        _draw(picture, at, size, rng.uniform(0, np.pi), form, odd if i < n_odd else plain)
    points = _looked_at(rng, frame, np.array(places[:n_odd]), np.array(places[n_odd:]))
    return np.clip(picture, 0, 255).astype(np.uint8), points


def density(points: np.ndarray, frame: tuple[int, int]) -> np.ndarray:
    """uint8 [h, w]: fixations, blurred, 255 where most."""
    counts = np.zeros(frame)
    np.add.at(counts, tuple(points.T), 1)
    blurred = saliency_maps.gaussian(counts, BLUR * frame[0])
    return np.round(255 * blurred / blurred.max()).astype(np.uint8)


def _free(rng, frame, size, places, away: bool) -> tuple[float, float]:
    """A place apart from others, where one is found; odd things keep away from the middle, by and large."""
    h, w = frame
    for _ in range(50):
        y, x = rng.uniform(size, h - size), rng.uniform(size, w - size)
        central = np.exp(-0.5 * (((y / h - 0.5) / 0.2) ** 2 + ((x / w - 0.5) / 0.2) ** 2))
        if away and rng.uniform() < 0.8 * central:
            continue
        if all((y - v) ** 2 + (x - u) ** 2 > (2.2 * size) ** 2 for v, u in places):
            break
    return y, x


def _draw(picture, at, size, angle, form, colour) -> None:
    """A disc (form 0) or a bar, its edge a pixel soft."""
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]]
    y, x = y - at[0], x - at[1]
    along, across = (
        np.abs(x * np.cos(angle) + y * np.sin(angle)),
        np.abs(y * np.cos(angle) - x * np.sin(angle)),
    )
    beyond = np.hypot(x, y) - 0.75 * size if form == 0 else np.maximum(along - size, across - 0.35 * size)
    cover = np.clip(0.5 - beyond, 0, 1)[..., None]
    picture += cover * (colour - picture)


def _looked_at(rng, frame, odd: np.ndarray, others: np.ndarray) -> np.ndarray:
    """int64 [m, 2] fixations inside the scene."""
    h, w = frame
    kind = rng.uniform(size=FIXATIONS)
    on_odd = odd[rng.integers(len(odd), size=FIXATIONS)]
    on_others = others[rng.integers(len(others), size=FIXATIONS)]
    near = rng.normal(0, SPREAD * h, (FIXATIONS, 2))
    middle = np.array([h, w]) * rng.normal(0.5, MIDDLE, (FIXATIONS, 2))
    kind = kind[:, None]
    points = np.where(
        kind < ON_ODD, on_odd + near, np.where(kind < ON_ODD + ON_OTHERS, on_others + near, middle)
    )
    return np.floor(np.clip(points, 0, [h - 1, w - 1])).astype(np.int64)
