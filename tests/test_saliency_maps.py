"""The spectral residual and the centre prior, beside SciPy's and PyTorch's pieces."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from data_pipelines import BadInput, letterbox, saliency_maps, saliency_shapes


def test_spectral_residual_is_the_papers_formula():
    grey = np.random.default_rng(0).integers(0, 255, (48, 64)).astype(np.uint8)
    spectrum = torch.fft.fft2(torch.tensor(grey, dtype=torch.float64))
    log = spectrum.abs().log()
    residual = log - torch.tensor(ndimage.uniform_filter(log.numpy(), 3, mode="nearest"))
    back = torch.fft.ifft2(torch.exp(residual) * torch.exp(1j * spectrum.angle())).abs() ** 2
    blurred = ndimage.gaussian_filter(back.numpy(), 2.5, mode="nearest", truncate=4)
    wanted = (blurred - blurred.min()) / np.ptp(blurred)
    found = saliency_maps.spectral_residual(grey)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    np.testing.assert_array_equal(saliency_maps.spectral_residual(grey[..., None]), found)


def test_it_finds_the_odd_one_out():
    picture = np.full((96, 128, 3), 120, np.uint8) + np.random.default_rng(1).integers(
        0, 9, (96, 128, 1)
    ).astype(np.uint8)
    picture[20:28, 90:98] = [250, 40, 40]
    found = saliency_maps.spectral_residual(picture)
    assert found.shape == (96, 128) and found.min() >= 0 and found.max() <= 1
    y, x = np.unravel_index(found.argmax(), found.shape)
    assert abs(y - 24) < 6 and abs(x - 94) < 6


@pytest.mark.parametrize("value", [0, 7, 255])
@pytest.mark.parametrize("shape", [(50, 70), (50, 70, 1), (50, 70, 3), (3, 3), (1, 1)])
def test_a_blank_picture_has_a_flat_map(value, shape):
    found = saliency_maps.spectral_residual(np.full(shape, value, np.uint8))
    np.testing.assert_array_equal(found, np.zeros(shape[:2], np.float32))


def test_pictures_of_any_size():
    rng = np.random.default_rng(2)
    for shape in ((48, 48, 1), (300, 20, 3), (5, 400)):
        found = saliency_maps.spectral_residual(rng.integers(0, 255, shape).astype(np.uint8))
        assert found.shape == shape[:2] and np.isfinite(found).all()
        assert found.min() >= 0 and found.max() <= 1


def test_the_centre_prior_by_hand():
    found = saliency_maps.centre(101, 201, 0.2)
    assert found.shape == (101, 201) and found.dtype == np.float32 and found[50, 100] == 1
    # one standard deviation is 20.2 rows and 40.2 columns
    assert found[70, 100] == pytest.approx(np.exp(-0.5 * (20 / 20.2) ** 2), rel=1e-5)
    assert found[50, 140] == pytest.approx(np.exp(-0.5 * (40 / 40.2) ** 2), rel=1e-5)
    np.testing.assert_array_equal(found, found[::-1, ::-1])
    two = saliency_maps.centre(10, 10, (0.1, 0.4))
    assert two[0, 5] < two[5, 0] and two.max() == 1  # an even side has no middle pixel


def test_what_cannot_be():
    picture = np.zeros((9, 9), np.uint8)
    with pytest.raises(BadInput, match="size 2 must be 3 pixels or more"):
        saliency_maps.spectral_residual(picture, size=2)
    with pytest.raises(BadInput, match="above 0"):
        saliency_maps.centre(9, 9, 0.0)
    with pytest.raises(ValueError, match=r"got \(9, 9, 2\)"):
        saliency_maps.spectral_residual(np.zeros((9, 9, 2), np.uint8))


def test_resizing_is_pillows_bilinear():
    x = np.random.default_rng(3).random((37, 50)).astype(np.float32)
    for h, w in ((60, 80), (12, 16), (37, 9)):
        wanted = np.asarray(Image.fromarray(x).resize((w, h), Image.Resampling.BILINEAR))
        np.testing.assert_allclose(saliency_maps.resize(x, h, w), wanted, atol=2e-4)


def test_blurring_is_scipys():
    x = np.random.default_rng(4).random((30, 40))
    wanted = ndimage.gaussian_filter(x, 1.5, mode="nearest", truncate=4)
    np.testing.assert_allclose(saliency_maps.gaussian(x, 1.5), wanted, atol=1e-12)


@pytest.mark.parametrize(
    ("h", "w", "box"),
    [
        (480, 640, (0, 0, 480, 640)),
        (240, 320, (0, 0, 480, 640)),
        (480, 480, (0, 80, 480, 480)),
        (300, 640, (90, 0, 300, 640)),
        (1, 5000, (239, 0, 1, 640)),
    ],
)
def test_a_picture_lies_in_the_middle_of_its_frame(h, w, box):
    assert letterbox.place(h, w, (480, 640)) == box


def test_there_and_back():
    picture = np.random.default_rng(5).integers(50, 255, (30, 20, 3)).astype(np.uint8)
    framed = letterbox.pad(picture, (60, 80))
    box = letterbox.place(30, 20, (60, 80))
    assert framed.shape == (60, 80, 3) and framed[box.inside].min() >= 50
    framed[box.inside] = 0
    assert not framed.any()
    ramp = np.zeros((60, 80), np.float32)
    ramp[box.inside] = np.arange(box.height)[:, None]
    back = letterbox.unpad(ramp, box, (60, 80), 30, 20)
    assert back.shape == (30, 20)
    np.testing.assert_allclose(back[1:-1, 3], 2 * np.arange(1, 29) + 0.5, atol=1e-3)


def test_drawn_scenes_are_the_same_again_and_looked_at_where_they_are_odd():
    picture, points = saliency_shapes.scene((96, 128), (0, False, 3))
    again, same = saliency_shapes.scene((96, 128), (0, False, 3))
    np.testing.assert_array_equal(picture, again)
    np.testing.assert_array_equal(points, same)
    assert points.min() >= 0 and (points < [96, 128]).all() and len(points) == saliency_shapes.FIXATIONS
    seen = saliency_shapes.density(points, (96, 128))
    assert seen.max() == 255
    at = np.unravel_index(seen.argmax(), seen.shape)
    ground = np.median(picture.reshape(-1, 3), 0)
    assert np.abs(picture[at] - ground).max() > 50
