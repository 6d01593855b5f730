"""What is saved comes back bit for bit, whatever happens meanwhile; what goes away goes away whole."""

import logging
import resource
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_pipelines import BadInput
from ferjax.checkpoint import Checkpoints


def _state(seed: int, n: int = 4) -> dict:
    """Of a state's form; n sets its size."""
    w, b, m = (jax.random.normal(k, (n, n)) for k in jax.random.split(jax.random.key(seed), 3))
    params = {"layer": {"kernel": w, "bias": b.astype(jnp.bfloat16)}}
    return {"params": params, "rest": {"step": jnp.int32(seed), "opt_state": [{"m": m}]}}


def _equal(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert x.dtype == y.dtype and np.asarray(x).tobytes() == np.asarray(y).tobytes()


@pytest.fixture
def opened(tmp_path):
    """Opens checkpoints in tmp_path; closes them in the end."""
    live = []

    def open_(**options):
        live.append(Checkpoints(tmp_path, **options))
        return live[-1]

    yield open_
    for c in live:
        c.close()


def _on_disk(tmp_path) -> list[str]:
    return sorted(p.name for p in (tmp_path / "checkpoints").iterdir())


def test_what_is_saved_comes_back(opened):
    c = opened()
    state, progress = _state(3) | {"ema": _state(4)["params"]}, {"best": 0.1 + 0.2, "best_step": 3, "wait": 1}
    c.save(3, state, progress, 0.5)
    c.wait()
    again, said = opened().restore(3, state)
    _equal(again, state)
    assert said == progress and c.progress(3) == progress
    _equal(opened(read_only=True).weights(3, state["params"]), state["ema"])


def test_without_an_average_the_weights_are_the_weights(opened):
    c = opened()
    c.save(1, _state(1), {}, None)
    c.wait()
    _equal(opened(read_only=True).weights(1, _state(1)["params"]), _state(1)["params"])


def test_training_goes_on_while_a_save_is_written(opened):
    """The step takes the state's memory over at once; the checkpoint must hold what was there before."""
    step = jax.jit(lambda state: jax.tree.map(lambda a: a * 2 + 1, state), donate_argnums=0)
    state, wanted = _state(0, 1500), {}
    c = opened(keep=9)
    for number in range(1, 5):
        wanted[number] = jax.tree.map(lambda a: np.array(a, copy=True), state)
        c.save(number, state, {}, None)
        for _ in range(5):
            state = jax.block_until_ready(step(state))
    c.wait()
    for number, before in wanted.items():
        _equal(c.restore(number, state)[0], before)


def test_the_best_and_the_last_are_kept(opened, tmp_path):
    c = opened()
    for step, rank in ((1, 0.5), (2, None), (3, 0.7), (4, 0.7), (5, 0.6), (6, None)):
        c.save(step, _state(step), {"best_step": step}, rank)
    c.wait()
    assert c.steps() == [3, 6] and c.last() == 6
    assert _on_disk(tmp_path) == ["3", "6"]  # of equals the earliest; nothing half deleted
    c = opened(keep=2)
    c.save(7, _state(7), {}, 0.9)
    c.save(8, _state(8), {}, 0.8)
    c.save(9, _state(9), {}, 0.8)
    c.wait()
    assert _on_disk(tmp_path) == ["7", "8", "9"]


def test_a_checkpoint_is_moved_away_before_it_is_deleted(opened, tmp_path, monkeypatch):
    """As a process leaves it that is killed before, or while, it deletes."""
    monkeypatch.setattr(Checkpoints, "_sweep", lambda *_: None)
    c = opened()
    for step in (1, 2):
        c.save(step, _state(step), {"best_step": None}, None)
    c.wait()
    assert _on_disk(tmp_path) == ["2", "old"]
    folder = tmp_path / "checkpoints"
    shutil.rmtree(folder / "old" / "1" / "params")  # half-way
    (folder / "3.orbax-checkpoint-tmp").mkdir()  # and another one died while saving
    monkeypatch.undo()
    reader = opened(read_only=True)
    assert reader.steps() == [2] and reader.last() == 2
    assert _on_disk(tmp_path) == ["2", "3.orbax-checkpoint-tmp", "old"]  # a reader changes nothing
    again = opened()
    assert again.steps() == [2] and _on_disk(tmp_path) == ["2"]
    again.save(3, _state(3), {}, None)
    again.wait()
    assert _on_disk(tmp_path) == ["3"]


def test_a_save_that_fails_loses_nothing(opened, tmp_path):
    c = opened()
    c.save(1, _state(1), {}, 1.0)
    c.wait()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        with pytest.raises(BadInput, match=r"could not write .* the last complete one is step 1; free some"):
            c.save(2, _state(2, 500), {}, 2.0)
            c.wait()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    c.close()
    again = opened()
    assert again.steps() == [1]  # threads of the failed save may still write into its temporary folder
    _equal(again.restore(1, _state(0))[0], _state(1))


def test_another_model_is_named(opened):
    c = opened()
    c.save(1, _state(1), {}, None)
    c.wait()
    with pytest.raises(
        BadInput, match=r"1 is of another model: layer/bias is \(4, 4\) there and \(5, 5\) in"
    ):
        opened(read_only=True).weights(1, _state(1, 5)["params"])
    with pytest.raises(BadInput, match=r"layer/more is absent there and \(\) in this config's network"):
        opened().restore(1, {"params": {"layer": _state(1)["params"]["layer"] | {"more": jnp.ones(())}}})


def test_failed_writes_beside_the_first_are_not_told_again(caplog):
    """asyncio logs a traceback for each, whenever it is collected; the first is told as one line already."""
    logger = logging.getLogger("asyncio")
    logger.error("_GatheringFuture exception was never retrieved\nfuture: <...>")
    logger.error("something else")
    assert [record.getMessage() for record in caplog.records] == ["something else"]
