"""One step for every number of devices: equal weights, exact masks, honest selection, one clear error."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import runs

from data_pipelines import BadInput, arrays, exported
from ferjax import evaluate, microbatch, tasks, train
from ferjax.models import fer_cnn
from ferjax.parallel import Devices


@pytest.mark.parametrize(
    "changes",
    [
        {"parallel__devices": 8},
        {"parallel__devices": 8, "parallel__mode": "shard_map"},
        {"parallel__devices": 1, "parallel__mode": "shard_map"},
        {"parallel__devices": 4, "input__placement": "host"},
        {"parallel__devices": 8, "parallel__steps_per_call": 4},  # 3 steps an epoch
        {"parallel__devices": 2, "parallel__steps_per_call": 2, "parallel__mode": "shard_map"},
        {"parallel__devices": 2, "parallel__microbatch": 2, "parallel__steps_per_call": 3},
    ],
    ids=lambda c: " ".join(map(str, c.values())),
)
def test_any_number_of_devices_gives_the_one_device_weights(data_dir, one_device, tmp_path, changes):
    c = runs.tiny_config(data_dir, train__epochs=7, **changes)
    assert train.train(c, str(tmp_path)) == 0
    moved = [np.abs(a).max() for a in runs.weights(one_device).values()]
    assert max(moved) > 0.1
    runs.close(runs.weights(tmp_path), runs.weights(one_device))


def test_several_steps_a_call_leave_the_same_lines_and_find_the_step_that_diverges(data_dir, tmp_path):
    lines, said = [], []
    for n in (1, 5):
        c = runs.tiny_config(data_dir, train__epochs=3, checkpoint__every_steps=2, parallel__steps_per_call=n)
        assert train.train(c, str(tmp_path / f"w{n}")) == 0
        text = (tmp_path / f"w{n}/metrics.jsonl").read_text()
        lines.append([json.loads(line) for line in text.splitlines()])
        c.optimizer.learning_rate = 1e20
        with pytest.raises(BadInput) as e:
            train.train(c, str(tmp_path / f"bad{n}"))
        said.append(str(e.value).split(";")[0])
    for one, five in zip(*lines, strict=True):
        assert one.keys() == five.keys()
        np.testing.assert_allclose(
            *([x[k] for k in x if k != "split"] for x in (one, five)), rtol=1e-4, err_msg=str(one)
        )
    assert said[0] == said[1] and "at step" in said[0]


def test_the_first_step_is_the_gradient_of_the_mean_over_real_examples(data_dir):
    """The masked, uneven batch on 8 devices against a plain mean over its five examples."""
    c = runs.tiny_config(data_dir, augment__flip=False, augment__rotation=0.0, augment__translation=0.0)
    c.model.dropout_conv = c.model.dropout_dense = c.optimizer.momentum = 0.0
    split = runs.tiny_split(5, 3)
    model = fer_cnn.build(c.model, 3)
    from data_pipelines import input
    from ferjax.augment import normalise

    devices = Devices("pmap", 16, 8)
    step = devices.compile(train.make_train_step(c, model, 1, tasks.of(c, split), np.ones(3, np.float32)))
    state = devices.init(lambda: train.init_state(c, model, (16, 16, 1)))
    batch = next(iter(input.row_batches(5, 16, 0, last_step=1)))
    assert batch["mask"].sum() == 5
    after, sums = step(state, batch, devices.put(input.resident(split)))

    def mean_loss(params):
        logits, _ = model.apply({"params": params}, normalise(jnp.asarray(split.image), "scale"))
        return optax.softmax_cross_entropy_with_integer_labels(logits, jnp.asarray(split.label)).mean()

    params = jax.device_get(state.params)
    loss, gradient = jax.value_and_grad(mean_loss)(params)
    np.testing.assert_allclose(sums["loss"][0] / sums["loss"][1], loss, rtol=1e-5)
    wanted = jax.tree.map(lambda p, g: p - 0.02 * g, params, gradient)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), after.params, wanted)


def test_microbatches_of_the_platform(data_dir):
    c = runs.tiny_config(data_dir)
    assert [microbatch.training(c, "cpu", n) for n in (32, 64, 128, 100, 127, 500)] == [32, 64, 64, 50, 0, 50]
    assert microbatch.training(c, "gpu", 128) == 0
    c.model.conv = "xla"  # some 80 times slower in a loop
    assert microbatch.training(c, "cpu", 128) == 0
    c.parallel.microbatch = 8
    assert microbatch.training(c, "gpu", 16) == microbatch.training(c, "gpu", 5) == 8
    with pytest.raises(BadInput, match="microbatch is 8; it must divide a device's 12 examples"):
        microbatch.training(c, "cpu", 12)
    # nothing to add up: no error
    assert [microbatch.inference(c, "cpu", n) for n in (12, 16, 5, 7)] == [6, 8, 5, 7]


def test_loss_by_hand():
    logits = jnp.log(jnp.array([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [1.0, 1.0, 1.0]]))
    label, mask = jnp.array([0, 1, -1]), jnp.array([True, True, True])
    weights = jnp.array([1.0, 3.0, 1.0])
    total, count = tasks.loss_sums(logits, label, mask, weights, 0.0)
    np.testing.assert_allclose([total, count], [np.log(2) - 3 * np.log(0.8), 4.0], rtol=1e-5)
    total, _ = tasks.loss_sums(logits, label, jnp.array([True, False, False]), weights, 0.3)
    np.testing.assert_allclose(total, 0.8 * np.log(2) + 0.2 * np.log(4), rtol=1e-5)


def test_balanced_weights_by_hand():
    label = np.array([0, 0, 0, 1, -1])
    split = dataclasses.replace(runs.tiny_split(5, 0), label=label)
    c = runs.tiny_config("x", loss__class_weights="balanced")
    weights = tasks.of(c, split).weights(split)
    np.testing.assert_allclose(weights[:2], [4 / 6, 2.0])
    assert weights[label[:4]].mean() == pytest.approx(1)
    c.loss.class_weights = "none"
    np.testing.assert_array_equal(tasks.of(c, split).weights(split), [1, 1, 1])


def test_plateau_lowers_the_rate_and_the_counters_are_saved(data_dir, tmp_path):
    changes = {"schedule__name": "plateau", "schedule__patience": 1, "optimizer__learning_rate": 1e-6}
    train.train(runs.tiny_config(data_dir, train__epochs=4, **changes), str(tmp_path / "whole"))
    lines = [json.loads(line) for line in (tmp_path / "whole/metrics.jsonl").read_text().splitlines()]
    rates = [line["learning_rate"] for line in lines if line["split"] == "train"]
    np.testing.assert_allclose(
        rates, [1e-6, 1e-6, 5e-7, 2.5e-7], rtol=1e-5
    )  # nothing learned: halved each epoch
    train.train(runs.tiny_config(data_dir, train__epochs=2, **changes), str(tmp_path / "two"))
    train.train(runs.tiny_config(data_dir, train__epochs=4, **changes), str(tmp_path / "two"))
    assert (tmp_path / "two/metrics.jsonl").read_bytes() == (tmp_path / "whole/metrics.jsonl").read_bytes()


def test_the_epoch_is_chosen_without_the_test_part(data_dir, tmp_path, monkeypatch):
    """Training must not so much as look at the test part's images or labels."""
    real = arrays.load_parts

    class Forbidden:
        def __init__(self, split):
            self.split = split

        def __len__(self):
            return len(self.split)

        def __getattr__(self, name):
            assert name in ("hash", "name", "id"), f"training looked at the test part's {name}"
            return getattr(self.split, name)

    monkeypatch.setattr(arrays, "load_parts", lambda d: real(d)._replace(test=Forbidden(real(d).test)))
    train.train(runs.tiny_config(data_dir), str(tmp_path))


def test_best_is_kept_beside_last_and_evaluated(data_dir, tmp_path):
    c = runs.tiny_config(data_dir, train__epochs=6, optimizer__learning_rate=0.05)
    train.train(c, str(tmp_path))
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    chosen = {line["step"]: line["accuracy"] for line in lines if line["split"] == "select"}
    best = max(chosen, key=lambda s: (chosen[s], -s))
    kept = {int(p.name) for p in (tmp_path / "checkpoints").iterdir() if p.name.isdigit()}
    assert kept == {best, 18}
    (path,) = evaluate.evaluate(str(tmp_path), "test")
    result = json.loads(path.read_text())
    assert result["checkpoint_step"] == best
    # by hand, from the written predictions
    rows = (tmp_path / "results/test_predictions.csv").read_text().splitlines()[1:]
    cells = [row.split(",") for row in rows]
    assert result["metrics"]["accuracy"]["value"] == pytest.approx(np.mean([c[2] == c[3] for c in cells]))
    assert result["interval"]["over"] == "subject" and result["interval"]["units"] == 5
    assert (tmp_path / "results/test.png").stat().st_size > 1000


def test_the_selecting_part_is_looked_at_every_few_epochs_and_at_the_end(data_dir, tmp_path):
    c = runs.tiny_config(data_dir, **{"train.epochs": 5, "train.select_every": 2})
    assert train.train(c, str(tmp_path / "few")) == 0
    lines = [json.loads(line) for line in (tmp_path / "few/metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines if line["split"] == "select"] == [2, 4, 5]
    with c.unlocked():
        c.train.select_every = 1
    assert train.train(c, str(tmp_path / "all")) == 0
    every = [json.loads(line) for line in (tmp_path / "all/metrics.jsonl").read_text().splitlines()]
    assert [line for line in every if line["epoch"] in (2, 4, 5)] == lines  # the same training


def test_numbers_without_the_images_that_training_saw(data_dir, tmp_path):
    parts = arrays.load_parts(runs.tiny_config(data_dir).data)
    image = parts.test.image.copy()
    image[:3], image[3] = parts.train.image[:3], parts.select.image[0]
    test = dataclasses.replace(parts.test, image=image)
    exported.write(parts._replace(test=test, published="a division of theirs"), tmp_path / "set")
    train.train(runs.tiny_config(str(tmp_path / "set")), str(tmp_path / "w"))
    whole, without = [json.loads(p.read_text()) for p in evaluate.evaluate(str(tmp_path / "w"), "test")]
    assert without["name"] == "test_without_duplicates"
    assert whole["metrics"]["accuracy"]["n"] == 13 and without["metrics"]["accuracy"]["n"] == 9
    rows = (tmp_path / "w/results/test_predictions.csv").read_text().splitlines()[5:]
    right = [row.split(",")[2] == row.split(",")[3] for row in rows]
    assert without["metrics"]["accuracy"]["value"] == pytest.approx(np.mean(right))
    assert without["split_hash"] != whole["split_hash"]


def test_views_average_probabilities(data_dir):
    c = runs.tiny_config(data_dir)
    model = fer_cnn.build(c.model, 3)
    devices = Devices("pmap", None, 4)
    split = runs.tiny_split(13, 4)
    params = devices.init(lambda: train.init_state(c, model, (16, 16, 1)).params)
    got = [evaluate.Predictor(c, model, devices, views)(params, split) for views in (1, 2)]

    def by_hand(images):
        x = jnp.asarray(images).astype(jnp.float32) / 255
        return np.asarray(jax.nn.softmax(model.apply({"params": jax.device_get(params)}, x)[0]))

    there, mirrored = by_hand(split.image), by_hand(split.image[:, :, ::-1])
    assert np.abs(there - mirrored).max() > 1e-3
    np.testing.assert_allclose(got[0], there, rtol=1e-4)
    np.testing.assert_allclose(got[1], (there + mirrored) / 2, rtol=1e-4)
    c.parallel.microbatch = 3  # three by three, the thirteenth and padding likewise
    c.evaluate.batch_size = 12
    for mode, n in (("pmap", 1), ("pmap", 2), ("shard_map", 2)):
        some = evaluate.Predictor(c, model, Devices(mode, None, n), 2)(jax.device_get(params), split)
        np.testing.assert_allclose(some, (there + mirrored) / 2, rtol=1e-4)


def test_ten_views_with_a_crop_are_the_corners_and_the_middle():
    images = jax.random.uniform(jax.random.key(0), (2, 9, 8, 1))
    views = evaluate.views_of(images, 10, 6)
    wanted = [images[:, y : y + 6, x : x + 6] for y, x in ((1, 1), (0, 0), (0, 2), (3, 0), (3, 2))]
    for i, one in enumerate(wanted):
        np.testing.assert_array_equal(views[2 * i], one)
        np.testing.assert_array_equal(views[2 * i + 1], one[:, :, ::-1])
    assert len(views) == 10
    for n in (1, 2):
        for got, one in zip(evaluate.views_of(images, n, 6), views[:n], strict=True):
            np.testing.assert_array_equal(got, one)


def test_ten_views_are_five_shifts_mirrored_or_not():
    images = jnp.arange(2 * 4 * 4.0).reshape(2, 4, 4, 1)
    views = evaluate.views_of(images, 10)
    assert len(views) == 10
    np.testing.assert_array_equal(views[1], images[:, :, ::-1])
    np.testing.assert_array_equal(views[2][:, 1:], images[:, :-1])  # one pixel down


def test_selection_and_evaluation_use_the_average_of_the_weights(data_dir, tmp_path):
    c = runs.tiny_config(data_dir, optimizer__ema_decay=0.9, optimizer__learning_rate=0.3)
    train.train(c, str(tmp_path))
    (path,) = evaluate.evaluate(str(tmp_path), "select", "last")
    chosen = json.loads(path.read_text())["metrics"]
    last = runs.selected(tmp_path)[-1]
    np.testing.assert_allclose([chosen["log_loss"]["value"], chosen["accuracy"]["value"]], last, rtol=1e-4)
    raw = runs.weights(tmp_path)  # not the average
    model, split = fer_cnn.build(c.model, 3), runs.tiny_split(12, 1, "select")
    params = {}
    for name, array in raw.items():
        layer, kind = name.strip("[]'").split("']['")
        params.setdefault(layer, {})[kind] = array
    p = jax.nn.softmax(model.apply({"params": params}, jnp.asarray(split.image) / 255.0)[0])
    assert abs(tasks.of(c, split).summary(split, np.asarray(p))["loss"] - last[0]) > 1e-3


def test_results_say_what_selected_and_refuse_other_data(data_dir, tmp_path):
    train.train(runs.tiny_config(data_dir), str(tmp_path / "w"))
    parts = arrays.load_parts(runs.tiny_config(data_dir).data)

    def evaluated(which="best", **changed):
        folder = tmp_path / f"set{len(list(tmp_path.iterdir()))}"
        exported.write(parts._replace(**changed), folder)
        (path,) = evaluate.evaluate(str(tmp_path / "w"), "test", which, [f"data.dir={folder}"])
        return path.stem, json.loads(path.read_text())

    name, result = evaluated(selection="something else")
    assert (name, result["selected_on"], result["notes"]) == ("test", "accuracy on the set's select part", [])
    _, result = evaluated(test=runs.tiny_split(13, 9, "test"))
    assert result["notes"] == ["the test part is not the one that was on disk when training began"]
    theirs = dataclasses.replace(parts.test, image=parts.train.image[:13])
    with pytest.raises(BadInput, match="share 13 images, pixel for pixel"):
        evaluated(test=theirs)
    _, result = evaluated(test=theirs, published="a division of theirs")
    assert "every one of these images is also, pixel for pixel, in a part trained" in result["notes"][-1]
    assert evaluated("last")[0] == "test_last"
    with pytest.raises(BadInput, match="was trained on other data: select changed"):
        evaluated(select=runs.tiny_split(12, 8, "select"))
    with pytest.raises(BadInput, match="no image has a known label"):
        evaluated(test=dataclasses.replace(parts.test, label=np.full(13, -1, np.int32)))


def test_a_set_without_labels_is_refused(data_dir, tmp_path):
    parts = arrays.load_parts(runs.tiny_config(data_dir).data)
    unknown = dataclasses.replace(parts.train, label=np.full(37, -1, np.int32))
    exported.write(parts._replace(train=unknown), tmp_path / "set")
    with pytest.raises(BadInput, match="no image has a known label, so there is no emotion to learn"):
        train.train(runs.tiny_config(str(tmp_path / "set")), str(tmp_path / "w"))


def test_a_diverging_loss_stops_with_what_to_try(data_dir, tmp_path):
    c = runs.tiny_config(data_dir, optimizer__learning_rate=1e30, train__epochs=5)
    with pytest.raises(
        BadInput,
        match=r"the loss is (nan|inf) at step \d+; .*try in another --workdir: a lower optimizer",
    ):
        train.train(c, str(tmp_path))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"optimizer__learning_rate": 0.5}, "optimizer.learning_rate (there 0.02, now 0.5)"),
        ({"model__features": "(4,8)"}, "model.features"),
        ({"input__batch_size": 8}, "input.batch_size"),
    ],
)
def test_another_config_is_refused_naming_the_keys(data_dir, one_device, changes, words):
    before = sorted(p.name for p in one_device.rglob("*"))
    with pytest.raises(BadInput) as e:
        train.train(runs.tiny_config(data_dir, train__epochs=7, **changes), str(one_device))
    assert words in str(e.value)
    assert sorted(p.name for p in one_device.rglob("*")) == before


def test_other_data_are_refused(data_dir, one_device, tmp_path):
    other = runs.write_set(tmp_path, n_train=36)
    with pytest.raises(BadInput, match="begun on other data: train changed"):
        train.train(runs.tiny_config(other, train__epochs=7), str(one_device))


def test_more_devices_than_there_are(data_dir, tmp_path):
    with pytest.raises(BadInput, match=r"parallel\.devices is 9; this host has 8"):
        train.train(runs.tiny_config(data_dir, parallel__devices=9), str(tmp_path))
    with pytest.raises(BadInput, match="must be a multiple of 7 devices"):
        train.train(runs.tiny_config(data_dir, parallel__devices=7), str(tmp_path))
