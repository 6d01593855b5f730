"""Spotting under a drifting head: what is projected out, what cancels, what is left."""

import numpy as np
import pytest

from ferjax.micro import contrast, spotting

SIDE, T = 32, 120


def scene(y, x):
    """A smooth picture, grey levels at any point."""
    return 120 + 50 * np.sin(x / 4.1) * np.cos(y / 5.3) + 30 * np.sin((x + 2 * y) / 6.7)


def frames(shift, turn=0.0, bump=0.0, light=0.0):
    """[T, SIDE, SIDE, 1] uint8: the scene moved by up to `shift` pixels and `turn` radians, with a blob whose
    strength is `bump` [T]."""
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    way = np.sin(np.linspace(0, 2.5, T))
    bump, light = np.broadcast_to(bump, T), np.broadcast_to(light, T)
    out = []
    for w, b, g in zip(way, bump, light, strict=True):
        a = turn * w
        moved = scene(y * np.cos(a) + x * np.sin(a) + shift * w, x * np.cos(a) - y * np.sin(a) - shift * w)
        blob = np.exp(-((y - 6) ** 2 + (x + 5) ** 2) / 8)
        out.append(moved * (1 + g) + b * blob)
    return np.round(np.array(out)).clip(0, 255).astype(np.uint8)[..., None]


def rms(change):
    return np.sqrt((change.astype(float) ** 2).mean(1))


@pytest.mark.parametrize(("shift", "turn"), [(0.5, 0.0), (0.0, 0.03), (0.4, -0.02)])
def test_a_moving_head_is_projected_out(shift, turn):
    moving = frames(shift, turn)
    raw = spotting.distance(moving, 5)
    left = rms(contrast.changes(moving, 5))
    assert raw.max() > 2  # grey levels
    assert left.max() < 0.3 * raw.max()


def test_light_is_projected_out():
    lit = frames(0, light=0.1 * np.sin(np.linspace(0, 5, T)))
    assert rms(contrast.changes(lit, 1)).max() < 0.6  # rounding


def test_an_expression_is_left():
    bump = np.zeros(T)
    bump[50:70] = 40
    left = rms(contrast.changes(frames(0, bump=bump), 5))
    assert left[60] > 0.8 * spotting.distance(frames(0, bump=bump), 5)[60]
    assert left[10] < 0.5


def test_head_motion_is_a_basis():
    neutral = scene(*(np.mgrid[:SIDE, :SIDE] - 15.5))
    basis = contrast.head_motion(neutral)
    np.testing.assert_allclose(basis.T @ basis, np.eye(6), atol=1e-12)
    moved = scene(*(np.mgrid[:SIDE, :SIDE] - 15.5 + np.array([0.01, -0.02])[:, None, None]))
    change = (moved - neutral).ravel()
    inner = (change - basis @ (basis.T @ change)).reshape(SIDE, SIDE)[1:-1, 1:-1]
    assert np.abs(inner).max() < 0.01 * np.abs(change).max() + 2e-2


def test_steady_change_cancels():
    change = np.linspace(0, 9, 60)[:, None] * np.random.default_rng(0).normal(size=(1, 50))
    curve = contrast.contrast(change, 8, smooth=5)
    assert curve[12:-12].max() < 1e-9
    assert curve[0] > 0.1  # beyond the end the first frame stands still


def test_contrast_by_hand():
    change = np.array([0, 0, 0, 6.0, 0, 0, 0])[:, None]
    assert contrast.contrast(change, 2, smooth=1).tolist() == [0, 3, 0, 6, 0, 3, 0]
    np.testing.assert_allclose(contrast.contrast(change, 2, smooth=3), [1, 1, 1, 2, 1, 1, 1])


def test_an_expression_is_found_where_a_distance_finds_the_drift():
    bump = np.interp(np.arange(T), [40, 50, 62], [0, 30, 0])
    moving = frames(1.2, 0.04, bump)
    truth = np.array([40, 62])
    far = spotting.spot(spotting.settle(spotting.distance(moving, 10), 10, 5, detrend=True), 0.3, 0.3)
    near = spotting.spot(spotting.settle(contrast.curves(moving, 10, (14,))[0], 10, 5), 0.3, 0.3)
    assert spotting.iou(np.array(near)[[0, 2]], truth) > 0.5
    assert spotting.iou(np.array(far)[[0, 2]], truth) < spotting.iou(np.array(near)[[0, 2]], truth)
