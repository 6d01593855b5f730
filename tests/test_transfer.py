"""Weights taken along, parts that stay, parts that learn more slowly or later; and refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import runs
from runs import tiny_config, write_set

from data_pipelines import BadInput
from ferjax import config, results, train, transfer

PARTS = ("block1_conv", "block2_conv", "dense", "logits")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A training of two epochs: (workdir, data folder)."""
    folder = tmp_path_factory.mktemp("transfer")
    data = write_set(folder / "data")
    assert train.train(tiny_config(data), str(folder / "source")) == 0
    return str(folder / "source"), data


def went_on(source, tmp_path, epochs=1, **changes):
    """A training that starts from `source`; (its weights, the source's)."""
    workdir, data = source
    start = {
        "parallel__devices": 1,
        "transfer__workdir": workdir,
        "transfer__checkpoint": "last",
        "train__epochs": epochs,
    }
    c = tiny_config(data, **start, **changes)
    assert train.train(c, str(tmp_path / "went")) == 0
    return runs.weights(tmp_path / "went"), runs.weights(workdir)


def test_frozen_parts_keep_every_bit_and_others_learn(source, tmp_path):
    new, old = went_on(source, tmp_path, transfer__take="block*,dense", transfer__freeze="block*", seed=3)
    for name, value in new.items():
        if "block" in name:
            np.testing.assert_array_equal(value, old[name])
        else:
            assert (value != old[name]).any()


def test_the_run_says_where_it_started(source, tmp_path):
    went_on(source, tmp_path, transfer__take="block*")
    said = results.read_workdir(tmp_path / "went")["run"]["started_from"]
    assert said["taken"] == ["block1_conv", "block2_conv"] and said["workdir"] == source[0]
    theirs, step = transfer.source_weights(source[0], "last")
    assert said["step"] == step
    assert said["weights"] == transfer.weights_hash({n: theirs[n] for n in said["taken"]})


def test_a_rate_of_zero_keeps_a_part_and_a_half_halves_its_step(source, tmp_path):
    kept = {"augment__flip": False, "transfer__take": "*"}
    one, old = went_on(source, tmp_path / "a", **kept, input__batch_size=37, optimizer__momentum=0.0)
    half, _ = went_on(
        source,
        tmp_path / "b",
        **kept,
        input__batch_size=37,
        optimizer__momentum=0.0,
        transfer__rates="block*=0,dense=0.5",
    )
    for name, value in old.items():
        step, slow = one[name] - value, half[name] - value
        share = 0 if "block" in name else 0.5 if "dense" in name else 1
        np.testing.assert_allclose(slow, share * step, atol=1e-7)


def test_gradual_unfreezing_begins_at_its_epoch(source, tmp_path):
    late = {"transfer__take": "block*", "transfer__unfreeze": "block*=1", "seed": 5}
    new, old = went_on(source, tmp_path / "a", epochs=1, **late)
    assert all((new[n] == old[n]).all() for n in new if "block" in n)
    new, old = went_on(source, tmp_path / "b", epochs=2, **late)
    assert all((new[n] != old[n]).any() for n in new if "block" in n and "kernel" in n)


def test_an_interrupted_training_goes_on_without_its_source(source, tmp_path):
    """What was taken along is in the checkpoint; the source may be gone by then."""
    import shutil

    shutil.copytree(source[0], tmp_path / "source")
    changes = {"transfer__take": "block*", "transfer__freeze": "block1*", "schedule__name": "constant"}
    c = tiny_config(
        source[1], parallel__devices=1, transfer__workdir=str(tmp_path / "source"), train__epochs=2, **changes
    )
    assert train.train(c, str(tmp_path / "whole")) == 0
    c.train.epochs = 1
    assert train.train(c, str(tmp_path / "cut")) == 0
    shutil.rmtree(tmp_path / "source")
    c.train.epochs = 2
    assert train.train(c, str(tmp_path / "cut")) == 0
    whole, cut = runs.weights(tmp_path / "whole"), runs.weights(tmp_path / "cut")
    assert all((whole[name] == cut[name]).all() for name in whole)
    assert results.read_workdir(tmp_path / "cut")["run"]["started_from"]["taken"]


def test_frozen_parts_have_no_optimizer_state_and_are_not_clipped():
    c = tiny_config("x", transfer__freeze="block*", optimizer__clip_norm=1.0, optimizer__name="adam")
    params = {name: {"kernel": jnp.ones((2, 2))} for name in PARTS}
    learn = optax.chain(optax.clip_by_global_norm(1.0), optax.scale_by_adam())
    state = transfer.partition(c, learn).init(params)
    moments = [a for a in jax.tree.leaves(state) if a.shape == (2, 2)]
    assert len(moments) == 4  # two moments of dense and of logits


@pytest.mark.parametrize(("there", "here"), [(1, 3), (3, 1)])
def test_a_first_convolution_of_other_channels_answers_a_grey_picture_alike(there, here):
    rng = np.random.default_rng(0)
    theirs = {"kernel": rng.normal(size=(5, 5, there, 4)).astype(np.float32), "bias": np.zeros(4, np.float32)}
    ours = {"kernel": np.zeros((5, 5, here, 4), np.float32), "bias": np.zeros(4, np.float32)}
    c = config.default()
    source = transfer._Source("w", {}, c, (48, 48, there), {}, {})
    got = transfer._fitted("block1_conv", theirs, ours, source, c, (48, 48, here))["kernel"]
    grey = rng.normal(size=(5, 5, 1)).astype(np.float32)
    response = lambda kernel: np.einsum("yxc,yxco->o", np.repeat(grey, kernel.shape[2], 2), kernel)  # noqa: E731
    np.testing.assert_allclose(response(got), response(theirs["kernel"]), rtol=1e-5, atol=1e-5)


def test_convolutions_go_to_another_image_size_and_dense_layers_do_not(source, tmp_path):
    workdir, data = source
    c = tiny_config(
        data, transfer__workdir=workdir, data__image_size=24, train__epochs=1, parallel__devices=1
    )
    assert train.train(c, str(tmp_path / "larger")) == 0
    c.transfer.take = "block*,dense"
    with pytest.raises(
        BadInput, match=r"dense in .* a dense layer belongs to its image size, 16x16 there and 24x24"
    ):
        train.train(c, str(tmp_path / "refused"))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"transfer__workdir": "/nowhere"}, "which holds no training"),
        ({"transfer__take": "conv*"}, "transfer.take names 'conv\\*'; this network's parts are block1_conv"),
        ({"transfer__freeze": "*"}, "nothing is left to learn"),
        ({"transfer__rates": "block9=1"}, "transfer.rates names 'block9'"),
        ({"model__features": (4, 8)}, r"model.features is \(4, 6\) there and \(4, 8\) here; set the same"),
        ({"model__kernel": 3}, r"model.kernel is 5 there and 3 here; set the same, or leave block1_conv"),
        ({"model__dense": 12, "transfer__take": "*"}, r"here \(96, 12\): model.dense is 8 there and 12 here"),
        ({"model__features": (4, 8), "transfer__take": "dense"}, r"here \(128, 8\): model.features is"),
        ({"transfer__checkpoint": "77"}, "checkpoint 77 is not there"),
    ],
)
def test_what_cannot_be_taken_along_is_refused(source, tmp_path, changes, says):
    workdir, data = source
    c = tiny_config(data, **{"transfer__workdir": workdir, **changes})
    with pytest.raises(BadInput, match=says):
        train.train(c, str(tmp_path / "no"))


def test_logits_go_by_the_names_of_their_classes(source, tmp_path):
    """A class keeps its weights wherever it stands; nothing learns, so that they can be compared."""
    workdir, data = source
    still = {"transfer__workdir": workdir, "transfer__checkpoint": "last", "optimizer__learning_rate": 1e-30}
    c = tiny_config(data, transfer__take="*", train__epochs=1, parallel__devices=1, **still)
    c.data.classes = "neutral,anger,happiness"
    assert train.train(c, str(tmp_path / "w")) == 0
    new, old = runs.weights(tmp_path / "w"), runs.weights(workdir)
    for name in ("['logits']['kernel']", "['logits']['bias']"):
        np.testing.assert_array_equal(new[name], old[name][..., [2, 0, 1]])
    np.testing.assert_array_equal(new["['dense']['kernel']"], old["['dense']['kernel']"])


def test_logits_of_other_names_are_refused_naming_them(source, tmp_path):
    workdir, data = source
    c = tiny_config(data, transfer__workdir=workdir, transfer__take="logits", data__map="anger=fear")
    says = r"tell anger, .*; this .* tell fear, happiness, neutral \(only there anger; only here fear\)"
    with pytest.raises(BadInput, match=says):
        train.train(c, str(tmp_path / "no"))
    with pytest.raises(
        BadInput, match=r"tell anger, .* to tell AU01, AU02, AU04 \(only there anger, happiness"
    ):
        transfer.by_name({}, ("anger", "happiness", "fear"), ("AU01", "AU02", "AU04"), "w")


@pytest.mark.parametrize("text", ["block*", "block*=fast", "block*=-1", "=1"])
def test_rates_that_are_none(text):
    with pytest.raises(BadInput, match=r"transfer.rates"):
        tiny_config("x", transfer__rates=text)


def test_eight_devices_equal_one_with_frozen_parts(source, tmp_path):
    workdir, data = source
    file = runs.write_config(tmp_path / "c.py", data)
    keys = [
        f"--config.transfer.workdir={workdir}",
        "--config.transfer.freeze=block*",
        "--config.transfer.rates=dense=0.5",
        "--config.train.epochs=1",
    ]
    for n in (1, 8):
        done = runs.ferjax("train", "--config", file, "--workdir", tmp_path / str(n), *keys, devices=n)
        assert done.returncode == 0, done.stderr
    one, eight = runs.weights(tmp_path / "1"), runs.weights(tmp_path / "8")
    for name, value in one.items():
        np.testing.assert_allclose(eight[name], value, rtol=2e-4, atol=2e-6)
