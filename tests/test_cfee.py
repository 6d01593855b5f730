"""CFEE: categories from its sheet, which has gaps; people apart; what is left out is told."""

import struct
import sys

import numpy as np
import pytest
from manifest_files import SIZE, colours, crop, photograph, save

from data_pipelines import BadInput, arrays, cfee, coding, faces, labels
from data_pipelines.cfee import layout
from ferjax.main import main

HEADER = ("code", "category", "AU1", "AU2")
ROWS = (
    (1, "Neutral", None, None), (2, "Happy", 0, 1), (3, "sad", 1, 0), (4, "Fearful", 1, 1),
    (5, "Angry ", 0, 0), (6, "Surprised", 1, 1), (7, "Disgusted", 0, 0), (8, "Happily surprised", 1, 0),
    (11, "Sadly  angry", 0, 1), (24, "Appalled", 0, 1),
)  # fmt: skip
BASIC = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
GROUPS = (
    "01-04/Images1",
    "05-08/Images2",
    "09-12/Images3",
    "13-16/Images4",
    "17-20/Images5",
    "21-26/Images6",
)
SHEET = "AU_annotation_all_subjects.xlsx"


def sheet(path, rows=ROWS, name="summary", header=HEADER):
    """A workbook with two worksheets, of which the second is the summary."""
    import openpyxl

    path.parent.mkdir(parents=True, exist_ok=True)
    book = openpyxl.Workbook()
    book.active.title = "01 neutral"
    book.active.append(["subject", "AU1"])
    book.create_sheet(name).append(header)
    for row in rows:
        book[name].append(row)
    book.save(path)
    return path


def xls(path, sheets):
    """A workbook (BIFF5) of name -> rows of words and whole numbers, as older spreadsheets wrote it."""
    record = lambda kind, data: struct.pack("<HH", kind, len(data)) + data  # noqa: E731
    bof = lambda kind: record(0x0809, struct.pack("<HHHH", 0x0500, kind, 0, 0))  # noqa: E731
    bodies = []
    for rows in sheets.values():
        body = bof(0x10)
        for r, row in enumerate(rows):
            for c, cell in enumerate(row):
                place = struct.pack("<HHH", r, c, 0)
                if isinstance(cell, str):
                    body += record(0x0204, place + struct.pack("<H", len(cell)) + cell.encode("ascii"))
                elif cell is not None:
                    body += record(0x0203, place + struct.pack("<d", cell))
        bodies.append(body + record(0x000A, b""))
    at = len(bof(5)) + sum(4 + 7 + len(name) for name in sheets) + 4
    head = bof(5)
    for name, body in zip(sheets, bodies, strict=True):
        head += record(0x0085, struct.pack("<IHB", at, 0, len(name)) + name.encode("ascii"))
        at += len(body)
    path.write_bytes(head + record(0x000A, b"") + b"".join(bodies))
    return path


def write_set(top, people=range(101, 107), codes=(1, 2, 3, 4, 5, 6, 7, 8, 11, 23, 24), below=""):
    """CFEE_Database_230/01-04/Images1/01_126_3963.jpg and so on, in colour, and the sheet beside it."""
    number = 0
    for code in codes:
        for who in people:
            group = GROUPS[min((code - 1) // 4, 5)]
            name = f"{code:02d}_{who}_{3000 + number}.jpg"
            save(top / below / "CFEE_Database_230" / group / name, colours(number, 16))
            number += 1
    sheet(top / below / SHEET)
    return top


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Six people, the basic categories, two compound ones, and code 23, which the sheet lacks."""
    return write_set(tmp_path_factory.mktemp("cfee"))


def options(folder, **changes):
    return {**cfee.OPTIONS, "dir": str(folder), "crop": "none", "image_size": 16, **changes}


def load(folder, cache, **changes):
    more = {key: changes.pop(key) for key in ("kfolds", "kfold", "map", "classes") if key in changes}
    data = {"name": "cfee", "dir": str(folder), "image_size": 16, "cache_dir": str(cache), **more}
    return arrays.load_parts({**data, "options": {"crop": "none", **changes}})


# The sheet.


def test_categories_come_from_the_sheet(tmp_path):
    made = layout.read(sheet(tmp_path / SHEET))
    assert list(made) == [1, 2, 3, 4, 5, 6, 7, 8, 11, 24]
    assert [made[c] for c in (1, 2, 5, 7, 8, 11)] == [
        "neutral", "happiness", "anger", "disgust", "happily surprised", "sadly angry",
    ]  # fmt: skip
    other = [(9, "happy"), ("03", "Neutral"), (None, None), ("AU1: inner brow", "note"), (2, "anger")]
    assert layout.read(sheet(tmp_path / "b.xlsx", other, "Summary", ())) == {
        9: "happiness", 3: "neutral", 2: "anger",
    }  # fmt: skip


def test_the_sheet_as_xls(tmp_path):
    """Old workbooks are read by the worksheet's name too, and say the same."""
    old = xls(tmp_path / "a.xls", {"01 neutral": [("subject", 1)], "summary": [HEADER, *ROWS]})
    assert layout.read(old) == layout.read(sheet(tmp_path / "a.xlsx"))
    assert coding.cells(old)[0] == ("subject", 1)
    with pytest.raises(BadInput, match=r"a.xls: no worksheet totals in it; it has 01 neutral, summary"):
        coding.cells(old, "totals")


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (
            (*ROWS, (12, "")),
            "row 12: code 12 has the name '', which is no category's; write one in the second",
        ),
        ((*ROWS, (12, 7)), "row 12: code 12 has the name '7', which is no category's"),
        ((*ROWS, (12, "a, b")), "row 12: code 12 has the name 'a, b'"),
        ((*ROWS, (8, "hatred")), "row 12: code 8 or hatred is there twice; keep one of the rows"),
        ((*ROWS, (12, "happiness")), "row 12: code 12 or happiness is there twice"),
        (((8, "Happily surprised"),), "no basic emotion; it names happily surprised: codes in the first"),
        ((), "no basic emotion; it has no row like 2, happy"),
    ],
)
def test_sheets_that_are_refused(tmp_path, rows, words):
    with pytest.raises(BadInput) as caught:
        layout.read(sheet(tmp_path / SHEET, rows))
    assert words in str(caught.value) and str(caught.value).startswith(
        f"{tmp_path / SHEET}, worksheet summary"
    )


def test_no_summary_and_no_sheet(small, tmp_path):
    with pytest.raises(BadInput, match=rf"{SHEET}: no worksheet summary in it; it has 01 neutral, total"):
        layout.read(sheet(tmp_path / SHEET, name="total"))
    (tmp_path / "bad.xls").write_bytes(b"\xd0\xcf\x11\xe0")
    with pytest.raises(BadInput, match=r"bad.xls: not a workbook, or damaged"):
        layout.read(tmp_path / "bad.xls")
    write_set(tmp_path / "s", (101, 102, 103), (1, 2))
    path = tmp_path / "s" / SHEET
    other = sheet(tmp_path / "s/CFEE_Database_230/AU_annotation_all_subjects.xlsx", ROWS[:2])
    with pytest.raises(BadInput, match=r"two coding sheets; name one of them by data.options.sheet"):
        cfee.arrays(options(tmp_path / "s"))
    assert cfee.files(options(tmp_path / "s", sheet=SHEET))[0] == path
    assert cfee.files(options(tmp_path / "s", sheet=str(other)))[0] == other
    path.unlink()
    other.unlink()
    with pytest.raises(BadInput, match=r"no coding sheet here .*; put AU_annotation_all_subjects.xls there"):
        cfee.arrays(options(tmp_path / "s"))
    with pytest.raises(BadInput, match=r"data.options.sheet: no file .*gone.xls"):
        cfee.arrays(options(tmp_path / "s", sheet="gone.xls"))


# The pictures.


@pytest.mark.parametrize("below", ["", "x/y/z"])
def test_what_is_read(tmp_path, below):
    write_set(tmp_path, range(101, 105), below=below)
    made = cfee.arrays(options(tmp_path))
    rows = {n: (made[p], i) for p in made for i, n in enumerate(made[p]["id"].tolist())}
    assert len(rows) == 4 * 7 and cfee.classes(options(tmp_path)) == BASIC
    part, i = rows["05_102_3017"]
    assert part["subject"][i] == "cfee-102" and BASIC[part["label"][i]] == "anger"
    assert part["aus"].shape[1:] == (0,)
    people = [set(part["subject"].tolist()) for part in made.values()]
    assert len(set.union(*people)) == sum(map(len, people)) == 4


def test_all_categories(small, tmp_path, monkeypatch):
    """Compound ones are classes by their own names, which data.map and data.classes know."""
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    made = load(small, tmp_path / "c", categories="all")
    assert made.train.classes == (*BASIC, "appalled", "happily surprised", "sadly angry")
    assert sum(len(part) for part in made[:3]) == 6 * 10
    few = load(
        small, tmp_path / "c", categories="all", map="happily surprised=joy", classes="happy,Sadly angry"
    )
    assert few.train.classes == ("happiness", "sadly angry") and sum(len(p) for p in few[:3]) == 6 * 3
    with pytest.raises(BadInput, match="'hatred' is no known emotion"):
        load(small, tmp_path / "c", categories="all", classes="hatred")
    with pytest.raises(BadInput, match=r"data.options.categories: 'some' is not known; write basic or all"):
        cfee.checked({"categories": "some"})


def test_people_are_apart_in_every_division(small, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    for more in ({}, *({"kfolds": 3, "kfold": k} for k in range(3))):
        sides = [set(part.subject.tolist()) for part in load(small, tmp_path / "c", **more)[:3]]
        assert all(sides) and len(set.union(*sides)) == sum(map(len, sides)) == 6


def test_builder_and_arrays_give_the_same(small, tmp_path, monkeypatch):
    from data_pipelines.cfee import builder

    info = builder.Builder(data_dir=str(tmp_path / "t"), options=options(small, colour=True)).info
    assert info.features["image"].shape == (16, 16, 3) and "Martinez" in info.citation
    with_tfds = load(small, tmp_path / "a", colour=True)
    assert list((tmp_path / "a").glob("cfee/*/tfds/cfee/*/*.tfrecord*"))
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    without = load(small, tmp_path / "b", colour=True)
    assert [p.hash for p in with_tfds[:3]] == [p.hash for p in without[:3]] and with_tfds[3:] == without[3:]
    path = cfee.files(options(small))[1]
    (image,) = (p.image[p.id == path.stem] for p in without[:3] if path.stem in p.id)
    np.testing.assert_array_equal(image[0], faces.read_rgb(path))


def test_a_changed_sheet_is_read_again(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    write_set(tmp_path / "s", (101, 102, 103), (1, 2, 3))
    assert load(tmp_path / "s", tmp_path / "c").train.classes == ("happiness", "neutral", "sadness")
    sheet(tmp_path / "s" / SHEET, ((1, "angry"), (2, "happy"), (3, "hatred")))
    assert load(tmp_path / "s", tmp_path / "c").train.classes == ("anger", "happiness")


def test_what_is_told(small, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    said = "\n".join(load(small, tmp_path / "c").findings)
    assert "cfee: 6 people, published 230; 10 categories, published 22" in said
    assert "cfee: pictures of codes that the sheet does not name, left out: 1 (23: 6 pictures)" in said
    assert (
        "neither a basic emotion nor neutral: 3 (happily surprised: 6 pictures, sadly angry: 6 pict" in said
    )
    write_set(tmp_path / "s", (101, 102, 103), (1, 2))
    place = tmp_path / "s/CFEE_Database_230/01-04/Images1"
    save(place / "04_221.jpg", crop(1))
    (place / "notes.txt").write_text("x")
    (place / "Thumbs.db").write_text("x")
    said = "\n".join(load(tmp_path / "s", tmp_path / "c").findings)
    folder = "CFEE_Database_230/01-04/Images1"
    assert f"names are not like CFEE's, passed over: 1 ({folder}/04_221.jpg)" in said
    assert f"cfee: other files, passed over: 1 ({folder}/notes.txt)" in said and "Thumbs" not in said
    assert "categories of the sheet without a picture: 8 (03 sadness, 04 fear" in said


def test_refused(tmp_path):
    with pytest.raises(BadInput, match=r"is no folder.*01_126_3963.jpg, and AU_annotation"):
        cfee.arrays(options(tmp_path / "gone"))
    save(tmp_path / "e" / "portrait.jpg", crop(1))
    with pytest.raises(
        BadInput, match="no CFEE here or up to 3 folders below; expected pictures like CFEE_D"
    ):
        cfee.arrays(options(tmp_path / "e"))
    place = write_set(tmp_path / "s", (101, 102, 103), (2, 3))
    path = next(place.rglob("02_101_*.jpg"))
    twice = save(place / "copy" / path.name, crop(1))
    with pytest.raises(BadInput, match=r"02_101_3000.jpg and .*02_101_3000.jpg: one picture twice"):
        cfee.arrays(options(place))
    twice.unlink()
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(BadInput, match=r"02_101_3000.jpg: cannot be read"):
        cfee.arrays(options(place))
    sheet(place / SHEET, ((12, "happy"), (13, "sad")))
    with pytest.raises(
        BadInput,
        match=r"no picture of a category that .* names \(happiness, sadness\); there are codes 02, 03:",
    ):
        cfee.arrays(options(place))


def test_check(small, tmp_path, capsys):
    pytest.importorskip("cv2")
    write_set(tmp_path, (101,), ())
    folder = tmp_path / "CFEE_Database_230/01-04/Images1"
    save(folder / "02_101_1.jpg", photograph(0))
    save(folder / "08_102_2.jpg", photograph(1))
    save(folder / "02_103_3.jpg", np.full((90, 90), 50, np.uint8))
    assert main(["data", "check", "cfee", "--dir", str(tmp_path)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "people 3 230 differs categories 2 22 differs pictures 3" in said
    assert "pictures of happiness 2" in said and "pictures of happily surprised 1" in said
    assert "faces found: frontal 2 pictures without a face 1" in said
    assert "cfee: no face found: 1 (02_103_3)" in said
    save(folder / "02_104_4.jpg", photograph(2))
    made = cfee.arrays(options(tmp_path, crop="detect", image_size=SIZE, colour=True, categories="all"))
    assert sorted(p["id"].item() for p in made.values()) == ["02_101_1", "02_104_4", "08_102_2"]


def test_names():
    assert cfee.CLASSES == BASIC and set(BASIC) < set(labels.EMOTIONS)
