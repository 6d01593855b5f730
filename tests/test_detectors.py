"""Detectors on cached features: one program equals one after the other; unknowns count nothing."""

import numpy as np
import pytest
from sklearn import metrics as oracle

from ferjax import au_metrics, detectors
from ferjax.detectors import Recipe

QUICK = Recipe(hidden=8, steps=60, batch=32, looks=3)


def planted(n=240, d=12, u=3, seed=0):
    """Features of which number j tells unit j, with noise: (features, codes)."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)).astype(np.float32) * 3 + 5
    code = (x[:, :u] + rng.normal(size=(n, u)) > 6).astype(np.int8)
    return x, code


def test_vmapped_equals_looped_over_the_first_20_steps():
    one = detectors.fit(planted(), planted(seed=1), QUICK, seeds=2)
    other = detectors.fit(planted(), planted(seed=1), QUICK, seeds=2, looped=True)
    assert one.batch_loss.shape == (60, 6)
    np.testing.assert_allclose(one.batch_loss[:20], other.batch_loss[:20], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("hidden", [0, 8])
def test_planted_units_are_found_on_new_inputs(joint, hidden):
    recipe = QUICK._replace(hidden=hidden, steps=600, rate=1e-2)
    fitted = detectors.fit(planted(), planted(seed=1), recipe, seeds=2, joint=joint)
    x, code = planted(seed=2)
    told = detectors.scores(fitted, x, 2, joint)
    assert told.shape == (2, len(x), 3)
    for s in range(2):
        for u in range(3):
            assert oracle.roc_auc_score(code[:, u], told[s, :, u]) > 0.9


def test_a_feature_that_is_constant_in_training_carries_no_weight():
    """A unit of the network that is dead on the training people may fire on others."""
    recipe = QUICK._replace(steps=600, rate=1e-2)
    (x, code), (xs, cs), (xt, ct) = planted(), planted(seed=1), planted(seed=2)
    dead = [np.concatenate([part, np.zeros((len(part), 1), np.float32)], 1) for part in (x, xs, xt)]
    dead[1][::5, -1], dead[2][::5, -1] = 0.3, 0.3
    fitted = detectors.fit((dead[0], code), (dead[1], cs), recipe)
    told = detectors.scores(fitted, dead[2], 1, False)[0]
    dead[2][:, -1] = 0
    np.testing.assert_array_equal(detectors.scores(fitted, dead[2], 1, False)[0], told)
    assert min(oracle.roc_auc_score(ct[:, u], told[:, u]) for u in range(3)) > 0.9


def test_an_unknown_code_changes_no_bit():
    x, code = planted()
    code[:50, 1] = -1
    fitted = detectors.fit((x, code), planted(seed=1), QUICK)
    weight = detectors.weights_of(code, True)
    np.testing.assert_allclose(weight[code[:, 1] == 1, 1].sum(), weight[code[:, 1] == 0, 1].sum(), rtol=1e-5)
    params = {k: {n: v[1] for n, v in p.items()} for k, p in fitted.params.items()}
    target = np.maximum(code, 0)[:, 1:2].astype(np.float32)
    value = detectors.loss(params, x, target, weight[:, 1:2], False)
    target[:50] = 1 - target[:50]
    assert detectors.loss(params, x, target, weight[:, 1:2], False) == value
    target[50:] = 1 - target[50:]
    assert detectors.loss(params, x, target, weight[:, 1:2], False) != value


def test_the_best_look_is_kept_by_the_selecting_part_alone():
    train, select = planted(), planted(seed=1)
    fitted = detectors.fit(train, select, QUICK)
    told = detectors.scores(fitted, select[0], 1, False)[0]
    weight = detectors.weights_of(select[1], True)
    each = np.log1p(np.exp(-np.where(select[1] == 1, told, -told)))
    kept = (weight * each).sum(0) / weight.sum(0)
    np.testing.assert_allclose(kept, fitted.select_loss.min(0), rtol=1e-4)


def test_intensities_are_regressed_on_graded_inputs():
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 5, (300, 6)).astype(np.float32)
    code = np.round(x[:, :2])
    code[::7, 0] = -1
    recipe = QUICK._replace(hidden=0, steps=900, rate=3e-2, decay=0.0)
    fitted = detectors.fit((x[:200], code[:200]), (x[200:250], code[200:250]), recipe, graded=True)
    told = detectors.scores(fitted, x[250:], 1, False)[0]
    assert au_metrics.icc(x[250:, 1], told[:, 1]) > 0.9


def test_icc_by_hand_and_by_its_formula():
    """Ratings 1 3 5 and 2 4 6: the raters differ by a constant, which consistency forgives."""
    assert au_metrics.icc(np.array([1.0, 3, 5]), np.array([2.0, 4, 6])) == pytest.approx(1.0)
    # 1 2 3 against 3 2 1: between-subject variance 0
    assert au_metrics.icc(np.array([1.0, 2, 3]), np.array([3.0, 2, 1])) == pytest.approx(-1.0)
    a, b = np.array([0.0, 0, 4, 4]), np.array([0.0, 4, 0, 4])
    # BMS = 2 * (4 + 0 + 0 + 4) / 3 = 16 / 3; residuals 0 2 2 0 each twice: EMS = 16 / 3
    assert au_metrics.icc(a, b) == pytest.approx(0.0)
    assert np.isnan(au_metrics.icc(np.array([1.0]), np.array([1.0])))


def test_thresholds_by_hand():
    present = np.array([[1], [1], [0], [1], [0]])
    score = np.array([[0.9], [0.8], [0.7], [0.6], [0.1]])
    # at 0.6: 3 hits of 4 said and 3 true: F1 = 6 / 7, the best; halfway to 0.1
    assert au_metrics.best_thresholds(present, score)[0] == pytest.approx(0.35)
    assert np.isinf(au_metrics.best_thresholds(np.array([[0], [-1]]), score[:2])[0])


def test_thresholds_do_not_part_equal_scores():
    present, score = np.array([[1], [0], [1]]), np.array([[0.5], [0.5], [0.2]])
    at = au_metrics.best_thresholds(present, score)[0]
    assert (score[:, 0] >= at).tolist() == [True, True, True]


def test_detection_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    present = rng.integers(-1, 2, (200, 3))
    score = rng.normal(size=(200, 3)) + present
    threshold = np.array([0.3, 0.5, 0.0])
    subject = np.array([f"s{i % 9}" for i in range(200)])
    got = au_metrics.detection(present, score, ("AU01", "AU02", "AU04"), threshold, subject, 200)
    f1s = []
    for j, au in enumerate(("AU01", "AU02", "AU04")):
        k = present[:, j] >= 0
        y, s = present[k, j], score[k, j]
        f1s.append(oracle.f1_score(y, s >= threshold[j]))
        assert got.metrics[f"f1/{au}"].value == pytest.approx(f1s[-1])
        assert got.metrics[f"auc/{au}"].value == pytest.approx(oracle.roc_auc_score(y, s))
        ap = oracle.average_precision_score(y, s)
        assert got.metrics[f"average_precision/{au}"].value == pytest.approx(ap)
        assert got.metrics[f"prevalence/{au}"].value == pytest.approx(y.mean())
    e = got.metrics["f1"]
    assert e.value == pytest.approx(np.mean(f1s)) and e.low < e.value < e.high
    assert got.interval["over"] == "subject" and got.interval["units"] == 9


def test_a_unit_that_is_nowhere_is_undefined_and_not_in_the_mean():
    present = np.array([[1, 0], [0, 0], [1, 0], [0, 0]])
    score = np.array([[0.9, 0.1], [0.1, 0.9], [0.8, 0.3], [0.2, 0.1]])
    got = au_metrics.detection(present, score, ("AU01", "AU02"), np.array([0.5, 0.5]), np.array([*"abcd"]), 0)
    assert got.metrics["f1"].value == 1.0 and np.isnan(got.metrics["f1/AU02"].value)
    assert "present in 0 of 4" in got.metrics["f1/AU02"].reason
