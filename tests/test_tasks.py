"""Action units as a task: loss over known codes alone, any number of devices, thresholds never from test."""

import csv
import dataclasses
import json

import au_files
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import runs
from sklearn import metrics as oracle

from data_pipelines import BadInput, arrays, exported
from ferjax import config, evaluate, report, results, tasks, train


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return au_files.write_set(tmp_path_factory.mktemp("coded"))


@pytest.fixture(scope="module")
def trained(data_dir, tmp_path_factory):
    """20 steps with SGD on one device, evaluated on test."""
    workdir = tmp_path_factory.mktemp("aus")
    c = au_files.config(data_dir, train__epochs=4, parallel__devices=1, optimizer__learning_rate=0.05)
    assert train.train(c, str(workdir)) == 0
    evaluate.evaluate(str(workdir), "test")
    return workdir


def result(workdir, name="test"):
    return json.loads((workdir / f"results/{name}.json").read_text())


def test_loss_by_hand_over_known_codes():
    """Weights 1 and 3: log 2 twice where the logit is 0, and -3 log sigmoid(2) of a unit that is there."""
    logits = jnp.array([[0.0, 2.0], [0.0, 5.0]])
    present = jnp.array([[False, True], [True, False]])
    known = jnp.array([[True, True], [True, False]])
    weights = jnp.array([[1.0, 3.0], [1.0, 3.0]])
    (loss, weight), (right, counted) = tasks.au_loss_sums(logits, present, known, weights)
    by_hand = np.log(2) + 3 * np.log1p(np.exp(-2.0)) + 3 * np.log(2)
    np.testing.assert_allclose([loss, weight, right, counted], [by_hand, 7.0, 2.0, 3.0], rtol=1e-6)


def test_an_unknown_code_changes_no_bit_of_the_gradient():
    known = jnp.array([[True, False], [True, True]])
    weights = jnp.ones((2, 2))

    def gradient(logits, present):
        return np.asarray(jax.grad(lambda z: tasks.au_loss_sums(z, present, known, weights)[0][0])(logits))

    logits = jnp.array([[0.3, 1.0], [-0.2, 0.7]])
    a = gradient(logits, jnp.array([[True, True], [False, True]]))
    b = gradient(logits.at[0, 1].set(jnp.inf), jnp.array([[True, False], [False, True]]))
    assert a[0, 1] == 0 and a.tobytes() == b.tobytes()


def test_the_threshold_makes_ungraded_codes_unknown():
    split = au_files.split(8, 0)
    aus = np.array([[9, 1, 0], [2, -1, 5]] * 4, np.int8)
    split = dataclasses.replace(split, aus=aus)
    for threshold, wanted in ((1, [[1, 1, 0], [1, -1, 1]]), (2, [[-1, 0, 0], [1, -1, 1]])):
        c = au_files.config("x", aus__threshold=threshold, aus__least=1)
        code = labels_of(c, split)
        np.testing.assert_array_equal(code[:2], wanted)
        task = object.__new__(tasks.Aus)  # its sums, in the step, must see the same codes
        task.c, task.place = c, [0, 1, 2]
        ones = jnp.ones((3, 2))
        batch = {"aus": jnp.asarray(aus[:2]), "mask": jnp.ones(2, bool)}
        _, (right, counted) = task.sums(jnp.where(jnp.asarray(code[:2]) == 1, 1.0, -1.0), batch, ones)
        assert (right, counted) == ((code[:2] >= 0).sum(), (code[:2] >= 0).sum())


def labels_of(c, split):
    from data_pipelines.labels import au_present

    return au_present(split.aus, c.aus.threshold)


def test_units_are_chosen_by_name_or_by_what_there_is(data_dir):
    split = au_files.split(70, 0)
    rare = split.aus.copy()
    rare[5:, 1] = np.minimum(rare[5:, 1], 0)
    split = dataclasses.replace(split, aus=rare)
    task = tasks.of(au_files.config("x"), split)
    assert (task.names, task.left_out) == (("AU01", "AU12"), ["AU04"])
    assert tasks.of(au_files.config("x", aus__units="au12, AU01"), split).names == ("AU12", "AU01")
    assert "AU04" in " ".join(task.notes()) and "any intensity" in " ".join(task.notes())
    assert "at least 2" in " ".join(tasks.of(au_files.config("x", aus__threshold=2), split).notes())
    with pytest.raises(BadInput, match=r"aus\.units names AU25; .* has AU01, AU04, AU12"):
        tasks.of(au_files.config("x", aus__units="AU25"), split)
    with pytest.raises(BadInput, match="no action unit is present in 60 images"):
        tasks.of(au_files.config("x", aus__least=60), split)


def test_balanced_weights_make_both_sides_of_a_unit_weigh_the_same():
    split = au_files.split(70, 0)
    task = tasks.of(au_files.config("x", aus__weights="balanced"), split)
    weight, code = task.weights(split), task.present(split)
    for u in range(3):
        sides = [(code[:, u] == k).sum() * weight[u, k] for k in (0, 1)]
        assert sides[0] == pytest.approx(sides[1]) == pytest.approx((code[:, u] >= 0).sum() / 2)


@pytest.mark.parametrize(
    "changes",
    [
        {"parallel__devices": 8},
        {"parallel__devices": 8, "parallel__mode": "shard_map", "input__placement": "host"},
    ],
    ids=["pmap", "shard_map"],
)
def test_eight_devices_give_the_one_device_weights(data_dir, trained, tmp_path, changes):
    c = au_files.config(data_dir, train__epochs=4, optimizer__learning_rate=0.05, **changes)
    assert train.train(c, str(tmp_path)) == 0
    one, other = runs.weights(trained), runs.weights(tmp_path)
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_allclose(other[name], one[name], rtol=2e-4, atol=2e-6, err_msg=name)


def test_a_run_says_its_task_and_units(trained):
    run = json.loads((trained / "run.json").read_text())
    assert (run["task"], run["au_names"]) == ("aus", list(au_files.UNITS))


def test_results_agree_with_scikit_learn(trained):
    """From the written predictions, by the written thresholds."""
    found = result(trained)["metrics"]
    with open(trained / "results/test_predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 60 and {"id", "subject"} < rows[0].keys()
    f1s = []
    for au in au_files.UNITS:
        y, p = zip(*((int(r[au]), float(r[f"p({au})"])) for r in rows if r[au] != ""), strict=True)
        assert 0 < len(y) < 60  # unknown codes are empty
        said = np.array(p) >= found[f"threshold/{au}"]["value"]
        f1s.append(oracle.f1_score(y, said))
        assert found[f"f1/{au}"]["value"] == pytest.approx(f1s[-1])
        assert found[f"auc/{au}"]["value"] == pytest.approx(oracle.roc_auc_score(y, p))
        ap = oracle.average_precision_score(y, p)
        assert found[f"average_precision/{au}"]["value"] == pytest.approx(ap)
    assert found["f1"]["value"] == pytest.approx(np.mean(f1s))
    assert found["f1"]["low"] < found["f1"]["value"] < found["f1"]["high"]
    assert result(trained)["interval"]["over"] == "subject" and result(trained)["confusion"] is None


def test_thresholds_are_of_the_selecting_part_alone(data_dir, trained, tmp_path):
    """A test part with other codes is scored at the same thresholds."""
    parts = arrays.load_parts(au_files.config(data_dir).data)
    other = dataclasses.replace(parts.test, aus=np.where(parts.test.aus < 0, 1, 5 * (parts.test.aus == 0)))
    exported.write(parts._replace(test=other), tmp_path)
    before = result(trained)["metrics"]
    evaluate.evaluate(str(trained), "test", "last", [f"data.dir={tmp_path}"])
    evaluate.evaluate(str(trained), "test", "last")
    changed = result(trained, "test_last")["metrics"]
    evaluate.evaluate(str(trained), "test", "last", [f"data.dir={tmp_path}"])
    swapped = result(trained, "test_last")["metrics"]
    for au in au_files.UNITS:
        assert changed[f"threshold/{au}"] == swapped[f"threshold/{au}"]
        assert changed[f"auc/{au}"] != swapped[f"auc/{au}"]
    assert before.keys() == changed.keys()


def test_views_are_averaged(trained):
    evaluate.evaluate(str(trained), "select", "best", ["evaluate.views=2"])
    assert result(trained, "select")["views"] == 2


def test_words_and_page_show_units(trained):
    words = results.words(trained / "results/test.json")
    assert "mean F1 " in words and "mean AUC " in words and "any intensity" in words
    page = report.write_report(trained).read_text()
    for text in ("Mean F1", "Mean ROC AUC", "AU12", "lip corner puller", "Threshold", "chart-auc"):
        assert text in page, text
    assert "holds no confusion matrix" not in page and "_worst.npz" not in page


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"train__select_by": "accuracy"},
            r"train\.select_by is 'accuracy'; it must be one of auc, f1, loss",
        ),
        ({"task": "emotion"}, r"train\.select_by is 'auc'"),
        ({"aus__threshold": 6}, r"aus\.threshold"),
        ({"aus__weights": "some"}, r"aus\.weights"),
        ({"aus__least": 0}, r"aus\.least"),
        ({"task": "gaze"}, r"config key task"),
    ],
)
def test_configs_that_cannot_be(changes, words):
    with pytest.raises(BadInput, match=words):
        au_files.config("x", **changes)


def test_another_task_is_another_training(data_dir, trained):
    with pytest.raises(BadInput, match=r"aus\.threshold \(there 1, now 2\)"):
        train.train(au_files.config(data_dir, train__epochs=4, aus__threshold=2), str(trained))
    assert config.default().task == "emotion"


def test_each_unit_is_learned_in_its_own_column(data_dir, tmp_path):
    """Units named in another order than the set's: outputs, codes and results must still belong together."""
    c = au_files.config(
        data_dir, aus__units="AU12,AU01,AU04", train__epochs=25, parallel__devices=1, augment__flip=False
    )
    c.augment.rotation = c.augment.translation = c.model.dropout_conv = c.model.dropout_dense = 0.0
    c.optimizer.name, c.optimizer.learning_rate = "adam", 5e-3
    train.train(c, str(tmp_path))
    evaluate.evaluate(str(tmp_path), "test")
    found = result(tmp_path)
    assert found["classes"] == ["AU12", "AU01", "AU04"]
    assert min(found["metrics"][f"auc/{au}"]["value"] for au in au_files.UNITS) > 0.9
