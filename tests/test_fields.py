"""Receptive fields against the support of a gradient; maps enlarged, and as pictures."""

import jax
import numpy as np
import pytest
from small_networks import build

from data_pipelines import BadInput
from ferjax import config
from ferjax.attribution import fields, pixels
from ferjax.attribution.network import Network


@pytest.mark.parametrize("kernel", [5, 4])
@pytest.mark.parametrize("layer", ["block1/pool", "block2/conv", "block2/pool"])
def test_receptive_field_is_the_support_of_the_gradient(kernel, layer):
    model, params = build(18, features=(3, 3), kernel=kernel)
    x = jax.random.uniform(jax.random.key(1), (96, 18, 18, 1))  # pooling sees all places, over many inputs
    net = Network(model, params)
    field = fields.receptive_field(model, layer)
    _, h, w, _ = pixels.layers(net, x.shape)[layer]
    for place in [(0, 0), (h // 2, w // 3), (h - 1, w - 1)]:
        rule = lambda v: v  # noqa: E731
        maps = pixels._gradients(
            net,
            x,
            np.zeros((1, 96), np.int32),
            np.full((1, 96, 2), place),
            layer=layer,
            where="at",
            rule=rule,
        )
        rows, columns = np.nonzero(np.abs(np.asarray(maps)).sum((0, 1, 4)))
        seen = [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]
        assert seen == field.box(place, (18, 18)).tolist()


def test_receptive_field_of_the_papers_network():
    model = config.default().model
    assert fields.receptive_field(model, "block1/relu") == (5, 1, -2)
    assert fields.receptive_field(model, "block2/conv") == (14, 2, -6)
    assert fields.receptive_field(model, "block3/relu") == (32, 4, -14)
    box = fields.receptive_field(model, "block3/relu").box
    assert box([[0, 0], [5, 11]], (48, 48)).tolist() == [[0, 0, 18, 18], [6, 30, 38, 48]]
    assert box([5, 11], (48, 48), clipped=False).tolist() == [6, 30, 38, 62]
    with pytest.raises(BadInput, match=r"'dense/relu'.*take one of block1/conv, "):
        fields.receptive_field(model, "dense/relu")


def test_enlarge_like_torch():
    torch = pytest.importorskip("torch")
    maps = jax.random.normal(jax.random.key(0), (2, 3, 5, 6))
    expected = torch.nn.functional.interpolate(torch.from_numpy(np.array(maps)), (20, 13), mode="bilinear")
    np.testing.assert_allclose(fields.enlarge(maps, (20, 13)), expected.numpy(), atol=1e-6)


def test_as_picture():
    maps = np.array([[[[0.0], [1.0]], [[-2.0], [0.5]]], np.zeros((2, 2, 1))])
    assert fields.as_picture(maps).tolist() == [[[128, 192], [1, 160]], [[128, 128], [128, 128]]]
    assert fields.as_picture(maps).dtype == np.uint8
    assert fields.as_picture(np.array([[[3.0, -1.0], [-4.0, 0.0]]])).tolist() == [[192, 1]]  # channels added
    assert fields.as_picture(np.full((1, 1, 1), 1e-300)).tolist() == [[255]]
    with pytest.raises(ValueError, match="NaN or infinite"):
        fields.as_picture(np.full((1, 1, 1), np.nan))
