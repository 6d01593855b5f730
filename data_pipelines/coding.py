"""Coding sheets of clips: workbooks (.xlsx, .xls) that say phases, action units and emotion.

CASME II's and SAMM's are read by the places of their columns, whose names differ between copies; the header
row is looked for and must fit.
"""

import io
import re
import unicodedata
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from data_pipelines import BadInput, labels

HEADER_WITHIN = 40  # rows at the top among which the header is looked for
NOTHING = ("", "/", "-", "?", "nan", "none", "n/a")
"""What a cell says where nothing is coded."""

_UNIT = re.compile(r"(?i)(?:AU)?\s*([LRB]?)\s*(?:AU)?\s*(\d{1,2})\s*([A-E]?)\s*([LRB]?)\s*(\??)")


class Unit(NamedTuple):
    """An action unit as a coder wrote it.

    Attributes:
      number: 1 to 99.
      side: "L", "R" (of the person's face), or "" for both.
      grade: 1 to 5 for A to E; 0 not graded.
      certain: False for "15?" and for what stands beside an "or".
      either: one of several alternatives, as in "4 or 7".
    """

    number: int
    side: str = ""
    grade: int = 0
    certain: bool = True
    either: bool = False

    @property
    def text(self) -> str:
        """As it is written, such as "L12A" or "15?"."""
        doubt = "" if self.certain or self.either else "?"
        return f"{self.side}{self.number}{' ABCDE'[self.grade].strip()}{doubt}"


class Coding(NamedTuple):
    """What is coded of one clip.

    Attributes:
      row: of the sheet, from 1 as spreadsheets count.
      clip: "sub01/EP02_01f".
      subject: "sub01".
      onset: frame number; -1 unknown.
      apex: as onset.
      offset: as onset.
      units: None where none are coded.
      emotion: one of labels.CLASSES; "" unknown.
      unread: pieces of the cell of action units that are none.
    """

    row: int
    clip: str
    subject: str
    onset: int
    apex: int
    offset: int
    units: tuple[Unit, ...] | None
    emotion: str
    unread: tuple[str, ...] = ()


def read(
    path: Path,
    columns: Mapping[str, tuple[int, str]],
    subject: Callable[[str], str],
    emotion: Callable[[str], str],
) -> list[Coding]:
    """The rows of a coding sheet's first worksheet, below its header.

    Args:
      path: of the workbook.
      columns: "subject", "clip", "onset", "apex", "offset", "units", "emotion" -> (place from 0, how the
        column's name begins, without blanks and in lower case).
      subject: the name of a subject for what its cell says.
      emotion: one of labels.CLASSES for what its cell says; BadInput for what is none.
    Returns:
      Codings in the sheet's order; rows without a subject and a clip are blank to it.
    Raises:
      BadInput: names the sheet, and the row; no workbook, no such header, a frame that is no number, an
        unknown emotion.
    """
    table = cells(path)
    top = _header(path, table, columns)
    found = []
    for number, cell in enumerate(table[top + 1 :], top + 2):
        said = {name: text(cell[place]) if place < len(cell) else "" for name, (place, _) in columns.items()}
        if not said["subject"] and not said["clip"]:
            continue
        if not said["subject"] or not said["clip"]:
            missing = "subject" if said["clip"] else "clip"
            raise BadInput(f"{path} row {number}: no {missing}; fill it, or delete the row")
        who = subject(said["subject"])
        label = ""
        if said["emotion"].lower() not in NOTHING:
            try:
                label = emotion(said["emotion"])
            except BadInput as error:
                raise BadInput(f"{path} row {number}: {error}; mend it, or delete the row") from None
        units, unread = parse(said["units"])
        frames = [_frame(path, number, name, said[name]) for name in ("onset", "apex", "offset")]
        found.append(Coding(number, f"{who}/{said['clip']}", who, *frames, units, label, unread))
    if not found:
        raise BadInput(f"{path}: no rows below the header; is this the set's coding sheet?")
    return found


def _header(path: Path, table: Sequence[Sequence], columns: Mapping[str, tuple[int, str]]) -> int:
    """The row, from 0, that names the columns where they shall be."""
    plain = [[re.sub(r"[\W_]", "", text(c)).lower() for c in row] for row in table[:HEADER_WITHIN]]
    for number, names in enumerate(plain):
        if all(place < len(names) and names[place].startswith(word) for place, word in columns.values()):
            return number
    expected = ", ".join(f"{chr(65 + place)} {word}..." for place, word in columns.values())
    near = next((row for row in plain if "subject" in row), [])
    seen = f"; it has {', '.join(filter(None, near))}" if near else ""
    raise BadInput(f"{path}: no header row in the first worksheet; expected columns {expected}{seen}")


def _frame(path: Path, row: int, name: str, said: str) -> int:
    """A frame's number; -1 where nothing is coded."""
    if said.lower() in NOTHING:
        return -1
    if not (said.isascii() and said.isdecimal()):
        raise BadInput(
            f"{path} row {row}: {name} is {said[:20]!r}; write a frame's number, or / where none is coded"
        )
    return int(said)


def parse(said: str) -> tuple[tuple[Unit, ...] | None, tuple[str, ...]]:
    """Action units as coders write them: "4+7", "L14", "R12A", "15?", "4 or 7".

    Args:
      said: the cell's text.
    Returns:
      (units, or None where none are coded; pieces that are no action unit).
    """
    if said.lower() in NOTHING:
        return None, ()
    units, unread = [], []
    for piece in filter(None, (p.strip() for p in re.split(r"[+,;&]", said))):
        choice = [p.strip() for p in re.split(r"(?i)(?<![a-z])or(?![a-z])", piece)]
        for word in choice:
            match = _UNIT.fullmatch(word)
            if not match or not int(match[2]) or (match[1] and match[4]):
                unread.append(word or piece)
                continue
            before, number, grade, after, doubt = match.groups()
            side = (before or after).upper().replace("B", "")
            either = len(choice) > 1
            sure = not doubt and not either
            units.append(Unit(int(number), side, labels.AU_INTENSITY.get(grade.upper(), 0), sure, either))
    return (tuple(units) or None), tuple(unread)


def codes(units: Sequence[Unit] | None, numbers: Sequence[int]) -> tuple[int, ...]:
    """A code of labels.AU_CODES for each action unit.

    A unit that is listed is present, with its grade, of several the highest, or labels.AU_PRESENT without
    one; one of which only "4 or 7" is said is unknown; others are absent.

    Args:
      units: of a clip; None makes all unknown.
      numbers: [u].
    """
    if units is None:
        return (labels.AU_UNKNOWN,) * len(numbers)
    out = []
    for number in numbers:
        mine = [unit for unit in units if unit.number == number]
        shown = [unit.grade for unit in mine if not unit.either]
        absent = labels.AU_UNKNOWN if mine else labels.AU_ABSENT
        out.append(max(shown) or labels.AU_PRESENT if shown else absent)
    return tuple(out)


# Workbooks.


def cells(path: Path, sheet: str = "") -> list[tuple]:
    """The cells of a worksheet: rows of values, None or "" where empty.

    Args:
      path: of the workbook, .xlsx or .xls.
      sheet: the worksheet's name, whose case does not count; "" is the first.
    Raises:
      BadInput: it is no workbook, or damaged, or has no such worksheet.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror})") from None
    return (_xlsx if content.startswith(b"PK") else _xls)(path, content, sheet)


def _place(path: Path, names: Sequence[str], sheet: str) -> int:
    """Which of the worksheets is meant, from 0."""
    if not sheet:
        return 0
    plain = [name.strip().lower() for name in names]
    if sheet.lower() not in plain:
        raise BadInput(f"{path}: no worksheet {sheet} in it; it has {', '.join(names)}")
    return plain.index(sheet.lower())


def _xlsx(path: Path, content: bytes, sheet: str) -> list[tuple]:
    import openpyxl

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what openpyxl leaves out: formats, checks of input
            book = openpyxl.load_workbook(io.BytesIO(content), data_only=True)
        at = _place(path, [found.title for found in book.worksheets], sheet)
        return list(book.worksheets[at].iter_rows(values_only=True))
    except BadInput:
        raise
    except (
        zipfile.BadZipFile,
        KeyError,
        ValueError,
        TypeError,
        AttributeError,
        IndexError,
        OSError,
        SyntaxError,
    ):
        raise _no_workbook(path) from None


def _xls(path: Path, content: bytes, sheet: str) -> list[tuple]:
    import xlrd

    try:
        book = xlrd.open_workbook(file_contents=content, logfile=io.StringIO())
        found = book.sheet_by_index(_place(path, book.sheet_names(), sheet))
        return [tuple(found.row_values(row)) for row in range(found.nrows)]
    except BadInput:
        raise
    except Exception:  # xlrd raises its own, and whatever its parsers trip over
        raise _no_workbook(path) from None


def _no_workbook(path: Path) -> BadInput:
    return BadInput(f"{path}: not a workbook, or damaged; open it in a spreadsheet and save it as .xlsx")


def text(cell) -> str:
    """What a cell says: 4.0 is "4", full-width characters are plain ones, blanks around do not count."""
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    return unicodedata.normalize("NFKC", str(cell)).strip()
