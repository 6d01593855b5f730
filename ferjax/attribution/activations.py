"""One pass of a network over a set: how strongly, and where, every filter answers to every input.

What is kept does not hold the maps: per input and filter the maximum, its position and the mean, and the
hidden layer's values, on which the action-unit heads stand. With a folder they are files that grow batch by
batch, so that memory does not grow with the set, a second call reads them, and an interrupted one goes on.

Axis letters: n inputs, j filters (of all layers asked for, one after the other), d hidden units.
"""

import dataclasses
import hashlib
import io
import json
import os
import pathlib
import sys
import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from data_pipelines import BadInput
from ferjax import files
from ferjax.attribution.network import Network
from ferjax.augment import normalise
from ferjax.parallel import InFlight

Array = jax.Array
SCHEMA = "ferjax/activations/1"
SAVE_EVERY = 30  # seconds between the moments to which an interrupted pass can go back
DONE, BEGUN = "activations.json", "activations_begun.json"


@dataclasses.dataclass(frozen=True)
class Activations:
    """What a pass over n inputs kept; the arrays are memory-mapped where a folder was given.

    Attributes:
      maximum: float32 [n, j] largest value of each filter's map.
      mean: float32 [n, j] mean of the map.
      position: int32 [n, j] place of the maximum, y * w + x in its layer's map; the first of equals.
      features: float32 [n, d] the network's `head_layer`.
      layer: str [j] name of each filter's layer.
      filter: int32 [j] its index in the layer.
      size: layer -> (h, w) of its maps.
    """

    maximum: np.ndarray
    mean: np.ndarray
    position: np.ndarray
    features: np.ndarray
    layer: np.ndarray
    filter: np.ndarray
    size: dict[str, tuple[int, int]]

    def of(self, layer: str) -> np.ndarray:
        """int [m]: the columns of a layer's filters."""
        return np.flatnonzero(self.layer == layer)


def map_layers(network: Network, image_shape: tuple[int, int, int]) -> dict[str, tuple[int, int, int]]:
    """Name -> (h, w, filters) of every activation that is a map, in forward order."""
    shapes = {}

    def note(name, x):
        if x.ndim == 4:
            shapes[name] = tuple(x.shape[1:])
        return x

    jax.eval_shape(
        lambda net, x: net(normalise(x, net.normalise), edit=note), network, jnp.zeros((1, *image_shape))
    )
    return shapes


def relu_layers(network: Network, image_shape: tuple[int, int, int]) -> tuple[str, ...]:
    """The rectified maps, one for each block: the layers whose filters are analysed unless others are named.

    Raises:
      ValueError: the network names none.
    """
    names = tuple(name for name in map_layers(network, image_shape) if name.endswith("/relu"))
    if not names:
        raise ValueError("the network has no map whose name ends in /relu; name the layers")
    return names


def check_layers(network: Network, image_shape: tuple[int, int, int], layers) -> tuple[str, ...]:
    """The names, each once, or those of `relu_layers` for None.

    Raises:
      BadInput: a name that is no map of this network, or comes twice.
    """
    if layers is None:
        return relu_layers(network, image_shape)
    layers, known = tuple(layers), map_layers(network, image_shape)
    for name in layers:
        if name not in known:
            raise BadInput(f"layer {name!r} is no map of this network; it has {', '.join(known)}")
        if layers.count(name) > 1:
            raise BadInput(f"layer {name!r} is named twice; name each layer once")
    if not layers:
        raise BadInput(f"no layer is named; this network has {', '.join(known)}")
    return layers


def collect(
    network: Network,
    images: np.ndarray,
    layers: tuple[str, ...] | None = None,
    batch_size: int = 256,
    folder: str | os.PathLike | None = None,
    progress: bool = True,
) -> Activations:
    """Runs the network once over all images.

    Args:
      network: its `normalise` is applied to the images on the device.
      images: uint8 [n, h, w, c]; may be memory-mapped.
      layers: names of maps; None: the rectified map of every block.
      batch_size: images a step; the last step is padded.
      folder: where to keep the result; None keeps it in memory. Files there of the same weights, images and
        layers are read instead of computed, those of a pass of the same that was interrupted are completed,
        others are replaced. Only one process may write there at a time.
      progress: whether a terminal is shown a bar.
    Returns:
      Activations.
    Raises:
      BadInput: no images, an unknown layer, activations that are not finite, or a folder that cannot be
        written.
      ValueError: images of another type or rank, or a batch size below 1.
    """
    if images.dtype != np.uint8 or images.ndim != 4:
        raise ValueError(f"images are {images.dtype} {images.shape}, not uint8 [n, h, w, c]")
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; give 1 or more")
    if not len(images):
        raise BadInput("there is no image to run the network on; choose a split that has some")
    layers = check_layers(network, images.shape[1:], layers)
    shapes = map_layers(network, images.shape[1:])
    layer = np.repeat(np.array(layers), [shapes[name][2] for name in layers])
    index = np.concatenate([np.arange(shapes[name][2], dtype=np.int32) for name in layers])
    size = {name: shapes[name][:2] for name in layers}
    reduced = partial(_reduced, layers=layers)
    like = jax.eval_shape(reduced, network, jax.ShapeDtypeStruct((1, *images.shape[1:]), np.uint8))
    columns = {name: (a.shape[1], np.dtype(a.dtype)) for name, a in like.items()}
    if folder is None:
        store = _Memory(columns, len(images))
    else:
        key = _hash(network_hash(network), images_hash(images), *layers, network.head_layer)
        store = _Files(pathlib.Path(folder), columns, len(images), key)
    if not store.complete:
        batch_size = min(batch_size, len(images))
        try:
            _pass(partial(reduced, network), images, batch_size, store, layer, network.head_layer, progress)
        finally:
            store.close()
    return Activations(**store.arrays(), layer=layer, filter=index, size=size)


@partial(jax.jit, static_argnames="layers")
def _reduced(network: Network, images: Array, layers: tuple[str, ...]) -> dict[str, Array]:
    """What is kept of a batch: uint8 [b, h, w, c] -> name -> [b, j] or [b, d]."""
    acts = network(normalise(images, network.normalise))
    maxima, means, positions = [], [], []
    for name in layers:
        x = acts[name].astype(jnp.float32)
        x = x.reshape(len(x), -1, x.shape[-1])
        largest = x.max(1)
        place = jnp.arange(x.shape[1], dtype=jnp.int32)[:, None]
        # The least place that holds the maximum: on CPU several times as fast as argmax.
        positions.append(jnp.where(x == largest[:, None], place, x.shape[1]).min(1))
        maxima.append(largest)
        means.append(x.mean(1))
    joined = {"maximum": maxima, "mean": means, "position": positions}
    out = {name: jnp.concatenate(parts, 1) for name, parts in joined.items()}
    features = acts[network.head_layer].astype(jnp.float32)
    return out | {"features": features.reshape(len(features), -1)}


def _pass(
    run, images: np.ndarray, batch_size: int, store, layer: np.ndarray, features: str, progress: bool
) -> None:
    """Runs from the store's first missing row to the end."""
    n, queue = len(images), InFlight()
    shown = progress and sys.stderr.isatty()
    with tqdm(total=n, initial=store.rows, unit="image", disable=not shown, dynamic_ncols=True) as bar:

        def keep(finished):
            for start, values in finished:
                values = {name: a[: n - start] for name, a in values.items()}
                _check_finite(values, start, layer, features)
                store.append(values)
                bar.update(min(batch_size, n - start))

        for start in range(store.rows, n, batch_size):
            batch = np.asarray(images[start : start + batch_size])
            padding = [(0, batch_size - len(batch))] + [(0, 0)] * 3
            keep(queue.push(start, run(np.pad(batch, padding))))
        keep(queue.drain())


def _check_finite(values: dict[str, np.ndarray], start: int, layer: np.ndarray, features: str) -> None:
    for name, where in (("mean", layer), ("features", np.array([features]))):
        bad = ~np.isfinite(values[name])
        if bad.any():
            row, column = np.argwhere(bad)[0]
            culprit = where[column] if name == "mean" else where[0]
            raise BadInput(
                f"layer {culprit} is not finite on input {start + row}: these weights have diverged; choose "
                "another checkpoint"
            )


class _Memory:
    """Arrays in memory."""

    def __init__(self, columns: dict[str, tuple[int, np.dtype]], n: int):
        self.rows, self.complete = 0, False
        self.values = {name: np.empty((n, width), kind) for name, (width, kind) in columns.items()}

    def append(self, values: dict[str, np.ndarray]) -> None:
        for name, a in values.items():
            self.values[name][self.rows : self.rows + len(a)] = a
        self.rows += len(a)

    def close(self) -> None:
        pass

    def arrays(self) -> dict[str, np.ndarray]:
        return self.values


class _Files:
    """The arrays as .npy files that grow. `DONE` vouches for them; `BEGUN` says how many rows are safe.

    They are written, not mapped for writing: a full disk then is an error and not the death of the process.
    """

    def __init__(self, folder: pathlib.Path, columns: dict[str, tuple[int, np.dtype]], n: int, key: str):
        self.folder, self.n, self.key, self.opened = folder, n, key, {}
        self.paths = {name: folder / f"{name}.npy" for name in columns}
        self.heads = {name: _header((n, width), kind) for name, (width, kind) in columns.items()}
        self.stride = {name: width * kind.itemsize for name, (width, kind) in columns.items()}
        self.rows = n if self._safe_rows(DONE) == n else 0
        self.complete = self.rows == n
        if self.complete:
            return
        self.rows = self._safe_rows(BEGUN)
        try:
            (folder / DONE).unlink(missing_ok=True)
            for name, path in self.paths.items():
                if self.rows:
                    os.truncate(path, self._bytes(name, self.rows))
                else:
                    path.unlink(missing_ok=True)  # not emptied: a reader may have it mapped
        except OSError as error:
            raise BadInput(f"{folder} cannot be written: {error.strerror}; choose another folder") from None
        try:
            for name, path in self.paths.items():
                self.opened[name] = files.Appended(path)
                if not self.rows:
                    self.opened[name].write(self.heads[name])
            self._save()
        except BaseException:
            self.close()
            raise

    def _bytes(self, name: str, rows: int) -> int:
        return len(self.heads[name]) + rows * self.stride[name]

    def _safe_rows(self, marker: str) -> int:
        """Rows that a marker of this very pass vouches for, and that are there; else 0."""
        try:
            told = json.loads((self.folder / marker).read_text("utf-8"))
            if told["schema"] != SCHEMA or told["key"] != self.key or not 0 < told["rows"] <= self.n:
                return 0
            for name, path in self.paths.items():
                with open(path, "rb") as file:
                    if file.read(len(self.heads[name])) != self.heads[name]:
                        return 0
                if path.stat().st_size < self._bytes(name, told["rows"]):
                    return 0
            return told["rows"]
        except (OSError, ValueError, KeyError, TypeError):
            return 0

    def _save(self) -> None:
        for name, file in self.opened.items():
            try:
                os.fsync(file.file.fileno())
            except OSError as error:
                raise BadInput(f"{self.paths[name]}: cannot be written: {error.strerror}") from None
        self.saved = time.monotonic()
        marker = {"schema": SCHEMA, "key": self.key, "rows": self.rows}
        files.write(self.folder / (DONE if self.rows == self.n else BEGUN), files.json_bytes(marker))

    def append(self, values: dict[str, np.ndarray]) -> None:
        for name, a in values.items():
            self.opened[name].write(np.ascontiguousarray(a).data.cast("B"))
        self.rows += len(a)
        if self.rows == self.n or time.monotonic() - self.saved > SAVE_EVERY:
            self._save()

    def close(self) -> None:
        for file in self.opened.values():
            file.close()
        if self.rows == self.n:
            (self.folder / BEGUN).unlink(missing_ok=True)

    def arrays(self) -> dict[str, np.ndarray]:
        return {name: np.load(path, mmap_mode="r") for name, path in self.paths.items()}


def _header(shape: tuple[int, int], kind: np.dtype) -> bytes:
    """The first bytes of a .npy file."""
    out = io.BytesIO()
    described = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(out, described)
    return out.getvalue()


def network_hash(network: Network) -> str:
    """Sha256, hex, of the weights, the architecture and the normalisation; not of the head."""
    model, told = network.model, {"normalise": network.normalise}
    for field in dataclasses.fields(model):
        value = getattr(model, field.name)
        if field.name.endswith("dtype"):
            told[field.name] = jnp.dtype(value).name
        elif field.name not in ("parent", "name") and not callable(value):
            told[field.name] = str(tuple(value) if isinstance(value, list | tuple) else value)
    digest = hashlib.sha256(json.dumps([type(model).__name__, told], sort_keys=True).encode())
    for path, a in jax.tree_util.tree_leaves_with_path(network.params):
        a = np.asarray(a)
        digest.update(f"{jax.tree_util.keystr(path)} {a.dtype} {a.shape}".encode())
        digest.update(np.ascontiguousarray(a).tobytes())
    return digest.hexdigest()


def images_hash(images: np.ndarray) -> str:
    """Sha256, hex, of the shape and the pixels, read a piece at a time."""
    digest = hashlib.sha256(str(images.shape).encode())
    for start in range(0, len(images), 1024):
        digest.update(np.ascontiguousarray(images[start : start + 1024]).data)
    return digest.hexdigest()


def _hash(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
