"""The skin's relief: bones, flesh, and the folds and bulges that action units raise."""

import jax.numpy as jnp
from jax import Array

from data_pipelines.facsynth.identity import Identity
from data_pipelines.facsynth.muscles import Shape
from data_pipelines.facsynth.strokes import Points, Relief, above_zero, hump, step


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


def skin(who: Identity, shape: Shape, p: Points) -> tuple[Array, Array, Array]:
    """Bones, flesh and folds under given action units: (slope in x, slope in y, darkness), [h, w] each."""
    yr = lower_face(who, shape, p.y)
    q, u, v, width = head(who, yr, p)
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
    r.bump(0.0, -0.72, 0.70, 0.42, 0.10, pair=False)
    r.bump(who.eye_x + 0.02, brow_mid + 0.06, 0.34, 0.15, 0.036)
    r.bump(who.eye_x - 0.02, ey - 0.03, 0.30, 0.22, -0.070, dark=0.16)
    r.bump(0.10, ey + 0.02, 0.12, 0.19, -0.040, dark=0.20)
    r.bump(who.eye_x, ey, 0.23, 0.17, 0.040)
    # nose
    nh = who.nose_h
    bridge = 0.5 * (ey - 0.08 + who.nose_y)
    r.bump(0.0, bridge, 0.150, 0.44, 0.088 * nh, pair=False)
    r.bump(0.0, who.nose_y - 0.07, 0.145, 0.15, 0.080 * nh, pair=False)
    r.bump(ala_x * 0.86, ala_y - 0.035, 0.090, 0.090, 0.036 * nh)
    r.fold(ala_x + 0.035 - p.ax, 1.0, 0.0, 0.035, 0.7 * hump((p.y - ala_y + 0.03) / 0.085))
    # cheeks: bone, flesh that rises, hollow under it
    r.bump(0.43, 0.06 + cheek_y, 0.36, 0.30, 0.045 * who.cheek + 0.022 * cheek)
    r.bump(0.36, 0.11 + cheek_y, 0.25, 0.20, 0.038 * cheek)
    hollow = -0.03 + 0.035 * who.full - 0.12 * shape.jaw
    r.bump(0.50, 0.42, 0.28, 0.42, hollow, dark=0.05 + 0.6 * shape.jaw)
    # mouth mound, philtrum, chin
    r.bump(0.0, 0.45, 0.46, 0.33, 0.050, pair=False)
    philtrum = 0.5 * (who.nose_y + shape.mid_y) - 0.01
    r.bump(0.0, philtrum, 0.050, 0.11, -0.010, dark=0.06, pair=False)
    v_chin = yr - who.chin_y + 0.15 + shape.chin
    k = jnp.maximum(1.0 - (p.x / 0.25) ** 2 - (v_chin / 0.17) ** 2, 0.0)
    boss = -6.0 * (0.042 + 0.03 * shape.chin_pits) * k * k
    r.gx += boss * p.x / 0.25**2
    r.gy += boss * v_chin / 0.17**2
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
    x0, x1 = ala_x + 0.04, corner_x + 0.095
    run = (p.y - y0) / (y1 - y0)
    bow = x0 + (x1 - x0) * run + 0.24 * run * (1.0 - run)
    d = (p.ax - bow) * 0.78
    depth = of(shape.naso_up) * hump((run - 0.15) / 0.55) + of(shape.naso_low) * hump((run - 0.75) / 0.55)
    r.fold(d, 0.8, -0.5, 0.050, 0.80 * depth)
    # beside and under the lip corner
    dim = of(shape.dimple)
    r.bump(corner_x + 0.055, corner_y - 0.01, 0.085, 0.115, -0.036 * dim, dark=0.70 * dim)
    r.bump(corner_x + 0.125, corner_y - 0.02, 0.105, 0.15, 0.024 * dim)
    t = p.y - corner_y
    r.fold(
        p.ax - corner_x - 0.035 - 0.25 * t, 1.0, -0.25, 0.036, 0.9 * of(shape.drop) * hump((t - 0.085) / 0.11)
    )
    r.bump(corner_x - 0.01, corner_y + 0.09, 0.11, 0.10, 0.014 * of(shape.drop))
    side_line = p.ax - corner_x - 0.075 + 2.2 * t * t
    r.fold(side_line, 1.0, 0.0, 0.034, 0.95 * of(shape.stretch) * hump(t / 0.15))
    # lips pressed: rolls above and below; lips tightened: fine upright lines
    press = shape.press
    upper_edge = shape.mid_y - 0.5 * (shape.upper[0] + shape.upper[1]) - shape.gap_up
    r.bump(0.0, upper_edge - 0.050, 0.28, 0.075, 0.026 * press, dark=-0.05 * press, pair=False)
    r.bump(0.0, lip_edge + 0.055, 0.26, 0.080, 0.028 * press, dark=-0.05 * press, pair=False)
    pleat = jnp.sin(66.0 * p.x)
    band = hump((p.y - upper_edge + 0.035) / 0.07) + hump((p.y - lip_edge - 0.035) / 0.07)
    r.dark += 0.20 * fine * shape.pucker * band * hump(p.x / (corner_x + 0.02)) * jnp.maximum(pleat, -0.3)
    lid_folds(who, shape, p, r)
    return r.gx, r.gy, r.dark


def eye_curves(who: Identity, shape: Shape, p: Points):
    """(height over the corner line, upper edge, lower edge, e): e runs -1 (nose) to 1 (temple)."""
    e = (p.ax - who.eye_x) / who.eye_w
    y = p.y - who.eye_y + who.eye_tilt * e
    arch = above_zero(1.0 - e * e, 0.06)
    up = -p.of(shape.lid_up) * arch * (1.0 - 0.12 * e) * 1.0
    flat = p.of(shape.lid_flat)
    low = p.of(shape.lid_low) * (arch * (1.0 + 0.18 * e) * (1.0 - flat) + flat * jnp.minimum(arch * 1.2, 1.0))
    return y, up, low, e


def lid_folds(who: Identity, shape: Shape, p: Points, r: Relief) -> None:
    """The crease of the upper lid and the lid's own roundness."""
    y, up, _, e = eye_curves(who, shape, p)
    gap = p.of(shape.lid_crease)
    line = jnp.minimum(up, 0.0) - gap * (1.0 - 0.35 * e * e)
    r.fold(y - line, 0.0, 1.0, 0.028, 0.75 * hump(e / 1.12))
    r.gy += 0.25 * hump(e) * hump((y - 0.5 * (line + up)) / (0.5 * gap + 0.02))
