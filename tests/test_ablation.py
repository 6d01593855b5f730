"""Ablation against a loop over images and filters, draws and intervals by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_pipelines import BadInput
from ferjax.attribution import ablation, subjects
from ferjax.attribution.network import HEAD, Network
from ferjax.models.fer_cnn import FerCnn

LAYERS = {"block1/conv": 4, "block1/relu": 4, "block2/relu": 6, "block2/pool": 6}


def network(seed=0, u=3, features=(4, 6), size=16):
    model = FerCnn(outputs=3, features=features, dense=8, conv="explicit")
    params = model.init(jax.random.key(seed), jnp.zeros((1, size, size, 1)))["params"]
    kernel = jax.random.normal(jax.random.key(seed + 9), (8, u))
    return Network(model, params, {"kernel": kernel, "bias": jnp.arange(float(u))})


def pictures(n, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, 16, 16, 1)).astype(np.uint8)


def as_input(images):
    return jnp.asarray(images, jnp.float32) / 255


@pytest.mark.parametrize("layer", LAYERS)
def test_equals_editing_one_image_at_a_time(layer):
    net, images, calm = network(), pictures(5), pictures(7, 1)
    neutral = ablation.neutral_mean(net, calm, layer, batch_size=3)
    acts = net(as_input(calm))
    np.testing.assert_allclose(neutral, acts[layer].mean(0), rtol=1e-5, atol=1e-6)
    masks = np.random.default_rng(0).random((4, LAYERS[layer])) < 0.4
    masks[0], masks[1] = False, True
    for given in (neutral, neutral.mean((0, 1))):
        base, ablated = ablation.ablated_logits(net, images, layer, masks, given, batch_size=2)
        assert base.shape == (5, 3) and ablated.shape == (4, 5, 3)
        np.testing.assert_allclose(base, net(as_input(images))[HEAD], rtol=1e-5, atol=1e-5)
        for m, mask in enumerate(masks):
            for i, image in enumerate(images):

                def edit(name, a, mask=mask, given=given):
                    if name != layer:
                        return a
                    for j in np.flatnonzero(mask):
                        a = a.at[..., j].set(given[..., j])
                    return a

                wanted = net(as_input(image[None]), edit=edit)[HEAD][0]
                np.testing.assert_allclose(ablated[m, i], wanted, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(ablated[0], base, atol=1e-6)
    assert ablation.ablated_logits(net, images, layer, masks[:0], neutral)[1].shape == (0, 5, 3)


def test_earlier_blocks_are_not_computed_again():
    """Of a network of three blocks, what is left after each block's map in convolutions and input."""
    net = network(features=(4, 6, 5))
    shapes = {"block1/relu": (16, 16, 4), "block2/relu": (8, 8, 6), "block3/relu": (4, 4, 5)}
    for left, (layer, shape) in zip((2, 1, 0), shapes.items(), strict=True):
        program = ablation._from_layer.lower(
            net, pictures(3), jnp.zeros((3, *shape)), np.zeros(shape[2], bool), jnp.zeros(shape), layer=layer
        ).compile()
        text = program.as_text()
        assert text.count(" convolution(") == left
        assert "u8[" not in text  # the images are not even looked at


def test_one_program_serves_all_masks():
    net, images = network(), pictures(6)
    ablation._from_layer.clear_cache()
    ablation.ablated_logits(
        net, images, "block2/relu", np.eye(6, dtype=bool), np.zeros(6, np.float32), batch_size=4
    )
    assert ablation._from_layer._cache_size() == 1


def test_nearest_and_draws_by_hand():
    mean = np.array([1.0, 1.1, 5.0, 0.8, 1.05, 9.0])
    allowed = np.array([1, 1, 1, 1, 0, 1], bool)
    assert ablation.nearest_filters(mean, 0, allowed, 3).tolist() == [1, 3, 2]
    assert ablation.nearest_filters(mean, 5, allowed, 9).tolist() == [2, 1, 0, 3]
    draws = ablation.matched_draws(mean, [0, 5], allowed, draws=500, nearest=2, seed=3)
    assert draws.shape == (500, 2)
    pairs = {tuple(row) for row in draws.tolist()}
    # 0's nearest are 1 and 3, 5's are 2 and 1; where 1 is taken, the other goes on to its third.
    assert pairs == {(1, 2), (3, 2), (3, 1), (1, 3), (2, 1)}
    assert all(a != b and a not in (0, 5) and b not in (0, 5) for a, b in pairs)
    np.testing.assert_array_equal(
        draws, ablation.matched_draws(mean, [0, 5], allowed, draws=500, nearest=2, seed=3)
    )
    single = ablation.matched_draws(mean, [2], allowed, draws=300, nearest=3)
    assert set(single[:, 0].tolist()) == {0, 1, 5} and abs((single == 0).mean() - 1 / 3) < 0.1
    assert ablation.matched_draws(mean, [0, 1], np.zeros(6, bool)).shape == (0, 2)
    with pytest.raises(ValueError, match="must be some of 0 to 5"):
        ablation.matched_draws(mean, [6], allowed)
    with pytest.raises(ValueError, match="must be some of"):
        ablation.matched_draws(mean, [], allowed)


def test_compare_by_hand():
    base = np.array([[3.0, 1.0], [5.0, 2.0], [1.0, 7.0], [4.0, 0.0]])
    ablated = np.array([[1.0, 1.0], [1.0, 2.0], [1.0, 4.0], [9.0, 9.0]])
    present = np.array([[1, 0], [1, 1], [0, 1], [-1, 0]])
    random = base - np.array([0.5, 1.5, 1.0, 0.0])[:, None, None]
    got = ablation.compare(base, ablated, random, present, np.array(list("aabb")), 0, 0.8, 20)
    assert got.drop == 3.0 and got.n == 2 and got.subjects == 1
    assert np.isnan(got.low) and np.isnan(got.high)  # one subject
    assert got.others_drop == 1.5  # the other unit's, on inputs that show it: (0 + 3) / 2
    np.testing.assert_allclose(got.random, [0.5, 1.5, 1.0, 0.0])
    assert got.random_mean == 0.75 and got.random_95 == 1.5 and got.stronger and got.share == 0.8
    for far, sets in ((0.79, 20), (1.26, 20), (np.nan, 20), (1.0, 19)):  # not alike, or too few sets
        other = ablation.compare(base, ablated, random, present, np.array(list("aabb")), 0, far, sets)
        assert other.stronger is None and other.drop == 3.0
    none = ablation.compare(base, ablated, random[:0], present, np.array(list("abcd")), 1, np.nan, 0)
    assert np.isnan(none.random_95) and none.stronger is None and none.low <= none.drop == 1.5 <= none.high
    never = ablation.compare(base, ablated, random, present * 0, np.array(list("abcd")), 1, 1.0, 20)
    assert np.isnan(never.drop) and never.n == 0 and never.stronger is None and np.isnan(never.others_drop)


def planted():
    """Unit 0's logit is the sum of filter 2 of block 2 over all places, the others' that of 0 and 1."""
    net = network()
    places = 4 * 4
    kernel = np.zeros((places, 6, 8), np.float32)
    for unit, filter in enumerate((2, 0, 1)):
        kernel[:, filter, unit] = 1
    net.params["dense"] = {"kernel": jnp.asarray(kernel.reshape(-1, 8)), "bias": jnp.zeros(8)}
    return net.replace(head={"kernel": jnp.eye(8, 3), "bias": jnp.zeros(3)})


def test_a_planted_filter_is_found(monkeypatch):
    monkeypatch.setattr(ablation, "LEAST_SETS", 1)  # of six filters no more can be drawn
    net, images = planted(), pictures(30, 2)
    rng = np.random.default_rng(0)
    present, subject = rng.integers(0, 2, (30, 3)), np.array([f"S{i % 6}" for i in range(30)])
    mean, neutral = np.ones(6), np.zeros(6, np.float32)  # all alike
    found = ablation.ablate_units(
        net,
        images,
        present,
        subject,
        "block2/relu",
        {0: [2], 1: [2, 0]},
        mean,
        neutral,
        draws=50,
        batch_size=8,
    )
    logits = np.asarray(net(as_input(images))[HEAD])
    shown = present == 1
    first, second = found
    assert (first.unit, first.filters, second.filters) == (0, (2,), (2, 0))
    assert first.drop == pytest.approx(logits[shown[:, 0], 0].mean(), rel=1e-4)  # all there is
    assert first.others_drop == pytest.approx(0, abs=1e-5)
    assert first.stronger and first.random_95 == pytest.approx(0, abs=1e-5)
    assert first.low < first.drop < first.high and len(first.random) == 50
    assert second.drop == pytest.approx(logits[shown[:, 1], 1].mean(), rel=1e-4)
    assert second.others_drop == pytest.approx(logits[shown[:, 0], 0].mean() / 2, rel=1e-4)


def test_single_filters_beside_their_neighbours():
    net, images = planted(), pictures(12)
    present = np.ones((12, 3), int)
    base, ablated = ablation.ablated_logits(net, images, "block2/relu", np.eye(6, dtype=bool), np.zeros(6))
    drops = ablation.unit_drops(base, ablated, present)
    logits = base.mean(0)
    wanted = np.zeros((6, 3))
    wanted[2, 0], wanted[0, 1], wanted[1, 2] = logits
    np.testing.assert_allclose(drops, wanted, atol=1e-4)
    np.testing.assert_allclose(
        ablation.others_drop(drops, np.array([1, 0, 0, 0, -1, 0]))[[0, 2, 3]], 0, atol=1e-4
    )
    assert ablation.others_drop(drops, np.full(6, 2))[2] == pytest.approx(logits[0] / 2, rel=1e-4)


def test_stand_ins_are_alike_and_follow_another_unit():
    drops = np.array([[5.0, 0], [1, 9], [2, 9], [3, 9], [4, 9], [6, 9]])
    mean, unit = np.array([10.0, 11, 12, 13, 14, 100]), np.array([0, 0, 1, 0, -1, 0])
    every, none = np.ones(6, bool), np.zeros(6, bool)
    limit, share = ablation.single_limits(drops, mean, unit, every, none, nearest=2)
    assert limit[0] == max(1, 2) and share[0] == pytest.approx(11.5 / 10)
    assert ablation.alike(0.8) and ablation.alike(1.25) and not ablation.alike(1.26)
    assert np.isnan(limit[4]) and np.isnan(share[4])  # no unit
    assert np.isnan(limit[5]) and share[5] == pytest.approx(13.5 / 100)  # none is like it
    limit, share = ablation.single_limits(drops, mean, unit, every, unit == 0, nearest=2)
    assert np.isnan(limit[0]) and share[0] == pytest.approx(13 / 10)  # 1 and 3 follow it: 2 and 4 are left
    limit, share = ablation.single_limits(drops, mean, unit, ~every, none, nearest=2)
    assert np.isnan(limit).all() and np.isnan(share).all()
    assert np.isnan(ablation.single_limits(drops, mean, unit, every, none, nearest=6)[0]).all()
    # of filters without an effect of their own one in 21 exceeds 20 others
    rng = np.random.default_rng(0)
    drops = rng.random((2000, 1))
    limit, _ = ablation.single_limits(
        drops, rng.uniform(1, 1.5, 2000), np.zeros(2000, int), np.ones(2000, bool), np.zeros(2000, bool)
    )
    assert abs((drops[:, 0] > limit).mean() - 1 / 21) < 0.015


def test_mean_interval():
    rng = np.random.default_rng(0)
    subject = np.repeat(np.arange(12), 5)
    values = rng.normal(size=(60, 2)) + rng.normal(size=12)[subject][:, None]
    values[3, 0] = np.nan
    mean, low, high = subjects.mean_interval(values, np.array([f"s{k}" for k in subject]), 4000)
    np.testing.assert_allclose(mean, np.nanmean(values, 0))
    drawn = []
    for _ in range(2000):
        rows = np.concatenate([np.flatnonzero(subject == k) for k in rng.integers(0, 12, 12)])
        drawn.append(np.nanmean(values[rows], 0))
    np.testing.assert_allclose([low, high], np.percentile(drawn, [2.5, 97.5], axis=0), atol=0.08)
    by_row = subjects.mean_interval(values, np.full(60, ""), 4000)
    assert (by_row[2] - by_row[1] < high - low).all()  # rows are not independent: too narrow
    same = subjects.mean_interval(np.full((4, 3), 2.0), np.arange(4))
    assert all((part == 2).all() for part in same)
    for given in (np.zeros((0, 2)), np.full((3, 2), np.nan)):
        assert np.isnan(subjects.mean_interval(given, np.arange(len(given)))).all()
    one = subjects.mean_interval(np.ones(3), np.zeros(3, int))
    assert one[0] == 1 and np.isnan(one[1])


def test_refuses():
    net, images, mask = network(), pictures(2), np.zeros((1, 6), bool)
    with pytest.raises(ValueError, match="needs a head"):
        ablation.ablated_logits(net.replace(head=None), images, "block2/relu", mask, np.zeros(6))
    with pytest.raises(BadInput, match="layer 'block3/relu' is no map"):
        ablation.ablated_logits(net, images, "block3/relu", mask, np.zeros(6))
    with pytest.raises(ValueError, match=r"masks has shape \(1, 5\)"):
        ablation.ablated_logits(net, images, "block2/relu", mask[:, :5], np.zeros(6))
    with pytest.raises(ValueError, match=r"neutral has shape \(7,\)"):
        ablation.ablated_logits(net, images, "block2/relu", mask, np.zeros(7))
    with pytest.raises(BadInput, match="no input"):
        ablation.ablated_logits(net, images[:0], "block2/relu", mask, np.zeros(6))
    with pytest.raises(BadInput, match="no neutral input"):
        ablation.neutral_mean(net, images[:0], "block2/relu")
    with pytest.raises(ValueError, match="2 images, 3 rows"):
        ablation.ablate_units(
            net, images, np.ones((3, 3)), np.arange(2), "block2/relu", {0: [1]}, np.ones(6), np.zeros(6)
        )
