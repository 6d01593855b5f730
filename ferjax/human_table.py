"""A table of human confusions, read from a CSV: a row for each emotion shown, a column for each chosen."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import math
import pathlib
from collections.abc import Sequence

import numpy as np

from data_pipelines import BadInput, labels

OTHER = ("other", "others", "none", "none of these", "don't know", "unknown", "undecided")
"""Columns for answers that are no emotion of the list."""


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of human confusions.

    Attributes:
      shown: names of the rows, the emotion shown.
      chosen: names of the columns, the emotion answered.
      value: [shown, chosen] counts, percent or shares; only their proportions within a row matter.
      other: [shown] the same for answers that are none of `chosen`.
      n: answers behind each row; 0 where the file does not say.
      file: its name, without folders.
      hash: sha256 of its bytes, hex.
      source: its comment lines, which say where the numbers are from.
    """

    shown: tuple[str, ...]
    chosen: tuple[str, ...]
    value: np.ndarray
    other: np.ndarray
    n: tuple[int, ...]
    file: str
    hash: str
    source: str


def read(path) -> Table:
    """Reads a CSV: a row for each emotion shown, a column for each emotion chosen; `#` begins a comment.

    Names as `labels.emotion` understands them. An empty cell is 0. Columns may also be one of `OTHER`, and
    `n`, the answers behind a row.

    Raises:
      BadInput: no such file, a name that is no emotion or stands there twice, a cell that is no number of 0
        or more, a row of another length or that sums to nothing; one line that names the file and the row.
    """
    path = pathlib.Path(path).expanduser()
    try:
        data = path.read_bytes()
        lines = data.decode("utf-8-sig").splitlines()
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file; evaluate.human is a CSV of human confusions") from None
    except (OSError, UnicodeDecodeError) as e:
        raise BadInput(f"{path}: cannot be read as text: {e}") from None
    source = ". ".join(line.strip("#, \t") for line in lines if line.lstrip().startswith("#"))
    numbered = [(i, line) for i, line in enumerate(lines, 1) if line.strip() and line.lstrip()[0] != "#"]
    cells = [(i, [c.strip() for c in next(csv.reader([line]))]) for i, line in numbered]
    if len(cells) < 2:
        raise BadInput(f"{path}: needs a header with the chosen emotions and a row for each emotion shown")
    (line, head), *rows = cells
    if head[0].lower() in ("chosen", "answer", "response", "responses"):
        raise BadInput(
            f"{path}, line {line}: rows must be the emotion shown, columns the chosen: transpose it"
        )
    kinds = [_column(f"{path}, line {line}", word) for word in head[1:]]
    chosen = [kind for kind in kinds if kind not in ("", "n")]
    _once(f"{path}, line {line}: column", [kind for kind in kinds if kind])
    shown, value, other, n = [], [], [], []
    for line, row in rows:
        where = f"{path}, line {line}"
        if len(row) != len(head):
            raise BadInput(f"{where}: has {len(row)} cells, the header {len(head)}; they must be as many")
        shown.append(_emotion(where, row[0]))
        number = [_number(where, name, text) for name, text in zip(head[1:], row[1:], strict=True)]
        value.append([v for v, kind in zip(number, kinds, strict=True) if kind in chosen])
        other.append(sum(v for v, kind in zip(number, kinds, strict=True) if not kind))
        n.append(round(sum(v for v, kind in zip(number, kinds, strict=True) if kind == "n")))
        if not sum(value[-1]):
            raise BadInput(
                f"{where}: the row of {shown[-1]} sums to nothing; give its answers, or leave it out"
            )
    _once(f"{path}: row", shown)
    return Table(
        tuple(shown),
        tuple(chosen),
        np.array(value, float),
        np.array(other, float),
        tuple(n),
        path.name,
        hashlib.sha256(data).hexdigest(),
        source,
    )


def _column(where: str, word: str) -> str:
    """The emotion of a column, "n", or "" for other answers."""
    plain = word.strip().lower()
    return "n" if plain == "n" else "" if plain in OTHER else _emotion(where, word)


def _emotion(where: str, word: str) -> str:
    try:
        return labels.emotion(word)
    except BadInput as e:
        raise BadInput(f"{where}: {e}") from None


def _number(where: str, name: str, text: str) -> float:
    try:
        value = float(text.removesuffix("%").strip() or 0)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise BadInput(f"{where}, column {name}: {text!r} is no number of 0 or more")
    return value


def _once(where: str, names: Sequence[str]) -> None:
    for i, name in enumerate(names):
        if name in names[:i]:
            raise BadInput(f"{where} {name} stands there twice; keep one")
