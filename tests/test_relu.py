"""The rectifiers of guided backpropagation and deconvnet against the table of Springenberg et al. 2015."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.ops import relu

X = [-2.0, -2.0, 0.0, 0.0, 3.0, 3.0, 3.0]
G = [5.0, -5.0, 5.0, -5.0, 5.0, -5.0, 0.0]
BACKWARD = {
    jax.nn.relu: [0, 0, 0, 0, 5, -5, 0],
    relu.guided: [0, 0, 0, 0, 5, 0, 0],
    relu.deconvnet: [5, 0, 5, 0, 5, 0, 0],
}


@pytest.mark.parametrize("rule", BACKWARD)
def test_by_hand(rule):
    y, back = jax.vjp(rule, jnp.array(X))
    assert y.tolist() == [0, 0, 0, 0, 3, 3, 3]
    assert back(jnp.array(G))[0].tolist() == BACKWARD[rule]


@pytest.mark.parametrize("rule", [relu.guided, relu.deconvnet])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_types_and_transformations(rule, dtype):
    x, g = jax.random.normal(jax.random.key(0), (2, 3, 5, 4)).astype(dtype)

    def both(x, g):
        y, back = jax.vjp(rule, x)
        return y, back(g)[0]

    y, dx = both(x, g)
    assert y.dtype == dx.dtype == dtype
    np.testing.assert_array_equal(y, jax.nn.relu(x))
    for call in (jax.jit(both), jax.vmap(both), jax.jit(jax.vmap(both, in_axes=1, out_axes=1))):
        for actual, expected in zip(call(x, g), (y, dx), strict=True):
            np.testing.assert_array_equal(actual, expected)
    one_forward = jax.vmap(jax.vjp(rule, x)[1])(jnp.stack([g, -g]))[0]  # many gradients of one forward pass
    np.testing.assert_array_equal(one_forward, jnp.stack([dx, both(x, -g)[1]]))


@pytest.mark.parametrize(("rule", "passed"), [(relu.guided, 0), (relu.deconvnet, 1)])
def test_nan_is_not_hidden(rule, passed):
    y, back = jax.vjp(rule, jnp.array([jnp.nan]))
    assert np.isnan(y).all() and back(jnp.ones(1))[0].tolist() == [passed]
