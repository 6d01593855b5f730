"""VGG16 and ML-Net beside PyTorch with the same weights, through files such as Keras 1 wrote on Theano.

The PyTorch side is written from Theano's definitions: its convolution turns kernels round, its pooling with
border_mode="same" pads one before, its bilinear upsampling is a transposed convolution with a triangle.
"""

import jax
import jax.numpy as jnp
import keras_files
import numpy as np
import pytest
import torch
import torch.nn.functional as tf

from data_pipelines import BadInput
from ferjax import weights
from ferjax.models import keras1, ml_net, vgg16
from ferjax.saliency import loss, network

WIDTH = 1 / 16
INIT = jax.jit(network.init, static_argnums=(0, 1))


def convolve(x, kernel, bias):
    """Theano's "same" convolution: the kernel turned by 180 degrees."""
    turned = torch.tensor(kernel[:, :, ::-1, ::-1].copy())
    return tf.conv2d(x, turned, torch.tensor(bias), padding=kernel.shape[2] // 2)


def pool_theano(x, stride):
    """Keras 1's pool2d on Theano: padded by one on all sides, cut to ceil(n / stride)."""
    h, w = (-(-n // stride) for n in x.shape[2:])
    return tf.max_pool2d(x, 2, stride, padding=1)[:, :, :h, :w]


def pool_caffe(x, stride):
    return tf.max_pool2d(x if stride == 2 else tf.pad(x, (0, 1, 0, 1), mode="replicate"), 2, stride)


def upsample_theano(x, ratio):
    """bilinear_upsampling of theano/tensor/nnet/abstract_conv.py: the gradient of a strided convolution."""
    n, m = x.shape
    half = torch.arange(1, ratio + 1, dtype=torch.float64)
    line = torch.cat([half, half[:-1].flip(0)]) / ratio
    pad = 2 * ratio - (ratio - 1) // 2 - 1
    x = tf.pad(x[None, None], (1, 1, 1, 1), mode="replicate")
    # one more row and column than the stride alone gives, as input_shape asks for
    spare = 1 if ratio % 2 == 0 else 0
    out = tf.conv_transpose2d(
        x, torch.outer(line, line)[None, None], stride=ratio, padding=pad, output_padding=spare
    )
    assert out.shape[2:] == (n * ratio, m * ratio)
    return out[0, 0]


def torch_vgg(picture, layers, pool, pool4_stride):
    """Activations by name of a picture [b, 3, h, w], blue, green, red."""
    mean = torch.tensor([103.939, 116.779, 123.68])[None, :, None, None]
    x, acts, left = picture - mean, {}, list(layers)
    for block, (n, _) in enumerate(vgg16.BLOCKS, 1):
        for i in range(1, n + 1):
            x = acts[f"conv{block}_{i}"] = convolve(x, *left.pop(0))
            x = acts[f"conv{block}_{i}/relu"] = torch.relu(x)
        if block < 5:
            x = acts[f"pool{block}"] = pool(x, pool4_stride if block == 4 else 2)
    return acts


def torch_ml_net(picture, layers, prior):
    acts = torch_vgg(picture, layers[:13], pool_theano, 1)
    x = acts["levels"] = torch.cat([acts["pool3"], acts["pool4"], acts["conv5_3/relu"]], 1)
    x = acts["encode"] = convolve(x, *layers[13])
    x = acts["encode/relu"] = torch.relu(x)
    x = acts["map"] = convolve(x, *layers[14])
    x = acts["map/relu"] = torch.relu(x)
    x = acts["prior"] = x * upsample_theano(1 + torch.tensor(prior, dtype=torch.float64), 2).float()
    acts["prior/relu"] = torch.relu(x)
    return acts


def pictures(h, w, n=2):
    return np.random.default_rng(0).integers(0, 256, (n, h, w, 3)).astype(np.uint8)


def as_torch(picture):
    """[b, h, w, red green blue] -> [b, blue green red, h, w]."""
    return torch.tensor(picture[..., ::-1].transpose(0, 3, 1, 2).astype(np.float32))


def same(acts, wanted, names=None):
    for name in names or wanted:
        there = wanted[name].numpy().transpose(0, 2, 3, 1)
        assert acts[name].shape == there.shape, name
        error = np.abs(np.asarray(acts[name]) - there).max() / np.abs(there).max()
        assert error < 1e-4, (name, error)


@pytest.mark.parametrize("conv", ["auto", "xla"])
@pytest.mark.parametrize(("pool", "theirs"), [("caffe", pool_caffe), ("theano", pool_theano)])
@pytest.mark.parametrize("stride", [1, 2])
def test_vgg16_layer_by_layer_through_its_file(tmp_path, pool, theirs, stride, conv):
    layers = keras_files.convolutions(WIDTH)
    path = keras_files.write_vgg(tmp_path / "vgg16_weights.h5", layers)
    model = vgg16.Vgg16(WIDTH, stride, pool, conv)
    picture = pictures(37, 50)
    x = vgg16.normalise(jnp.asarray(picture))
    like = jax.eval_shape(model.init, jax.random.key(0), x)["params"]
    params = keras1.vgg16(weights.read(path)[0], like, path)
    last, acts = model.apply({"params": params}, x)
    wanted = torch_vgg(as_torch(picture), layers, theirs, stride)
    same(acts, wanted)
    assert set(acts) == set(wanted)
    np.testing.assert_array_equal(last, acts["conv5_3/relu"])


@pytest.mark.parametrize("conv", ["auto", "xla"])
def test_ml_net_layer_by_layer_through_its_file(tmp_path, conv):
    layers = keras_files.convolutions(WIDTH, ml_net=True)
    prior = np.random.default_rng(1).normal(0, 0.5, (6, 8)).astype(np.float32)
    path = keras_files.write_ml_net(tmp_path / "mlnet_salicon_weights.pkl", layers, prior)
    model = ml_net.MlNet(WIDTH, conv=conv)
    params = keras1.ml_net(weights.read(path)[0], network.shapes(model), path)
    picture = pictures(96, 128)  # whose map is 12x16: the prior twice as large
    found, acts = model.apply({"params": params}, vgg16.normalise(jnp.asarray(picture)))
    wanted = torch_ml_net(as_torch(picture), layers, prior)
    same(acts, wanted)
    assert set(acts) == set(wanted)
    assert float(found.max()) > 0
    np.testing.assert_array_equal(found, acts["prior/relu"][..., 0])


def test_the_prior_is_enlarged_as_theano_does():
    prior = np.random.default_rng(2).normal(size=(6, 8))
    for ratio in (1, 2, 3, 5, 10):
        rows, columns = ml_net.upsampling(6, 6 * ratio), ml_net.upsampling(8, 8 * ratio)
        wanted = upsample_theano(torch.tensor(prior), ratio).numpy()
        np.testing.assert_allclose(rows @ prior @ columns.T, wanted, atol=1e-6)
    # by hand, ten times: row 4 is the first of the prior, row 14 the second, row 9 half way between
    ten = ml_net.upsampling(6, 60)
    assert ten[4].tolist() == [1, 0, 0, 0, 0, 0] and ten[14].tolist() == [0, 1, 0, 0, 0, 0]
    np.testing.assert_allclose(ten[9], [0.5, 0.5, 0, 0, 0, 0])
    assert ten[0].tolist() == ten[4].tolist() and ten[59].tolist() == [0, 0, 0, 0, 0, 1]


def test_the_prior_of_other_sizes_is_resized():
    x = torch.eye(6, dtype=torch.float64)[None]
    wanted = tf.interpolate(x, size=(13,), mode="linear", align_corners=False)[0].numpy().T
    np.testing.assert_allclose(ml_net.upsampling(6, 13), wanted, atol=1e-6)


def test_shapes_of_the_papers_network():
    model = ml_net.MlNet()
    shapes = network.shapes(model)
    assert shapes["encode"]["kernel"].shape == (3, 3, 1280, 64)
    assert shapes["map"]["kernel"].shape == (1, 1, 64, 1) and shapes["prior"]["kernel"].shape == (6, 8)
    x = jax.ShapeDtypeStruct((1, 480, 640, 3), jnp.float32)
    found, acts = jax.eval_shape(lambda p, x: model.apply({"params": p}, x), shapes, x)
    assert found.shape == (1, 60, 80) and acts["levels"].shape == (1, 60, 80, 1280)
    for h, w in ((96, 128), (97, 131), (16, 16)):
        x = jax.ShapeDtypeStruct((1, h, w, 3), jnp.float32)
        found, _ = jax.eval_shape(lambda p, x: model.apply({"params": p}, x), shapes, x)
        assert found.shape[1:] == ml_net.output_shape(h, w)


def test_the_prior_begins_as_nothing_and_dropout_follows_its_key():
    model = ml_net.MlNet(WIDTH, conv="xla")
    params = INIT(model, 0)
    assert not params["prior"]["kernel"].any()
    x = vgg16.normalise(jnp.asarray(pictures(32, 32, 4)))
    found, acts = model.apply({"params": params}, x)
    np.testing.assert_array_equal(acts["prior"], acts["map/relu"])
    keys = jax.random.split(jax.random.key(1), 4)
    dropped = model.apply({"params": params}, x, keys)[0]
    assert not np.allclose(dropped, found)
    np.testing.assert_allclose(model.apply({"params": params}, x[2:], keys[2:])[0], dropped[2:], rtol=1e-4)


def test_edits_reach_every_named_activation():
    model = ml_net.MlNet(WIDTH, conv="xla")
    params, x = INIT(model, 0), vgg16.normalise(jnp.asarray(pictures(16, 16, 1)))
    seen = []
    _, acts = model.clone(edit=lambda name, a: seen.append(name) or a).apply({"params": params}, x)
    assert seen == list(acts)
    nothing = model.clone(edit=lambda name, a: a * (name != "pool3")).apply({"params": params}, x)[1]
    assert not nothing["pool3"].any() and not nothing["conv5_3"].any()


def test_types_are_the_configs():
    model = ml_net.MlNet(WIDTH, conv="xla", dtype=jnp.bfloat16, param_dtype=jnp.bfloat16)
    params = INIT(model, 0)
    assert {a.dtype for a in jax.tree.leaves(params)} == {jnp.dtype("bfloat16")}
    found, acts = model.apply({"params": params}, jnp.ones((1, 32, 32, 3)))
    assert found.dtype == jnp.float32 and acts["encode"].dtype == jnp.bfloat16


def test_pooling_gives_equal_elements_gradient_to_the_first():
    x = np.random.default_rng(3).integers(0, 3, (2, 7, 8, 3)).astype(np.float32)
    for pool, theirs in (("caffe", pool_caffe), ("theano", pool_theano)):
        for stride in (1, 2):
            t = torch.tensor(x.transpose(0, 3, 1, 2), requires_grad=True)
            y = theirs(t, stride)
            weight = np.random.default_rng(4).normal(size=y.shape).astype(np.float32)
            (y * torch.tensor(weight)).sum().backward()
            there = weight.transpose(0, 2, 3, 1)
            found, back = jax.vjp(lambda a, s=stride, p=pool: vgg16.max_pool(a, s, p), jnp.asarray(x))
            np.testing.assert_array_equal(found, y.detach().numpy().transpose(0, 2, 3, 1))
            np.testing.assert_allclose(back(there)[0], t.grad.numpy().transpose(0, 2, 3, 1), atol=1e-6)


def test_too_small():
    with pytest.raises(BadInput, match="15x40 pixels are too few"):
        vgg16.Vgg16(WIDTH).init(jax.random.key(0), jnp.zeros((1, 15, 40, 3)))


def test_the_loss_and_its_gradient():
    rng = np.random.default_rng(5)
    found, wanted = np.maximum(rng.normal(1, 1, (3, 6, 8)), 0), rng.random((3, 6, 8))
    t = torch.tensor(found, requires_grad=True)
    most = t.amax((1, 2), keepdim=True)
    theirs = ((t / most - torch.tensor(wanted)) ** 2 / (1 - torch.tensor(wanted) + 0.1)).mean()
    theirs.backward()
    mine, gradient = jax.value_and_grad(lambda a: loss.map_loss(a, jnp.asarray(wanted)).mean())(
        jnp.asarray(found)
    )
    assert float(mine) == pytest.approx(theirs.item(), rel=1e-5)
    np.testing.assert_allclose(gradient, t.grad.numpy(), atol=1e-6)
    by_hand = loss.map_loss(jnp.array([[[2.0, 1.0]]]), jnp.array([[[1.0, 0.0]]]))
    assert float(by_hand[0]) == pytest.approx(0.25 / 1.1 / 2)
    nothing = loss.map_loss(jnp.zeros((1, 2, 2)), jnp.zeros((1, 2, 2)))
    assert float(nothing[0]) == 0
    params = {"prior": {"kernel": jnp.full((6, 8), 2.0)}}
    assert float(loss.prior_loss(params)) == pytest.approx(4)
