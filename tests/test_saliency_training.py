"""Training of ML-Net: to the same bits after a stop, on any number of devices, and better than the centre."""

import functools
import os
import pathlib
import signal

import jax
import keras_files
import numpy as np
import pytest
import runs
import saliency_runs
import torch

from data_pipelines import BadInput, gaze
from ferjax import config as config_lib
from ferjax import protocols, reproduce, results
from ferjax.models import vgg16
from ferjax.parallel import Devices
from ferjax.report import write_report
from ferjax.saliency import loss, network, settings, study, training


@pytest.fixture(scope="module")
def parts():
    return gaze.load(settings.data_of(saliency_runs.tiny_config()))


@pytest.fixture(scope="module")
def whole(parts, tmp_path_factory):
    """A training that nothing interrupted."""
    workdir = tmp_path_factory.mktemp("whole")
    assert training.train(saliency_runs.tiny_config(), workdir, parts)[0] == 0
    return workdir


def stopping(monkeypatch, after: int):
    """This process gets SIGTERM before the batch after so many."""
    plain = gaze.batches

    def batches(part, rows, frame):
        for i, batch in enumerate(plain(part, rows, frame)):
            if "mask" in batch and i == after:
                os.kill(os.getpid(), signal.SIGTERM)
            yield batch

    monkeypatch.setattr(gaze, "batches", batches)


def metric_lines(workdir):
    return (pathlib.Path(workdir) / "metrics.jsonl").read_bytes()


def test_a_stopped_training_goes_on_to_the_same_bits(parts, whole, tmp_path, monkeypatch):
    c, after = saliency_runs.tiny_config(), 3  # the first step of the second epoch is the last one done
    with monkeypatch.context() as patch:
        stopping(patch, after)
        status, _ = training.train(c, tmp_path / "w", parts)
    assert status == 128 + signal.SIGTERM and runs.last_step(tmp_path / "w") == after + 1
    status, found = training.train(c, tmp_path / "w", parts)
    assert status == 0 and found["steps"] == 6
    there, here = runs.weights(whole), runs.weights(tmp_path / "w")
    assert there.keys() == here.keys()
    for name in there:
        np.testing.assert_array_equal(here[name], there[name])
    assert metric_lines(tmp_path / "w") == metric_lines(whole)


def test_what_a_training_leaves(parts, whole):
    said = results.read_workdir(whole)
    assert said["config"]["study"] == "saliency_training"
    assert said["run"]["sizes"] == {"train": len(parts.train), "select": len(parts.select), "test": 6}
    assert [line["split"] for line in said["metrics"]] == ["train", "select"] * 2
    assert (whole / "timing.jsonl").exists()
    model, params, frame, digest = network.from_workdir(str(whole))
    assert frame == (48, 64) and len(digest) == 64
    assert model == network.build(saliency_runs.tiny_config())
    for name, array in network.shapes(model).items():
        assert jax.tree.map(np.shape, params[name]) == jax.tree.map(lambda a: a.shape, array)


def test_eight_devices_learn_what_one_does(parts, whole, tmp_path):
    assert training.train(saliency_runs.tiny_config(parallel__devices=8), tmp_path, parts)[0] == 0
    there, here = runs.weights(whole), runs.weights(tmp_path)
    for name in there:
        np.testing.assert_allclose(here[name], there[name], rtol=1e-3, atol=1e-5)


def test_one_step_is_the_gradient_of_the_loss(parts):
    """SGD without momentum, one step: the mean over the rows that the mask leaves, and the prior's L2."""
    c = saliency_runs.tiny_config(optimizer__name="sgd", optimizer__momentum=0.0, model__dropout=0.0)
    c.optimizer.learning_rate = 0.5
    model, devices = network.build(c), Devices("pmap", 8, 1)
    state = devices.init(functools.partial(training.init_state, c, model))
    prior = np.random.default_rng(0).normal(0, 0.1, (6, 8)).astype(np.float32)
    state = state.replace(params={**state.params, "prior": {"kernel": jax.numpy.asarray(prior)}})
    rows = {"id": np.arange(8, dtype=np.int32), "mask": np.arange(8) < 5}
    (batch,) = gaze.batches(parts.train, [rows], training.output(c, model))

    def whole_loss(params):
        found, _ = model.apply({"params": params}, vgg16.normalise(batch["image"][:5]))
        return (
            loss.map_loss(found, batch["map"][:5] / 255.0).mean()
            + (params["prior"]["kernel"] ** 2).sum() / 48
        )

    gradient = jax.jit(jax.grad(whole_loss))(state.params)
    step = devices.compile(training.make_train_step(c, model, 3))
    after, sums = step(state, batch, {})
    assert float(sums["loss"][1]) == 5
    for path, g in jax.tree_util.tree_leaves_with_path(gradient):
        old, new = (np.asarray(_at(p, path)) for p in (state.params, after.params))
        np.testing.assert_allclose(old - new, 0.5 * np.asarray(g), atol=2e-5, err_msg=str(path))


def _at(tree, path):
    for key in path:
        tree = tree[key.key]
    return tree


def test_the_learning_rate_and_optimizer_are_kerass():
    """SGD(lr, decay, momentum, nesterov): PyTorch's Nesterov at lr / (1 + decay * step)."""
    from ferjax import optim

    c = settings.default()
    assert (c.optimizer.name, c.optimizer.learning_rate, c.optimizer.momentum) == ("sgd", 1e-3, 0.9)
    rate, transform = optim.learning_rate(c, 7), optim.transform(c)
    p = {"a": {"kernel": jax.numpy.ones((2, 2))}}
    t = torch.ones(2, 2, requires_grad=True)
    theirs, opt = torch.optim.SGD([t], lr=1.0, momentum=0.9, nesterov=True), transform.init(p)
    for step in range(4):
        g = np.random.default_rng(step).normal(size=(2, 2)).astype(np.float32)
        for group in theirs.param_groups:
            group["lr"] = 1e-3 / (1 + 5e-4 * step)
        t.grad = torch.tensor(g)
        theirs.step()
        update, opt = transform.update({"a": {"kernel": g}}, opt, p)
        p = {"a": {"kernel": p["a"]["kernel"] - rate(step) * update["a"]["kernel"]}}
    np.testing.assert_allclose(p["a"]["kernel"], t.detach().numpy(), rtol=1e-6)


def test_training_begins_from_a_published_file(parts, tmp_path, monkeypatch):
    layers = keras_files.convolutions(1 / 16)
    path = keras_files.write_vgg(tmp_path / "vgg16_weights.h5", layers)
    c = saliency_runs.tiny_config(model__weights=path)
    drawn = network.init(network.build(c), c.seed)
    begun, told = network.begin(drawn, path)
    turned = layers[0][0][:, ::-1, ::-1, ::-1].transpose(2, 3, 1, 0)  # blue, green, red; by half a turn
    np.testing.assert_array_equal(begun["conv1_1"]["kernel"], turned)
    np.testing.assert_array_equal(begun["encode"]["kernel"], drawn["encode"]["kernel"])
    assert len(told["sha256"]) == 64 and len(told["taken"]) == 13
    stopping(monkeypatch, 0)
    assert training.train(c, tmp_path / "w", parts)[0] == 128 + signal.SIGTERM
    assert results.read_workdir(tmp_path / "w")["run"]["started_from"] == told
    kernel = runs.weights(tmp_path / "w")["['conv1_1']['kernel']"]
    assert np.corrcoef(kernel.ravel(), turned.ravel())[0, 1] > 0.999  # after one step


def test_training_ends_without_a_better_epoch(parts, tmp_path, monkeypatch):
    monkeypatch.setattr(training._Loop, "_select", lambda self, params: {"loss": 1.0, "cc": 0.0})
    c = saliency_runs.tiny_config(train__patience=1, train__epochs=9)
    status, found = training.train(c, tmp_path, parts)
    assert status == 0 and found["steps"] == 6 and found["best_step"] == 3
    assert training.train(c, tmp_path, parts) == (0, found)


def test_the_study_from_config_to_tables(tmp_path, monkeypatch):
    """ML-Net, trained for some seconds, tells better than the centre where held-out scenes are looked at."""
    c = saliency_runs.tiny_config(model__dropout=0.0, train__epochs=5, train__select_by="cc")
    c.model.width, c.model.conv, c.schedule.name = 1 / 8, "auto", "constant"
    c.optimizer.name, c.optimizer.learning_rate = "adam", 3e-4
    data = settings.data_of(c)
    data.frame, data.options = (96, 128), {"train": 90, "test": 24, "seed": 0}
    lines = []
    monkeypatch.setattr(study.Study, "speeds", lambda self: {"train": 0.1, "infer": 0.1, "compile": 1.0})
    with monkeypatch.context() as patch:
        stopping(patch, 4)
        assert reproduce.reproduce(c, str(tmp_path), lines.append) == (None, 128 + signal.SIGTERM)
    out, status = reproduce.reproduce(c, str(tmp_path), lines.append)
    assert status == 0 and out == tmp_path / "saliency"
    assert len(protocols.kept(tmp_path)) == 4
    table = (out / "table.md").read_text()
    said = {m: results.read_result(tmp_path / f"results/{m}.json")["metrics"] for m in study.METHODS}
    for key in ("cc", "nss"):
        assert said["ml_net"][key]["value"] > said["centre"][key]["value"], table
        assert said["ml_net"][key]["n"] == 24
    assert " of the sides" in table and "ML-Net less centre prior" in table
    rows = (out / "pictures.csv").read_text().splitlines()
    assert len(rows) == 1 + 3 * 24 and rows[0] == "id,method,cc,sim,nss,auc_judd,sauc,kl"
    assert "spectral residual" in write_report(tmp_path).read_text()
    # nothing is left to do, and with another config there is a refusal
    before = {p: p.read_bytes() for p in (tmp_path / "cells").rglob("cell.json")}
    assert len(before) == 4
    assert reproduce.reproduce(c, str(tmp_path), lines.append)[1] == 0
    assert {p: p.read_bytes() for p in before} == before
    c.train.epochs = 6
    with pytest.raises(BadInput, match=r"train\.epochs: there '5', now '6'"):
        reproduce.reproduce(c, str(tmp_path), lines.append)


def test_test_pictures_reach_neither_weights_nor_the_centre_priors_width(tmp_path):
    c = saliency_runs.tiny_config()
    first = study.Study(c, tmp_path)
    c.sets.saliency_shapes.source.data.options.test = 9
    other = study.Study(c, tmp_path)
    assert first.about_training() == other.about_training()
    assert first.fitted_share() == other.fitted_share()
    assert first.parts.test.hash != other.parts.test.hash


def test_others_are_other_pictures():
    for row in range(12):
        found = study.other_rows(12, row, 10, 0)
        assert len(set(found)) == 10 and row not in found and set(found) <= set(range(12))
    assert study.other_rows(12, 3, 10, 0) == study.other_rows(12, 3, 10, 0)
    assert study.other_rows(3, 0, 10, 0) in ([1, 2], [2, 1])
    assert study.other_rows(1, 0, 10, 0) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("model.width=0.0", "model.width is 0.0; it must be above 0"),
        ("model.pool=keras", "model.pool is 'keras'; it must be one of caffe, theano"),
        ("model.weights=f.h5", "model.weights is 'f.h5'; it must be empty with a model.width other than 1"),
        ("train.select_by=nss", "train.select_by is 'nss'; it must be one of loss, cc"),
        ("train.epochs=0", "train.epochs is 0"),
        ("schedule.name=plateau", "schedule.name is 'plateau'"),
        ("optimizer.name=rmsprop", "optimizer.name is 'rmsprop'"),
        ("sets.saliency_shapes.source.data.frame=(8,8)", "frame is"),
        ("sets.saliency_shapes.source.data.dir=/x", "saliency_shapes is drawn and reads no folder"),
    ],
)
def test_configs_that_cannot_be(tmp_path, change, says):
    c = saliency_runs.tiny_config()
    with pytest.raises(BadInput, match=says):
        config_lib.apply_overrides(c, [change])
        study.Study(c, tmp_path)


def test_the_shipped_experiments_can_be(tmp_path):
    root = saliency_runs.ROOT / "experiments/saliency"
    shapes = reproduce.load(str(root / "ml_net_shapes.py"))
    settings.check(shapes)
    salicon = reproduce.load(str(root / "ml_net_salicon.py"), (), ["salicon=/nowhere"])
    settings.check(salicon)
    assert tuple(settings.data_of(salicon).frame) == network.FRAME
    with pytest.raises(BadInput, match="'/nowhere' is no folder"):
        study.Study(salicon, tmp_path)
    with pytest.raises(BadInput, match=r"no folder was named \(--dir salicon=FOLDER\)"):
        study.Study(reproduce.load(str(root / "ml_net_salicon.py")), tmp_path)
