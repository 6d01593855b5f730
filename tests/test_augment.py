"""Augmentation: exact where it can be worked by hand, keyed per example."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

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
