"""Weights of VGG16 and ML-Net as Keras 1 wrote them on Theano -> this project's networks.

Kernels are [o, i, h, w] and turned by 180 degrees, since Theano convolves; the first layer takes blue, green,
red. `weights.read` gives the arrays.
"""

from collections.abc import Mapping

import numpy as np

from data_pipelines import BadInput
from ferjax.models.vgg16 import LAYERS

PUBLISHED = (
    "its owners link to vgg16_weights.h5 and mlnet_salicon_weights.pkl on "
    "https://github.com/marcellacornia/mlnet"
)
ML_NET = (*LAYERS, "encode", "map")  # its convolutions, in the order of the file


def vgg16(arrays: Mapping[str, np.ndarray], like: Mapping, where: str = "weights") -> dict:
    """The parameters of `models.vgg16.Vgg16` from a file such as vgg16_weights.h5, dense layers left out.

    Args:
      arrays: as `weights.read` gives them: of each layer a kernel and a bias.
      like: parameters, or their shapes, of the network that takes them: part -> {"kernel", "bias"}.
      where: the file, for errors.
    Returns:
      part -> {"kernel" [h, w, i, o], "bias" [o]}, of the parts conv1_1 to conv5_3.
    Raises:
      BadInput: too few convolutions, or a shape that does not fit, with the layer and both shapes.
    """
    layers = _convolutions(arrays)
    if len(layers) < len(LAYERS):
        raise BadInput(f"{where}: holds {len(layers)} convolutions, and VGG16 has {len(LAYERS)}")
    return {
        part: _part(where, part, name, pair, like[part])
        for part, (name, pair) in zip(LAYERS, layers, strict=False)
    }


def ml_net(arrays: Mapping[str, np.ndarray], like: Mapping, where: str = "weights") -> dict:
    """The parameters of `models.ml_net.MlNet` from a file such as mlnet_salicon_weights.pkl.

    Args:
      arrays: as of `vgg16`; after its convolutions those of ML-Net and the prior [6, 8].
      like: as of `vgg16`.
      where: the file, for errors.
    Returns:
      part -> {"kernel", "bias"}; the prior has a kernel alone.
    Raises:
      BadInput: another network's file, or a shape that does not fit, with the layer and both shapes.
    """
    layers, prior = _convolutions(arrays), [name for name, a in arrays.items() if a.ndim == 2]
    if not is_ml_net(arrays):
        raise BadInput(
            f"{where}: holds {len(layers)} convolutions and {len(prior)} matrices, and ML-Net has "
            f"{len(ML_NET)} and one, its prior"
        )
    out = {
        part: _part(where, part, name, pair, like[part])
        for part, (name, pair) in zip(ML_NET, layers, strict=True)
    }
    out["prior"] = {"kernel": _fits(where, "prior", prior[0], arrays[prior[0]], like["prior"]["kernel"])}
    return out


def is_ml_net(arrays: Mapping[str, np.ndarray]) -> bool:
    """Whether a file's arrays are those of a whole ML-Net, and not VGG16's."""
    return len(_convolutions(arrays)) == len(ML_NET) and sum(a.ndim == 2 for a in arrays.values()) == 1


def _convolutions(arrays: Mapping[str, np.ndarray]) -> list[tuple[str, list[np.ndarray]]]:
    """(layer, its arrays) of every layer that begins with a kernel of four axes, in the file's order."""
    layers: dict[str, list[np.ndarray]] = {}
    for name, array in arrays.items():
        layers.setdefault(name.partition("/")[0], []).append(array)
    return [(name, found) for name, found in layers.items() if found[0].ndim == 4]


def _part(where: str, part: str, layer: str, found: list[np.ndarray], like: Mapping) -> dict:
    if len(found) != 2:
        raise BadInput(
            f"{where}: layer {layer} ({part}) has {len(found)} arrays; a kernel and a bias are needed"
        )
    kernel, bias = found
    h, w, i, o = like["kernel"].shape
    if kernel.shape != (o, i, h, w):
        raise BadInput(
            f"{where}: layer {layer} ({part}) has a kernel of {_by(kernel.shape)}, and {_by((o, i, h, w))} "
            "is needed (outputs, inputs, rows, columns, as Keras 1 writes on Theano)"
        )
    kernel = kernel[:, :, ::-1, ::-1].transpose(2, 3, 1, 0)
    if part == LAYERS[0]:
        kernel = kernel[:, :, ::-1]  # from blue, green, red
    kernel = np.ascontiguousarray(kernel, like["kernel"].dtype)
    return {"kernel": kernel, "bias": _fits(where, f"{part}, bias", layer, bias, like["bias"])}


def _fits(where: str, part: str, layer: str, found: np.ndarray, like) -> np.ndarray:
    if found.shape != like.shape:
        raise BadInput(
            f"{where}: layer {layer} ({part}) is of {_by(found.shape)}, and {_by(like.shape)} is needed"
        )
    return np.ascontiguousarray(found, like.dtype)


def _by(shape) -> str:
    return "x".join(map(str, shape)) or "a single value"
