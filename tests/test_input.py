import functools
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from data_pipelines import BadInput, input
from data_pipelines.arrays import Split

ROOT = Path(__file__).parents[1]
KEYS = {"image", "label", "aus", "subject", "id", "mask"}


@functools.cache
def made(n=23, u=2, size=5):
    rng = np.random.default_rng(0)
    return Split(
        name="made/train",
        image=rng.integers(0, 256, (n, size, size, 1), np.uint8),
        label=rng.integers(0, 3, n),
        aus=rng.choice(np.array([-1, 0, 3, 9], np.int8), (n, u)),
        subject=[f"s{row % 4}" if row % 5 else "" for row in range(n)],
        id=[f"r{row:05d}" for row in range(n)],
        classes=("anger", "fear", "neutral"),
        au_names=tuple(f"AU{number:02d}" for number in range(1, u + 1)),
    )


def equal(a, b):
    assert set(a) == set(b) == KEYS
    for key in KEYS:
        x, y = np.asarray(a[key]), np.asarray(b[key])
        assert x.dtype == y.dtype, key
        np.testing.assert_array_equal(x, y, err_msg=key)


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize(("n", "batch_size"), [(23, 8), (24, 8), (5, 8), (1, 3), (7, 1)])
def test_every_example_once_an_epoch(n, batch_size, shuffle):
    steps = input.steps_per_epoch(n, batch_size)
    for epoch in range(3):
        seen = []
        for step in range(epoch * steps, (epoch + 1) * steps):
            rows, mask = input.batch_rows(n, batch_size, 3, step, shuffle)
            assert rows.shape == mask.shape == (batch_size,)
            assert (rows.dtype, mask.dtype) == (np.int32, bool)
            assert rows.min() >= 0
            assert rows.max() < n
            seen += rows[mask].tolist()
        assert sorted(seen) == list(range(n))
        if not shuffle:
            assert seen == list(range(n))


def test_order_is_a_function_of_seed_and_epoch():
    def epoch(seed, number):
        return input.batch_rows(100, 100, seed, number)[0].tolist()

    assert epoch(0, 0) == epoch(0, 0)
    assert len({tuple(epoch(seed, number)) for seed in range(3) for number in range(3)}) == 9
    input._order.cache_clear()
    assert input.batch_rows(8, 8, 0, 0)[0].tolist() == [0, 2, 1, 5, 4, 3, 6, 7]  # in every version of NumPy
    assert len(epoch(-1, 0)) == 100


@pytest.mark.parametrize(("n", "batch_size", "step"), [(0, 4, 0), (4, 0, 0), (4, 4, -1)])
def test_batch_rows_refuses(n, batch_size, step):
    with pytest.raises(ValueError, match="at least"):
        input.batch_rows(n, batch_size, 0, step)


@pytest.mark.parametrize("u", [0, 2])
@pytest.mark.parametrize("shuffle", [True, False])
def test_both_ways_give_the_same_batches(u, shuffle):
    split = made(u=u)
    steps = {"first_step": 1, "last_step": 9, "shuffle": shuffle}
    resident = jax.device_put(input.resident(split))
    gather = jax.jit(input.gather)
    with input.host_batches(split, 8, 5, **steps) as batches:
        host = list(batches)
    device = [gather(resident, batch) for batch in input.row_batches(len(split), 8, 5, **steps)]
    assert len(host) == len(device) == 8
    for step, (a, b) in enumerate(zip(host, device, strict=True), 1):
        equal(a, b)
        rows, mask = input.batch_rows(len(split), 8, 5, step, shuffle)
        np.testing.assert_array_equal(a["id"], rows)
        np.testing.assert_array_equal(a["mask"], mask)
        np.testing.assert_array_equal(a["image"], split.image[rows])
        np.testing.assert_array_equal(a["aus"], split.aus[rows])
        np.testing.assert_array_equal(a["subject"], split.subject_code[rows])


def test_processes_share_a_batch_in_order():
    split = made()
    with input.host_batches(split, 8, 1, last_step=4) as batches:
        whole = list(batches)
    shares = []
    for index in range(4):
        with input.host_batches(split, 8, 1, last_step=4, process_index=index, process_count=4) as batches:
            shares.append(list(batches))
    for step in range(4):
        joined = {key: np.concatenate([share[step][key] for share in shares]) for key in KEYS}
        equal(joined, whole[step])
    with pytest.raises(BadInput, match="batch_size 8 does not divide among 3"):
        input.row_batches(23, 8, 0, process_count=3)
    with pytest.raises(BadInput, match="does not divide"):
        input.host_batches(split, 8, 0, process_count=3)
    with pytest.raises(ValueError, match="process_index"):
        input.row_batches(23, 8, 0, process_index=2, process_count=2)


def test_resumes_and_crosses_chunks(monkeypatch):
    monkeypatch.setattr(input, "_CHUNK", 3)
    with input.host_batches(made(), 8, 5, last_step=11) as batches:
        whole = list(batches)
    assert len(whole) == 11
    with input.host_batches(made(), 8, 5, first_step=7, last_step=11) as batches:
        for a, b in zip(batches, whole[7:], strict=True):
            equal(a, b)


def test_the_next_chunk_begins_while_this_one_is_read(monkeypatch):
    monkeypatch.setattr(input, "_CHUNK", 3)
    asked = []

    def rows():
        for step, batch in enumerate(input.row_batches(23, 8, 5, last_step=7)):
            asked.append(step)
            yield batch

    batches = input._tf_batches(input.tensorflow(), input.resident(made()), rows(), 1)
    next(batches)
    for _ in range(500):
        if len(asked) == 6:
            break
        time.sleep(0.01)
    assert asked == [0, 1, 2, 3, 4, 5]  # not the third chunk's
    assert len(list(batches)) == 6


def test_goes_on_forever_until_closed():
    with input.host_batches(made(), 8, 5) as batches:
        for _ in range(10):
            next(batches)
        with pytest.raises(StopIteration):
            batches.close()
            next(batches)
    endless = input.row_batches(23, 8, 5)
    assert len([next(endless) for _ in range(10)]) == 10


def test_evaluation_counts_everything_once():
    batches = list(input.row_batches(23, 8, 0, last_step=3, shuffle=False))
    ids = np.concatenate([batch["id"][batch["mask"]] for batch in batches])
    np.testing.assert_array_equal(ids, np.arange(23))
    assert [batch["mask"].sum() for batch in batches] == [8, 8, 7]


@pytest.mark.parametrize("end", ["batches.close()", "raise SystemExit(0)"])
def test_interpreter_ends_quietly(end):
    """Closed, or left open in the middle of an exception."""
    code = f"""
import sys
sys.path.insert(0, "tests")
from test_input import made
from data_pipelines import input
batches = input.host_batches(made(n=2000), 64, 0)
next(batches)
{end}
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not done.stderr


def test_folds_of_nearly_equal_sizes_lie_on_the_device_in_one_shape(monkeypatch):
    splits = [made(n) for n in (541, 558, 576)]
    shapes = [{key: a.shape for key, a in input.resident(split).items()} for split in splits]
    assert shapes[0] == shapes[1] == shapes[2] and shapes[0]["image"][0] == 576
    for split in splits:
        found = input.resident(split)
        np.testing.assert_array_equal(found["image"][: len(split)], split.image)
        np.testing.assert_array_equal(found["subject"][: len(split)], split.subject_code)
    assert [len(input.resident(made(n))["label"]) for n in (1, 31, 33, 577)] == [1, 32, 36, 640]
    monkeypatch.setattr(input, "SMALL", 10)
    assert input.resident(splits[0])["image"] is splits[0].image
