"""One face as layers, from the skin's slopes to the camera.

Each layer is a function of its own to the compiler too: fused into one kernel, the derivative of the whole
takes minutes to compile and computes the same values many times over.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array
from jax.experimental.xla_metadata import set_xla_metadata

from data_pipelines.facsynth import features, relief
from data_pipelines.facsynth.features import Mouth
from data_pipelines.facsynth.identity import Identity, Light, Pose
from data_pipelines.facsynth.muscles import Shape, move
from data_pipelines.facsynth.strokes import Points, above_zero, edge, hump, mix, step


def apart(layer: Callable) -> Callable:
    """The same function, compiled by itself even inside another compiled function."""
    compiled = jax.jit(layer)

    def call(*args):
        with set_xla_metadata(inlineable="false"):
            return compiled(*args)

    return call


def paint(who: Identity, aus: Array, pose: Pose, light: Light, keys: tuple, size: int) -> Array:
    """[size, size] in [0, 1]; aus [u, 2]; keys are those of backdrop and noise, or None."""
    shape = _shape(who, aus)
    p = apart(partial(points, size=size))(who, pose, light)
    surface = _surface(who, shape, p)
    mouth = _mouth(who, shape, p)
    shade, facing = _shade(who, shape, pose, light, p, surface, mouth)
    face = _skin(who, shape, light, p, mouth, shade, facing)
    face = _openings(who, shape, pose, p, mouth, shade, face)
    img = _scene(who, shape, pose, light, p, face, backdrop(keys[0], size))
    img = _camera(light, img)
    if keys[1] is not None:
        img = img + light.noise * noise(keys[1], size)
    return jnp.clip(img, 0.0, 1.0)


def points(who: Identity, pose: Pose, light: Light, size: int) -> Points:
    """Where the pixels' centres are in the frame of the face, with pose and parallax undone."""
    axis = (jnp.arange(size, dtype=jnp.float32) + 0.5) * (2.0 / size) - 1.0
    x = (axis[None, :] - pose.shift_x) / pose.scale
    y = (axis[:, None] - pose.shift_y) / pose.scale
    c, s = jnp.cos(pose.roll), jnp.sin(pose.roll)
    x, y = c * x + s * y, c * y - s * x
    # A point at depth z moves by z sin(yaw): undone with the depth of head and nose at the picture's own
    # place.
    q = (x / who.head_w) ** 2 + ((y + 0.15) / (who.chin_y + 0.15)) ** 2
    dome = jnp.maximum(1.0 - q, -0.3)
    nose = who.nose_h * hump(x / 0.2) * hump((y - who.nose_y + 0.12) / 0.33)
    depth = 0.52 * dome * (1.0 - 0.35 * dome) + 0.11 * nose
    x = (x - depth * jnp.sin(pose.yaw)) / jnp.cos(pose.yaw)
    y = (y + depth * jnp.sin(pose.pitch)) / jnp.cos(pose.pitch)
    t = jnp.clip(x / 0.05, -1.0, 1.0)
    side = t * (1.5 - 0.5 * t * t)
    ax = jnp.sqrt(x * x + 1e-4)
    # Blur counts pixels of a 48-pixel picture; a bigger picture shows the same softness, a smaller one its
    # pixels.
    soft = jnp.maximum(0.6 * (2.0 / size), light.blur * (2.0 / 48.0) * 0.75) / pose.scale
    return Points(x, y, ax, side, jnp.broadcast_to(soft, ()))


def backdrop(key: Array | None, size: int) -> Array:
    """[size, size]: a slope of grey with something in it; plain grey without a key."""
    if key is None:
        return jnp.full((size, size), 0.45, jnp.float32)
    coarse = jax.random.uniform(key, (6,), jnp.float32)
    axis = (jnp.arange(size, dtype=jnp.float32) + 0.5) * (2.0 / size) - 1.0
    x, y = axis[None, :], axis[:, None]
    plane = 0.08 + 0.8 * coarse[0] + 0.3 * (coarse[1] - 0.5) * x + 0.3 * (coarse[2] - 0.5) * y
    thing = edge((x - 3.0 * (coarse[3] - 0.5)) * (2.0 * coarse[4] - 1.0) - 0.3 * y, 0.1)
    return jnp.clip(plane + (coarse[5] - 0.5) * thing, 0.02, 0.98)


def noise(key: Array, size: int) -> Array:
    """[size, size] nearly normal numbers (sums of four bytes) of variance 1."""
    bits = jax.random.bits(key, (size, size), jnp.uint32)
    total = (bits & 0xFF) + ((bits >> 8) & 0xFF) + ((bits >> 16) & 0xFF) + (bits >> 24)
    return (total.astype(jnp.float32) - 510.0) * (1.0 / 147.8)  # nearly normal, unit variance


@apart
def _shape(who: Identity, aus: Array) -> Shape:
    return move(who, aus)


@apart
def _surface(who: Identity, shape: Shape, p: Points) -> tuple[Array, Array, Array]:
    """Slopes of the skin, and the light kept out of its folds."""
    return relief.skin(who, shape, p)


@apart
def _mouth(who: Identity, shape: Shape, p: Points) -> Mouth:
    return features.mouth_cover(who, shape, p)


@apart
def _shade(who, shape, pose, light, p, surface, mouth):
    """Light on the skin: (shade, how far the skin faces the light)."""
    gx, gy, dark = surface
    gy = gy + mouth.tilt
    lx, ly, lz = light_vector(light, pose)
    norm = jax.lax.rsqrt(1.0 + gx * gx + gy * gy)
    facing = above_zero((lz - gx * lx - gy * ly) * norm, 0.08)
    open_sky = 0.80 + 0.20 * gy * norm  # the sky is brighter than the ground
    _, under_nose = features.nostrils(who, shape, p)
    dark = dark + 0.30 * under_nose + 0.28 * mouth.below
    occlusion = 1.0 / (1.0 + above_zero(dark, 0.05)) + 0.25 * jnp.maximum(-dark, 0.0)
    return (light.ambient * open_sky + light.strength * facing) * occlusion, facing


@apart
def _skin(who, shape, light, p, mouth, shade, facing):
    """What the skin is made of, under the light."""
    mottle = jnp.sin(9.0 * p.x + who.phase) * jnp.sin(8.0 * p.y + 2.0 * who.phase)
    mottle += 0.6 * jnp.sin(23.0 * p.x + 11.0 * p.y + 3.0 * who.phase)
    albedo = who.skin * (1.0 + who.blotch * mottle)
    albedo *= 1.0 - 0.07 * hump((p.ax - 0.42) / 0.28) * hump((p.y - 0.14) / 0.25)
    yr = relief.lower_face(who, shape, p.y)
    q = relief.head(who, yr, p)[0]
    beard = features.beard_cover(who, shape, p, yr, q)
    albedo = mix(albedo, who.hair * 0.9 + 0.06, 0.85 * beard)
    albedo = mix(albedo, who.skin * who.lip_tone, mouth.lips * 0.9)
    albedo = mix(albedo, who.hair, features.brow_cover(who, shape, p))
    shine = 0.10 * light.strength * step((facing - 0.80) / 0.25)
    return albedo * shade + shine * (1.0 - beard)


@apart
def _openings(who, shape, pose, p, mouth, shade, face):
    """Nostrils, eyes and the inside of the mouth; spectacles."""
    face = mix(face, 0.03, 0.85 * features.nostrils(who, shape, p)[0])
    gaze = (0.045 * pose.gaze_x, 0.02 * pose.gaze_y)
    face = features.paint_eyes(who, shape, p, gaze, face, shade)
    face = features.paint_mouth(shape, p, mouth, face, shade)
    return mix(face, 0.05, features.glasses_cover(who, p))


@apart
def _scene(who, shape, pose, light, p, face, img):
    """Backdrop, hair, neck, ears and face; then hair over the forehead."""
    lx, ly, _ = light_vector(light, pose)
    q = relief.head(who, relief.lower_face(who, shape, p.y), p)[0]
    behind, front, strands = features.hair_cover(who, p)
    sky = light.ambient + 0.5 * light.strength
    gloss = hump((p.y + 0.75 + 0.4 * p.x * p.x - 0.1 * lx * p.x) / 0.30)
    lit = 1.0 + 0.8 * (p.x / who.head_w * lx + (p.y + 0.3) * ly)
    hair = (who.hair * (1.0 + 0.16 * strands) * lit + 0.07 * gloss * (1.0 + 0.5 * strands)) * sky
    img = mix(img, hair * 0.8, behind)
    neck = edge(who.head_w * 0.62 + 2.8 * jnp.maximum(p.y - 0.85, 0.0) ** 2 - p.ax, p.px + 0.01)
    under = 0.45 + 0.25 * step((p.y - who.chin_y - shape.jaw - 0.02) / 0.3)
    img = mix(img, who.skin * under * sky, neck * edge(p.y - 0.4, 0.1))
    ear = 1.0 - ((p.ax - who.head_w * 0.99) / 0.085) ** 2 - ((p.y + 0.08) / 0.17) ** 2
    img = mix(img, who.skin * sky * 0.72, edge(ear * 0.06, p.px) * (1.0 - 0.9 * who.hair_long))
    img = mix(img, face, edge((1.0 - jnp.sqrt(q + 1e-4)) * 0.7, p.px))
    return mix(img, hair, front * behind)


@apart
def _camera(light, img):
    """Exposure, a soft shoulder for what is too bright, and the display's curve."""
    img = jnp.maximum(img, 1e-3) * light.exposure
    over = jnp.maximum(img - 0.75, 0.0)
    img = img - over + over / (1.0 + 4.0 * over)
    return jnp.exp(light.gamma * jnp.log(img))


def light_vector(light: Light, pose: Pose) -> tuple[Array, Array, Array]:
    """Direction to the light in the head's frame."""
    lx = jnp.sin(light.azimuth - pose.yaw) * jnp.cos(light.elevation)
    ly = -jnp.sin(light.elevation - pose.pitch)
    lz = jnp.cos(light.azimuth - pose.yaw) * jnp.cos(light.elevation)
    c, s = jnp.cos(pose.roll), jnp.sin(pose.roll)
    return lx * c + ly * s, ly * c - lx * s, lz
