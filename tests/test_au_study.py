"""From emotions to action units, end to end on a tiny set: cells, tables, thresholds without the test."""

import csv
import dataclasses
import io

import numpy as np
import pytest
from runs import tiny_config, tiny_split

from data_pipelines import BadInput, arrays, exported
from ferjax import au_study, reproduce, results
from ferjax import config as config_lib
from ferjax.report import write_report

UNITS = ("AU01", "AU12", "AU25")


def coded(n: int, seed: int, name: str):
    """Pictures whose bright square says emotion and units: AU01 with class 0, AU12 with 1, AU25 rarely."""
    split = tiny_split(n, seed, name)
    rng = np.random.default_rng(seed)
    aus = np.zeros((n, 3), np.int8)
    aus[:, 0], aus[:, 1] = 3 * (split.label == 0), 9 * (split.label == 1)
    aus[rng.integers(0, n, 3), 2] = 2
    aus[::11] = -1
    return dataclasses.replace(split, aus=aus, au_names=UNITS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("coded")
    sizes = {"train": 60, "select": 40, "test": 40}
    made = [coded(n, i, part) for i, (part, n) in enumerate(sizes.items())]
    exported.write(arrays.Parts(*made, "its select part"), out)
    return str(out)


def study(folder: str):
    c = au_study.default()
    c.name, c.bootstrap, c.head.steps, c.head.hidden = "tiny", 100, 50, 4
    source = tiny_config(
        folder, task="aus", train__select_by="auc", aus__least=5, train__epochs=1, parallel__devices=1
    )
    emotion = tiny_config(folder, train__epochs=1, parallel__devices=1)
    au_study.add_set(c, "tiny", source, emotion, "TINY")
    return c


@pytest.fixture(scope="module")
def done(folder, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("aus")
    assert reproduce.reproduce(study(folder), str(workdir), print) == (workdir / "au_detection", 0)
    return workdir


def test_every_backbone_and_head_stands_in_the_table(done):
    rows = list(csv.DictReader(io.StringIO((done / "au_detection/table.csv").read_text())))
    told = {(r["features"], r["head"]) for r in rows}
    assert len(told) == len(rows) == 7
    assert ("random weights", "a detector for each unit") in told


def test_units_csv_has_every_measure_of_every_unit(done):
    rows = list(csv.DictReader(io.StringIO((done / "au_detection/units.csv").read_text())))
    assert {r["unit"] for r in rows} == {"AU01", "AU12", "mean"}  # AU25 is too rare to learn
    heads = {(r["features"], r["head"]) for r in rows}
    assert len(heads) == 10 and len(rows) == 7 * (3 * 3 + 4) + 3 * 3
    keys = [(r["features"], r["head"], r["unit"], r["metric"]) for r in rows]
    assert len(set(keys)) == len(keys)
    for head, metrics in (("joint", {"f1", "auc", "average_precision"}), ("intensity", {"icc"})):
        written = results.read_result(done / f"results/tiny_random_{head}.json")["metrics"]
        assert {m for _, h, _, m in keys if h == head} - {"prevalence", "threshold"} == metrics
        for r in rows:
            if (r["features"], r["head"]) == ("random", head):
                e = written[r["metric"] + ("" if r["unit"] == "mean" else f"/{r['unit']}")]
                got = [float(r[k] or "nan") for k in ("value", "low", "high")]
                np.testing.assert_allclose(got, [e["value"], e["low"], e["high"]])
    e = results.read_result(done / "results/tiny_aus_intensity.json")["metrics"]["icc"]
    assert e["low"] < e["value"] < e["high"]


def test_results_say_the_rule_and_what_was_left_out(done):
    said = results.read_result(done / "results/tiny_emotion_joint.json")
    assert "left out" in said["notes"][2].lower() and "AU25" in said["notes"][2]
    assert said["metrics"]["threshold/AU01"]["reason"] == "chosen on the selecting part"
    assert said["interval"]["over"] == "subject" and said["interval"]["units"] == 5
    assert "Means are over 2 units: AU01, AU12." in said["notes"]


def test_the_page_shows_both_tables(done):
    html = write_report(done).read_text()
    assert "trained on action units from scratch" in html and "AU12" in html


def test_thresholds_come_from_select_alone(folder, done, tmp_path):
    """Another test part changes the figures and no threshold."""
    from ferjax import au_metrics, detectors

    s = au_study.Study(study(folder), done)
    network = s.network("tiny", "random", 0)
    with np.load(done / "cells/joint/tiny-random/seed0/test.npz") as kept:
        threshold = kept["threshold"]
    one = s.sets["tiny"]
    x = {
        p: detectors.features(network, getattr(one.parts, p).image, "dense/relu") for p in ("train", "select")
    }
    of = [(x[p], one.task.present(getattr(one.parts, p))) for p in ("train", "select")]
    told = detectors.scores(detectors.fit(*of, s.recipe, joint=True), x["select"], 1, True)[0]
    np.testing.assert_allclose(au_metrics.best_thresholds(of[1][1], told), threshold, rtol=1e-4, atol=1e-5)


def test_features_do_not_depend_on_the_batch(folder, done):
    from ferjax import detectors

    s = au_study.Study(study(folder), done)
    network, image = s.network("tiny", "emotion", 0), s.sets["tiny"].parts.test.image
    a, b = (detectors.features(network, image, batch=n) for n in (7, 64))
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_a_person_whom_the_emotion_network_knows_is_refused(folder, tmp_path):
    other = tmp_path / "emotions"
    sizes = {"train": 60, "select": 40, "test": 40}
    made = [coded(n, 7 + i, part) for i, (part, n) in enumerate(sizes.items())]
    who = made[0].subject.astype("U30")
    who[3] = "test-S2"
    train = dataclasses.replace(made[0], subject=who)
    test = made[2].take(made[2].subject != "test-S2")
    exported.write(arrays.Parts(train, made[1], test, "its select part"), other)
    c = study(folder)
    c.sets.tiny.emotion.data.name = "npz"
    wrong = au_study.Study._emotion_data
    try:
        au_study.Study._emotion_data = lambda self, name: tiny_config(str(other)).data
        with pytest.raises(BadInput, match="'test-S2'"):
            au_study.Study(c, tmp_path / "w")
    finally:
        au_study.Study._emotion_data = wrong


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("head.looks", 7, r"head\.steps is 50; it must be a multiple of head\.looks"),
        ("head.looks", 0, r"head\.looks is 0; it must be at least 1"),
        ("head.batch", 0, r"head\.batch is 0; it must be at least 1"),
        ("head.hidden", -1, r"head\.hidden is -1; it must be at least 0"),
        ("head.rate", 0.0, r"head\.rate is 0\.0; it must be above 0"),
        ("layer", "dense/rel", r"layer is 'dense/rel'; it must be one of block1/conv, .*dense/relu"),
        ("seeds", 0, r"seeds is 0"),
        ("bootstrap", 5, r"bootstrap is 5"),
        ("sets.tiny.source.task", "emotion", r"sets\.tiny\.source: .*train\.select_by"),
        ("sets.tiny.emotion.train.epochs", 0, r"sets\.tiny\.emotion: .*train\.epochs is 0"),
    ],
)
def test_studies_that_cannot_be(folder, tmp_path, key, value, says):
    c = study(folder)
    config_lib.apply_overrides(c, [f"{key}={value}"])
    with pytest.raises(BadInput, match=says):
        au_study.Study(c, tmp_path)


def changed(cells, others) -> set[str]:
    """Kinds of cells, "joint/random", whose key another study has not."""
    theirs = {c.name: c.key for c in others}
    return {c.name.split("/seed")[0].replace("tiny-", "") for c in cells if theirs[c.name] != c.key}


@pytest.mark.parametrize(
    ("key", "value", "kinds"),
    [
        ("sets.tiny.emotion.model.init", "he_normal", {"random", "emotion"}),
        ("sets.tiny.emotion.train.epochs", 2, {"emotion"}),
        ("sets.tiny.source.model.init", "he_normal", {"aus"}),
        ("sets.tiny.source.aus.least", 6, {"random", "emotion", "aus"}),
    ],
)
def test_a_head_is_another_where_its_backbone_is(folder, tmp_path, key, value, kinds):
    """Random weights are drawn by the emotion network's initialiser, and follow it alone."""
    c = study(folder)
    before = au_study.Study(c, tmp_path).cells()
    config_lib.apply_overrides(c, [f"{key}={value}"])
    heads = {name for name in changed(before, au_study.Study(c, tmp_path).cells()) if "backbone" not in name}
    assert heads == {f"{head}/{kind}" for head in ("joint", "single", "intensity") for kind in kinds}


def test_corrected_subjects_make_other_cells(folder, tmp_path):
    before = au_study.Study(study(folder), tmp_path).cells()
    parts = arrays.load_parts(study(folder).sets.tiny.source.data)
    who = parts.select.subject.astype("U30")
    who[0] = "select-S9"
    exported.write(parts._replace(select=dataclasses.replace(parts.select, subject=who)), tmp_path / "mended")
    c = study(str(tmp_path / "mended"))
    assert changed(before, au_study.Study(c, tmp_path).cells()) == {
        c.name.split("/seed")[0].replace("tiny-", "") for c in before
    }
