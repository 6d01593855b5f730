"""The renderer: a face's parameters to a grey picture, pure, differentiable and fast in batches."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from data_pipelines import BadInput
from data_pipelines.facsynth import draw
from data_pipelines.facsynth.identity import Identity, Light, Pose
from data_pipelines.facsynth.muscles import AU_NAMES, Shape, move


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
    shape = move(identity, two_sided(aus))
    # Keeps XLA from computing the geometry anew for every pixel.
    identity, shape, pose, light = jax.lax.optimization_barrier((identity, shape, pose, light))
    return _paint(identity, shape, pose, light, key, size)[..., None]


def _points(who: Identity, pose: Pose, light: Light, size: int) -> draw.Points:
    axis = (jnp.arange(size, dtype=jnp.float32) + 0.5) * (2.0 / size) - 1.0
    x = (axis[None, :] - pose.shift_x) / pose.scale
    y = (axis[:, None] - pose.shift_y) / pose.scale
    c, s = jnp.cos(pose.roll), jnp.sin(pose.roll)
    x, y = c * x + s * y, c * y - s * x
    # A point at depth z moves by z sin(yaw): undone with the depth of head and nose at the picture's own
    # place.
    q = (x / who.head_w) ** 2 + ((y + 0.15) / (who.chin_y + 0.15)) ** 2
    dome = jnp.maximum(1.0 - q, -0.3)
    nose = who.nose_h * draw.hump(x / 0.2) * draw.hump((y - who.nose_y + 0.12) / 0.33)
    depth = 0.52 * dome * (1.0 - 0.35 * dome) + 0.11 * nose
    x = (x - depth * jnp.sin(pose.yaw)) / jnp.cos(pose.yaw)
    y = (y + depth * jnp.sin(pose.pitch)) / jnp.cos(pose.pitch)
    t = jnp.clip(x / 0.05, -1.0, 1.0)
    side = t * (1.5 - 0.5 * t * t)
    ax = jnp.sqrt(x * x + 1e-4)
    # Blur counts pixels of a 48-pixel picture; a bigger picture shows the same softness, a smaller one its
    # pixels.
    soft = jnp.maximum(0.6 * (2.0 / size), light.blur * (2.0 / 48.0) * 0.75) / pose.scale
    return draw.Points(x, y, ax, side, jnp.broadcast_to(soft, ()))


def _backdrop(key: Array | None, size: int) -> Array:
    if key is None:
        return jnp.full((size, size), 0.45, jnp.float32)
    coarse = jax.random.uniform(key, (6,), jnp.float32)
    axis = (jnp.arange(size, dtype=jnp.float32) + 0.5) * (2.0 / size) - 1.0
    x, y = axis[None, :], axis[:, None]
    plane = 0.08 + 0.8 * coarse[0] + 0.3 * (coarse[1] - 0.5) * x + 0.3 * (coarse[2] - 0.5) * y
    thing = draw.edge((x - 3.0 * (coarse[3] - 0.5)) * (2.0 * coarse[4] - 1.0) - 0.3 * y, 0.1)
    return jnp.clip(plane + (coarse[5] - 0.5) * thing, 0.02, 0.98)


def _noise(key: Array, size: int) -> Array:
    bits = jax.random.bits(key, (size, size), jnp.uint32)
    total = (bits & 0xFF) + ((bits >> 8) & 0xFF) + ((bits >> 16) & 0xFF) + (bits >> 24)
    return (total.astype(jnp.float32) - 510.0) * (1.0 / 147.8)  # nearly normal, unit variance


def _paint(who: Identity, shape: Shape, pose: Pose, light: Light, key: Array | None, size: int) -> Array:
    p = _points(who, pose, light, size)
    back_key, noise_key = (None, None) if key is None else tuple(jax.random.split(key))
    soft = p.px

    yr = draw.lower_face(who, shape, p.y)
    outline = draw.head(who, yr, p)
    q, _, _, _ = outline
    relief = draw.skin_relief(who, shape, p, yr, outline)
    draw.lid_folds(who, shape, p, relief)
    mouth = draw.mouth_cover(who, shape, p)
    relief.gy += mouth.tilt
    hole, nose_shadow = draw.nostrils(who, shape, p)

    # light on the relief
    lx, ly, lz = draw.light_vector(light, pose.yaw, pose.pitch, pose.roll)
    gx, gy = relief.gx, relief.gy
    norm = jax.lax.rsqrt(1.0 + gx * gx + gy * gy)
    facing = (lz - gx * lx - gy * ly) * norm
    facing = draw.above_zero(facing, 0.08)
    open_sky = 0.80 + 0.20 * (-gy * -1.0) * norm  # the sky is brighter than the ground
    dark = relief.dark + 0.30 * nose_shadow + 0.28 * mouth.below
    occlusion = 1.0 / (1.0 + draw.above_zero(dark, 0.05)) + 0.25 * jnp.maximum(-dark, 0.0)
    shade = (light.ambient * open_sky + light.strength * facing) * occlusion
    shine = 0.10 * light.strength * draw.step((facing - 0.80) / 0.25)

    # what the skin is made of
    mottle = jnp.sin(9.0 * p.x + who.phase) * jnp.sin(8.0 * p.y + 2.0 * who.phase)
    mottle += 0.6 * jnp.sin(23.0 * p.x + 11.0 * p.y + 3.0 * who.phase)
    albedo = who.skin * (1.0 + who.blotch * mottle)
    albedo *= 1.0 - 0.07 * draw.hump((p.ax - 0.42) / 0.28) * draw.hump((p.y - 0.14) / 0.25)
    beard = draw.beard_cover(who, shape, p, yr, q)
    albedo = draw.mix(albedo, who.hair * 0.9 + 0.06, 0.85 * beard)
    albedo = draw.mix(albedo, who.skin * who.lip_tone, mouth.lips * 0.9)
    albedo = draw.mix(albedo, who.hair, draw.paint_brows(who, shape, p))
    face = albedo * shade + shine * (1.0 - beard)
    face = draw.mix(face, 0.03, 0.85 * hole)
    gaze = (0.045 * pose.gaze_x, 0.02 * pose.gaze_y)
    face = draw.paint_eyes(who, shape, p, gaze, face, shade)
    face = draw.paint_mouth(shape, p, mouth, face, shade)
    face = draw.mix(face, 0.05, draw.glasses_cover(who, p))

    # behind the face: backdrop, hair, neck, ears; then hair over the forehead
    behind, front, strands = draw.hair_cover(who, p, q)
    sky = light.ambient + 0.5 * light.strength
    hair = who.hair * (1.0 + 0.28 * strands) * sky * (1.15 - 0.5 * (p.x * lx + (p.y + 0.3) * ly) * -0.8)
    img = _backdrop(back_key, size)
    img = draw.mix(img, hair * 0.8, behind)
    neck = draw.edge(who.head_w * 0.62 + 0.7 * jnp.maximum(p.y - 0.85, 0.0) ** 2 * 4.0 - p.ax, soft + 0.01)
    neck = neck * draw.edge(p.y - 0.4, 0.1)
    under = 0.45 + 0.25 * draw.step((p.y - who.chin_y - shape.jaw - 0.02) / 0.3)
    img = draw.mix(img, who.skin * under * sky, neck)
    ear = draw.edge(
        (1.0 - ((p.ax - who.head_w * 0.99) / 0.085) ** 2 - ((p.y + 0.08) / 0.17) ** 2) * 0.06, soft
    )
    img = draw.mix(img, who.skin * sky * 0.72, ear * (1.0 - 0.9 * who.hair_long))
    cover = draw.edge((1.0 - jnp.sqrt(q + 1e-4)) * 0.7, soft)
    img = draw.mix(img, face, cover)
    img = draw.mix(img, hair, front * behind)

    # the camera
    img = jnp.maximum(img, 1e-3) * light.exposure
    over = jnp.maximum(img - 0.75, 0.0)
    img = img - over + over / (1.0 + 4.0 * over)
    img = jnp.exp(light.gamma * jnp.log(img))
    if noise_key is not None:
        img = img + light.noise * _noise(noise_key, size)
    return jnp.clip(img, 0.0, 1.0)


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


@partial(jax.jit, static_argnames=("au", "size"))
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
    direction = au_vector(**{au: 1.0})

    def one(who, a, po, li, ke):
        picture = partial(render, who, pose=po, light=li, key=ke, size=size)
        return jax.jvp(picture, (a,), (direction,))[1][..., 0]

    axes = (0, 0, 0, 0, None if key is None else 0)
    return jax.vmap(one, in_axes=axes)(identity, two_sided(aus), pose, light, key)
