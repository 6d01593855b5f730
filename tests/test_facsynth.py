import subprocess
import sys
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_pipelines import BadInput, arrays, facsynth
from data_pipelines.facsynth import expressions
from data_pipelines.facsynth.generate import _chunk, split_of_subjects
from data_pipelines.facsynth.identity import (
    mean_identity,
    neutral_pose,
    plain_light,
    sample_identity,
    sample_light,
    sample_pose,
)
from data_pipelines.facsynth.muscles import AU_NAMES, AU_NUMBERS
from data_pipelines.facsynth.render import (
    au_derivative,
    au_evidence,
    au_vector,
    render,
    render_batch,
    render_sequence,
    two_sided,
)

SIZE = 48
N = len(AU_NAMES)
BROW, EYE, NOSE, MOUTH, CHIN = (-0.75, -0.30), (-0.35, -0.08), (-0.25, 0.30), (0.30, 0.66), (0.42, 0.80)
REGION = {  # heights in face units between which the centre of a unit's evidence lies
    1: BROW, 2: BROW, 4: (-0.60, -0.20), 5: EYE, 6: (-0.35, 0.15), 7: EYE, 9: NOSE, 10: (0.15, 0.60), 12:
    (0.10, 0.60),
    14: MOUTH, 15: MOUTH, 17: CHIN, 20: MOUTH, 23: MOUTH, 24: MOUTH, 25: MOUTH, 26: (0.35, 0.85), 27: (0.35,
    0.9),
    43: EYE,
}  # fmt: skip


def repeated(tree, n):
    return jax.tree.map(lambda v: jnp.repeat(jnp.asarray(v)[None], n, 0), tree)


def frontal(n):
    return repeated(neutral_pose(), n), repeated(plain_light(), n), None


@lru_cache
def crowd():
    """19 people in any pose and light, each with a few units."""
    keys = jax.random.split(jax.random.key(7), N)
    return (
        jax.vmap(sample_identity)(keys),
        jax.vmap(expressions.independent_aus)(keys),
        jax.vmap(sample_pose)(keys),
        jax.vmap(sample_light)(keys),
        keys,
    )


@lru_cache
def unit_evidence():
    """[u, h, w] of each unit alone on the average face, and [h] [w] face coordinates."""
    aus = jnp.stack([au_vector(**{name: 1.0}) for name in AU_NAMES])
    maps = au_evidence(repeated(mean_identity(), N), aus, *frontal(N), SIZE)
    return np.asarray(maps), (np.arange(SIZE) + 0.5) * 2 / SIZE - 1


@pytest.mark.parametrize("number", AU_NUMBERS)
def test_unit_moves_its_region(number):
    maps, axis = unit_evidence()
    found = maps[AU_NUMBERS.index(number)]
    assert found.sum() > 2.0
    centre = (found.sum(1) @ axis) / found.sum()
    assert REGION[number][0] < centre < REGION[number][1]


def test_look_alikes_differ_in_place():
    maps, axis = unit_evidence()

    def mass(number, rows, columns):
        found = maps[AU_NUMBERS.index(number)]
        return found[np.ix_(rows, columns)].sum() / found.sum()

    everywhere, middle = axis > -2, abs(axis) < 0.22
    forehead, cheek = axis < -0.5, axis > -0.12
    assert mass(1, forehead, middle) > 1.5 * mass(2, forehead, middle)
    assert mass(6, cheek, everywhere) > 3 * mass(7, cheek, everywhere)
    assert mass(26, axis > 0.62, everywhere) > 3 * mass(25, axis > 0.62, everywhere)
    pressed, tight = maps[AU_NUMBERS.index(24)], maps[AU_NUMBERS.index(23)]
    assert np.corrcoef(pressed.ravel(), tight.ravel())[0, 1] < 0.9


@pytest.mark.parametrize("side", [0, 1])
def test_one_side_moves_one_half(side):
    names = [n for n, both in zip(AU_NAMES, expressions.TWO_SIDED, strict=True) if both]
    half = ("left", "right")[side]
    aus = jnp.stack([au_vector(**{half: {n: 1.0}}) for n in names] + [au_vector()] * (N - len(names)))
    maps = np.asarray(au_evidence(repeated(mean_identity(), N), aus, *frontal(N), SIZE))[: len(names)]
    picture_half = (
        maps[:, :, SIZE // 2 :] if side == 0 else maps[:, :, : SIZE // 2]
    )  # the person's left is on our right
    share = picture_half.sum((1, 2)) / maps.sum((1, 2))
    assert dict(zip(names, share.tolist(), strict=True)) and share.min() > 0.75


def test_derivative_is_the_finite_difference():
    who, _, pose, light, _ = crowd()
    key = None
    aus = jnp.full((N, N, 2), 0.1) + 0.3 * jnp.eye(N)[..., None]
    step = 4e-3
    for name in ("AU01", "AU06", "AU12", "AU24", "AU27", "AU43"):
        moved = au_vector(**{name: step})
        exact = np.asarray(au_derivative(who, aus, pose, light, key, name, SIZE))
        assert np.isfinite(exact).all()
        change = render_batch(who, aus + moved, pose, light, key, SIZE) - render_batch(
            who, aus - moved, pose, light, key, SIZE
        )
        change = np.asarray(change[..., 0]) / (2 * step)
        assert np.abs(change - exact).mean() < 0.1 * np.abs(exact).mean(), (
            name
        )  # edges are kinks at some pixels
        assert np.corrcoef(change.ravel(), exact.ravel())[0, 1] > 0.99, name


def test_every_unit_has_a_derivative_even_when_absent():
    who, _, pose, light, _ = crowd()
    key = None
    for name in AU_NAMES:
        slope = np.asarray(au_derivative(who, jnp.zeros((N, N, 2)), pose, light, key, name, SIZE))
        assert np.isfinite(slope).all() and np.abs(slope).max((1, 2)).min() > 0.05, name


def test_reverse_mode_agrees_with_forward_mode():
    who, aus, pose, _, _ = crowd()
    plain = repeated(plain_light(), N)
    total = jax.jit(
        jax.grad(lambda a: jax.vmap(lambda *x: render(*x, None, SIZE).sum())(who, a, pose, plain).sum())
    )
    slope = np.asarray(total(aus)).sum(2)[:, AU_NAMES.index("AU12")]
    forward = np.asarray(au_derivative(who, aus, pose, plain, None, "AU12", SIZE)).sum((1, 2))
    assert np.isfinite(slope).all()
    np.testing.assert_allclose(slope, forward, rtol=2e-2, atol=0.05)


def test_range_shape_and_determinism():
    pictures = np.asarray(render_batch(*crowd(), SIZE))
    assert pictures.shape == (N, SIZE, SIZE, 1) and pictures.dtype == np.float32
    assert pictures.min() >= 0 and pictures.max() <= 1
    assert (pictures.std((1, 2, 3)) > 0.03).all()
    np.testing.assert_array_equal(pictures, render_batch(*crowd(), SIZE))


def test_same_face_at_twice_the_size():
    who, aus, pose, light, _ = crowd()
    small = np.asarray(render_batch(who, aus, pose, light, None, SIZE))[..., 0]
    large = np.asarray(render_batch(who, aus, pose, light, None, 2 * SIZE))[..., 0]
    shrunk = large.reshape(N, SIZE, 2, SIZE, 2).mean((2, 4))
    assert np.abs(shrunk - small).mean() < 0.012
    for a, b in zip(shrunk, small, strict=True):
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.985


def test_identities_differ_and_units_do_not_change_who_it_is():
    keys = jax.random.split(jax.random.key(3), N)
    who = jax.vmap(sample_identity)(keys)
    rest = np.asarray(render_batch(who, jnp.zeros((N, N, 2)), *frontal(N), SIZE)).reshape(N, -1)
    apart = np.abs(rest[:, None] - rest[None]).mean(-1)[~np.eye(N, dtype=bool)]
    assert apart.min() > 0.01 and apart.mean() > 0.06


def test_intensities_in_both_forms():
    one_sided = au_vector(left={"AU12": 1.0}, AU06=0.5)
    assert one_sided.shape == (N, 2)
    np.testing.assert_array_equal(one_sided[AU_NAMES.index("AU12")], [1, 0])
    np.testing.assert_array_equal(one_sided[AU_NAMES.index("AU06")], [0.5, 0.5])
    np.testing.assert_array_equal(two_sided(jnp.arange(N) / N)[:, 1], jnp.arange(N) / N)
    with pytest.raises(BadInput, match=r"aus has shape \(3,\)"):
        two_sided(jnp.zeros(3))
    with pytest.raises(BadInput, match="AU28"):
        au_vector(AU28=1.0)


def test_curve_has_its_onset_apex_and_offset():
    curve = np.asarray(expressions.au_curve(0.1, 0.3, 0.8, 200, 200.0, hold=0.1, peak=0.7))
    t = np.arange(200) / 200
    assert (curve[t <= 0.1] == 0).all() and np.allclose(curve[t >= 0.8], 0, atol=1e-6)
    np.testing.assert_allclose(curve[(t >= 0.3) & (t <= 0.4)], 0.7, atol=1e-6)
    assert (np.diff(curve[(t > 0.1) & (t < 0.3)]) > 0).all() and (
        np.diff(curve[(t > 0.4) & (t < 0.8)]) < 0
    ).all()
    assert np.abs(np.diff(curve, 2)).max() < 0.01
    assert expressions.au_curve(0.0, 0.1, 0.2, 60, 200.0, rest=0.2)[-1] == pytest.approx(0.2)
    with pytest.raises(BadInput, match="onset < apex"):
        expressions.au_curve(0.3, 0.1, 0.8, 10, 200.0)


def test_sequence_follows_the_curve():
    who, aus, pose, light = mean_identity(), au_vector(AU12=1.0), neutral_pose(), plain_light()
    key = jax.random.key(1)
    curve = expressions.au_curve(0.0, 0.5, 1.0, 5, 4.0)
    clip = np.asarray(render_sequence(who, aus, curve, pose, light, key, SIZE))
    assert clip.shape == (5, SIZE, SIZE, 1)
    change = np.abs(clip - clip[0]).sum((1, 2, 3))
    assert change.argmax() == 2 and change[4] < 1e-3
    moved = repeated((who, aus, pose, light), N)
    apex = np.asarray(render_batch(*moved, None, SIZE))[0]
    middle = slice(16, 36)  # the backdrop is another one
    np.testing.assert_allclose(clip[2, middle, middle], apex[middle, middle], atol=2e-3)
    noisy = light._replace(noise=jnp.float32(0.02))
    still = render_sequence(who, 0 * aus, curve, pose, noisy, key, SIZE, drift=0.1)
    assert np.abs(np.diff(np.asarray(still), axis=0)).max() > 0.01
    with pytest.raises(BadInput, match="curve has shape"):
        render_sequence(who, aus, jnp.zeros((5, 3)), pose, light, None, SIZE)


def test_prototypes():
    assert tuple(sorted(facsynth.CLASSES)) == facsynth.CLASSES and len(facsynth.CLASSES) == 8
    for name in facsynth.CLASSES:
        aus = np.asarray(expressions.prototype(name))
        assert (aus > 0).any() == (name != "neutral")
    shown = {AU_NAMES[i] for i in np.flatnonzero(np.asarray(expressions.prototype("happiness")).max(1))}
    assert shown == {"AU06", "AU12"}
    assert np.asarray(expressions.prototype("contempt")).any(0).tolist() == [True, False]
    with pytest.raises(BadInput, match="joy"):
        expressions.prototype("joy")


def test_emotion_does_not_fix_every_unit():
    keys = jax.random.split(jax.random.key(0), 400)
    draw = jax.jit(jax.vmap(expressions.emotion_aus, (0, None)))
    for k, name in enumerate(expressions.CLASSES):
        aus = np.asarray(draw(keys, k))
        assert aus.min() >= 0 and aus.max() <= 1
        share = (aus.max(2) > 0).mean(0)
        assert share[share > 0].min() < 0.1  # units that come in by chance
        cores = [set(v.core) for v in expressions.VARIANTS if v.emotion == name]
        if len(set.intersection(*cores)) > 1:
            i = AU_NUMBERS.index(max(set.intersection(*cores)))
            assert 0.85 < share[i] < 1.0  # and ones that are missed
    sides = np.asarray(draw(keys, expressions.CLASSES.index("contempt")))[:, AU_NUMBERS.index(14)]
    assert ((sides > 0).sum(1) <= 1).all() and 0.3 < (sides[:, 0] > 0).mean() < 0.7


def test_independent_units_are_independent():
    keys = jax.random.split(jax.random.key(0), 3000)
    aus = np.asarray(jax.jit(jax.vmap(expressions.independent_aus))(keys)).max(2) > 0
    corr = np.corrcoef(aus.T.astype(float))
    np.fill_diagonal(corr, 0)
    for a, b in expressions.EXCLUDED:
        i, j = AU_NUMBERS.index(a), AU_NUMBERS.index(b)
        assert not (aus[:, i] & aus[:, j]).any()
        corr[i, j] = corr[j, i] = 0
    others = [i for i, n in enumerate(AU_NUMBERS) if n not in (24, 25, 26, 27)]
    assert np.abs(corr[np.ix_(others, others)]).max() < 0.09
    assert 0.15 < aus[:, others].mean() < 0.25


def test_codes():
    aus = jnp.array([[0.0, 0.0], [0.2, 0.1], [0.21, 0.0], [0.0, 0.5], [0.8, 0.8], [0.9, 1.0]])
    np.testing.assert_array_equal(expressions.au_codes(aus), [0, 1, 2, 3, 4, 5])


def test_set_is_divided_by_subject_and_reproducible():
    options = {"n_subjects": 10, "images_per_subject": 9}
    sets = facsynth.arrays(options)
    subjects = {k: set(v["subject"].tolist()) for k, v in sets.items()}
    assert {k: len(v) for k, v in subjects.items()} == {"train": 7, "validation": 1, "test": 2}
    assert len(set.union(*subjects.values())) == 10
    train = sets["train"]
    assert train["image"].shape == (63, 48, 48, 1) and train["image"].dtype == np.uint8
    assert train["aus"].shape == (63, N) and train["aus"].dtype == np.int8 and train["aus"].max() <= 5
    np.testing.assert_array_equal(train["label"], np.tile(np.arange(9) % 8, 7))
    assert len(set(train["id"].tolist())) == 63 and train["id"].tolist() == sorted(train["id"].tolist())
    np.testing.assert_array_equal(train["image"], facsynth.arrays(options)["train"]["image"])
    assert not np.array_equal(train["image"], facsynth.arrays({**options, "seed": 1})["train"]["image"])
    # image i of subject s does not depend on how many others there are
    row = 11
    s, i = int(train["subject"][row][-5:]), int(train["id"][row][-4:])
    rows = np.full(128, s, np.uint32), np.full(128, i, np.uint32)
    alone = _chunk(np.uint32(0), *rows, "emotion", 48)[0][5]
    np.testing.assert_array_equal(alone, train["image"][row])


def test_independent_set_has_no_label():
    sets = facsynth.arrays({"n_subjects": 5, "images_per_subject": 4, "mode": "independent"})
    assert all((v["label"] == -1).all() and (v["aus"] > 0).any() for v in sets.values())


def test_splits_cover_everyone():
    people = split_of_subjects(203, 4)
    assert sorted(s for part in people.values() for s in part) == list(range(203))
    assert len(people["test"]) == 41 and len(people["validation"]) == 20


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_subjects": 2}, "n_subjects is 2"),
        ({"mode": "happy"}, "write emotion or independent"),
        ({"sise": 48}, "no option 'sise'"),
        ({"image_size": 4.5}, "image_size is 4.5"),
    ],
)
def test_mistakes_are_named(options, message):
    with pytest.raises(BadInput, match=message):
        facsynth.arrays(options)


def test_no_tensorflow_outside_the_builder():
    code = (
        "import sys, data_pipelines.facsynth.sheet; "
        "sys.exit(any(m.split('.')[0] in ('tensorflow', 'ferjax') for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.filterwarnings("ignore")  # TensorFlow's own
def test_builder(tmp_path):
    pytest.importorskip("tensorflow_datasets")
    from data_pipelines.facsynth.builder import Builder

    options = {"n_subjects": 5, "images_per_subject": 3}
    builder = Builder(data_dir=str(tmp_path), options=options)
    builder.download_and_prepare()
    drawn = facsynth.arrays(options)
    assert {k: v.num_examples for k, v in builder.info.splits.items()} == {
        "train": 9,
        "validation": 3,
        "test": 3,
    }
    assert list(builder.info.metadata["classes"]) == list(facsynth.CLASSES)
    for example in builder.as_dataset(split="test").as_numpy_iterator():
        row = drawn["test"]["id"].tolist().index(example["id"].decode())
        for field in ("image", "label", "aus", "au_intensity"):
            np.testing.assert_array_equal(example[field], drawn["test"][field][row])


@pytest.mark.filterwarnings("ignore")  # TensorFlow's own
def test_the_config_asks_for_a_size_and_gets_it_drawn(tmp_path):
    """data.image_size is the renderer's, so that 96 pixels hold more than 48 pixels enlarged."""
    data = {"name": "facsynth", "image_size": 96, "cache_dir": str(tmp_path)}
    data["options"] = {"n_subjects": 5, "images_per_subject": 1}
    test = arrays.load_parts(data).test
    expected = facsynth.generate(5, 1, size=96)["test"]["image"]
    np.testing.assert_array_equal(test.image, expected)
    half = test.image[:, ::2, ::2].astype(float)
    assert np.abs(np.repeat(np.repeat(half, 2, 1), 2, 2) - test.image).max() > 40
