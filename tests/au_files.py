"""A tiny FACS-coded set: pictures whose quarters light up with three action units, some codes unknown."""

import numpy as np
import runs

from data_pipelines import arrays, exported
from data_pipelines.split import Split

UNITS = ("AU01", "AU04", "AU12")
CLASSES = ("happiness", "neutral")
CORNERS = ((0, 0), (0, 8), (8, 0))


def split(n: int, seed: int, name: str = "train") -> Split:
    """n pictures of 16x16; codes 0 or 1 to 5 (brighter is stronger), a sixth of them unknown.

    Whoever shows AU12 is happy. Twelve people in train, six elsewhere.
    """
    rng = np.random.default_rng(seed)
    aus = np.where(rng.random((n, 3)) < 0.45, rng.integers(1, 6, (n, 3)), 0).astype(np.int8)
    image = rng.integers(0, 60, (n, 16, 16, 1))
    for row, codes in enumerate(aus):
        for (y, x), code in zip(CORNERS, codes, strict=True):
            image[row, y : y + 8, x : x + 8] += 60 * (code > 0) + 20 * code
    label = (aus[:, 2] == 0).astype(np.int32)
    aus[rng.random((n, 3)) < 1 / 6] = -1
    people = 12 if name == "train" else 6
    return Split(
        name=f"coded/{name}",
        image=image.astype(np.uint8),
        label=label,
        aus=aus,
        subject=np.array([f"{name}-S{i % people}" for i in range(n)]),
        id=np.array([f"{name}{i:03d}" for i in range(n)]),
        classes=CLASSES,
        au_names=UNITS,
    )


def write_set(folder, n_train: int = 70) -> str:
    """train.npz, select.npz and test.npz."""
    parts = arrays.Parts(split(n_train, 0), split(40, 1, "select"), split(60, 2, "test"), "unseen subjects")
    exported.write(parts, folder)
    return str(folder)


def config(data_dir: str, **changes):
    """`runs.tiny_config` with task=aus."""
    return runs.tiny_config(data_dir, **{"task": "aus", "train__select_by": "auc"} | changes)
