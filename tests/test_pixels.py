"""Attribution over the pixels against finite differences, and networks whose answer is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_networks import activations, build

from data_pipelines import BadInput
from ferjax.attribution import fields, pixels
from ferjax.attribution.network import Network
from ferjax.ops import relu as rectifiers


@pytest.mark.parametrize(("layer", "position"), [("block2/relu", "max"), ("block2/conv", "sum")])
def test_gradient_is_the_central_difference(layer, position):
    with jax.enable_x64(True):
        model, params = build(12, param_dtype="float64", compute_dtype="float64")
        net = Network(model, params)
        x = jax.random.uniform(jax.random.key(1), (2, 12, 12, 1), jnp.float64)
        index = np.array([2, 1])
        acts = np.asarray(activations(net, x)[layer])
        chosen = acts[np.arange(2), ..., index]

        def value(x, i):
            y = activations(net, x)[layer][..., index[i]].reshape(len(x), -1)
            return y.sum(1) if position == "sum" else y[:, chosen[i].argmax()]

        actual = pixels.gradient(net, x, layer, index, position=position)
        steps = 1e-6 * jnp.eye(144).reshape(144, 12, 12, 1)
        for i in range(2):
            difference = (value(x[i] + steps, i) - value(x[i] - steps, i)) / 2e-6
            assert np.abs(difference).max() > 1e-3
            np.testing.assert_allclose(actual[i].reshape(-1), difference, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("layer", ["block2/relu", "logits", "aus"])
@pytest.mark.parametrize("grey", [0.0, 0.4])
def test_integrated_gradients_are_complete(trained_network, layer, grey):
    net, x = trained_network
    index = np.array([0, 1, 0, 1, 0, 1])
    before, after = (
        activations(net, v)[layer][np.arange(6), ..., index].reshape(6, -1)
        for v in (jnp.full_like(x, grey), x)
    )
    place = np.asarray(after).argmax(1)
    expected = after[np.arange(6), place] - before[np.arange(6), place]
    maps = pixels.integrated_gradients(net, x, layer, index, baseline=grey, n_steps=300)
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(maps.sum((1, 2, 3)), expected, atol=0.01 * np.abs(expected).max())


class Quadratic:
    """In place of a FerCnn: its only output is half the sum of squares, so that the gradient is the input."""

    def clone(self, relu, edit):
        return self

    def apply(self, variables, x):
        y = (x**2).sum((1, 2, 3))[:, None] / 2
        return y, {"half": y}


def test_integrated_gradients_of_squares():
    net = Network(Quadratic(), {})
    x, baseline = jax.random.normal(jax.random.key(0), (2, 3, 4, 5, 1))
    maps = pixels.integrated_gradients(net, x, "half", 0, baseline=baseline, n_steps=2)
    np.testing.assert_allclose(maps, (x - baseline) * (x + baseline) / 2, atol=1e-5)


def test_smoothgrad_of_squares_is_the_mean_of_the_noisy_inputs():
    net, key = Network(Quadratic(), {}), jax.random.key(7)
    x = jnp.stack([jnp.linspace(0, 1, 2500), jnp.linspace(-2, 8, 2500), jnp.full(2500, 0.3)]).reshape(
        3, 50, 50, 1
    )
    one = pixels.smoothgrad(net, x, "half", 0, key, sigma=0.2, n=1) - x
    deviation = np.asarray(one.reshape(3, -1).std(1))  # 2500 draws: standard error 1.4 percent
    np.testing.assert_allclose(deviation, [0.2, 2.0, 0.0], rtol=0.06)
    mean = pixels.smoothgrad(net, x, "half", 0, key, sigma=0.2, n=100) - x
    np.testing.assert_allclose(mean.reshape(3, -1).std(1), [0.02, 0.2, 0.0], rtol=0.06)
    again = pixels.smoothgrad(net, x, "half", 0, key, sigma=0.2, n=1) - x
    np.testing.assert_array_equal(one, again)
    other = pixels.smoothgrad(net, x, "half", 0, jax.random.key(8), sigma=0.2, n=1) - x
    assert abs(np.corrcoef(one[0].reshape(-1), other[0].reshape(-1))[0, 1]) < 0.1
    assert abs(np.corrcoef(one[0].reshape(-1), one[1].reshape(-1))[0, 1]) < 0.1
    alone = pixels.smoothgrad(net, x[:2], "half", 0, key, sigma=0.2, n=1) - x[:2]
    np.testing.assert_array_equal(alone, one[:2])  # the batch's size is not in the noise


@pytest.mark.parametrize("method", pixels.METHODS)
@pytest.mark.parametrize("layer", ["block2/relu", "logits"])
def test_many_equals_one_at_a_time(trained_network, method, layer, monkeypatch):
    net, x = trained_network
    x, key = x[:2], jax.random.key(3)
    monkeypatch.setattr(pixels, "IMAGES", 8)  # several groups of steps and samples
    options = {"integrated_gradients": {"n_steps": 5}, "smoothgrad": {"n": 5}}.get(method, {})
    indices = [2, 0, 1]
    maps = pixels.many(net, x, layer, indices, method, key, chunk=2, **options)
    assert maps.shape == (3, 2, 16, 16, 1) and np.abs(maps).max() > 0
    for i, index in enumerate(indices):
        one = pixels.attribute(net, x, layer, index, method, key, **options)
        np.testing.assert_allclose(maps[i], one, rtol=1e-4, atol=1e-6 * np.abs(one).max())
    each = pixels.attribute(net, x, layer, [2, 1], method, key, **options)
    np.testing.assert_allclose(each, [maps[0, 0], maps[2, 1]], rtol=1e-4, atol=1e-6 * np.abs(each).max())


def test_both_rectified_share_a_forward_pass(trained_network):
    net, x = trained_network
    place = np.array([[1, 2]] * 6)
    both = pixels.both_rectified(net, x, "block2/relu", 3, position=place)
    assert sorted(both) == ["deconvnet", "guided_backprop"]
    for method, maps in both.items():
        one = pixels.attribute(net, x, "block2/relu", 3, method, position=place)
        np.testing.assert_allclose(maps, one, rtol=1e-5, atol=1e-6 * np.abs(one).max())

    def convolutions(run, **words):
        index, at = np.full((1, 6), 3), place[None]
        lowered = run.lower(net, x, index, at, layer="block2/relu", where="at", **words)
        return lowered.compile().as_text().count(" convolution(")

    alone = convolutions(pixels._gradients, rule=rectifiers.guided)
    assert alone >= 4  # two blocks, there and back
    assert convolutions(pixels._both) == alone + 2


@pytest.mark.parametrize("method", ["guided_backprop", "integrated_gradients", "smoothgrad", "grad_cam"])
def test_another_filter_or_network_does_not_compile_again(trained_network, method, monkeypatch):
    net, _ = trained_network
    width = 20 + 4 * list(pixels.METHODS).index(method)  # a size that no other test has
    x = jax.random.uniform(jax.random.key(0), (1, 8, width, 1))
    traces, call = [], Network.__call__
    monkeypatch.setattr(Network, "__call__", lambda *a, **k: traces.append(0) or call(*a, **k))
    options = {"integrated_gradients": {"n_steps": 3}, "smoothgrad": {"n": 3}}.get(method, {})

    def run(net, indices, layer="block2/relu"):
        return pixels.many(net, x, layer, indices, method, jax.random.key(0), chunk=2, **options)

    dense = {"kernel": jnp.ones((12 * (width // 4), 8)), "bias": jnp.ones(8)}
    net = net.replace(params=dict(net.params, dense=dense))
    run(net, [0, 1])
    first = len(traces)
    run(net, [2, 3, 4])
    run(net.replace(params=jax.tree.map(lambda a: a * 1.5, net.params)), [0, 5])
    assert len(traces) == first
    run(net, [0, 1], "block1/relu")  # but another layer does
    assert len(traces) > first


def test_position():
    model, params = build()
    net = Network(model, params)
    x = jax.random.uniform(jax.random.key(2), (2, 16, 16, 1))
    act = np.asarray(activations(net, x)["block2/relu"])[..., 3]
    place = np.stack([np.unravel_index(a.argmax(), a.shape) for a in act])
    most = pixels.gradient(net, x, "block2/relu", 3)
    np.testing.assert_array_equal(most, pixels.gradient(net, x, "block2/relu", 3, position=place))
    everywhere = [(r, c) for r in range(8) for c in range(8)]
    parts = [pixels.gradient(net, x, "block2/relu", 3, position=np.array([p, p])) for p in everywhere]
    total = pixels.gradient(net, x, "block2/relu", 3, position="sum")
    np.testing.assert_allclose(total, sum(parts), atol=1e-5)
    assert not np.allclose(total, most)


def test_noisy_and_interpolated_maps_stay_in_the_receptive_field(trained_network):
    net, x = trained_network
    act = np.asarray(activations(net, x)["block1/relu"])[..., 1]
    place = np.stack([np.unravel_index(a.argmax(), a.shape) for a in act])
    boxes = fields.receptive_field(net.model, "block1/relu").box(place, (16, 16))
    for method in ("smoothgrad", "integrated_gradients"):
        maps = np.array(pixels.attribute(net, x, "block1/relu", 1, method, jax.random.key(0)))
        assert np.abs(maps).max() > 0
        for one, (top, left, bottom, right) in zip(maps, boxes, strict=True):
            one[top:bottom, left:right] = 0
        assert not maps.any()


def test_a_filter_that_is_silent_everywhere(trained_network):
    net, x = trained_network
    dead = jax.tree.map(jnp.asarray, net.params)
    dead["block2_conv"] = dict(dead["block2_conv"], bias=jnp.full(6, -1e3))
    net = net.replace(params=dead)
    for method in pixels.METHODS:
        maps = np.asarray(pixels.attribute(net, x, "block2/relu", 2, method, jax.random.key(0)))
        assert maps.any() == (method == "deconvnet"), method
    seen = np.asarray(pixels.deconvnet(net, x, "block2/relu", 2))
    bottom, right = fields.receptive_field(net.model, "block2/relu").box((0, 0), (16, 16))[2:]
    assert not seen[:, bottom:].any() and not seen[:, :, right:].any()


def test_grad_cam_takes_the_last_relu_before_the_target(trained_network):
    net, x = trained_network
    for layer, at in [
        ("logits", "block2/relu"),
        ("block2/relu", "block2/relu"),
        ("block2/conv", "block1/relu"),
        ("block1/conv", "block1/conv"),
    ]:
        np.testing.assert_array_equal(
            pixels.grad_cam(net, x, layer, 1), pixels.grad_cam(net, x, layer, 1, at=at)
        )
    assert pixels.grad_cam(net, x, "block1/conv", 1).shape == (6, 16, 16)
    assert pixels.grad_cam(net, x, "logits", 1).shape == (6, 8, 8)


def test_channels():
    model, params = build(channels=3)
    net = Network(model, params)
    x = jax.random.uniform(jax.random.key(1), (2, 16, 16, 3))
    for method in ("guided_backprop", "grad_cam"):
        maps = pixels.attribute(net, x, "block2/relu", [1, 2], method)
        assert maps.shape == x.shape and maps.dtype == jnp.float32
        assert fields.as_picture(maps).shape == (2, 16, 16)
    assert (maps[..., 0] == maps[..., 2]).all()


def test_layers_in_order(trained_network):
    net, x = trained_network
    found = pixels.layers(net, x.shape)
    assert list(found) == list(net(x)) and list(found)[-1] == "aus"
    assert found["block2/relu"] == (6, 8, 8, 6) and found["aus"] == (6, 2)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        (
            {"layer": "block9/relu"},
            r"no layer is called 'block9/relu'; take one of block1/conv, .*, logits, aus",
        ),
        ({"index": 6}, r"block2/relu has no index 6; it has 6, from 0 to 5"),
        ({"index": [0, 1, -1, 0, 0, 0]}, r"block2/relu has no index -1"),
        ({"layer": "aus", "index": 2}, r"aus has no index 2; it has 2, from 0 to 1"),
        ({"method": "lrp"}, r"no attribution method is called 'lrp'; take one of gradient, "),
        ({"position": "mean"}, r"position 'mean' is unknown"),
        ({"position": np.full((6, 2), 8)}, r"no position \(8, 8\); its map is 8x8"),
        ({"layer": "dense", "position": np.zeros((6, 2), int)}, r"dense has no space"),
        (
            {"method": "grad_cam", "at": "dense/relu"},
            r"Grad-CAM at dense/relu: that layer has no space; take one of",
        ),
        ({"method": "grad_cam", "at": "last"}, r"no layer is called 'last'"),
        (
            {"method": "grad_cam", "layer": "block1/relu", "at": "block2/relu"},
            r"block1/relu, which comes before it",
        ),
    ],
)
def test_a_users_mistake(trained_network, changes, match):
    net, x = trained_network
    arguments = {"layer": "block2/relu", "index": 0, "method": "gradient", **changes}
    with pytest.raises(BadInput, match=match) as caught:
        pixels.attribute(net, x, **arguments)
    assert "\n" not in str(caught.value)


def test_no_head_no_action_units(trained_network):
    net, x = trained_network
    with pytest.raises(
        BadInput, match=r"'aus' \(only a network with an action-unit head has it\); take one of"
    ):
        pixels.gradient(net.replace(head=None), x, "aus", 0)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"x": np.zeros((6, 16, 16, 1), np.uint8)}, "normalised floats"),
        ({"x": np.zeros((16, 16, 1), np.float32)}, "normalised floats"),
        ({"index": [0, 1]}, r"index must be int \[\], \[6\] or \[t, 6\]"),
        ({"index": 0.0}, "index must be int"),
        ({"position": np.zeros((5, 2), int)}, r"position must be int \[6, 2\]"),
        ({"method": "integrated_gradients", "n_steps": 0}, "n_steps of at least 1"),
        ({"method": "smoothgrad", "key": None}, "needs a key"),
        ({"method": "smoothgrad", "sigma": -1.0}, "sigma -1.0"),
        ({"method": "smoothgrad", "n": 0}, "n 0"),
    ],
)
def test_a_programmers_mistake(trained_network, changes, match):
    net, x = trained_network
    arguments = {
        "x": x,
        "layer": "block2/relu",
        "index": 0,
        "method": "gradient",
        "key": jax.random.key(0),
        **changes,
    }
    with pytest.raises(ValueError, match=match):
        pixels.attribute(net, **arguments)


def test_many_refuses(trained_network):
    net, x = trained_network
    for indices, chunk in (([[0]], None), ([0], 0)):
        with pytest.raises(ValueError, match="indices"):
            pixels.many(net, x, "logits", indices, "gradient", chunk=chunk)
    assert pixels.many(net, x, "logits", np.zeros(0, int), "gradient").shape == (0, 6, 16, 16, 1)
