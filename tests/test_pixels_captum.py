"""Attribution over the pixels against Captum."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import runs
from captum_maps import assert_like, captum_hooks, captum_maps, our_maps
from small_networks import activations, build, train

from ferjax import config
from ferjax.attribution import pixels
from ferjax.attribution.network import Network
from ferjax.models import fer_cnn
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


def bars(n, seed):
    """n pictures of 48x48 with a bar of light in noise, across, upright or aslant: which one is the class."""
    rng = np.random.default_rng(seed)
    label, shift = rng.integers(0, 3, n), rng.integers(-14, 15, n)
    image = rng.integers(0, 60, (n, 48, 48, 1)).astype(np.uint8)
    y, x = np.mgrid[:48, :48] - 24
    for one, k, by in zip(image, label, shift, strict=True):
        one[np.abs((y, x, (y - x) / 2**0.5)[k] - by) < 4] += 150
    return image, label


@pytest.fixture(scope="module")
def papers_network():
    """The paper's network after 30 steps, which tells the bars apart; 48 new pictures."""
    model = fer_cnn.build(config.default().model, 3)
    params = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 48, 48, 1)))["params"]
    params, losses = train(model, params, *bars(160, 0), steps=30, batch=16, rate=0.001)
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) / 5, losses
    image, label = bars(48, 1)
    net, x = Network(model, params), jnp.asarray(image, jnp.float32) / 255
    assert (np.asarray(activations(net, x)["logits"]).argmax(1) == label).mean() > 0.8
    return net, x


def decided(net, x, by=5e-7):
    """[b]: no pooling or rectifier of an input hangs on less than `by` of its layer's largest value.

    Torch adds up in another order. Where two values of a pooling window are a rounding apart, or the largest
    is that far from 0, it may send the gradient another way: 6 of 400 gradients of a logit then differed by
    1e-3 to 2e-2 of their largest value, the others by less than 1e-5.
    """
    acts = activations(net.replace(model=net.model.clone(conv="explicit")), x)
    clear = np.abs(acts["dense"]).min(1) > by * np.abs(acts["dense"]).max()
    for block in ("block1", "block2", "block3"):
        act = np.asarray(acts[f"{block}/conv"])
        b, h, w, j = act.shape
        windows = act.reshape(b, h // 2, 2, w // 2, 2, j).transpose(0, 1, 3, 5, 2, 4).reshape(b, -1, 4)
        windows = np.sort(np.pad(windows, [(0, 0), (0, 0), (0, 1)]))  # with the rectifier's 0
        clear &= (windows[..., -1] - windows[..., -2]).min(1) > by * act.max()
    return clear


def chosen(net, x, layer):
    """For each input its logit's class, or one of the filters that it excites most, each another rank."""
    act = np.asarray(activations(net, x)[layer])
    order = np.argsort(-act.reshape(len(x), -1, act.shape[-1]).max(1), axis=1)
    return order[:, 0] if layer == "logits" else order[np.arange(len(x)), np.arange(len(x))]


@captum_hooks
@pytest.mark.parametrize(("layer", "at"), [("block3/relu", "block2/relu"), ("logits", "block3/relu")])
def test_the_papers_network_trained_like_captum(papers_network, layer, at):
    net, x = papers_network
    x = x[np.flatnonzero(decided(net, x))[:4]]
    assert len(x) == 4
    names, index = ("gradient", "guided_backprop", "deconvnet"), chosen(net, x, layer)
    assert_like(our_maps(net, x, layer, index, at, names), captum_maps(net, x, layer, index, names, at))


@captum_hooks
@pytest.mark.parametrize("layer", ["block3/relu", "logits"])
def test_integrated_gradients_of_the_papers_network_like_captum(papers_network, layer):
    """In float64: of 50 gradients an input, one is likely to hang on a rounding in float32 (`decided`)."""
    net, x = papers_network
    index = chosen(net, x[:2], layer)
    with jax.enable_x64(True):
        params = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), net.params)
        net = Network(net.model.clone(dtype=jnp.float64, param_dtype=jnp.float64), params)
        x, names = jnp.asarray(x[:2], jnp.float64), ("integrated_gradients",)
        assert_like(our_maps(net, x, layer, index, None, names), captum_maps(net, x, layer, index, names))
