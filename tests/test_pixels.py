"""Attribution over the pixels against Captum, finite differences, and networks whose answer is known."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import runs

from data_pipelines import BadInput
from ferjax import config
from ferjax.attribution import fields, pixels
from ferjax.attribution.network import Network
from ferjax.models import fer_cnn
from ferjax.ops.conv import choose

captum_hooks = pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU:UserWarning")
AUS = ("AU01", "AU12")


def build(size=16, channels=1, **changes):
    """A small network and random weights, drawn in NumPy: nothing to compile."""
    c = config.default().model
    c.features, c.dense, c.conv = (4, 6), 8, "explicit"
    c.update(changes)
    model, rng = fer_cnn.build(c, 3), np.random.default_rng(0)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, size, size, channels)))["params"]

    def draw(a):
        fan_in = np.prod(a.shape[:-1]) if len(a.shape) > 1 else 100
        return jnp.asarray(rng.standard_normal(a.shape) * np.sqrt(2 / fan_in), a.dtype)

    return model, jax.tree.map(draw, shapes)


activations = jax.jit(lambda net, x: net(x))


def train(model, params, image, label, steps, batch):
    """Adam on cross-entropy; every step another part of the set."""
    x = jnp.asarray(image, jnp.float32) / 255
    optimizer = optax.adam(0.01)

    @jax.jit
    def step(params, state, x, label):
        def loss(params):
            logits, _ = model.apply({"params": params}, x)
            return optax.softmax_cross_entropy_with_integer_labels(logits, label).mean()

        value, grads = jax.value_and_grad(loss)(params)
        updates, state = optimizer.update(grads, state)
        return optax.apply_updates(params, updates), state, value

    state, losses = optimizer.init(params), []
    for i in range(steps):
        rows = np.arange(i * batch, (i + 1) * batch) % len(x)
        params, state, value = step(params, state, x[rows], label[rows])
        losses.append(float(value))
    assert losses[-1] < losses[0]
    return params


@pytest.fixture(scope="module")
def trained():
    """A network after 40 steps on the bright squares, with a head of two outputs; six new pictures."""
    split = runs.tiny_split(64, 0)
    model, params = build()
    params = train(model, params, split.image, split.label, steps=40, batch=32)
    kernel = jax.random.normal(jax.random.key(5), (8, 2))
    net = Network(model, params, {"kernel": kernel, "bias": jnp.ones(2)}, au_names=AUS)
    x = jnp.asarray(runs.tiny_split(6, 1).image, jnp.float32) / 255
    return net, x


def to_torch(net, torch, size):
    """layer -> the network in torch, from its weights alone; its output is one number an input."""
    nn = torch.nn

    def tensor(a):
        return torch.from_numpy(np.array(a))

    class Torch(nn.Module):
        def __init__(self, layer):
            super().__init__()
            self.layer, p = layer, net.params
            blocks = sum(name.endswith("_conv") for name in p)
            self.steps = nn.ModuleDict()
            for i in range(1, blocks + 1):
                kernel = p[f"block{i}_conv"]["kernel"]
                conv = nn.Conv2d(kernel.shape[2], kernel.shape[3], kernel.shape[0], padding="same")
                conv.weight.data = tensor(kernel.transpose(3, 2, 0, 1))
                conv.bias.data = tensor(p[f"block{i}_conv"]["bias"])
                self.steps[f"block{i}/conv"] = conv
                self.steps[f"block{i}/relu"], self.steps[f"block{i}/pool"] = nn.ReLU(), nn.MaxPool2d(2)
            side = size // 2**blocks
            flat = p["dense"]["kernel"].reshape(side, side, -1, p["dense"]["bias"].size)
            flat = flat.transpose(2, 0, 1, 3).reshape(-1, flat.shape[-1])  # torch flattens c, h, w
            linear = {
                "dense": (flat, p["dense"]["bias"]),
                "logits": tuple(p["logits"][k] for k in ("kernel", "bias")),
            }
            if net.head is not None:
                linear["aus"] = net.head["kernel"], net.head["bias"]
            for name, (kernel, bias) in linear.items():
                self.steps[name] = nn.Linear(*kernel.shape)
                self.steps[name].weight.data, self.steps[name].bias.data = tensor(kernel.T), tensor(bias)
            self.steps["dense/relu"] = nn.ReLU()

        def layer_of(self, x):
            names = [n for n in self.steps if n.startswith("block")] + ["dense", "dense/relu"]
            for name in [*names, self.layer] if self.layer in ("logits", "aus") else names:
                x = self.steps[name](x.flatten(1) if name == "dense" else x)
                if name == self.layer:
                    return x

        def forward(self, x, index, place):
            y = self.layer_of(x)[torch.arange(len(x)), index]
            return y if y.ndim == 1 else y.flatten(1)[torch.arange(len(x)), place]

    return Torch


def captum_maps(net, x, layer, index, names=tuple(pixels.METHODS)[:-1], at=None):
    """Method -> map [b, h, w, c] by Captum; with `at`, Grad-CAM's [b, h', w'] and it enlarged."""
    torch = pytest.importorskip("torch")
    attr = pytest.importorskip("captum.attr")
    model = to_torch(net, torch, x.shape[1])(layer).eval()
    inputs = torch.from_numpy(np.array(x).transpose(0, 3, 1, 2).copy()).requires_grad_()
    index = torch.from_numpy(np.array(index))
    with torch.no_grad():
        y = model.layer_of(inputs).numpy()
    place = y[np.arange(len(x)), index].reshape(len(x), -1).argmax(1)  # NumPy's: the first of equals
    more = (index, torch.from_numpy(place))
    saliency = attr.Saliency(model)
    calls = {
        "gradient": (saliency, {"abs": False}),
        "gradient_x_input": (attr.InputXGradient(model), {}),
        "integrated_gradients": (attr.IntegratedGradients(model), {}),
        "guided_backprop": (attr.GuidedBackprop(model), {}),
        "deconvnet": (attr.Deconvolution(model), {}),
        "smoothgrad": (attr.NoiseTunnel(saliency), {"abs": False, "stdevs": 0.0, "nt_samples": 2}),
    }
    maps = {}
    for name in names:
        method, options = calls[name]
        found = method.attribute(inputs, additional_forward_args=more, **options)
        maps[name] = found.detach().numpy().transpose(0, 2, 3, 1)
    if at:
        cam = attr.LayerGradCam(model, model.steps[at])
        small = cam.attribute(inputs, additional_forward_args=more, relu_attributions=True).detach()
        maps["grad_cam"] = small.numpy()[:, 0]
        size = tuple(x.shape[1:3])
        maps["enlarged"] = (
            attr.LayerAttribution.interpolate(small, size, "bilinear").numpy().transpose(0, 2, 3, 1)
        )
    return maps


def our_maps(net, x, layer, index, at=None):
    options = {"smoothgrad": {"sigma": 0.0, "n": 2}, "grad_cam": {"at": at} if at else {}}
    maps = {
        name: pixels.attribute(net, x, layer, index, name, jax.random.key(0), **options.get(name, {}))
        for name in pixels.METHODS
    }
    maps["enlarged"] = maps["grad_cam"]
    maps["grad_cam"] = pixels.grad_cam(net, x, layer, index, at=at)
    return maps


def assert_like(ours, captums, bound=1e-4):
    """In every input, the largest difference is at most `bound` of the largest value, and not all are 0."""
    for name, expected in captums.items():
        actual = np.asarray(ours[name])
        assert actual.shape == expected.shape, name
        axes = tuple(range(1, expected.ndim))
        largest = np.abs(expected).max(axes)
        assert largest.any(), name
        assert (np.abs(actual - expected).max(axes) <= bound * largest).all(), name


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
def test_like_captum(trained, layer, at, conv):
    net, x = trained
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
def test_integrated_gradients_are_complete(trained, layer, grey):
    net, x = trained
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
def test_many_equals_one_at_a_time(trained, method, layer, monkeypatch):
    net, x = trained
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


@pytest.mark.parametrize("method", ["guided_backprop", "integrated_gradients", "smoothgrad", "grad_cam"])
def test_another_filter_or_network_does_not_compile_again(trained, method, monkeypatch):
    net, _ = trained
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


def test_noisy_and_interpolated_maps_stay_in_the_receptive_field(trained):
    net, x = trained
    act = np.asarray(activations(net, x)["block1/relu"])[..., 1]
    place = np.stack([np.unravel_index(a.argmax(), a.shape) for a in act])
    boxes = fields.receptive_field(net.model, "block1/relu").box(place, (16, 16))
    for method in ("smoothgrad", "integrated_gradients"):
        maps = np.array(pixels.attribute(net, x, "block1/relu", 1, method, jax.random.key(0)))
        assert np.abs(maps).max() > 0
        for one, (top, left, bottom, right) in zip(maps, boxes, strict=True):
            one[top:bottom, left:right] = 0
        assert not maps.any()


def test_a_filter_that_is_silent_everywhere(trained):
    net, x = trained
    dead = jax.tree.map(jnp.asarray, net.params)
    dead["block2_conv"] = dict(dead["block2_conv"], bias=jnp.full(6, -1e3))
    net = net.replace(params=dead)
    for method in pixels.METHODS:
        maps = np.asarray(pixels.attribute(net, x, "block2/relu", 2, method, jax.random.key(0)))
        assert maps.any() == (method == "deconvnet"), method
    seen = np.asarray(pixels.deconvnet(net, x, "block2/relu", 2))
    bottom, right = fields.receptive_field(net.model, "block2/relu").box((0, 0), (16, 16))[2:]
    assert not seen[:, bottom:].any() and not seen[:, :, right:].any()


def test_grad_cam_takes_the_last_relu_before_the_target(trained):
    net, x = trained
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


def test_layers_in_order(trained):
    net, x = trained
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
def test_a_users_mistake(trained, changes, match):
    net, x = trained
    arguments = {"layer": "block2/relu", "index": 0, "method": "gradient", **changes}
    with pytest.raises(BadInput, match=match) as caught:
        pixels.attribute(net, x, **arguments)
    assert "\n" not in str(caught.value)


def test_no_head_no_action_units(trained):
    net, x = trained
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
def test_a_programmers_mistake(trained, changes, match):
    net, x = trained
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


def test_many_refuses(trained):
    net, x = trained
    for indices, chunk in (([[0]], None), ([0], 0)):
        with pytest.raises(ValueError, match="indices"):
            pixels.many(net, x, "logits", indices, "gradient", chunk=chunk)
    assert pixels.many(net, x, "logits", np.zeros(0, int), "gradient").shape == (0, 6, 16, 16, 1)
