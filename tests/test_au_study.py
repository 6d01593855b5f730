"""From emotions to action units, end to end on a tiny set: cells, tables, thresholds without the test."""

import csv
import dataclasses
import io

import numpy as np
import pytest
from runs import tiny_config, tiny_split

from data_pipelines import BadInput, arrays, exported
from ferjax import au_study, reproduce, results
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
    units = list(csv.DictReader(io.StringIO((done / "au_detection/units.csv").read_text())))
    assert [r["unit"] for r in units] == ["AU01", "AU12"]  # AU25 is too rare to learn


def test_results_say_the_rule_and_what_was_left_out(done):
    said = results.read_result(done / "results/tiny_emotion_joint.json")
    assert "left out" in said["notes"][2].lower() and "AU25" in said["notes"][2]
    assert said["metrics"]["threshold/AU01"]["reason"] == "chosen on the selecting part"
    assert said["interval"]["over"] == "subject" and said["interval"]["units"] == 5


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


def test_steps_that_cannot_be_looked_at_evenly(folder, tmp_path):
    c = study(folder)
    c.head.looks = 7
    with pytest.raises(BadInput, match=r"head\.steps is 50; it must be a multiple of head\.looks"):
        au_study.Study(c, tmp_path)
