"""Weights that Keras 1 wrote on Theano, as HDF5: a file -> arrays by name -> parameters of VGG16 and ML-Net.

Read with h5py: numbers alone, nothing is run, no other file is followed into. `mlnet_salicon_weights.pkl` is
such a file in spite of its name.
"""

import pathlib
from collections.abc import Mapping

import h5py
import numpy as np

from data_pipelines import BadInput
from data_pipelines.pictures import natural
from ferjax.models.vgg16 import LAYERS

PUBLISHED = "https://github.com/marcellacornia/mlnet"
"""Whose README links to vgg16_weights.h5 and mlnet_salicon_weights.pkl."""
MAGIC = b"\x89HDF\r\n\x1a\n"
LARGEST = 1 << 32  # bytes of one array; VGG16's largest has 411 million
ML_NET = (*LAYERS, "encode", "map")  # its convolutions, in the order of the file


def read(path) -> dict[str, np.ndarray]:
    """The arrays of an HDF5 file of weights, in their own layout.

    Args:
      path: of the file: groups layer_k with param_p; or Keras 1's, whose attributes layer_names and
        weight_names give the order, at the root or in a group model_weights (a saved model).
    Returns:
      "layer_1/param_0" or "convolution2d_1/convolution2d_1_W" -> array, in the network's order.
    Raises:
      BadInput: no such file (with where its owners publish it), not HDF5, damaged, or holding something other
        than numbers.
    """
    path = pathlib.Path(path).expanduser()
    if not path.is_file():
        raise BadInput(
            f"{path}: no such file of weights; its owners link to vgg16_weights.h5 and "
            f"mlnet_salicon_weights.pkl on {PUBLISHED}; put it there yourself, ferjax fetches nothing"
        )
    try:
        with path.open("rb") as file:
            begins = file.read(len(MAGIC))
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}; mend its rights") from None
    if begins != MAGIC:
        raise BadInput(
            f"{path}: is not HDF5, as {PUBLISHED}'s files are, whatever they are called; get it again"
        )
    try:
        with h5py.File(path, "r") as file:
            whole = "model_weights" in file
            return _arrays(path, _inside(path, file, "model_weights") if whole else file)
    except BadInput:
        raise
    except Exception as error:  # whatever the HDF5 library raises on a damaged file
        line = " ".join(str(error).split())[:200] or type(error).__name__
        raise BadInput(f"{path}: is damaged or cut off: {line}; get it again") from None


def _arrays(path: pathlib.Path, root: h5py.Group) -> dict[str, np.ndarray]:
    out = {}
    for layer in _names(root, "layer_names"):
        group = _inside(path, root, layer)
        if isinstance(group, h5py.Dataset):
            out[layer] = _numbers(path, layer, group)
            continue
        for name in _names(group, "weight_names"):
            key = f"{layer}/{name}"
            out[key] = _numbers(path, key, _inside(path, group, name))
    if not out:
        raise BadInput(f"{path}: holds no weights; give a file of weights, not of a model's form alone")
    return out


def _names(group: h5py.Group, attribute: str) -> list[str]:
    """What is in a group: in the order that Keras wrote down, else numbers in names as numbers."""
    if attribute in group.attrs:
        return [n.decode() if isinstance(n, bytes) else str(n) for n in group.attrs[attribute]]
    return sorted(group, key=natural)


def _inside(path: pathlib.Path, group: h5py.Group, name: str):
    """A member of a group that lies in this very file."""
    link = group.get(name, getlink=True)
    if link is None:
        raise BadInput(f"{path}: names {name}, and does not hold it; get it again")
    if not isinstance(link, h5py.HardLink):
        raise BadInput(f"{path}: {name} is a link to elsewhere, which is not followed; get it again")
    return group[name]


def _numbers(path: pathlib.Path, name: str, found) -> np.ndarray:
    if not isinstance(found, h5py.Dataset) or found.dtype.kind not in "fiu" or found.external:
        raise BadInput(f"{path}: {name} is no array of numbers in this file; it is no file of weights")
    if found.nbytes > LARGEST or (found.size and not found.id.get_storage_size()):
        size = "x".join(map(str, found.shape))
        raise BadInput(f"{path}: {name} claims {size} values that are not there; get it again")
    return np.asarray(found)


def vgg16(arrays: Mapping[str, np.ndarray], like: Mapping, where: str = "weights") -> dict:
    """The parameters of `models.vgg16.Vgg16` from a file such as vgg16_weights.h5, dense layers left out.

    Args:
      arrays: as `read` gives them: of each layer a kernel and a bias. Kernels [o, i, h, w], turned by 180
        degrees, as Theano convolves; the first layer takes blue, green, red.
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
