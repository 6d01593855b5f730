"""The cross-data-set study, end to end on tiny sets: cells, gaps, killing and going on, tables, page."""

import csv
import dataclasses
import io
import json
import signal
import time

import numpy as np
import pytest
import runs
from runs import ROOT, tiny_config, tiny_split

from data_pipelines import BadInput, arrays, exported
from ferjax import cross_dataset, metrics, reproduce, results, studies

FILE = """import sys
sys.path.insert(0, {tests!r})
import test_cross_dataset


def get_config():
    return test_cross_dataset.study({a!r}, {b!r})
"""


def write_set(folder, name: str, seed: int) -> str:
    """Three parts with subjects of their own; `name` keeps the sets' people apart."""
    made = []
    for i, part in enumerate(("train", "select", "test")):
        split = tiny_split(24, seed + i, part)
        who = np.char.add(f"{name}-", split.subject)
        made.append(dataclasses.replace(split, subject=who, name=f"{name}/{part}"))
    exported.write(arrays.Parts(*made, "its select part"), folder)
    return str(folder)


def study(a: str, b: str, epochs: int = 1):
    """Two tiny sets, and a third that is on nobody's disk."""
    c = cross_dataset.default()
    c.name, c.bootstrap = "tiny study", 100
    for name, folder, longer in (("one", a, 0), ("two", b, 4), ("gone", "", 0)):
        source = tiny_config(folder, train__epochs=epochs + longer, parallel__devices=1)
        if name == "gone":
            source.data.name = "ck_plus"
        head = tiny_config(folder, train__epochs=epochs, transfer__freeze="block*", parallel__devices=1)
        fine = tiny_config(folder, train__epochs=epochs, parallel__devices=1)
        cross_dataset.add_set(c, name, source, head, fine, name.upper())
    c.paper.update({"one/two": 71.8, "one/gone": 67.2})
    c.paper_says = "the paper's"
    return c


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    return write_set(folder / "a", "a", 0), write_set(folder / "b", "b", 10)


@pytest.fixture(scope="module")
def done(sets, tmp_path_factory):
    """A finished study: (workdir, what it said)."""
    workdir, lines = tmp_path_factory.mktemp("study"), []
    folder, status = reproduce.reproduce(study(*sets), str(workdir), lines.append)
    assert status == 0 and folder == workdir / "cross_dataset"
    return workdir, lines


def test_every_cell_and_the_gap_are_told_before_it_starts(done):
    said = "\n".join(done[1])
    assert "gap: gone: no folder was named (--dir gone=FOLDER)" in said
    assert "time budget: 8 of 8 cells are left" in said
    assert said.index("time budget") < said.index("cell 1 of 8: source/one/seed0")


def test_the_table_has_every_cell_the_diagonal_in_all_modes(done):
    rows = list(csv.DictReader(io.StringIO((done[0] / "cross_dataset/table.csv").read_text())))
    assert len(rows) == 3 * 3 * 3
    own = {r["mode"]: r["accuracy"] for r in rows if (r["trained on"], r["tested on"]) == ("one", "one")}
    assert len(own) == 3 and len(set(own.values())) == 1
    (cell,) = [r for r in rows if (r["mode"], r["trained on"], r["tested on"]) == ("head", "one", "two")]
    assert cell["paper"] == "0.718" and "3 emotions here" in cell["not comparable because"]
    written = results.read_result(done[0] / "results/head_one_on_two.json")
    assert written["metrics"]["accuracy"]["value"] == pytest.approx(float(cell["accuracy"]))


def test_markdown_names_intervals_paper_and_gap(done):
    text = (done[0] / "cross_dataset/table.md").read_text()
    assert "(paper 71.8)" in text and "Left out: gone: no folder" in text
    assert "Emotions by name: ONE: map none, no class renamed; left out: nothing. TWO: map none" in text
    assert (done[0] / "cross_dataset/heatmap.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_not_on_disk_has_its_row_and_column(done):
    rows = list(csv.DictReader(io.StringIO((done[0] / "cross_dataset/table.csv").read_text())))
    gaps = [r for r in rows if "gone" in (r["trained on"], r["tested on"])]
    assert len(gaps) == 15 and {r["accuracy"] for r in gaps} == {""}
    assert all(r["not comparable because"].startswith("not on disk: gone: no folder") for r in gaps)
    text = (done[0] / "cross_dataset/table.md").read_text()
    assert "| trained on | GONE | ONE | TWO |" in text and "| not on disk (paper 67.2) |" in text
    said = json.loads((done[0] / "study.json").read_text())["matrices"][0]
    assert said["columns"] == ["GONE", "ONE", "TWO"]
    assert said["cells"][1][0] == {"accuracy": None, "low": None, "high": None, "paper": 0.672} | {
        "why": "not on disk: gone: no folder was named (--dir gone=FOLDER)"
    }


def test_as_is_results_are_of_their_set_and_lie_in_their_own_cell(done):
    """Both sets are npz files: by data.name alone they could not be told apart."""
    for a, b, split in (("one", "two", "b/test"), ("two", "one", "a/test")):
        path = done[0] / f"cells/as_is/{a}-{b}/seed0/results/test_on_{b}.json"
        said = results.read_result(path)
        assert (said["name"], said["split"]) == (f"test_on_{b}", split)
        kept = json.loads((done[0] / f"cells/as_is/{a}-{b}/seed0/cell.json").read_text())["found"]
        assert kept["results"] == [str(path.relative_to(done[0]))] and all(
            name.startswith(f"cells/as_is/{a}-{b}/seed0/") for name in kept["files"]
        )
        assert [p.stem for p in (done[0] / f"cells/source/{a}/seed0/run/results").glob("*.json")] == ["test"]


def test_adapted_heads_kept_the_convolutions_of_their_source(done):
    source = runs.weights(done[0] / "cells/source/one/seed0/run")
    best = results.read_result(done[0] / "cells/head/one-two/seed0/run/results/test.json")["checkpoint_step"]
    head = runs.weights(done[0] / "cells/head/one-two/seed0/run", best)
    fine = runs.weights(done[0] / "cells/fine/one-two/seed0/run")
    convolutions = [name for name in source if "block" in name]
    assert convolutions and all((head[n] == source[n]).all() for n in convolutions)
    assert all((fine[n] != source[n]).any() for n in convolutions)


def test_a_finished_study_only_writes_its_tables_again(sets, done):
    before = (done[0] / "cross_dataset/table.csv").read_bytes()
    lines = []
    _, status = reproduce.reproduce(study(*sets), str(done[0]), lines.append)
    assert status == 0 and not any("cell " in line for line in lines)
    assert (done[0] / "cross_dataset/table.csv").read_bytes() == before


def test_other_epochs_in_the_same_workdir_are_refused(sets, done):
    with pytest.raises(BadInput, match=r"train.epochs"):
        reproduce.reproduce(study(*sets, epochs=2), str(done[0]), print)


def test_seeds_are_pooled_and_resampled_together():
    """Two networks, one right and one wrong everywhere: half right, whatever subjects are drawn."""
    ids = np.array([f"i{k}" for k in range(12)])
    rows = [["id", "subject", "label", "predicted", "p(anger)", "p(fear)"]]
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for right in (True, False):
            text = [",".join(rows[0])]
            p = "0.9,0.1" if right else "0.1,0.9"
            text += [f"{i},s{k % 4},anger,,{p}" for k, i in enumerate(ids)]
            paths.append(f"{folder}/{right}.csv")
            with open(paths[-1], "w") as f:
                f.write("\n".join(text) + "\n")
        scores = studies.pooled(paths, ("anger", "fear"), 200)
    e = scores.metrics["accuracy"]
    assert isinstance(e, metrics.Estimate)
    assert (e.value, e.low, e.high, e.n, scores.interval["units"]) == (0.5, 0.5, 0.5, 24, 4)


def test_the_page_shows_matrix_table_and_gap(done):
    from ferjax.report import write_report

    html = write_report(done[0]).read_text()
    assert "convolutions kept" in html and "paper 71.8" in html and "no folder was named" in html
    assert ">not on disk<small>paper 67.2</small></td>" in html
    assert "<script" not in html and html.count("<table") == 4


@pytest.mark.parametrize(
    ("overrides", "dirs", "says"),
    [
        (["seed=1"], [], "unknown config key seed; this study has"),
        (["sets.one.source.train.epoch=1"], [], "unknown config key sets.one.source.train.epoch"),
        ([], ["three=/x"], "--dir three=/x: write NAME=FOLDER with one of"),
        (["modes=('as',)"], [], "modes among as_is, head, fine"),
        (["sets.one.head.train.epochs=0"], [], r"sets\.one\.head: .*train.epochs is 0"),
        (["classes=happy,angry,joy"], [], "classes is 'happy,angry,joy'; it must be two or more of anger, "),
        (["classes=anger,fear"], [], "classes is 'anger,fear'; it must be two or more of anger, happiness"),
        (["classes=anger,x"], [], "key classes: 'x' is no known emotion"),
        (["classes=anger"], [], "classes is 'anger'; it must be two or more"),
        (["map=anger"], [], "config key map, .*'anger' is no map"),
        (
            ["sets.one.fine.data.map=anger="],
            [],
            r"sets\.one\.fine\.data\.map is .*sets\.one\.source\.data\.map",
        ),
        (["sets.one.source.data.classes=anger,fear"], [], r"sets\.one\.source\.data\.classes is"),
        (
            ["sets.two.source.task=aus", "sets.two.source.train.select_by=auc"],
            [],
            r"two\.source\.task is 'aus'",
        ),
        (["bootstrap=3"], [], "bootstrap is 3"),
    ],
)
def test_bad_studies(sets, tmp_path, overrides, dirs, says):
    file = tmp_path / "study.py"
    file.write_text(FILE.format(tests=str(ROOT / "tests"), a=sets[0], b=sets[1]))
    with pytest.raises(BadInput, match=says):
        reproduce.reproduce(reproduce.load(str(file), overrides, dirs), str(tmp_path / "w"), print)


def test_a_study_is_no_training_and_a_training_no_study(sets, tmp_path):
    from ferjax import config

    file = tmp_path / "study.py"
    file.write_text(FILE.format(tests=str(ROOT / "tests"), a=sets[0], b=sets[1]))
    with pytest.raises(BadInput, match="give it to ferjax reproduce"):
        config.load(str(file))
    with pytest.raises(BadInput, match="give it to ferjax train"):
        reproduce.load(runs.write_config(tmp_path / "one.py", sets[0]))


def changed(cells, others) -> set[str]:
    """Names of cells whose key another study has not."""
    theirs = {c.name: c.key for c in others}
    return {c.name.removesuffix("/seed0") for c in cells if theirs[c.name] != c.key}


def test_a_cell_is_another_where_its_source_is(sets, tmp_path):
    c = study(*sets)
    before = cross_dataset.Study(c, tmp_path).cells()
    c.sets.one.source.train.epochs = 7
    other = cross_dataset.Study(c, tmp_path).cells()
    of_one = {"source/one", *(f"{mode}/one-two" for mode in ("as_is", "head", "fine"))}
    assert changed(before, other) == of_one
    c.sets.one.source.train.epochs = 1
    c.sets.two.head.train.epochs = 7
    assert changed(before, cross_dataset.Study(c, tmp_path).cells()) == {"head/one-two"}


def test_corrected_subjects_make_other_cells(sets, tmp_path):
    """A Split's hash leaves subjects out; intervals and leaks do not."""
    write_set(tmp_path / "a", "a", 0)
    split = arrays.Split.load(tmp_path / "a/test.npz")
    who = split.subject.astype("U30")
    who[0] = "a-test-S9"
    dataclasses.replace(split, subject=who).save(tmp_path / "a/test.npz")
    before = cross_dataset.Study(study(*sets), tmp_path).cells()
    after = cross_dataset.Study(study(str(tmp_path / "a"), sets[1]), tmp_path).cells()
    assert changed(before, after) == {c.name.removesuffix("/seed0") for c in before} - {"source/two"}


def test_the_studys_map_comes_after_a_sets_own(sets, tmp_path):
    c = study(*sets)
    c.sets.one.source.data.map = "anger=fear"
    c.sets.two.source.data.map = "anger=disgust"
    c.map, c.classes = "fear=anger,disgust=anger", "Happy,angry"
    s = cross_dataset.Study(c, tmp_path)
    assert s.classes == ("happiness", "anger") and s.config("one", "head", 0).data.map == (
        "fear=anger,disgust=anger,anger=anger"
    )
    for known in s.sets.values():
        assert known.parts.test.classes == s.classes and (known.parts.test.label == 1).any()
        assert "images of neutral" in known.mapped


def test_killed_and_gone_on_with_equals_undisturbed(sets, done, tmp_path):
    """The kill is in the midst of a training: after its first step, before its last."""
    file = tmp_path / "study.py"
    file.write_text(FILE.format(tests=str(ROOT / "tests"), a=sets[0], b=sets[1]))
    command = ("reproduce", "--config", file, "--workdir", tmp_path / "w", "--config.modes=('head',)")
    command += ("--config.sets.two.source.checkpoint.every_steps=1",)
    job = runs.ferjax(*command, wait=False)
    deadline, run = time.monotonic() + 200, tmp_path / "w/cells/source/two/seed0/run"
    while not (run / "checkpoints/1").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    job.send_signal(signal.SIGKILL)
    job.communicate()
    assert 1 <= runs.last_step(run) < 10 and not (tmp_path / "w/study.json").exists()
    again = runs.ferjax(*command, "--jobs", 2)
    assert again.returncode == 0, again.stderr
    assert "time budget" in again.stderr and "source/one/seed0 (" not in again.stderr
    assert "going on at step " in again.stderr
    whole, cut = ((w / "cross_dataset/table.csv").read_text().splitlines() for w in (done[0], tmp_path / "w"))
    assert cut == [line for line in whole if line.startswith(("mode,", "head,"))] and len(cut) == 10
    assert len(json.loads((tmp_path / "w/study.json").read_text())["cells"]) == 4


def test_a_target_whose_people_the_source_knows_is_refused(sets, tmp_path):
    write_set(tmp_path / "c", "c", 20)
    split = arrays.Split.load(tmp_path / "c" / "test.npz")
    who = split.subject.astype("U30")
    who[0] = "a-train-S0"
    dataclasses.replace(split, subject=who).save(tmp_path / "c" / "test.npz")
    with pytest.raises(BadInput, match="'a-train-S0'"):
        reproduce.reproduce(study(sets[0], str(tmp_path / "c")), str(tmp_path / "w"), print)
