"""The recurrent head: PyTorch's LSTM as an oracle, masks that change no bit, dropout, heads without time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from data_pipelines import BadInput
from ferjax.models import micro_lstm

B, T, D, H, K = 3, 7, 5, 4, 2


@pytest.fixture(scope="module")
def made():
    """(model, params, x)."""
    model = micro_lstm.MicroLstm(K, H, 0.3, 0.4, 0.2)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(B, T, D)), jnp.float32)
    return model, model.init(jax.random.key(1), x, jnp.ones((B, T), bool))["params"], x


def test_it_is_pytorchs_lstm(made):
    model, params, x = made
    ours, acts = model.apply({"params": params}, x, jnp.ones((B, T), bool))
    theirs = torch.nn.LSTM(D, H, batch_first=True)  # the same order of gates: i, f, g, o
    with torch.no_grad():
        theirs.weight_ih_l0.copy_(torch.tensor(np.asarray(params["input"]).T))
        theirs.weight_hh_l0.copy_(torch.tensor(np.asarray(params["recurrent"]).T))
        theirs.bias_ih_l0.copy_(torch.tensor(np.asarray(params["bias"])))
        theirs.bias_hh_l0.zero_()
        states, _ = theirs(torch.tensor(np.asarray(x)))
    np.testing.assert_allclose(acts["hidden"], states.numpy(), atol=1e-6)
    np.testing.assert_allclose(ours, states.numpy()[:, -1] @ np.asarray(params["output"]), atol=1e-6)
    np.testing.assert_allclose(acts["logits/time"][:, -1], ours, atol=1e-7)


def test_the_forget_gate_begins_open(made):
    assert np.asarray(made[1]["bias"]).tolist() == [0.0] * H + [1.0] * H + [0.0] * 2 * H


@pytest.mark.parametrize("more", [1, 2, 9, 64])
def test_padding_a_clip_further_changes_no_bit(made, more):
    model, params, x = made
    run = jax.jit(lambda x, m, k: model.apply({"params": params}, x, m, k))
    keys = jax.random.split(jax.random.key(3), B)
    rubbish = jnp.full((B, more, D), jnp.nan)
    mask = jnp.ones((B, T), bool)
    for k in (None, keys):
        short, _ = run(x, mask, k)
        longer, acts = run(jnp.concatenate([x, rubbish], 1), jnp.pad(mask, ((0, 0), (0, more))), k)
        np.testing.assert_array_equal(np.asarray(short).view(np.int32), np.asarray(longer).view(np.int32))
        assert (acts["hidden"][:, -1] == acts["hidden"][:, T - 1]).all()


def test_no_gradient_flows_into_masked_steps(made):
    model, params, x = made
    mask = jnp.ones((B, T), bool).at[0, 3].set(False).at[1, 5:].set(False)
    grad = jax.grad(lambda x: model.apply({"params": params}, x, mask)[0].sum())(x)
    silent = np.abs(np.asarray(grad)).sum(-1) == 0
    np.testing.assert_array_equal(silent, ~np.asarray(mask))


def test_a_step_masked_in_the_middle_is_as_if_it_were_not_there(made):
    model, params, x = made
    mask = jnp.ones((B, T), bool).at[:, 3].set(False)
    a, _ = model.apply({"params": params}, x, mask)
    b, _ = model.apply({"params": params}, jnp.delete(x, 3, 1), jnp.ones((B, T - 1), bool))
    np.testing.assert_allclose(a, b, atol=1e-7)


def test_recurrent_dropout_is_one_mask_a_sequence_and_does_not_depend_on_the_batch(made):
    model, params, x = made
    keys = jax.random.split(jax.random.key(5), B)
    whole, _ = model.apply({"params": params}, x, jnp.ones((B, T), bool), keys)
    alone, _ = model.apply({"params": params}, x[1:2], jnp.ones((1, T), bool), keys[1:2])
    np.testing.assert_allclose(whole[1:2], alone, atol=1e-6)
    other, _ = model.apply({"params": params}, x, jnp.ones((B, T), bool), keys[::-1])
    assert np.abs(np.asarray(whole - other)).max() > 1e-3
    kept = np.asarray(micro_lstm._kept(jax.random.split(jax.random.key(0), 400), 1, 50, 0.25, 400))
    assert set(np.unique(kept)) == {0.0, np.float32(1 / 0.75)} and abs(kept.mean() - 1) < 0.02


def test_heads_without_time_see_the_frame_they_name():
    x = jnp.asarray(np.random.default_rng(1).normal(size=(2, 4, D)), jnp.float32)
    mask = jnp.array([[1, 1, 1, 0], [1, 1, 1, 1]], bool)
    apex = jnp.array([1, 2])
    seen = {"mean": [(0, 0), (0, 2), (1, 3)], "apex": [(0, 1), (1, 2)], "last": [(0, 2), (1, 3)]}
    for kind, touched in seen.items():
        model = micro_lstm.build(kind, K, 32, 0.0, 0.0, 0.0)
        params = model.init(jax.random.key(0), x, mask, None, apex)
        grad = jax.grad(lambda x, m=model, p=params: jnp.square(m.apply(p, x, mask, None, apex)[0]).sum())(x)
        live = np.argwhere(np.abs(np.asarray(grad)).sum(-1) > 0).tolist()
        assert all(list(t) in live for t in touched) and [0, 3] not in live
        assert kind == "mean" or live == [list(t) for t in touched]
    with pytest.raises(BadInput, match="config key kinds names 'gru'"):
        micro_lstm.build("gru", K, H, 0, 0, 0)
