"""Tiny clips for tests: made in memory, with every number known."""

import numpy as np

from data_pipelines.clips import Clips


def make_clips(
    subjects=("s1", "s1", "s2", "s3"),
    lengths=(9, 12, 10, 11),
    classes=("disgust", "happiness"),
    size=16,
    seed=0,
) -> Clips:
    """A clip for each subject named; clip i shows class i mod k, rises to an apex in its middle and falls.

    A disgusted clip brightens in its upper half, a happy one in its lower half, by up to 60 grey levels;
    every frame has noise of its own.
    """
    rng = np.random.default_rng(seed)
    images, label = [], []
    for i, t in enumerate(lengths):
        k = i % len(classes)
        base = rng.integers(60, 120, (size, size, 1))
        rise = 60 * (1 - np.abs(np.linspace(-1, 1, t)))
        half = np.zeros((size, size, 1))
        half[k * size // len(classes) : (k + 1) * size // len(classes)] = 1
        noise = rng.integers(-3, 4, (t, size, size, 1))
        images.append(np.clip(base + rise[:, None, None, None] * half + noise, 0, 255).astype(np.uint8))
        label.append(k)
    n = len(lengths)
    return Clips(
        name="tiny",
        image=np.concatenate(images),
        number=np.concatenate([np.arange(100, 100 + t) for t in lengths]).astype(np.int32),
        start=np.cumsum([0, *lengths]),
        label=np.array(label, np.int32),
        aus=np.array([[4 * (k == 0), 3 * (k == 1)] for k in label], np.int8),
        subject=np.array(subjects, np.str_),
        id=np.array([f"{s}/clip{i:02d}" for i, s in enumerate(subjects)], np.str_),
        onset=np.zeros(n, np.int32),
        apex=np.array([t // 2 for t in lengths], np.int32),
        offset=np.array(lengths, np.int32) - 1,
        fps=200.0,
        classes=tuple(classes),
        au_names=("AU04", "AU12"),
    )
