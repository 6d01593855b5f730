"""Published weights fine-tuned: AlexNet's file, a last layer that learns faster, crop and step schedule."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import runs

from data_pipelines import BadInput, arrays, exported
from ferjax import config, evaluate, models, optim, results, train, transfer, weights
from ferjax.models import alexnet
from ferjax.parallel import Devices

torch = pytest.importorskip("torch")
TINY = 1 / 64
NAMES = [*(f"features.{n}" for n in alexnet.CONVOLUTIONS), *(f"classifier.{n}" for n in (1, 4, 6))]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Pictures of 72 pixels in set/, and alexnet.pth, a small one with 9 outputs."""
    folder = tmp_path_factory.mktemp("fine")
    parts = arrays.Parts(
        *(
            runs.tiny_split(n, i, p, 72)
            for i, (p, n) in enumerate({"train": 20, "select": 9, "test": 9}.items())
        ),
        "the set's select part",
    )
    exported.write(parts, folder / "set")
    write(folder / "alexnet.pth")
    return folder


def write(path, channels=3, outputs=9, widths=(1, 3, 6, 4, 4), dense=64):
    """A state dict of torchvision's names."""
    rng = np.random.default_rng(0)
    sides, told, before = (11, 5, 3, 3, 3), {}, channels
    for name, n, k in zip(NAMES[:5], widths, sides, strict=True):
        told[name] = rng.normal(size=(n, before, k, k)) * np.sqrt(2 / (before * k * k))
        before = n
    before *= 36
    for name, n in zip(NAMES[5:], (dense, dense, outputs), strict=True):
        told[name] = rng.normal(size=(n, before)) * np.sqrt(2 / before)
        before = n
    state = {}
    for name, value in told.items():
        state[f"{name}.weight"] = torch.tensor(value, dtype=torch.float32)
        state[f"{name}.bias"] = torch.tensor(rng.normal(size=len(value)) * 0.1, dtype=torch.float32)
    torch.save(state, path)
    return path


def settings(place, **changes):
    """Fine-tuning of that file; 20 examples make steps of 8, 8 and 4."""
    c = config.default()
    c.data.name, c.data.dir, c.data.image_size = "npz", str(place / "set"), 72
    c.input.batch_size, c.train.epochs, c.parallel.devices = 8, 1, 1
    c.model.name, c.model.width, c.model.normalise, c.model.conv = "alexnet", TINY, "imagenet", "xla"
    c.augment.crop = 64
    c.optimizer.name, c.optimizer.learning_rate = "sgd", 0.01
    c.transfer.file, c.transfer.take = str(place / "alexnet.pth"), "block*,dense*"
    c.evaluate.batch_size, c.evaluate.bootstrap = 8, 100
    config.apply_overrides(c, [f"{k.replace('__', '.')}={v}" for k, v in changes.items()])
    config.check(c)
    return c


def trained(c, workdir):
    assert train.train(c, str(workdir)) == 0
    return runs.weights(workdir)


def test_it_begins_with_the_files_weights_and_says_so(place, tmp_path, capsys):
    still = {"optimizer__learning_rate": 1e-30, "optimizer__momentum": 0.0}
    got = trained(settings(place, **still), tmp_path / "w")
    told, digest = weights.read(place / "alexnet.pth")
    for part, kinds in alexnet.from_torch(told, "").items():
        for kind, wanted in kinds.items():
            value = got[f"['{part}']['{kind}']"]
            assert part == "logits" or (value == wanted).all()
    assert got["['logits']['kernel']"].shape == (64, 3)
    said = results.read_workdir(tmp_path / "w")["run"]["started_from"]
    assert (said["file"], said["sha256"]) == (str(place / "alexnet.pth"), digest)
    assert said["taken"] == [*(f"block{i}_conv" for i in range(1, 6)), "dense1", "dense2"]
    assert f"alexnet.pth (sha256 {digest})" in capsys.readouterr().err
    (path,) = evaluate.evaluate(tmp_path / "w", "test", "best", ["evaluate.views=2"])
    read = results.read_result(path)
    assert read["views"] == 2 and any("does not say what it was trained on" in n for n in read["notes"])


def test_the_last_layer_learns_faster_by_the_factor(place):
    """Of one gradient, other parts move a tenth as far; `test_transfer` has the same in a training."""
    rng, moved = np.random.default_rng(0), []
    told, _ = weights.read(place / "alexnet.pth")
    gradient = jax.tree.map(
        lambda a: jnp.asarray(rng.normal(size=a.shape), jnp.float32), alexnet.from_torch(told, "")
    )
    for rates in ("", "block*=0.1,dense*=0.1"):
        c = settings(place, transfer__rates=rates)
        transform = transfer.partition(c, optim.transform(c))
        moved.append(transform.update(gradient, transform.init(gradient), gradient)[0])
    for part in gradient:
        share = 1 if part == "logits" else 0.1
        for far, near in zip(*(jax.tree.leaves(m[part]) for m in moved), strict=True):
            np.testing.assert_allclose(near, share * far, rtol=1e-6)


def test_eight_devices_equal_one_and_a_resumed_run_an_uninterrupted_one(place, tmp_path):
    changes = {
        "schedule__name": "step",
        "schedule__step_epochs": 1.0,
        "schedule__factor": 0.1,
        "train__epochs": 2,
    }
    changes |= {"transfer__rates": "block*=0.5"}
    one = trained(settings(place, **changes), tmp_path / "one")
    eight = trained(settings(place, **changes, parallel__devices=8), tmp_path / "eight")
    for name, value in one.items():
        np.testing.assert_allclose(eight[name], value, rtol=2e-4, atol=2e-6)
    trained(settings(place, **changes | {"train__epochs": 1}), tmp_path / "cut")
    cut = trained(settings(place, **changes), tmp_path / "cut")
    assert all((cut[name] == value).all() for name, value in one.items())
    lines = (tmp_path / "one" / "metrics.jsonl").read_text().splitlines()
    rates = [json.loads(line)["learning_rate"] for line in lines if "learning_rate" in line]
    np.testing.assert_allclose(rates, [0.01, 0.001], rtol=1e-6)


def test_evaluation_looks_at_the_middle(place):
    """What lies outside of the crop changes nothing; what lies inside does."""
    c = settings(place)
    model = models.build(c.model, 3)
    params = jax.jit(lambda: train.init_state(c, model, (72, 72, 1)).params)()
    assert params["block1_conv"]["kernel"].shape == (11, 11, 3, 1)
    predictor = evaluate.Predictor(c, model, Devices("pmap", None, 1), views=1)
    split = runs.tiny_split(6, 0, "test", 72)
    before = predictor(params, split)
    split.image[:, :4] = split.image[:, -4:] = split.image[:, :, :4] = split.image[:, :, -4:] = 255
    np.testing.assert_array_equal(predictor(params, split), before)
    split.image[:, 4] = 255
    assert (predictor(params, split) != before).any()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"transfer__take": "*"}, r"logits in .*alexnet.pth is \(64, 9\) and here \(64, 3\): another number"),
        ({"model__width": 1 / 32}, r"block1_conv in .* is \(11, 11, 3, 1\) and here \(11, 11, 3, 2\)"),
        ({"transfer__take": "classifier*"}, "transfer.take names 'classifier\\*'"),
        (
            {"transfer__file": "/nowhere/alexnet-owt-7be5be79.pth"},
            "no such file of weights; its owners publish",
        ),
    ],
)
def test_what_does_not_fit_is_refused(place, tmp_path, changes, says):
    with pytest.raises(BadInput, match=says) as e:
        train.train(settings(place, **changes), str(tmp_path / "no"))
    assert "\n" not in str(e.value)


def test_a_map_of_saliency_becomes_a_fourth_channel_that_begins_at_zero(place):
    c = settings(place)
    told, _ = weights.read(place / "alexnet.pth")
    theirs = alexnet.from_torch(told, "")["block1_conv"]
    source = transfer._Source("file", {}, None, (), {}, {})
    ours = {"kernel": jnp.zeros((11, 11, 4, 1)), "bias": jnp.zeros(1)}
    got = transfer._fitted("block1_conv", theirs, ours, source, c, (64, 64, 4))["kernel"]
    np.testing.assert_array_equal(got[:, :, :3], theirs["kernel"])
    assert not got[:, :, 3].any()


def test_parts_that_do_not_fit_name_what_differs(place):
    """A dense layer of the paper's network belongs to what it looks at, which a crop changes."""
    layer = lambda *shape: {"kernel": np.zeros(shape), "bias": np.zeros(shape[-1])}  # noqa: E731
    c, plain = settings(place), runs.tiny_config(str(place / "set"), data__image_size=72)
    for name, config_there, config_here, theirs, ours, words in (
        ("dense", plain, plain, layer(1944, 8), layer(1536, 8), "its image size, 72x72 there and 64x64 here"),
        (
            "block1_conv",
            plain,
            c,
            layer(5, 5, 1, 4),
            layer(11, 11, 3, 1),
            "name is fer_cnn there and alexnet here",
        ),
    ):
        source = transfer._Source("w", {}, config_there, (72, 72, 1), {}, {})
        with pytest.raises(BadInput, match=words):
            transfer._fitted(name, theirs, ours, source, config_here, (64, 64, 1))


def test_jit_shares_what_is_compiled_for_equal_networks(place):
    c = settings(place).model
    assert models.build(c, 3) == models.build(c, 3) and hash(models.build(c, 3)) == hash(models.build(c, 3))
