"""A whole attribution on a tiny coded set: files, words, stages that are kept, mistakes."""

import csv
import json
import shutil

import cli
import jax
import numpy as np
import pytest
import runs

from data_pipelines import arrays, exported
from data_pipelines.split import Split
from ferjax import config
from ferjax.attribution import inputs, matching, stages, study
from ferjax.attribution.network import Network
from ferjax.models import fer_cnn
from ferjax.report import explorer_data

SMALL = [
    "attribute.random_networks=2",
    "attribute.permutations=100",
    "attribute.bootstrap=100",
    "attribute.randomised_inputs=3",
    "attribute.least=6",
    "attribute.top_n=4",
]
AUS = ("AU01", "AU12", "AU43")


def coded_split(n: int, seed: int, name: str) -> Split:
    """A bright bar above shows AU01, one below AU12; the classes go by AU12 first."""
    rng = np.random.default_rng(seed)
    aus = np.zeros((n, 3), np.int8)
    aus[:, :2] = 3 * rng.integers(0, 2, (n, 2))
    image = rng.integers(0, 60, (n, 16, 16, 1)).astype(np.uint8)
    image[aus[:, 0] > 0, 2:5] += 120
    image[aus[:, 1] > 0, 11:14] += 120
    label = np.where(aus[:, 1] > 0, 1, np.where(aus[:, 0] > 0, 0, 2))
    label[rng.random(n) < 0.4] = -1
    return Split(
        name=f"bars/{name}",
        image=image,
        label=label,
        aus=aus,
        subject=np.array([f"{name}-{i % 6}" for i in range(n)]),
        id=np.array([f"{name}{i:03d}" for i in range(n)]),
        classes=runs.CLASSES,
        au_names=AUS,
    )


@pytest.fixture(scope="module")
def bars(tmp_path_factory):
    """A training on bars of light, and its attribution by the command line."""
    folder = tmp_path_factory.mktemp("bars")
    sizes = {"train": 60, "select": 24, "test": 24}
    parts = [coded_split(n, seed, name) for seed, (name, n) in enumerate(sizes.items())]
    exported.write(arrays.Parts(*parts, "the set's select part"), folder / "set")
    runs.write_config(folder / "experiment.py", "")  # the folder is named on the command line alone
    words = ["attribute", "--workdir", str(folder / "w"), "--config", str(folder / "experiment.py")]
    words += ["--dir", str(folder / "set")]
    assert cli.main([*words, *(f"--config.{s}" for s in SMALL), "--no-faces"]) == 0
    return folder


def table(path):
    """Rows of a csv as dicts."""
    return list(csv.DictReader(path.read_text().splitlines()))


def arrays_of(path):
    """All arrays of an npz."""
    with np.load(path) as file:
        return dict(file)


def test_tables_hold_a_row_a_filter_and_a_row_a_pair(bars):
    out = bars / "w" / "attribution" / "npz"
    filters, pairs = table(out / "filters.csv"), table(out / "pairs.csv")
    assert [(r["layer"], int(r["filter"])) for r in filters] == [
        *(("block1/relu", j) for j in range(4)),
        *(("block2/relu", j) for j in range(6)),
    ]
    assert len(pairs) == 10 * 2  # AU43 is never shown
    said = json.loads((out / "summary.json").read_text())
    assert [r["name"] for r in said["left_out"]] == ["AU43"]
    assert said["counts"]["sequences"] == 108
    assert said["counts"]["subjects_seen_in_training"] == 6
    assert said["counts"]["choosing_subjects"] == said["counts"]["measuring_subjects"] == 9
    assert said["headline"]["significant"] >= said["headline"]["outside"] >= said["headline"]["both"]
    for key in ("significant", "outside", "within", "both"):
        assert sum(au[key] for au in said["aus"]) == said["headline"][key]
    assert {c["kind"] for c in said["controls"]} == {"trained", "random"}
    top = arrays_of(out / "top.npz")
    assert top["index"].shape == (10, 9)
    assert top["guided"].shape == (10, 9, 16, 16)


def test_bars_of_light_are_found(bars):
    """Both units are plain to see, so some filter must go with one of them, and the heads must read both."""
    said = json.loads((bars / "w" / "attribution" / "npz" / "summary.json").read_text())
    assert said["headline"]["significant"] > 0
    assert all(head["auc"] > 0.9 for head in said["heads"])


def test_top_inputs_are_the_strongest(bars):
    out = bars / "w" / "attribution" / "npz"
    maximum = np.load(next((out / "activations").glob("*maximum*.npy")))
    top = arrays_of(out / "top.npz")
    np.testing.assert_allclose(top["activation"], np.sort(maximum, 0)[::-1][:9].T, rtol=1e-6)


def test_the_explorer_reads_what_was_written(bars):
    found = explorer_data.read(bars / "w" / "attribution" / "npz")
    assert not found.problems
    assert (bars / "w" / "report" / "attribution-npz.html").stat().st_size > 1000


def test_a_second_run_takes_the_stages_that_are_there(bars, monkeypatch):
    monkeypatch.setattr(study.measure, "measure", lambda *a, **k: pytest.fail("measured again"))
    monkeypatch.setattr(study.causes, "single_ablations", lambda *a, **k: pytest.fail("ablated again"))
    before = (bars / "w" / "attribution" / "npz" / "filters.csv").read_bytes()
    assert study.attribute(str(bars / "w"), overrides=SMALL)[1] == 0
    assert (bars / "w" / "attribution" / "npz" / "filters.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--config.attribute.layers=block9/relu"], "'block9/relu' is no map of this network; it has"),
        (["--config.attribute.top_n=500"], "attribute.top_n is 500; npz has 108 inputs"),
        (["--config.attribute.least=400"], "no action unit is both present in and absent from 400"),
        (["--config.attribute.fdr=2"], "config key attribute.fdr is 2"),
        (["--config.optimizer.learning_rate=1"], "optimizer.learning_rate cannot change after training"),
        (["--data", "fer2013", "--dir", "nowhere"], "'nowhere' is no folder"),
        (["--data", "nosuch"], "data.name is 'nosuch'"),
    ],
)
def test_mistakes_are_one_line(bars, capsys, more, words):
    assert cli.main(["attribute", "--workdir", str(bars / "w"), *more]) == 2
    said = capsys.readouterr().err.strip()
    assert words in said
    assert "\n" not in said


def test_the_last_layer_is_the_networks_last(bars):
    given = config.load(bars / "w" / "config.json", ["attribute.layers=block2/relu,block1/relu"])
    model = fer_cnn.build(given.model, len(runs.CLASSES))
    params = model.init(jax.random.key(0), np.zeros((1, 16, 16, 1)))["params"]
    taken = inputs.load(given.data.to_dict(), 1, 6)
    made = study.Study(given, given, bars / "w", bars / "w", taken, Network(model, params), {})
    assert made.layers == ("block1/relu", "block2/relu")


def test_a_stage_that_was_cut_off_is_made_again(tmp_path):
    kept = stages.Stages(tmp_path, [])
    kept.keep("numbers", lambda: {"a": np.arange(100)})
    path = next(tmp_path.glob("numbers-*.npz"))
    path.write_bytes(path.read_bytes()[:200])
    assert kept.keep("numbers", lambda: {"a": np.arange(7)})["a"].tolist() == list(range(7))


def test_where_permutations_of_all_pairs_take_too_long_fewer_are_drawn(bars, monkeypatch):
    shutil.copytree(bars / "w", bars / "slow")
    monkeypatch.setattr(study, "PERMUTATION_SECONDS", 0)
    small = [s for s in SMALL if "permutations" not in s and "networks" not in s]
    more = ["attribute.permutations=100_000", "attribute.random_networks=2", "attribute.randomised_inputs=0"]
    assert (
        cli.main(["attribute", "--workdir", str(bars / "slow"), *(f"--config.{s}" for s in small + more)])
        == 0
    )
    said = json.loads((bars / "slow" / "attribution" / "npz" / "summary.json").read_text())
    settings = said["settings"]
    assert settings["permutations_of_pairs"] == 200 and settings["permutations"] == 20_000
    assert settings["significant_by"] == "q"  # of a match, which few permutations serve
    notes = " ".join(said["notes"])
    assert "200 permutations instead of 100,000" in notes and "pixel methods were not tested" in notes
    assert said["randomisation"] == said["truth"] == []


def test_every_number_of_a_filter_is_of_the_half_that_did_not_choose(bars):
    out = bars / "w" / "attribution" / "npz"
    said, rows = json.loads((out / "summary.json").read_text()), table(out / "filters.csv")
    assert {row["au"] for row in rows} <= {"AU01", "AU12", ""}  # AU43 is never shown
    sizes = {"train": 60, "select": 24, "test": 24}
    people = np.array([f"{name}-{i % 6}" for name, n in sizes.items() for i in range(n)])
    matched = [row for row in rows if row["au"]]
    for row in matched:
        measured = int(row["present"]) + int(row["absent"])
        assert measured == (~matching.halves(people)).sum()
        assert int(row["within_present"]) + int(row["within_absent"]) <= measured
        assert row["random_95"] and float(row["q"]) >= float(row["p"])
    assert said["layers"][0]["random_band"].keys() == {"AU01", "AU12"}
    assert "trained on 6 of the 18 people" in " ".join(said["notes"])
    assert {row["of"] for row in said["randomisation"]} == {"logits", "block2/relu"}
    causes = said["causes"]
    assert causes["matched"][2] == said["headline"]["significant"]
    assert causes["matched"][2] + causes["other"][2] == said["headline"]["active"]
    assert len(said["planted"]) == 2 * 4
    assert [c["recurring"] for c in said["controls"]] == [None, None]


def test_a_set_without_action_units_is_refused(bars, tmp_path, capsys):
    runs.write_set(tmp_path / "set")
    words = ["attribute", "--workdir", str(bars / "w"), "--data", "npz", "--dir", str(tmp_path / "set")]
    assert cli.main(words) == 2
    assert "not one input has action-unit labels" in capsys.readouterr().err


def test_one_picture_a_sequence_is_the_one_that_shows_most():
    aus = np.array([[0, 0], [2, 0], [2, 3], [2, 3], [0, 0], [0, 0]], np.int8)
    sequence = np.array(["a", "a", "a", "a", "b", "c"])
    assert inputs.one_of_each(aus, sequence).tolist() == [3, 4, 5]


def test_a_workdir_without_checkpoint_is_refused_before_anything_is_read(bars, tmp_path, capsys, monkeypatch):
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "config.json").write_bytes((bars / "w" / "config.json").read_bytes())
    monkeypatch.setattr(study.arrays, "load_parts", lambda *a: pytest.fail("read data"))
    assert cli.main(["attribute", "--workdir", str(tmp_path / "w")]) == 2
    assert "holds no complete checkpoint" in capsys.readouterr().err
    assert not (tmp_path / "w" / "attribution").exists()
