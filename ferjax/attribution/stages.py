"""What the stages of a long job found, on disk, so that it goes on where it was interrupted."""

import hashlib
import json
import pathlib
from collections.abc import Callable, Iterable

import numpy as np

from data_pipelines.split import DAMAGED
from ferjax import files


class Stages:
    """A folder of results, each under its name and a digest of all that it depends on."""

    def __init__(self, folder: pathlib.Path, depends: list, arrays: Iterable[np.ndarray] = ()):
        """Nothing is read or written yet.

        Args:
          folder: of the results; made when there is one.
          depends: what all of them depend on, as JSON can hold it.
          arrays: likewise.
        """
        self.folder, self._digest = folder, hashlib.sha256(json.dumps(depends).encode())
        for array in arrays:
            self._digest.update(np.ascontiguousarray(array).data)

    def keep(self, name: str, make: Callable[[], dict[str, np.ndarray]], *depends) -> dict[str, np.ndarray]:
        """What make() gives, read where the same was made before; an older one of that name is deleted.

        Args:
          name: of the result.
          make: gives named arrays.
          depends: what it depends on besides.
        """
        digest = self._digest.copy()
        digest.update(json.dumps([str(d) for d in depends]).encode())
        path = self.folder / f"{name}-{digest.hexdigest()[:12]}.npz"
        try:
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                return dict(file)
        except DAMAGED:
            made = {key: np.asarray(value) for key, value in make().items()}
            path.parent.mkdir(parents=True, exist_ok=True)
            for old in path.parent.glob(f"{name}-*.npz"):
                old.unlink()
            files.write(path, files.npz_bytes(made))
            return made
