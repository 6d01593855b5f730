"""Spotting by hand: curves and intervals whose onset, apex and offset are known."""

import math

import numpy as np
import pytest

from data_pipelines import BadInput
from ferjax import metrics, results
from ferjax.micro import spotting


def triangle(t=60, onset=20, apex=30, offset=45, height=5.0):
    """0, a straight rise from onset to apex, a straight fall to offset, 0."""
    return np.interp(np.arange(t), [onset, apex, offset], [0, height, 0])


def recording(curve, size=6, seed=0, noise=0.0):
    """Frames in which half of the pixels are as many grey levels brighter as the curve says."""
    rng = np.random.default_rng(seed)
    base = rng.uniform(80, 120, (size, size, 1))
    half = np.zeros((size, size, 1))
    half[: size // 2] = 1
    frames = base + np.asarray(curve)[:, None, None, None] * half
    return np.rint(frames + noise * rng.normal(size=frames.shape)).astype(np.uint8)


def test_distance_by_hand():
    frames = np.zeros((6, 2, 2, 1), np.uint8)
    frames[:, 0, 0, 0] = [9, 10, 30, 10, 10, 4]  # the median of the first three is 10
    assert spotting.distance(frames, 3).tolist() == [0.5, 0, 10, 0, 0, 3]
    features = np.array([[0.0, 0], [0, 0], [3, 4], [0, 0]])
    np.testing.assert_allclose(spotting.distance(features, 2), [0, 0, math.sqrt(12.5), 0])


def test_smoothing_by_hand():
    curve = np.array([0.0, 0, 0, 6, 0, 0, 3, 3])
    assert spotting.settle(curve, 1, 3).tolist() == [0, 0, 2, 2, 2, 1, 2, 3]
    np.testing.assert_allclose(spotting.settle(curve, 1, 5)[2:6], [1.2, 1.2, 1.8, 2.4])
    slope = np.arange(20.0)
    np.testing.assert_allclose(spotting.settle(slope + 7, 1, 9), slope)  # at the ends too
    with pytest.raises(ValueError, match="odd window, not 4"):
        spotting.settle(curve, 1, 4)


@pytest.mark.parametrize("lead", [0, 5])
def test_a_recording_too_short_to_begin_and_end_neutral(lead):
    with pytest.raises(BadInput, match=r"spotting\.lead is [05], for a recording of 9 frames"):
        spotting.motion_curve(np.zeros((9, 2, 2, 1), np.uint8), lead, 1)


@pytest.mark.parametrize("where", [(20, 30, 45), (10, 12, 14), (31, 50, 52)])
def test_a_triangle_is_found(where):
    curve = triangle(60, *where)
    assert spotting.spot(curve, 0.01, 0.01) == where
    assert spotting.spot(3 * curve + 100, 0.01, 0.01) == where
    assert spotting.spot(curve[::-1], 0.01, 0.01) == tuple(59 - f for f in where[::-1])


def test_thresholds_by_hand():
    curve = triangle(60, 20, 30, 45)  # rises by a tenth of its height a frame, falls by a fifteenth
    assert spotting.spot(curve, 0.35, 0.5) == (23, 30, 38)  # 0.3 is below, 0.4 is not; 8 / 15 not, 7 / 15 is


def test_from_frames_smoothed():
    frames = recording(triangle(60, height=40.0))
    onset, apex, offset = spotting.spot(spotting.motion_curve(frames, 10, 5), 0.02, 0.02)
    assert abs(onset - 20) <= 2 and abs(apex - 30) <= 1 and abs(offset - 45) <= 2


def test_drift_is_taken_away():
    drift = 0.05 * np.arange(80)
    curve = drift + triangle(80, 30, 40, 50, 3.0)
    with_line = spotting.settle(curve, 10, 1, detrend=True)
    np.testing.assert_allclose(with_line, triangle(80, 30, 40, 50, 3.0), atol=1e-9)
    assert spotting.spot(with_line, 0.05, 0.05) == (30, 40, 50)
    assert spotting.spot(spotting.settle(curve, 10, 1), 0.05, 0.05)[2] == 79  # never comes back


def test_two_peaks():
    two = np.maximum(triangle(80, 10, 20, 30, 4.0), triangle(80, 40, 50, 60, 5.0))
    assert spotting.spot(two, 0.01, 0.01) == (40, 50, 60)  # the higher one alone
    joined = np.maximum(two, np.where((np.arange(80) > 20) & (np.arange(80) < 50), 2.0, 0))
    assert spotting.spot(joined, 0.1, 0.1) == (11, 50, 60)  # between them it stays above a tenth


def test_an_expression_at_the_borders():
    assert spotting.spot(np.array([3.0, 4, 5, 4, 0, 0, 0]), 0.5, 0.5) == (0, 2, 4)
    assert spotting.spot(np.array([0.0, 0, 0, 4, 5, 4]), 0.5, 0.5) == (2, 4, 5)
    assert spotting.spot(np.array([0.0, 0, 0, 1, 2, 3]), 0.5, 0.5) == (3, 5, 5)


@pytest.mark.parametrize("detrend", [False, True])
def test_a_flat_recording_has_none(detrend):
    frames = np.full((40, 4, 4, 1), 77, np.uint8)
    assert spotting.spot(spotting.motion_curve(frames, 5, 9, detrend), 0.5, 0.5) == spotting.NOTHING
    slope = spotting.settle(np.linspace(0.0, 200, 41), 5, 9, detrend=True)  # rounding is no expression
    assert spotting.spot(slope, 0.5, 0.5) == spotting.NOTHING
    assert spotting.spot(triangle(height=2.0), 0.5, 0.5, least=2.0) == spotting.NOTHING


def test_iou_by_hand():
    a = [[0, 9], [0, 9], [0, 9], [5, 5], [0, 9], [-1, -1], [-1, -1]]
    b = [[0, 9], [5, 14], [10, 19], [5, 5], [2, 4], [0, 9], [-1, -1]]
    np.testing.assert_allclose(spotting.iou(a, b), [1, 5 / 15, 0, 1, 0.3, 0, 0])


def test_scores_by_hand():
    truth = np.array([[0, 5, 9], [0, 5, 9], [10, 14, 19], [4, -1, 7]])
    found = np.array([[0, 5, 9], [5, 8, 14], [-1, -1, -1], [4, 6, 5]])
    length = np.array([20, 30, 40, 10])
    scores = spotting.score(found, truth, length, np.array(["a", "a", "b", "b"]))
    value = {name: m.value for name, m in scores.metrics.items()}
    assert value == pytest.approx(
        {
            "iou": (1 + 1 / 3 + 0 + 0.5) / 4,
            "hits": 0.5,
            "misses": 0.25,
            "apex_error": 1.5,  # 0 and 3; one missed, of one the truth is unknown
            "apex_error_median": 1.5,
            "apex_error_share": (0 + 3 / 30) / 2,
        }
    )
    n = {name: m.n for name, m in scores.metrics.items()}
    assert n["iou"] == n["hits"] == n["misses"] == 4 and n["apex_error"] == n["apex_error_share"] == 2
    iou = scores.metrics["iou"]
    assert (iou.low, iou.high) == pytest.approx((0.25, 2 / 3))  # of two people, both or one of them twice
    assert scores.interval["units"] == 2 and scores.interval["over"] == "subject"


def test_scores_of_nothing_found_and_of_one_person():
    missed = np.array([spotting.NOTHING] * 2)
    scores = spotting.score(missed, np.array([[0, 1, 2]] * 2), np.array([9, 9]), np.array(["a", "a"]))
    assert scores.metrics["iou"].value == 0 and scores.metrics["misses"].value == 1
    assert math.isnan(scores.metrics["iou"].low) and "one subject" in scores.metrics["iou"].reason
    assert math.isnan(scores.metrics["apex_error"].value) and scores.metrics["apex_error"].reason
    assert scores.metrics["apex_error_median"].n == 0


def test_scores_are_written_as_any_result(tmp_path):
    truth = np.array([[0, 5, 9], [3, 4, 9]])
    scores = spotting.score(truth, truth, np.array([20, 20]), np.array(["a", "b"]))
    about = {"split": "tiny", "split_hash": "0", "config": {}, "selected_on": "training subjects"}
    path = results.write_result(
        tmp_path, "spotting", scores, **about, checkpoint_step=None, seed=0, wall_time_s=None, device="cpu"
    )
    assert results.read_result(path)["metrics"]["iou"]["value"] == 1
    assert isinstance(scores, metrics.Scores)


def people(n=24, seed=0):
    """Noisy curves of 6 people; those of the last person end early, so that another setting suits them."""
    rng = np.random.default_rng(seed)
    curves, truth = [], []
    for i in range(n):
        onset, offset = 20 + i % 5, 60 + i % 7
        curve = triangle(100, onset, 40, offset, 4.0) + 0.1 * rng.normal(size=100)
        curves.append(curve)
        truth.append((onset, 40, offset if i < n - 4 else 44))
    return curves, np.array(truth), np.array([f"p{i // 4}" for i in range(n)])


def test_settings_are_chosen_by_the_others():
    curves, truth, subject = people()
    found, chosen = spotting.leave_one_out(curves, truth, subject, 10)
    # every setting tried by hand
    overlap = []
    for rise, fall, window in spotting.GRID:
        spots = [spotting.spot(spotting.settle(c, 10, window), rise, fall) for c in curves]
        overlap.append(spotting.iou(np.array(spots)[:, [0, 2]], truth[:, [0, 2]]))
    overlap = np.array(overlap)
    for person in np.unique(subject):
        rows = np.flatnonzero(subject == person)
        best = spotting.GRID[overlap[:, subject != person].mean(1).argmax()]
        rise, fall, window = best
        for i in rows:
            assert chosen[i] == (0, best)
            settled = spotting.settle(curves[i], 10, window)
            assert tuple(found[i]) == spotting.spot(settled, rise, fall)
    assert overlap.mean(1).max() > 0.7


def test_the_kind_of_curve_is_chosen_by_the_others_too():
    curves, truth, subject = people()
    noise = np.random.default_rng(1).normal(size=(len(curves), 100))
    both = [np.stack([n, c]) for n, c in zip(noise, curves, strict=True)]
    found, chosen = spotting.leave_one_out(both, truth, subject, 10)
    alone, settings = spotting.leave_one_out(curves, truth, subject, 10)
    assert {kind for kind, _ in chosen} == {1}  # the one with the expression in it
    assert [setting for _, setting in chosen] == [setting for _, setting in settings]
    np.testing.assert_array_equal(found, alone)


def test_the_tested_persons_truth_changes_nothing_for_that_person():
    curves, truth, subject = people()
    found, _ = spotting.leave_one_out(curves, truth, subject, 10)
    lie = truth.copy()
    lie[subject == "p1"] = (90, 91, 92)
    again, _ = spotting.leave_one_out(curves, lie, subject, 10)
    np.testing.assert_array_equal(again[subject == "p1"], found[subject == "p1"])
    with pytest.raises(BadInput, match="all 24 clips are of one"):
        spotting.leave_one_out(curves, truth, np.array(["p"] * 24), 10)


def test_the_guess_in_the_middle():
    guess = spotting.middle(np.array([10, 11, 4, 1]), 4.2)
    assert guess.tolist() == [[3, 4, 6], [3, 5, 6], [0, 1, 3], [0, 0, 0]]
    for t in range(1, 12):
        for d in (0.2, 1, 2.5, 7, 40):
            ((a, top, b),) = spotting.middle(np.array([t]), d)
            assert 0 <= a <= top <= b < t
