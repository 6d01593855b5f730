"""The micro-expression study, end to end on tiny clips: cells, going on, leaks, tables, page."""

import csv
import dataclasses
import io
import itertools
import json
import shutil
import time

import numpy as np
import pytest
from clip_sets import make_clips

from data_pipelines import BadInput, arrays, clips, exported, leaks, motion
from ferjax import config as config_lib
from ferjax import learned, protocols, report, reproduce, results
from ferjax.micro import loso, settings, spotted, tables
from ferjax.micro import study as micro

PEOPLE = tuple(f"s{i}" for i in range(3) for _ in range(4))


def tiny_clips(**changes):
    return make_clips(PEOPLE, tuple(9 + i % 4 for i in range(len(PEOPLE))), **changes)


def tiny_study(**changes):
    c = settings.default()
    c.name, c.seeds, c.bootstrap, c.inner = "tiny", 2, 50, 1
    c.clip.length, c.clip.gain = 6, 2.0
    c.frames = config_lib.default()
    with c.frames.unlocked():
        c.frames.input.batch_size, c.frames.train.epochs, c.frames.parallel.devices = 8, 1, 1
        c.frames.model.features, c.frames.model.kernel, c.frames.model.dense = (4, 8), 3, 16
    c.head.update({"hidden": 4, "epochs": 4, "batch": 8, "chunk": 2, "rate": 3e-2})
    c.lbp_top.blocks = (2, 2, 1)
    c.kinds = "lstm,mean"
    settings.add_set(c, "one", config_lib.default(), "TINY")
    for key, value in changes.items():
        at = c
        *groups, leaf = key.split("__")
        for g in groups:
            at = at[g]
        at[leaf] = value
    return c


@pytest.fixture(autouse=True, scope="module")
def made():
    """`clips.load` gives the tiny clips in this module."""
    patch = pytest.MonkeyPatch()
    patch.setattr(clips, "load", lambda data: (tiny_clips(), ("tiny: a finding",)))
    yield patch
    patch.undo()


@pytest.fixture(scope="module")
def done(made, tmp_path_factory):
    """A finished study: (workdir, what it said)."""
    workdir, lines = tmp_path_factory.mktemp("micro"), []
    c = tiny_study(inputs="difference", end_to_end__epochs=1)
    folder, status = reproduce.reproduce(c, str(workdir), lines.append)
    assert status == 0 and folder == workdir / "micro_expression"
    return workdir, lines


def rows_of(workdir, name="table.csv"):
    return list(csv.DictReader(io.StringIO((workdir / "micro_expression" / name).read_text())))


def test_cells_and_their_budget_are_told_before_it_starts(done):
    said = "\n".join(done[1])
    # 3 frame networks, 2 heads, evidence, 3 end to end, and LBP-TOP
    assert "time budget: 10 of 10 cells are left" in said
    assert (
        "12 clips of 3 subjects (disgust 6, happiness 6); 2 seeds of each head; a frame network "
        "for each fold" in said
    )


def test_the_budget_of_heads_does_not_count_compiling(made, tmp_path, monkeypatch):
    calls = []

    def fit(task, recipe, seeds, epochs):
        time.sleep(0.01 * epochs * len(seeds) + (0.0 if calls else 0.5))  # the first call compiles
        calls.append(epochs)

    monkeypatch.setattr(loso, "fit", fit)
    monkeypatch.setattr(micro.budget, "speeds", lambda *_: {"train": 1.0, "infer": 1.0, "compile": 0.0})
    s = micro.Study(tiny_study(inputs="difference"), tmp_path)
    assert s.speeds()["head"] == pytest.approx(0.01, rel=0.5)


def test_every_method_is_in_the_table_with_the_leak_beside_it(done):
    rows = {r["method"]: r for r in rows_of(done[0])}
    assert len(rows) == 3 + 2
    lstm = rows["LSTM over all frames, frames as difference"]
    assert float(lstm["accuracy"].split()[0]) <= float(lstm["field-style accuracy"].split()[0])
    assert len(lstm["each seed's accuracy"].split()) == 2
    common = rows["the training subjects' commonest class"]
    assert common["field-style accuracy"] == ""


def test_results_say_what_chose_the_epoch(done):
    r = results.read_result(done[0] / "results/difference_lstm.json")
    assert r["selected_on"] == settings.RULES["fixed"] and r["interval"]["over"] == "subject"
    leak = results.read_result(done[0] / "results/difference_lstm_field_style.json")
    assert "THE SUBJECT HELD OUT" in leak["selected_on"]
    assert r["metrics"]["accuracy"]["n"] == 24  # 12 clips, 2 seeds
    text = (done[0] / "results/difference_lstm_predictions.csv").read_text().splitlines()
    assert len(text) == 25 and text[1].startswith("s0/clip00 seed0,s0,disgust,")


def test_pooled_figures_are_those_of_the_kept_probabilities(done):
    with np.load(done[0] / "cells/heads/difference/lstm/heads.npz") as file:
        p, watch = file["probability"][-1], file["watch"]  # the last epoch
    made = tiny_clips()
    right = [
        (p[2 * f + s, j].argmax() == made.label[i])
        for f in range(3)
        for s in range(2)
        for j, i in enumerate(watch[f])
    ]
    row = next(r for r in rows_of(done[0]) if r["method"] == "LSTM over all frames, frames as difference")
    assert float(row["accuracy"].split()[0]) == pytest.approx(np.mean(right), abs=6e-4)
    people = [r for r in rows_of(done[0], "subjects.csv") if r["method"] == row["method"]]
    assert np.mean([float(r["accuracy"]) for r in people]) == pytest.approx(np.mean(right), abs=1e-3)


def test_no_frame_of_the_subject_held_out_reaches_its_frame_network(done, tmp_path):
    """Every frame carries its subject's number in a corner pixel; the arrays that trained are looked at."""
    marked = tiny_clips()
    image = marked.image.copy()
    for i, who in enumerate(marked.subject):
        image[marked.start[i] : marked.start[i + 1], 0, 0, 0] = 200 + int(who[1:])
    made = dataclasses.replace(marked, image=image)
    c = tiny_study()
    s = micro.Study(c, tmp_path)
    s.clips = made
    for who in s.subjects:
        parts = s.frame_parts(who, "grey")
        exported.write(parts, tmp_path / who)
        config = s.frame_config(who, "grey", tmp_path)
        with config.unlocked():
            config.data.dir = str(tmp_path / who)
        read = arrays.load_parts(config.data)  # what train.train reads
        number = 200 + int(who[1:])
        for part in (read.train, read.select):
            assert number not in part.image[:, 0, 0, 0] and who not in part.subject
        assert set(read.test.image[:, 0, 0, 0]) == {number}
        assert not set(read.train.subject) & set(read.select.subject)


def test_a_finished_study_only_writes_its_tables_again(done):
    lines = []
    reproduce.reproduce(tiny_study(inputs="difference", end_to_end__epochs=1), str(done[0]), lines.append)
    assert not any("time budget" in line for line in lines)


def test_another_head_or_another_clip_is_refused_in_the_same_workdir(done, made):
    with pytest.raises(
        BadInput, match=r"heads/difference/lstm was begun with other settings or data \(recipe\.hidden"
    ):
        reproduce.reproduce(
            tiny_study(inputs="difference", end_to_end__epochs=1, head__hidden=8), str(done[0]), print
        )


def test_killed_in_the_heads_it_goes_on_to_the_same_table(done, tmp_path, monkeypatch):
    """The frame networks are there, the heads half trained: what is finished is kept."""
    workdir = tmp_path / "w"
    shutil.copytree(done[0] / "cells" / "frames", workdir / "cells" / "frames")
    c = tiny_study(inputs="difference")
    write, kept = loso._State.write, []

    def killed(self, path, about):
        write(self, path, about)
        raise KeyboardInterrupt

    monkeypatch.setattr(loso._State, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        reproduce.reproduce(c, str(workdir), print)
    assert (workdir / "cells/heads/difference/lstm/state.npz").exists()
    monkeypatch.setattr(loso._State, "write", write)
    keep = protocols._keep
    monkeypatch.setattr(protocols, "_keep", lambda w, cell, *a: (kept.append(cell.name), keep(w, cell, *a)))
    reproduce.reproduce(c, str(workdir), print)
    assert sorted(kept) == sorted(
        [*(f"heads/difference/{k}" for k in c.kinds.split(",")), "evidence/difference", "baseline/lbp_top"]
    )
    mine, whole = ({r["method"]: r for r in rows_of(w)} for w in (workdir, done[0]))
    for name in mine:
        assert mine[name] == whole[name]


def test_key_frames_of_differences_leave_the_onset_out():
    made = tiny_clips()
    grey, difference = (
        motion.key_inputs(made, clips.key_frames(made), k, 2.0) for k in ("grey", "difference")
    )
    assert len(grey) == 3 * 12 and len(difference) == 2 * 12
    assert not (difference.image == motion.ZERO).all((1, 2, 3)).any()


def test_the_page_shows_clips_and_methods(done):
    said = json.loads((done[0] / "study.json").read_text())
    assert len(said["clips"]) == 1 and [t["title"].partition(":")[0] for t in said["tables"]] == [
        *("Methods", "Confusions", "Classes", "Subjects")
    ]
    page = report.write_report(str(done[0])).read_text()
    assert "LSTM over all frames" in page and "field-style" in page


def test_evidence_adds_up_to_first_order(done):
    with np.load(done[0] / "cells/evidence/difference/evidence.npz") as file:
        e = {k: file[k] for k in file.files}
    assert len(e["id"]) == 6 and e["frames"].shape[:2] == (6, 9)
    np.testing.assert_allclose(e["probability"].sum(-1), 1, atol=1e-5)
    assert (e["predicted"] == e["probability"][:, -1].argmax(-1)).all()
    # weights are features times gradient: not all nothing, and nothing where there is no frame
    assert (np.abs(e["weight"]).sum(1) > 0).all() and (e["weight"][~e["mask"]] == 0).all()
    assert e["pixels"].max() <= 1 + 1e-6 and (e["pixels"] >= 0).all()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"inputs": "colour"}, "config key inputs is 'colour'; write grey, difference, flow"),
        ({"kinds": "lstm,gru"}, "config key kinds is 'lstm,gru'; write lstm"),
        ({"head__rate": 0.0}, "config key head.rate is 0.0; it must be above 0"),
        ({"inner": 2}, "3 subjects; one is held out, 2 choose the epoch"),
        ({"epoch_rule": "test"}, "config key epoch_rule is 'test'; write fixed, inner"),
        ({"clip__sampling": "pad"}, r"clip s0/clip00 has 9 frames from onset to offset"),
        ({"kinds": "lstm,lstm"}, "write lstm, shuffled, mean, apex, last, each once"),
        ({"layer": "dens"}, "config key layer is 'dens'; it must be one of block1/conv"),
        ({"lbp_top__blocks": (2, 2)}, "config key lbp_top.blocks"),
        ({"end_to_end__seeds": 3}, "config key end_to_end.seeds is 3; it must be 1 to seeds"),
        ({"end_to_end__epochs": 1, "kinds": "mean"}, "config key end_to_end.epochs is 1"),
        ({"network": "given"}, "config key network is 'given'; it must be fold without"),
    ],
)
def test_bad_studies(tmp_path, changes, says):
    with pytest.raises(BadInput, match=says):
        micro.Study(tiny_study(**changes), tmp_path)


def test_a_subject_with_one_clip_is_told(tmp_path, monkeypatch):
    few = make_clips(("a", "a", "b", "c", "c"), (9, 9, 9, 9, 9))
    monkeypatch.setattr(clips, "load", lambda data: (few, ()))
    s = micro.Study(tiny_study(), tmp_path)
    assert "subjects with a single clip: b; their fold tests one clip" in s.remarks


def longer(made, lead=12):
    """The clips with so many still frames before the onset and after the offset."""
    image, start = [], [0]
    for i in range(len(made)):
        f = made.frames(i)
        image += [f[:1].repeat(lead, 0), f, f[-1:].repeat(lead, 0)]
        start.append(start[-1] + len(f) + 2 * lead)
    number = np.concatenate([np.arange(b - a) for a, b in itertools.pairwise(start)])
    moved = {name: getattr(made, name) + lead for name in ("onset", "apex", "offset")}
    return dataclasses.replace(
        made, image=np.concatenate(image), start=np.array(start), number=number.astype(np.int32), **moved
    )


def test_recordings_with_neutral_ends_are_spotted_and_the_guess_stands_beside(tmp_path):
    s = micro.Study(tiny_study(), tmp_path)
    assert spotted.cells(s) == []  # cut at onset and offset
    s.clips = longer(tiny_clips())
    cells = {cell.name: cell for cell in spotted.cells(s)}
    assert set(cells) == {f"spotting/{name}" for name in spotted.CURVES}
    done = {}
    for name in ("spotting/contrast", "spotting/pixels", "spotting/middle"):
        done[name], _ = cells[name].run(tmp_path / name)
    rows = {r[0].partition(":")[0]: r for r in tables._spotting(s, done)}
    assert float(rows["pixels"][1].split()[0]) > 0.5  # mean IoU of bumps that are 9 to 12 frames long
    with np.load(tmp_path / "spotting/middle/spotted.npz") as file:
        found = file["found"]
    lasting = found[:, 2] - found[:, 0] + 1
    for who in s.subjects:  # a guess knows only the others' durations
        others = (s.clips.offset - s.clips.onset + 1)[s.clips.subject != who].mean()
        assert (lasting[s.clips.subject == who] == round(others)).all()


def test_one_network_for_all_folds_is_labelled_as_the_leak_it_is(tmp_path):
    s = micro.Study(tiny_study(network="shared"), tmp_path)
    assert s.frame_networks() == ["shared"] and "WHICH SAW THE SUBJECTS HELD OUT" in s.about()
    assert any(line.startswith("the one frame network trained on all subjects but s2") for line in s.remarks)
    parts = s.frame_parts("shared", "grey")
    assert len(set(parts.train.subject)) == len(s.subjects) - 1 - s.c.inner
    np.savez(tmp_path / "x.npz")
    for fold in s.frame_networks():
        where = tmp_path / "cells" / "frames" / "grey" / fold
        where.mkdir(parents=True)
        np.savez(where / "features.npz", features=np.zeros((len(s.clips), 6, 3), np.float32))
    assert s.task("grey").network.tolist() == [0, 0, 0]


def test_several_sets_are_one_and_a_missing_one_leaves_a_gap(tmp_path, monkeypatch):
    c = tiny_study()
    settings.add_set(c, "two", config_lib.default(), "TWO")
    gone = config_lib.default()
    with gone.unlocked():
        gone.data.name = "casme2"
    settings.add_set(c, "casme2", gone, "CASME II")
    s = micro.Study(c, tmp_path)
    assert len(s.clips) == 24 and s.subjects[0] == "one-s0"
    assert list(s.gaps) == ["casme2"] and "--dir casme2=FOLDER" in s.gaps["casme2"]


def test_inner_subjects_watch_and_do_not_train(tmp_path):
    s = micro.Study(tiny_study(epoch_rule="inner"), tmp_path)
    for who in s.subjects:
        where = tmp_path / "cells" / "frames" / "grey" / who
        where.mkdir(parents=True)
        np.savez(where / "features.npz", features=np.zeros((len(s.clips), 6, 3), np.float32))
    task = s.task("grey")
    for f, who in enumerate(s.subjects):
        within = clips.inner(s.subjects, who, 1)
        assert set(s.clips.subject[task.train[f]]) == set(s.subjects) - {who, *within}
        assert set(s.clips.subject[task.watch[f][task.choose[f]]]) == set(within)
        parts = s.frame_parts(who, "grey")
        assert set(parts.select.subject) == set(within)  # the same people choose both epochs


def test_an_unknown_key_names_the_nearest_one_of_the_study():
    c = tiny_study()
    with pytest.raises(BadInput, match=r"unknown config key head.hiden; did you mean head.hidden\?"):
        config_lib.apply_overrides(c, ["head.hiden=3"])


def test_a_network_from_elsewhere_that_knows_a_person_is_refused(tmp_path, monkeypatch):
    key = clips.key_frames(tiny_clips())
    mine = key.subject == "s1"
    nothing = key.take(np.zeros(0, int))
    made = leaks.Learned.of(arrays.Parts(key.take(mine), nothing, key.take(~mine), ""))
    monkeypatch.setattr(learned, "of_run", lambda *a: made)
    with pytest.raises(BadInput, match="'s1'"):
        micro.Study(tiny_study(network="given", frames__transfer__workdir=str(tmp_path)), tmp_path)


def test_recordings_that_cannot_be_searched_are_told():
    made = longer(tiny_clips())
    made = dataclasses.replace(made, onset=made.onset - np.where(np.arange(len(made)) == 3, 5, 0))
    assert len(spotted.recordings(made)) == 11
    assert spotted.remark(made)[0].endswith("s0/clip03")
    assert spotted.remark(tiny_clips()) == []
