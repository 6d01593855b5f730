"""What random networks reach, and the filters whose making is known, on facsynth's own codes."""

import dataclasses
import types

import jax
import numpy as np

from data_pipelines.facsynth import AU_NAMES, CLASSES, expressions
from ferjax.attribution import controls, evidence, matching, measure, units


def made(layer, au, auc, within=None, active=None, p=None) -> measure.Measured:
    """A network of which only this is known."""
    j = len(au)
    nothing = {f.name: np.full(j, np.nan) for f in dataclasses.fields(matching.Match)}
    known = {"au": np.array(au), "auc": np.array(auc, float)}
    known["within"] = np.array(auc if within is None else within, float)
    match = matching.Match(**nothing | known | {"outside": known["auc"]})
    tested = None
    if p is not None:
        pairs = np.where(match.au[:, None] == np.arange(3), np.array(p)[:, None], np.nan)
        smallest = np.full(3, 1e-6)
        tested = controls.Permuted(pairs, pairs, pairs, 10**6, smallest, 99.0)
    active = np.ones(j, bool) if active is None else np.array(active, bool)
    grid = np.tile(known["auc"][:, None], 3).astype(np.float32)
    return measure.Measured(np.array(layer), np.arange(j), active, active, grid, match, tested, j)


def test_random_filters_of_the_same_layer_and_unit_set_the_limit(monkeypatch):
    monkeypatch.setattr(measure, "LIKE", 3)
    random = [
        made(["a", "a", "a", "b"], [0, 0, 1, 0], [0.6, 0.7, 0.9, 0.99]),
        made(["a", "a", "a", "b"], [0, 0, 1, 0], [0.5, 0.8, 0.8, 0.1], active=[1, 1, 0, 1]),
    ]
    own = made(["a", "a", "a", "b"], [0, 1, -1, 2], [0.7, 0.7, 0.7, 0.7])
    limits = measure.limits(own, random)["auc"]
    assert limits[0] == np.float64(0.8)  # of so few the largest
    # one active filter of unit 1: too few, so the whole layer; the dead filter does not count
    assert limits[1] == 0.9
    assert np.isnan(limits[2]) and limits[3] == 0.99
    none = measure.limits(own, [])
    assert np.isnan(none["auc"]).all() and set(none) == {"auc", "within", "outside"}


def test_a_random_network_is_judged_by_the_others():
    random = [made(["a"] * 2, [0, 0], [v, v]) for v in (0.6, 0.7, 0.9)]
    assert measure.limits(random[2], random)["auc"][0] == 0.7
    assert measure.limits(random[0], random)["auc"][0] == 0.9


def test_survivors_by_hand():
    random = [made(["a"] * 4, [0] * 4, [0.6, 0.6, 0.6, 0.6])]
    own = made(
        ["a"] * 5,
        [0, 0, 0, 0, -1],
        [0.9, 0.5, 0.9, 0.9, 0.9],
        within=[0.7, 0.9, 0.5, 0.9, 0.9],
        active=[1, 1, 1, 1, 0],
        p=[1e-6, 1e-6, 1e-6, 0.9, np.nan],
    )
    kept = measure.survivors(own, random, 0.05)
    assert kept["significant"].tolist() == [True, True, True, False, False]
    assert kept["above"].tolist() == [True, False, True, False, False]
    assert kept["outside"].tolist() == [True, False, True, False, False]
    assert kept["within"].tolist() == kept["both"].tolist() == [True, False, False, False, False]


def test_the_band_is_of_active_filters_of_the_layer():
    random = [
        made(["a", "b"], [0, 0], [0.4, 0.1]),
        made(["a", "a"], [0, 0], [0.6, 0.99], active=[1, 0]),
    ]
    np.testing.assert_allclose(measure.random_band(random, "a"), [[0.405, 0.595]] * 3, rtol=1e-5)
    assert np.isnan(measure.random_band(random, "c")).all()


def test_the_match_is_tested_on_the_half_that_did_not_choose_it():
    rng = np.random.default_rng(0)
    inputs = coded(16, 20)
    x = rng.random((len(inputs.present), 6)).astype(np.float32)
    x[inputs.choose, 0] += 3 * inputs.present[inputs.choose, 4]  # on the choosing half alone
    x[:, 1] += 3 * inputs.present[:, 5]
    match, tested = measure.matched(x, inputs, 4, 0, 999, 0)
    p = measure.of_match(tested.p, match.au)
    assert match.au[:2].tolist() == [4, 5] and match.auc_choose[0] > 0.95
    assert p[0] > 0.05 and p[1] == 1 / 1000
    assert np.isfinite(tested.p).sum() == 6  # one unit a filter
    assert measure.matched(x, inputs, 4, 0, 0, 0)[1] is None


def coded(subjects: int, each: int, seed: int = 0):
    """Codes, people and emotions as facsynth draws them, half with an emotion; no pictures."""
    key, n = jax.random.key(seed), subjects * each
    label = np.tile(np.append(np.arange(8), np.full(8, -1)), n // 16 + 1)[:n]
    keys = jax.random.split(key, n)
    shown = jax.vmap(expressions.emotion_aus)(keys, np.maximum(label, 0))
    free = jax.vmap(expressions.independent_aus)(keys)
    aus = np.where((label >= 0)[:, None, None], np.asarray(shown), np.asarray(free))
    present = (np.asarray(expressions.au_codes(aus)) > 0).astype(np.int8)
    subject = np.repeat([f"s{i:03d}" for i in range(subjects)], each)
    return types.SimpleNamespace(
        present=present,
        subject=subject,
        emotion=label.astype(np.int64),
        choose=matching.halves(subject),
        au_names=AU_NAMES,
        split=types.SimpleNamespace(classes=CLASSES),
        together=tuple(() for _ in AU_NAMES),
        implied=tuple(() for _ in AU_NAMES),
    )


def noise(inputs, j: int, seed: int) -> measure.Measured:
    """A network that sees nothing of what is shown."""
    x = np.random.default_rng(seed).random((len(inputs.present), j)).astype(np.float32)
    match, _ = measure.matched(x, inputs, 4, 0, 0, 0)
    layer, on = np.full(j, "block3/relu"), np.ones(j, bool)
    return measure.Measured(layer, np.arange(j), on, on, units.auc(x, inputs.present), match, None, j)


def test_planted_filters_go_the_way_of_all_filters():
    """A filter made of a unit is found and named; one made of the person or the label is no AU filter."""
    inputs = coded(60, 32)
    said = evidence.on_planted(
        inputs, [noise(inputs, 100, s) for s in range(3)], "block3/relu",
        least=4, bootstrap=200, permutations=5000, level=0.05, seed=0,
    )  # fmt: skip
    assert len(said) == 4 * len(AU_NAMES)
    of = {fires: [row for row in said if row["fires_on"] == fires] for fires in evidence.FIRES}
    unit, person, label, both = (of[fires] for fires in evidence.FIRES)
    found = [row["verdict"] == "AU filter" and row["au"] == row["planted"] for row in unit]
    assert sum(found) >= 17, [row["words"] for row, ok in zip(unit, found, strict=True) if not ok]
    assert not any(row["verdict"] == "AU filter" for row in person + label + both)
    assert {row["verdict"] for row in label} == {"emotion filter", "unclear"}
    assert sum(row["verdict"] == "emotion filter" for row in label) >= 5
    assert sum(row["verdict"] == "no match" for row in person) >= 17
    follow = [row for row in label if row["verdict"] == "emotion filter"]
    assert all(f"it may follow {row['emotion']}" in row["words"] for row in follow)


def test_a_set_that_cannot_tell_calls_no_planted_filter_an_au_filter():
    """Where all of an emotion show the unit and none else does, a filter made of it is not told apart."""
    inputs = coded(40, 32)
    twelve = AU_NAMES.index("AU12")
    inputs.present[:, twelve] = inputs.emotion == CLASSES.index("happiness")
    said = evidence.on_planted(
        inputs, [noise(inputs, 100, s) for s in range(2)], "block3/relu",
        least=4, bootstrap=100, permutations=2000, level=0.05, seed=0,
    )  # fmt: skip
    row = next(r for r in said if r["planted"] == "AU12" and r["fires_on"] == evidence.FIRES[0])
    assert row["verdict"] == "unclear" and "cannot be told apart here" in row["words"]


def test_without_emotions_no_filter_is_planted_on_one():
    inputs = coded(20, 32)
    inputs.emotion[:] = -1
    said = evidence.on_planted(
        inputs, [noise(inputs, 60, s) for s in range(2)], "block3/relu",
        least=4, bootstrap=100, permutations=2000, level=0.05, seed=0,
    )  # fmt: skip
    assert {row["fires_on"] for row in said} == set(evidence.FIRES[:2])
    assert not any(row["verdict"] == "AU filter" for row in said)  # within emotion nothing is known
    unit = [row for row in said if row["fires_on"] == evidence.FIRES[0]]
    assert sum("same emotion it could not be measured" in row["words"] for row in unit) > 10
