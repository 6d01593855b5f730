"""Published weights: a file -> its arrays by name, and its hash. No file is run, none fetched.

What a file is, its first bytes say, not its name: PyTorch's .pth (`torch_file`), safetensors, or HDF5
(`keras_file`).
"""

import hashlib
import json
import pathlib
import re

import ml_dtypes  # comes with JAX; NumPy learns of bfloat16
import numpy as np
from safetensors import SafetensorError, safe_open

from data_pipelines import BadInput
from ferjax.weights import torch_file

HDF5 = b"\x89HDF\r\n\x1a\n"
HEADER = 1 << 26  # bytes that the header of a safetensors file may have
# torchvision's names end in a hyphen and the first eight digits of the file's sha256
STATED = re.compile(r"-([0-9a-f]{8})\.pth$")
# what a name begins with -> where its owners publish it
PUBLISHED = {
    "alexnet": "its owners publish alexnet-owt-7be5be79.pth, see "
    "https://docs.pytorch.org/vision/stable/models/alexnet.html"
}


def read(path, sha256_prefix: str | None = None, published: str = "") -> tuple[dict[str, np.ndarray], str]:
    """The arrays of a file of weights, in their own layout and names.

    Args:
      path: of the file.
      sha256_prefix: first hex digits of its hash, where a source states them; None: those that a name such as
        torchvision's alexnet-owt-7be5be79.pth ends in, if it does.
      published: where its owners publish the file, for the error if it is missing; empty: see `PUBLISHED`.
    Returns:
      (name -> array, sha256 of the file, hex). bfloat16, which NumPy lacks, becomes float32.
    Raises:
      BadInput: no such file, another hash than stated, no file of weights, one that is damaged, or one whose
        pickle asks for more than tensors.
    """
    path, digest = sha256(path, sha256_prefix, published)
    with path.open("rb") as file:
        head = file.read(9)
    if head.startswith(HDF5):
        from ferjax.weights import keras_file  # h5py only where it is needed

        return keras_file.read(path), digest
    if head.startswith(torch_file.ZIP):
        return torch_file.read_zip(path), digest
    if head[8:] == b"{":
        return _safetensors(path), digest
    if torch_file.is_legacy(path):
        return torch_file.read_legacy(path), digest
    raise BadInput(
        f"{path}: is no file of weights; it begins like none of PyTorch's (.pth), safetensors and HDF5"
    )


def sha256(path, stated: str | None = None, published: str = "") -> tuple[pathlib.Path, str]:
    """A file of weights and its hash, hex; arguments and errors as of `read`, of the file as a whole."""
    path = pathlib.Path(path).expanduser()
    if not path.is_file():
        raise BadInput(_missing(path, published))
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from None
    in_name = STATED.search(path.name)
    wanted = stated or (in_name[1] if in_name else "")
    if not digest.startswith(wanted.lower()):
        whence = "" if stated else "; if these digits of its name are no hash, rename it"
        raise BadInput(
            f"{path}: its sha256 begins with {digest[: max(8, len(wanted))]}, and {wanted} is stated: it is "
            f"damaged or another file; get it again{whence}"
        )
    return path, digest


def _missing(path: pathlib.Path, published: str) -> str:
    where = published or next((page for name, page in PUBLISHED.items() if path.name.startswith(name)), "")
    what = "is a folder, not a file of weights" if path.is_dir() else "no such file of weights"
    return (
        f"{path}: {what}; {where or 'get it from its owners'}; put it there yourself, ferjax fetches nothing"
    )


def _safetensors(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Name -> array; the library checks sizes and offsets, but takes the last of two of one name."""
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if size > HEADER:
                raise BadInput(f"{path}: is damaged: a header of {size} bytes")
            told = file.read(size)
        json.loads(told, object_pairs_hook=lambda pairs: _once(path, pairs))
        out = {}
        with safe_open(path, "numpy") as file:
            for name in file.keys():  # noqa: SIM118
                array = file.get_tensor(name)
                out[name] = array.astype(np.float32) if array.dtype == ml_dtypes.bfloat16 else array
    except (SafetensorError, ValueError, TypeError, RecursionError, OSError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"{path}: is damaged or cut off: {_line(error)}; get it again") from None
    return out


def _once(path: pathlib.Path, pairs: list) -> dict:
    out = dict(pairs)
    if len(out) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise BadInput(f"{path}: holds {twice!r} twice; get it again")
    return out


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
