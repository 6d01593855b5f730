"""Networks and filters whose dependence is known, to score what is said of them against the truth.

A planted network sees features of the whole picture and reads them in one region only. Anything outside of
that region can be changed at will, and its outputs stay the same to the last bit. That alone is an easy test:
where no path leads, no backward method can show anything. Decoys make it hard: pairs of hidden units that
read the rest of the picture and cancel in every output, for a gradient but not for rules that drop signs.

Axis letters: n inputs, j filters, h w image.
"""

from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np

from data_pipelines import BadInput
from data_pipelines.facsynth.identity import sample_identity, sample_light, sample_pose
from data_pipelines.facsynth.render import au_vector, render
from ferjax.attribution.network import Network
from ferjax.models.fer_cnn import FerCnn

Array = jax.Array
SHARE = 0.25  # of the largest evidence: from there on a pixel belongs to an action unit's region
FACES = 64  # drawn at once, and averaged over for an action unit's region


@partial(jax.jit, static_argnames="size")
def unit_evidence(
    identity, aus: Array, pose, light, keys: Array, direction: Array, size: int
) -> tuple[Array, Array, Array]:
    """Faces, and where each shows one action unit; over a leading axis b of all but the last two.

    Args:
      identity, pose, light, keys: as for `facsynth.render.render_batch`.
      aus: [b, u, 2] intensities.
      direction: [u, 2] 1 for the unit, 0 for the others.
      size: pixels.
    Returns:
      pictures [b, size, size, 1] in [0, 1]; |picture - picture without the unit| [b, size, size], exactly 0
      where the unit is absent; |d picture / d intensity of the unit| [b, size, size].
    """

    def one(who, aus, pose, light, key):
        def draw(aus):
            return render(who, aus, pose, light, key, size)

        # With and without the unit side by side: the renderer is compiled once.
        both = jnp.stack([aus, aus * (1 - direction)])
        pictures, slopes = jax.vmap(lambda a: jax.jvp(draw, (a,), (direction,)))(both)
        there = (aus * direction).max() > 0
        shown = jnp.where(there, jnp.abs(pictures[0] - pictures[1]), 0)
        return pictures[0], shown[..., 0], jnp.abs(slopes[0])[..., 0]

    return jax.vmap(one)(identity, aus, pose, light, keys)


@jax.jit
def _people(keys: Array):
    return tuple(jax.vmap(f)(keys) for f in (sample_identity, sample_pose, sample_light))


@lru_cache(maxsize=32)
def _mean_evidence(au: str, size: int, seed: int) -> np.ndarray:
    keys = jax.random.split(jax.random.key(seed), FACES)
    who, pose, light = _people(keys)
    direction = au_vector(**{au: 1.0})
    aus = jnp.broadcast_to(direction, (FACES, *direction.shape))
    return np.asarray(unit_evidence(who, aus, pose, light, keys, direction, size=size)[1]).mean(0)


def au_region(au: str, size: int = 48, share: float = SHARE, seed: int = 0) -> np.ndarray:
    """Where facsynth's faces show an action unit: mean |render(au) - render(0)| above a share of its largest.

    Args:
      au: one of facsynth.AU_NAMES, at full intensity on both sides.
      size: pixels.
      share: in [0, 1).
      seed: of the FACES people, poses and lights that are averaged over.
    Returns:
      bool [size, size].
    Raises:
      BadInput: an action unit that facsynth does not have.
    """
    evidence = _mean_evidence(au, size, seed)
    return evidence > share * evidence.max()


def planted(
    mask: np.ndarray,
    features: tuple[int, ...] = (8,),
    dense: int = 64,
    outputs: int = 8,
    decoys: int = 0,
    seed: int = 0,
) -> tuple[Network, np.ndarray]:
    """A FerCnn whose hidden layer, and with it all outputs and every head on it, reads one region only.

    Block 1 has 3x3 edge and spot filters of random direction over the whole picture, further blocks mix
    filters at each place with random weights of both signs. The hidden layer's weights are random, and 0 for
    every place of the last map none of whose pixels lies in the mask. The convolutions keep their 5x5 shape;
    their outer weights are 0, so that a place of the last map sees its own 2^blocks pixels and one around.

    Args:
      mask: bool [h, w], the region to be read. h and w must be halved by every block without a rest.
      features: filters of each block; with one block the region is true to 3 pixels.
      dense: hidden units.
      outputs: logits.
      decoys: pairs of further hidden units. Both of a pair read the same of all places that are not in the
        region, and enter every logit with opposite weights: the logits depend on the region alone, up to the
        rounding of a sum, and their gradient elsewhere is exactly 0; the hidden layer, and a head on it,
        depends on the whole picture.
      seed: of all weights.
    Returns:
      (network, region): bool [h, w], the pixels that its outputs can depend on: the places that are read,
      with what they see. Every pixel of the mask is in it.
    Raises:
      BadInput: an empty mask, or an image that is not halved without a rest.
    """
    mask = np.asarray(mask, bool)
    cell = 2 ** len(features)
    if mask.ndim != 2 or mask.shape[0] % cell or mask.shape[1] % cell or not mask.size:
        raise BadInput(
            f"the mask of a planted network is {mask.shape}; {len(features)} blocks need [h, w], both "
            f"multiples of {cell}"
        )
    if not mask.any():
        raise BadInput("the mask of a planted network has no pixel; mark the region it is to read")
    h, w = mask.shape
    rng = np.random.default_rng(seed)
    read = mask.reshape(h // cell, cell, w // cell, cell).any((1, 3))
    params, before = {}, 1
    for i, filters in enumerate(features, 1):
        kernel = np.zeros((5, 5, before, filters))
        if i == 1:
            kernel[1:4, 1:4, 0] = _detectors(rng, filters)
        else:
            kernel[2, 2] = rng.normal(size=(before, filters)) * np.sqrt(2 / before)
        params[f"block{i}_conv"] = {"kernel": kernel, "bias": np.zeros(filters)}
        before = filters
    fan_in = read.sum() * before
    weights = rng.normal(size=(h // cell, w // cell, before, dense)) * np.sqrt(2 / fan_in)
    weights = (weights * read[:, :, None, None]).reshape(-1, dense)
    logits = rng.normal(size=(dense, outputs)) * np.sqrt(2 / dense)
    if decoys:
        fan_in = max((~read).sum(), 1) * before
        others = _coarse(rng, (h // cell, w // cell, before, decoys), np.sqrt(2 / fan_in))
        others = (others * ~read[:, :, None, None]).reshape(-1, decoys)
        weights = np.concatenate([weights, others, others], 1)
        against = _coarse(rng, (decoys, outputs), np.sqrt(2 / decoys))
        logits = np.concatenate([logits, against, -against])
    params["dense"] = {"kernel": weights, "bias": np.zeros(len(logits))}
    params["logits"] = {"kernel": logits, "bias": np.zeros(outputs)}
    params = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), params)
    # "explicit": other ways to convolve mix neighbours, and undo it but for the rounding.
    model = FerCnn(outputs=outputs, features=tuple(features), dense=len(logits), conv="explicit")
    region = np.pad(np.kron(read, np.ones((cell, cell), bool)), 1)
    region = np.any([region[dy : dy + h, dx : dx + w] for dy in range(3) for dx in range(3)], 0)
    return Network(model, params), region


def _coarse(rng: np.random.Generator, shape: tuple[int, ...], scale: float) -> np.ndarray:
    """Gaussian weights of 7 bits and a sign: products of two, and sums of 1,000 such, are exact in float32.

    So opposite terms cancel to 0 in a gradient, not to a rounding error that a rank correlation would see.
    """
    steps = np.clip(np.round(16 * rng.normal(size=shape)), -127, 127)
    return steps / 16 * 2.0 ** np.round(np.log2(scale))


def _detectors(rng: np.random.Generator, filters: int) -> np.ndarray:
    """[3, 3, filters]: edges of evenly spread directions, every fourth a spot, bright or dark."""
    y, x = np.mgrid[-1:2, -1:2]
    out = np.empty((3, 3, filters))
    for j in range(filters):
        angle = 2 * np.pi * (j + rng.random()) / filters
        edge = (np.cos(angle) * x + np.sin(angle) * y) * (2 - np.abs(x * y))  # Sobel's, turned
        spot = (9.0 * ((x == 0) & (y == 0)) - 1) / 2 * (-1) ** (j // 4)
        out[:, :, j] = spot if j % 4 == 3 else edge
    return out


def planted_responses(
    au: np.ndarray, subject: np.ndarray, emotion: np.ndarray, noise: float = 0.5, seed: int = 0
) -> np.ndarray:
    """Activations of four filters of known making, for the statistics on filters and action units.

    Column 0 fires on the action unit, whatever the emotion; column 1 on who it is, a level between 0 and 1
    for every subject, whatever the face does; column 2 on the emotion's label alone, whether the action unit
    is there or not; column 3 on person and label together, their sum. Rest is 0, firing 1, with Gaussian
    noise; negative values are cut to 0.

    Args:
      au: [n] 1 present, 0 absent, -1 unknown (as absent).
      subject: [n] names or codes.
      emotion: bool [n], whether the input's label is the emotion.
      noise: deviation.
      seed: of noise and subjects' levels.
    Returns:
      float32 [n, 4], at least 0.
    Raises:
      ValueError: shapes differ.
    """
    au, emotion = np.asarray(au), np.asarray(emotion, bool)
    names, code = np.unique(np.asarray(subject), return_inverse=True)
    if not au.shape == emotion.shape == code.shape or au.ndim != 1:
        raise ValueError(f"need three [n], got {au.shape}, {np.shape(subject)} and {emotion.shape}")
    rng = np.random.default_rng(seed)
    level = rng.random(len(names))[code]
    signal = np.stack([au == 1, level, emotion, level + emotion], 1).astype(np.float64)
    return np.maximum(signal + noise * rng.normal(size=signal.shape), 0).astype(np.float32)
