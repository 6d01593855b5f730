"""Weights that Keras wrote as HDF5: a file -> arrays by name, in the network's order.

Read with h5py: numbers alone, nothing is run, no other file is followed into. `mlnet_salicon_weights.pkl` is
such a file in spite of its name.
"""

import pathlib

import h5py
import numpy as np

from data_pipelines import BadInput
from data_pipelines.pictures import natural

LARGEST = 1 << 32  # bytes of one array; VGG16's largest has 411 million


def read(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The arrays of an HDF5 file of weights, in their own layout.

    Args:
      path: of the file: groups layer_k with param_p; or Keras 1's, whose attributes layer_names and
        weight_names give the order, at the root or in a group model_weights (a saved model).
    Returns:
      "layer_1/param_0" or "convolution2d_1/convolution2d_1_W" -> array, in the network's order.
    Raises:
      BadInput: it is damaged, or holds something other than numbers.
    """
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
