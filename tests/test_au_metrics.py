"""Means over action units: the same units in every resample; intervals of ICC."""

import numpy as np
import pytest

from ferjax import au_metrics

UNITS = ("AU01", "AU02", "AU10", "AU11")
HALF = np.full(4, 0.5)


def people(shown: list[int], hard: list[bool], n: int = 6, each: int = 20, seed: int = 0):
    """Unit j is shown by so many of n people, in half of their images, and easily told or badly.

    Returns:
      (present [n * each, u], score [n * each, u], subject [n * each]).
    """
    rng = np.random.default_rng(seed)
    subject = np.repeat([f"s{i}" for i in range(n)], each)
    present = np.zeros((n * each, len(shown)), int)
    for j, k in enumerate(shown):
        present[:, j] = (np.repeat(np.arange(n), each) < k) & (np.arange(n * each) % 2 == 0)
    right = np.where(np.array(hard), 0.5, 0.98)
    said = np.where(rng.random(present.shape) < right, present, 1 - present)
    return present, said + 0.1 * rng.random(present.shape), subject


def place(e) -> float:
    """Where in its interval an estimate lies, 0 to 1."""
    return (e.value - e.low) / (e.high - e.low)


def test_an_interval_is_of_the_mean_it_stands_beside():
    """Two units all show, two hard ones two people show: without these, F1 would be 0.97."""
    got = au_metrics.detection(*(of := people([6, 6, 2, 2], [0, 0, 1, 1]))[:2], UNITS, HALF, of[2], 500)
    for name in ("f1", "auc", "average_precision"):
        e = got.metrics[name]
        each = [got.metrics[f"{name}/{au}"].value for au in UNITS]
        assert e.value == pytest.approx(np.mean(each))
        assert 0.2 < place(e) < 0.8, (name, e)
        assert e.high < e.value + 0.15 < np.mean(each[:2]), (name, e)
    assert got.notes[0].startswith("Means are over 4 units: AU01, AU02, AU10, AU11.")
    assert "of the resamples lack one of these units" in got.notes[0]


def test_what_one_person_shows_has_a_value_no_interval_and_no_place_in_the_mean():
    got = au_metrics.detection(*(of := people([6, 6, 1, 0], [0, 0, 1, 1]))[:2], UNITS, HALF, of[2], 200)
    m = got.metrics
    assert m["f1"].value == pytest.approx((m["f1/AU01"].value + m["f1/AU02"].value) / 2)
    assert m["f1"].low < m["f1"].value < m["f1"].high
    assert 0 < m["f1/AU10"].value < 1 and np.isnan(m["f1/AU10"].low)
    assert m["f1/AU10"].reason == "no interval: 1 subjects show it and 6 lack it"
    assert got.notes == (
        "Means are over 2 units: AU01, AU02. Not in them, as fewer than 2 subjects show or lack them: AU10 "
        "(1 show it), AU11 (0 show it).",
    )


def test_no_mean_without_a_unit_that_two_people_show():
    got = au_metrics.detection(*(of := people([1, 1, 0, 0], [0] * 4))[:2], UNITS, HALF, of[2], 100)
    assert np.isnan(got.metrics["auc"].value)
    assert got.metrics["auc"].reason == "no unit is shown by 2 subjects and lacked by 2"


def test_ten_rare_units_have_an_interval_and_keep_what_a_unit_varies_by():
    """A resample with all ten is rare; that of one unit alone must be as wide as its own."""
    present, score, subject = people([2] * 10, [1] * 10, seed=3)
    names = tuple(f"AU{k:02d}" for k in range(1, 11))
    got = au_metrics.detection(present, score, names, np.full(10, 0.5), subject, 500)
    assert np.isfinite(got.metrics["f1"].low) and 0.1 < place(got.metrics["f1"]) < 0.9
    one = au_metrics.detection(present[:, :1], score[:, :1], names[:1], HALF[:1], subject, 2000).metrics
    own, mean = (one[key].high - one[key].low for key in ("auc/AU01", "auc"))
    assert mean == pytest.approx(own, rel=0.1)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    """AUC of unit j is 0.76 in all people; each is shown by about 4 of 12: 95 % is 80 % at this size."""
    truth, inside, places = 0.7602, [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        shows = rng.random((12, 6)) < 0.33
        present = (rng.random((12, 10, 6)) < 0.5) & shows[:, None]
        score = rng.normal(size=present.shape) + present
        who = np.repeat(np.arange(12).astype(str), 10)
        flat = (a.reshape(120, 6) for a in (present.astype(int), score))
        e = au_metrics.detection(*flat, tuple("abcdef"), np.ones(6), who, 200).metrics["auc"]
        inside.append(e.low <= truth <= e.high)
        places.append(place(e))
    assert 0.8 <= np.mean(inside) <= 1 and 0.4 < np.mean(places) < 0.6, (np.mean(inside), np.mean(places))


# Intensities.


def test_icc_is_that_of_the_mean_squares():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 6, 40).astype(float)
    y = x + rng.normal(size=40)
    pair = np.stack([x, y], 1)
    between = 2 * ((pair.mean(1) - pair.mean()) ** 2).sum() / 39
    error = ((pair - pair.mean(1)[:, None] - pair.mean(0) + pair.mean()) ** 2).sum() / 39
    assert au_metrics.icc(x, y) == pytest.approx((between - error) / (between + error))


def test_a_weight_is_a_repetition():
    rng = np.random.default_rng(1)
    x, y = rng.integers(0, 6, 9).astype(float), rng.normal(size=9)
    times = rng.integers(0, 3, (9, 4))
    got = au_metrics.icc(x, y, times)
    wanted = [au_metrics.icc(np.repeat(x, t), np.repeat(y, t)) for t in times.T]
    np.testing.assert_allclose(got, wanted)


def test_intensities_have_intervals_over_people():
    rng = np.random.default_rng(2)
    subject = np.repeat([f"s{i}" for i in range(10)], 12)
    truth = rng.integers(0, 6, (120, 3)).astype(float)
    truth[:, 2] = np.where(subject == "s3", truth[:, 2], 0)
    truth[::7, 0] = -1
    told = truth + 2 * rng.normal(size=(2, 120, 3))
    got = au_metrics.intensity(truth, told, ("AU01", "AU02", "AU10"), subject, 300)
    known = truth[:, 0] >= 0
    by_hand = np.mean([au_metrics.icc(truth[known, 0], one[known, 0]) for one in told])
    m = got.metrics
    assert m["icc/AU01"].value == pytest.approx(by_hand)
    assert m["icc"].value == pytest.approx((m["icc/AU01"].value + m["icc/AU02"].value) / 2)
    assert m["icc"].low < m["icc"].value < m["icc"].high and np.isnan(m["icc/AU10"].low)
    assert got.interval["over"] == "subject" and "AU10 (1 show it)" in got.notes[0]
