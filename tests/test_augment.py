"""Augmentation: exact where it can be worked by hand, keyed per example."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_pipelines import BadInput
from ferjax import augment, config


def _config(**changes):
    a = config.default().augment
    a.flip = False
    a.update(changes)
    return a


def _images(n=6, size=12):
    return jax.random.randint(jax.random.key(0), (n, size, size, 1), 0, 256).astype(jnp.uint8)


KEYS = augment.example_keys(0, 5, jnp.arange(6))


def test_nothing_asked_nothing_changed():
    np.testing.assert_array_equal(augment.augment(_images(), KEYS, _config()), _images())


def test_identity_matrix_is_identity():
    image = _images()[0].astype(jnp.float32)
    same = augment._affine(image, jnp.array([[1.0, 0, 0], [0, 1, 0]]))
    np.testing.assert_allclose(same, image, atol=1e-3)


def test_known_maps_by_hand():
    image = jnp.arange(16.0).reshape(4, 4, 1)
    mirrored = augment._affine(image, jnp.array([[-1.0, 0, 0], [0, 1, 0]]))
    np.testing.assert_allclose(mirrored, image[:, ::-1], atol=1e-5)
    quarter = augment._affine(image, jnp.array([[0.0, -1, 0], [1, 0, 0]]))
    assert {tuple(np.round(np.asarray(quarter[..., 0])).ravel())} == {tuple(np.rot90(image[..., 0]).ravel())}
    # half a side is 2 pixels: a shift of 0.5 reads one pixel further right, the border goes on
    shifted = augment._affine(image, jnp.array([[1.0, 0, 0.5], [0, 1, 0]]))
    np.testing.assert_allclose(shifted[0, :, 0], [1, 2, 3, 3], atol=1e-5)
    halfway = augment._affine(image, jnp.array([[1.0, 0, 0.25], [0, 1, 0]]))
    np.testing.assert_allclose(halfway[0, :, 0], [0.5, 1.5, 2.5, 3], atol=1e-5)


def test_flip_by_turns_mirrors_every_image_in_every_other_epoch():
    images, ids = _images(64), jnp.arange(64)
    first, second, third = (np.asarray(augment.by_turns(0, jnp.int32(e), ids)) for e in range(3))
    assert (first == ~second).all() and (first == third).all() and 16 <= first.sum() <= 48
    assert (augment.by_turns(1, jnp.int32(0), ids) != first).any()
    keys = augment.example_keys(0, 7, ids)
    out = augment.augment(images, keys, _config(flip=True), True, first)
    wanted = np.where(first[:, None, None, None], images[:, :, ::-1], images)
    np.testing.assert_array_equal(out, wanted)


def test_flip_alone_and_with_a_map():
    images = _images(64)
    keys = augment.example_keys(0, 0, jnp.arange(64))
    out = np.asarray(augment.augment(images, keys, _config(flip=True)))
    flipped = np.array([(o == i[:, ::-1]).all() for o, i in zip(out, images, strict=True)])
    same = np.array([(o == i).all() for o, i in zip(out, images, strict=True)])
    assert (flipped ^ same).all() and 16 <= flipped.sum() <= 48
    # the same key flips the same examples when an affine map is on
    both = np.asarray(augment.augment(images, keys, _config(flip=True, rotation=1e-6)))
    np.testing.assert_allclose(both, out, atol=0.05)


def test_it_belongs_to_seed_step_and_example():
    c = _config(flip=True, rotation=20.0, scale=0.2, translation=0.1, shear=10.0, contrast=0.3, erase=0.5)
    images = jnp.tile(_images(1), (6, 1, 1, 1))
    a = np.asarray(augment.augment(images, KEYS, c))
    b = np.asarray(augment.augment(images[:2], KEYS[3:5], c))
    np.testing.assert_array_equal(a[3:5], b)  # the place in the batch does not matter
    assert len({x.tobytes() for x in a}) == 6
    other = np.asarray(augment.augment(images, augment.example_keys(0, 6, jnp.arange(6)), c))
    assert (a != other).any()


def test_off_for_the_last_epochs_leaves_the_flip():
    c = _config(rotation=20.0, contrast=0.5, erase=1.0)
    np.testing.assert_allclose(augment.augment(_images(), KEYS, c, False), _images(), atol=1e-2)


def test_erasing_covers_the_area_asked_for():
    c = _config(erase=1.0, erase_area=(0.1, 0.2))
    images = jnp.zeros((200, 40, 40, 1)).at[:, ::2].set(200)
    out = np.asarray(augment.augment(images, augment.example_keys(0, 0, jnp.arange(200)), c))
    share = (out == 100).mean((1, 2, 3))  # the mean of 0 and 200
    assert share.min() > 0.08 and share.max() < 0.22
    assert share.std() > 0.01


def test_a_crop_comes_from_anywhere_in_training_and_from_the_middle_in_evaluation():
    images, keys = _images(400, 12), augment.example_keys(0, 0, jnp.arange(400))
    c = _config(crop=9)
    out = np.asarray(augment.augment(images, keys, c))
    assert out.shape == (400, 9, 9, 1)
    every = np.asarray(images, np.float32)
    places = [(y, x) for y in range(4) for x in range(4)]
    found = [
        next(p for p in places if (every[n, p[0] : p[0] + 9, p[1] : p[1] + 9] == out[n]).all())
        for n in range(400)
    ]
    often = np.array([found.count(p) for p in places])  # 25 of each: chi squared, 15 degrees of freedom
    assert ((often - 25) ** 2 / 25).sum() < 37.7  # 0.1 %
    middle = augment.middle(images, 9)
    np.testing.assert_array_equal(middle, every[:, 1:10, 1:10])
    np.testing.assert_array_equal(augment.augment(images, keys, c, False), middle)
    np.testing.assert_array_equal(augment.middle(np.asarray(images), 12), images)
    assert augment.middle(images, 0) is images
    some = np.asarray(augment.augment(images[7:9], keys[7:9], c))
    np.testing.assert_array_equal(some, out[7:9])  # it belongs to the example


def test_what_was_drawn_before_does_not_change_with_a_crop():
    """The crop has a key of its own: flips and maps of an example stay."""
    c = _config(flip=True, rotation=20.0)
    whole = np.asarray(augment.augment(_images(), KEYS, c))
    cut = np.asarray(augment.augment(_images(), KEYS, _config(flip=True, rotation=20.0, crop=11)))
    for before, after in zip(whole, cut, strict=True):
        assert any(
            np.allclose(before[y : y + 11, x : x + 11], after, atol=1e-3) for y in (0, 1) for x in (0, 1)
        )


def test_a_crop_larger_than_the_images_is_refused():
    c = config.default()
    c.augment.crop = 13
    with pytest.raises(BadInput, match=r"augment\.crop is 13; the images are 20x12"):
        augment.input_shape(c, (20, 12, 1))


def test_imagenet_by_hand():
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])  # torchvision's
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 256, (2, 5, 5, 3)).astype(np.uint8)
    grey, map_ = colour[..., :1], colour[..., 2:]
    wanted = (colour / 255 - mean) / deviation
    np.testing.assert_allclose(augment.normalise(colour, "imagenet"), wanted, atol=1e-5)
    wanted_grey = (np.repeat(grey, 3, -1) / 255 - mean) / deviation
    np.testing.assert_allclose(augment.normalise(grey, "imagenet"), wanted_grey, atol=1e-5)
    for picture, like in ((grey, wanted_grey), (colour, wanted)):
        got = np.asarray(augment.normalise(np.concatenate([picture, map_], -1), "imagenet"))
        np.testing.assert_allclose(got[..., :3], like, atol=1e-5)
        np.testing.assert_allclose(got[..., 3:], map_ / 255 - 0.5, atol=1e-6)
    with pytest.raises(BadInput, match="these images have 5 channels"):
        augment.normalise(np.zeros((1, 2, 2, 5)), "imagenet")


@pytest.mark.parametrize(
    ("changes", "channels", "wanted"),
    [
        ({}, 1, (20, 24, 1)),
        ({"augment.crop": 16}, 3, (16, 16, 3)),
        ({"augment.crop": 16, "model.normalise": "imagenet"}, 1, (16, 16, 3)),
        ({"model.normalise": "imagenet"}, 2, (20, 24, 4)),
        ({"model.normalise": "imagenet"}, 4, (20, 24, 4)),
    ],
)
def test_what_the_network_gets(changes, channels, wanted):
    c = config.default()
    config.apply_overrides(c, [f"{k}={v}" for k, v in changes.items()])
    assert augment.input_shape(c, (20, 24, channels)) == wanted


@pytest.mark.parametrize("kind", ["scale", "standardise"])
def test_normalise(kind):
    x = np.asarray(augment.normalise(_images(), kind))
    if kind == "scale":
        np.testing.assert_allclose(x, np.asarray(_images()) / 255, atol=1e-6)
    else:
        np.testing.assert_allclose(x.mean((1, 2, 3)), 0, atol=1e-5)
        np.testing.assert_allclose(x.std((1, 2, 3)), 1, atol=1e-3)
    blank = np.asarray(augment.normalise(jnp.full((1, 4, 4, 1), 7, jnp.uint8), kind))
    assert np.isfinite(blank).all()
