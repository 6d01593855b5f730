"""The manifest itself: a CSV of pictures with labels, subjects, parts and action units, read and checked.

Nothing is decoded here. A `Table` can also be made from folders, as `nova_emotions` and `casme2` do, and be
written as a CSV.
"""

import csv
import functools
import io
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_pipelines import BadInput, disk, labels, no_folder

NAME = "manifest.csv"
REQUIRED = ("path", "label", "subject", "split")
CLIP = ("clip", "frame")
PHASES = ("onset", "apex", "offset")
FPS = "fps"
UNKNOWN = (-1, -1, -1)  # a clip's phases where nobody coded them
PARTS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "select"),
    "test": ("test", "testing"),
}
"""What the column `split` may say of each part; case does not count."""

_CODES = {"": labels.AU_UNKNOWN} | {str(code): code for code in labels.AU_CODES if code >= 0}
_PART = {word: part for part, words in PARTS.items() for word in words}


class Row(NamedTuple):
    """One picture.

    Attributes:
      number: its row in the file, from 1 below the header.
      path: its file.
      id: the path below the manifest's folder, or "clip/000012" of a clip's frame.
      label: one of labels.CLASSES (of `cfee` also compound ones), or "" where unknown.
      subject: as written, or "".
      split: "train", "validation" or "test"; "" in all rows, or in none.
      clip: as written, or "".
      aus: a code for each of the table's `au_names`.
      phase: frame numbers of the clip's onset, apex and offset, the same in all its rows; -1 unknown.
      facing: how the face is turned, where the set knows it: see `faces.search`. No manifest says it.
    """

    number: int
    path: str
    id: str
    label: str
    subject: str
    split: str
    clip: str = ""
    aus: tuple[int, ...] = ()
    phase: tuple[int, int, int] = UNKNOWN
    facing: str = ""

    @property
    def frame(self) -> int:
        """The frame's number in its clip; -1 of a picture outside any."""
        return int(self.id.rpartition("/")[2]) if self.clip else -1


class Table(NamedTuple):
    """All pictures of a set.

    Attributes:
      source: the CSV, or the folder.
      rows: in the file's order.
      au_names: u names, by number.
      unknown: names of columns that mean nothing here.
      fps: frames a second of its clips; 0 unknown.
    """

    source: Path
    rows: tuple[Row, ...]
    au_names: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    fps: float = 0.0

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels that occur, in the order of labels.CLASSES, then a set's own by name."""
        found = {row.label for row in self.rows} - {""}
        known = tuple(name for name in labels.CLASSES if name in found)
        return known + tuple(sorted(found.difference(known)))

    @property
    def phases(self) -> dict[str, tuple[int, int, int]]:
        """Clip -> frame numbers of onset, apex and offset; -1 unknown."""
        return {row.clip: row.phase for row in self.rows if row.clip}


def locate(place: str) -> Path:
    """The CSV that `data.dir` means: the file itself, or manifest.csv in the folder.

    Raises:
      BadInput: neither is there.
    """
    path = Path(place).expanduser()
    if place and path.is_file():
        return path
    if not place or not path.is_dir():
        raise no_folder(place, f"{NAME}, or the CSV itself,")
    if not (path / NAME).is_file():
        raise BadInput(f"{path}: no {NAME} in it; name the CSV itself, or the folder that holds {NAME}")
    return path / NAME


def read(path: Path) -> Table:
    """Reads a manifest; see docs/data.md for its columns.

    Raises:
      BadInput: names the file and the row, and says what to do.
    """
    try:
        status = os.stat(path)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror})") from None
    return _read(path, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=4)
def _read(path: Path, size: int, time: int) -> Table:
    """Once for each state of the file."""
    del size, time
    header, body = _lines(path)
    columns, units, unknown = _columns(path, header)
    rows, seen, speeds = [], {}, {}
    for number, fields in body:
        text = {name: fields[place] for name, place in columns.items()}
        coded = [(fields[place], labels.au_scale(header[place])) for place in units.values()]
        row = _row(path, number, text, coded)
        key = os.path.abspath(row.path)
        if key in seen:
            raise BadInput(
                f"{path} row {number}: {text['path']} is in row {seen[key]} already; keep one of the two rows"
            )
        seen[key] = number
        rows.append(row)
        if text.get(FPS):
            speeds.setdefault(_speed(path, number, text[FPS]), number)
    if not rows:
        raise BadInput(f"{path}: no rows below the header; write one for each picture")
    _files_there(path, rows)
    _apart(path, rows)
    if len(speeds) > 1:
        (one, first), (other, second), *_ = speeds.items()
        raise BadInput(
            f"{path} row {second}: fps is {other:g}, and {one:g} in row {first}; a manifest has clips of one "
            "speed: make two"
        )
    names = tuple(map(labels.au_name, units))
    return Table(path, tuple(rows), names, unknown, *speeds)


def _lines(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header, and (row, fields) of what is not blank, all stripped."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            comma = max(
                ",;\t", key=first.count
            )  # as spreadsheets write it, where a comma is the decimal point
            lines = [[field.strip() for field in fields] for fields in csv.reader(file, delimiter=comma)]
    except UnicodeDecodeError:
        raise BadInput(f"{path}: not UTF-8; save it as CSV in UTF-8") from None
    except csv.Error as error:
        raise BadInput(f"{path}: not a csv file ({error})") from None
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror})") from None
    if not lines or not any(lines[0]):
        raise BadInput(f"{path}: empty; its first line must name the columns {','.join(REQUIRED)}")
    body = [(number, fields) for number, fields in enumerate(lines[1:], 1) if any(fields)]
    for number, fields in body:
        if len(fields) != len(lines[0]):
            raise BadInput(
                f"{path} row {number}: {len(fields)} fields where the header has {len(lines[0])}; quote a "
                "field that holds a comma, or complete the row"
            )
    return lines[0], body


def _columns(path: Path, header: list[str]) -> tuple[dict[str, int], dict[int, int], tuple[str, ...]]:
    """Name -> place, number of an action unit -> place (by number), and names of other columns."""
    columns, units, unknown = {}, {}, []
    for place, name in enumerate(header):
        word = name.lower()
        try:
            unit = labels.au_number(name)
        except BadInput:
            unit = None
        if word in (*REQUIRED, *CLIP, *PHASES, FPS):
            if word in columns:
                raise BadInput(f"{path}: two columns {word}; keep one of them")
            columns[word] = place
        elif unit is None:
            unknown.append(name)
        elif unit in units:
            raise BadInput(
                f"{path}: the columns {header[units[unit]]} and {name} are of one action unit, "
                f"{labels.au_name(unit)}; keep the one with codes 0 to 5 or 9"
            )
        else:
            units[unit] = place
    missing = [name for name in REQUIRED if name not in columns]
    if missing:
        raise BadInput(
            f"{path}: no column {', '.join(missing)}; the header must name {','.join(REQUIRED)} (fields "
            "may be empty), in any order"
        )
    if ("clip" in columns) != ("frame" in columns):
        raise BadInput(f"{path}: of clip and frame only one is there; write both columns or neither")
    alone = next((name for name in PHASES if name in columns and "clip" not in columns), None)
    if alone:
        raise BadInput(
            f"{path}: a column {alone}, and no columns clip and frame that say whose it is; add them"
        )
    return columns, dict(sorted(units.items())), tuple(unknown)


def _row(path: Path, number: int, text: Mapping[str, str], codes: list[tuple[str, str]]) -> Row:
    """A row from its fields; of units (field, scale), see `labels.au_scale`."""

    def bad(what: str) -> BadInput:
        return BadInput(f"{path} row {number}: {what}")

    if not text["path"]:
        raise bad("no path; name the picture's file, relative to this CSV, or delete the row")
    file = os.path.join(path.parent, text["path"])
    if "\\" in file and not os.path.exists(file):
        file = os.path.join(path.parent, text["path"].replace("\\", "/"))
    label = ""
    if text["label"]:
        try:
            label = labels.class_name(text["label"])
        except BadInput as error:
            raise bad(f"label: {error}; leave it empty where it is unknown") from None
    part = text["split"].lower()
    if part and part not in _PART:
        raise bad(f"split is {text['split'][:20]!r}; write train, validation or test, or nothing in any row")
    clip, frame = text.get("clip", ""), text.get("frame", "")
    if bool(clip) != bool(frame):
        raise bad("of clip and frame one is empty; fill both or neither")
    if frame and not (frame.isascii() and frame.isdecimal()):
        raise bad(f"frame is {frame[:20]!r}; write a whole number")
    phase = []
    for word in PHASES:
        field = text.get(word, "")
        if field and not (field.isascii() and field.isdecimal()):
            raise bad(f"{word} is {field[:20]!r}; write a frame's number, or nothing where it is unknown")
        if field and not clip:
            raise bad(f"{word} is {field}, and the row is of no clip; fill clip and frame, or empty it")
        phase.append(int(field) if field else -1)
    name = Path(os.path.relpath(file, path.parent)).as_posix()
    return Row(
        number,
        file,
        f"{clip}/{int(frame):06d}" if clip else name,
        label,
        text["subject"],
        _PART.get(part, ""),
        clip,
        tuple(_code(bad, *code) for code in codes),
        tuple(phase),
    )


def _speed(path: Path, number: int, text: str) -> float:
    """Frames a second."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise BadInput(f"{path} row {number}: fps is {text[:20]!r}; write frames a second, such as 200")
    return value


def _code(bad, text: str, scale: str) -> int:
    """An action unit's code: "" is unknown; 3.0 is 3, as tables with gaps write it.

    Presence without a grade is 9; intensities that are not whole are rounded (0.5 and 1.5 up).
    """
    if scale == "code" and text in _CODES:
        return _CODES[text]
    if not text:
        return labels.AU_UNKNOWN
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if scale == "presence":
        if value not in (0, 1):
            raise bad(
                f"presence of an action unit is {text[:20]!r}; write 0, 1 or nothing, or name its column "
                "like AU01 where these are codes"
            )
        return labels.AU_PRESENT if value else labels.AU_ABSENT
    if scale == "graded" and 0 <= value <= 5:
        return math.floor(value + 0.5)
    if value not in _CODES.values() or value < 0 or scale == "graded":
        raise bad(
            f"an action unit's code is {text[:20]!r}; write 0 (absent), 1 to 5 (intensity A to E), 9 "
            "(present, not graded), or nothing where it is unknown"
        )
    return int(value)


def _files_there(path: Path, rows: list[Row]) -> None:
    """Raises BadInput where a picture is missing."""
    missing = [row for row in rows if not os.path.isfile(row.path)]
    if missing:
        more = f" (and {len(missing) - 1} more rows' files)" if len(missing) > 1 else ""
        raise BadInput(
            f"{path} row {missing[0].number}: no picture {missing[0].path}{more}; paths are relative to "
            "the CSV: put the file there or mend the path"
        )


def _apart(path: Path, rows: list[Row]) -> None:
    """Raises BadInput where ids repeat, a clip's rows differ, or a subject or clip lies in two parts."""
    ids, clips = {}, {}
    empty = next((row for row in rows if not row.split), None)
    filled = next((row for row in rows if row.split), None)
    if empty and filled:
        raise BadInput(
            f"{path} row {empty.number}: split is empty, and {filled.split} in row {filled.number}; fill "
            "it in every row or in none"
        )
    parts = {}
    for row in rows:
        if row.id in ids:
            raise BadInput(
                f"{path} row {row.number}: {row.id} is in row {ids[row.id]} too; number frames apart"
            )
        ids[row.id] = row.number
        first = clips.setdefault(row.clip, row)
        if row.clip and first.subject != row.subject:
            raise BadInput(
                f"{path} row {row.number}: clip {row.clip} is of {row.subject or 'no subject'} here and of "
                f"{first.subject or 'none'} in row {first.number}; name clips apart, as in S1/smile"
            )
        if row.clip and first.phase != row.phase:
            name, here, there = next(
                z for z in zip(PHASES, row.phase, first.phase, strict=True) if z[1] != z[2]
            )
            here, there = ("empty" if n < 0 else n for n in (here, there))
            raise BadInput(
                f"{path} row {row.number}: {name} of clip {row.clip} is {here} here and {there} in row "
                f"{first.number}; write the same in all its rows"
            )
        for kind, name in (("subject", row.subject), ("clip", row.clip)):
            before = parts.setdefault((kind, name), row)
            if name and before.split != row.split:
                raise BadInput(
                    f"{path}: {kind} {name} is in two parts, {before.split} (row {before.number}) and "
                    f"{row.split} (row {row.number}), so that what is tested was trained on; give all its "
                    "rows one split"
                )


def codes(table: Table) -> np.ndarray:
    """int8 [n, u] action units of all rows."""
    return np.array([row.aus for row in table.rows], np.int8).reshape(len(table.rows), len(table.au_names))


def write(table: Table, path: str | os.PathLike) -> None:
    """Writes a table as a manifest that `read` reads back: the same rows, units, phases and speed.

    Pictures in the manifest's folder or below it are named relative to it, others by their whole path. Ids of
    pictures outside any clip are their paths, and so may change.

    Args:
      table: n rows; what `unknown` names is not kept.
      path: of the CSV; what is there is overwritten.
    Raises:
      BadInput: a name that begins or ends with a blank, which a manifest cannot say; or it cannot be written.
    """
    path = Path(path)
    folder = os.path.abspath(path.parent)
    with_clips = any(row.clip for row in table.rows)
    with_phases = any(row.phase != UNKNOWN for row in table.rows)
    extra = [*(CLIP if with_clips else ()), *(PHASES if with_phases else ()), *([FPS] if table.fps else ())]
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow([*REQUIRED, *table.au_names, *extra])
    speed = f"{table.fps:.12g}"
    for row in table.rows:
        file = os.path.abspath(row.path)
        inside = file.startswith(os.path.join(folder, ""))
        more = [row.clip, row.frame if row.clip else ""] if with_clips else []
        more += ["" if n < 0 else n for n in row.phase] if with_phases else []
        named = Path(os.path.relpath(file, folder) if inside else file).as_posix()
        fields = [named, row.label, row.subject, row.split, *("" if c < 0 else c for c in row.aus), *more]
        odd = next((field for field in map(str, fields) if field != " ".join(field.splitlines()).strip()), "")
        if odd:
            raise BadInput(
                f"{odd!r} begins or ends with a blank, or is of two lines: rename it to list it in a CSV"
            )
        out.writerow([*fields, *([speed] if table.fps else [])])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        disk.write(path, text.getvalue())
    except (OSError, UnicodeError) as error:
        raise BadInput(f"{path}: cannot be written ({error}); name another file") from None
