"""A detector of the one program against the same training written out: no vmap, no scan, step by step."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ferjax import detectors
from ferjax.detectors import Recipe

RECIPE = Recipe(hidden=6, steps=24, batch=16, rate=3e-3, looks=2)


def data(n: int, seed: int):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 10)).astype(np.float32) * 2 + 3
    code = (x[:, :3] + rng.normal(size=(n, 3)) > 4).astype(np.int8)
    code[rng.random((n, 3)) < 0.2] = -1
    return x, code


def losses_by_hand(x, code, unit: int, seed: int) -> list[float]:
    """Binary cross-entropy of one unit over known codes, present and absent weighing the same, by AdamW."""
    x = jnp.asarray((x - x.mean(0)) / (x.std(0) + 1e-6), jnp.float32)
    code = code[:, unit]
    known, n = code >= 0, (code >= 0).sum()
    share = np.where(code == 1, n / (2 * (code == 1).sum()), n / (2 * (code == 0).sum()))
    weight, target = jnp.asarray(np.where(known, share, 0), jnp.float32), jnp.asarray(code == 1, jnp.float32)
    begin, order = jax.random.split(jax.random.fold_in(jax.random.key(seed), unit))
    params = detectors.init(begin, x.shape[1], 1, RECIPE.hidden)
    tx = optax.adamw(optax.cosine_decay_schedule(RECIPE.rate, RECIPE.steps), weight_decay=RECIPE.decay)
    state, out = tx.init(params), []

    def mean_loss(params, rows):
        hidden = jnp.maximum(x[rows] @ params["hidden"]["kernel"] + params["hidden"]["bias"], 0)
        z = (hidden @ params["out"]["kernel"] + params["out"]["bias"])[:, 0]
        each = jnp.logaddexp(0, z) - target[rows] * z
        return jnp.sum(weight[rows] * each) / jnp.sum(weight[rows])

    for i in range(RECIPE.steps):
        rows = jax.random.randint(jax.random.fold_in(order, i), (RECIPE.batch,), 0, len(x))
        value, gradient = jax.value_and_grad(mean_loss)(params, rows)
        updates, state = tx.update(gradient, state, params)
        params = optax.apply_updates(params, updates)
        out.append(float(value))
    return out


@pytest.mark.parametrize(("unit", "seed"), [(0, 0), (2, 1)])
def test_a_detector_of_the_program_is_the_one_written_out(unit, seed):
    train, select = data(90, 0), data(40, 1)
    fitted = detectors.fit(train, select, RECIPE, seeds=2)
    wanted = losses_by_hand(*train, unit, seed)
    np.testing.assert_allclose(fitted.batch_loss[:20, seed * 3 + unit], wanted[:20], rtol=1e-4)
    assert np.ptp(wanted) > 0.1  # single batches differ


def test_the_selecting_part_changes_no_step_and_no_detector_another():
    """Other codes to select by, or of another unit, leave a detector's training as it is."""
    train, select = data(90, 0), data(40, 1)
    one = detectors.fit(train, select, RECIPE)
    other = detectors.fit(train, (select[0], 1 - np.maximum(select[1], 0)), RECIPE)
    np.testing.assert_array_equal(one.batch_loss, other.batch_loss)
    changed = train[1].copy()
    changed[:, 1] = np.where(changed[:, 1] < 0, 1, 1 - changed[:, 1])
    third = detectors.fit((train[0], changed), select, RECIPE)
    np.testing.assert_array_equal(one.batch_loss[:, [0, 2]], third.batch_loss[:, [0, 2]])
    assert (one.batch_loss[:, 1] != third.batch_loss[:, 1]).any()
