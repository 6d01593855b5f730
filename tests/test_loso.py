"""Heads of all folds and seeds as one program: equal to one by one, eight devices, going on."""

import os
import signal

import jax
import numpy as np
import pytest

from data_pipelines import BadInput
from ferjax.micro import folds, loso
from ferjax.parallel import Devices

K, T, D = 2, 5, 6
RECIPE = loso.Recipe(hidden=4, epochs=6, batch=4, rate=5e-2, dropout=0.1, chunk=2)


def make_task(seed: int = 0, inner: bool = False, signal_size: float = 1.0) -> folds.Task:
    """12 clips of 4 subjects; the class shows in how the first feature moves, not where it stands."""
    rng = np.random.default_rng(seed)
    subject = np.array(["a", "b", "c", "d"]).repeat(3)
    label = np.array([0, 1, 0, 1, 0, 1, 1, 0, 1, 0, 1, 1])
    x = rng.normal(size=(12, T, D)) * 0.3
    x[..., 0] += np.where(label[:, None] == 0, 1, -1) * np.linspace(-1, 1, T) * signal_size
    chosen = [("b",), ("c",), ("d",), ("a",)] if inner else ()
    _, train, watch, choose = folds.splits(subject, chosen)
    mask = np.ones((12, T), bool)
    mask[::3, -1] = False
    return folds.Task(
        *(x[None].astype(np.float32), np.zeros(4, int), mask, np.full(12, 2), label, train, watch, choose, K)
    )


def flat(fitted) -> np.ndarray:
    return np.concatenate([np.ravel(a) for a in jax.tree.leaves(fitted.params)])


@pytest.fixture(scope="module")
def fitted():
    done, status = loso.fit(make_task(), RECIPE, [0, 1], Devices("pmap", None, 1))
    assert status == 0
    return done


def test_folds_by_hand():
    names, train, watch, choose = folds.splits(np.array(["b", "a", "b", "c"]), [("c",), (), ("a", "b")])
    assert names == ("a", "b", "c")
    assert train.tolist() == [[1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 0, 0]]
    assert watch.tolist() == [[1, 3, -1, -1], [0, 2, -1, -1], [3, 0, 1, 2]]
    assert choose.tolist() == [[0, 1, 0, 0], [0, 0, 0, 0], [0, 1, 1, 1]]
    with pytest.raises(BadInput, match="needs two subjects or more; there is a"):
        folds.splits(np.array(["a", "a"]))


def test_shapes_and_that_it_learns(fitted):
    # 4 folds x 2 seeds; every fold watches its 3 clips; 9 training clips are 3 steps of 4
    assert fitted.probability.shape == (6, 8, 3, K) and fitted.loss.shape == (18, 8)
    np.testing.assert_allclose(fitted.probability.sum(-1), 1, atol=1e-6)
    assert fitted.loss[-3:].mean() < 0.8 * fitted.loss[:3].mean()
    assert (fitted.chosen == 5).all()  # a fixed number of epochs: the last


def test_all_at_once_equals_one_by_one(fitted):
    looped, _ = loso.fit(make_task(), RECIPE, [0, 1], Devices("pmap", None, 1), looped=True)
    np.testing.assert_allclose(looped.loss, fitted.loss, atol=2e-5)
    np.testing.assert_allclose(looped.probability, fitted.probability, atol=2e-4)


@pytest.mark.parametrize("mode", ["pmap", "shard_map"])
def test_eight_devices_equal_one_also_where_heads_do_not_divide(fitted, mode):
    wide, _ = loso.fit(make_task(), RECIPE, [0, 1, 2], Devices(mode, None, 8))  # 12 heads, padded to 16
    assert wide.loss.shape == (18, 12)
    pairs = np.array([3 * f + s for f in range(4) for s in (0, 1)])
    np.testing.assert_allclose(wide.loss[:, pairs], fitted.loss, atol=2e-5)
    np.testing.assert_allclose(wide.probability[:, pairs], fitted.probability, atol=2e-4)


def test_stopped_and_gone_on_with_is_the_same_to_the_bit(fitted, tmp_path, monkeypatch):
    devices, file = Devices("pmap", None, 1), tmp_path / "state.npz"
    loso.fit(make_task(), RECIPE, [0, 1], devices, file, epochs=2)
    calls, program = [], loso._program
    monkeypatch.setattr(loso, "_program", lambda *a: lambda *b: calls.append(b) or program(*a)(*b))
    again, _ = loso.fit(make_task(), RECIPE, [0, 1], devices, file)
    assert len(calls) == 2  # of three chunks of two epochs: the first is not done again
    monkeypatch.setattr(loso, "_program", program)
    np.testing.assert_array_equal(flat(again), flat(fitted))
    np.testing.assert_array_equal(again.probability, fitted.probability)
    # a file cut off is begun again; one of another recipe is not taken
    file.write_bytes(file.read_bytes()[:200])
    other, _ = loso.fit(make_task(), RECIPE._replace(rate=1e-3), [0, 1], devices, file)
    assert np.abs(flat(other) - flat(fitted)).max() > 1e-3


def test_a_signal_stops_it_between_chunks_and_it_goes_on(fitted, tmp_path, monkeypatch):
    devices, file = Devices("pmap", None, 1), tmp_path / "state.npz"
    write = loso._State.write

    def written(self, *args):
        write(self, *args)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(loso._State, "write", written)
    assert loso.fit(make_task(), RECIPE, [0, 1], devices, file) == (None, 128 + signal.SIGTERM)
    monkeypatch.setattr(loso._State, "write", write)
    again, status = loso.fit(make_task(), RECIPE, [0, 1], devices, file)
    assert status == 0
    np.testing.assert_array_equal(flat(again), flat(fitted))


def test_what_is_planted_in_the_held_out_clips_reaches_no_weight(fitted):
    """A marker that would wreck any network that saw it: the fold's own weights do not change by a bit."""
    task, devices = make_task(), Devices("pmap", None, 1)
    for fold in range(4):
        # this fold alone, since the clips are others' training clips
        alone = {name: getattr(task, name)[[fold]] for name in ("network", "train", "watch", "choose")}
        plain, _ = loso.fit(task._replace(**alone), RECIPE, [0], devices)
        x = np.array(task.features)
        x[0, task.watch[fold]] = np.nan
        marked, _ = loso.fit(task._replace(features=x, **alone), RECIPE, [0], devices)
        np.testing.assert_array_equal(flat(marked), flat(plain))
        assert np.isnan(marked.probability).all() and np.isfinite(plain.probability).all()


def test_inner_subjects_choose_the_epoch_and_labels_of_the_held_out_do_not():
    task = make_task(inner=True)
    done, _ = loso.fit(task, RECIPE, [0], Devices("pmap", None, 1))
    p = done.probability  # [e, m, w, k]: watched are 3 held out, then 3 inner
    inner = -np.log(p[:, np.arange(4)[:, None], np.arange(3, 6), task.label[task.watch[:, 3:]]]).sum(-1)
    np.testing.assert_array_equal(done.chosen, inner.argmin(0))
    held = task.label.copy()
    fold = 2
    held[task.watch[fold, :3]] = 1 - held[task.watch[fold, :3]]
    other, _ = loso.fit(task._replace(label=held), RECIPE, [0], Devices("pmap", None, 1))
    assert other.chosen[fold] == done.chosen[fold]
    np.testing.assert_array_equal(other.params["output"][fold], done.params["output"][fold])


def test_rare_classes_weigh_as_much_as_common_ones():
    task = make_task()
    weight = loso._Plan(task, RECIPE).weight
    for f in range(4):
        count = np.bincount(task.label[task.train[f]], minlength=K)
        np.testing.assert_allclose(weight[f] * count, count.sum() / K)


def test_a_loss_that_is_no_number_is_named():
    with pytest.raises(
        BadInput, match=r"the loss of fold \d, seed 0 is no number in epoch \d; lower head.rate"
    ):
        loso.fit(make_task(), RECIPE._replace(rate=1e38), [0], Devices("pmap", None, 1))


def test_shuffled_frames_are_the_same_frames_in_another_order():
    task = make_task()
    mixed = task.shuffled()
    for i in range(12):
        n = task.mask[i].sum()
        a, b = task.features[0, i], mixed.features[0, i]
        assert sorted(a[:n, 1].tolist()) == sorted(b[:n, 1].tolist())
        np.testing.assert_array_equal(a[n:], b[n:])  # what is masked stays where it is
        pairs = {tuple(row) for row in a.tolist()}
        assert all(tuple(row) in pairs for row in b.tolist())  # whole frames
    assert (mixed.features != task.features).any() and (mixed.features == task.shuffled().features).all()
