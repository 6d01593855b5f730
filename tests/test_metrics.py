"""Metrics against hand-worked answers and scikit-learn."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax import metrics

# truth \ prediction   a  b  c     a: precision 2/3, recall 2/4   b: 1/2, 1/1   c: 0/0 predicted, 0/1 found
BY_HAND = np.array([[2, 1, 1], [0, 1, 0], [1, 0, 0]])


def cases(n=240, k=4, seed=0, skill=0.4):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, k, n)
    probability = rng.dirichlet(np.ones(k), n)
    probability[np.arange(n), label] += skill
    probability = np.round(probability, 1)  # many ties
    return label, probability / probability.sum(1, keepdims=True)


@pytest.mark.parametrize("array", [np.array, jnp.array])
def test_accuracy_sums_leaves_out_padding_and_unknown_labels(array):
    logits = array([[0.0, 2.0], [3.0, 1.0], [1.0, 1.0], [0.0, 9.0], [0.0, 9.0]])
    label, mask = array([1, 1, 0, -1, 1]), array([True, True, True, True, False])
    for call in (metrics.accuracy_sums, jax.jit(metrics.accuracy_sums)):
        correct, counted = call(logits, label, mask)
        assert (float(correct), float(counted)) == (2.0, 3.0)


def test_confusion_has_truth_in_rows():
    assert metrics.confusion([0, 0, 1], [1, 0, 1], 2).tolist() == [[1, 1], [0, 1]]
    with pytest.raises(ValueError, match=r"label 2 in row 1"):
        metrics.confusion([0, 2], [0, 0], 2)
    with pytest.raises(ValueError, match="2 labels but 1 predictions"):
        metrics.confusion([0, 1], [0], 2)


def test_by_hand():
    assert metrics.accuracy(BY_HAND) == 3 / 6
    np.testing.assert_allclose(metrics.precision(BY_HAND), [2 / 3, 1 / 2, 0])
    np.testing.assert_allclose(metrics.recall(BY_HAND), [1 / 2, 1, 0])
    np.testing.assert_allclose(metrics.f1(BY_HAND), [4 / 7, 2 / 3, 0])
    np.testing.assert_allclose(metrics.uf1(BY_HAND), (4 / 7 + 2 / 3) / 3)
    np.testing.assert_allclose(metrics.uar(BY_HAND), (1 / 2 + 1) / 3)


def test_absent_classes_are_left_out_and_only_predicted_ones_count_as_nought():
    absent = np.zeros((3, 3), int)
    absent[:2, :2] = [[3, 1], [0, 4]]
    assert np.isnan(metrics.f1(absent)[2])
    np.testing.assert_allclose(metrics.uf1(absent), (6 / 7 + 8 / 9) / 2)
    only_predicted = np.array([[3, 0, 1], [0, 4, 0], [0, 0, 0]])
    np.testing.assert_allclose(metrics.uf1(only_predicted), (6 / 7 + 1 + 0) / 3)
    np.testing.assert_allclose(metrics.uar(only_predicted), (3 / 4 + 1) / 2)
    assert np.isnan(metrics.uf1(np.zeros((2, 2)))) and np.isnan(metrics.accuracy(np.zeros((2, 2))))


def test_ranking_by_hand():
    positive, score = [1, 0, 1, 0], [0.9, 0.8, 0.8, 0.1]
    assert metrics.roc_auc(positive, score) == (1 + 0.5 + 1 + 1) / 4
    assert metrics.average_precision(positive, score) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert math.isnan(metrics.roc_auc([1, 1], [0, 1])) and math.isnan(metrics.roc_auc([0, 0], [0, 1]))
    assert metrics.average_precision([1, 1], [0, 1]) == 1 and math.isnan(metrics.average_precision([0], [1]))
    with pytest.raises(ValueError, match="NaN in row 1"):
        metrics.roc_auc([1, 0], [0.5, math.nan])
    with pytest.raises(ValueError, match=r"must be \[n\]"):
        metrics.roc_auc([1, 0], [0.5])


@pytest.mark.parametrize("seed", range(5))
def test_against_scikit_learn(seed):
    sk = pytest.importorskip("sklearn.metrics")
    label, probability = cases(seed=seed)
    scores = metrics.classification(label, probability, "abcd", n_bootstrap=0)
    predicted = probability.argmax(1)
    value = {name: estimate.value for name, estimate in scores.metrics.items()}
    p, r, f, _ = sk.precision_recall_fscore_support(label, predicted)
    expected = {
        "accuracy": sk.accuracy_score(label, predicted),
        "uf1": sk.f1_score(label, predicted, average="macro"),
        "uar": sk.balanced_accuracy_score(label, predicted),
        "auc": sk.roc_auc_score(label, probability, multi_class="ovr"),
        "log_loss": sk.log_loss(label, np.maximum(probability, 1e-12)),
    }
    for i, c in enumerate("abcd"):
        expected |= {f"precision/{c}": p[i], f"recall/{c}": r[i], f"f1/{c}": f[i]}
        expected[f"auc/{c}"] = sk.roc_auc_score(label == i, probability[:, i])
        expected[f"average_precision/{c}"] = sk.average_precision_score(label == i, probability[:, i])
    assert value.keys() == expected.keys()
    for name in expected:
        assert value[name] == pytest.approx(expected[name], abs=1e-6), name
    assert (scores.confusion == sk.confusion_matrix(label, predicted)).all()


def test_every_resample_is_scored_as_if_written_out():
    """The weighted ranking of a resample equals scikit-learn's on the repeated rows."""
    sk = pytest.importorskip("sklearn.metrics")
    label, probability = cases(n=60, k=3)
    rng = np.random.default_rng(1)
    times = np.bincount(rng.integers(0, 60, 60), minlength=60)
    rows = np.repeat(np.arange(60), times)
    auc, ap = metrics._Ranks(label == 1, probability[:, 1])(times[:, None].astype(np.float32))
    assert auc[0] == pytest.approx(sk.roc_auc_score(label[rows] == 1, probability[rows, 1]))
    assert ap[0] == pytest.approx(sk.average_precision_score(label[rows] == 1, probability[rows, 1]))


def test_interval_over_images_is_the_binomial_one():
    rng = np.random.default_rng(2)
    label = np.zeros(400, int)
    probability = np.where(rng.random(400) < 0.7, 0.9, 0.1)
    probability = np.stack([probability, 1 - probability], 1)
    scores = metrics.classification(label, probability, ["a", "b"])
    found = scores.metrics["accuracy"]
    half = 1.96 * math.sqrt(found.value * (1 - found.value) / 400)
    assert found.low == pytest.approx(found.value - half, abs=0.006)
    assert found.high == pytest.approx(found.value + half, abs=0.006)
    assert scores.interval["over"] == "image" and scores.interval["units"] == 400
    assert found.n == 400


def test_interval_over_subjects_keeps_their_images_together():
    """Ten subjects, each all right or all wrong: the subject interval is sqrt(20) times the image one."""
    right = np.repeat([1, 1, 1, 1, 1, 1, 1, 0, 0, 0], 20)
    probability = np.stack([0.2 + 0.6 * right, 0.8 - 0.6 * right], 1)
    label, subjects = np.zeros(200, int), np.repeat([f"s{i}" for i in range(10)], 20)
    by_subject = metrics.classification(label, probability, "ab", subjects)
    by_image = metrics.classification(label, probability, "ab")
    wide, narrow = by_subject.metrics["accuracy"], by_image.metrics["accuracy"]
    assert wide.value == narrow.value == 0.7
    assert 3.5 < (wide.high - wide.low) / (narrow.high - narrow.low) < 5.5
    method = "percentile bootstrap, 2000 resamples, seed 0"
    assert by_subject.interval == {"level": 0.95, "over": "subject", "units": 10, "method": method}
    codes = metrics.classification(label, probability, "ab", np.repeat(np.arange(10), 20))
    assert codes.metrics["accuracy"] == wide


def test_unknown_subjects():
    label, probability = cases()
    nameless = metrics.classification(label, probability, "abcd", [""] * 240, n_bootstrap=10)
    assert nameless.interval["over"] == "image"
    some = metrics.classification(label, probability, "abcd", ["s1"] * 100 + ["s2"] * 100 + [""] * 40, 10)
    assert (some.interval["over"], some.interval["units"]) == ("subject", 42)


def test_undefined_is_nan_with_a_reason():
    probability = np.array([[0.8, 0.1, 0.1], [0.3, 0.6, 0.1], [0.7, 0.2, 0.1]])
    found = metrics.classification([0, 1, 1], probability, ["joy", "fear", "awe"]).metrics
    assert math.isnan(found["recall/awe"].value) and "no example of awe" in found["recall/awe"].reason
    assert math.isnan(found["precision/awe"].value) and "predicted as awe" in found["precision/awe"].reason
    assert math.isnan(found["f1/awe"].value) and "neither" in found["f1/awe"].reason
    assert math.isnan(found["auc/awe"].value) and math.isnan(found["average_precision/awe"].value)
    assert found["uf1"].value == pytest.approx((2 / 3 + 2 / 3) / 2)
    single = metrics.classification([0, 0], probability[:2], ["joy", "fear", "awe"], ["s", "s"]).metrics
    assert single["accuracy"].value == 0.5 and math.isnan(single["accuracy"].low)
    assert "no interval from 1 subject" in single["accuracy"].reason
    assert "one true class" in single["auc"].reason


def test_class_counts_and_unknown_labels():
    label, probability = cases()
    label = label.copy()
    label[:40] = -1
    scores = metrics.classification(label, probability, "abcd", n_bootstrap=0)
    assert scores.unlabelled == 40 and scores.confusion.sum() == 200 == scores.metrics["uf1"].n
    assert scores.metrics["recall/a"].n == (label == 0).sum()
    assert scores.metrics["precision/a"].n == scores.confusion[:, 0].sum()


def test_same_arguments_same_intervals():
    label, probability = cases()
    first, again = (
        metrics.classification(label, probability, "abcd", n_bootstrap=50, seed=3) for _ in range(2)
    )
    assert first.metrics == again.metrics
    other = metrics.classification(label, probability, "abcd", n_bootstrap=50, seed=4)
    assert first.metrics["accuracy"] != other.metrics["accuracy"]


def test_bad_input_names_the_row():
    label, probability = cases(n=5)

    def broken(row, value):
        copy = probability.copy()
        copy[row] = value
        return copy

    for bad_label, bad_probability, groups, words in [
        (label, broken(3, math.nan), None, "NaN or infinite in row 3"),
        (label, broken(2, 5.0), None, "row 2 sums to 20 .*logits"),
        (label, probability[:4], None, r"shape \(4, 4\); .* need \(5, 4\)"),
        ([0, 1, 4, 0, 0], probability, None, "label 4 in row 2"),
        ([0.5] * 5, probability, None, "whole numbers"),
        ([-1] * 5, probability, None, "no labelled row among 5"),
        (label, probability, ["a"], "groups has shape"),
    ]:
        with pytest.raises(ValueError, match=words):
            metrics.classification(bad_label, bad_probability, "abcd", groups)
