"""A small SALICON, its layout and files as published, drawn."""

import numpy as np
from PIL import Image
from scipy.io import savemat


def write(folder, train: int, val: int, size: tuple[int, int] = (48, 64)):
    """images, maps and fixations of noise with a bright square, which is looked at."""
    h, w = size
    for part, n in (("train", train), ("val", val)):
        for kind in ("images", "maps", "fixations"):
            (folder / kind / part).mkdir(parents=True)
        for i in range(n):
            rng = np.random.default_rng((n, i))
            name = f"COCO_{part}2014_{i:012d}"
            picture = rng.integers(90, 120, (h, w, 3)).astype(np.uint8)
            picture[8:12, 18:22] = [250, 40, 30]
            Image.fromarray(picture).save(folder / f"images/{part}/{name}.jpg", quality=95)
            seen = np.zeros((h, w), np.uint8)
            seen[6:14, 16:24] = 90
            seen[9, 19] = 255
            Image.fromarray(seen).save(folder / f"maps/{part}/{name}.png")
            observers = np.zeros((2, 1), [("location", object), ("timestamp", object), ("fixations", object)])
            observers[0, 0] = (np.zeros((0, 2)), np.zeros((0, 1)), np.array([[1, 1], [w, h]], np.uint16))
            outside = np.array([[20, 10], [w + 1, 3], [0, 3]], np.uint16)
            observers[1, 0] = (np.zeros((0, 2)), np.zeros((0, 1)), outside)
            held = {"image": name, "resolution": np.array([[h, w]], np.uint16), "gaze": observers}
            savemat(folder / f"fixations/{part}/{name}.mat", held)
    return folder
