"""Draws the frames of clips: one person, pose, light and backdrop each, under units and drift that change."""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from data_pipelines.facsynth.generate import in_chunks
from data_pipelines.facsynth.identity import Identity, Light, Pose, sample_identity, sample_light, sample_pose
from data_pipelines.facsynth.paint import paint
from data_pipelines.facsynth_clips import script

PEOPLE = 2014  # folded into the seed: the people are others than facsynth's of the same seed
SPREAD = 0.4  # of head poses, of what facsynth draws: the people of a laboratory look into the camera


def scene(seed: Array, subject: Array, clip: Array) -> tuple[Identity, Pose, Light, Array]:
    """What stays the same in a clip, as `facsynth.render` takes it.

    Light and backdrop are those of the subject, who was filmed in one go; the light's noise is 0.

    Returns:
      (identity, pose, light, key of backdrop and noise); fields scalars.
    """
    base = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), PEOPLE), subject)
    person, lamp, key, heads = (jax.random.fold_in(base, n) for n in range(4))
    light = sample_light(lamp)._replace(noise=jnp.float32(0.0))
    pose = sample_pose(jax.random.fold_in(heads, clip), SPREAD)
    return sample_identity(person), pose, light, key


@partial(jax.jit, static_argnames="size")
def _chunk(seed, noise, subject, clip, number, aus, moved, size):
    """uint8 [b, size, size, 1], from subject, clip and number [b], aus [b, u, 2], moved [b, 3]."""

    def one(s, c, n, a, m):
        who, pose, light, key = scene(seed, s, c)
        pose = pose._replace(
            shift_x=pose.shift_x + 2.0 * m[0],  # the picture's side is 2 face units
            shift_y=pose.shift_y + 2.0 * m[1],
            roll=pose.roll + m[2],
        )
        back, grain = jax.random.split(key)
        grain = jax.random.fold_in(jax.random.fold_in(grain, c), n)
        return paint(who, a, pose, light._replace(noise=noise), (back, grain), size)

    picture = jax.vmap(one)(subject, clip, number, aus, moved)
    return jnp.round(picture * 255.0).astype(jnp.uint8)[..., None]


def draw(
    clips: Sequence[script.Clip], seed: int, size: int = 48, speed: float = 0.0, noise: float = 0.0
) -> np.ndarray:
    """All frames of the clips, one clip after the other.

    A frame depends on the seed and its clip's script alone, not on the other clips.

    Args:
      clips: at least one.
      seed: that they were written with.
      size: pixels.
      speed: of the head's drift, see `script.drift`.
      noise: standard deviation of the sensor's noise, grey levels; drawn anew in every frame.
    Returns:
      uint8 [m, size, size, 1].
    """
    each = [np.full(len(clip.numbers), i) for i, clip in enumerate(clips)]
    of = np.concatenate(each)
    subject = np.array([clip.subject for clip in clips], np.uint32)[of]
    number = np.array([clip.clip for clip in clips], np.uint32)[of]
    frame = np.concatenate([clip.numbers for clip in clips]).astype(np.uint32)
    aus = np.concatenate([script.intensities(clip) for clip in clips])
    moved = np.concatenate([script.drift(clip, speed) for clip in clips])

    def chunk(rows: np.ndarray) -> list[Array]:
        told = (subject[rows], number[rows], frame[rows], aus[rows], moved[rows])
        return [_chunk(np.uint32(seed), np.float32(noise / 255.0), *told, size)]

    return in_chunks(chunk, len(of))[0]
