"""The paper's network: size, names, dropout."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_pipelines import BadInput
from ferjax import config
from ferjax.models import fer_cnn, parts


def _small(outputs=3, **changes):
    c = config.default().model
    c.features, c.dense, c.conv = (4, 6), 8, "xla"
    c.update(changes)
    model = fer_cnn.build(c, outputs)
    params = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 12, 12, 1)))["params"]
    return model, params


def test_the_papers_network_has_the_papers_size():
    model = fer_cnn.build(config.default().model, 8)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 48, 48, 1)))["params"]
    # 5*5*1*64+64, 5*5*64*128+128, 5*5*128*256+256, 6*6*256*512+512, 512*8+8
    by_hand = {
        "block1_conv": 1664,
        "block2_conv": 204928,
        "block3_conv": 819456,
        "dense": 4719104,
        "logits": 4104,
    }
    assert {k: sum(a.size for a in v.values()) for k, v in shapes.items()} == by_hand
    assert sum(by_hand.values()) == 5_749_256


def test_activations_by_name():
    model, params = _small()
    x = jax.random.normal(jax.random.key(1), (2, 12, 12, 1))
    logits, acts = model.apply({"params": params}, x)
    names = [f"block{i}/{part}" for i in (1, 2) for part in ("conv", "relu", "pool")] + [
        "dense",
        "dense/relu",
        "logits",
    ]
    assert list(acts) == names
    assert acts["block1/conv"].shape == (2, 12, 12, 4) and acts["block2/pool"].shape == (2, 3, 3, 6)
    np.testing.assert_array_equal(acts["block2/relu"], np.maximum(acts["block2/conv"], 0))
    np.testing.assert_array_equal(acts["logits"], logits)


def test_against_torch():
    torch = pytest.importorskip("torch")
    model, params = _small()
    x = np.asarray(jax.random.normal(jax.random.key(1), (2, 12, 12, 1)))
    t = torch.from_numpy(x.transpose(0, 3, 1, 2).copy())
    for i in (1, 2):
        k, b = params[f"block{i}_conv"]["kernel"], params[f"block{i}_conv"]["bias"]
        w = torch.from_numpy(np.asarray(k).transpose(3, 2, 0, 1).copy())
        t = torch.nn.functional.conv2d(t, w, torch.from_numpy(np.asarray(b).copy()), padding=2)
        t = torch.nn.functional.max_pool2d(torch.relu(t), 2)
    t = t.permute(0, 2, 3, 1).reshape(2, -1)
    for name in ("dense", "logits"):
        w, b = (torch.from_numpy(np.asarray(params[name][k]).copy()) for k in ("kernel", "bias"))
        t = t @ w + b
        t = torch.relu(t) if name == "dense" else t
    np.testing.assert_allclose(model.apply({"params": params}, x)[0], t.numpy(), rtol=1e-4, atol=1e-5)


def test_dropout_belongs_to_the_example_not_to_its_place():
    model, params = _small()
    x = jax.random.normal(jax.random.key(1), (4, 12, 12, 1))
    keys = jax.random.split(jax.random.key(2), 4)
    logits, _ = model.apply({"params": params}, x, keys=keys)
    turned, _ = model.apply({"params": params}, x[::-1], keys=keys[::-1])
    np.testing.assert_allclose(logits, turned[::-1], rtol=1e-5)
    other, _ = model.apply({"params": params}, x, keys=jax.random.split(jax.random.key(3), 4))
    assert np.abs(np.asarray(logits - other)).max() > 1e-3


def test_dropout_keeps_the_mean_and_the_rate():
    x = jnp.ones((64, 4000))
    keys = jax.random.split(jax.random.key(0), 64)
    for rate in (0.25, 0.5):
        y = np.asarray(parts.dropout(x, keys, rate, 0))
        n = y.size  # 256,000: standard deviation of the share is 0.001
        assert abs((y == 0).mean() - rate) < 5 * np.sqrt(rate * (1 - rate) / n)
        np.testing.assert_allclose(y[y > 0], 1 / (1 - rate), rtol=1e-6)
        assert len(np.unique((y == 0).sum(1))) > 1  # not the same mask for all
    assert parts.dropout(x, None, 0.5, 0) is x


def test_compute_and_parameter_types():
    model, params = _small(compute_dtype="bfloat16")
    logits, acts = model.apply({"params": params}, jnp.ones((1, 12, 12, 1)))
    assert acts["block1/conv"].dtype == jnp.bfloat16 and logits.dtype == jnp.float32
    assert {a.dtype for a in jax.tree.leaves(params)} == {jnp.dtype("float32")}
    _, params = _small(param_dtype="bfloat16")
    assert {a.dtype for a in jax.tree.leaves(params)} == {jnp.dtype("bfloat16")}


def test_a_rectifier_can_be_passed_in():
    model, params = _small()
    linear = model.clone(relu=lambda x: x)
    _, acts = linear.apply({"params": params}, jax.random.normal(jax.random.key(1), (1, 12, 12, 1)))
    np.testing.assert_array_equal(acts["block1/relu"], acts["block1/conv"])
    assert float(acts["block1/relu"].min()) < 0


def test_the_network_takes_the_size_of_the_data():
    model = fer_cnn.build(config.default().model, 8)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 64, 64, 1)))["params"]
    assert shapes["dense"]["kernel"].shape == (8 * 8 * 256, 512)


def test_an_image_too_small_for_the_blocks_is_refused():
    """As with data.image_size = 0, where the config cannot know."""
    model = fer_cnn.build(config.default().model, 8)
    with pytest.raises(BadInput, match=r"model\.features has 3 blocks .* 7x9; .*data\.image_size"):
        model.init(jax.random.key(0), jnp.zeros((1, 7, 9, 1)))
