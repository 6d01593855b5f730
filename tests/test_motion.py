"""A clip's frames as a network's input: differences by hand, flow and strain of known motion."""

import sys

import numpy as np
import pytest
from clip_sets import make_clips

from data_pipelines import BadInput, clips, motion

INNER = slice(8, -8)


def texture(x, y):
    """A grey picture by formula, at any place: waves of 7 to 17 pixels' length in many directions."""
    rng = np.random.default_rng(4)
    value = 0
    for _ in range(24):
        angle, length, phase = rng.uniform(0, np.pi), rng.uniform(7, 17), rng.uniform(0, 2 * np.pi)
        value = value + np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / length + phase)
    return np.clip(np.rint(128 + 22 * value), 0, 255).astype(np.uint8)[..., None]


def grid(size=48):
    y, x = np.mgrid[:size, :size].astype(float)
    return x, y


def test_differences_by_hand():
    reference = np.array([[[100], [0]], [[255], [7]]], np.uint8)
    frames = np.array([[[[103], [0]], [[250], [7]]], [[[99], [200]], [[0], [8]]]], np.uint8)
    once = motion.represent(frames, reference, "difference", 1.0)
    assert once[..., 0].tolist() == [[[131, 128], [123, 128]], [[127, 255], [0, 129]]]
    more = motion.represent(frames, reference, "difference", 4.5)
    # 128 + 13.5 = 141.5, 128 - 22.5 = 105.5: of two equally near the even one, as everywhere in NumPy
    assert more[..., 0].tolist() == [[[142, 128], [106, 128]], [[124, 255], [0, 132]]]
    assert once.dtype == more.dtype == np.uint8


def test_grey_is_what_it_was():
    frames = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3, 1)
    np.testing.assert_array_equal(motion.represent(frames, frames[0], "grey", 7.0), frames)


@pytest.mark.parametrize("size", [48, 128])
@pytest.mark.parametrize(("dx", "dy"), [(0.3, -0.2), (1.2, 0.6), (-1.7, 1.1)])
def test_a_shift_is_found(dx, dy, size):
    x, y = grid(size)
    reference, shifted = texture(x, y), texture(x - dx, y - dy)  # what was at (x, y) is at (x + dx, y + dy)
    moved = motion.flow(shifted[None], reference)[0]
    assert np.abs(moved[INNER, INNER] - [dx, dy]).max() < 0.15
    assert np.abs(moved[INNER, INNER].mean((0, 1)) - [dx, dy]).max() < 0.06
    code = motion.represent(shifted[None], reference, "flow")[0]
    np.testing.assert_array_equal(code[..., :2], np.clip(np.rint(128 + 64 * moved), 0, 255))


def test_frames_need_not_be_square_and_channels_are_u_v_strain():
    y, x = np.mgrid[:40, :60].astype(float)
    code = motion.represent(texture(x - 1, y)[None], texture(x, y), "flow", 0.5)
    assert code.shape == (1, 40, 60, 3)
    u, v, strain = code[0, INNER, INNER].mean((0, 1))
    assert abs(u - 160) < 3 and abs(v - 128) < 3 and 128 <= strain < 136


@pytest.mark.parametrize("kind", ["difference", "flow"])
def test_nothing_moves(kind):
    picture = texture(*grid())
    code = motion.represent(np.stack([picture] * 2), picture, kind, 9.0)
    assert (code == 128).all()


def test_strain_by_hand():
    """u = ax + by, v = cx + dy has exx = a, eyy = d, exy = (b + c) / 2 everywhere."""
    x, y = grid(9)
    a, b, c, d = 0.03, -0.02, 0.05, 0.01
    moved = np.stack([a * x + b * y, c * x + d * y], -1)[None].astype(np.float32)
    expected = np.sqrt(a**2 + d**2 + 2 * ((b + c) / 2) ** 2)
    np.testing.assert_allclose(motion.strain(moved), expected, rtol=1e-4)
    turned = np.stack([-0.02 * y + 3, 0.02 * x - 1], -1)[None].astype(np.float32)
    np.testing.assert_allclose(motion.strain(turned), 0, atol=1e-6)  # a shift and a small rotation


def test_a_stretch_is_found():
    """Stretched by 5 % across the middle: u = 0.05 (x - 24), v = 0, strain 0.05."""
    x, y = grid()
    centre = 23.5
    moved = motion.flow(texture(centre + (x - centre) / 1.05, y)[None], texture(x, y))
    np.testing.assert_allclose(moved[0, INNER, INNER, 0], 0.05 * (x - centre)[INNER, INNER], atol=0.15)
    strain = motion.strain(moved)[0, INNER, INNER]
    assert abs(np.median(strain) - 0.05) < 0.01
    code = motion.represent(texture(centre + (x - centre) / 1.05, y)[None], texture(x, y), "flow")
    assert abs(np.median(code[0, INNER, INNER, 2]) - (128 + 512 * 0.05)) < 6


def test_flow_does_not_depend_on_threads_or_on_what_came_before():
    cv2 = pytest.importorskip("cv2")
    x, y = grid()
    frames = np.stack([texture(x - s, y + s * np.sin(x / 9)) for s in (0.2, 0.7, 1.5)])
    reference = texture(x, y)
    together, before = motion.flow(frames, reference), cv2.getNumThreads()
    try:
        for threads in (1, 3):
            cv2.setNumThreads(threads)
            alone = np.concatenate([motion.flow(frames[i : i + 1], reference) for i in (2, 1, 0)])[::-1]
            np.testing.assert_array_equal(alone, together)
    finally:
        cv2.setNumThreads(before)


def test_clips_are_seen_against_their_onset():
    made = make_clips()
    made.onset[1] = 2
    place, _ = clips.positions(made, "interpolate", 5)
    code = motion.clip_inputs(made, place, "difference", 2.0)
    assert code.shape == (4, 5, 16, 16, 1) and (code[:, 0] == 128).all()
    frames = made.frames(1).astype(float)
    # five places from 2 to 11: 2, 4.25, 6.5, ...
    mixed = np.rint(0.75 * frames[4] + 0.25 * frames[5])
    np.testing.assert_array_equal(code[1, 1], np.clip(128 + 2 * (mixed - frames[2]), 0, 255))
    np.testing.assert_array_equal(
        motion.clip_inputs(made, place, "grey")[1], clips.frames_at(made.frames(1), place[1])
    )
    assert motion.clip_inputs(made, place, "flow").shape == (4, 5, 16, 16, 3)


def test_padded_places_repeat_a_frame():
    made = make_clips()
    place, mask = clips.positions(made, "pad", 14)
    code = motion.clip_inputs(made, place, "flow")
    assert not mask[0, 9:].any() and (code[0, 9:] == code[0, 8]).all()


@pytest.mark.parametrize("call", [lambda k: motion.channels(k), lambda k: motion.represent(F, F[0], k)])
def test_an_unknown_kind(call):
    with pytest.raises(BadInput, match=r"clip\.input is 'gray'; write grey, difference, flow"):
        call("gray")


F = np.zeros((2, 4, 4, 1), np.uint8)


@pytest.mark.parametrize("gain", [0.0, -1.0, float("nan"), float("inf")])
def test_a_gain_that_cannot_be(gain):
    with pytest.raises(BadInput, match=r"clip\.gain"):
        motion.represent(F, F[0], "difference", gain)


def test_what_does_not_fit():
    with pytest.raises(ValueError, match="shape"):
        motion.represent(F, F[0, 1:], "grey")
    with pytest.raises(ValueError, match="3 channels"):
        motion.represent(np.repeat(F, 3, -1), np.repeat(F[0], 3, -1), "flow")


def test_without_opencv(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(BadInput, match=r"clip\.input is 'flow'.*pip install"):
        motion.flow(F, F[0])
