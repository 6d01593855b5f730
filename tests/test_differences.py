"""Differences of accuracies between paired networks: by hand, planted, and absent."""

import numpy as np
import pytest

from ferjax.weighted import differences


def answers(gain, people=12, pictures=10, seeds=4, seed=0):
    """(right, baseline, subject, network): the baseline is right in 0.6, the other in 0.6 + gain."""
    rng = np.random.default_rng(seed)
    subject, network = [], []
    for s in range(seeds):
        for p in range(people):
            subject += [f"p{p}"] * pictures
            network += [s] * pictures
    n = len(subject)
    base = rng.random(n) < 0.6
    right = rng.random(n) < 0.6 + gain
    return right, base, np.array(subject), np.array(network)


def test_by_hand():
    right, base = np.array([1, 1, 0, 1], bool), np.array([1, 0, 0, 0], bool)
    e = differences.paired(right, base, np.array(["a", "a", "b", "b"]), np.array([0, 0, 0, 0]), 500)
    assert e.value == 0.5  # half and half in both people, so that no resample differs
    assert (e.low, e.high) == (0.5, 0.5)
    assert e.n == 4


def test_a_planted_difference_is_found_and_none_is_not():
    e = differences.paired(*answers(0.2))
    assert 0.05 < e.low < 0.2 < e.high < 0.4
    assert e.low < e.value < e.high
    assert "better than no map" in differences.sentence("product", e)
    assert "worse than no map" in differences.sentence("x", differences.paired(*answers(-0.2)))
    none = [differences.paired(*answers(0.0, seed=s), bootstrap=400) for s in range(40)]
    assert sum(e.low > 0 or e.high < 0 for e in none) <= 6  # five in a hundred are expected
    assert "no difference shown" in differences.sentence("x", none[0])


def test_seeds_that_disagree_widen_the_interval():
    rng = np.random.default_rng(0)
    n = 12 * 10
    subject = np.tile(np.repeat([f"p{i}" for i in range(12)], 10), 2)
    network = np.repeat([0, 1], n)
    base = np.ones(2 * n, bool)
    right = np.concatenate([rng.random(n) < 0.95, rng.random(n) < 0.45])  # one seed failed
    over_both = differences.paired(right, base, subject, network)
    over_people = differences.paired(right, base, subject, np.zeros(2 * n))
    assert over_both.high - over_both.low > 3 * (over_people.high - over_people.low)


def test_without_an_interval():
    right = np.array([True, False])
    e = differences.paired(right, ~right, np.array(["a", "a"]), np.array([0, 1]))
    assert e.value == 0
    assert np.isnan(e.low)
    assert "single subject" in differences.sentence("x", e)
    assert differences.paired(right[:0], right[:0], np.array([]), np.array([])).n == 0


def test_answers_are_matched_by_picture():
    a, b = (np.array(["x", "y", "z"]),), (np.array(["z", "x", "y"]),)
    assert b[0][differences.matched(a, b)].tolist() == ["x", "y", "z"]
    with pytest.raises(ValueError, match="different pictures"):
        differences.matched(a, (np.array(["z", "x", "w"]),))
