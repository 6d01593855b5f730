"""Pictures with where people looked at them: one part of such a set, its parts, and batches of it.

Pictures and maps are read when they are asked for, so that memory does not grow with the set: SALICON has
10,000 pictures to train on. A set is a module of data_pipelines with `OPTIONS` and
`gaze(options) -> {"train": Gaze, "test": Gaze, "findings": lines}`.
"""

import collections
import dataclasses
import functools
import hashlib
import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from data_pipelines import BadInput, filled
from data_pipelines.disk import readers
from data_pipelines.letterbox import Box

SETS = ("salicon", "saliency_shapes")
AHEAD = 3  # batches that are read before they are asked for


@dataclasses.dataclass(frozen=True)
class Gaze:
    """One part of a set.

    Attributes:
      name: "salicon/train".
      id: str [n], unique, sorted.
      frame: height and width that all pictures are brought to, see `letterbox`.
      picture: id -> uint8 [h, w, 3] in the frame.
      density: (id, frame) -> uint8 [h, w] in any frame: how much each place was looked at, 255 the most.
      fixations: id -> int [m, 2], rows and columns in the frame; those outside the picture are left out.
      box: id -> where the picture lies in the frame.
      stamp: id -> text that changes when the files do.
    """

    name: str
    id: np.ndarray
    frame: tuple[int, int]
    picture: Callable[[str], np.ndarray]
    density: Callable[[str, tuple[int, int]], np.ndarray]
    fixations: Callable[[str], np.ndarray]
    box: Callable[[str], Box]
    stamp: Callable[[str], str]

    def __len__(self) -> int:  # noqa: D105
        return len(self.id)

    @functools.cached_property
    def hash(self) -> str:
        """sha256 over frame, ids and stamps, hex."""
        digest = hashlib.sha256(repr(self.frame).encode())
        for one in self.id.tolist():
            digest.update(f"\n{one} {self.stamp(one)}".encode())
        return digest.hexdigest()

    def take(self, rows: np.ndarray, name: str) -> "Gaze":
        """The same with some of its rows."""
        return dataclasses.replace(self, id=self.id[rows], name=name)


class Parts(NamedTuple):
    """What a training is made of.

    Attributes:
      train: learned from.
      select: held out of the set's training part; selects the epoch.
      test: the set's own held-out part; reported, and looked at by nothing else.
      findings: a line each.
    """

    train: Gaze
    select: Gaze
    test: Gaze
    findings: tuple[str, ...] = ()


def load(data: Mapping) -> Parts:
    """The parts of a set.

    Args:
      data: name (one of SETS), dir (the user's files, where the set has any), frame (height, width),
        limit (pictures a part, chosen by the hash of their id; 0: all) and options (of the set).
    Raises:
      BadInput: no such set or option, files that cannot be read, or too few pictures.
    """
    if data["name"] not in SETS:
        raise BadInput(f"data.name: no set of saliency {data['name']!r}; there are {', '.join(SETS)}")
    module = importlib.import_module(f"data_pipelines.{data['name']}")
    options = filled(f"data.options: {data['name']}", data["options"], module.OPTIONS)
    found = module.gaze(str(data["dir"]), tuple(data["frame"]), options)
    train, test = (_first(found[part], int(data["limit"])) for part in ("train", "test"))
    tenth = np.array([_digest("tenth", one)[0] % 10 == 0 for one in train.id.tolist()], bool)
    if tenth.all() or not tenth.any():  # of a handful of pictures
        tenth = np.arange(len(train)) == 0
    select = train.take(tenth, f"{train.name}[1/10]")
    train = train.take(~tenth, f"{train.name}[9/10]")
    for part in (train, select, test):
        if not len(part):
            raise BadInput(f"{part.name}: no picture is left; two in train and one in test are the least")
    return Parts(train, select, test, tuple(found["findings"]))


def _first(part: Gaze, limit: int) -> Gaze:
    if not limit or len(part) <= limit:
        return part
    order = sorted(range(len(part)), key=lambda i: _digest("first", str(part.id[i])))
    return part.take(np.sort(order[:limit]), f"{part.name}[:{limit}]")


def _digest(what: str, key: str) -> tuple[int, ...]:
    """Numbers in which to order and divide, the same on every machine."""
    digest = hashlib.sha256(f"ferjax {what} {key}".encode()).digest()
    return int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:16], "big")


def batches(part: Gaze, rows: Iterable[Mapping], frame: tuple[int, int] | None) -> Iterator[dict]:
    """Reads the pictures of batches of rows, in threads, some batches ahead.

    Args:
      part: of n pictures.
      rows: {id int32 [b], mask bool [b]}, as `input.row_batches` gives them.
      frame: height and width of the maps; None: without maps.
    Yields:
      {id, mask, image uint8 [b, h, w, 3]} and with maps map uint8 [b, frame height, frame width].
    """

    def one(row: int) -> tuple:
        name = str(part.id[row])
        return part.picture(name), (None if frame is None else part.density(name, frame))

    def whole(batch: Mapping, found: list) -> dict:
        images, maps = zip(*(f.result() for f in found), strict=True)
        out = {**batch, "image": np.stack(images)}
        return out if frame is None else out | {"map": np.stack(maps)}

    waiting = collections.deque()
    with readers() as pool:
        try:
            for batch in rows:
                waiting.append((batch, [pool.submit(one, row) for row in batch["id"].tolist()]))
                if len(waiting) > AHEAD:
                    yield whole(*waiting.popleft())
            while waiting:
                yield whole(*waiting.popleft())
        finally:
            pool.shutdown(cancel_futures=True)
