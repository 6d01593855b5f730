"""Human confusions: the table, the likeness against scipy, its chance and its intervals, and the wiring."""

import csv
import itertools

import human_files
import numpy as np
import pytest
import runs
from scipy import stats

from data_pipelines import BadInput
from ferjax import human, human_table, metrics, report, results, train
from ferjax.evaluate import evaluate
from ferjax.main import main

SHIPPED = runs.ROOT / "experiments" / "mavani2017"


@pytest.fixture
def table(tmp_path):
    return human_table.read(human_files.write_table(tmp_path / "people.csv"))


def off(matrix):
    return [matrix[i][j] for i in range(len(matrix)) for j in range(len(matrix)) if i != j]


def test_the_table_is_read_by_name(table):
    assert table.shown == human_files.NAMES and table.chosen[0] == "anger" and table.chosen[3] == "happiness"
    assert table.value[0].tolist() == [70, 20, 2, 0, 3, 4, 1] and table.other.tolist() == [
        5,
        0,
        2,
        0,
        0,
        0,
        0,
    ]
    assert table.n[0] == 105 and table.source == "Made up, for a test" and table.file == "people.csv"


def test_what_a_file_may_look_like(tmp_path):
    text = "\ufeff\n,Fear,joy,sad\n# said later\nfearful, 80 %,,20%\nhappy,0,0.9,0.1\nsad,1,2,7\n"
    table = human_table.read(human_files.write_table(tmp_path / "p.csv", text))
    assert table.value.tolist() == [[80, 0, 20], [0, 0.9, 0.1], [1, 2, 7]] and table.n == (0, 0, 0)
    assert table.source == "said later"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "needs a header"),
        ("shown,fear\n", "needs a header"),
        ("shown,fear,surpise\nfear,1,1\n", "line 1: 'surpise' is no known emotion"),
        ("shown,fear,joy\nfear,1,1\nangst,1,1\n", "line 3: 'angst' is no known emotion"),
        ("shown,fear,joy\nfear,1\n", "line 2: has 2 cells, the header 3"),
        ("shown,fear,joy\nfear,1,x\n", "line 2, column joy: 'x' is no number"),
        ("shown,fear,joy\nfear,1,-1\n", "'-1' is no number of 0 or more"),
        ("shown,fear,joy\nfear,1,inf\n", "'inf' is no number"),
        ("shown,fear,joy,other\nfear,1,1,0\njoy,0,0,9\n", "line 3: the row of happiness sums to nothing"),
        ("shown,fear,scared\nfear,1,1\n", "column fear stands there twice"),
        ("shown,fear,joy\nfear,1,1\nfear,2,2\n", "row fear stands there twice"),
        ("chosen,fear,joy\nfear,1,1\n", "rows must be the emotion shown"),
    ],
)
def test_mistakes_in_a_file_are_one_line(tmp_path, text, words):
    with pytest.raises(BadInput, match=r"p\.csv") as e:
        human_table.read(human_files.write_table(tmp_path / "p.csv", text))
    assert words in str(e.value) and "\n" not in str(e.value)


def test_no_file_and_no_text(tmp_path):
    with pytest.raises(BadInput, match=r"no such file; evaluate\.human is a CSV"):
        human_table.read(tmp_path / "none.csv")
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match="cannot be read as text"):
        human_table.read(tmp_path / "b.csv")


@pytest.mark.parametrize("seed", range(5))
def test_correlations_are_those_of_scipy(seed):
    rng = np.random.default_rng(seed)
    k = int(rng.integers(3, 9))
    models = np.round(rng.dirichlet(np.ones(k), (4, k)), 1 + seed % 2)  # rounded: many ties
    people = np.round(rng.dirichlet(np.ones(k), k), 1)
    for i, got in enumerate(human.spearman(models, people)):
        assert got == pytest.approx(stats.spearmanr(off(models[i]), off(people)).statistic, abs=1e-9)
    for i, got in enumerate(human.kendall(models, people)):
        assert got == pytest.approx(stats.kendalltau(off(models[i]), off(people)).statistic, abs=1e-9)
    for i, got in enumerate(human.diagonal(models, people)):
        want = stats.spearmanr(np.diag(models[i]), np.diag(people)).statistic
        assert got == pytest.approx(want, abs=1e-9, nan_ok=True)


def test_a_comparison_by_hand(tmp_path):
    """Three classes; the network's order of confusions is people's but for one exchange."""
    text = "shown,anger,fear,sadness,other\nanger,6,3,1,5\nfear,0,8,2,0\nsadness,4,1,15,0\n"
    table = human_table.read(human_files.write_table(tmp_path / "p.csv", text))
    counts = [[5, 4, 1], [0, 7, 3], [2, 1, 7]]  # off the diagonal .4 .1 0 .3 .2 .1, people .3 .1 0 .2 .2 .05
    label, predicted = (np.repeat(a, np.ravel(counts)) for a in np.indices((3, 3)).reshape(2, -1))
    found = human.compare(label, predicted, ("anger", "fear", "sadness"), table, n_bootstrap=0)
    assert found["people"] == [[0.6, 0.3, 0.1], [0.0, 0.8, 0.2], [0.2, 0.05, 0.75]]
    assert found["network"] == [[0.5, 0.4, 0.1], [0.0, 0.7, 0.3], [0.2, 0.1, 0.7]]
    # ranks: network 6 2.5 1 5 4 2.5, people 6 3 1 4.5 4.5 2
    want = np.corrcoef([6, 2.5, 1, 5, 4, 2.5], [6, 3, 1, 4.5, 4.5, 2])[0, 1]
    assert found["correlation"]["spearman"]["value"] == pytest.approx(want)
    # 15 pairs: one tied here, one there, 13 others of which none is discordant
    assert found["correlation"]["kendall"]["value"] == pytest.approx(13 / 14)
    # ranks of the diagonals: network 1 2.5 2.5, people 1 3 2
    assert found["correlation"]["diagonal"]["value"] == pytest.approx(np.sqrt(0.75))
    assert found["permutations"] == {"tried": 6, "exact": True, "smallest_p": 1 / 6}
    assert [(s["shown"], s["chosen"]) for s in found["shared"]] == [
        ("anger", "fear"),
        ("fear", "sadness"),
        ("sadness", "anger"),
        ("anger", "sadness"),
        ("sadness", "fear"),
    ]
    assert found["correlation"]["spearman"]["reason"] == "no interval was asked for"
    assert found["notes"] == [
        "People's answers that are none of the emotions are left out: at most 33.3% (anger)."
    ]
    words = human.words(found)
    assert "People and network take anger for fear (30 % and 40 %), fear for sadness (20 % and 30 %)" in words
    assert "p = 0.17 over all 6 relabellings, 0.17 at best" in words and "interval" not in words


def test_a_planted_likeness_is_found_and_independence_is_not(table):
    """Drawn from people's own shares: beyond chance. Drawn from random shares: p is uniform."""
    names, shares = human_files.NAMES, table.value
    found = human.compare(*human_files.examples(shares)[:2], names, table, n_bootstrap=0)
    assert found["correlation"]["spearman"]["p"] < 0.005 and found["permutations"]["tried"] == 5040
    assert "beyond chance" in human.words(found) and "not beyond" not in human.words(found)
    rng, k, p = np.random.default_rng(3), 5, []
    for _ in range(200):  # two matrices that know nothing of each other
        a, b = (0.5 * np.eye(k) + rng.dirichlet(np.ones(k), k) for _ in "ab")
        p.append(human._permute(a, b, 0)[0]["spearman"])
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_the_test_counts_relabellings_as_written_out(table):
    rng = np.random.default_rng(0)
    a, b = rng.dirichlet(np.ones(4), (2, 4))
    p, tried, exact = human._permute(a, b, 0)
    seen = []
    for order in itertools.permutations(range(4)):
        renamed = [[a[i][j] for j in order] for i in order]
        seen.append(stats.spearmanr(off(renamed), off(b)).statistic)
    assert (tried, exact) == (24, True)
    assert p["spearman"] == pytest.approx(np.mean(np.array(seen) >= seen[0] - 1e-9))
    p, tried, exact = human._permute(*rng.dirichlet(np.ones(8), (2, 8)), 0)
    assert (tried, exact) == (human.SAMPLED, False) and p["spearman"] >= 1 / human.SAMPLED


def test_names_meet_and_what_is_left_out_is_told(table):
    """Another order of classes changes nothing; contempt, which people could not choose, is left out."""
    label, predicted, subject = human_files.examples(table.value)
    one = human.compare(label, predicted, human_files.NAMES, table, subject, 100)
    classes = (*human_files.NAMES[::-1], "contempt")
    turn = np.array([classes.index(c) for c in human_files.NAMES])
    extra = np.full(30, 7)
    two = human.compare(
        np.r_[turn[label], extra, -1, turn[0]],
        np.r_[turn[predicted], np.arange(30) % 8, 0, 7],
        classes,
        table,
        np.r_[subject, np.full(32, "s00")],
        100,
    )
    assert two["classes"] == list(human_files.NAMES[::-1])
    for name, entry in one["correlation"].items():
        assert two["correlation"][name] == pytest.approx(entry)
    assert two["interval"] == one["interval"] and one["interval"]["units"] == 25
    assert two["notes"][0] == (
        "Not in people.csv, or without an example: contempt; 31 of 1431 examples that are or were taken for "
        "these are left out."
    )
    some = human.compare(label[label < 4], predicted[label < 4], human_files.NAMES, table, n_bootstrap=0)
    assert some["classes"] == list(human_files.NAMES[:4]) and some["interval"]["over"] == "image"
    assert "neutral, sadness, surprise" in some["notes"][1]


def test_too_little_in_common(table):
    with pytest.raises(BadInput, match=r"people\.csv: 2 classes in common, and 3 are needed") as e:
        human.compare([0, 1, 2], [0, 1, 2], ("anger", "fear", "contempt"), table)
    assert "the network was shown anger, fear, contempt" in str(e.value)


def test_no_mistakes_no_ranks(table):
    label = np.repeat(np.arange(7), 3)
    found = human.compare(label, label, human_files.NAMES, table, n_bootstrap=50)
    entry = found["correlation"]["spearman"]
    assert np.isnan(entry["value"]) and np.isnan(entry["p"])
    assert entry["reason"] == "the network's cells off the diagonal are all equal: no ranks"
    assert "undefined" in human.words(found) and "No confusion of 2 %" in human.words(found)


def test_intervals_cover_and_are_of_subjects(table):
    """Of 60 draws of one network, the intervals hold its own correlation in most; one subject has none."""
    rng = np.random.default_rng(1)
    shares = 0.6 * np.eye(7) + 0.4 * rng.dirichlet(np.full(7, 2.0), 7)
    people = human._shares(table.value)
    truth, held, wide = human.spearman(shares[None], people)[0], 0, []
    for seed in range(60):
        label, predicted, subject = human_files.examples(shares, 150, seed, 40)
        *_, cells = human._cells(label, predicted, subject, label >= 0, list(range(7)))
        low, high, _ = human._intervals(cells, people, 200, seed, "subject")["spearman"]
        held += low <= truth <= high
        wide.append(high - low)
    assert held >= 48 and 0.02 < np.mean(wide) < 0.6
    label, predicted, _ = human_files.examples(shares)
    found = human.compare(label, predicted, human_files.NAMES, table, np.full(len(label), "s"), 50)
    assert found["correlation"]["spearman"]["reason"] == "no interval from 1 subject"
    # all of one subject's images are drawn together: doubled images leave the interval as it is
    one, two = (
        human.compare(np.tile(label, m), np.tile(predicted, m), human_files.NAMES, table, np.tile(who, m), 50)
        for m, who in (
            (1, [f"s{i % 9}" for i in range(len(label))]),
            (2, [f"s{i % 9}" for i in range(len(label))]),
        )
    )
    assert one["correlation"]["spearman"]["low"] == pytest.approx(two["correlation"]["spearman"]["low"])


@pytest.mark.parametrize("name", ["human_muros2021.csv", "human_aspan2014.csv"])
def test_shipped_tables(name):
    table = human_table.read(SHIPPED / name)
    assert "doi:10." in table.source and table.shown == table.chosen
    total = table.value.sum(1)
    assert (np.abs(total - 100) < 0.11).all() if "muros" in name else (total == table.n).all()
    assert (table.value.argmax(1) == np.arange(len(total))).all()


def people_of_three(path):
    text = "shown,anger,happiness,neutral\nanger,8,1,1\nhappiness,0,9,1\nneutral,3,1,6\n"
    return human_files.write_table(path, text)


def test_evaluate_writes_it_and_the_report_shows_it(tmp_path, capsys):
    c = runs.tiny_config(runs.write_set(tmp_path / "set"), train__epochs=1)
    train.train(c, str(tmp_path / "w"))
    table, key = people_of_three(tmp_path / "people.csv"), "--config.evaluate.human="
    evaluate(str(tmp_path / "w"), "test")
    plain = results.read_result(tmp_path / "w/results/test.json")
    assert "human" not in plain
    capsys.readouterr()
    assert main(["evaluate", "--workdir", str(tmp_path / "w"), f"{key}{table}"]) == 0
    out = capsys.readouterr().out
    result = results.read_result(tmp_path / "w/results/test.json")
    group = result["human"]
    assert "beside people (people.csv): Rank correlation of the 6 cells" in out
    assert group["classes"] == list(runs.CLASSES) and group["file"] == "people.csv"
    assert result["config_hash"] == plain["config_hash"]  # where a file lies is no recipe
    label, predicted, subject, classes = human.from_predictions(tmp_path / "w/results/test_predictions.csv")
    again = human.compare(label, predicted, classes, human_table.read(table), subject, 200, c.seed)
    assert np.allclose(again["network"], group["network"]) and again["interval"] == group["interval"]
    assert (metrics.confusion(label, predicted, 3) == result["confusion"]).all()
    page = report.write_report(tmp_path / "w").read_text()
    assert (
        "Beside people" in page and human.shared_words(group).split(";")[0].replace(" %", "&nbsp;%") in page
    )
    assert main(["evaluate", "--workdir", str(tmp_path / "w"), f"{key}{tmp_path / 'no.csv'}"]) == 2
    assert "no.csv: no such file" in capsys.readouterr().err


def test_predictions_that_are_none(tmp_path):
    (tmp_path / "x.csv").write_text("id,label\n1,2\n")
    with pytest.raises(BadInput, match="cannot be read as the predictions"):
        human.from_predictions(tmp_path / "x.csv")
    rows = results.predictions(["a", "b"], ["s", ""], [1, -1], [[0.2, 0.8], [0.9, 0.1]], ("fear", "sadness"))
    (tmp_path / "y.csv").write_bytes(rows)
    label, predicted, subject, classes = human.from_predictions(tmp_path / "y.csv")
    assert label.tolist() == [1, -1] and predicted.tolist() == [1, 0] and subject.tolist() == ["s", ""]
    assert classes == ("fear", "sadness") and next(csv.reader(rows.decode().splitlines()))[0] == "id"


def test_a_broken_group_is_named(tmp_path, table):
    label, predicted, _ = human_files.examples(table.value)
    good = human.compare(label, predicted, human_files.NAMES, table, n_bootstrap=0)
    human.check(good, "r")
    for key, value, words in (
        ("people", [[1.0]], "human.people must be 7 rows of 7 shares"),
        ("classes", "anger", "human.classes is 'anger', not list"),
        ("correlation", {"spearman": {}}, "human.correlation.spearman has no"),
    ):
        with pytest.raises(ValueError, match=words):
            human.check({**good, key: value}, "r")
