"""Edges, hills and folds: what a face is drawn with.

Everything is evaluated at points, with edges and folds widened to at least the pixel, so that a face is the
same at
every size. Only products, quotients and clips with continuous slopes are used (few square roots, hardly any
transcendental functions): cheap on a CPU, and differentiable.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array


def step(t: Array) -> Array:
    """0 below 0, 1 above 1, a cubic with flat ends between."""
    t = jnp.clip(t, 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def edge(d: Array, soft: Array) -> Array:
    """Cover of a pixel at signed distance d inside an edge that is `soft` wide on either side."""
    return step(0.5 + 0.5 * d / soft)


def hump(t: Array) -> Array:
    """1 at 0, 0 from |t| = 1 on, with continuous slope."""
    k = jnp.maximum(1.0 - t * t, 0.0)
    return k * k


def mix(below: Array, above: Array, cover: Array) -> Array:
    """`above` painted over `below`."""
    return below + (above - below) * cover


def above_zero(v: Array, soft: float) -> Array:
    """A smooth max(v, 0), about `soft` wide."""
    return 0.5 * (v + jnp.sqrt(v * v + soft * soft))


class Points(NamedTuple):
    """Where the pixels are in the face's own frame, [h, w] each."""

    x: Array
    y: Array
    ax: Array  # distance from the midline
    side: Array  # -1 person's right to 1 person's left
    px: Array  # soft half width of an edge, face units

    def of(self, pair: Array) -> Array:
        """A [2] (left, right) quantity at every pixel."""
        return 0.5 * (pair[0] + pair[1]) + 0.5 * (pair[0] - pair[1]) * self.side


class Relief:
    """Slopes of the skin and the light kept out of its folds, added up feature by feature."""

    def __init__(self, p: Points):
        self.p = p
        self.gx = jnp.zeros_like(p.x)
        self.gy = jnp.zeros_like(p.x)
        self.dark = jnp.zeros_like(p.x)

    def bump(self, cx, cy, sx, sy, height, dark=0.0, pair=True):
        """A smooth hill of `height` face units (a hollow if negative), radii sx, sy; mirrored if `pair`."""
        p = self.p
        u = ((p.ax if pair else p.x) - cx) / sx
        v = (p.y - cy) / sy
        k = jnp.maximum(1.0 - u * u - v * v, 0.0)
        slope = -6.0 * height * k * k
        self.gx += slope * u / sx * (p.side if pair else 1.0)
        self.gy += slope * v / sy
        if dark is not None and not (isinstance(dark, float) and dark == 0.0):
            self.dark += dark * k * k * k

    def fold(self, d, nx, ny, width, depth, tilt=1.0, pair=True):
        """A furrow along d = 0; (nx, ny) is the unit normal, depth 1 a deep fold."""
        p = self.p
        wide = width + 0.45 * p.px
        t = d / wide
        k = jnp.maximum(1.0 - t * t, 0.0) * depth * (width / wide)
        self.dark += 0.42 * k * jnp.maximum(1.0 - t * t, 0.0)
        slope = 1.5 * tilt * k * t
        self.gx += slope * nx * (p.side if pair else 1.0)
        self.gy += slope * ny


def mixs(a: float, b: float, w: Array) -> Array:
    """Scalar blend of a and b."""
    return a + (b - a) * w
