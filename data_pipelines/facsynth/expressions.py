"""Which action units a face shows: prototypes of emotions, random combinations, and their course in time.

Prototypes and variants follow the FACS Investigator's Guide (Ekman, Friesen & Hager 2002, table of emotion
predictions), the rules CK+ used to check its labels (Lucey et al. 2010, table 1) and EMFACS practice for
contempt.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from data_pipelines import BadInput
from data_pipelines.facsynth.muscles import AU_NAMES, AU_NUMBERS
from data_pipelines.labels import EMOTIONS

CLASSES = EMOTIONS
MODES = ("emotion", "independent")


class Variant(NamedTuple):
    """One way to show an emotion."""

    emotion: str
    core: tuple[int, ...]  # units present, but for the few that are missed
    maybe: tuple[int, ...] = ()  # present in about two fifths
    one_sided: bool = False
    share: float = 1.0  # weight among the emotion's variants


VARIANTS = (
    Variant("anger", (4, 5, 7, 23), (17,)),
    Variant("anger", (4, 5, 7, 24), (17,)),
    Variant("anger", (4, 7, 23), (5, 10, 25), share=0.5),
    Variant("anger", (4, 7, 24), (5, 17), share=0.5),
    Variant("contempt", (14,), one_sided=True),
    Variant("contempt", (12, 14), one_sided=True),
    Variant("disgust", (9,), (7, 17, 25)),
    Variant("disgust", (9, 10), (7, 25)),
    Variant("disgust", (10, 15), (7, 9, 17), share=0.5),
    Variant("fear", (1, 2, 4, 5, 20, 25), (26,)),
    Variant("fear", (1, 2, 4, 5, 20), (7, 25), share=0.5),
    Variant("happiness", (6, 12), (7,)),
    Variant("happiness", (6, 12, 25), (26,)),
    Variant("neutral", ()),
    Variant("sadness", (1, 4, 15), (17,)),
    Variant("sadness", (1, 4, 15, 17), (7,)),
    Variant("sadness", (1, 15), (4, 17, 43), share=0.3),
    Variant("surprise", (1, 2, 5, 25, 26)),
    Variant("surprise", (1, 2, 5, 25, 27)),
)

MISSED = 0.04  # a core unit is not there
MAYBE = 0.4
EXTRA = 0.015  # any other unit comes in, faintly
INDEPENDENT = 0.2  # presence of each unit in the mode `independent`
EXCLUDED = ((5, 43), (27, 26), (24, 25), (24, 26), (24, 27))
"""Pairs that cannot be seen together; in the mode `independent` the first gives way."""


def _tables() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(presence [v, u], one-sided [v], log shares [k, v])."""
    present = np.full((len(VARIANTS), len(AU_NUMBERS)), EXTRA, np.float32)
    shares = np.full((len(CLASSES), len(VARIANTS)), -np.inf, np.float32)
    for v, variant in enumerate(VARIANTS):
        for number in variant.maybe:
            present[v, AU_NUMBERS.index(number)] = MAYBE
        for number in variant.core:
            present[v, AU_NUMBERS.index(number)] = 1.0 if len(variant.core) == 1 else 1.0 - MISSED
        shares[CLASSES.index(variant.emotion), v] = np.log(variant.share)
    return present, np.array([v.one_sided for v in VARIANTS]), shares


_PRESENT, _ONE_SIDED, _SHARES = _tables()


def emotion_aus(key: Array, emotion: Array) -> Array:
    """A random instance of an emotion.

    Args:
      key: PRNG key.
      emotion: int, index into CLASSES.

    Returns:
      [u, 2] float32 intensities, 0 absent, else 0.12 to 1; (left, right).
    """
    keys = jax.random.split(key, 6)
    variant = jax.random.categorical(keys[0], jnp.asarray(_SHARES)[emotion])
    chance = jnp.asarray(_PRESENT)[variant]
    one_sided = jnp.asarray(_ONE_SIDED)[variant]
    present = jax.random.uniform(keys[1], chance.shape) < chance
    strength = jax.random.uniform(keys[2], (), jnp.float32, 0.65, 1.0)
    own = jnp.clip(strength * jax.random.uniform(keys[3], chance.shape, jnp.float32, 0.75, 1.25), 0.2, 1.0)
    own = jnp.where(chance <= EXTRA, 0.12 + 0.35 * (own - 0.2), own)
    side = jax.random.bernoulli(keys[4]).astype(jnp.float32)
    sides = jnp.where(one_sided & (chance > EXTRA)[:, None], jnp.stack([side, 1.0 - side]), 1.0)
    return _lopsided(keys[5], jnp.where(present, own, 0.0)) * sides


def independent_aus(key: Array) -> Array:
    """Units drawn independently of each other, but for EXCLUDED; one in seven on one side only.

    Returns:
      [u, 2] float32 intensities, 0 absent, else 0.12 to 1; (left, right).
    """
    keys = jax.random.split(key, 5)
    u = len(AU_NUMBERS)
    present = jax.random.bernoulli(keys[0], INDEPENDENT, (u,))
    for loser, winner in EXCLUDED:
        loser, winner = AU_NUMBERS.index(loser), AU_NUMBERS.index(winner)
        present = present.at[loser].set(present[loser] & ~present[winner])
    own = jax.random.uniform(keys[1], (u,), jnp.float32, 0.25, 1.0)
    side = jax.random.bernoulli(keys[2], 0.5, (u,)).astype(jnp.float32)
    one = jax.random.bernoulli(keys[3], 1 / 7, (u,)) & jnp.asarray(TWO_SIDED)
    sides = jnp.where(one[:, None], jnp.stack([side, 1.0 - side], -1), 1.0)
    return _lopsided(keys[4], jnp.where(present, own, 0.0)) * sides


TWO_SIDED = np.array([n not in (17, 23, 24, 25, 26, 27) for n in AU_NUMBERS])
"""Units that occur on one side; the others move the middle of the face."""


def _lopsided(key: Array, intensity: Array) -> Array:
    """[u, 2] from [u]: the two sides differ by up to a sixth."""
    part = 0.08 * jax.random.truncated_normal(key, -2.0, 2.0, intensity.shape, jnp.float32)
    both = jnp.stack([intensity * (1.0 + part), intensity * (1.0 - part)], -1)
    return jnp.clip(both, 0.0, 1.0)


def au_codes(aus: Array) -> Array:
    """FACS intensities, int8: 0 absent, 1-5 for A-E, a fifth of the scale each; of the stronger side.

    Args:
      aus: [..., u, 2] intensities 0 to 1.
    """
    strongest = jnp.max(aus, -1)
    return jnp.clip(jnp.ceil(strongest * 5.0 - 1e-4), 0, 5).astype(jnp.int8)


def au_curve(
    onset: float,
    apex: float,
    offset: float,
    n_frames: int,
    frame_rate: float,
    hold: float = 0.0,
    peak: float = 1.0,
    rest: float = 0.0,
) -> Array:
    """Intensity of an expression over time, with no jerk at its turns.

    Args:
      onset: seconds from the first frame to the first movement.
      apex: seconds to the strongest moment.
      offset: seconds to the end of the movement.
      n_frames: frames to compute.
      frame_rate: frames per second.
      hold: seconds the apex lasts; at most offset - apex.
      peak: intensity at the apex.
      rest: intensity left after the offset, as in clips cut before the face is neutral.

    Returns:
      [n_frames] float32; 0 until onset, peak from apex to apex + hold, rest from offset on.

    Raises:
      BadInput: times out of order, or no frames.
    """
    if not onset < apex <= apex + hold < offset:
        raise BadInput(
            "au_curve: need onset < apex <= apex + hold < offset, "
            f"got {onset}, {apex}, {apex + hold}, {offset}"
        )
    if n_frames < 1 or frame_rate <= 0:
        raise BadInput(f"au_curve: need frames and a rate above 0, got {n_frames} and {frame_rate}")
    t = jnp.arange(n_frames, dtype=jnp.float32) / frame_rate
    up = _ease((t - onset) / (apex - onset))
    down = _ease((t - apex - hold) / (offset - apex - hold))
    return (peak * up + (rest - peak) * down).astype(jnp.float32)


def _ease(s: Array) -> Array:
    """The quintic from 0 to 1 with no speed and no acceleration at its ends (minimum jerk)."""
    s = jnp.clip(s, 0.0, 1.0)
    return s * s * s * (10.0 + s * (6.0 * s - 15.0))


def prototype(emotion: str, variant: int = 0, intensity: float = 1.0) -> Array:
    """The core units of one variant of an emotion, [u, 2]; one-sided variants on the left.

    Raises:
      BadInput: no such emotion or variant.
    """
    ways = [v for v in VARIANTS if v.emotion == emotion]
    if not 0 <= variant < len(ways):
        raise BadInput(
            f"{emotion!r}, variant {variant}: facsynth has {', '.join(CLASSES)}, one variant or more"
        )
    aus = np.zeros((len(AU_NAMES), 2), np.float32)
    for number in ways[variant].core:
        aus[AU_NUMBERS.index(number), : 1 if ways[variant].one_sided else 2] = intensity
    return jnp.asarray(aus)
