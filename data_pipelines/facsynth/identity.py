"""Who is in the picture, how the head stands, and what light falls on it: parameters and how they are drawn.

Lengths are in face units: at scale 1 the image spans [-1, 1] in x (to the right of the picture) and y (down).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array


class Identity(NamedTuple):
    """One person's face at rest. Every field is a float32 scalar (or has the same leading axes)."""

    head_w: Array  # half width of the head at the eyes
    chin_y: Array  # height of the chin
    taper: Array  # how much the jaw narrows, 0 to 0.25
    square: Array  # squareness of the jaw, 0 to 0.4
    eye_x: Array  # distance of the eyes from the midline
    eye_y: Array
    eye_w: Array  # half width of the eye opening
    eye_h: Array  # height of the upper lid above the corner line
    eye_tilt: Array  # outer corner up, face units
    crease: Array  # distance of the lid crease from the lid edge
    iris: Array  # grey value of the iris, 0 to 1
    brow_up: Array  # brow height above the eye
    brow_in: Array  # distance of the inner brow end from the midline
    brow_len: Array
    brow_arch: Array  # height of the arch above the ends' line
    brow_tilt: Array  # outer end up
    brow_thick: Array  # half thickness
    brow_dark: Array  # opacity, 0 to 1
    nose_y: Array  # height of the nose base
    nose_w: Array  # distance of the alae from the midline
    nose_h: Array  # prominence
    mouth_y: Array
    mouth_w: Array  # distance of the lip corners from the midline
    corner_y: Array  # resting height of the corners against the middle, down positive
    lip_up: Array  # thickness of the red upper lip
    lip_low: Array
    lip_tone: Array  # albedo of the lips over that of the skin
    cheek: Array  # prominence of the cheek bones
    full: Array  # fullness of the cheeks, -1 hollow to 1 round
    skin: Array  # albedo, 0 to 1
    hair: Array  # albedo of hair and brows
    hairline: Array  # height of the hairline in the middle
    hair_curve: Array  # how fast the hairline comes down to the sides
    hair_long: Array  # 0 short, 1 covers the sides of the neck
    hair_full: Array  # 0 flat on the head to 1 voluminous
    fringe: Array  # raggedness of the hairline, 0 to 1
    parting: Array  # slant of the hairline
    age: Array  # depth of the lines at rest, 0 to 1
    blotch: Array  # contrast of the skin's mottling
    phase: Array  # radians; the mottling's place
    glasses: Array  # 0 or 1
    beard: Array  # 0 none to 1 full
    moustache: Array  # 0 to 1
    skew_brow: Array  # left minus right brow height at rest
    skew_mouth: Array  # left minus right corner height at rest


class Pose(NamedTuple):
    """How head and eyes stand. Angles in radians, positive yaw turns the face to the picture's right,
    positive
    pitch up, positive roll clockwise; shifts in face units of the picture."""

    yaw: Array
    pitch: Array
    roll: Array
    shift_x: Array
    shift_y: Array
    scale: Array
    gaze_x: Array  # -1 to 1
    gaze_y: Array


class Light(NamedTuple):
    """What falls on the face, and what the camera does with it."""

    azimuth: Array  # radians, 0 from the camera, positive from the picture's right
    elevation: Array  # radians, positive from above
    strength: Array  # of the directed light
    ambient: Array
    exposure: Array
    gamma: Array
    blur: Array  # edge softness in pixels of a 48-pixel picture
    noise: Array  # standard deviation of the sensor's noise


MEAN = Identity(
    head_w=0.735, chin_y=0.86, taper=0.13, square=0.2, eye_x=0.315, eye_y=-0.24, eye_w=0.148, eye_h=0.067,
    eye_tilt=0.008, crease=0.05, iris=0.22, brow_up=0.185, brow_in=0.115, brow_len=0.42, brow_arch=0.035,
    brow_tilt=0.01, brow_thick=0.034, brow_dark=0.8, nose_y=0.20, nose_w=0.115, nose_h=1.0, mouth_y=0.455,
    mouth_w=0.26, corner_y=0.004, lip_up=0.052, lip_low=0.072, lip_tone=0.66, cheek=1.0, full=0.0, skin=0.6,
    hair=0.13, hairline=-0.80, hair_curve=0.35, hair_long=0.0, hair_full=0.4, fringe=0.3,
    parting=0.0, age=0.25, blotch=0.03, phase=0.0,
    glasses=0.0, beard=0.0, moustache=0.0, skew_brow=0.0, skew_mouth=0.0,
)  # fmt: skip

SPREAD = dict(
    head_w=0.035, chin_y=0.035, taper=0.04, square=0.09, eye_x=0.017, eye_y=0.015, eye_w=0.012, eye_h=0.009,
    eye_tilt=0.012, crease=0.012, iris=0.09, brow_up=0.020, brow_in=0.016, brow_len=0.03, brow_arch=0.016,
    brow_tilt=0.016, brow_thick=0.008, brow_dark=0.14, nose_y=0.025, nose_w=0.015, nose_h=0.2, mouth_y=0.02,
    mouth_w=0.022, corner_y=0.010, lip_up=0.013, lip_low=0.014, lip_tone=0.07, cheek=0.25, full=0.4,
    hairline=0.09, hair_curve=0.15, parting=0.12, blotch=0.012, skew_brow=0.006, skew_mouth=0.006,
)  # fmt: skip
"""Standard deviations of the fields drawn from a normal distribution cut at two; the others are drawn
below."""


def neutral_pose() -> Pose:
    """A frontal head that looks into the camera, fields float32 scalars."""
    return Pose(*(jnp.float32(1.0 if f == "scale" else 0.0) for f in Pose._fields))


def plain_light() -> Light:
    """Soft light from above left, sharp picture, no noise; fields float32 scalars."""
    return Light(*map(jnp.float32, (-0.35, 0.55, 0.62, 0.58, 1.0, 0.8, 0.75, 0.0)))


def mean_identity() -> Identity:
    """The average face, fields float32 scalars."""
    return Identity(*map(jnp.float32, MEAN))


def sample_identity(key: Array) -> Identity:
    """A random person, a pure function of the key."""
    n = len(Identity._fields)
    normal_key, uniform_key = jax.random.split(key)
    normal = jax.random.truncated_normal(normal_key, -2.0, 2.0, (n,), jnp.float32)
    spread = jnp.array([SPREAD.get(name, 0.0) for name in Identity._fields], jnp.float32)
    values = dict(zip(Identity._fields, jnp.array(MEAN, jnp.float32) + spread * normal, strict=True))
    flat = dict(zip(Identity._fields, jax.random.uniform(uniform_key, (n,), jnp.float32), strict=True))

    age = flat["age"] ** 2
    skin = 0.28 + 0.48 * (1.0 - (1.0 - flat["skin"]) ** 1.8)
    male = flat["beard"] < 0.5
    values |= {
        "age": age,
        "skin": skin,
        "hair": 0.05 + (0.10 + 0.35 * (skin > 0.5)) * flat["hair"] ** 2 + 0.25 * (age > 0.75),
        "iris": jnp.clip(values["iris"], 0.06, 0.14 + 0.3 * (skin > 0.5)),
        "phase": 6.28 * flat["phase"],
        "glasses": (flat["glasses"] < 0.13).astype(jnp.float32),
        "beard": male * jnp.clip(4.0 * flat["moustache"] - 2.9, 0.0, 0.85),
        "moustache": male * jnp.clip(4.0 * flat["moustache"] - 2.7, 0.0, 0.85),
        "hair_long": jnp.where(male, 0.0, jnp.clip(6.0 * flat["hair_long"] - 3.0, 0.0, 1.0)),
        "hair_full": flat["hair_full"],
        "fringe": flat["fringe"] ** 2,
        "hairline": values["hairline"] - 0.06 * male,
        "brow_thick": values["brow_thick"] + jnp.where(male, 0.004, -0.005),
        "taper": values["taper"] + jnp.where(male, -0.02, 0.02),
        "lip_tone": values["lip_tone"] + jnp.where(male, 0.05, -0.06),
    }
    return Identity(**values)


def sample_pose(key: Array, spread: float = 1.0) -> Pose:
    """A random head pose within about 15 degrees of yaw, 9 of pitch and roll, and a loose crop.

    Args:
      key: PRNG key.
      spread: scales every departure from the frontal pose; 0 gives `neutral_pose()`.
    """
    r = jax.random.uniform(key, (8,), jnp.float32, -1.0, 1.0) * spread
    return Pose(
        yaw=0.27 * r[0] * jnp.abs(r[0]) ** 0.5,
        pitch=0.15 * r[1],
        roll=0.15 * r[2],
        shift_x=0.09 * r[3],
        shift_y=0.09 * r[4],
        scale=1.08 + 0.12 * r[5] if spread else jnp.float32(1.0),
        gaze_x=0.6 * r[6] ** 3,
        gaze_y=0.3 * r[7] ** 3,
    )


def sample_light(key: Array) -> Light:
    """A random light and camera: front to side light, soft to hard, dark to bright, with blur and noise."""
    r = jax.random.uniform(key, (8,), jnp.float32)
    return Light(
        azimuth=1.0 * (2 * r[0] - 1) * jnp.abs(2 * r[0] - 1) ** 0.5,
        elevation=0.05 + 0.75 * r[1],
        strength=0.45 + 0.55 * r[2],
        ambient=0.25 + 0.35 * r[3],
        exposure=0.85 + 0.4 * r[4],
        gamma=0.65 + 0.5 * r[5],
        blur=0.6 + 0.6 * r[6] ** 2,
        noise=0.003 + 0.010 * r[7] ** 2,
    )
