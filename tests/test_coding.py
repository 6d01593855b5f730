"""Coding sheets: action units as coders write them, workbooks new and old, and what is refused."""

import pytest
from casme2_files import HEADER, ROWS, sheet, spread, xls

from data_pipelines import BadInput, coding, labels
from data_pipelines.casme2 import sheet as casme2_sheet
from data_pipelines.coding import Unit


@pytest.mark.parametrize(
    ("said", "units"),
    [
        ("4+7", [Unit(4), Unit(7)]),
        ("12", [Unit(12)]),
        ("L14", [Unit(14, "L")]),
        ("R10+15", [Unit(10, "R"), Unit(15)]),
        ("R12A", [Unit(12, "R", 1)]),
        ("12E + l14b", [Unit(12, "", 5), Unit(14, "L", 2)]),
        ("14L", [Unit(14, "L")]),
        ("AU4+AU12B", [Unit(4), Unit(12, "", 2)]),
        ("15?", [Unit(15, certain=False)]),
        ("4 or 7", [Unit(4, "", 0, False, True), Unit(7, "", 0, False, True)]),
        ("4or7+12", [Unit(4, "", 0, False, True), Unit(7, "", 0, False, True), Unit(12)]),
    ],
)
def test_units(said, units):
    assert coding.parse(said) == (tuple(units), ())


def test_cells_that_are_numbers_and_full_width():
    assert coding.parse(coding.text(14)) == coding.parse(coding.text(14.0)) == ((Unit(14),), ())
    assert coding.parse(coding.text(" 4\uff0b\uff2c7 ")) == ((Unit(4), Unit(7, "L")), ())
    assert [coding.text(cell) for cell in (None, "", " / ", 1.5, True)] == ["", "", "/", "1.5", "True"]


def test_cells_without_units_and_pieces_that_are_none():
    for said in ("", "/", "-", "NaN", "?"):
        assert coding.parse(said) == (None, ())
    assert coding.parse("4+smile+0+L7R") == ((Unit(4),), ("smile", "0", "L7R"))
    assert coding.parse("4.5") == (None, ("4.5",))


def test_units_as_codes():
    numbers = (4, 7, 12, 14)
    codes = lambda said: coding.codes(coding.parse(said)[0], numbers)  # noqa: E731
    assert codes("4+12C") == (labels.AU_PRESENT, 0, 3, 0)
    assert codes("L12+R12B+14?") == (0, 0, 2, labels.AU_PRESENT)  # the graded side counts
    assert codes("4 or 7+12") == (-1, -1, labels.AU_PRESENT, 0)
    assert codes("4 or 7+7") == (-1, labels.AU_PRESENT, 0, 0)
    assert codes("/") == (-1, -1, -1, -1)
    assert [u.text for u in coding.parse("L12A+15?+4 or R7")[0]] == ["L12A", "15?", "4", "R7"]


def test_both_kinds_of_workbook_say_the_same(tmp_path):
    new = casme2_sheet.read(sheet(tmp_path / "a.xlsx", spread(ROWS), HEADER))
    old = casme2_sheet.read(xls(tmp_path / "a.xls", [HEADER, *spread(ROWS)]))
    assert new == old and len(new) == len(ROWS)
    assert new[0] == coding.Coding(2, "sub01/EP02_01f", "sub01", 46, 49, 52, (Unit(4), Unit(7)), "disgust")
    assert (new[3].apex, new[3].row, new[4].subject, new[1].units) == (-1, 5, "sub17", (Unit(12),))
    (tmp_path / "b.xls").write_bytes((tmp_path / "a.xlsx").read_bytes())  # the content tells, not the name
    assert casme2_sheet.read(tmp_path / "b.xls") == new


def test_the_header_may_lie_deeper_and_blank_rows_do_not_count(tmp_path):
    rows = [ROWS[0], (None, None, None, None, None, None, None), ROWS[1]]
    made = casme2_sheet.read(sheet(tmp_path / "a.xlsx", spread(rows), HEADER, above=5))
    assert [row.row for row in made] == [7, 9]


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        ((1, "EP01", None, "x", 2, 3, None, 4, "disgust"), "row 2: onset is 'x'; write a frame's number"),
        ((1, "EP01", None, 1, 2.5, 3, None, 4, "disgust"), r"row 2: apex is '2.5'; write"),
        ((1, "EP01", None, 1, 2, -3, None, 4, "disgust"), "row 2: offset is '-3'"),
        (
            (1, "EP01", None, 1, 2, 3, None, 4, "boredom"),
            "row 2: 'boredom' is no emotion of CASME II; it has",
        ),
        ((1, "EP01", None, 1, 2, 3, None, 4, "neutral"), "row 2: 'neutral' is no emotion of CASME II"),
        ((1, "EP01", None, 1, 2, 3, None, 4, 3), "row 2: '3' is no emotion"),
        ((None, "EP01", None, 1, 2, 3, None, 4, "disgust"), "row 2: no subject; fill it"),
        ((1, None, None, 1, 2, 3, None, 4, "disgust"), "row 2: no clip"),
    ],
)
def test_rows_that_are_refused(tmp_path, cells, says):
    path = sheet(tmp_path / "coding.xlsx", [cells])
    with pytest.raises(BadInput, match=says) as caught:
        casme2_sheet.read(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_sheets_that_are_refused(tmp_path):
    short = sheet(tmp_path / "short.xlsx", [], HEADER[:6])
    with pytest.raises(
        BadInput, match=r"no header row in the first worksheet; expected columns A sub.*it has"
    ):
        casme2_sheet.read(short)
    moved = sheet(tmp_path / "moved.xlsx", [], [c for c in HEADER if c])
    with pytest.raises(
        BadInput, match=r"expected columns A subject.*, I estimatedemotion.*; it has subject,"
    ):
        casme2_sheet.read(moved)
    with pytest.raises(BadInput, match="no rows below the header"):
        casme2_sheet.read(sheet(tmp_path / "empty.xlsx", []))
    for content in (b"", b"PK nothing", b"\xd0\xcf\x11\xe0", short.read_bytes()[:900], b"a,b\n1,2\n"):
        (tmp_path / "bad.xlsx").write_bytes(content)
        with pytest.raises(BadInput, match=r"bad.xlsx: not a workbook, or damaged; open it in a spreadsheet"):
            casme2_sheet.read(tmp_path / "bad.xlsx")
    with pytest.raises(BadInput, match=r"gone.xlsx: cannot be read \(No such"):
        casme2_sheet.read(tmp_path / "gone.xlsx")
