"""Small networks for the tests of attribution: random weights, and training on what is at hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ferjax import config
from ferjax.models import fer_cnn


def build(size=16, channels=1, **changes):
    """A small network and random weights, drawn in NumPy: nothing to compile."""
    c = config.default().model
    c.features, c.dense, c.conv = (4, 6), 8, "explicit"
    c.update(changes)
    model, rng = fer_cnn.build(c, 3), np.random.default_rng(0)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, size, size, channels)))["params"]

    def draw(a):
        fan_in = np.prod(a.shape[:-1]) if len(a.shape) > 1 else 100
        return jnp.asarray(rng.standard_normal(a.shape) * np.sqrt(2 / fan_in), a.dtype)

    return model, jax.tree.map(draw, shapes)


activations = jax.jit(lambda net, x: net(x))


def train(model, params, image, label, steps, batch, rate=0.01):
    """Adam on cross-entropy; every step another part of the set. Returns the weights and each step's loss."""
    x = jnp.asarray(image, jnp.float32) / 255
    optimizer = optax.adam(rate)

    @jax.jit
    def step(params, state, x, label):
        def loss(params):
            logits, _ = model.apply({"params": params}, x)
            return optax.softmax_cross_entropy_with_integer_labels(logits, label).mean()

        value, grads = jax.value_and_grad(loss)(params)
        updates, state = optimizer.update(grads, state)
        return optax.apply_updates(params, updates), state, value

    state, losses = optimizer.init(params), []
    for i in range(steps):
        rows = np.arange(i * batch, (i + 1) * batch) % len(x)
        params, state, value = step(params, state, x[rows], label[rows])
        losses.append(float(value))
    assert losses[-1] < losses[0]
    return params, losses
