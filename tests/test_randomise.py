"""Random weights, the cascade, rank correlation against SciPy, planted networks and filters."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_pipelines import BadInput
from ferjax import config, train
from ferjax.attribution import fields, pixels, planted, randomise
from ferjax.attribution.network import HEAD, Network
from ferjax.metrics import roc_auc
from ferjax.models import fer_cnn
from ferjax.models.fer_cnn import FerCnn


def network(seed=0, features=(4, 6), shape=(16, 16, 1)):
    model = FerCnn(outputs=3, features=features, dense=8, conv="explicit")
    params = model.init(jax.random.key(seed), jnp.zeros((1, *shape)))["params"]
    head = {"kernel": jax.random.normal(jax.random.key(5), (8, 2)), "bias": jnp.ones(2)}
    return Network(model, params, head, au_names=("AU01", "AU12"))


def pictures(n, seed=0, shape=(16, 16, 1)):
    return np.random.default_rng(seed).integers(0, 256, (n, *shape)).astype(np.uint8)


@partial(jax.jit, static_argnames="layer")
def gradient(net, x, layer, index, key):
    del key
    return jax.grad(lambda x: jnp.take_along_axis(net(x)[layer], index[:, None], 1).sum())(x)


def picture(net, x, layer, index, key):
    """A map that knows no network."""
    del net, layer, index, key
    return x - 0.5


def equal(a, b):
    return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def test_random_network():
    net = network()
    one, again, other = (randomise.random_network(net, seed) for seed in (1, 1, 2))
    assert one.head is None and one.model is net.model and one.au_names == ()
    assert equal(one.params, again.params)
    for name, weights in net.params.items():
        assert weights["kernel"].shape == one.params[name]["kernel"].shape
        assert not np.array_equal(weights["kernel"], one.params[name]["kernel"])
        assert not np.array_equal(other.params[name]["kernel"], one.params[name]["kernel"])
    key = jax.random.fold_in(jax.random.key(1), randomise._APART)
    fresh = net.model.init(key, jnp.zeros((1, 16, 16, 1)))["params"]
    np.testing.assert_allclose(one.params["dense"]["kernel"], fresh["dense"]["kernel"], rtol=1e-6)


def test_random_network_of_an_oblong_colour_image():
    net = network(shape=(8, 20, 3))
    with pytest.raises(ValueError, match="give image_shape"):
        randomise.random_network(net, 0)
    assert randomise.random_network(net, 0, (8, 20, 3))(jnp.zeros((1, 8, 20, 3)))["logits"].shape == (1, 3)
    with pytest.raises(ValueError, match="do not fit images of shape"):
        randomise.random_network(net, 0, (16, 20, 3))
    with pytest.raises(ValueError, match="cannot take images of shape"):
        randomise.random_network(net, 0, (2, 2, 3))
    square = network(shape=(17, 18, 1))  # pooling drops what is left over
    assert randomise._square(square) == (16, 16, 1)


def test_cascade():
    net = network()
    fresh = randomise.random_network(net, 3).params
    steps = list(randomise.cascade(net, 3))
    assert [name for name, _ in steps] == ["logits", "dense", "block2", "block1"]
    for i, (_, other) in enumerate(steps):
        changed = ["logits", "dense", "block2_conv", "block1_conv"][: i + 1]
        for name in net.params:
            assert equal(other.params[name], (fresh if name in changed else net.params)[name])
        assert equal(other.head, net.head)
    assert equal(steps[-1][1].params, fresh)
    named = dict(randomise.cascade(net, 3, target=HEAD))
    assert list(named) == [HEAD, "dense", "block2", "block1"]
    assert equal(named[HEAD].params, net.params) and not equal(named[HEAD].head, net.head)
    assert equal(named["block1"].params["logits"], net.params["logits"])
    assert list(dict(randomise.cascade(net, 3, target="block2/relu"))) == ["block2", "block1"]  # what it sees
    assert list(dict(randomise.cascade(net, 3, target="dense/relu"))) == ["dense", "block2", "block1"]
    with pytest.raises(ValueError, match="no head"):
        next(randomise.cascade(net.replace(head=None), 3, target=HEAD))


def test_a_random_head_has_the_old_ones_spread():
    head = {"kernel": np.random.default_rng(0).normal(size=(5000, 2)) * [1, 30], "bias": np.ones(2)}
    new = randomise._random_head(head, 0)
    np.testing.assert_allclose(new["kernel"].std(0), [1, 30], rtol=0.05)
    assert not new["bias"].any()


def test_spearman_like_scipy():
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 9, (6, 5, 4)), rng.integers(0, 4, (6, 5, 4)) * 1.0
    wanted = [stats.spearmanr(x.ravel(), y.ravel()).statistic for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(randomise.spearman(a, b), wanted, atol=1e-12)
    a[2] = 7
    assert np.isnan(randomise.spearman(a, b)).tolist() == [False, False, True, False, False, False]
    np.testing.assert_allclose(randomise.spearman([[1, 2, 3]], [[10, 20, 90]]), 1)
    np.testing.assert_allclose(randomise.spearman([[1, 2, 3]], [[3, 2, 1]]), -1)
    with pytest.raises(ValueError, match="one shape"):
        randomise.spearman(a, b[:, :4])


def test_run_method():
    net, images = network(), pictures(5, shape=(16, 16, 1))
    index = np.array([0, 1, 2, 0, 1])
    maps = randomise.run_method(gradient, net, images, "logits", index, batch_size=2)
    assert maps.shape == (5, 16, 16) and maps.dtype == np.float32
    for i in range(5):
        one = gradient(
            net, jnp.asarray(images[i : i + 1], jnp.float32) / 255, "logits", index[i : i + 1], None
        )
        np.testing.assert_allclose(maps[i], one[0, :, :, 0], rtol=1e-4, atol=1e-6)
    colour = randomise.run_method(picture, net, pictures(3, shape=(16, 16, 3)), "logits", 0, batch_size=9)
    np.testing.assert_allclose(
        colour, (pictures(3, shape=(16, 16, 3)) / 255 - 0.5).sum(-1), rtol=1e-4, atol=1e-6
    )
    assert randomise.run_method(gradient, net, images[:0], "logits", 0).shape == (0, 16, 16)
    keys = []

    def remembers(net, x, layer, index, key):
        keys.append(key)
        return x

    randomise.run_method(remembers, net, images, "logits", 0, batch_size=2)
    assert len({str(jax.random.key_data(k)) for k in keys}) == 3  # noise is new in every batch
    with pytest.raises(ValueError, match="maps"):
        randomise.run_method(lambda *a: a[1][..., 0], net, images, "logits", 0)
    with pytest.raises(ValueError, match="not finite"):
        randomise.run_method(lambda *a: a[1] / 0, net, images, "logits", 0)


def test_randomisation_test():
    """A gradient notices new weights, a picture does not; both as a loop finds it."""
    net, images = network(), pictures(6)
    subject = np.array(list("aabbcc"))

    def nothing(net, x, layer, index, key):
        return x * 0

    methods = {"gradient": gradient, "picture": picture, "nothing": nothing}
    found = randomise.randomisation_test(
        net, images, methods, "logits", np.array([0, 1, 2, 0, 1, 2]), subject, seeds=(1, 2), batch_size=4
    )
    assert [r.method for r in found] == list(methods)
    assert found[0].layers == ("logits", "dense", "block2", "block1")
    x, index = jnp.asarray(images, jnp.float32) / 255, np.array([0, 1, 2, 0, 1, 2])
    before = np.asarray(gradient(net, x, "logits", index, None))
    wanted = np.zeros((2, 4, 2, 6))
    for s, seed in enumerate((1, 2)):
        for i, (_, other) in enumerate(randomise.cascade(net, seed)):
            after = np.asarray(gradient(other, x, "logits", index, None))
            wanted[s, i] = [
                randomise.spearman(np.abs(before), np.abs(after)),
                randomise.spearman(before, after),
            ]
    np.testing.assert_allclose(found[0].spearman, wanted[:, :, 0].mean((0, 2)), atol=1e-3)
    np.testing.assert_allclose(found[0].signed, wanted[:, :, 1].mean((0, 2)), atol=1e-3)
    assert (found[0].low <= found[0].spearman).all() and (found[0].spearman <= found[0].high).all()
    assert abs(found[0].signed[-1]) < 0.3 and found[0].undefined.tolist() == [0] * 4
    np.testing.assert_allclose(found[1].spearman, 1)
    np.testing.assert_allclose(found[1].signed_low, 1)
    assert np.isnan(found[2].spearman).all() and found[2].undefined.tolist() == [1] * 4
    with pytest.raises(ValueError, match="at least one seed"):
        randomise.randomisation_test(net, images, methods, "logits", 0, subject, seeds=())


def test_only_the_receptive_field_is_compared():
    """A filter's pictures are zero around what it sees, under any weights: there they are not alike."""
    net, images = network(), pictures(6)
    subject, place = np.array(list("aabbcc")), np.array([[0, 0], [7, 7], [3, 2], [0, 7], [4, 4], [1, 6]])
    boxes = fields.receptive_field(net.model, "block1/relu").box(place, images.shape[1:3])
    seen = np.zeros(images.shape[:3], bool)
    for inside, (top, left, bottom, right) in zip(seen, boxes, strict=True):
        inside[top:bottom, left:right] = True
    assert seen.mean() < 0.5
    methods = {"gradient": pixels.gradient, "deconvnet": pixels.deconvnet}
    index = np.array([0, 1, 2, 0, 1, 2])
    said = {"layer": "block1/relu", "index": index, "subject": subject, "position": place}
    everywhere = randomise.randomisation_test(net, images, methods, **said)
    inside = randomise.randomisation_test(net, images, methods, **said, region=seen)
    assert everywhere[1].layers == ("block1",)
    after = dict(randomise.cascade(net, 0, target="block1/relu"))["block1"]
    a, b = (
        randomise.run_method(pixels.deconvnet, n, images, "block1/relu", index, position=place)
        for n in (net, after)
    )
    assert not a[~seen].any() and not b[~seen].any()
    wanted = [randomise.spearman(x[s][None], y[s][None])[0] for x, y, s in zip(a, b, seen, strict=True)]
    np.testing.assert_allclose(inside[1].signed, np.mean(wanted), atol=1e-6)
    assert inside[1].spearman[0] < everywhere[1].spearman[0] - 0.2


def corner(size=16):
    mask = np.zeros((size, size), bool)
    mask[9:12, 2:7] = True
    return mask


@pytest.mark.parametrize("features", [(5,), (4, 6), (4, 4, 4)])
def test_a_planted_network_reads_its_region_only(features):
    mask = corner()
    net, region = planted.planted(mask, features, dense=8, outputs=3, seed=1)
    assert region[mask].all()
    # Cells that the mask touches, and one pixel around, cut at the border: 6 x 8, 6 x 9, 9 x 9.
    assert region.sum() == {1: 48, 2: 54, 3: 81}[len(features)]
    rng = np.random.default_rng(0)
    x = rng.random((64, 16, 16, 1)).astype(np.float32)
    changed = np.where(region[..., None], x, rng.random(x.shape).astype(np.float32))
    run = jax.jit(lambda x: net(x))
    acts, other = run(x), run(changed)
    for name in ("dense", "dense/relu", "logits"):
        np.testing.assert_array_equal(acts[name], other[name])
    assert not np.array_equal(acts["block1/relu"], other["block1/relu"])  # outside it sees, and does not read
    slope = jax.grad(lambda x: run(x)["logits"].sum())(x)
    seen = np.abs(slope[..., 0]).max(0) > 0
    assert not seen[~region].any() and seen[region].all()  # neither more nor less
    assert np.asarray(acts["logits"]).std(0).min() > 1e-3


def test_decoys_cancel_for_the_output_and_for_its_gradient_alone():
    net, region = planted.planted(corner(), (5,), dense=8, outputs=3, decoys=16, seed=1)
    rng = np.random.default_rng(0)
    x = rng.random((32, 16, 16, 1)).astype(np.float32)
    changed = np.where(region[..., None], x, rng.random(x.shape).astype(np.float32))
    run = jax.jit(lambda x: net(x))
    acts, other = run(x), run(changed)
    np.testing.assert_allclose(acts["logits"], other["logits"], atol=1e-5)
    assert np.asarray(acts["logits"]).std() > 0.05
    assert np.abs(acts["dense/relu"] - other["dense/relu"]).max() > 0.1  # they do read

    def positive(net, x, layer, index, key):
        """A rule that drops signs, at the hidden layer."""
        kernel = jnp.maximum(net.params["logits"]["kernel"][:, 0], 0)
        return jax.grad(lambda x: (net(x)["dense/relu"] @ kernel).sum())(x)

    def inside(method):
        images = (x * 255).astype(np.uint8)
        size = np.abs(randomise.run_method(method, net, images, "logits", np.zeros(32, int)))
        return size[:, region].sum() / size.sum()

    slope = randomise.run_method(gradient, net, (x * 255).astype(np.uint8), "logits", np.zeros(32, int))
    assert not slope[:, ~region].any() and (np.abs(slope).max(0)[region] > 0).all()
    assert inside(gradient) == pytest.approx(1) and inside(positive) < 0.8


def test_planted_refuses():
    with pytest.raises(BadInput, match=r"both multiples of 8"):
        planted.planted(np.ones((12, 16), bool), (4, 4, 4))
    with pytest.raises(BadInput, match="no pixel"):
        planted.planted(np.zeros((16, 16), bool))


def test_planted_responses():
    rng = np.random.default_rng(0)
    n = 4000
    subject, emotion = rng.integers(0, 200, n), rng.random(n) < 0.3
    au = np.where(rng.random(n) < 0.9, emotion, ~emotion).astype(int)
    r = planted.planted_responses(au, subject, emotion)
    assert r.shape == (n, 4) and r.dtype == np.float32 and (r >= 0).all()
    for e in (True, False):  # within the emotion: the first tells the unit, the others do not
        rows = emotion == e
        assert roc_auc(au[rows], r[rows, 0]) > 0.85
        assert (
            abs(roc_auc(au[rows], r[rows, 1]) - 0.5) < 0.08
            and abs(roc_auc(au[rows], r[rows, 2]) - 0.5) < 0.08
        )
    for a in (0, 1):
        assert roc_auc(emotion[au == a], r[au == a, 2]) > 0.85
    assert roc_auc(emotion, r[:, 3]) > 0.8
    assert roc_auc(au, r[:, 2]) > 0.7  # through the emotion it seems to know the unit
    means = np.array([r[subject == s, 1].mean() for s in range(200)])
    halves = [np.array([r[np.flatnonzero(subject == s)[k::2], 1].mean() for s in range(200)]) for k in (0, 1)]
    assert np.corrcoef(*halves)[0, 1] > 0.7 and means.std() > 0.1
    np.testing.assert_array_equal(r, planted.planted_responses(au, subject, emotion))
    with pytest.raises(ValueError, match="need three"):
        planted.planted_responses(au[:5], subject, emotion)


def test_drawn_anew_is_never_what_a_training_of_that_seed_began_with():
    c = config.default()
    c.model.features, c.model.dense = (4, 6), 8
    model = fer_cnn.build(c.model, 3)
    begun = train.init_state(c, model, (16, 16, 1)).params
    drawn = randomise.random_network(Network(model, begun), c.seed).params
    for name in begun:
        assert not np.array_equal(begun[name]["kernel"], drawn[name]["kernel"])
