"""k folds as one job: every person reported once, by a network that was not trained or selected on them."""

import dataclasses

import numpy as np
import pytest
from runs import tiny_config, tiny_split, write_set

from data_pipelines import BadInput, arrays
from ferjax import across, config, kfold, reproduce, results
from ferjax.report import write_report


def study(folder: str, folds: int = 3):
    c = kfold.default()
    c.name, c.folds, c.bootstrap = "tiny folds", folds, 100
    c.sets.tiny = {"source": tiny_config(folder, train__epochs=1, parallel__devices=1)}
    return c


def test_every_person_is_reported_once(tmp_path):
    c, lines = study(write_set(tmp_path / "set")), []
    out, status = reproduce.reproduce(c, str(tmp_path / "w"), lines.append)
    assert status == 0 and out == tmp_path / "w" / "kfold"
    assert "62 images, 3 folds of 15 subjects" in "\n".join(lines)
    said = results.read_result(tmp_path / "w/results/kfold.json")
    assert said["metrics"]["accuracy"]["n"] == 62 and said["interval"]["units"] == 15
    ids = []
    for fold in range(3):
        run = tmp_path / f"w/cells/fold{fold}/seed0/run"
        name, who, _, _ = across.read_predictions(run / "results/test_predictions.csv", said["classes"])
        ids += name.tolist()
        parts = kfold.Study(c, tmp_path / "w").parts[fold]
        assert not set(who) & (set(parts.train.subjects) | set(parts.select.subjects))
    assert len(ids) == len(set(ids)) == 62
    np.testing.assert_equal(len(set(said["split_hash"].split())), 3)
    assert said["notes"][0] == "Predictions of 3 folds and 1 seeds pooled; no subject is in two folds."
    assert "all, pooled" in write_report(tmp_path / "w").read_text()


def test_what_is_said_of_subjects_holds_where_they_are_unknown():
    def folds(*who):
        made = [dataclasses.replace(tiny_split(4, i), subject=names) for i, names in enumerate(who)]
        return [arrays.Parts(s, s, s, "") for s in made]

    assert kfold.apart(folds(["a"] * 4, ["b"] * 4)) == "no subject is in two folds"
    assert kfold.apart(folds([""] * 4, [""] * 4)).startswith("subjects are unknown, so that one person's")
    said = kfold.apart(folds(["a", "a", "", ""], ["b"] * 4))
    assert said.startswith("no known subject is in two folds; 2 of 8 images are of unknown subjects")


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("data.dir", "", r"no folder was named \(--dir tiny=FOLDER\)"),
        ("data.dir", "/nowhere", "tiny: /nowhere is not there"),
        ("task", "aus", r"sets\.tiny\.source\.task is 'aus'; it must be emotion"),
        ("data.published", "theirs", r"sets\.tiny\.source\.data\.published is 'theirs'; it must be empty"),
    ],
)
def test_sets_that_cannot_be(tmp_path, key, value, says):
    c = study(write_set(tmp_path / "set"))
    config.apply_overrides(c.sets.tiny.source, [f"{key}={value}"])
    if key == "task":
        c.sets.tiny.source.train.select_by = "auc"
    with pytest.raises(BadInput, match=says):
        kfold.Study(c, tmp_path / "w")


@pytest.mark.parametrize("folds", [2, 16])
def test_folds_that_cannot_be(tmp_path, folds):
    with pytest.raises(BadInput, match=r"folds is 2; it must be at least 3|take fewer folds"):
        kfold.Study(study(write_set(tmp_path / "set"), folds), tmp_path / "w")
