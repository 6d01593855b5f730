"""The study of saliency as an input: who is trained and tested on what, differences, pretraining, gaps."""

import csv
import json
import pathlib

import numpy as np
import pytest

from data_pipelines import BadInput, arrays
from ferjax import config, protocols, reproduce, train, transfer
from ferjax.report import write_report
from ferjax.weighted import study as weighted
from ferjax.weighted import tables


def source(people, seed, epochs=1):
    """A training of a tiny network on a few drawn faces."""
    c = config.recipe(16, epochs, 1e-3)
    c.data.name, c.data.image_size = "facsynth", 16
    c.data.options.n_subjects, c.data.options.images_per_subject, c.data.options.seed = people, 5, seed
    c.model.features, c.model.dense, c.evaluate.bootstrap = (4,), 8, 100
    c.parallel.devices = 1
    return c


def study(**more):
    c = weighted.default()
    c.name, c.folds, c.bootstrap, c.inputs = "tiny", 3, 100, "none,product"
    c.human = str(pathlib.Path(__file__).parent.parent / "experiments/mavani2017/human_muros2021.csv")
    weighted.add_set(c, "a", source(9, 0), "faces A")
    weighted.add_set(c, "b", source(12, 50), "faces B", in_folds=False)
    c.update(more)
    return c


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """W of a study whose trainings are done, and what was said."""
    workdir, said = tmp_path_factory.mktemp("weighted"), []
    c = study()
    folder, status = reproduce.reproduce(c, workdir, said.append)
    assert status == 0
    return workdir, folder, said


def rows(folder):
    with open(folder / "table.csv", newline="") as file:
        return list(csv.DictReader(file))


def predictions(workdir, name):
    (path,) = (workdir / "cells" / name).rglob("results/*_predictions.csv")
    with open(path, newline="") as file:
        return {r["id"]: r for r in csv.DictReader(file)}


def test_cells_are_of_every_set_input_and_fold(tmp_path):
    s = weighted.Study(study(seeds=2), tmp_path)
    names = [cell.name for cell in s.cells()]
    assert len(names) == len(set(names)) == 2 * 2 * (3 + 1)
    assert "a/product/fold2/seed1" in names
    assert "b/none/fold0/seed0" in names
    assert len({cell.key for cell in s.cells()}) == len(names)


def test_people_are_disjoint_and_the_same_for_every_input(tmp_path):
    s = weighted.Study(study(), tmp_path)
    tested = []
    for fold in range(3):
        with_map, without = s.parts("a", "product", fold), s.parts("a", "none", fold)
        for part in ("train", "select", "test"):
            a, b = getattr(with_map, part), getattr(without, part)
            assert a.id.tolist() == b.id.tolist()
            assert (a.image != b.image).any()
        people = [set(getattr(without, part).subjects) for part in ("train", "select", "test")]
        assert not (people[0] & people[1] | people[0] & people[2] | people[1] & people[2])
        tested += people[2]
    assert len(tested) == len(set(tested)) == 9


def test_the_table_is_of_the_predictions(finished):
    workdir, folder, _ = finished
    table = {(r["trained on"], r["tested on"], r["input"]): r for r in rows(folder)}
    assert len(table) == 8
    right, base = [], []
    for fold in range(3):
        a = predictions(workdir, f"a/product/fold{fold}/seed0/run")
        b = predictions(workdir, f"a/none/fold{fold}/seed0/run")
        assert set(a) == set(b)
        right += [a[name]["label"] == a[name]["predicted"] for name in a]
        base += [b[name]["label"] == b[name]["predicted"] for name in a]
    row = table["faces A", "faces A", weighted.INPUTS["product"][1]]
    assert row["accuracy"].startswith(f"{np.mean(right):.3f} [")
    change = 100 * (np.mean(right) - np.mean(base))
    assert row["minus no map, points"].startswith(f"{change:.1f} [")
    assert row["answers"] == str(len(right)) == "45"
    assert not table["faces A", "faces A", "no map"]["minus no map, points"]
    across = table["faces A", "faces B", "no map"]
    assert int(across["answers"]) == 3 * len(predictions(workdir, "b/none/fold0/seed0/run"))


def test_confusions_stand_beside_peoples(finished):
    workdir, folder, _ = finished
    said = (folder / "table.md").read_text()
    result = json.loads((workdir / "results/a_on_a_product.json").read_text())
    assert result["human"]["file"] == "human_muros2021.csv"  # the page shows both matrices of it
    assert "All pictures are grey." in said
    assert said.count("beside people (human_muros2021.csv): ") == 4
    assert "Spearman" in said


def test_networks_are_tested_with_the_input_they_were_trained_with(finished):
    workdir, _, _ = finished
    s = weighted.Study(study(), workdir)
    for kind in ("none", "product"):
        folder = workdir / "cells" / "a" / kind / "fold0" / "seed0"
        said = json.loads((folder / "results" / "on_b_fold0.json").read_text())
        assert said["split_hash"] == s.parts("b", kind, 0).test.hash
        assert any("times spectral residual" in note for note in said["notes"]) == (kind == "product")
        assert json.loads((folder / "run/config.json").read_text())["data"]["saliency"]["mode"] == kind
        assert not (folder / "run" / "checkpoints").exists()  # an AlexNet's are 0.5 GB


def test_a_finished_study_is_not_run_again(finished, monkeypatch):
    workdir, _, _ = finished

    def never(*_):
        raise AssertionError

    monkeypatch.setattr(train, "train", never)
    _, status = reproduce.reproduce(study(), workdir, lambda _: None)
    assert status == 0
    with pytest.raises(BadInput, match="begun with other settings"):
        reproduce.reproduce(
            study(share=0.9, inputs="none,blend,product", map="joy="), workdir, lambda _: None
        )


def test_the_page_shows_the_inputs_unless_no_face_may_be_shown(finished):
    workdir, _, _ = finished
    page = write_report(workdir).read_text()
    assert "What the networks are shown" in page
    assert "data:image/png" in page
    assert "minus no map" in page
    without = write_report(workdir, faces=False).read_text()
    assert "data:image/png" not in without
    assert "it shows faces" in without


def test_pretraining_is_a_cell_that_the_others_begin_from(tmp_path):
    c = study(inputs="none", across=False)
    del c.sets["b"]
    c.pretrain.source = source(10, 99)
    s = weighted.Study(c, tmp_path)
    cells = s.cells()
    assert cells[0].name == "pretrain"
    assert all(cell.needs == ("pretrain",) for cell in cells[1:])
    found, status = protocols.run_cells(tmp_path, cells[:2], lambda _: None)
    assert status == 0
    run = json.loads((tmp_path / "cells" / cells[1].name / "run" / "run.json").read_text())
    assert run["started_from"]["workdir"].endswith("pretrain/run")
    assert run["started_from"]["taken"] == ["block1_conv"]
    images = len(arrays.load_parts(c.pretrain.source.data).train)
    assert f"({images:,} training images)" in tables._begun(s, found)[0]
    # the same training, as a workdir given
    given = study(inputs="none", across=False, pretrained=str(tmp_path / "cells/pretrain/run"))
    other = weighted.Study(given, tmp_path / "other")
    assert other.config("a", "none", 0, 0).transfer.workdir
    assert other.begin["of"] == transfer.weights_hash(transfer.source_weights(given.pretrained, "best")[0])
    other = weighted.Study(study(inputs="none", across=False), tmp_path / "third")
    keys = {weighted.Study(x, tmp_path / "w").cells()[-1].key for x in (given, other.c, c)}
    assert len(keys) == 3  # begun elsewhere: other cells


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"inputs": "product,blend"}, "with none among them"),
        ({"inputs": "none,none"}, "each once"),
        ({"inputs": "none,triple"}, "config key inputs"),
        ({"method": "ml_net"}, "spectral or maps"),
        ({"folds": 2}, "config key folds"),
        ({"pretrained": "/nowhere.pth"}, "no such file of weights"),
        ({"method": "maps"}, "maps is empty"),
    ],
)
def test_mistakes(change, said, tmp_path):
    with pytest.raises(BadInput, match=said):
        weighted.Study(study(**change), tmp_path).cells()


def test_missing_maps_are_told_before_anything_is_trained(tmp_path):
    c = study(method="maps")
    for one in c.sets.values():
        one.source.data.saliency.maps = str(tmp_path / "nowhere")
    with pytest.raises(BadInput, match="nowhere"):
        weighted.Study(c, tmp_path)


def test_a_set_that_is_not_there_leaves_the_papers_figure_in_a_gap(tmp_path):
    c = study()
    c.sets.a.source.data.name, c.sets.a.source.data.options = "fer2013", {}
    c.paper["none/a/b"] = 65.39
    s = weighted.Study(c, tmp_path)
    assert "no folder was named" in s.gaps["a"]
    (gap,) = tables._gaps(s)
    assert gap["paper"] == "0.6539"
    assert gap["accuracy"] == "not on disk"
