"""Devices: how the batch is shared, what comes back in which order, how many steps are queued."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_pipelines import BadInput
from ferjax.parallel import AXIS, Devices, InFlight


def test_as_many_devices_as_divide_the_batch():
    assert [Devices("pmap", b).count for b in (16, 12, 7, 1)] == [8, 6, 7, 1]
    assert Devices("pmap", 16, 2).count == 2
    with pytest.raises(BadInput, match="multiple of 8 devices"):
        Devices("pmap", 12, 8)


@pytest.mark.parametrize("mode", ["pmap", "shard_map"])
@pytest.mark.parametrize("per_host", [1, 8])
def test_per_example_results_come_back_in_order(mode, per_host):
    devices = Devices(mode, 16, per_host)
    double = devices.compile(lambda s, batch, r: s * batch["x"] + r[batch["id"]], per_example=True)
    batch = {"x": np.arange(32.0).reshape(16, 2), "id": np.arange(16, dtype=np.int32)[::-1]}
    resident = devices.put(np.arange(0, 1600.0, 100)[:, None] * np.ones((1, 2)))
    out = double(devices.put(np.float32(2)), batch, resident)
    np.testing.assert_allclose(out, 2 * batch["x"] + 100 * np.arange(16.0)[::-1, None])


@pytest.mark.parametrize("mode", ["pmap", "shard_map"])
def test_sums_over_uneven_masks_are_exact(mode):
    """The mean over 8 devices of device means would be 1.5 here; the true mean is 2."""
    devices = Devices(mode, 8, 8)

    def step(state, batch, _):
        sums = jnp.sum(batch["x"] * batch["mask"]), jnp.sum(batch["mask"])
        total, count = jax.lax.psum(sums, AXIS)
        return state + total / count, (total, count)

    run = devices.compile(step, donate=True)
    state = devices.init(lambda: jnp.zeros(()))
    batch = {"x": np.array([1.0, 2, 3, 9, 9, 9, 9, 9]), "mask": np.array([1.0, 1, 1, 0, 0, 0, 0, 0])}
    for turn in (1, 2):
        state, sums = run(state, batch, {})
        np.testing.assert_allclose([state, *sums], [2.0 * turn, 6.0, 3.0])


def test_no_more_than_two_steps_are_queued():
    queue = InFlight()
    done = [queue.push(i, {"loss": jnp.float32(i)}) for i in range(5)]
    assert [[step for step, _ in d] for d in done] == [[], [], [0], [1], [2]]
    assert [step for step, _ in queue.drain()] == [3, 4] and not queue.queue
    assert float(done[4][0][1]["loss"]) == 2.0


@pytest.mark.parametrize("mode", ["pmap", "shard_map"])
@pytest.mark.parametrize("per_host", [1, 8])
def test_several_steps_in_one_call_are_the_steps_one_by_one(mode, per_host):
    devices = Devices(mode, 8, per_host)

    def step(state, batch, resident):
        total = jax.lax.psum(jnp.sum(batch["x"] * resident["w"][batch["id"]]), AXIS)
        state = 2 * state + total
        return state, {"loss": (total, state)}

    rng = np.random.default_rng(0)
    batches = [{"x": rng.integers(0, 9, 8).astype(np.float32), "id": np.arange(8)[::-1]} for _ in range(3)]
    weights = np.arange(8, dtype=np.float32)
    run = devices.compile(step, donate=True, steps=4)
    state, sums = run(devices.init(lambda: jnp.zeros(())), batches, devices.put({"w": weights}))
    told, wanted = [], 0.0
    for batch in batches:
        told.append(float(np.sum(batch["x"] * weights[::-1])))
        wanted = 2 * wanted + told[-1]
    assert float(state) == wanted and np.asarray(sums["loss"][0]).tolist() == [*told, 0.0]
    state, sums = run(state, batches[:1], devices.put({"w": weights}))  # the same program
    assert float(state) == 2 * wanted + told[0]


@pytest.mark.parametrize("mode", ["pmap", "shard_map"])
def test_a_compiled_step_takes_batches_of_other_sizes(mode):
    """Programs are kept by the shapes they are for, as jit keeps them."""
    devices = Devices(mode, 16, 2)
    double = devices.compile(lambda s, batch, r: s * batch["x"], per_example=True)
    for n in (4, 8, 4):
        x = np.arange(n, dtype=np.float32)
        np.testing.assert_array_equal(double(devices.put(np.float32(2)), {"x": x}, {}), 2 * x)
