"""Keras 1's files: what is read, in what order, and how a bad one is refused."""

import h5py
import keras_files
import numpy as np
import pytest

from data_pipelines import BadInput
from ferjax import weights
from ferjax.models import keras1
from ferjax.models.ml_net import MlNet
from ferjax.saliency import network

WIDTH = 1 / 32


def reading(path):
    return weights.read(path, published=keras1.PUBLISHED)[0]


@pytest.fixture
def vgg_file(tmp_path):
    return keras_files.write_vgg(tmp_path / "vgg16_weights.h5", keras_files.convolutions(WIDTH))


@pytest.fixture
def ml_net_file(tmp_path):
    layers = keras_files.convolutions(WIDTH, ml_net=True)
    prior = np.arange(48, dtype=np.float32).reshape(6, 8)
    return keras_files.write_ml_net(tmp_path / "mlnet_salicon_weights.pkl", layers, prior)


def test_arrays_come_in_the_networks_order(vgg_file, ml_net_file):
    names = list(reading(vgg_file))
    assert names[:4] == ["layer_1/param_0", "layer_1/param_1", "layer_3/param_0", "layer_3/param_1"]
    assert names[-1] == "layer_32/param_1" and len(names) == 28
    names = list(reading(ml_net_file))
    assert names[0] == "convolution2d_1/convolution2d_1_W" and names[-1] == "eltwiseproduct_1/param_0"
    assert names[18].startswith("convolution2d_10/")  # and not after convolution2d_1


def test_a_saved_model_is_read_as_its_weights(tmp_path, ml_net_file):
    layers = keras_files.convolutions(WIDTH, ml_net=True)
    prior = np.arange(48, dtype=np.float32).reshape(6, 8)
    whole = reading(keras_files.write_ml_net(tmp_path / "whole.h5", layers, prior, whole_model=True))
    for name, array in reading(ml_net_file).items():
        np.testing.assert_array_equal(whole[name], array)


def test_a_missing_file_is_told_where_it_is_published(tmp_path):
    with pytest.raises(
        BadInput, match=r"absent\.h5: no such file.*github\.com/marcellacornia/mlnet.*fetches no"
    ):
        reading(tmp_path / "absent.h5")


@pytest.mark.parametrize("share", [0.001, 0.3, 0.9, 0.999])
def test_a_truncated_file(ml_net_file, share):
    with open(ml_net_file, "rb") as file:
        data = file.read()
    with open(ml_net_file, "wb") as file:
        file.write(data[: int(share * len(data))])
    with pytest.raises(BadInput, match=r"get it again|is no file of weights") as error:
        reading(ml_net_file)
    assert "\n" not in str(error.value)


def test_no_hdf5(tmp_path):
    path = tmp_path / "mlnet_salicon_weights.pkl"
    path.write_bytes(b"cos\nsystem\n(S'touch /tmp/ran'\ntR.")
    with pytest.raises(BadInput, match="is no file of weights"):
        reading(path)


def test_what_a_file_may_not_hold(tmp_path, vgg_file):
    other = tmp_path / "other.h5"
    for change, says in (
        (
            lambda f: f.__setitem__("layer_1/param_0", h5py.ExternalLink(vgg_file, "/layer_1/param_0")),
            "a link",
        ),
        (lambda f: f.__setitem__("layer_1/param_0", h5py.SoftLink("/layer_2")), "a link"),
        (lambda f: f.__setitem__("layer_1/param_0", "words"), "no array of numbers"),
        (lambda f: f.create_dataset("layer_1/param_0", (10**6, 10**6), "f4"), "1000000x1000000 values"),
        (lambda f: f.create_group("layer_1"), "holds no weights"),
        (lambda f: f.attrs.__setitem__("layer_names", [b"gone"]), "names gone, and does not hold it"),
    ):
        with h5py.File(other, "w") as file:
            change(file)
        with pytest.raises(BadInput, match=says):
            reading(other)


def test_shapes_that_do_not_fit_name_the_layer_and_both(vgg_file, ml_net_file):
    like = network.shapes(MlNet(width=WIDTH))
    arrays = reading(vgg_file)
    arrays["layer_6/param_0"] = arrays["layer_6/param_0"][:, :1]
    with pytest.raises(
        BadInput, match=r"f\.h5: layer layer_6 \(conv2_1\) has a kernel of 4x1x3x3, and 4x2x3x3"
    ):
        keras1.vgg16(arrays, like, "f.h5")
    arrays = reading(vgg_file)
    arrays["layer_8/param_1"] = np.zeros(9, np.float32)
    with pytest.raises(BadInput, match=r"layer layer_8 \(conv2_2, bias\) is of 9, and 4 is needed"):
        keras1.vgg16(arrays, like)
    arrays = reading(ml_net_file)
    arrays["eltwiseproduct_1/param_0"] = np.zeros((3, 4), np.float32)
    with pytest.raises(BadInput, match=r"eltwiseproduct_1/param_0 \(prior\) is of 3x4, and 6x8 is needed"):
        keras1.ml_net(arrays, like)


def test_one_networks_file_is_not_anothers(vgg_file, ml_net_file):
    like = network.shapes(MlNet(width=WIDTH))
    with pytest.raises(BadInput, match="holds 13 convolutions and 1 matrices, and ML-Net has 15 and one"):
        keras1.ml_net(reading(vgg_file), like)
    few = dict(list(reading(vgg_file).items())[:8])
    with pytest.raises(BadInput, match="holds 4 convolutions, and VGG16 has 13"):
        keras1.vgg16(few, like)
    taken = keras1.vgg16(reading(ml_net_file), like)  # its first thirteen are VGG16's
    assert next(iter(taken)) == "conv1_1" and len(taken) == 13
