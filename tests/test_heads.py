"""The action-unit head against scikit-learn; gradient times activation against differences and by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_pipelines import BadInput
from ferjax import metrics
from ferjax.attribution import heads
from ferjax.attribution.network import HEAD, Network
from ferjax.models.fer_cnn import FerCnn


def cases(n=200, d=6, u=3, seed=0, unknown=0.1, people=10):
    """Features of very different sizes, one constant; units that depend on them, some codes unknown."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)) * 10.0 ** rng.integers(-2, 3, d) + rng.normal(size=d)
    x[:, -1] = 3.0
    z = (x - x.mean(0)) / np.maximum(x.std(0), 1e-9) @ rng.normal(size=(d, u)) + rng.normal(size=u)
    present = (z + rng.logistic(size=z.shape) > 0).astype(np.int8)
    present[rng.random(z.shape) < unknown] = -1
    return x, present, np.array([f"S{i % people}" for i in range(n)])


@pytest.mark.parametrize("strength", [1.0, 0.01, 1e-4])
@pytest.mark.parametrize(("n", "d"), [(200, 6), (40, 90)])
def test_like_scikit_learn(strength, n, d):
    linear = pytest.importorskip("sklearn.linear_model")
    x, present, subject = cases(n, d)
    head = heads.fit_head(x, present, subject, strength)
    assert head["kernel"].shape == (d, 3) and head["kernel"].dtype == head["bias"].dtype == np.float32
    standard = (x - x.mean(0)) / np.where(x.std(0) > 1e-9, x.std(0), 1)
    for u in range(3):
        known = present[:, u] >= 0
        model = linear.LogisticRegression(
            C=1 / (strength * known.sum()), class_weight="balanced", tol=1e-10, max_iter=100_000
        )
        model.fit(standard[known], present[known, u])
        z = x @ head["kernel"][:, u].astype(np.float64) + head["bias"][u]
        np.testing.assert_allclose(z, model.decision_function(standard), rtol=1e-3, atol=2e-3)


def test_the_gradient_of_the_loss_vanishes():
    """The optimum's own condition, in standardised features: no library asked."""
    x, present, subject = cases(unknown=0.3)
    strength = np.array([0.3, 0.02, 0.003])
    head = heads.fit_head(x, present, subject, strength)
    z = x @ head["kernel"].astype(np.float64) + head["bias"]
    standard = (x - x.mean(0)) / np.where(x.std(0) > 1e-9, x.std(0), 1)
    for u in range(3):
        known = present[:, u] >= 0
        y = present[known, u]
        w = np.where(y == 1, 0.5 / (y == 1).sum(), 0.5 / (y == 0).sum())
        error = w * (1 / (1 + np.exp(-z[known, u])) - y)
        on_standard = head["kernel"][:, u] * np.where(x.std(0) > 1e-9, x.std(0), 0)
        np.testing.assert_allclose(error.sum(), 0, atol=1e-5)
        np.testing.assert_allclose(standard[known].T @ error, -strength[u] * on_standard, atol=1e-5)


def test_unknown_rows_and_units_alone_change_nothing():
    x, present, subject = cases()
    together = heads.fit_head(x, present, subject, 0.01)
    alone = heads.fit_head(x, present[:, 1:2], subject, 0.01)
    np.testing.assert_allclose(together["kernel"][:, 1], alone["kernel"][:, 0], rtol=1e-4, atol=1e-6)
    again = heads.fit_head(x, present, subject, 0.01)
    np.testing.assert_array_equal(together["kernel"], again["kernel"])


def test_a_unit_never_or_always_there_has_an_empty_column():
    x, present, subject = cases()
    present[:, 0], present[:, 2] = 0, np.where(np.arange(len(x)) % 2, 1, -1)
    head = heads.fit_head(x, present, subject)
    assert not head["kernel"][:, [0, 2]].any() and not head["bias"][[0, 2]].any()
    assert head["kernel"][:, 1].any() and np.isfinite(head["kernel"]).all()


def test_separable_rows_and_constant_features():
    x = np.array([[0.0], [0.1], [1.0], [1.1]])
    head = heads.fit_head(x, np.array([[0], [0], [1], [1]]), np.array(list("abab")), 1e-3)
    z = heads.head_logits(head, x)[:, 0]
    assert np.isfinite(z).all() and (z[:2] < -2).all() and (z[2:] > 2).all()
    empty = heads.fit_head(np.full((4, 3), 7.0), np.array([[0], [0], [0], [1]]), np.array(list("abab")), 0.1)
    assert not empty["kernel"].any() and abs(empty["bias"][0]) < 1e-6  # balanced: even odds


def test_the_strength_is_chosen_on_subjects_left_out():
    """Features that only name the subject must be shrunk; a feature that carries over must not."""
    rng = np.random.default_rng(0)
    people, each = 24, 6
    subject = np.repeat([f"S{i:02d}" for i in range(people)], each)
    truth = rng.random((people * each, 2)) < 0.5
    mood = np.repeat(rng.random(people) < 0.5, each)
    truth[:, 1] = np.where(rng.random(len(truth)) < 0.9, mood, ~mood)  # nearly the same within a subject
    names = np.repeat(np.eye(people), each, 0)
    signal = truth[:, :1] + 0.05 * rng.normal(size=(len(truth), 1))
    x = np.concatenate([names, signal], 1)
    strength = heads.choose_strength(x, truth.astype(int), subject)
    assert strength[1] == max(heads.STRENGTHS) and strength[0] < 0.1
    leaky = heads.choose_strength(x, truth.astype(int), np.array([f"r{i}" for i in range(len(x))]))
    assert leaky[1] < strength[1]  # rows of one subject on both sides: the names seem to help


def test_folds_keep_subjects_together():
    subject = np.array(["a", "b", "", "a", "", "c", "d"])
    fold = heads._folds(subject, 3, 0)
    assert fold[0] == fold[3] and set(fold) == {0, 1, 2}
    np.testing.assert_array_equal(fold, heads._folds(subject, 3, 0))
    sizes = np.bincount(heads._folds(np.array([f"s{i}" for i in range(100)]), 3, 1))
    assert sizes.tolist() == [34, 33, 33]
    with pytest.raises(BadInput, match=r"all 2 inputs .* of one subject, 'a'"):
        heads.fit_head(np.eye(2), np.eye(2, dtype=int), np.array(["a", "a"]))


def test_held_out_auc():
    x, present, subject = cases(300, people=20)
    inside = np.isin(subject, [f"S{i}" for i in range(10)])
    head = heads.fit_head(x[inside], present[inside], subject[inside])
    logits = heads.head_logits(head, x[~inside])
    found = heads.head_auc(logits, present[~inside], subject[~inside], n_bootstrap=500)
    for u, estimate in enumerate(found):
        known = present[~inside, u] >= 0
        a, z, s = present[~inside, u][known], logits[known, u], subject[~inside][known]
        assert estimate.value == pytest.approx(metrics.roc_auc(a == 1, z), abs=1e-12)
        assert estimate.n == (a == 1).sum() and estimate.value > 0.7
        rng, drawn, names = np.random.default_rng(1), [], np.unique(s)
        for _ in range(500):
            rows = np.concatenate([np.flatnonzero(s == k) for k in rng.choice(names, len(names))])
            drawn.append(metrics.roc_auc(a[rows] == 1, z[rows]))
        np.testing.assert_allclose(
            [estimate.low, estimate.high], np.percentile(drawn, [2.5, 97.5]), atol=0.02
        )
    none = present[~inside].copy()
    none[:, 0], none[:, 1] = 0, -1
    found = heads.head_auc(logits, none, subject[~inside], n_bootstrap=10)
    assert np.isnan(found[0].value) and found[0].reason and np.isnan(found[1].value) and found[1].reason


def test_refuses():
    x, present, subject = cases(20)
    with pytest.raises(ValueError, match=r"need \[n, d\]"):
        heads.fit_head(x[:10], present, subject)
    with pytest.raises(ValueError, match="a code other than 1"):
        heads.fit_head(x, present + 4, subject)
    with pytest.raises(ValueError, match="strength is 0"):
        heads.fit_head(x, present, subject, 0.0)
    with pytest.raises(ValueError, match="two folds"):
        heads.choose_strength(x, present, subject, folds=1)
    x[3, 0] = np.nan
    with pytest.raises(ValueError, match="row 3 is not finite"):
        heads.fit_head(x, present, subject)


def with_head(seed=0, u=3, bias=0.0, head_layer="dense/relu"):
    model = FerCnn(outputs=3, features=(4, 6), dense=8, conv="explicit")
    params = model.init(jax.random.key(seed), jnp.zeros((1, 16, 16, 1)))["params"]
    d = {"dense/relu": 8, "block2/pool": 4 * 4 * 6}[head_layer]
    kernel = jax.random.normal(jax.random.key(seed + 9), (d, u))
    return Network(model, params, {"kernel": kernel, "bias": jnp.full(u, bias)}, head_layer)


def pictures(n, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, 16, 16, 1)).astype(np.uint8)


def test_gradient_x_activation_equals_a_loop():
    net, images = with_head(), pictures(7)
    present = np.array([[1, 0, -1], [0, 0, 1], [1, 0, 1], [-1, 0, 0], [0, 0, 0], [1, 0, -1], [0, 0, 1]])
    layers = ("block1/relu", "block2/relu")
    each = np.zeros((7, 10, 3))
    for i, image in enumerate(images):
        x = jnp.asarray(image[None], jnp.float32) / 255
        acts = net(x)
        for u in range(3):
            for name, first in (("block1/relu", 0), ("block2/relu", 4)):

                def logit(a, name=name, u=u, x=x):
                    return net(x, edit=lambda n, b: a if n == name else b)[HEAD][0, u]

                product = jax.grad(logit)(acts[name]) * acts[name]
                each[i, first : first + product.shape[-1], u] = product.sum((0, 1, 2))
    for options in ({}, {"batch_size": 2, "chunk": 1}, {"batch_size": 3, "chunk": 2}):
        got = heads.gradient_x_activation(net, images, present, layers, **options)
        assert got.layer.tolist() == ["block1/relu"] * 4 + ["block2/relu"] * 6
        assert got.filter.tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 4, 5]
        for u in range(3):
            shown, not_shown = present[:, u] == 1, present[:, u] == 0
            np.testing.assert_allclose(got.absent[:, u], each[not_shown, :, u].mean(0), rtol=1e-4, atol=1e-6)
            if shown.any():
                np.testing.assert_allclose(got.present[:, u], each[shown, :, u].mean(0), rtol=1e-4, atol=1e-6)
            else:
                assert np.isnan(got.present[:, u]).all()


def test_gradient_x_activation_is_complete_where_the_network_is_linear():
    """From the last block's map on, a head on the pooled map has no further ReLU: the sum is the logit."""
    net, images = with_head(head_layer="block2/pool", bias=0.7), pictures(5)
    got = heads.gradient_x_activation(net, images, np.ones((5, 3), int), ("block2/relu",))
    logits = net(jnp.asarray(images, jnp.float32) / 255)[HEAD]
    np.testing.assert_allclose(got.present.sum(0), logits.mean(0) - 0.7, rtol=1e-4)
    # Pooling and ReLU are piecewise linear and no bias is left: complete at every layer.
    net.params["block2_conv"]["bias"] = jnp.zeros(6)
    net.params["dense"]["bias"] = jnp.zeros(8)
    net = with_head().replace(params=net.params)
    got = heads.gradient_x_activation(net, images, np.ones((5, 3), int))
    logits = net(jnp.asarray(images, jnp.float32) / 255)[HEAD].mean(0)
    for layer in ("block1/relu", "block2/relu"):
        np.testing.assert_allclose(got.present[got.layer == layer].sum(0), logits, rtol=1e-3, atol=1e-5)


def test_gradient_x_activation_against_differences():
    """Scaling one filter's map by 1 + e changes the logit by e times gradient times activation."""
    net, images = with_head(), pictures(1)
    x = jnp.asarray(images, jnp.float32) / 255
    got = heads.gradient_x_activation(net, images, np.ones((1, 3), int), ("block1/relu",))
    e = 1e-3
    for j in range(4):

        def scaled(by, j=j):
            gain = jnp.ones(4).at[j].set(by)
            return net(x, edit=lambda n, a: a * gain if n == "block1/relu" else a)[HEAD][0]

        difference = (scaled(1 + e) - scaled(1 - e)) / (2 * e)
        np.testing.assert_allclose(got.present[j], difference, rtol=0.02, atol=2e-3)


def test_gradient_x_activation_refuses():
    net, images = with_head(), pictures(2)
    with pytest.raises(ValueError, match="needs a head"):
        heads.gradient_x_activation(net.replace(head=None), images, np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"present has shape \(2, 2\)"):
        heads.gradient_x_activation(net, images, np.ones((2, 2)))
    with pytest.raises(BadInput, match="block7"):
        heads.gradient_x_activation(net, images, np.ones((2, 3)), ("block7/relu",))
