"""Attribution over the pixels against Captum."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import runs
from captum_maps import assert_like, captum_hooks, captum_maps, our_maps
from small_networks import activations, build

from ferjax.attribution import pixels
from ferjax.attribution.network import Network
from ferjax.ops.conv import choose


@captum_hooks
@pytest.mark.parametrize(
    ("layer", "at", "conv"),
    [
        ("logits", "block2/relu", "explicit"),
        ("aus", "block2/pool", "explicit"),
        ("block2/relu", "block2/relu", "explicit"),
        ("block2/relu", "block1/relu", "winograd"),
    ],
)
def test_like_captum(trained_network, layer, at, conv):
    net, x = trained_network
    net = net.replace(model=net.model.clone(conv=conv))
    index = np.arange(len(x)) % pixels.layers(net, x.shape)[layer][-1]
    assert_like(our_maps(net, x, layer, index, at), captum_maps(net, x, layer, index, at=at))


@captum_hooks
def test_the_papers_network_like_captum_on_even_areas_too():
    """48x48, 64, 128 and 256 filters; rounding must not decide which of equal places a pooling takes."""
    model, params = build(48, features=(64, 128, 256), dense=32)
    assert choose(params["block3_conv"]["kernel"].shape) == "winograd"
    net = Network(model.clone(conv="auto"), params)
    x = np.array(runs.tiny_split(2, 0, size=48).image, np.float32) / 255
    x[1] = 0.1
    x[1, 10:40, 12:36], x[1, 20:24, 18:30] = 0.7, 0.3
    names = ("guided_backprop", "gradient")
    ours = {name: pixels.attribute(net, x, "block3/relu", [200, 17], name) for name in names}
    assert_like(ours, captum_maps(net, x, "block3/relu", [200, 17], names))


def exact(split_like):
    """A network and inputs whose sums are exact in float32 in any order: multiples of 1/8."""
    model, params = build()
    rng = np.random.default_rng(3)
    params = jax.tree.map(lambda a: jnp.asarray(rng.integers(-2, 4, a.shape) / 8, jnp.float32), params)
    return Network(model, params), jnp.asarray(split_like, jnp.float32)


@captum_hooks
def test_ties_in_pooling_like_torch():
    x = np.zeros((4, 16, 16, 1))
    x[0] = 1  # flat
    x[1, :, :8] = 1  # two halves
    x[2, 4:12, 4:12] = 0.5  # a square
    x[3] = np.kron(np.random.default_rng(0).integers(0, 2, (4, 4)), np.ones((4, 4)))[..., None]
    net, x = exact(x)
    act = np.asarray(activations(net, x)["block1/relu"]).reshape(4, 8, 2, 8, 2, 4)
    ties = (act == act.max((2, 4), keepdims=True)).sum((2, 4)) > 1
    assert ((act.max((2, 4)) > 0) & ties).sum() > 100  # windows with positive ties
    for layer in ("block2/relu", "logits"):
        index = np.array([0, 1, 2, 1])
        names = ("gradient", "guided_backprop", "deconvnet")
        ours = {name: pixels.attribute(net, x, layer, index, name) for name in names}
        assert_like(ours, captum_maps(net, x, layer, index, names), 1e-6)
