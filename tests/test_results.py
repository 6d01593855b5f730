"""Results and a workdir's description of itself."""

import csv
import json
import math
import os
import subprocess

import numpy as np
import pytest

from data_pipelines import BadInput
from ferjax import metrics, results

FACTS = {
    "split": "facsynth/test",
    "split_hash": "ab" * 32,
    "config": {"name": "demo", "sizes": (64, 128)},
    "selected_on": "accuracy on a hashed tenth of Training",
    "checkpoint_step": 1200,
    "seed": 0,
    "wall_time_s": 1.23456,
    "device": "1 x cpu, pmap",
}


@pytest.fixture(scope="module")
def scores():
    rng = np.random.default_rng(0)
    probability = rng.dirichlet(np.ones(3), 60)
    label = np.arange(60) % 2 - (np.arange(60) < 2)  # one unknown, class "awe" never
    return metrics.classification(label, probability, ("joy", "fear", "awe"), ["s1", "s2", "s3"] * 20, 50)


@pytest.fixture
def plain(scores, tmp_path):
    """A result as JSON holds it."""
    path = results.write_result(tmp_path / "plain", "test", scores, **FACTS, figure=False)
    return json.loads(path.read_text())


def test_a_result_and_its_companions(scores, tmp_path):
    path = results.write_result(tmp_path, "test", scores, **FACTS, views=10, notes=["A note."])
    assert path == tmp_path / "results" / "test.json"
    read = results.read_result(path)
    assert read["metrics"]["accuracy"]["value"] == scores.metrics["accuracy"].value
    assert read["confusion"] == scores.confusion.tolist() and read["interval"]["units"] == 3
    assert (read["views"], read["checkpoint_step"], read["wall_time_s"]) == (10, 1200, 1.235)
    assert read["notes"] == ["A note.", "Left out, their label being unknown: 1 of the split's images."]
    assert read["config_hash"] == results.config_hash(FACTS["config"])
    assert set(read["versions"]) >= {"python", "jax", "numpy", "flax", "optax", "ferjax"}
    undefined = read["metrics"]["recall/awe"]
    assert math.isnan(undefined["value"]) and "no example of awe" in undefined["reason"]
    assert "NaN" not in path.read_text()
    rows = list(csv.DictReader((tmp_path / "results" / "test.csv").read_text().splitlines()))
    assert float(rows[0]["value"]) == scores.metrics["accuracy"].value and len(rows) == len(scores.metrics)
    assert next(r for r in rows if r["metric"] == "recall/awe")["value"] == ""
    assert (tmp_path / "results" / "test.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(p.name for p in path.parent.iterdir()) == ["test.csv", "test.json", "test.png"]


def test_predictions():
    probability = [[0.1, 0.9], [0.7, 0.3]]
    text = results.predictions(["a,b", 'c"d'], ["s1", ""], [1, -1], probability, ("joy", "fear")).decode()
    assert list(csv.reader(text.splitlines())) == [
        ["id", "subject", "label", "predicted", "p(joy)", "p(fear)"],
        ["a,b", "s1", "fear", "fear", "0.1", "0.9"],
        ['c"d', "", "", "joy", "0.7", "0.3"],
    ]
    with pytest.raises(ValueError, match="do not fit together"):
        results.predictions(["a"], ["s"], [0], probability, ("joy", "fear"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": "ferjax/result/2"}, "schema is 'ferjax/result/2'"),
        ({"sed": 1}, "unknown key 'sed'; did you mean 'seed'"),
        ({"split": None}, "split is None, not str"),
        ({"views": True}, "views is True, not int"),
        ({"name": "../test"}, "name '../test'"),
        ({"metrics": {"uf1": {"value": 1.0, "low": 0.9, "high": 1.0}}}, "metrics.uf1 has no 'n'"),
        ({"metrics": {"uf1": {"value": "1", "low": 0, "high": 1, "n": 1}}}, "metrics.uf1.value is '1'"),
        ({"metrics": {"uf1": {"value": 0.5, "low": 0.6, "high": 0.4, "n": 1}}}, "low 0.6 above high 0.4"),
        ({"interval": {"level": 0.95}}, "interval.over is None"),
        ({"confusion": [[1, 2, 3]]}, "3 rows of 3"),
        ({"confusion": [[1, 2, 3]] * 2 + [[1, 2, -3]]}, "no count"),
        ({"classes": [1, 2, 3]}, "classes must be names"),
    ],
)
def test_what_breaks_the_schema_is_named(plain, tmp_path, change, words):
    broken = plain | change
    with pytest.raises(ValueError, match=words) as error:
        results.save_result(tmp_path, broken)
    assert "\n" not in str(error.value) and not (tmp_path / "results").exists()
    (tmp_path / "test.json").write_text(json.dumps(broken))
    with pytest.raises(BadInput, match="test.json: .*" + words):
        results.read_result(tmp_path / "test.json")


def test_a_missing_key_is_named(plain, tmp_path):
    del plain["split_hash"]
    with pytest.raises(ValueError, match="'split_hash' is missing"):
        results.save_result(tmp_path, plain)


def test_read_all_puts_test_first(plain, tmp_path):
    for name in ("a", "test_without_duplicates", "select", "test"):
        results.save_result(tmp_path, plain | {"name": name}, figure=False)
    assert list(results.read_all(tmp_path)) == ["test", "test_without_duplicates", "a", "select"]


def test_words(scores, tmp_path):
    path = results.write_result(tmp_path, "test", scores, **FACTS, figure=False)
    words = results.words(path)
    assert f"accuracy {100 * scores.metrics['accuracy'].value:.2f} % [" in words
    assert "over 3 subjects" in words and "hashed tenth" in words and str(path) in words
    bare = metrics.classification([0, 1], [[1, 0], [0, 1]], "ab", n_bootstrap=0)
    assert "no intervals" in results.words(results.write_result(tmp_path, "b", bare, **FACTS, figure=False))


def test_a_failed_write_leaves_the_old_file(scores, tmp_path, monkeypatch):
    path = results.write_result(tmp_path, "test", scores, **FACTS, figure=False)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BadInput, match="cannot be written: No space left"):
        results.write_result(tmp_path, "test", scores, **FACTS, figure=False)
    assert path.read_bytes() == before
    assert sorted(p.name for p in path.parent.iterdir()) == ["test.csv", "test.json"]


def test_a_workdir_that_is_a_file(scores, tmp_path):
    (tmp_path / "w").write_text("")
    with pytest.raises(BadInput, match="cannot be written"):
        results.write_result(tmp_path / "w", "test", scores, **FACTS, figure=False)


def test_config_hash():
    base = results.config_hash({"a": 1, "b": {"c": [1, 2.5], "d": None}})
    assert base == results.config_hash({"b": {"d": None, "c": (1, 2.5)}, "a": 1}) and len(base) == 64
    assert base == results.config_hash({"a": np.int64(1), "b": {"c": (1, np.float64(2.5)), "d": None}})
    assert base != results.config_hash({"a": 1, "b": {"c": [1, 2.6], "d": None}})
    here, there = ({"data": {"name": "x", "dir": d, "cache_dir": d}} for d in ("/here", "/there"))
    assert results.config_hash(here) == results.config_hash(there)
    assert results.config_hash(here) != results.config_hash({"data": {**here["data"], "name": "y"}})
    assert here["data"]["dir"] == "/here"
    with pytest.raises(ValueError, match=r"config.b.c is nan"):
        results.config_hash({"b": {"c": math.nan}})
    with pytest.raises(ValueError, match=r"config.x.1 is <object"):
        results.config_hash({"x": [0, object()]})


def test_config_dict():
    ml_collections = pytest.importorskip("ml_collections")
    config = {"a": {"b": (1, 2)}, "c": "x"}
    assert results.config_hash(ml_collections.ConfigDict(config)) == results.config_hash(config)


def test_git_revision(tmp_path, monkeypatch):
    def git(*arguments):
        subprocess.run(["git", "-C", str(tmp_path), *arguments], check=True, capture_output=True)

    module = tmp_path / "results.py"
    module.write_text("")
    monkeypatch.setattr(results, "__file__", str(module))
    ask = results.git_revision.__wrapped__  # past the cache
    assert ask() == "unknown"
    git("init")
    assert ask() == "unknown"  # in a checkout that does not track it
    git("add", "results.py")
    git("-c", "user.name=n", "-c", "user.email=e@example.org", "commit", "-m", "m")
    clean = ask()
    assert len(clean) == 40
    module.write_text("changed")
    assert ask() == clean + "+dirty"
    monkeypatch.setenv("PATH", "")
    assert ask() == "unknown"


def test_describe_run_keeps_the_first_start(tmp_path):
    results.describe_run(tmp_path, {"a": (1,)}, {"train": "00"}, "1 x cpu", selection="PublicTest")
    results.describe_run(tmp_path, {"a": (1,)}, {"train": "00"}, "8 x cpu", step=40)
    read = results.read_workdir(tmp_path)
    assert read["config"] == {"a": [1]} and read["run"]["devices"] == "1 x cpu"
    assert read["run"]["split_hashes"] == {"train": "00"} and read["run"]["selection"] == "PublicTest"
    assert [s["devices"] for s in read["run"]["resumed"]] == ["8 x cpu"]
    assert read["problems"] == {"metrics.jsonl": "missing", "timing.jsonl": "missing"}


def test_read_workdir(tmp_path):
    assert results.read_workdir(tmp_path / "nowhere")["config"] == {}
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n\n{"step": 2}\n{"st')
    read = results.read_workdir(tmp_path)
    assert read["metrics"] == [{"step": 1}, {"step": 2}]
    assert read["problems"]["metrics.jsonl"] == "left out 1 unreadable line, line 4"
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(BadInput, match=r"config.json: cannot be read as JSON"):
        results.read_workdir(tmp_path)
    assert results.read_workdir(tmp_path, strict=False)["config"] == {}
