"""The renderer: a face's parameters to a grey picture, pure, differentiable and fast in batches."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from data_pipelines import BadInput
from data_pipelines.facsynth.identity import Identity, Light, Pose
from data_pipelines.facsynth.muscles import AU_NAMES
from data_pipelines.facsynth.paint import paint


def two_sided(aus: Array) -> Array:
    """Intensities as [..., u, 2] (left, right of the person) from [..., u, 2] or, both sides alike, [...,
    u]."""
    aus = jnp.asarray(aus, jnp.float32)
    u = len(AU_NAMES)
    if aus.ndim and aus.shape[-1] == u:
        return jnp.stack([aus, aus], -1)
    if aus.ndim > 1 and aus.shape[-2:] == (u, 2):
        return aus
    raise BadInput(
        f"aus has shape {aus.shape}; give [{u}] or [{u}, 2] (left, right), in the order of AU_NAMES"
    )


def au_vector(
    left: dict[str, float] | None = None, right: dict[str, float] | None = None, **both: float
) -> Array:
    """[u, 2] intensities from names: `au_vector(AU06=.5, left={"AU12": 1.0})`; a side's entry wins."""
    values = [[0.0, 0.0] for _ in AU_NAMES]
    for sides, given in (((0, 1), both), ((0,), left or {}), ((1,), right or {})):
        for name, value in given.items():
            if name not in AU_NAMES:
                raise BadInput(f"facsynth has no action unit {name!r}; it has {', '.join(AU_NAMES)}")
            for side in sides:
                values[AU_NAMES.index(name)][side] = float(value)
    return jnp.array(values, jnp.float32)


def render(
    identity: Identity, aus: Array, pose: Pose, light: Light, key: Array | None, size: int = 48
) -> Array:
    """One face as a grey picture.

    Pure and differentiable in identity, aus, pose and light. The same arguments at another size give the
    same face;
    only the sensor's noise is drawn anew for every size.

    Args:
      identity, pose, light: fields scalars.
      aus: [u, 2] intensities 0 to 1 of (left, right) of the person, or [u] for both sides, in the order of
      AU_NAMES.
      key: PRNG key of the background and the noise; None gives a plain background and no noise.
      size: side of the picture in pixels, at least 8.
    Returns:
      [size, size, 1] float32 in [0, 1].
    Raises:
      BadInput: aus of another shape, size below 8.
    """
    if size < 8:
        raise BadInput(f"size {size} is too small for a face; use 8 or more")
    keys = (None, None) if key is None else tuple(jax.random.split(key))
    return paint(identity, two_sided(aus), pose, light, keys, size)[..., None]


def render_sequence(
    identity: Identity,
    aus: Array,
    curve: Array,
    pose: Pose,
    light: Light,
    key: Array | None,
    size: int = 48,
    drift: float = 0.0,
) -> Array:
    """A face that moves: `aus` times `curve`, under one light and before one background.

    Args:
      identity, pose, light: fields scalars.
      aus: [u, 2] or [u] intensities at the apex.
      curve: [t] or, a course for each unit, [t, u]; see `expressions.au_curve`.
      key: PRNG key of background, noise (anew in every frame) and drift; None for none of them.
      size: pixels.
      drift: how far the head sways, in face units; needs a key.
    Returns:
      [t, size, size, 1] float32 in [0, 1].
    Raises:
      BadInput: aus or curve of another shape.
    """
    aus, curve = two_sided(aus), jnp.asarray(curve, jnp.float32)
    if curve.shape[1:] not in ((), (len(AU_NAMES),)) or curve.ndim == 0:
        raise BadInput(f"curve has shape {curve.shape}; give [t] or [t, {len(AU_NAMES)}]")
    return _sequence(identity, aus, curve, pose, light, key, jnp.float32(drift), size)


@partial(jax.jit, static_argnames="size")
def _sequence(identity, aus, curve, pose, light, key, drift, size):
    still = key is None
    back, sway = (None, None) if still else tuple(jax.random.split(key))
    frames = curve.shape[0]
    courses = jnp.broadcast_to(curve.reshape(frames, -1), (frames, len(AU_NAMES)))
    phase = jnp.zeros((4,)) if still else jax.random.uniform(sway, (4,), jnp.float32, 0.0, 6.28)

    def frame(t, course):
        angle = phase + jnp.array([0.031, 0.023, 0.041, 0.017]) * t
        wave = (jnp.sin(angle) - jnp.sin(phase)) * (0.0 if still else drift)
        moved = pose._replace(
            shift_x=pose.shift_x + wave[0],
            shift_y=pose.shift_y + wave[1],
            roll=pose.roll + wave[2],
            yaw=pose.yaw + wave[3],
        )
        noise = None if still else jax.random.fold_in(sway, t + 1)
        return paint(identity, aus * course[:, None], moved, light, (back, noise), size)[..., None]

    return jax.vmap(frame)(jnp.arange(frames), courses)


@partial(jax.jit, static_argnames="size")
def render_batch(
    identity: Identity, aus: Array, pose: Pose, light: Light, key: Array | None, size: int = 48
) -> Array:
    """`render` over a leading axis b of every argument: [b, size, size, 1], compiled."""
    draw_one = partial(render, size=size)
    axes = (0, 0, 0, 0, None if key is None else 0)
    return jax.vmap(draw_one, in_axes=axes)(identity, aus, pose, light, key)


@partial(jax.jit, static_argnames="size")
def au_evidence(
    identity: Identity, aus: Array, pose: Pose, light: Light, key: Array | None, size: int = 48
) -> Array:
    """Where the action units show: |render(aus) - render(0)|, over a leading axis b of every argument.

    Returns:
      [b, size, size] float32, at least 0.
    """
    aus = two_sided(aus)
    shown = render_batch(identity, aus, pose, light, key, size)
    rest = render_batch(identity, jnp.zeros_like(aus), pose, light, key, size)
    return jnp.abs(shown - rest)[..., 0]


def au_derivative(
    identity: Identity, aus: Array, pose: Pose, light: Light, key: Array | None, au: str, size: int = 48
) -> Array:
    """d image / d intensity of one action unit on both sides, at aus, over a leading axis b of every
    argument.

    Args:
      au: one of AU_NAMES.

    Returns:
      [b, size, size] float32, grey values per unit of intensity.

    Raises:
      BadInput: an action unit that facsynth does not have.
    """
    return _derivative(identity, two_sided(aus), pose, light, key, au_vector(**{au: 1.0}), size)


@partial(jax.jit, static_argnames="size")
def _derivative(identity, aus, pose, light, key, direction, size):
    def one(who, a, po, li, ke):
        def picture(a):
            return render(who, a, po, li, ke, size)[..., 0]

        return jax.jvp(picture, (a,), (direction,))[1]

    axes = (0, 0, 0, 0, None if key is None else 0)
    return jax.vmap(one, in_axes=axes)(identity, aus, pose, light, key)
