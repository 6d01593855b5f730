"""Scores by hand and by loops; evidence drawn again from ids; methods on planted networks."""

from functools import partial

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_pipelines import BadInput, facsynth
from ferjax.attribution import planted, truth
from ferjax.attribution.network import Network
from ferjax.attribution.randomise import spearman
from ferjax.metrics import Estimate
from ferjax.models.fer_cnn import FerCnn

SIZE, SEED = 16, 3


@pytest.fixture(scope="module")
def faces():
    return facsynth.generate(5, 32, "emotion", SIZE, SEED)["train"]


@pytest.fixture(scope="module")
def evidence(faces):
    return truth.facsynth_evidence(faces["id"], "AU12", size=SIZE)


def test_the_pictures_come_out_again(faces, evidence):
    off = np.abs(evidence.image.astype(int) - faces["image"])
    assert evidence.image.shape == faces["image"].shape and len(off) > 64  # more than one chunk
    assert off.max() <= 1 and (off > 0).mean() < 1e-3
    np.testing.assert_allclose(evidence.aus, faces["au_intensity"], atol=1e-6)


def test_evidence_is_where_the_unit_is(faces, evidence):
    there = faces["aus"][:, facsynth.AU_NAMES.index("AU12")] > 0
    assert 0.1 < there.mean() < 0.5
    assert not evidence.shown[~there].any() and (evidence.shown[there].max((1, 2)) > 0.02).all()
    assert (evidence.slope.max((1, 2)) > 0.02).all()  # an absent unit could come in
    # The mouth is in the lower half; the brows, in the upper one, do not move.
    for maps in (evidence.shown[there], evidence.slope):
        assert maps[:, SIZE // 2 :].sum() > 3 * maps[:, : SIZE // 2].sum()


def test_au_region_agrees_with_the_evidence(faces, evidence):
    region = planted.au_region("AU12", SIZE)
    assert 0.02 < region.mean() < 0.3
    there = faces["aus"][:, facsynth.AU_NAMES.index("AU12")] > 0
    inside = evidence.shown[there][:, region].sum() / evidence.shown[there].sum()
    assert inside > 3 * region.mean()
    with pytest.raises(BadInput, match="AU99"):
        planted.au_region("AU99", SIZE)


def test_facsynth_evidence_refuses():
    with pytest.raises(BadInput, match="no action unit 'AU11'"):
        truth.facsynth_evidence(["facsynth-0-00001-0000"], "AU11")
    with pytest.raises(BadInput, match=r"id 'fer2013-7' is no picture of facsynth"):
        truth.facsynth_evidence(["fer2013-7"], "AU12")
    with pytest.raises(BadInput, match="mode is 'none'"):
        truth.facsynth_evidence([], "AU12", "none")
    empty = truth.facsynth_evidence([], "AU12", size=20)
    assert empty.shown.shape == (0, 20, 20)


def test_scores_by_hand():
    evidence = np.zeros((3, 2, 4))
    evidence[0, 0] = [4, 2, 1, 0]  # region above a quarter of 4: two pixels
    evidence[1, 1] = [0, 0, 0, 8]
    evidence[2, 0] = [1, 0, 0, 0]
    maps = np.zeros((3, 2, 4))
    maps[0, 0] = [1, -3, 2, 0]
    maps[1, 0] = [5, 5, 0, 0]  # elsewhere
    got = truth.score("m", maps, evidence, np.array(list("abc")))  # the third map is blank
    assert got.pointing[0] == pytest.approx(1 / 3) and got.mass[0] == pytest.approx((4 / 6) / 3)
    ranked = spearman(np.abs(maps[:2]), evidence[:2])
    assert got.rank[0] == pytest.approx(ranked.sum() / 3)
    assert got.area == pytest.approx((2 + 1 + 1) / 24) and got.blank == 1 and got.n == 3
    # Others' evidence: map 0 against inputs 1, 2; map 1 against 0, 2; the blank one misses always.
    assert got.shuffled["pointing"] == pytest.approx((0 + 0 + 1 + 1) / 6)
    assert got.shuffled["mass"] == pytest.approx((0 + 1 / 6 + 1 + 0.5) / 6)
    assert got.pointing[1] <= got.pointing[0] <= got.pointing[2]


def test_scores_equal_a_loop():
    rng = np.random.default_rng(0)
    n, subject = 12, np.repeat(list("abcd"), 3)
    maps, evidence = rng.normal(size=(n, 5, 6)), rng.random((n, 5, 6)) ** 3
    got = truth.score("m", maps, evidence, subject, share=0.4)
    own, other = [], []
    for i in range(n):
        for j in range(n):
            m, e = np.abs(maps[i]), evidence[j]
            region = e > 0.4 * e.max()
            row = [region.flat[m.argmax()], m[region].sum() / m.sum(), spearman(m[None], e[None])[0]]
            if i == j:
                own.append(row)
            elif subject[i] != subject[j]:
                other.append(row)
    np.testing.assert_allclose([got.pointing[0], got.mass[0], got.rank[0]], np.mean(own, 0))
    np.testing.assert_allclose([got.shuffled[name] for name in truth.SCORES], np.mean(other, 0))
    fixed = truth.score("m", maps, np.broadcast_to(evidence[0], maps.shape), subject)
    assert all(np.isnan(v) for v in fixed.shuffled.values())


def test_the_truth_scores_full_marks_and_noise_chance():
    rng = np.random.default_rng(1)
    evidence = np.zeros((60, 10, 10))
    for i, (y, x) in enumerate(rng.integers(0, 7, (60, 2))):
        evidence[i, y : y + 4, x : x + 4] = 1 + rng.random((4, 4))
    best = truth.score("truth", -evidence, evidence, np.arange(60))
    assert (
        best.pointing == (1, 1, 1) and best.mass[0] == pytest.approx(1) and best.rank[0] == pytest.approx(1)
    )
    assert best.area == 0.16 and best.shuffled["mass"] < 0.35
    noise = truth.score("noise", rng.normal(size=evidence.shape), evidence, np.arange(60))
    for value, chance in ((noise.pointing, 0.16), (noise.mass, 0.16), (noise.rank, 0)):
        assert value[1] <= chance + 0.02 and chance - 0.02 <= value[2]


def test_score_refuses():
    good = np.ones((2, 3, 3))
    with pytest.raises(ValueError, match="input 1 has no evidence"):
        truth.score("m", good, good * np.array([1, 0])[:, None, None], np.arange(2))
    with pytest.raises(ValueError, match="input 0 has no evidence, or negative"):
        truth.score("m", good, -good, np.arange(2))
    with pytest.raises(ValueError, match="n > 0"):
        truth.score("m", good[:0], good[:0], np.arange(0))


def test_edges_like_opencv():
    images = np.random.default_rng(0).integers(0, 256, (3, 9, 11, 1)).astype(np.uint8)
    for image, found in zip(images, truth.edges(images), strict=True):
        sides = [
            cv2.Sobel(image[:, :, 0], cv2.CV_64F, *d, ksize=3, borderType=cv2.BORDER_REPLICATE)
            for d in ((1, 0), (0, 1))
        ]
        np.testing.assert_allclose(found, np.hypot(*sides))


@partial(jax.jit, static_argnames="layer")
def gradient(net, x, layer, index, key):
    del key
    return jax.grad(lambda x: jnp.take_along_axis(net(x)[layer], index[:, None], 1).sum())(x)


def picture(net, x, layer, index, key):
    del net, layer, index, key
    return x


def test_planted_networks_tell_a_true_map_from_a_false_one(faces):
    mask = np.zeros((SIZE, SIZE), bool)
    mask[10:13, 4:12] = True
    scores = truth.score_planted(
        {"gradient": gradient, "picture": picture}, faces["image"][::4], faces["subject"][::4], mask, (6,)
    )
    assert [s.method for s in scores] == ["gradient", "picture", truth.EDGES]
    true, false, drawn = scores
    assert true.mass == pytest.approx((1, 1, 1)) and true.pointing == (1, 1, 1) and true.rank[0] > 0.6
    for s in (false, drawn):
        assert s.mass[0] < 0.6 and s.rank[0] < true.rank[0] - 0.2
        assert s.n == 24 and s.area == pytest.approx(6 * 10 / 256)


def test_score_units(faces):
    model = FerCnn(outputs=3, features=(4,), dense=8, conv="explicit")
    params = model.init(jax.random.key(0), jnp.zeros((1, SIZE, SIZE, 1)))["params"]
    head = {"kernel": jax.random.normal(jax.random.key(5), (8, 3)), "bias": jnp.zeros(3)}
    net = Network(model, params, head, au_names=("AU12", "AU11", "AU06"))
    names = [facsynth.AU_NAMES.index(a) for a in ("AU12", "AU12", "AU06")]
    present = (faces["aus"][:, names] > 0).astype(int)
    auc = [Estimate(v, 0, 1, 9) for v in (0.95, 0.99, 0.9)]
    arguments = (faces["id"], faces["subject"], present, auc, {"gradient": gradient})
    found = truth.score_units(net, faces["image"], *arguments, most=10, n_bootstrap=50)
    assert list(found) == ["AU12"] and list(found["AU12"]) == ["shown", "slope"]
    rows = np.flatnonzero(present[:, 0])
    rows = rows[np.linspace(0, len(rows) - 1, 10).round().astype(int)]
    reference = truth.facsynth_evidence(faces["id"][rows], "AU12", size=SIZE)
    for name, maps in (("gradient", None), (truth.EDGES, truth.edges(faces["image"][rows]))):
        if maps is None:
            x = jnp.asarray(faces["image"][rows], jnp.float32) / 255
            maps = np.asarray(gradient(net, x, "aus", np.zeros(10, int), None))[..., 0]
        for kind in ("shown", "slope"):
            wanted = truth.score(name, maps, getattr(reference, kind), faces["subject"][rows], n_bootstrap=50)
            got = next(s for s in found["AU12"][kind] if s.method == name)
            np.testing.assert_allclose(got.mass, wanted.mass, rtol=1e-3)
            assert got.n == 10 and got.pointing == wanted.pointing
    other = faces["image"].copy()
    other[rows[3]] = other[rows[2]]
    with pytest.raises(BadInput, match=f"picture {faces['id'][rows[3]]} is not what facsynth draws"):
        truth.score_units(net, other, *arguments, most=10)
    with pytest.raises(ValueError, match="head of 3 units"):
        truth.score_units(net, faces["image"], *arguments[:3], auc[:2], {})
