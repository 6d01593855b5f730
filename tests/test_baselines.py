"""The baselines of micro-expression recognition: planted answers, chance, no leak."""

import numpy as np
import pytest

from data_pipelines import BadInput
from ferjax import metrics
from ferjax.micro import baselines


def cases(n=48, d=12, k=3, people=6, seed=0, signal=4.0):
    """Clips whose class shifts k features, of people who shift all of them; labels go round."""
    rng = np.random.default_rng(seed)
    label, person = np.arange(n) % k, np.arange(n) // (n // people)
    x = rng.normal(size=(n, d)) + rng.normal(size=(people, d))[person]
    x[np.arange(n), label] += signal
    x[:, -1] = 5.0  # constant: standardising must not divide by nothing
    return x.astype(np.float32), label, np.array([f"p{p}" for p in person])


def test_majority_by_hand():
    share = baselines.majority(np.array([2, 0, 2, 2, 0]), 4)
    assert share.tolist() == [0.4, 0, 0.6, 0]
    with pytest.raises(ValueError, match="no clip"):
        baselines.majority(np.zeros(0, int), 2)


def test_separable_classes_are_told():
    x, label, subject = cases(signal=12.0)
    probability = baselines.lbp_top_loso(x, label, subject, 3)
    assert (probability.argmax(1) == label).all()
    scores = metrics.classification(label, probability, ("a", "b", "c"), subject, n_bootstrap=0)
    assert scores.metrics["accuracy"].value == 1.0


def test_shuffled_labels_are_near_chance():
    right = []
    for seed in range(6):
        x, label, subject = cases(signal=12.0, seed=seed)
        label = np.random.default_rng(seed).permutation(label)
        right.append((baselines.lbp_top_loso(x, label, subject, 3).argmax(1) == label).mean())
    assert 0.2 < np.mean(right) < 0.45  # of 288 clips a third, give or take 4 standard errors


def test_nobody_held_out_is_in_any_fit(monkeypatch):
    """The first feature is the person: no training matrix may have the person's that it is used to tell."""
    x, label, _ = cases()
    person = np.arange(48) // 8
    x[:, 0] = person
    calls, fit = [], baselines.svm_path

    def spy(train_x, train_y, test_x, k, c_grid):
        calls.append((set(train_x[:, 0].astype(int)), set(test_x[:, 0].astype(int)), len(c_grid)))
        np.testing.assert_array_equal(train_x, x[np.isin(x[:, 0], train_x[:, 0])])
        return fit(train_x, train_y, test_x, k, c_grid)

    monkeypatch.setattr(baselines, "svm_path", spy)
    baselines.lbp_top_loso(x, label, person, 3)
    assert len(calls) == 6 * (5 + 1)
    for held in range(6):
        *inner, (train, test, grid) = calls[6 * held : 6 * held + 6]
        others = set(range(6)) - {held}
        assert (train, test, grid) == (others, {held}, 1)
        assert [(a | b, b) for a, b, _ in inner] == [(others, {s}) for s in sorted(others)]


def test_what_others_are_told_does_not_depend_on_the_held_out_clips():
    x, label, subject = cases()
    other, changed = label.copy(), x.copy()
    held = subject == "p2"
    other[held], changed[held] = 0, 100.0
    alone = baselines.lbp_top_loso(x, other, subject, 3)
    np.testing.assert_array_equal(alone[held], baselines.lbp_top_loso(x, label, subject, 3)[held])
    moved = baselines.lbp_top_loso(changed, label, subject, 3)
    assert (moved[~held] != alone[~held]).any()


def test_a_class_that_a_fold_lacks_and_two_classes():
    x, label, subject = cases(signal=12.0)
    p0 = subject == "p0"
    x[p0, :3], x[p0, 3], label = 0, 12, np.where(p0, 3, label)  # a class of one person only
    probability = baselines.lbp_top_loso(x, label, subject, 5)
    np.testing.assert_allclose(probability.sum(1), 1)
    assert (probability[p0, 3:] == 0).all() and (probability[:, 4] == 0).all()
    assert (probability.argmax(1) == label)[~p0].all()
    two = baselines.svm(x[:40], label[:40] % 2, x[40:], 2, 1.0)
    np.testing.assert_allclose(two.sum(1), 1)
    one = baselines.svm(x[:5], np.full(5, 2), x[40:], 4, 1.0)
    assert (one == [0, 0, 1, 0]).all()


@pytest.mark.parametrize("k", [2, 3])
def test_like_scikit_learn_on_standardised_features(k):
    svm = pytest.importorskip("sklearn.svm")
    x, label, _ = cases(k=k, n=60, signal=1.5, seed=3)
    mean, spread = x[:40].mean(0), np.where(x[:40].std(0) > 1e-9, x[:40].std(0), 1)
    machine = svm.SVC(C=0.5 / x.shape[1], kernel="linear", class_weight="balanced", tol=1e-6)
    machine.fit((x[:40] - mean) / spread, label[:40])
    margin = machine.decision_function((x[40:] - mean) / spread)
    ours = baselines.svm(x[:40], label[:40], x[40:], k, 0.5)
    if k == 2:
        np.testing.assert_allclose(np.log(ours[:, 1] / ours[:, 0]), margin, atol=5e-3)
    else:
        expected = np.exp(margin) / np.exp(margin).sum(1, keepdims=True)
        np.testing.assert_allclose(ours, expected, atol=5e-3)


def test_c_is_chosen_by_the_others():
    """Against labels that hang on one small feature among noise a larger C wins; the choice is repeated."""
    x, label, subject = cases(k=2, signal=3.0)
    chosen = {baselines.choose_c(x, label, subject, 2) for _ in range(2)}
    assert len(chosen) == 1
    right = {}
    for c in baselines.C_GRID:
        told = np.zeros(len(label), int)
        for person in np.unique(subject):
            out = subject == person
            told[out] = baselines.svm(x[~out], label[~out], x[out], 2, c).argmax(1)
        right[c] = (told == label).sum()
    assert chosen == {max(baselines.C_GRID, key=right.get)}
    assert baselines.choose_c(x[:8], label[:8], subject[:8], 2) == baselines.C_GRID[0]  # one person


def test_a_single_subject():
    x, label, _ = cases()
    with pytest.raises(BadInput, match="all 48 clips are of one"):
        baselines.lbp_top_loso(x, label, np.array(["p"] * 48), 3)
