"""Optimizers and schedules against numbers worked by hand and against torch."""

import jax.numpy as jnp
import numpy as np
import pytest

from ferjax import config, optim


def _config(**changes):
    c = config.default()
    config.apply_overrides(c, [f"{k.replace('__', '.')}={v}" for k, v in changes.items()])
    return c


def test_keras_decay():
    rate = optim.learning_rate(_config(schedule__name="keras_decay", schedule__decay=0.5), 10)
    np.testing.assert_allclose([rate(0), rate(2), rate(18)], [1e-3, 5e-4, 1e-4], rtol=1e-6)


def test_cosine_with_warmup():
    c = _config(
        schedule__name="cosine", schedule__warmup_epochs=1.0, train__epochs=11, schedule__final_fraction=0.1
    )
    rate = optim.learning_rate(c, 10)  # warm up over 10 steps, then 100 steps down
    np.testing.assert_allclose(
        [rate(0), rate(9), rate(10), rate(60), rate(110)], [1e-4, 1e-3, 1e-3, 5.5e-4, 1e-4], rtol=1e-5
    )


def test_step_by_hand():
    c = _config(schedule__name="step", schedule__step_epochs=2.0, schedule__factor=0.1)
    rate = optim.learning_rate(c, 10)  # a tenth after every 20 steps
    np.testing.assert_allclose(
        [rate(0), rate(19), rate(20), rate(39), rate(40), rate(60)],
        [1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-6],
        rtol=1e-5,
    )
    c.schedule.step_epochs, c.schedule.warmup_epochs = 0.5, 1.0  # after 5 steps; warm up over 10
    rate = optim.learning_rate(c, 10)
    np.testing.assert_allclose([rate(0), rate(4), rate(5), rate(10)], [1e-4, 5e-4, 6e-5, 1e-5], rtol=1e-5)


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_against_torch(name):
    torch = pytest.importorskip("torch")
    c = _config(optimizer__name=name, optimizer__learning_rate=0.1, optimizer__weight_decay=0.0)
    if name != "adam":
        c.optimizer.weight_decay = 0.01
    o = c.optimizer
    w = torch.nn.Parameter(torch.tensor([[1.0, -2.0], [3.0, 0.5]]))
    if name == "sgd":
        reference = torch.optim.SGD([w], 0.1, momentum=0.9, nesterov=True, weight_decay=o.weight_decay)
    else:
        kind = torch.optim.AdamW if name == "adamw" else torch.optim.Adam
        reference = kind([w], 0.1, (o.beta1, o.beta2), o.epsilon, weight_decay=o.weight_decay)
    params = {"kernel": jnp.asarray(w.detach().numpy().copy())}
    transform = optim.transform(c)
    state = transform.init(params)
    for _ in range(5):
        reference.zero_grad()
        (w**4).sum().backward()
        reference.step()
        step, state = transform.update({"kernel": 4 * params["kernel"] ** 3}, state, params)
        params = {"kernel": params["kernel"] - 0.1 * step["kernel"]}
        np.testing.assert_allclose(params["kernel"], w.detach().numpy(), rtol=2e-4)


def test_clipping_and_what_decays():
    c = _config(
        optimizer__name="sgd", optimizer__clip_norm=1.0, optimizer__momentum=0.0, optimizer__weight_decay=0.5
    )
    params = {"kernel": jnp.ones((1, 2)), "bias": jnp.ones(2)}
    transform = optim.transform(c)
    gradient = {"kernel": jnp.array([[3.0, 0.0]]), "bias": jnp.array([4.0, 0.0])}
    step, _ = transform.update(gradient, transform.init(params), params)
    np.testing.assert_allclose(step["kernel"], [[0.6 + 0.5, 0.5]], rtol=1e-6)
    np.testing.assert_allclose(step["bias"], [0.8, 0.0], rtol=1e-6)


def test_ema_by_hand():
    average = optim.ema({"w": jnp.array(1.0)}, {"w": jnp.array(3.0)}, 0.5, 1000)
    np.testing.assert_allclose(average["w"], 2.0)
    early = optim.ema({"w": jnp.array(1.0)}, {"w": jnp.array(3.0)}, 0.999, 0)  # decay (1 + 0) / (10 + 0)
    np.testing.assert_allclose(early["w"], 1 + 0.9 * 2, rtol=1e-6)
