"""The set itself: subjects, images and labels from a seed, in NumPy arrays. No TensorFlow."""

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from data_pipelines import BadInput
from data_pipelines.facsynth import expressions
from data_pipelines.facsynth.identity import sample_identity, sample_light, sample_pose
from data_pipelines.facsynth.render import render

CHUNK = 128  # images per compiled call; fits the caches of one core
SPLITS = ("train", "validation", "test")


def check_options(n_subjects: int, images_per_subject: int, mode: str, image_size: int, seed: int) -> None:
    """Raises BadInput where a value makes no sense."""
    for name, value, least in (
        ("n_subjects", n_subjects, 5),
        ("images_per_subject", images_per_subject, 1),
        ("image_size", image_size, 16),
        ("seed", seed, 0),
    ):
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
            raise BadInput(f"facsynth: {name} is {value!r}; give a whole number of at least {least}")
    if mode not in expressions.MODES:
        raise BadInput(f"facsynth: mode is {mode!r}; write {' or '.join(expressions.MODES)}")


def subject_name(seed: int, s: int) -> str:
    """Name of a subject, with the seed, so that sets of different seeds can be joined."""
    return f"facsynth-{seed}-{s:05d}"


def split_of_subjects(n_subjects: int, seed: int) -> dict[str, list[int]]:
    """Subjects of each split: about 70, 10 and 20 in 100, in the order of the names' SHA-256."""
    order = sorted(
        range(n_subjects), key=lambda s: hashlib.sha256(subject_name(seed, s).encode()).hexdigest()
    )
    n_test, n_val = max(1, round(0.2 * n_subjects)), max(1, round(0.1 * n_subjects))
    return {
        "test": sorted(order[:n_test]),
        "validation": sorted(order[n_test : n_test + n_val]),
        "train": sorted(order[n_test + n_val :]),
    }


def sample_one(base: Array, subject: Array, image: Array, mode: str, size: int) -> tuple[Array, Array, Array]:
    """Image `image` of subject `subject`: a function of the key and these two numbers alone.

    Returns:
      (picture [size, size, 1] in [0, 1], label int32, aus [u, 2]); in the mode `emotion` image i shows class
      i mod 8, in the mode `independent` the label is -1.
    """
    subject_key = jax.random.fold_in(base, subject)
    who = sample_identity(jax.random.fold_in(subject_key, 0))
    keys = jax.random.split(jax.random.fold_in(jax.random.fold_in(subject_key, 1), image), 4)
    if mode == "emotion":
        label = image.astype(jnp.int32) % len(expressions.CLASSES)
        aus = expressions.emotion_aus(keys[0], label)
    else:
        label = jnp.int32(-1)
        aus = expressions.independent_aus(keys[0])
    picture = render(who, aus, sample_pose(keys[1]), sample_light(keys[2]), keys[3], size)
    return picture, label, aus


@partial(jax.jit, static_argnames=("mode", "size"))
def _chunk(seed: Array, subjects: Array, images: Array, mode: str, size: int):
    base = jax.random.key(seed)
    one = partial(sample_one, base, mode=mode, size=size)
    picture, label, aus = jax.vmap(one)(subjects, images)
    pixels = jnp.round(picture * 255.0).astype(jnp.uint8)
    return pixels, label, expressions.au_codes(aus), aus


def generate(
    n_subjects: int = 300, images_per_subject: int = 40, mode: str = "emotion", size: int = 48, seed: int = 0
) -> dict[str, dict[str, np.ndarray]]:
    """Draws the whole set.

    Args:
      n_subjects: people, at least 5; about 70, 10 and 20 in 100 in train, validation and test.
      images_per_subject: images of each; a multiple of 8 balances the emotions.
      mode: `emotion`, or `independent` (action units drawn independently of any emotion).
      size: pixels.
      seed: 0 or more.

    Returns:
      Split -> image uint8 [n, size, size, 1]; label int32 [n], index into CLASSES or -1; aus int8 [n, u], 0
      absent, 1-5 A-E; au_intensity float32 [n, u, 2], (left, right); subject and id str [n]. Sorted by id.

    Raises:
      BadInput: a value that makes no sense.
    """
    check_options(n_subjects, images_per_subject, mode, size, seed)
    people = split_of_subjects(n_subjects, seed)
    return {name: _draw(people[name], images_per_subject, mode, size, seed) for name in SPLITS}


def in_chunks(draw: Callable[[np.ndarray], Sequence[Array]], n: int) -> list[np.ndarray]:
    """Draws n pictures, CHUNK at a time, on all cores.

    Args:
      draw: rows int [CHUNK] -> arrays [CHUNK, ...], by one compiled call; the last row comes several times.
      n: pictures, at least 1.
    Returns:
      The arrays, [n, ...].
    """

    def chunk(start: int):
        done = draw(np.minimum(np.arange(start, start + CHUNK), n - 1))
        return [np.asarray(part)[: n - start] for part in done]

    # One compiled call keeps one core busy.
    with ThreadPoolExecutor(min(os.cpu_count() or 1, 16)) as pool:
        parts = list(pool.map(chunk, range(0, n, CHUNK)))
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def _draw(subjects: list[int], per_subject: int, mode: str, size: int, seed: int) -> dict[str, np.ndarray]:
    s = np.repeat(np.asarray(subjects, np.uint32), per_subject)
    i = np.tile(np.arange(per_subject, dtype=np.uint32), len(subjects))
    image, label, codes, aus = in_chunks(
        lambda rows: _chunk(np.uint32(seed), s[rows], i[rows], mode, size), len(s)
    )
    names = [subject_name(seed, k) for k in s.tolist()]
    return {
        "image": image,
        "label": label,
        "aus": codes,
        "au_intensity": aus,
        "subject": np.array(names, np.str_),
        "id": np.array([f"{a}-{b:04d}" for a, b in zip(names, i.tolist(), strict=True)], np.str_),
    }
