"""Filters and action units: worked answers, scikit-learn, SciPy, and loops that spell the definition out."""

import itertools
import math

import numpy as np
import pytest

from data_pipelines import BadInput
from ferjax import metrics
from ferjax.attribution import matching, ranks, subjects, units


def cases(q=90, j=7, u=5, seed=0, unknown=0.2):
    """Activations with many ties (and one filter that never fires), units with unknown rows."""
    rng = np.random.default_rng(seed)
    activation = np.maximum(rng.normal(0.3, 1, (q, j)), 0).round(1).astype(np.float32)
    activation[:, -1] = 0
    aus = (rng.random((q, u)) < np.linspace(0.15, 0.6, u)).astype(np.int8)
    aus[rng.random((q, u)) < unknown] = -1
    subject = np.array([f"S{s}" for s in rng.integers(0, 9, q)])
    emotion = rng.integers(-2, 4, q).clip(-1)
    return activation, aus, subject, emotion


# Frames to sequences


def test_a_sequence_is_the_largest_of_its_frames():
    values = [[1.0, 9.0], [5.0, 0.0], [3.0, 2.0], [7.0, 7.0], [8.0, 8.0]]
    found, first = units.by_sequence(values, ["b", "a", "b", "", ""])
    assert found.tolist() == [[3, 9], [5, 0], [7, 7], [8, 8]] and first.tolist() == [0, 1, 3, 4]
    by_code, _ = units.by_sequence(values, [4, 2, 4, -1, -1])
    assert by_code.tolist() == found.tolist()
    with pytest.raises(ValueError, match="sequence"):
        units.by_sequence(values, ["a"])


def test_codes_of_a_sequence():
    # frames of one sequence, and presence at thresholds 1 and 3
    for frames, at_1, at_3 in [
        ([0, 0], 0, 0),
        ([-1, -1], -1, -1),
        ([-1, 0], 0, 0),
        ([0, 2], 1, 0),
        ([2, 4], 1, 1),
        ([0, 9], 1, -1),  # present at an unknown grade: its peak may reach 3 or not
        ([9, 2], 1, -1),
        ([9, 3], 1, 1),
        ([9, -1], 1, -1),
    ]:
        codes = np.array(frames, np.int8)[:, None]
        for threshold, expected in ((1, at_1), (3, at_3)):
            found, first = units.aus_by_sequence(codes, ["x", "x"], threshold)
            assert (found.tolist(), first.tolist()) == ([[expected]], [0]), (frames, threshold)
            assert found.dtype == np.int8


# The paper's share


def test_unit_au_precision_by_hand():
    activation = np.array([[9.0, 0], [8, 0], [7, 0], [7, 0], [1, 5]])
    aus = np.array([[1, -1], [1, -1], [0, 0], [1, 1], [0, 1]])
    # filter 0: rows 0 1, then 2 before 3 (a tie goes by order); filter 1: row 4, then 0 1 in order
    np.testing.assert_array_equal(units.unit_au_precision(activation, aus, 2), [[1, np.nan], [0.5, 1]])
    np.testing.assert_allclose(units.unit_au_precision(activation, aus, 3), [[2 / 3, 0], [2 / 3, 1]])
    np.testing.assert_allclose(units.unit_au_precision(activation, aus, 5), [[3 / 5, 2 / 3]] * 2)


def test_unit_au_precision_refuses_what_the_set_cannot_give():
    activation, aus, *_ = cases()
    for top_n in (0, 91):
        with pytest.raises(BadInput, match=rf"top_n is {top_n}.* 90 inputs"):
            units.unit_au_precision(activation, aus, top_n)


def test_rejected_and_best_unit():
    P = np.array([[1.0, 0.5, 1.0], [0.9, np.nan, 0.2], [np.nan] * 3, [1.0, 1.0, 0.0]])
    assert units.rejected(P, [True, True, True, False]).tolist() == [False, True, True, False]
    assert units.best_unit(P).tolist() == [0, 0, -1, 0]
    assert units.best_unit(P, [0.5, 0.3, 0.1]).tolist() == [2, 0, -1, 1]
    assert units.active([[0.0, -1.0, 2.0], [0.0, 0.0, 0.0]]).tolist() == [False, False, True]


# Measures over all inputs


def test_measures_by_hand():
    x, y = np.array([[4.0], [3], [3], [1], [9]]), np.array([[1], [0], [1], [0], [-1]])
    assert units.auc(x, y) == [[(1 + 0.5 + 1 + 1) / 4]]
    np.testing.assert_allclose(units.average_precision(x, y), [[0.5 * 1 + 0.5 * 2 / 3]])
    # with: 4 3, mean 3.5; without: 3 1, mean 2; squares within .5 + 2 over 2 degrees of freedom
    np.testing.assert_allclose(units.effect_size(x, y), [[1.5 / math.sqrt(2.5 / 2)]])

    x, y = np.array([[0.0], [0], [1], [1]]), np.array([[0], [0], [0], [1]])
    # two bins: present 0 1, absent 2 1, both .5 .5 of an input: p .25 .75, a 2.5/4 1.5/4
    expected = 0.25 * math.log2(0.25 / 0.625) + 0.75 * math.log2(0.75 / 0.375)
    np.testing.assert_allclose(units.kl_divergence(x, y, bins=2), [[expected]])
    # H(x) 1, H(y) .8113, H(xy) 1.5; three cells of four, two and two bins: correction 0
    np.testing.assert_allclose(units.mutual_information(x, y, bins=2), [[1 + 0.811278 - 1.5]], atol=1e-6)
    # x = y: 1 bit, and K 2 + 2 - 2 - 1 = 1
    same = np.array([[0], [0], [1], [1]])
    np.testing.assert_allclose(
        units.mutual_information(same, same, bins=2), [[1 + 1 / (8 * math.log(2))]], rtol=1e-12
    )


@pytest.mark.parametrize("seed", range(4))
def test_against_scikit_learn_and_scipy(seed):
    sk, stats = pytest.importorskip("sklearn.metrics"), pytest.importorskip("scipy.stats")
    activation, aus, _, emotion = cases(seed=seed)
    auc, ap = units.auc(activation, aus), units.average_precision(activation, aus)
    mi = units.mutual_information(activation, aus)
    effect, outside = units.effect_size(activation, aus), units.outside_auc(activation, aus, emotion)
    for j, u in itertools.product(range(7), range(5)):
        known = aus[:, u] >= 0
        x, y = activation[known, j].astype(float), aus[known, u] == 1
        assert auc[j, u] == pytest.approx(sk.roc_auc_score(y, x), abs=1e-12)
        assert auc[j, u] == pytest.approx(metrics.roc_auc(y, x), abs=1e-12)
        u_statistic = stats.mannwhitneyu(x[y], x[~y]).statistic
        assert auc[j, u] == pytest.approx(u_statistic / (y.sum() * (~y).sum()), abs=1e-12)
        assert ap[j, u] == pytest.approx(sk.average_precision_score(y, x), abs=1e-12)
        free = emotion[known] == -1
        assert outside[j, u] == pytest.approx(sk.roc_auc_score(y[free], x[free]), abs=1e-12)

        if np.ptp(x) == 0:
            assert math.isnan(effect[j, u]) and abs(mi[j, u]) < 1e-12
            continue
        t = stats.ttest_ind(x[y], x[~y]).statistic  # t = d / sqrt(1/n1 + 1/n0)
        assert effect[j, u] == pytest.approx(t * math.sqrt(1 / y.sum() + 1 / (~y).sum()), rel=1e-5)
        cell = np.floor((stats.rankdata(x) - 0.5) / len(x) * units.MI_BINS)
        bias = len(np.unique(cell)) + 2 - len(np.unique(cell + 1j * y)) - 1
        plug_in = sk.mutual_info_score(cell, y)
        assert mi[j, u] == pytest.approx((plug_in + bias / (2 * len(x))) / math.log(2), abs=1e-9)


def test_kl_divergence_is_that_of_numpys_histograms():
    stats = pytest.importorskip("scipy.stats")
    _, aus, *_ = cases()
    activation = np.maximum(np.random.default_rng(0).normal(0.3, 1, (90, 7)), 0)
    activation[:, 6] = 0
    found = units.kl_divergence(activation, aus)
    for j, u in itertools.product(range(6), range(5)):
        edges = np.linspace(activation[:, j].min(), activation[:, j].max(), units.KL_BINS + 1)
        p, a = (np.histogram(activation[aus[:, u] == side, j], edges)[0] for side in (1, 0))
        both = (p + a) / (p + a).sum()
        used = both > 0
        p, a = (p + both) / (p.sum() + 1), (a + both) / (a.sum() + 1)
        assert found[j, u] == pytest.approx(stats.entropy(p[used], a[used], base=2), abs=1e-12)
    assert (found[6] == 0).all()


def test_miller_madow_removes_most_of_the_bias():
    rng = np.random.default_rng(0)
    activation, aus = rng.random((60, 400)), (rng.random((60, 20)) < 0.3).astype(np.int8)
    corrected = units.mutual_information(activation, aus)
    plug_in_bias = 4 / (2 * 60 * math.log(2))  # (5 - 1)(2 - 1) / 2N in bits
    assert abs(corrected.mean()) < plug_in_bias / 4


def test_undefined_is_nan():
    x = np.arange(6.0)[:, None]
    never, always, nowhere = np.zeros((6, 1), int), np.ones((6, 1), int), np.full((6, 1), -1)
    for measure in (units.auc, units.kl_divergence, units.mutual_information, units.effect_size):
        assert np.isnan(measure(x, np.hstack([never, always, nowhere]))).all()
    np.testing.assert_array_equal(
        units.average_precision(x, np.hstack([never, always, nowhere])), [[np.nan, 1, np.nan]]
    )


def test_strange_values_are_refused_with_their_place():
    activation, aus, *_ = cases()
    broken, graded = activation.copy(), aus.copy()
    broken[3, 2], graded[4, 1] = np.nan, 5
    for measure in (units.auc, units.average_precision, units.kl_divergence, units.mutual_information):
        with pytest.raises(ValueError, match="filter 2 is not finite in row 3"):
            measure(broken, aus)
        with pytest.raises(ValueError, match="holds 5 in row 4"):
            measure(activation, graded)
        with pytest.raises(ValueError, match=r"aus must be \[90, u\]"):
            measure(activation, aus[:5])


def test_blocks_of_filters_change_nothing(monkeypatch):
    activation, aus, _, emotion = cases()
    measures = (
        units.auc,
        units.kl_divergence,
        units.mutual_information,
        units.effect_size,
        lambda x, y: units.stratified_auc(x, y, emotion),
    )
    whole = [measure(activation, aus) for measure in measures]
    monkeypatch.setattr(ranks, "_BLOCK", 200)  # two filters at a time
    for measure, expected in zip(measures, whole, strict=True):
        np.testing.assert_allclose(measure(activation, aus), expected, rtol=1e-12)


# Within strata


@pytest.mark.parametrize("seed", range(3))
def test_stratified_auc_is_the_double_loop(seed):
    activation, aus, _, emotion = cases(q=60, j=3, u=3, seed=seed)
    found = units.stratified_auc(activation, aus, emotion)
    for j, u in itertools.product(range(3), range(3)):
        concordant = pairs = 0
        for a, b in itertools.product(range(60), range(60)):
            if aus[a, u] == 1 and aus[b, u] == 0 and emotion[a] == emotion[b] >= 0:
                pairs += 1
                higher, equal = activation[a, j] > activation[b, j], activation[a, j] == activation[b, j]
                concordant += higher + 0.5 * equal
        assert found[j, u] == pytest.approx(concordant / pairs, abs=1e-12)


def test_a_link_through_the_stratum_vanishes_within_it():
    emotion = np.repeat([0, 1], 50)
    rng = np.random.default_rng(0)
    aus = (rng.random((100, 1)) < np.where(emotion, 0.9, 0.1)[:, None]).astype(np.int8)
    through_emotion = emotion[:, None].astype(float)
    assert units.auc(through_emotion, aus) > 0.8
    assert units.stratified_auc(through_emotion, aus, emotion) == 0.5
    assert np.isnan(units.stratified_auc(through_emotion, (emotion == 1)[:, None].astype(int), emotion))
    assert np.isnan(units.outside_auc(through_emotion, aus, emotion))
    with pytest.raises(ValueError, match="stratum"):
        units.stratified_auc(through_emotion, aus, emotion[:3])


# Which units


def test_units_that_come_together():
    aus = np.zeros((20, 5), np.int8)
    aus[:10, 0] = 1
    aus[1:10, 1] = 1  # 9 of 10 with unit 0
    aus[2:10, 2] = 1  # 8 of 9 with unit 1, 8 of 10 with unit 0
    aus[5:15, 3] = 1
    aus[15, 2] = -1  # unknown: not counted against it
    assert units.together(aus, 0.85) == [(1, 2), (0, 2), (0, 1), (), ()]
    assert units.together(aus, 0.95) == [()] * 5
    assert units.together(aus[:, :0]) == []


def test_rare_units_are_left_out_with_the_reason():
    aus = np.zeros((30, 4), np.int8)
    aus[:12, 0], aus[:7, 1], aus[:25, 2], aus[:, 3] = 1, 1, 1, -1
    keep, left_out = units.testable(aus, ["AU01", "AU02", "AU04", "AU05"], 8)
    assert keep.tolist() == [True, False, False, False]
    assert left_out == [
        {"name": "AU02", "present": 7, "why": "seen in fewer than 8 inputs"},
        {"name": "AU04", "present": 25, "why": "absent from fewer than 8 inputs"},
        {"name": "AU05", "present": 0, "why": "not coded in any input"},
    ]
    with pytest.raises(BadInput, match=r"from 13 inputs.*AU04, is present in 25 of 30.*lower"):
        units.testable(aus, ["AU01", "AU02", "AU04", "AU05"], 13)
    for none in (np.zeros((30, 0)), np.full((30, 2), -1)):
        with pytest.raises(BadInput, match="no action unit labels"):
            units.testable(none, ["AU01"] * none.shape[1], 8)


# Halves, matches and intervals


def test_halves_keep_subjects_together_and_ignore_order():
    subject = np.array([f"S{i % 7}" for i in range(40)] + [""] * 4)
    choose = matching.halves(subject, 3)
    by_subject = {s: {bool(c) for c in choose[subject == s]} for s in set(subject) - {""}}
    assert all(len(sides) == 1 for sides in by_subject.values())
    assert sum(True in sides for sides in by_subject.values()) + choose[40:].sum() == 6  # of 7 + 4
    order = np.random.default_rng(0).permutation(40)
    named = subject[:40]
    np.testing.assert_array_equal(matching.halves(named[order], 3), matching.halves(named, 3)[order])
    assert any((matching.halves(subject, s) != choose).any() for s in range(5))
    with pytest.raises(BadInput, match=r"all 3 inputs are of one subject \(A\)"):
        matching.halves(["A"] * 3)


@pytest.mark.parametrize("by_subject", [True, False])
@pytest.mark.parametrize("stratified", [True, False])
def test_intervals_are_those_of_written_out_resamples(by_subject, stratified):
    """Same draws, but every resample is written out as rows and scored afresh."""
    activation, aus, subject, emotion = cases(q=60, j=3, u=2)
    resamples = 40 if by_subject else 30
    if not by_subject:  # more subjects than resamples: the other way of counting
        subject = np.array([""] * 60)
    stratum = emotion if stratified else np.zeros(60, int)
    low, high = matching.auc_intervals(activation, aus, subject, stratum, None, resamples, seed=5)
    used = np.flatnonzero(stratum >= 0)
    code = subjects.subject_codes(subject[used])
    weight = matching.draws(code.max() + 1, resamples, 5)
    assert (weight.sum(1) == code.max() + 1).all()
    assert matching._by_subject(len(used), weight.shape[1], resamples) == by_subject
    for m, (j, u) in enumerate(itertools.product(range(3), range(2))):
        values = []
        for times in weight:
            rows = np.concatenate([np.repeat(used[code == s], int(t)) for s, t in enumerate(times)])
            one = units.stratified_auc(activation[rows][:, [j]], aus[rows][:, [u]], stratum[rows])
            values.append(one[0, 0])
        expected = np.nanpercentile(values, [2.5, 97.5])
        np.testing.assert_allclose([low[m], high[m]], expected, atol=1e-9)


def test_intervals_do_not_depend_on_blocks_or_on_the_other_pairs(monkeypatch):
    activation, aus, subject, emotion = cases(j=6)
    pairs = [5, 0, 2, 4, 2], [1, 0, 3, 1, 0]
    all_low, all_high = matching.auc_intervals(activation, aus, subject, emotion, bootstrap=100)
    monkeypatch.setattr(matching, "_BLOCK", 1)
    low, high = matching.auc_intervals(activation, aus, subject, emotion, pairs, 100)
    place = np.ravel_multi_index(pairs, (6, 5))
    np.testing.assert_allclose(low, all_low[place])
    np.testing.assert_allclose(high, all_high[place])


def test_intervals_cover_the_truth():
    """Of 95 % intervals over 40 subjects some 95 % hold the true AUC, though subjects differ."""
    rng = np.random.default_rng(1)
    subject = np.repeat([f"S{s}" for s in range(40)], 5)
    person = np.repeat(rng.normal(0, 1, (40, 300)), 5, axis=0)
    aus = (rng.random((200, 1)) < 0.4).astype(np.int8)
    activation = person + rng.normal(0, 1, (200, 300)) + 1.0 * aus
    truth = 0.5 * (
        1 + math.erf(1.0 / math.sqrt(2 * 2) / math.sqrt(2))
    )  # difference of normals, variance 2 + 2
    low, high = matching.auc_intervals(activation, aus, subject, bootstrap=400)
    assert 0.88 < ((low <= truth) & (truth <= high)).mean() <= 0.99


def test_no_interval_where_there_is_nothing_to_resample():
    activation, aus, subject, _ = cases()
    for result in (
        matching.auc_intervals(activation, aus, ["S"] * 90),
        matching.auc_intervals(activation, aus, subject, bootstrap=0),
        matching.auc_intervals(activation, aus, subject, np.full(90, -1)),
        matching.auc_intervals(activation, np.zeros_like(aus), subject),
        matching.auc_intervals(activation, np.full_like(aus, -1), subject),
    ):
        assert np.isnan(result[0]).all() and len(result[1]) == 35
    one = np.zeros((90, 1), np.int8)
    one[subject == "S0"] = 1  # undefined in a third of the resamples, which is allowed
    assert not np.isnan(matching.auc_intervals(activation[:, :1], one, subject)).any()


def test_match_chooses_on_one_half_and_measures_on_the_other():
    activation, aus, subject, emotion = cases(q=400, j=6, u=5, seed=2, unknown=0.05)
    choose = matching.halves(subject)
    activation[:, 0] += 2 * (aus[:, 3] == 1)
    activation[choose, 1] += 2 * (aus[choose, 2] == 1)  # a link of the choosing half only
    found = matching.match(activation, aus, subject, emotion, choose, bootstrap=200)
    assert found.au[0] == 3 and found.au[1] == 2 and found.au[5] == -1
    assert found.auc_choose[1] > 0.85 and abs(found.auc[1] - 0.5) < 0.15
    assert found.auc_low[0] > 0.7 and found.within_low[0] > 0.7 and found.outside_low[0] > 0.6
    x, y, e = activation[~choose], aus[~choose], emotion[~choose]
    for j in range(5):
        u = found.au[j]
        assert u == np.argmax(units.auc(activation[choose], aus[choose])[j])
        assert found.auc[j] == pytest.approx(units.auc(x, y)[j, u])
        assert found.ap[j] == pytest.approx(units.average_precision(x, y)[j, u])
        assert found.within[j] == pytest.approx(units.stratified_auc(x, y, e)[j, u])
        assert found.outside[j] == pytest.approx(units.outside_auc(x, y, e)[j, u])
        assert (found.present[j], found.absent[j]) == ((y[:, u] == 1).sum(), (y[:, u] == 0).sum())
        assert found.auc_low[j] <= found.auc[j] <= found.auc_high[j]
    assert math.isnan(found.auc[5]) and found.present[5] == 0

    few = aus.copy()
    few[choose, 3] = 0
    few[np.flatnonzero(choose)[:7], 3] = 1  # seven inputs of the choosing half
    assert 3 not in matching.match(activation, few, subject, emotion, choose, least=8, bootstrap=0).au
    none = matching.match(activation, np.zeros_like(aus), subject, emotion, choose)
    assert (none.au == -1).all() and np.isnan(none.auc).all() and np.isnan(none.within_low).all()
    with pytest.raises(ValueError, match="both sides"):
        matching.match(activation, aus, subject, emotion, np.ones(400, bool))
    with pytest.raises(ValueError, match=r"must be \[400\]"):
        matching.match(activation, aus, subject[:3], emotion, choose)


def test_too_few_comparable_inputs_are_not_measured():
    aus = np.array([[1], [0], [1], [1], [0], [0], [1], [0], [-1]])
    emotion = np.array([0, 0, 1, 1, 2, 3, 3, 3, 0])  # 1 and 2 hold one side only
    assert [int(n[0]) for n in ranks.comparable(aus, emotion)] == [2, 3]
    activation, aus, subject, emotion = cases(q=400, j=6, u=5, seed=2)
    choose = matching.halves(subject)
    emotion = np.where(aus[:, 3] == 1, 1, 0)  # the unit is the emotion
    one = np.flatnonzero(~choose & (aus[:, 3] == 1))[0]
    emotion[one] = 0  # but for one input, an AUC by itself
    activation[:, 0] += 2 * (aus[:, 3] == 1)
    found = matching.match(activation, aus, subject, emotion, choose, bootstrap=100)
    assert found.au[0] == 3 and found.auc_low[0] > 0.7
    assert np.isnan([found.within[0], found.within_low[0], found.outside[0]]).all()
    rare = aus.copy()
    rare[~choose, 3] = 0
    rare[np.flatnonzero(~choose)[:7], 3] = 1  # seven inputs of the measuring half
    assert 3 not in matching.match(activation, rare, subject, emotion, choose, least=8, bootstrap=0).au


def test_the_preferred_emotion():
    activation, _, subject, emotion = cases(q=400, j=6)
    choose = matching.halves(subject)
    activation[:, 2] += emotion == 3
    best, chosen, measured = matching.emotion_preference(activation, emotion, choose, 4)
    assert best[2] == 3 and best[5] == -1 and measured[2] > 0.8
    labelled = ~choose & (emotion >= 0)
    expected = metrics.roc_auc(emotion[labelled] == best[0], activation[labelled, 0])
    assert measured[0] == pytest.approx(expected) and chosen[0] >= 0.5
    nothing = matching.emotion_preference(activation, np.full(400, -1), choose, 4)
    assert (nothing[0] == -1).all() and np.isnan(nothing[2]).all()
