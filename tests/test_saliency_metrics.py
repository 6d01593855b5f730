"""Each metric by hand, and beside scikit-learn's and SciPy's."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from ferjax.saliency import metrics, tables

FLAT = np.full((2, 2), 0.3)


@pytest.fixture
def drawn():
    """A map with ties, a density, fixations that repeat, and others'."""
    rng = np.random.default_rng(0)
    found = np.round(rng.random((12, 17)) ** 2, 1)
    density = rng.random((12, 17)) ** 3
    fixations = np.stack([rng.integers(12, size=25), rng.integers(17, size=25)], 1)
    others = np.stack([rng.integers(12, size=60), rng.integers(17, size=60)], 1)
    return found, density, np.concatenate([fixations, fixations[:9]]), others


def test_by_hand():
    found = np.array([[0.0, 1.0], [2.0, 3.0]])
    density = np.array([[0.0, 0.0], [1.0, 1.0]])
    # deviations -1.5 -.5 .5 1.5 and -.5 -.5 .5 .5: 2 / sqrt(5 * 1)
    assert metrics.cc(found, density) == pytest.approx(2 / np.sqrt(5))
    # 0 1/6 2/6 3/6 and 0 0 1/2 1/2: 2/6 + 1/2
    assert metrics.sim(found, density) == pytest.approx(5 / 6)
    # 1/2 ln(1/2 / 1/3) + 1/2 ln(1/2 / 1/2)
    assert metrics.kl(found, density) == pytest.approx(0.5 * np.log(1.5))
    # mean 1.5, deviation sqrt(1.25); fixated are 3 and 0
    at = np.array([[1, 1], [0, 0], [0, 0]])
    assert metrics.nss(found, at) == pytest.approx(0)
    assert metrics.nss(found, at[:1]) == pytest.approx(1.5 / np.sqrt(1.25))
    # 3 outranks 1 and 2, 0 neither
    assert metrics.auc_judd(found, at) == 0.5
    assert metrics.auc_judd(found, at[:1]) == 1
    # others at 1 (once, though it repeats) and at 3, which ties: (1 + 1/2) / 2
    assert metrics.shuffled_auc(found, at[:1], np.array([[0, 1], [0, 1], [1, 1]])) == 0.75


def test_beside_other_implementations(drawn):
    found, density, fixations, others = drawn
    at, theirs = (metrics.fixated(f, found.shape) for f in (fixations, others))
    assert at.sum() < len(fixations)
    assert metrics.cc(found, density) == pytest.approx(stats.pearsonr(found.ravel(), density.ravel())[0])
    p, q = density / density.sum(), (found + 0.1) / (found + 0.1).sum()
    assert metrics.kl(found + 0.1, density) == pytest.approx(stats.entropy(p.ravel(), q.ravel()))
    z = stats.zscore(found.ravel()).reshape(found.shape)
    assert metrics.nss(found, fixations) == pytest.approx(z[at].mean())
    assert metrics.auc_judd(found, fixations) == pytest.approx(roc_auc_score(at.ravel(), found.ravel()))
    truth = np.r_[np.ones(at.sum()), np.zeros(theirs.sum())]
    scores = np.r_[found[at], found[theirs]]
    assert metrics.shuffled_auc(found, fixations, others) == pytest.approx(roc_auc_score(truth, scores))


def test_scale_does_not_matter(drawn):
    found, *rest = drawn
    np.testing.assert_allclose(metrics.every(7 * found, *rest), metrics.every(found, *rest), atol=1e-9)


def test_a_perfect_map_and_a_flat_one(drawn):
    _, density, fixations, others = drawn
    best = dict(zip(metrics.NAMES, metrics.every(density, density, fixations, others), strict=True))
    assert best["CC"] == pytest.approx(1) and best["SIM"] == pytest.approx(1)
    assert best["KL"] == pytest.approx(0, abs=1e-9)
    for value in (0.0, 0.3):
        flat = metrics.every(np.full((12, 17), value), density, fixations, others)
        said = dict(zip(metrics.NAMES, flat, strict=True))
        assert said["CC"] == 0 and said["NSS"] == 0 and said["AUC-Judd"] == 0.5 and said["sAUC"] == 0.5
        assert np.isfinite(flat).all()


def test_what_is_undefined_is_nan():
    nowhere = np.zeros((0, 2), int)
    assert np.isnan(metrics.cc(np.eye(2), FLAT)) and np.isnan(metrics.sim(np.eye(2), FLAT))
    assert np.isnan(metrics.nss(np.eye(2), nowhere)) and np.isnan(metrics.auc_judd(np.eye(2), nowhere))
    assert np.isnan(metrics.shuffled_auc(np.eye(2), np.array([[0, 0]]), nowhere))
    with pytest.raises(ValueError, match="no values below 0"):
        metrics.kl(-np.eye(2), FLAT)


def test_fixations_outside_are_left_out():
    at = metrics.fixated(np.array([[-1, 0], [0, 2], [2, 0], [1, 1]]), (2, 2))
    assert at.tolist() == [[False, False], [False, True]]


def test_means_and_intervals_over_pictures():
    score = np.stack([np.arange(100.0), np.r_[np.full(50, np.nan), np.ones(50)], np.full(100, np.nan)], 1)
    first, second, third = tables.estimates(score, 1000, 0)
    assert first.value == 49.5 and first.n == 100
    assert first.low == pytest.approx(49.5 - 1.96 * 2.887, abs=0.5)
    assert (second.value, second.low, second.high, second.n) == (1, 1, 1, 50)
    assert np.isnan(third.value) and third.reason
    assert np.isnan(tables.estimates(score, 0, 0)[0].low)
