"""Action units to geometry: where brows, lids, nose, lips, cheeks, chin and folds are under given
intensities.

What each unit does follows the Facial Action Coding System manual (Ekman, Friesen & Hager 2002). Amounts are
in face
units at intensity 1 (E) and grow smoothly, so that every quantity has a derivative with respect to every
unit.
Arrays of shape [2] hold the person's left and right side, in this order.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from data_pipelines.facsynth.identity import Identity

AU_NUMBERS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 24, 25, 26, 27, 43)
AU_NAMES = tuple(f"AU{n:02d}" for n in AU_NUMBERS)
"""Units a frontal face shows. AU11 and AU28 are left out, see docs/facsynth.md."""


class Shape(NamedTuple):
    """Geometry of one face at one moment; [2] is (left, right), the others scalars."""

    # brows
    brow_x: Array  # [2] inner end
    brow_in: Array  # [2] heights (y) of the inner end, the middle control point and the outer end
    brow_mid: Array
    brow_out: Array
    # eyes
    lid_up: Array  # [2] height of the upper lid edge over the corner line
    lid_low: Array  # [2] depth of the lower lid edge under it
    lid_flat: Array  # [2] straightness of the lower lid
    lid_crease: Array  # [2] crease above the upper lid's edge
    lid_shut: Array  # [2] 0 open, 1 closed
    # nose
    ala_y: Array  # [2]
    ala_x: Array  # [2]
    # mouth
    corner_x: Array  # [2]
    corner_y: Array  # [2]
    mid_y: Array  # height of the mouth line in the middle
    upper: Array  # [2] thickness of the red upper lip
    lower: Array  # [2]
    square: Array  # [2] lift of the upper lip, squarish
    gap_up: Array  # parting of the lips above and below the mouth line
    gap_low: Array
    jaw: Array  # how far the chin has come down
    chin: Array  # how far the chin boss is pushed up
    # folds and bulges, as depths
    wrinkle_in: Array  # [2] forehead, middle
    wrinkle_out: Array  # [2] forehead, side
    glabella: Array  # [2]
    nose_lines: Array  # [2]
    crow: Array  # [2]
    pouch: Array  # [2] bulge of the lower lid
    furrow: Array  # [2] infraorbital furrow
    cheek: Array  # [2] bulge of the raised cheek
    cheek_y: Array  # [2] its height
    naso_up: Array  # [2] nasolabial fold beside the nose
    naso_low: Array  # [2] beside the mouth
    dimple: Array  # [2] pit outside the lip corner
    drop: Array  # [2] line under the lip corner
    stretch: Array  # [2] lines beside the stretched mouth
    chin_pits: Array
    mental: Array  # crease between lower lip and chin
    pucker: Array  # fine lines around tightened lips
    press: Array  # bulges above and below pressed lips
    line: Array  # darkness of the mouth line


def move(who: Identity, aus: Array) -> Shape:
    """Geometry of a person's face under action units.

    Args:
      who: fields scalars.
      aus: [u, 2] intensities 0 to 1, (left, right) of the person, in the order of AU_NAMES.
    """
    a = dict(zip(AU_NUMBERS, aus, strict=True))  # number -> [2]
    m = {n: v.mean() for n, v in a.items()}
    sides = jnp.array([0.5, -0.5], jnp.float32)

    brow = who.eye_y - who.brow_up + sides * who.skew_brow
    knit = a[4] + 0.35 * a[9]
    brow_in = brow - 0.115 * a[1] - 0.02 * a[2] + 0.080 * a[4] + 0.035 * a[9] + 0.012 * a[6]
    brow_mid = (
        brow - 2.0 * who.brow_arch - 0.5 * who.brow_tilt - 0.035 * a[1] - 0.135 * a[2] + 0.085 * knit
        + 0.012 * a[6] + 0.008 * a[43]
    )  # fmt: skip
    brow_out = brow - who.brow_tilt - 0.11 * a[2] + 0.03 * knit + 0.014 * a[6] + 0.01 * a[1]

    low = 0.034 - 0.010 * a[6] - 0.030 * a[7] + 0.006 * a[5] - 0.006 * a[9] - 0.006 * a[12]
    shut = a[43]
    up = who.eye_h + 0.048 * a[5] - 0.018 * a[7] - 0.007 * a[6] - 0.010 * a[9] - 0.006 * a[4] + 0.006 * a[1]
    up = up * (1.0 - shut) - shut * low * 0.85

    corner_x = (
        who.mouth_w + 0.085 * a[12] + 0.085 * a[20] - 0.016 * a[14] + 0.008 * a[15] - 0.030 * a[23]
        - 0.030 * a[24] - 0.012 * a[17] - 0.035 * a[27] - 0.012 * a[26]
    )  # fmt: skip
    dropped = m[26] * (1.4 - 0.4 * m[26])  # most of it early: a trace can be seen
    jaw = 0.14 * dropped + 0.19 * m[27] - 0.02 * m[26] * m[27]
    corner = who.mouth_y + who.corner_y + sides * who.skew_mouth
    corner_y = (
        corner - 0.100 * a[12] - 0.020 * a[14] + 0.085 * a[15] + 0.014 * a[20] + 0.012 * a[17] + 0.35 * jaw
        - 0.012 * a[10]
    )  # fmt: skip
    mid_y = who.mouth_y - 0.050 * m[17] + 0.012 * m[12] - 0.022 * m[10] - 0.008 * m[9] + 0.30 * jaw
    thin = 1.0 / (1.0 + 1.9 * a[23] + 0.9 * a[24] + 0.35 * a[20] + 0.25 * a[12])
    gap = 0.085 * m[25] * (1.6 - 0.6 * m[25]) + 0.020 * m[26] + 0.12 * m[27]
    return Shape(
        brow_x=who.brow_in - 0.040 * knit + 0.008 * a[1],
        brow_in=brow_in,
        brow_mid=brow_mid,
        brow_out=brow_out,
        lid_up=up,
        lid_low=low,
        lid_flat=jnp.clip(0.9 * a[7] + 0.2 * a[6], 0.0, 1.0),
        lid_crease=who.crease * (1.0 - 0.5 * a[5]) + 0.05 * shut,
        lid_shut=shut,
        ala_y=who.nose_y - 0.035 * a[9] - 0.018 * a[10],
        ala_x=who.nose_w + 0.014 * a[9] + 0.008 * a[10] + 0.010 * a[12],
        corner_x=corner_x,
        corner_y=corner_y,
        mid_y=mid_y,
        upper=who.lip_up * thin * (1.0 + 0.15 * a[10]),
        lower=who.lip_low * thin * (1.0 - 0.12 * a[15] + 0.1 * a[17]),
        square=0.056 * a[10] + 0.016 * a[9],
        gap_up=gap * (0.45 - 0.2 * m[27]) + 0.018 * m[10] * m[25] + 0.010 * m[12] * m[25],
        gap_low=gap * 0.75 + 0.62 * jaw,
        jaw=jaw,
        chin=0.055 * m[17] + 0.012 * m[24],
        wrinkle_in=1.0 * a[1],
        wrinkle_out=1.0 * a[2],
        glabella=1.0 * a[4] + 0.35 * a[9],
        nose_lines=1.0 * a[9],
        crow=1.0 * a[6] + 0.12 * a[12],
        pouch=0.9 * a[6] + 0.35 * a[7],
        furrow=1.0 * a[6] + 0.15 * a[12] + 0.3 * a[9] + 0.12 * a[7],
        cheek=0.9 * a[6] + 0.6 * a[12] + 0.35 * a[10],
        cheek_y=-0.06 * a[6] - 0.04 * a[12] - 0.02 * a[10],
        naso_up=0.10 + 0.5 * who.age + 0.9 * a[9] + 0.8 * a[10] + 0.6 * a[12] + 0.2 * a[6],
        naso_low=0.05 + 0.4 * who.age + 0.25 * a[10] + 1.0 * a[12] + 0.25 * a[14] + 0.35 * a[20],
        dimple=1.0 * a[14] + 0.12 * a[12],
        drop=0.15 * who.age + 1.0 * a[15],
        stretch=1.0 * a[20],
        chin_pits=1.0 * m[17],
        mental=0.3 + 0.7 * m[17] + 0.3 * m[15] + 0.3 * m[24],
        pucker=1.0 * m[23],
        press=1.0 * m[24],
        line=0.55 + 0.40 * m[24] + 0.10 * m[23] + 0.25 * m[14],
    )
