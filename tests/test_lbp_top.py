"""LBP-TOP against scikit-image on XY, and against loops over every place and neighbour on all planes."""

import math

import numpy as np
import pytest

from data_pipelines import BadInput
from ferjax.micro.lbp_top import PLANES, codes, lbp_top, lengthened, uniform_bins

RADII = (1, 2, 3)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


@pytest.mark.parametrize("points", [8, 6])
def test_codes_on_xy_like_scikit_image(points):
    feature = pytest.importorskip("skimage.feature")
    frames = noise(5, 48, 40)
    ours = codes(frames.astype(float), PLANES[0], (1, 1, 1), points)
    for t in range(3):
        theirs = feature.local_binary_pattern(frames[t + 1], points, 1, "default")[1:-1, 1:-1]
        np.testing.assert_array_equal(ours[t], theirs)


def test_uniform_histograms_on_xy_like_scikit_image():
    feature = pytest.importorskip("skimage.feature")
    frames = noise(3, 32, 32, seed=1)
    xy = lbp_top(frames, (2, 2, 1), blocks=(1, 1, 1))[:59]
    theirs = feature.local_binary_pattern(frames[1], 8, 2, "nri_uniform")[2:-2, 2:-2]
    share = np.bincount(theirs.astype(int).ravel(), minlength=59) / theirs.size
    # its bins have an order of their own, but for the last
    np.testing.assert_allclose(np.sort(xy[:58]), np.sort(share[:58]), atol=1e-7)
    np.testing.assert_allclose(xy[58], share[58], atol=1e-7)


def loops(frames, radii, points):
    """Every place, plane and neighbour, one after the other: {plane: codes}."""
    (rx, ry, rt), (t, h, w) = radii, frames.shape
    value = frames.astype(float)
    out = {plane: np.zeros((t - 2 * rt, h - 2 * ry, w - 2 * rx), int) for plane in ("xy", "xt", "yt")}

    def mixed(z, y, x):
        total = 0.0
        for k in (math.floor(z), math.floor(z) + 1):
            for j in (math.floor(y), math.floor(y) + 1):
                for i in (math.floor(x), math.floor(x) + 1):
                    share = (1 - abs(z - k)) * (1 - abs(y - j)) * (1 - abs(x - i))
                    if share > 1e-9:
                        total += share * value[k, j, i]
        return total

    for z in range(rt, t - rt):
        for y in range(ry, h - ry):
            for x in range(rx, w - rx):
                for p in range(points):
                    c, s = math.cos(2 * math.pi * p / points), math.sin(2 * math.pi * p / points)
                    spots = {
                        "xy": (z, y - ry * s, x + rx * c),
                        "xt": (z - rt * s, y, x + rx * c),
                        "yt": (z - rt * s, y + ry * c, x),
                    }
                    for plane, spot in spots.items():
                        if mixed(*spot) >= value[z, y, x] - 1e-6:
                            out[plane][z - rt, y - ry, x - rx] += 2**p
    return out


def test_all_planes_like_loops():
    frames = noise(9, 8, 7, seed=2)
    expected = loops(frames, RADII, 8)
    for plane, name in zip(PLANES, ("xy", "xt", "yt"), strict=True):
        np.testing.assert_array_equal(codes(frames.astype(float), plane, RADII, 8), expected[name])


def test_blocks_and_order_by_loops():
    """Two blocks across, two in time, all patterns: each histogram from the loops' codes."""
    frames = noise(9, 8, 8, seed=3)
    got = lbp_top(frames, RADII, (4, 4, 4), (2, 1, 2), uniform=False).reshape(2, 1, 2, 3, 16)
    expected = loops(frames, RADII, 4)  # 3 times, 4 down, 6 across
    for k, plane in enumerate(("xy", "xt", "yt")):
        for deep, when in enumerate((slice(0, 2), slice(2, 3))):  # 0, 1 and 2 times 2 // 3 are 0, 0, 1
            for side, where in enumerate((slice(0, 3), slice(3, 6))):
                part = expected[plane][when, :, where].ravel()
                share = np.bincount(part, minlength=16) / part.size
                np.testing.assert_allclose(got[deep, 0, side, k], share, atol=1e-7)


def test_uniform_patterns_are_the_58():
    bins = uniform_bins(8)
    assert len(np.unique(bins)) == 59 and (bins == 58).sum() == 256 - 58
    assert [int(bins[c]) for c in (0, 1, 255)] == [0, 1, 57]
    assert bins[0b01010101] == 58 and bins[0b11100001] != 58


def test_each_histogram_sums_to_one():
    out = lbp_top(noise(20, 24, 24))
    assert out.shape == (25 * 3 * 59,) and out.dtype == np.float32
    np.testing.assert_allclose(out.reshape(75, 59).sum(1), 1, atol=1e-6)


def test_a_still_grey_wall_has_all_bits_set():
    """Mixtures of equal values must not fall below them by rounding, or flat cheeks would be noise."""
    for level in (0, 77, 255):
        out = lbp_top(np.full((9, 12, 12), level, np.uint8), blocks=(1, 1, 1)).reshape(3, 59)
        np.testing.assert_array_equal(out[:, 57], 1)


def test_light_changes_nothing_and_time_turned_round_does():
    frames = noise(14, 20, 20, seed=5) // 3
    brighter = 2 * frames + 20
    np.testing.assert_array_equal(lbp_top(frames), lbp_top(brighter.astype(np.uint8)))
    moving = np.cumsum(noise(14, 20, 20, seed=6) // 16, 0).astype(np.uint8)
    one, other = (lbp_top(m, blocks=(1, 1, 1)).reshape(3, 59) for m in (moving, moving[::-1]))
    np.testing.assert_allclose(one[0], other[0], atol=1e-6)  # XY sees no direction of time
    assert np.abs(one[1:] - other[1:]).sum() > 1


def test_short_clips_are_lengthened_at_their_ends():
    frames = np.arange(3, dtype=np.uint8)[:, None, None] * np.ones((1, 4, 4), np.uint8)
    assert lengthened(frames, 8)[:, 0, 0].tolist() == [0, 0, 0, 1, 2, 2, 2, 2]
    assert lengthened(frames, 2)[:, 0, 0].tolist() == [0, 1, 2]
    one = lbp_top(noise(1, 16, 16))
    np.testing.assert_allclose(one.reshape(75, 59).sum(1), 1, atol=1e-6)
    np.testing.assert_array_equal(one, lbp_top(np.repeat(noise(1, 16, 16), 9, 0)))
    np.testing.assert_allclose(
        lbp_top(noise(4, 16, 16), blocks=(1, 1, 3)).reshape(9, 59).sum(1), 1, atol=1e-6
    )


def test_frames_too_small():
    with pytest.raises(BadInput, match=r"8 x 6 pixels are too small for 5 x 5 blocks.*data\.image_size"):
        lbp_top(noise(9, 6, 8))


@pytest.mark.parametrize("wrong", [{"radii": (0, 1, 1)}, {"neighbours": (8, 8, 17)}, {"blocks": (5, 0, 1)}])
def test_settings_that_cannot_be(wrong):
    with pytest.raises(ValueError, match="LBP-TOP"):
        lbp_top(noise(9, 16, 16), **wrong)
