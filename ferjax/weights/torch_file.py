"""PyTorch's files of weights (.pth), zipped or of the form before version 1.6, read without PyTorch.

Both hold a pickle, which could run anything. Here it may name what a table of tensors needs and nothing else:
an ordered dictionary, the two functions that make a tensor of a storage, and storages' types. These names
stand for small objects of this file; nothing is imported, and what else is asked for ends the reading.
"""

import contextlib
import io
import math
import pathlib
import pickle
import struct
import zipfile

import numpy as np

from data_pipelines import BadInput

ZIP = b"PK\x03\x04"
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # what a file of the former form begins with
MOST = 1 << 24  # values that a tensor may show beyond those that its storage holds (strides of 0)
NESTED = "state_dict"  # the key under which a training's file often keeps the weights
_TYPES = {
    "Double": "f8",
    "Float": "f4",
    "Half": "f2",
    "BFloat16": "bfloat16",
    "Long": "i8",
    "Int": "i4",
    "Short": "i2",
    "Char": "i1",
    "Byte": "u1",
    "Bool": "?",
}
_ADVICE = "save a state_dict of tensors alone, or take the file that its owners publish"


class _Fixed:
    """What a pickle can hold and not change: it may set no attribute."""

    __slots__ = ()

    def __setstate__(self, state):
        raise _RefusedError("a change of " + type(self).__name__)


class _Kind(_Fixed):
    """A storage's type: the NumPy type of its values."""

    __slots__ = ("name",)

    def __init__(self, name: str):
        self.name = name

    @property
    def size(self) -> int:
        return 2 if self.name == "bfloat16" else np.dtype(self.name).itemsize

    def values(self, data, order: str) -> np.ndarray:
        """A storage's bytes as values; bfloat16, the upper half of a float32, as that."""
        if self.name != "bfloat16":
            return np.frombuffer(data, np.dtype(self.name).newbyteorder(order))
        return (np.frombuffer(data, np.dtype("u2").newbyteorder(order)).astype(np.uint32) << 16).view(
            np.float32
        )


class _Storage(_Fixed):
    """A block of values that tensors share: `array` comes once the pickle is read."""

    __slots__ = ("array", "key", "kind", "size")

    def __init__(self, kind: _Kind, key: str, size: int):
        self.kind, self.key, self.size, self.array = kind, key, size, None


class _View(_Fixed):
    """A part of a storage."""

    __slots__ = ("offset", "storage")

    def __init__(self, storage: _Storage, offset: int):
        self.storage, self.offset = storage, offset


class _Tensor(_Fixed):
    """A tensor as the pickle tells it."""

    __slots__ = ("offset", "shape", "strides", "view")

    def __init__(self, view: _View, offset: int, shape: tuple, strides: tuple):
        self.view, self.offset, self.shape, self.strides = view, offset, shape, strides

    def array(self) -> np.ndarray:
        storage = self.view.storage
        first = self.view.offset + self.offset
        last = first + sum((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True))
        count = math.prod(self.shape)
        if count and (last >= len(storage.array) or count > len(storage.array) + MOST):
            raise ValueError(f"a tensor {self.shape} lies outside of its {len(storage.array)} values")
        if not count:
            return np.zeros(self.shape, storage.array.dtype)
        values = storage.array[first:]
        strides = [s * values.itemsize for s in self.strides]
        seen = np.lib.stride_tricks.as_strided(values, self.shape, strides, writeable=False)
        return np.array(seen, values.dtype.newbyteorder("="), order="C")


class _Named(dict):
    """What an OrderedDict becomes; a name that comes twice is an error, and attributes are dropped."""

    __slots__ = ()

    def __setitem__(self, key, value):
        if key in self:
            raise _TwiceError(key)
        super().__setitem__(key, value)

    def __setstate__(self, state):
        del state  # `_metadata`, versions of layers


class _TwiceError(Exception):
    """A name that comes twice."""


class _RefusedError(Exception):
    """What the pickle asked for, and does not get."""


class _Maker(_Fixed):
    """Stands for a class or function that a pickle may call."""

    __slots__ = ("make",)

    def __init__(self, make):
        self.make = make

    def __call__(self, *args):
        return self.make(*args)


def _named(*pairs) -> _Named:
    out = _Named()
    for key, value in pairs[0] if pairs else ():
        out[key] = value
    return out


def _tensor(view, offset, shape, strides, *_) -> _Tensor:
    numbers = (offset, *shape, *strides)
    whole = all(type(n) is int and 0 <= n < 1 << 48 for n in numbers)
    if type(view) is not _View or not whole or len(shape) != len(strides) or len(shape) > 32:
        raise ValueError("a tensor of no storage, or of impossible sizes")
    return _Tensor(view, offset, tuple(shape), tuple(strides))


def _parameter(data, *_) -> _Tensor:
    if type(data) is not _Tensor:
        raise ValueError("a parameter that is no tensor")
    return data


_CALLED = {
    ("collections", "OrderedDict"): _named,
    ("torch._utils", "_rebuild_tensor"): _tensor,  # before 0.4
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
}


class _Reader(pickle.Unpickler):
    """Reads one pickle; `storages` is what it named, by key."""

    def __init__(self, file):
        super().__init__(file, encoding="utf-8")
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module, name):
        if (module, name) in _CALLED:
            return _Maker(_CALLED[module, name])
        if module == "torch" and name.endswith("Storage") and name[:-7] in _TYPES:
            return _Kind(_TYPES[name[:-7]])
        raise _RefusedError(f"{module}.{name}")

    def persistent_load(self, pid):
        tag, kind, key, _, size, *view = pid
        if tag != "storage" or type(kind) is not _Kind or type(size) is not int or size < 0:
            raise ValueError("a storage that is none")
        key = str(key)
        known = self.storages.setdefault(key, _Storage(kind, key, size))
        if known.kind.name != kind.name or known.size < size:
            raise ValueError(f"storage {key} is told in two ways")
        offset = 0
        if view and view[0] is not None:  # the former form: a part of another storage
            _, offset, _ = view[0]
            if type(offset) is not int or offset < 0:
                raise ValueError(f"a part of storage {key} that begins nowhere")
        return _View(known, offset)


def read_zip(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The tensors of a file as PyTorch writes it from version 1.6 on.

    Args:
      path: a zip with <name>/data.pkl and <name>/data/<key>.
    Returns:
      name -> array.
    Raises:
      BadInput: it is damaged, no such file, or its pickle asks for something else.
    """
    with _refusals(path), zipfile.ZipFile(path) as file:
        names = [entry.filename for entry in file.infolist()]
        if len(set(names)) < len(names):
            raise ValueError("two of its members have one name")
        inner = [name for name in names if name.endswith("/data.pkl") and name.count("/") == 1]
        if len(inner) != 1:
            raise BadInput(f"{path}: is a zip without PyTorch's data.pkl, and no file of weights; {_ADVICE}")
        folder = inner[0].removesuffix("data.pkl")
        if f"{folder}constants.pkl" in names:
            raise BadInput(f"{path}: is a program (TorchScript), which is not run here; {_ADVICE}")
        told = _Reader(io.BytesIO(_member(file, inner[0])))
        found = told.load()
        order = "<"
        if f"{folder}byteorder" in names:
            order = {b"little": "<", b"big": ">"}[_member(file, f"{folder}byteorder")]
        for key, storage in told.storages.items():
            need, name = storage.size * storage.kind.size, f"{folder}data/{key}"
            if name not in names or file.getinfo(name).file_size < need:
                raise ValueError(f"the values of storage {key} are missing or cut off")
            storage.array = storage.kind.values(memoryview(_member(file, name))[:need], order)
        return _arrays(path, found)


def _member(file: zipfile.ZipFile, name: str) -> bytes:
    """A member's bytes; PyTorch stores them as they are, and what is packed might unpack to any size."""
    if file.getinfo(name).compress_type != zipfile.ZIP_STORED:
        raise ValueError("its members are compressed, which PyTorch never does")
    return file.read(name)


def is_legacy(path: pathlib.Path) -> bool:
    """Whether a file begins as PyTorch wrote it before version 1.6, or at least with a pickle."""
    with path.open("rb") as file:
        head = file.read(2)
    return len(head) == 2 and head[0] == 0x80 and head[1] <= pickle.HIGHEST_PROTOCOL


def read_legacy(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The tensors of a file as PyTorch wrote it before version 1.6: pickles one after the other, then values.

    Args:
      path: of the file.
    Returns:
      name -> array.
    Raises:
      BadInput: as `read_zip`.
    """
    with _refusals(path), path.open("rb") as file:
        if _Reader(file).load() != MAGIC or _Reader(file).load() != PROTOCOL:
            raise BadInput(f"{path}: is a pickle, but no file of weights as PyTorch writes them; {_ADVICE}")
        _Reader(file).load()  # of the machine that wrote it; values are little-endian always
        told = _Reader(file)
        found, keys = told.load(), _Reader(file).load()
        if type(keys) is not list or sorted(map(str, keys)) != sorted(told.storages):
            raise ValueError("its list of storages is another than its tensors tell")
        for key in map(str, keys):
            storage = told.storages[key]
            (size,) = struct.unpack("<q", file.read(8))
            if size < storage.size:
                raise ValueError(f"the values of storage {key} are cut off")
            data = _exactly(file, size * storage.kind.size)
            storage.array = storage.kind.values(data, "<")
        return _arrays(path, found)


def _exactly(file, n: int) -> bytes:
    here = file.tell()
    if file.seek(0, io.SEEK_END) - here < n:  # before memory is taken for it
        raise ValueError("it ends in the middle of its values")
    file.seek(here)
    return file.read(n)


def _arrays(path: pathlib.Path, found) -> dict[str, np.ndarray]:
    """A table of tensors -> arrays; of a training's file, those under `NESTED`."""
    if isinstance(found, dict) and isinstance(found.get(NESTED), dict):
        found = found[NESTED]
    if not isinstance(found, dict) or not found:
        raise BadInput(f"{path}: holds no table of tensors; {_ADVICE}")
    for name, value in found.items():
        if type(name) is not str or type(value) is not _Tensor:
            raise BadInput(f"{path}: {name!r} is no tensor; {_ADVICE}")
    return {name: tensor.array() for name, tensor in found.items()}


@contextlib.contextmanager
def _refusals(path: pathlib.Path):
    """Whatever a file that is damaged or forged ends in, as one line."""
    try:
        yield
    except BadInput:
        raise
    except _RefusedError as error:
        raise BadInput(
            f"{path}: its pickle asks for {_line(error)}, which tensors do not need; refused, and "
            f"nothing of it was run; {_ADVICE}"
        ) from None
    except _TwiceError as error:
        raise BadInput(f"{path}: holds {_line(error)} twice; {_ADVICE}") from None
    except Exception as error:  # a damaged or forged pickle can end in any
        raise BadInput(
            f"{path}: is damaged, cut off, or no file of weights ({_line(error)}); get it again"
        ) from None


def _line(error: BaseException) -> str:
    return ascii(" ".join(map(str, error.args)))[1:-1][:120] or type(error).__name__
