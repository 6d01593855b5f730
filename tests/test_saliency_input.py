"""Maps laid over pictures: the products by hand, the controls, and leaks found in spite of them."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from data_pipelines import BadInput, arrays, leaks, saliency_input, saliency_maps
from data_pipelines.split import Split, join

FACES = {"name": "facsynth", "options": {"n_subjects": 10, "images_per_subject": 4}, "image_size": 16}


def split(n=6, size=8, channels=1, name="made/test", seed=0):
    image = np.random.default_rng(seed).integers(1, 256, (n, size, size, channels)).astype(np.uint8)
    names = [f"{name}-{i}" for i in range(n)]
    people = [f"p{i // 2}" for i in range(n)]
    return Split(name, image, np.zeros(n), np.zeros((n, 0)), people, names, ("anger", "joy"), ())


@pytest.fixture
def maps(tmp_path):
    """A folder of maps for `split()`: picture i has the value 40 * i, and one white corner."""
    (tmp_path / "maps.json").write_text(json.dumps({"method": "drawn"}))
    for i, name in enumerate(split().id):
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        one = np.full((8, 8), 40 * i, np.uint8)
        one[0, 0] = 255
        Image.fromarray(one).save(path)
    return tmp_path


def given(folder, **more):
    return {"mode": "product", "method": "maps", "maps": str(folder), **more}


def test_product_blend_and_channel_by_hand(maps):
    plain = split()
    product = saliency_input.weigh(plain, given(maps)).image
    np.testing.assert_array_equal(product[:, 0, 0], plain.image[:, 0, 0])  # where the map is 1
    value = 40 * np.arange(6)[:, None, None, None] / 255
    np.testing.assert_array_equal(product[:, 1:], np.round(plain.image[:, 1:] * value))
    blend = saliency_input.weigh(plain, given(maps, mode="blend", share=0.25)).image
    np.testing.assert_allclose(blend[:, 1:], plain.image[:, 1:] * (0.75 + 0.25 * value), atol=0.501)
    beside = saliency_input.weigh(plain, given(maps, mode="channel")).image
    assert beside.shape == (6, 8, 8, 2)
    np.testing.assert_array_equal(beside[..., :1], plain.image)
    assert beside[:, 5, 5, 1].tolist() == [0, 40, 80, 120, 160, 200]


def test_colours_keep_their_hue(maps):
    colour = split(channels=3)
    product = saliency_input.weigh(colour, given(maps)).image
    assert product.shape == colour.image.shape
    np.testing.assert_allclose(product[3, 1:], colour.image[3, 1:] * (120 / 255), atol=0.501)
    assert saliency_input.weigh(colour, given(maps, mode="channel")).image.shape == (6, 8, 8, 4)


def test_controls(maps):
    plain = split()
    inverted = saliency_input.weigh(plain, given(maps, mode="channel", control="inverted")).image[..., 1]
    assert inverted[:, 5, 5].tolist() == [255, 215, 175, 135, 95, 55]
    shuffled = saliency_input.weigh(plain, given(maps, mode="channel", control="shuffled")).image[:, 5, 5, 1]
    own = 40 * np.arange(6)
    assert sorted(shuffled) == own.tolist()  # the same maps
    assert (shuffled != own).all()  # of nobody's own picture
    centre = {"mode": "channel", "method": "centre", "sigma": 0.2}
    one = saliency_input.weigh(plain, centre).image[..., 1]
    assert (one == one[:1]).all()
    assert one[0, 3:5, 3:5].min() > one[0, 0, 0]


def test_others_is_a_cycle_that_does_not_depend_on_the_order():
    ids = np.array([f"x{i}" for i in range(50)])
    nobody = np.full(50, "")
    whose = dict(zip(ids, ids[saliency_input.others(ids, nobody)], strict=True))
    back = ids[::-1]
    assert whose == dict(zip(back, back[saliency_input.others(back, nobody)], strict=True))
    at, seen = ids[0], set()
    while at not in seen:
        seen.add(at)
        at = whose[at]
    assert len(seen) == 50
    with pytest.raises(BadInput, match="two pictures"):
        saliency_input.others(ids[:1], nobody[:1])


@pytest.mark.parametrize("counts", [(3, 3), (5, 1, 4), (2, 2, 2, 1), (7, 8, 6)])
def test_the_other_picture_is_another_persons(counts):
    subject = np.repeat([f"s{i}" for i in range(len(counts))], counts)
    ids = np.array([f"x{i}" for i in range(len(subject))])
    other = saliency_input.others(ids, subject)
    assert sorted(other) == list(range(len(ids))) and (subject[other] != subject).all()


def test_where_one_person_has_most_pictures_it_is_another_picture():
    other = saliency_input.others(np.array(list("abcde")), np.array(["s"] * 4 + ["t"]))
    assert sorted(other) == [0, 1, 2, 3, 4] and (other != np.arange(5)).all()


def test_a_map_of_another_picture_is_refused(tmp_path):
    """A set that was cut otherwise has the same ids and other pictures."""
    plain = split(size=16)
    (tmp_path / "made").mkdir()
    (tmp_path / "maps.json").write_text("{}")
    how = {"mode": "channel", "method": "maps", "maps": str(tmp_path)}
    for name, image in zip(plain.id.tolist(), plain.image, strict=True):
        said = PngImagePlugin.PngInfo()
        said.add_text(saliency_input.MAP_OF, saliency_input.picture_hash(image))
        Image.fromarray(np.full((16, 16), 7, np.uint8)).save(tmp_path / f"{name}.png", pnginfo=said)
    assert (saliency_input.weigh(plain, how).image[..., 1] == 7).all()
    image = plain.image.copy()
    image[2, 0, 0] ^= 1
    changed = dataclasses.replace(plain, image=image)
    with pytest.raises(BadInput, match=f"{plain.id[2]}.png: the map of another picture"):
        saliency_input.weigh(changed, how)


def test_the_spectral_residual_is_of_each_picture_itself():
    plain = split(size=16)
    first = saliency_input.maps_of(plain, {"method": "spectral"})
    for i in (0, 5):
        want = np.round(255 * saliency_maps.spectral_residual(plain.image[i]))
        np.testing.assert_array_equal(first[i], want)
    again = saliency_input.maps_of(plain.take(np.arange(5, -1, -1)), {"method": "spectral"})
    np.testing.assert_array_equal(again[::-1], first)


def test_a_copy_is_found_whatever_is_laid_over_it(maps, tmp_path):
    plain, other = split(), split(name="made/train")
    weighted = saliency_input.weigh(plain, given(maps, mode="channel"))
    assert weighted.picture_shape == (8, 8, 1)
    assert len(leaks.shared_images(other, weighted)) == 6
    kept = weighted.take(np.array([2, 4]))
    assert kept.pixels.tolist() == plain.pixels[[2, 4]].tolist()
    kept.save(tmp_path / "kept.npz")
    read = Split.load(tmp_path / "kept.npz")
    assert read.pixels.tolist() == kept.pixels.tolist()
    assert read.picture_shape == (8, 8, 1)
    assert weighted.hash != plain.hash
    both = join("both", [weighted.take(np.arange(2)), weighted.take(np.arange(2, 6))])
    assert both.pixels.tolist() == plain.pixels.tolist()


def test_twice_is_refused(maps):
    once = saliency_input.weigh(split(), given(maps))
    with pytest.raises(BadInput, match="weighted by saliency already"):
        saliency_input.weigh(once, given(maps))
    assert saliency_input.weigh(once, {"mode": "none"}) is once


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"mode": "multiply"}, "data.saliency.mode: 'multiply'"),
        ({"mode": "product", "method": "deep"}, "data.saliency.method: 'deep'"),
        ({"mode": "product", "control": "upside"}, "data.saliency.control"),
        ({"mode": "blend", "share": 0.0}, "data.saliency.share"),
        ({"mode": "product", "method": "maps"}, "data.saliency.maps is empty"),
        ({"mode": "product", "method": "centre", "control": "shuffled"}, "changes nothing"),
        ({"mode": "product", "method": "maps", "maps": "/nowhere"}, "holds no maps.json"),
    ],
)
def test_mistakes(how, said):
    with pytest.raises(BadInput, match=said):
        saliency_input.weigh(split(), how)


def test_a_missing_or_broken_map_is_named(maps):
    gone = maps / "made/test-3.png"
    gone.write_bytes(b"no picture")
    with pytest.raises(BadInput, match=r"test-3\.png: not a readable map"):
        saliency_input.weigh(split(), given(maps))
    gone.unlink()
    with pytest.raises(BadInput, match=r"test-3\.png: no map of this picture"):
        saliency_input.weigh(split(), given(maps))


def test_maps_of_another_size_are_resized(maps):
    larger = split(size=16)
    beside = saliency_input.weigh(larger, given(maps, mode="channel")).image[..., 1]
    assert beside.shape == (6, 16, 16)
    assert beside[2, 12, 12] == 80


def test_all_parts_of_an_experiment(tmp_path):
    data = {**FACES, "cache_dir": str(tmp_path)}
    plain = arrays.load_parts(data)
    product = arrays.load_parts({**data, "saliency": {"mode": "product"}})
    for part in ("train", "select", "test"):
        a, b = getattr(plain, part), getattr(product, part)
        assert a.id.tolist() == b.id.tolist()
        assert (b.image <= a.image).all()
        assert (b.image < a.image).mean() > 0.5
        assert a.pixels.tolist() == b.pixels.tolist()
    with pytest.raises(BadInput, match="share"):  # trained without, reported with
        leaks.refuse_learned(plain, product, product.train)


def test_how_another_set_is_weighted():
    trained = {"mode": "product", "method": "maps", "maps": "a"}
    assert saliency_input.as_trained({"maps": "b"}, trained)["maps"] == "b"
    assert saliency_input.as_trained({}, {"mode": "blend"})["mode"] == "blend"
    with pytest.raises(BadInput, match="maps is empty"):
        saliency_input.weigh(split(), saliency_input.as_trained({}, trained))
