"""AlexNet against torch, through the very files that the reader reads; its shapes, names, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_pipelines import BadInput
from ferjax import config, models, weights
from ferjax.attribution import fields, pixels, randomise
from ferjax.attribution.network import Network
from ferjax.models import alexnet

torch = pytest.importorskip("torch")
TINY = 1 / 64  # 1, 3, 6, 4, 4 filters and 64 units


class Torch(torch.nn.Module):
    """AlexNet in torchvision's form, written for this test; the names of its layers too."""

    def __init__(self, features=alexnet.FEATURES, dense=4096, outputs=1000, channels=3, padding=2):
        super().__init__()
        nn, (a, b, c, d, e) = torch.nn, features
        self.features = nn.Sequential(
            *(nn.Conv2d(channels, a, 11, stride=4, padding=padding), nn.ReLU(), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(a, b, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(b, c, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(c, d, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(d, e, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2)),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(6)
        self.classifier = nn.Sequential(
            *(nn.Dropout(), nn.Linear(e * 36, dense), nn.ReLU()),
            *(nn.Dropout(), nn.Linear(dense, dense), nn.ReLU()),
            nn.Linear(dense, outputs),
        )

    def forward(self, x):
        x = self.avgpool(self.features(x))
        return self.classifier(torch.flatten(x, 1))

    def activations(self, x):
        """Every map and layer by ferjax' names, n,h,w,c."""
        names = [
            f"block{i}/{what}"
            for i in range(1, 6)
            for what in ("conv", "relu", "pool")
            if what != "pool" or i in (1, 2, 5)
        ]
        out = {}
        for name, layer in zip(names, self.features, strict=True):
            x = layer(x)
            out[name] = x.permute(0, 2, 3, 1)
        x = torch.flatten(self.avgpool(x), 1)
        hidden = iter(["dense1", "dense1/relu", "dense2", "dense2/relu", "logits"])
        for layer in self.classifier:
            x = layer(x)
            if not isinstance(layer, torch.nn.Dropout):
                out[next(hidden)] = x
        return out


def settings(**changes):
    c = config.default().model
    c.name, c.conv = "alexnet", "xla"
    c.update(changes)
    return c


def drawn(features, dense, outputs, **options):
    """A torch network in evaluation; its weights are He's, so that no layer fades."""
    torch.manual_seed(0)
    net = Torch(features, dense, outputs, **options).eval()
    for p in net.parameters():
        if p.ndim > 1:
            torch.nn.init.kaiming_normal_(p)
        else:
            torch.nn.init.normal_(p, std=0.1)
    return net


def written(net, path, form):
    if form == "safetensors":
        from safetensors.torch import save_file

        save_file({name: value.contiguous() for name, value in net.state_dict().items()}, path)
    else:
        torch.save(net.state_dict(), path, _use_new_zipfile_serialization=form == "zip")
    arrays, _ = weights.read(path)
    return jax.tree.map(jnp.asarray, alexnet.from_torch(arrays, path))


def small(outputs=5, **changes):
    """A small network here and its like in torch: (model, torch's)."""
    model = models.build(settings(width=TINY, **changes), outputs)
    return model, drawn(model.features, model.dense, outputs, padding=model.padding)


def run(model, params, x, *keys):
    """Logits and activations, compiled: a program is quicker than its operations one by one."""
    return jax.jit(model.apply)({"params": params}, x, *keys)


def forward(model, shape):
    """Names of its activations in forward order."""
    names = []
    noting = model.clone(edit=lambda name, x: (names.append(name), x)[1])
    jax.eval_shape(noting.init, jax.random.key(0), jnp.zeros(shape))
    return names


def of(net):
    """A torch network's weights here."""
    told = {name: value.numpy() for name, value in net.state_dict().items()}
    return jax.tree.map(jnp.asarray, alexnet.from_torch(told, "w"))


def picture(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def nchw(x):
    return torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))


def alike(ours, theirs, rel=1e-4):
    """Largest difference over the largest value."""
    theirs = theirs.detach().numpy()
    assert ours.shape == theirs.shape
    assert np.abs(np.asarray(ours) - theirs).max() <= rel * np.abs(theirs).max()


def test_the_whole_network_against_torch_through_its_file(tmp_path):
    model = models.build(settings(conv="auto"), 1000)
    net = drawn(alexnet.FEATURES, 4096, 1000)
    params = written(net, tmp_path / "alexnet.pth", "zip")
    assert sum(a.size for a in jax.tree.leaves(params)) == 61_100_840  # torchvision's count
    x = picture((1, 224, 224, 3))
    logits, acts = run(model, params, x)
    told = net.activations(nchw(x))
    assert set(acts) == set(told) and forward(model, x.shape) == list(told)
    for name, value in told.items():
        alike(acts[name], value)
    alike(logits, net(nchw(x)))
    assert acts["block5/pool"].shape == (1, 6, 6, 256)


@pytest.mark.parametrize(
    ("form", "side", "changes"),
    [
        ("zip", (224, 224), {}),
        ("legacy", (63, 71), {}),  # the adaptive pooling repeats
        ("safetensors", (300, 270), {}),  # and overlaps
        ("zip", (227, 227), {"form": "caffe"}),
        ("zip", (67, 67), {"form": "caffe", "conv": "auto"}),
    ],
)
def test_layer_by_layer_at_every_size(tmp_path, form, side, changes):
    model, net = small(**changes)
    params = written(net, tmp_path / "w", form)
    x = picture((2, *side, 3))
    told = net.activations(nchw(x))
    _, acts = run(model, params, x)
    for name, value in told.items():
        alike(acts[name], value)


def test_gradients_of_a_step(tmp_path):
    model, net = small(conv="auto")
    params = written(net, tmp_path / "w.pth", "zip")
    x, label = picture((4, 96, 96, 3)), np.array([0, 3, 1, 4])

    def loss(params):
        logits, _ = model.apply({"params": params}, x)
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), label[:, None], 1).mean()

    value, gradient = jax.jit(jax.value_and_grad(loss))(params)
    theirs = torch.nn.functional.cross_entropy(net(nchw(x)), torch.from_numpy(label))
    theirs.backward()
    alike(value, theirs)
    arrays = {name: p.grad.numpy() for name, p in net.named_parameters()}
    for part, kinds in alexnet.from_torch(arrays, "torch's gradient").items():
        for kind, wanted in kinds.items():
            got = np.asarray(gradient[part][kind])
            assert np.abs(got - wanted).max() <= 1e-4 * np.abs(wanted).max(), (part, kind)


def test_forms_and_sizes():
    shape = lambda model, n: jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, n, n, 3)))  # noqa: E731
    for form, least in (("torchvision", 63), ("caffe", 67)):
        model = models.build(settings(width=TINY, form=form), 2)
        shape(model, least)
        with pytest.raises(BadInput, match=f"from {least} pixels on; these have {least - 1}"):
            shape(model, least - 1)
    whole = shape(models.build(settings(), 7), 224)["params"]
    assert whole["dense1"]["kernel"].shape == (9216, 4096) and whole["logits"]["kernel"].shape == (4096, 7)
    assert list(whole) == [*(f"block{i}_conv" for i in range(1, 6)), "dense1", "dense2", "logits"]


def test_names_edits_and_rectifiers():
    model, net = small()
    params = of(net)
    x = picture((1, 64, 64, 3))
    _, acts = run(model.clone(relu=lambda x: x), params, x)
    np.testing.assert_array_equal(acts["dense2/relu"], acts["dense2"])
    halved = model.clone(edit=lambda name, x: x / 2 if name == "block5/pool" else x)
    _, edited = run(halved, params, x)
    _, plain = run(model, params, x)
    np.testing.assert_allclose(edited["block5/pool"], plain["block5/pool"] / 2, rtol=1e-6)
    assert (edited["dense1"] != plain["dense1"]).any()


def test_dropout_belongs_to_the_example_and_stands_before_each_hidden_layer():
    model, net = small(dropout_dense=0.5)
    params = of(net)
    x, keys = picture((3, 64, 64, 3)), jax.random.split(jax.random.key(2), 3)
    logits, acts = run(model, params, x, keys)
    turned, _ = run(model, params, x[::-1], keys[::-1])
    np.testing.assert_allclose(logits, turned[::-1], rtol=1e-4, atol=1e-5)
    plain, kept = run(model, params, x)
    np.testing.assert_array_equal(acts["block5/pool"], kept["block5/pool"])
    assert (acts["dense1"] != kept["dense1"]).any() and (logits != plain).any()
    none = run(models.build(settings(width=TINY, dropout_dense=0.0), 5), params, x, keys)[0]
    np.testing.assert_allclose(none, plain, rtol=1e-5)


def test_types():
    model, net = small(compute_dtype="bfloat16")
    params = of(net)
    logits, acts = run(model, params, picture((1, 64, 64, 3)))
    assert acts["block5/pool"].dtype == jnp.bfloat16 and logits.dtype == jnp.float32


def test_other_networks_are_refused_naming_the_layer_and_both_shapes(tmp_path):
    net = drawn((2, 3, 4, 5, 6), 8, 3)
    told = {name: value.numpy() for name, value in net.state_dict().items()}
    alexnet.from_torch(told, "w")
    for changes, words in (
        ({"features.3.weight": None}, "has no features.3.weight.*torchvision"),
        ({"features.13.weight": np.zeros(1)}, "has features.13.weight, which torchvision's AlexNet lacks"),
        (
            {"features.3.weight": np.zeros((3, 2, 3, 3))},
            r"features.3.weight is \(3, 2, 3, 3\) .*\(3, 2, 5, 5\)",
        ),
        ({"classifier.1.weight": np.zeros((8, 6))}, r"classifier.1.weight is \(8, 6\) .*\(8, 216\)"),
        ({"features.0.weight": np.zeros(3)}, r"features.0.weight is \(3,\)"),
        ({"features.0.bias": np.zeros(())}, "features.0.weight is"),
    ):
        other = {k: v for k, v in (told | changes).items() if v is not None}
        with pytest.raises(BadInput, match=words) as e:
            alexnet.from_torch(other, "w.pth")
        assert "\n" not in str(e.value) and str(e.value).startswith("w.pth: ")


@pytest.mark.parametrize("layer", ["block1/relu", "block1/pool", "block2/conv", "block3/relu"])
def test_receptive_fields_are_the_support_of_gradients(layer):
    model, net = small()
    params = of(net)
    network = Network.of(runs_config(), model, params, "abcde")
    field = fields.receptive_field(model, layer)
    # 95 pixels leave no row over at any pooling, which would be in a field and not be seen
    x = jnp.asarray(picture((48, 95, 95, 3)))
    _, h, w, _ = pixels.layers(network, x.shape)[layer]
    for place in [(0, 0), (h // 2, w - 1)]:
        maps = pixels._gradients(
            network, x, np.zeros((1, 48), np.int32), np.full((1, 48, 2), place), layer=layer, where="at",
            rule=lambda v: v,
        )  # fmt: skip
        rows, columns = np.nonzero(np.abs(np.asarray(maps)).sum((0, 1, 4)))
        seen = [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]
        assert seen == field.box(place, (95, 95)).tolist()


def runs_config():
    c = config.default()
    c.model = settings(width=TINY, normalise="imagenet")
    return c


def test_receptive_fields_by_hand():
    """Of the whole network: 11, 19, 51, 67, 99, 131, 163, 195 pixels."""
    field = lambda layer, **c: fields.receptive_field(settings(**c), layer)  # noqa: E731
    assert field("block1/conv") == (11, 4, -2) and field("block1/conv", form="caffe") == (11, 4, 0)
    assert field("block1/pool") == (19, 8, -2)
    assert field("block2/relu") == (51, 8, -18) and field("block2/pool") == (67, 16, -18)
    assert field("block3/conv") == (99, 16, -34) and field("block5/conv") == (163, 16, -66)
    assert field("block5/pool") == (195, 32, -66)
    with pytest.raises(BadInput, match="'block3/pool' has no receptive field"):
        field("block3/pool")


def test_random_networks_and_the_cascade():
    model, net = small()
    params = of(net)
    network = Network.of(runs_config(), model, params, "abcde")
    assert network.head_layer == "dense2/relu" and network.normalise == "imagenet"
    other = randomise.random_network(network, 1)
    assert jax.tree.map(jnp.shape, other.params) == jax.tree.map(jnp.shape, network.params)
    steps = dict(randomise.cascade(network, 0, (64, 64, 3)))
    assert list(steps) == ["logits", "dense2", "dense1", *(f"block{i}" for i in range(5, 0, -1))]
    assert (steps["dense1"].params["block5_conv"]["kernel"] == params["block5_conv"]["kernel"]).all()
    assert (steps["block5"].params["block5_conv"]["kernel"] != params["block5_conv"]["kernel"]).any()
