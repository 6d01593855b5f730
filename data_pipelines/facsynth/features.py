"""What lies on the skin and in its openings: brows, eyes, nostrils, mouth, hair, beard, spectacles."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from data_pipelines.facsynth.identity import Identity
from data_pipelines.facsynth.muscles import Shape
from data_pipelines.facsynth.relief import eye_curves
from data_pipelines.facsynth.strokes import Points, above_zero, edge, hump, mix, mixs


def brow_cover(who: Identity, shape: Shape, p: Points) -> Array:
    """Cover of the brows, [h, w]."""
    start = p.of(shape.brow_x)
    t = (p.ax - start) / who.brow_len
    s = 1.0 - t
    curve = p.of(shape.brow_in) * s * s + 2.0 * t * s * p.of(shape.brow_mid) + p.of(shape.brow_out) * t * t
    thick = who.brow_thick * (1.0 - 0.62 * jnp.clip(t, 0.0, 1.0) ** 2)
    ends = edge(t * who.brow_len - 0.015, p.px + 0.035) * edge(s * who.brow_len, p.px + 0.03)
    d = jnp.abs(p.y - curve)
    soft = 0.8 * p.px + 0.012
    wide = thick + 0.3 * p.px
    hairs = 1.0 - 0.12 * jnp.sin(110.0 * p.ax + 75.0 * p.y) * 0.03 / (0.03 + p.px)
    return who.brow_dark * ends * edge(wide - d, soft) * hairs * (thick / wide) ** 0.5


def paint_eyes(who: Identity, shape: Shape, p: Points, gaze, img: Array, shade: Array) -> Array:
    """Eyeballs, lids and lashes over the skin; gaze is (x, y) in face units."""
    y, up, low, e = eye_curves(who, shape, p)
    soft = p.px
    open_ = jnp.maximum(edge(y - up, soft) - edge(y - low, soft), 0.0)
    glow = 0.35 + 0.65 * jnp.clip(shade, 0.0, 1.2)
    ball = (0.80 - 0.16 * e * e) * glow
    radius = 0.066
    dx = p.ax - who.eye_x - gaze[0] * p.side + 0.004
    dy = y - gaze[1] + 0.014
    rho = jnp.sqrt(dx * dx + dy * dy + 1e-6)
    ball = mix(ball, who.iris * (0.55 + 0.6 * rho / radius) * (0.6 + 0.5 * glow), edge(radius - rho, soft))
    ball = mix(ball, 0.02, edge(0.028 - rho, soft))
    spark = hump((p.x * 1.0 - p.side * who.eye_x + 0.018) / (0.016 + 0.5 * soft)) * hump(
        (dy + 0.024) / (0.016 + 0.5 * soft)
    )
    ball = mix(ball, 1.0, 0.8 * spark * 0.016 / (0.016 + 0.3 * soft))
    under_lid = 1.0 - 0.45 * hump((y - up) / 0.035)
    img = mix(img, ball * under_lid, open_)
    # lashes and lid edges
    span = edge((1.06 - jnp.abs(e)) * who.eye_w, soft + 0.01)
    lash = 0.011
    wide = lash + 0.4 * soft
    line = hump((y - up) / (1.6 * wide)) * lash / wide * span
    img = mix(img, 0.06, 0.95 * line)
    rim = hump((y - low) / (1.4 * wide)) * lash / wide * span
    return img * (1.0 - 0.30 * rim)


class Mouth(NamedTuple):
    """Covers and coordinates of the mouth, [h, w] each."""

    lips: Array
    gap: Array
    line: Array
    tilt: Array  # slope of the red lips
    teeth: Array
    deep: Array  # 0 at the lips to 1 far inside the open mouth
    below: Array  # shadow under the lower lip


def mouth_cover(who: Identity, shape: Shape, p: Points) -> Mouth:
    """Lips, the parting between them and the mouth line."""
    soft = p.px
    cx, cy = p.of(shape.corner_x), p.of(shape.corner_y)
    t2 = (p.x / cx) ** 2
    arch = above_zero(1.0 - t2, 0.07)
    bend = jnp.minimum(t2, 1.6)
    line = shape.mid_y + (cy - shape.mid_y) * bend * (0.55 + 0.45 * jnp.minimum(bend, 1.0))
    square = p.of(shape.square) * arch * (1.0 + jnp.minimum(t2, 1.0))
    upper, lower = p.of(shape.upper), p.of(shape.lower)
    cupid = 1.0 - 0.20 * hump(p.x / 0.075)
    oval = jnp.sqrt(arch + 0.02)
    yui = line - shape.gap_up * oval - 0.45 * square
    yli = line + shape.gap_low * oval
    yuo = yui - upper * arch * cupid - 0.40 * square
    ylo = yli + lower * arch * (1.0 - 0.1 * t2)
    fa, fb = edge(p.y - yuo, soft), edge(p.y - yui, soft)
    fc, fd = edge(p.y - yli, soft), edge(p.y - ylo, soft)
    ends = edge(1.06 - jnp.sqrt(t2 + 1e-4), 0.05 + soft / cx)
    gap = jnp.maximum(fb - fc, 0.0) * ends
    lips = jnp.maximum(fa - fd, 0.0) * ends
    width = 0.012
    wide = width + 0.45 * soft
    mark = (
        hump((p.y - line) / (1.7 * wide))
        * width
        / wide
        * (1.0 - 0.5 * jnp.minimum(t2, 1.0))
        * edge((1.10 - jnp.sqrt(t2 + 1e-4)) * cx, soft + 0.03)
    )
    openness = shape.gap_up + shape.gap_low
    mark = mark * shape.line * 1.9 * (0.02 / (0.02 + openness))
    in_low = jnp.clip((p.y - yli) / (ylo - yli + 0.01), 0.0, 1.0)
    in_up = jnp.clip((yui - p.y) / (yui - yuo + 0.01), 0.0, 1.0)
    tilt = lips * (fc * (0.02 - 0.62 * in_low) - (1.0 - fc) * 0.45 * (1.0 - 0.5 * in_up))
    reach = 0.050 + 0.25 * shape.gap_up
    bite = (
        yui + reach * oval
    )  # where the upper teeth end; the lower ones begin there, or as far below as the jaw is
    parted = 0.62 * shape.jaw
    lower_row = edge(p.y - bite - parted, soft + 0.004) * (1.0 - 0.7 * jnp.clip(shape.jaw / 0.1, 0.0, 1.0))
    teeth = (edge(bite - p.y, soft + 0.004) + 0.45 * lower_row) * edge(1.0 - t2, 0.25)
    deep = jnp.clip((p.y - yui) / 0.12, 0.0, 1.0)
    below = hump((p.y - ylo - 0.022) / 0.045) * arch
    return Mouth(lips, gap, mark, tilt, teeth, deep, below)


def paint_mouth(shape: Shape, p: Points, m: Mouth, img: Array, shade: Array) -> Array:
    """The dark line between closed lips, or teeth and dark inside parted ones."""
    glow = 0.35 + 0.65 * jnp.clip(shade, 0.0, 1.2)
    tongue = 0.20 * hump((p.y - shape.mid_y - shape.gap_low) / 0.12) * hump(p.x / 0.2)
    inside = 0.045 + tongue * glow
    inside = mix(inside, (0.88 - 0.30 * (p.x / 0.25) ** 2) * glow, 0.95 * jnp.minimum(m.teeth, 1.0))
    img = mix(img, inside, m.gap)
    return mix(img, 0.05, jnp.clip(m.line, 0.0, 0.9))


def nostrils(who: Identity, shape: Shape, p: Points) -> tuple[Array, Array]:
    """(dark cover of the nostrils, soft shadow under the nose)."""
    ala_y, ala_x = p.of(shape.ala_y), p.of(shape.ala_x)
    soft = 0.5 * p.px
    hole = hump((p.ax - 0.50 * ala_x) / (0.042 + soft)) * hump((p.y - ala_y + 0.002) / (0.024 + soft))
    hole = hole * 0.024 / (0.024 + 0.6 * soft)
    shadow = hump(p.x / (ala_x + 0.06)) * hump((p.y - ala_y - 0.03) / 0.065)
    return hole, shadow


def hair_cover(who: Identity, p: Points) -> tuple[Array, Array, Array]:
    """(cover behind the head, cover over the forehead and temples, strands -1 to 1)."""
    long_ = who.hair_long
    x = p.x / (who.head_w * (1.03 + 0.14 * who.hair_full + 0.05 * long_))
    up = jnp.minimum(p.y + 0.2, 0.0) / (0.93 + 0.20 * who.hair_full)
    crown = x * x + up * up
    end = mixs(0.02, 1.5, long_) + 0.25 * (who.hair_full - 0.5) * (1.0 - long_)
    behind = edge((1.0 - crown) * 0.5, p.px + 0.02) * edge(end - p.y - 0.2 * p.ax, 0.08 + p.px)
    line = who.hairline + who.hair_curve * p.x * p.x * (1.0 + 1.4 * p.x * p.x) + who.parting * p.x
    wave = 1.3 * jnp.sin(5.0 * p.y + 3.0 * p.x + who.phase)
    strands = jnp.sin(31.0 * p.x + 7.0 * p.y * p.x + wave + 2.0 * who.phase)
    strands = 0.5 * strands + 0.5 * jnp.sin(73.0 * p.x + 9.0 * p.y + 2.0 * wave) * 0.03 / (0.03 + p.px)
    ragged = (0.014 + 0.03 * who.fringe) * strands
    cap = edge(line + ragged - p.y, p.px + 0.012)
    side = edge(p.ax - who.head_w * (0.955 - 0.05 * long_) + ragged, p.px + 0.012)
    side = side * edge(mixs(-0.12, 1.4, long_) + 0.2 * (who.hair_full - 0.5) - p.y, 0.08 + p.px)
    front = 1.0 - (1.0 - cap) * (1.0 - side)
    return behind, front, strands


def beard_cover(who: Identity, shape: Shape, p: Points, yr: Array, q: Array) -> Array:
    """Opacity of beard and moustache."""
    jawline = edge(yr - (who.mouth_y + 0.12 - 0.55 * jnp.maximum(p.ax - 0.15, 0.0)), 0.10)
    round_mouth = jawline * edge(q - 0.15, 0.12)
    lip = shape.mid_y - 0.5 * (shape.upper[0] + shape.upper[1]) - shape.gap_up
    tash = hump(p.x / 0.34) * edge(p.y - lip + 0.11 - 0.5 * p.x * p.x, 0.045) * edge(lip + 0.03 - p.y, 0.04)
    beard = who.beard * round_mouth
    return jnp.clip(beard + who.moustache * jnp.minimum(1.5 * tash, 1.0) * (1.0 - beard), 0.0, 1.0)


def glasses_cover(who: Identity, p: Points) -> Array:
    """Opacity of the spectacle frame."""
    u = (p.ax - who.eye_x - 0.01) / 0.215
    v = (p.y - who.eye_y - 0.03) / 0.155
    ring = (jnp.sqrt(jnp.sqrt(u**4 + v**4 + 1e-6)) - 1.0) * 0.17
    width = 0.016
    wide = width + 0.4 * p.px
    frame = hump(ring / (1.5 * wide)) * width / wide
    bridge = (
        hump((p.y - who.eye_y + 0.02 - 0.6 * p.x * p.x) / (1.5 * wide))
        * width
        / wide
        * edge(0.11 - p.ax, 0.02)
    )
    arm = hump((p.y - who.eye_y + 0.0) / (1.5 * wide)) * width / wide * edge(p.ax - who.eye_x - 0.22, 0.02)
    return who.glasses * jnp.clip(1.2 * (frame + bridge + arm), 0.0, 0.95)
