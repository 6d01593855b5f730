"""Files as Keras 1 wrote them on Theano, with random weights, for the tests."""

import h5py
import numpy as np

from ferjax.models.vgg16 import BLOCKS, scaled

VGG_LAYERS = (
    1,
    3,
    6,
    8,
    11,
    13,
    15,
    18,
    20,
    22,
    25,
    27,
    29,
)  # of vgg16_weights.h5; padding and pooling between


def convolutions(width: float, seed: int = 0, ml_net: bool = False) -> list[tuple[np.ndarray, np.ndarray]]:
    """(kernel [o, i, 3, 3] as Theano convolves, bias [o]) of VGG16, and of ML-Net's last two."""
    rng, out, before = np.random.default_rng(seed), [], 3
    sizes = [scaled(f, width) for n, f in BLOCKS for _ in range(n)]
    shapes = []
    for o in sizes:
        shapes.append((o, before, 3, 3))
        before = o
    if ml_net:
        levels = scaled(256, width) + 2 * scaled(512, width)
        shapes += [(scaled(64, width), levels, 3, 3), (1, scaled(64, width), 1, 1)]
    for shape in shapes:
        scale = np.sqrt(2 / np.prod(shape[1:]))
        kernel = rng.normal(0, scale, shape)
        if shape[0] == 1:
            kernel = np.abs(kernel)
        out.append((kernel.astype(np.float32), rng.normal(0, 0.3, shape[0]).astype(np.float32)))
    return out


def write_vgg(path, layers, dense: bool = True) -> str:
    """As vgg16_weights.h5: layer_k/param_p and how many there are, empty layers between."""
    with h5py.File(path, "w") as file:
        for k in range(38):
            file.create_group(f"layer_{k}").attrs["nb_params"] = 0
        for k, pair in zip(VGG_LAYERS, layers, strict=True):
            file[f"layer_{k}"].attrs["nb_params"] = 2
            for p, array in enumerate(pair):
                file[f"layer_{k}"][f"param_{p}"] = array
        if dense:
            file["layer_32"]["param_0"] = np.zeros((6, 4), np.float32)
            file["layer_32"]["param_1"] = np.zeros(4, np.float32)
    return str(path)


def write_ml_net(path, layers, prior, whole_model: bool = False) -> str:
    """As Keras 1 saves weights, or a whole model: layer_names and weight_names say what is where."""
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights") if whole_model else file
        names = ["input_1"]
        root.create_group("input_1").attrs["weight_names"] = np.array([], "S1")
        for i, (kernel, bias) in enumerate(layers, 1):
            name = f"convolution2d_{i}"
            group = root.create_group(name)
            group.attrs["weight_names"] = np.array([f"{name}_W".encode(), f"{name}_b".encode()])
            group[f"{name}_W"], group[f"{name}_b"] = kernel, bias
            names.append(name)
        group = root.create_group("eltwiseproduct_1")
        group.attrs["weight_names"] = np.array([b"param_0"])
        group["param_0"] = prior
        root.attrs["layer_names"] = np.array([n.encode() for n in [*names, "eltwiseproduct_1"]])
    return str(path)
