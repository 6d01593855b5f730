"""Controls: all permutations, SciPy, planted links that must be found and shuffled ones that must not."""

import itertools
import math
import re

import numpy as np
import pytest

from ferjax.attribution import controls, matching, units
from ferjax.attribution.verdict import AS_RANDOM, CODES, Evidence, verdict


def people(seed, subjects=12, each=8, filters=20, aus=8):
    """Subjects differ in how their filters respond and in which units they show; nothing is linked."""
    rng = np.random.default_rng(seed)
    subject = np.repeat([f"S{s:02d}" for s in range(subjects)], each)
    person = np.repeat(rng.normal(0, 1.5, (subjects, filters)), each, axis=0)
    activation = np.maximum(person + rng.normal(1, 1, (len(subject), filters)), 0)
    habit = np.repeat(rng.beta(0.8, 1.2, (subjects, aus)), each, axis=0)
    return activation, (rng.random(habit.shape) < habit).astype(np.int8), subject


def shuffle_within(rows, group, rng):
    out = rows.copy()
    for g in np.unique(group):
        where = np.flatnonzero(group == g)
        out[where] = rows[rng.permutation(where)]
    return out


def every_permutation(group):
    """All row orders that keep rows in their group."""
    blocks = [np.flatnonzero(group == g) for g in np.unique(group)]
    for orders in itertools.product(*(itertools.permutations(b) for b in blocks)):
        rows = np.arange(len(group))
        for block, order in zip(blocks, orders, strict=True):
            rows[block] = order
        yield rows


# Permutations


@pytest.mark.parametrize("stratified", [False, True])
def test_p_and_z_are_those_of_all_permutations(stratified):
    """3! x 4! x 1 orders in full; 20,000 random ones come close, and mean and deviation are exact."""
    rng = np.random.default_rng(3)
    group = np.array([0, 1, 0, 1, 1, 0, 1, 2])
    stratum = np.array([5, 7, 5, 7, 7, 5, 7, 7]) if stratified else None
    activation = rng.integers(0, 4, (8, 3)).astype(float)  # ties
    aus = np.array([[1, 0, 0, 1, 0, 1, 1, 0], [0, 0, 1, 1, 1, 0, 0, 1]], np.int8).T
    strata = np.zeros(8, int) if stratum is None else stratum

    observed = units.stratified_auc(activation, aus, strata)
    every = np.stack([units.stratified_auc(activation, aus[r], strata) for r in every_permutation(group)])
    assert len(every) == 144
    found = controls.permutation_test(activation, aus, group, 20_000, stratum=stratum)
    exact = (every >= observed - 1e-12).mean(0)
    assert (np.abs(found.p - exact) < 4 * np.sqrt(exact * (1 - exact) / 20_000) + 1e-3).all()
    z = (every - every.mean(0)) / every.std(0)
    np.testing.assert_allclose(found.z, (observed - every.mean(0)) / every.std(0), rtol=1e-9)
    largest = z.max((1, 2))
    exact_max = (largest[:, None, None] >= found.z - 1e-6).mean(0)
    assert (np.abs(found.p_max - exact_max) < 0.015).all()
    # unit 0: 2 of 3 and 2 of 4 of the groups: 3 x 6 ways; unit 1: 1 of 3, 2 of 4
    np.testing.assert_allclose(found.smallest_p, [1 / 18, 1 / 18])
    rows = {tuple(map(tuple, aus[r])) for r in every_permutation(group)}
    assert found.log_arrangements == pytest.approx(math.log(len(rows)))


def test_exact_ties_count():
    """Whole numbers of half ranks: a permutation that changes nothing reaches the observed AUC."""
    activation, aus, subject = people(0, filters=4, aus=3)
    aus[:] = aus[:, :1]
    aus[:] = np.where(subject == "S00", (np.arange(len(subject)) == 0), 0)[:, None]
    activation[0] = 99  # the one input with the unit is first of its 8: p is 1/8
    found = controls.permutation_test(activation, aus, subject, 8000)
    assert np.abs(found.p - 1 / 8).max() < 0.02
    np.testing.assert_allclose(found.smallest_p, 1 / 8)


def test_p_is_uniform_under_the_null():
    stats = pytest.importorskip("scipy.stats")
    p = []
    for seed in range(150):
        activation, aus, subject = people(seed, filters=1, aus=1)
        p.append(controls.permutation_test(activation, aus, subject, 256, seed).p[0, 0])
    assert stats.kstest(p, "uniform").pvalue > 0.01
    naive = []
    for seed in range(150):
        activation, aus, subject = people(seed, filters=1, aus=1)
        naive.append(controls.permutation_test(activation, aus, [""] * len(subject), 256, seed).p[0, 0])
    assert np.mean(np.array(naive) < 0.05) > 0.1  # people are the reason for groups


def test_unknown_rows_keep_still():
    activation, aus, subject = people(1)
    aus[::3, 2] = -1
    found = controls.permutation_test(activation, aus, subject, 500, seed=7)
    known = aus[:, 2] >= 0
    alone = controls.permutation_test(activation[known], aus[known][:, [2]], subject[known], 500, seed=7)
    np.testing.assert_allclose(found.z[:, 2], alone.z[:, 0])
    assert np.abs(found.p[:, 2] - alone.p[:, 0]).max() < 0.12
    whole = controls.permutation_test(activation, np.delete(aus, 2, 1), subject, 500, seed=7)
    np.testing.assert_array_equal(np.delete(found.p, 2, 1), whole.p)  # the others share their permutations


def test_what_no_permutation_changes_is_not_tested():
    activation, aus, subject = people(2)
    activation[:, 4], aus[:, 1], aus[:, 2], aus[:, 3] = 0, 1, -1, subject == "S03"
    found = controls.permutation_test(activation, aus, subject, 100)
    assert (
        np.isnan(found.p[4]).all()
        and np.isnan(found.p[:, 1:4]).all()
        and np.isnan(found.smallest_p[1:4]).all()
    )
    assert np.isnan(found.p).sum() == 8 + 3 * 19 == np.isnan(found.p_max).sum() == np.isnan(found.z).sum()
    single = controls.permutation_test(activation, aus, np.arange(len(aus)), 100)
    assert np.isnan(single.p).all() and single.log_arrangements == 0


def test_results_depend_on_the_seed_and_on_nothing_else(monkeypatch):
    activation, aus, subject = people(3)
    seen = []
    first = controls.permutation_test(
        activation, aus, subject, 300, seed=1, progress=lambda *done: seen.append(done)
    )
    assert seen == [(128, 300), (256, 300), (300, 300)]
    monkeypatch.setattr(controls, "_BLOCK", 1)  # one unit at a time
    again = controls.permutation_test(activation, aus, subject, 300, seed=1)
    np.testing.assert_array_equal(first.p, again.p)
    np.testing.assert_array_equal(first.p_max, again.p_max)
    assert (controls.permutation_test(activation, aus, subject, 300, seed=2).p != first.p).any()
    assert 0 < controls.seconds_per_permutation(activation, aus, subject) < 0.1


def test_large_sets_are_compared_with_room_for_rounding():
    """Beyond 8,000 inputs float32 sums are not exact; p must agree with float64 counts all the same."""
    rng = np.random.default_rng(0)
    activation, aus = rng.random((9000, 2)), (rng.random((9000, 1)) < 0.3).astype(np.int8)
    found = controls.permutation_test(activation, aus, np.zeros(9000, int), 128)
    rank = activation.argsort(0).argsort(0).astype(float)
    key = np.random.default_rng([0, 0]).random((128, 9000))
    reached = sum((rank.T @ aus[np.argsort(k)] >= rank.T @ aus) for k in key)
    np.testing.assert_array_equal(found.p, (1 + reached) / 129)


def test_impossible_requests_are_refused():
    activation, aus, subject = people(0)
    with pytest.raises(ValueError, match="several strata"):
        controls.permutation_test(activation, aus, subject, 10, stratum=np.arange(len(aus)) % 2)
    with pytest.raises(ValueError, match="group must be"):
        controls.permutation_test(activation, aus, subject[:3], 10)
    with pytest.raises(ValueError, match="permutations must be 1 or more"):
        controls.permutation_test(activation, aus, subject, 0)


def test_a_planted_link_is_found():
    for seed in range(3):
        activation, aus, subject = people(seed)
        activation[:, 3] += 2.0 * aus[:, 5]
        found = controls.permutation_test(activation, aus, subject, 20_000, seed)
        q = controls.benjamini_hochberg(found.p)
        assert q[3, 5] < 0.05 and found.p_max[3, 5] < 0.05
        assert (np.argwhere(q < 0.05)[:, 0] == 3).all()


def test_shuffled_links_are_rejected():
    """200 sets whose AU rows are shuffled within subjects: at 5 % at most 16 have any false discovery."""
    by_fdr = by_max = naive = 0
    for seed in range(200):
        activation, aus, subject = people(seed, filters=10, aus=4)
        activation[:, 3] += 2.0 * aus[:, 2]
        aus = shuffle_within(aus, subject, np.random.default_rng(seed + 1000))
        found = controls.permutation_test(activation, aus, subject, 2048, seed)
        by_max += (found.p_max < 0.05).any()
        by_fdr += (controls.benjamini_hochberg(found.p) < 0.05).any()
        if seed < 50:  # the same without regard to people
            ungrouped = controls.permutation_test(activation, aus, [""] * len(aus), 1024, seed)
            naive += (ungrouped.p_max < 0.05).any()
    assert by_fdr <= 16 and 2 <= by_max <= 16  # 10 are expected; none at all would be a test that cannot find
    assert naive > 25


# Many tests, random networks, other seeds


def test_benjamini_hochberg_by_hand():
    p = [0.01, 0.04, 0.03, 0.005, np.nan]
    np.testing.assert_allclose(controls.benjamini_hochberg(p), [0.02, 0.04, 0.04, 0.02, np.nan])
    np.testing.assert_allclose(controls.benjamini_hochberg([[0.9, 1.0]]), [[1, 1]])
    assert controls.benjamini_hochberg([]).shape == (0,)
    assert np.isnan(controls.benjamini_hochberg([np.nan, np.nan])).all()
    assert controls.benjamini_hochberg(0.03) == 0.03
    for wrong in ([-0.1], [1.1, 0.5]):
        with pytest.raises(ValueError, match=r"\[0, 1\]"):
            controls.benjamini_hochberg(wrong)


def test_benjamini_hochberg_is_scipys():
    stats = pytest.importorskip("scipy.stats")
    p = np.random.default_rng(0).beta(0.5, 2, (30, 7)).round(2)
    expected = stats.false_discovery_control(p.ravel()).reshape(p.shape)
    np.testing.assert_allclose(controls.benjamini_hochberg(p), expected, rtol=1e-12)


def test_upper_is_exceeded_by_one_in_twenty_of_the_kind():
    assert controls.upper(np.arange(1, 20)) == 19 and controls.upper(np.arange(1, 21)) == 20
    assert controls.upper(np.arange(1, 40)) == 38  # 2 of 40 places lie above
    assert controls.upper(np.append(np.arange(1, 100), np.nan)) == 95 and math.isnan(controls.upper([np.nan]))
    assert controls.upper([3.0, 1.0], 0.5) == 3.0 and controls.upper([1, 2, 3], 0.5) == 2
    rng = np.random.default_rng(0)
    for n in (19, 20, 30, 60, 100):
        draws = rng.random((20_000, n + 1))
        share = np.mean([row[-1] > controls.upper(row[:-1]) for row in draws])
        assert share <= 0.055 and (n < 100 or share > 0.04)


def test_recurring():
    assert controls.recurring([3, 1, 0], [2, 5, 1]) == (2 + 1) / (3 + 5 + 1)
    assert controls.recurring([2, 5, 1], [3, 1, 0]) == (2 + 1) / (3 + 5 + 1)  # the same from either side
    assert controls.recurring([0, 0], [1, 1]) == 0
    assert controls.recurring([3, 1], [3, 1]) == 1 and controls.recurring([3, 0], [0, 3]) == 0
    assert math.isnan(controls.recurring([0, 0], [0, 0]))
    with pytest.raises(ValueError, match="shapes"):
        controls.recurring([1], [1, 2])


# The verdict, from simulated pictures to words


@pytest.fixture(scope="module")
def study():
    """60 subjects with 16 inputs each, half of them without an emotion; five filters of known nature.

    Filter 0 follows happiness, 1 the person, 2 AU12 (95 % of happiness shows it), 3 nothing, 4 is dead.
    """
    rng = np.random.default_rng(0)
    subject = np.repeat([f"S{s}" for s in range(60)], 16)
    n = len(subject)
    emotion = np.where(rng.random(n) < 0.5, -1, rng.integers(0, 6, n))
    happy = emotion == 0
    names = ["AU04", "AU12", "AU15"]
    chance = np.where(happy, 0.95, np.where(emotion < 0, 0.3, 0.1))
    person = np.repeat(rng.normal(0, 2, 60), 16)
    habit = np.where(person > 0, 0.6, 0.1)  # who drives filter 1 also shows AU15 often
    aus = np.stack([rng.random(n) < 0.3, rng.random(n) < chance, rng.random(n) < habit], 1).astype(np.int8)
    signal = np.stack([2.5 * happy, person, 2.0 * aus[:, 1], np.zeros(n)], 1)
    activation = np.maximum(np.column_stack([signal + rng.normal(1, 1, (n, 4)), np.full(n, -1.0)]), 0)

    choose = matching.halves(subject)
    found = matching.match(activation, aus, subject, emotion, choose, bootstrap=500)
    permuted = controls.permutation_test(activation, aus, subject, 4000)
    q = controls.benjamini_hochberg(permuted.p)
    best, _, emotion_auc = matching.emotion_preference(activation, emotion, choose, 6)
    noise = [np.maximum(rng.normal(1, 1, (n, 20)), 0) for _ in range(5)]
    random = [matching.match(x, aus, subject, emotion, choose, bootstrap=0) for x in noise]
    classes = ("happiness", "anger", "disgust", "fear", "sadness", "surprise")
    limits = {
        name: np.nanpercentile(np.concatenate([getattr(r, name) for r in random]), 95)
        for name in ("auc", "within", "outside")
    }
    evidence = [
        Evidence(
            active=bool(on),
            au=names[u] if u >= 0 else "",
            corrected=q[j, u] if u >= 0 else math.nan,
            auc=found.auc[j],
            auc_low=found.auc_low[j],
            auc_high=found.auc_high[j],
            random=limits["auc"],
            within=found.within[j],
            within_low=found.within_low[j],
            within_high=found.within_high[j],
            random_within=limits["within"],
            outside=found.outside[j],
            outside_low=found.outside_low[j],
            outside_high=found.outside_high[j],
            random_outside=limits["outside"],
            emotion=classes[best[j]] if best[j] >= 0 else "",
            emotion_auc=emotion_auc[j],
        )
        for j, (on, u) in enumerate(zip(units.active(activation), found.au, strict=True))
    ]
    return evidence, (activation, aus, emotion, permuted)


def test_verdicts_tell_emotion_person_unit_and_chance_apart(study):
    evidence, _ = study
    codes = [verdict(e).code for e in evidence]
    assert codes[0] == "emotion filter" and codes[2] == "AU filter" and codes[4] == "inactive"
    assert codes[1] in ("no match", AS_RANDOM) and codes[3] in ("no match", AS_RANDOM)
    assert evidence[1].au == "AU15" and evidence[1].auc > 0.65 > evidence[1].random  # but not within people
    assert (
        evidence[0].au == evidence[2].au == "AU12" and evidence[0].significant
    )  # it fools the marginal test
    assert evidence[0].auc > evidence[0].random
    assert "AU12 (lip corner puller)" in verdict(evidence[2]).words
    assert "may follow happiness rather than the unit" in verdict(evidence[0]).words


def test_permutations_within_emotion_reject_the_emotion_filter(study):
    _, (activation, aus, emotion, within_subjects) = study
    assert within_subjects.p[0, 1] < 0.001
    within_emotion = controls.permutation_test(activation, aus, emotion, 2000, stratum=emotion)
    assert within_emotion.p[0, 1] > 0.05 and within_emotion.p[2, 1] < 0.001
    across = controls.permutation_test(activation, aus, emotion, 2000)  # rows that move, ranks over all
    assert across.p[0, 1] > 0.05


def test_some_pairs_alone_are_tested_as_among_all():
    rng = np.random.default_rng(1)
    aus = rng.integers(-1, 2, (120, 5)).astype(np.int8)  # some are unknown
    activation, group = rng.random((120, 7)), np.arange(120) % 9
    activation[:, 2] += aus[:, 3]
    only = rng.random((7, 5)) < 0.4
    only[2, 3] = True
    every = controls.permutation_test(activation, aus, group, 300, seed=5)
    some = controls.permutation_test(activation, aus, group, 300, seed=5, only=only)
    for name in ("p", "z"):
        of_all, of_some = getattr(every, name), getattr(some, name)
        np.testing.assert_array_equal(of_some[only], of_all[only])
        assert np.isnan(of_some[~only]).all()
    assert (some.p_max[only] <= every.p_max[only]).all() and (some.p_max[only] >= some.p[only]).all()
    one = np.zeros((7, 5), bool)
    one[2, 3] = True
    alone = controls.permutation_test(activation, aus, group, 300, seed=5, only=one)
    assert alone.p_max[2, 3] == alone.p[2, 3]  # nothing else to allow for
    with pytest.raises(ValueError, match=r"only must be \[7, 5\], not \(5, 7\)"):
        controls.permutation_test(activation, aus, group, 300, only=only.T)


def test_with_few_permutations_the_max_statistic_decides():
    rng = np.random.default_rng(0)
    aus = rng.integers(0, 2, (300, 10))
    activation = rng.random((300, 40))
    activation[:, 0] += 5 * aus[:, 0]  # one planted link among 400 pairs
    few = controls.permutation_test(activation, aus, np.arange(300) % 10, 100)
    assert np.nanmin(controls.benjamini_hochberg(few.p)) > 0.05  # 1 / 101 x 400 pairs: it cannot pass
    values, rule = controls.adjusted(few, 0.05)
    assert rule == "p_max" and (values < 0.05).sum() == 1 and values[0, 0] < 0.05
    assert controls.adjusted(few, 0.05, tests=1)[1] == "q"  # as a study of so few filters would have it
    values, rule = controls.adjusted(few, 0.05 * 100)  # at such a level it could
    assert rule == "q" and np.array_equal(values, controls.benjamini_hochberg(few.p))


FULL = {
    "active": True,
    "au": "AU12",
    "corrected": 0.01,
    "auc": 0.8,
    "auc_low": 0.7,
    "auc_high": 0.9,
    "random": 0.6,
    "within": 0.75,
    "within_low": 0.6,
    "within_high": 0.85,
    "random_within": 0.62,
    "within_present": 12,
    "within_absent": 30,
    "outside": 0.7,
    "outside_low": 0.55,
    "outside_high": 0.8,
    "random_outside": 0.61,
    "outside_present": 9,
    "outside_absent": 50,
    "emotion": "happiness",
    "emotion_auc": 0.9,
}
NO_WITHIN, NO_OUTSIDE = {"within": 0.55, "within_low": 0.45, "within_high": 0.65}, {"outside_low": 0.5}
UNKNOWN = math.nan


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        (
            {},
            "AU filter",
            r"In 80 of 100 pairs \(95 % interval 70 to 90\).*also .*\(75, 60 to 85; 12 with it, 30 w.*relies",
        ),
        ({"active": False}, "inactive", "none of these pictures"),
        ({"au": ""}, "no match", "enough pictures"),
        ({"corrected": 0.05}, "no match", "AU12 .*q is 0.05; that does not prove"),
        ({"corrected": 0.05, "corrected_by": "p_max"}, "no match", "but p_max is 0.05; that does not"),
        ({"corrected": UNKNOWN}, "no match", "could not be tested within subjects"),
        ({"random": 0.8}, AS_RANDOM, "5 % reach 80 of 100 or more"),
        ({"random": UNKNOWN}, "unclear", "no network that learned nothing was tried"),
        ({"auc": UNKNOWN, "auc_low": UNKNOWN}, "unclear", "kept for measuring it could not be measured"),
        (
            NO_WITHIN | NO_OUTSIDE,
            "emotion filter",
            r"not reliably among .*; not reliably in .*follow happiness .* unit.$",
        ),
        (
            NO_WITHIN | {"outside": UNKNOWN},
            "emotion filter",
            "label it could not be measured: it may .* unit.$",
        ),
        (
            NO_WITHIN | NO_OUTSIDE | {"within_high": 0.8},
            "unclear",
            "too few pictures to tell .* or happiness",
        ),
        ({"within": 0.62} | NO_OUTSIDE, "unclear", "also among .* learned nothing reach .62 of 100.; not"),
        (NO_WITHIN | NO_OUTSIDE | {"emotion": ""}, "emotion filter", "may follow the emotion"),
        (NO_WITHIN, "emotion filter", "; also in pictures without .* unit, which a face may also show where"),
        (NO_OUTSIDE, "unclear", "also among pictures of the same .* but not reliably in pictures without"),
        (
            {"outside": 0.6},
            "unclear",
            "but in pictures without .* no more than in .* nothing .61 of 100.[.]$",
        ),
        ({"within": UNKNOWN}, "unclear", "also in pictures .*same emotion it could not be measured"),
        ({"within": UNKNOWN} | NO_OUTSIDE, "unclear", "but not reliably in pictures without"),
        ({"outside_low": UNKNOWN}, "unclear", "label .70, no interval; .* without. it cannot be judged"),
        ({"outside": UNKNOWN}, "unclear", "without an emotion label it could not be measured[.]$"),
        ({"within": UNKNOWN, "outside": UNKNOWN}, "unclear", "cannot be told apart here"),
        (
            {"random_within": UNKNOWN, "outside": UNKNOWN},
            "unclear",
            "; among .* judged, .*, and in .* measured",
        ),
        ({"together": ("AU06", "AU25")}, "AU filter", "hardly to be told from AU06 and AU25"),
        ({"implied": ("AU25",)}, "AU filter", "pictures with AU12 nearly always show AU25 too"),
    ],
)
def test_every_verdict_in_one_sentence(changes, code, words):
    found = verdict(Evidence(**(FULL | changes)))
    assert found.code == code in CODES
    assert re.search(words, found.words), found.words
    assert "nan" not in found.words and found.words.endswith(".") and ". " not in found.words
