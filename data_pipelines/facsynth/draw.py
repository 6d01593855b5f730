"""Painting one face, pixel by pixel: relief, folds, eyes, brows, nose, mouth, hair.

Everything is evaluated at points, with edges and folds widened to at least the pixel, so that a face is the
same at
every size. Only products, quotients and clips with continuous slopes are used (few square roots, hardly any
transcendental functions): cheap on a CPU, and differentiable.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from data_pipelines.facsynth.identity import Identity, Light
from data_pipelines.facsynth.muscles import Shape


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
        slope = -4.0 * height * k
        self.gx += slope * u / sx * (p.side if pair else 1.0)
        self.gy += slope * v / sy
        if dark is not None and not (isinstance(dark, float) and dark == 0.0):
            self.dark += dark * k * k

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


def lower_face(who: Identity, shape: Shape, y: Array) -> Array:
    """Height at rest of the lower face's skin, which has come down with the jaw."""
    start = who.nose_y
    return y - shape.jaw * step((y - start) / (who.chin_y + shape.jaw - start))


def head(who: Identity, y: Array, p: Points) -> tuple[Array, Array, Array, Array]:
    """(q, u, v, width): q = 1 on the head's outline, with y the height at rest."""
    down = jnp.maximum(y - 0.1, 0.0)
    width = who.head_w * (1.0 + 0.045 * who.full * hump((y - 0.35) / 0.6) - who.taper * down * down * 2.2)
    u = p.x / width
    v = (y + 0.15) / (who.chin_y + 0.15)
    q = u * u + v * v - who.square * u * u * v * v
    return q, u, v, width


def skin_relief(who: Identity, shape: Shape, p: Points, yr: Array, outline) -> Relief:
    """Bones, flesh and folds under given action units."""
    q, u, v, width = outline
    r = Relief(p)
    of = p.of
    round_ = 0.62 * (0.25 + 0.75 * q) / jnp.sqrt(jnp.maximum(1.0 - q, 0.0) + 0.06)
    r.gx -= round_ * u / width
    r.gy -= round_ * v / (who.chin_y + 0.15)

    brow_mid = of(shape.brow_mid)
    ala_y, ala_x = of(shape.ala_y), of(shape.ala_x)
    corner_x, corner_y = of(shape.corner_x), of(shape.corner_y)
    cheek, cheek_y = of(shape.cheek), of(shape.cheek_y)
    ey = who.eye_y

    # forehead, brow ridge, sockets
    r.bump(0.0, -0.72, 0.62, 0.36, 0.10, pair=False)
    r.bump(who.eye_x + 0.02, brow_mid + 0.06, 0.30, 0.13, 0.042)
    r.bump(who.eye_x - 0.02, ey - 0.03, 0.25, 0.18, -0.065, dark=0.16)
    r.bump(0.10, ey + 0.02, 0.10, 0.16, -0.045, dark=0.22)
    r.bump(who.eye_x, ey, 0.19, 0.13, 0.045)
    # nose
    nh = who.nose_h
    bridge = 0.5 * (ey - 0.08 + who.nose_y)
    r.bump(0.0, bridge, 0.105, 0.36, 0.095 * nh, pair=False)
    r.bump(0.0, who.nose_y - 0.07, 0.115, 0.12, 0.085 * nh, pair=False)
    r.bump(ala_x * 0.86, ala_y - 0.035, 0.075, 0.075, 0.040 * nh)
    r.fold(ala_x + 0.035 - p.ax, 1.0, 0.0, 0.035, 0.8 * hump((p.y - ala_y + 0.03) / 0.085))
    # cheeks: bone, flesh that rises, hollow under it
    r.bump(0.44, 0.06 + cheek_y, 0.30, 0.24, 0.050 * who.cheek + 0.030 * cheek)
    r.bump(0.36, 0.13 + cheek_y, 0.20, 0.15, 0.050 * cheek)
    r.bump(0.50, 0.42, 0.24, 0.36, -0.03 + 0.035 * who.full - 0.12 * shape.jaw, dark=0.05 + 0.6 * shape.jaw)
    # mouth mound, philtrum, chin
    r.bump(0.0, 0.45, 0.40, 0.28, 0.050, pair=False)
    r.bump(0.0, 0.5 * (who.nose_y + shape.mid_y) - 0.01, 0.045, 0.10, -0.010, dark=0.06, pair=False)
    chin_y = who.chin_y - 0.14
    r.gy += 0.0
    v_chin = yr - chin_y + shape.chin
    k = jnp.maximum(1.0 - (p.x / 0.22) ** 2 - (v_chin / 0.14) ** 2, 0.0)
    r.gx += -4 * (0.045 + 0.03 * shape.chin_pits) * k * p.x / 0.22**2
    r.gy += -4 * (0.045 + 0.03 * shape.chin_pits) * k * v_chin / 0.14**2
    # pits of the raised chin: a fixed pattern of dents
    wave = jnp.sin(62.0 * p.x) * jnp.sin(55.0 * v_chin + 0.8)
    fine = 0.03 / (0.03 + 0.35 * p.px)
    r.dark += (
        0.45 * fine * shape.chin_pits * hump(p.x / 0.20) * hump(v_chin / 0.13) * jnp.maximum(wave, -0.25)
    )
    lip_edge = shape.mid_y + 0.5 * (shape.lower[0] + shape.lower[1]) + shape.gap_low
    bend = p.x * p.x
    r.fold(
        p.y - lip_edge - 0.055 + 0.9 * bend,
        0.0,
        1.0,
        0.055,
        shape.mental * 0.55 * hump(p.x / 0.20),
        pair=False,
    )

    # forehead wrinkles: three lines, which rise where the brow rises
    inner = of(shape.wrinkle_in) * hump(p.x / 0.34)
    outer = of(shape.wrinkle_out) * hump((p.ax - 0.40) / 0.27)
    rise = 0.05 * shape.wrinkle_in.mean() + 0.05 * of(shape.wrinkle_out) * hump((p.ax - 0.42) / 0.4)
    for i, depth in enumerate((0.9, 1.0, 0.7)):
        furrow = depth * (0.9 * inner + 0.9 * outer + 0.16 * who.age)
        r.fold(p.y + 0.555 + 0.105 * i + rise, 0.0, 1.0, 0.034, furrow, pair=False)
    # glabella: upright furrows, and the knot of flesh beside them
    glab = of(shape.glabella)
    mid_brow = of(shape.brow_in)
    r.fold(
        p.ax - 0.045 - 0.10 * (mid_brow - p.y),
        1.0,
        0.0,
        0.030,
        1.1 * glab * hump((p.y - mid_brow + 0.01) / 0.13),
    )
    r.bump(0.10, mid_brow + 0.02, 0.09, 0.08, 0.030 * glab)
    # nasal root and side of the nose
    nose = of(shape.nose_lines)
    root = ey + 0.005
    r.fold(p.y - root + 0.5 * p.ax, 0.3, 1.0, 0.030, 1.0 * nose * hump(p.ax / 0.13))
    r.fold(p.y - root - 0.085 + 0.9 * p.ax, 0.6, 0.8, 0.028, 1.1 * nose * hump((p.ax - 0.06) / 0.11))
    r.fold(p.y - root - 0.17 + 0.9 * p.ax, 0.6, 0.8, 0.028, 0.9 * nose * hump((p.ax - 0.08) / 0.10))
    # crow's feet
    canthus = who.eye_x + who.eye_w + 0.015
    out = p.ax - canthus
    fan = hump((out - 0.095) / 0.10) * of(shape.crow)
    for slope in (-0.62, -0.05, 0.5):
        r.fold(p.y - ey - 0.005 - slope * out, -slope * 0.8, 0.85, 0.024, 1.05 * fan)
    # under the eye: bulge and furrow
    ex = (p.ax - who.eye_x) / 0.2
    low = ey + of(shape.lid_low)
    pouch = of(shape.pouch)
    r.bump(who.eye_x, low + 0.045, 0.17, 0.05, 0.022 * pouch + 0.004)
    rim = low + 0.105 - 0.05 * ex * ex - 0.015 * of(shape.furrow)
    r.fold(p.y - rim, 0.3 * ex, 1.0, 0.034, (0.15 + 0.25 * who.age + 0.95 * of(shape.furrow)) * hump(ex))
    # nasolabial fold, from the ala to beside the mouth
    y0, y1 = ala_y - 0.07, corner_y + 0.06
    x0, x1 = ala_x + 0.04, corner_x + 0.075
    run = (p.y - y0) / (y1 - y0)
    bow = x0 + (x1 - x0) * run + 0.06 * run * (1.0 - run)
    d = (p.ax - bow) * 0.78
    depth = of(shape.naso_up) * hump((run - 0.15) / 0.55) + of(shape.naso_low) * hump((run - 0.75) / 0.55)
    r.fold(d, 0.8, -0.5, 0.042, 0.95 * depth)
    # beside and under the lip corner
    dim = of(shape.dimple)
    r.bump(corner_x + 0.055, corner_y - 0.01, 0.060, 0.085, -0.045 * dim, dark=0.75 * dim)
    r.bump(corner_x + 0.125, corner_y - 0.02, 0.075, 0.11, 0.035 * dim)
    t = p.y - corner_y
    r.fold(
        p.ax - corner_x - 0.035 - 0.25 * t, 1.0, -0.25, 0.036, 0.9 * of(shape.drop) * hump((t - 0.085) / 0.11)
    )
    r.bump(corner_x - 0.01, corner_y + 0.09, 0.08, 0.07, 0.03 * of(shape.drop))
    side_line = p.ax - corner_x - 0.075 + 2.2 * t * t
    r.fold(side_line, 1.0, 0.0, 0.034, 0.95 * of(shape.stretch) * hump(t / 0.15))
    # lips pressed: rolls above and below; lips tightened: fine upright lines
    press = shape.press
    upper_edge = shape.mid_y - 0.5 * (shape.upper[0] + shape.upper[1]) - shape.gap_up
    r.bump(0.0, upper_edge - 0.050, 0.24, 0.055, 0.040 * press, dark=-0.14 * press, pair=False)
    r.bump(0.0, lip_edge + 0.055, 0.22, 0.060, 0.042 * press, dark=-0.10 * press, pair=False)
    pleat = jnp.sin(66.0 * p.x)
    band = hump((p.y - upper_edge + 0.035) / 0.07) + hump((p.y - lip_edge - 0.035) / 0.07)
    r.dark += 0.30 * fine * shape.pucker * band * hump(p.x / (corner_x + 0.02)) * jnp.maximum(pleat, -0.3)
    return r


def paint_brows(who: Identity, shape: Shape, p: Points) -> Array:
    """Cover of the brows, [h, w]."""
    start = p.of(shape.brow_x)
    t = (p.ax - start) / who.brow_len
    s = 1.0 - t
    curve = p.of(shape.brow_in) * s * s + 2.0 * t * s * p.of(shape.brow_mid) + p.of(shape.brow_out) * t * t
    thick = who.brow_thick * (1.0 - 0.62 * jnp.clip(t, 0.0, 1.0) ** 2)
    ends = edge(t * who.brow_len, p.px + 0.02) * edge(s * who.brow_len, p.px + 0.03)
    d = jnp.abs(p.y - curve)
    soft = 0.8 * p.px + 0.012
    wide = thick + 0.3 * p.px
    hairs = 1.0 - 0.22 * jnp.sin(90.0 * p.ax + 45.0 * (p.y - curve)) * 0.03 / (0.03 + p.px)
    return who.brow_dark * ends * edge(wide - d, soft) * hairs * (thick / wide) ** 0.5


def eye_curves(who: Identity, shape: Shape, p: Points):
    """(height over the corner line, upper edge, lower edge, e): e runs -1 (nose) to 1 (temple)."""
    e = (p.ax - who.eye_x) / who.eye_w
    y = p.y - who.eye_y + who.eye_tilt * e
    arch = above_zero(1.0 - e * e, 0.06)
    up = -p.of(shape.lid_up) * arch * (1.0 - 0.12 * e) * 1.0
    flat = p.of(shape.lid_flat)
    low = p.of(shape.lid_low) * (arch * (1.0 + 0.18 * e) * (1.0 - flat) + flat * jnp.minimum(arch * 1.2, 1.0))
    return y, up, low, e


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


def lid_folds(who: Identity, shape: Shape, p: Points, r: Relief) -> None:
    """The crease of the upper lid and the lid's own roundness."""
    y, up, _, e = eye_curves(who, shape, p)
    gap = p.of(shape.lid_crease)
    line = jnp.minimum(up, 0.0) - gap * (1.0 - 0.35 * e * e)
    r.fold(y - line, 0.0, 1.0, 0.028, 0.75 * hump(e / 1.12))
    r.gy += -0.5 * hump(e) * hump((y - 0.5 * (line + up)) / (0.5 * gap + 0.02))


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
    yui = line - shape.gap_up * oval - 0.35 * square
    yli = line + shape.gap_low * oval
    yuo = yui - upper * arch * cupid - 0.65 * square
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
        * edge((1.12 - jnp.sqrt(t2 + 1e-4)) * cx, soft + 0.015)
    )
    openness = shape.gap_up + shape.gap_low
    mark = mark * shape.line * 1.9 * (0.02 / (0.02 + openness))
    in_low = jnp.clip((p.y - yli) / (ylo - yli + 0.01), 0.0, 1.0)
    in_up = jnp.clip((yui - p.y) / (yui - yuo + 0.01), 0.0, 1.0)
    tilt = lips * (fc * (0.95 * in_low - 0.50) * 1.1 - (1.0 - fc) * 0.45 * (1.0 - 0.5 * in_up))
    reach = 0.050 + 0.25 * shape.gap_up
    teeth = edge(yui + reach * oval - p.y, soft + 0.004) * edge(1.0 - t2, 0.25)
    deep = jnp.clip((p.y - yui) / 0.12, 0.0, 1.0)
    below = hump((p.y - ylo - 0.022) / 0.045) * arch
    return Mouth(lips, gap, mark, tilt, teeth, deep, below)


def paint_mouth(shape: Shape, p: Points, m: Mouth, img: Array, shade: Array) -> Array:
    """The dark line between closed lips, or teeth and dark inside parted ones."""
    glow = 0.35 + 0.65 * jnp.clip(shade, 0.0, 1.2)
    tongue = 0.20 * hump((p.y - shape.mid_y - shape.gap_low) / 0.12) * hump(p.x / 0.2)
    inside = 0.045 + tongue * glow
    inside = mix(inside, (0.74 - 0.25 * (p.x / 0.25) ** 2) * glow, m.teeth * 0.95)
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


def hair_cover(who: Identity, p: Points, q: Array) -> tuple[Array, Array, Array]:
    """(cover behind the head, cover over the forehead and temples, strands -1 to 1)."""
    long_ = who.hair_long
    spread = 1.0 + 0.16 + 0.12 * long_
    x = p.x / (who.head_w * spread)
    up = (p.y + 0.2) / 1.08
    crown = x * x + jnp.where(p.y < -0.2, up * up, 0.0)
    behind = edge((1.0 - crown) * 0.5, p.px + 0.02) * edge(
        mixs(0.05, 1.4, long_) - p.y + 0.25 * jnp.abs(x), 0.15 + p.px
    )
    line = who.hairline + who.hair_curve * p.x * p.x * (1.0 + 1.4 * p.x * p.x) + who.parting * p.x
    strands = jnp.sin(38.0 * p.x + 9.0 * p.y * p.x + 12.0 * who.parting + who.phase)
    strands = 0.6 * strands + 0.4 * jnp.sin(87.0 * p.x + 14.0 * p.y + 2.0 * who.phase) * 0.03 / (0.03 + p.px)
    ragged = 0.012 * strands
    cap = edge(line + ragged - p.y, p.px + 0.012)
    side = edge(p.ax - who.head_w * (0.955 - 0.05 * long_) + ragged, p.px + 0.012)
    side = side * edge(mixs(-0.12, 1.4, long_) - p.y, 0.08 + p.px)
    front = 1.0 - (1.0 - cap) * (1.0 - side)
    return behind, front, strands


def mixs(a: float, b: float, w: Array) -> Array:
    """Scalar blend of a and b."""
    return a + (b - a) * w


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


def light_vector(light: Light, yaw: Array, pitch: Array, roll: Array) -> tuple[Array, Array, Array]:
    """Direction to the light in the head's frame."""
    lx = jnp.sin(light.azimuth - yaw) * jnp.cos(light.elevation)
    ly = -jnp.sin(light.elevation - pitch)
    lz = jnp.cos(light.azimuth - yaw) * jnp.cos(light.elevation)
    c, s = jnp.cos(roll), jnp.sin(roll)
    return lx * c + ly * s, ly * c - lx * s, lz
