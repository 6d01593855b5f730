"""What the sets of photographs that are named by what they show have in common: RaFD and CFEE."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_pipelines import pictures
from data_pipelines.manifest import source
from data_pipelines.manifest.table import Row, Table
from data_pipelines.split import Split

DEPTH = 3  # folders above a set's own in which `data.dir` may lie
OPTIONS = {
    "image_size": 48,  # pixels; faces are cut out at this size
    "colour": False,  # grey, of colours their luma; True: red, green and blue
    "crop": "detect",  # find, align and cut out the face; or "none": the square in the middle
    "undetected": "leave_out",  # a picture without a face; or "fail"
}
"""What every such set offers, beside its own."""


class Photos(NamedTuple):
    """A copy of such a set.

    Attributes:
      table: the pictures that are read, of which all have a label and a subject.
      counted: what -> how many, of the whole copy.
      told: what was passed over, or is odd -> names.
      files: what says how they are read, beside the pictures.
    """

    table: Table
    counted: Mapping[str, int]
    told: Mapping[str, tuple[str, ...]]
    files: tuple[Path, ...] = ()


class PhotoSet:
    """A set of photographs: the functions that `arrays` asks of a data set's folder.

    Such a folder says what is its own and takes the rest from here: `check = _set.check` and so on.

    Args:
      name: of the set.
      scan: checked options -> Photos; BadInput where there is nothing to read.
      defaults: OPTIONS.
      rule: checks the set's own options; raises BadInput.
      published: what -> how many, as published.
      everything: options with which `ferjax data check` looks at the whole copy.
      kind: of a picture, by which `ferjax data check` counts the faces found; "" for all alike.
      turned: a table -> the same with `Row.facing`, where the set can tell; looks at pictures.
    """

    def __init__(
        self,
        name: str,
        scan: Callable[[Mapping], Photos],
        defaults: Mapping,
        rule: Callable[[Mapping], None],
        published: Mapping[str, int],
        everything: Mapping,
        kind: Callable[[Row], str] = lambda row: "",
        turned: Callable[[Table], Table] = lambda table: table,
    ):
        self.name, self.scan, self.defaults, self.rule = name, scan, defaults, rule
        self.published, self.everything, self.kind, self.turned = published, everything, kind, turned

    def checked(self, options: Mapping) -> dict:
        """OPTIONS with the given ones filled in; BadInput where a value makes no sense."""
        o = source.checked(options, self.defaults)
        self.rule(o)
        return o

    def _scan(self, options: Mapping) -> Photos:
        return self.scan(self.checked(options))

    def classes(self, options: Mapping) -> tuple[str, ...]:
        """The emotions that occur, in the order of labels.CLASSES, then others by name."""
        return self._scan(options).table.classes

    def files(self, options: Mapping) -> list[Path]:
        """What is read."""
        found = self._scan(options)
        return [*found.files, *(Path(row.path) for row in found.table.rows)]

    def arrays(self, options: Mapping) -> dict[str, dict]:
        """Reads the set; see `manifest.source.read`.

        Returns:
          "train", "validation", "test", divided by hash of the subject -> image uint8 [n, size, size, c] (c =
          1, in colour 3), label int32 [n] (index into `classes(options)`), aus int8 [n, 0], subject str [n]
          (such as "rafd-01"), id str [n] (the file's name without its suffix).

        Raises:
          BadInput: an option that makes no sense, or files that cannot be read.
        """
        o = self.checked(options)
        table = self.scan(o).table
        return source.read(self.turned(table) if o["crop"] == "detect" else table, o)

    def parts(self, options: Mapping, splits: Mapping[str, Split]) -> tuple:
        """Which pictures train, select the epoch, and are reported; see `manifest.source.parts`."""
        return source.parts(self._scan(options).table, splits)

    def findings(self, options: Mapping, splits: Mapping[str, Split]) -> list[str]:
        """What a user should know about the copy read, a line each."""
        o = self.checked(options)
        found = self.scan(o)
        off = {what: n for what, n in self.published.items() if found.counted.get(what, 0) != n}
        differ = [f"{found.counted.get(what, 0):,} {what}, published {n:,}" for what, n in off.items()]
        return [
            *([f"{self.name}: {'; '.join(differ)}"] if differ else []),
            *self._told(found, source.LISTED),
            *source.findings(found.table, splits, o, self.name),
        ]

    def _told(self, found: Photos, most: int) -> list[str]:
        lines = found.told.items()
        return [f"{self.name}: {what}: {len(n)} ({source.listed(n, most)})" for what, n in lines if n]

    def check(self, place: str) -> list[tuple[str, int, int | None]]:
        """Compares a user's copy with what was published; looks for a face in every picture.

        Returns:
          (what, found, published) rows; published is None where nothing is sure.
        """
        o = self.checked({**self.everything, "dir": place})
        found = self.scan(o)
        what = dict.fromkeys([*self.published, *found.counted])
        out = [(name, found.counted.get(name, 0), self.published.get(name)) for name in what]
        ways: dict[str, Counter] = {}
        for row, way in zip(found.table.rows, self._ways(found, o), strict=True):
            ways.setdefault(self.kind(row), Counter())[way] += 1
        for kind, how in sorted(ways.items()):
            said = f"{kind}: " if kind else ""
            out += [(f"{said}faces found: {way}", n, None) for way, n in sorted(how.items()) if way]
            out.append((f"{said}pictures without a face", how[""], None))
        return out

    def _ways(self, found: Photos, options: Mapping) -> Sequence[str]:
        return source.detected(self.turned(found.table), options["crop"], options["image_size"])

    def gaps(self, place: str) -> list[str]:
        """What is odd about a copy, a line each, and every picture without a face."""
        o = self.checked({**self.everything, "dir": place})
        found = self.scan(o)
        many = max(map(len, found.told.values()), default=0)
        rows = zip(found.table.rows, self._ways(found, o), strict=True)
        lost = [row.id for row, way in rows if not way]
        told = [f"{self.name}: no face found: {len(lost)} ({', '.join(lost)})"] if lost else []
        return [*self._told(found, many), *source.of_table(found.table, self.name), *told]


def below(top: Path, own: int) -> tuple[list[Path], list[Path]]:
    """The pictures and the other files of a set that lies in a folder, or up to DEPTH below it.

    Args:
      top: the folder.
      own: folders between the set's own and its pictures.
    """
    return pictures.below(top, DEPTH + own)


def relative(paths: Sequence[Path], top: Path) -> tuple[str, ...]:
    """Files as they are told: their paths below the folder that the user gave."""
    return tuple(path.relative_to(top).as_posix() for path in paths)


def sequences(ids: Sequence[str] | np.ndarray) -> np.ndarray:
    """Each picture is one of its own, str [n]: there are no clips."""
    return np.asarray(ids, np.str_)
