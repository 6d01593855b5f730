"""Any set from a CSV: columns by name, parts, action units, faces, and what is refused."""

import os
import sys

import numpy as np
import pytest
from manifest_files import HEAD, SIZE, colours, crop, load, options, save, write
from ml_collections import ConfigDict
from PIL import Image

from data_pipelines import BadInput, arrays, coded, exported, faces, labels, manifest
from data_pipelines.divide import by_hash
from data_pipelines.manifest import table

TEXT = """ Subject , label,path,split , AU12,AU1,note
ann,happy,a/1.png,train,3,,x
ann,,a/2.png,Training,0,1,y
bob,Angry,b/1.png,val,9.0,0,z
cy,SADNESS,c/1.png,test,,5,
"""
CROPS = ("a/1.png", "a/2.png", "b/1.png", "c/1.png")


def read(folder, text, crops=(), **changes):
    return manifest.arrays(options(write(folder, text, crops), **changes))


# What it says.


def test_columns_by_name(tmp_path):
    o = options(write(tmp_path, TEXT, CROPS))
    assert manifest.classes(o) == ("anger", "happiness", "sadness")
    assert manifest.au_names(o) == ("AU01", "AU12")
    made = manifest.arrays(o)
    assert list(made) == ["train", "validation", "test"]
    train = made["train"]
    assert train["id"].tolist() == ["a/1.png", "a/2.png"] and train["subject"].tolist() == ["ann", "ann"]
    assert train["label"].tolist() == [1, -1] and made["test"]["label"].tolist() == [2]
    assert train["aus"].tolist() == [[-1, 3], [1, 0]] and made["validation"]["aus"].tolist() == [[0, 9]]
    assert made["test"]["aus"].tolist() == [[5, -1]] and made["test"]["aus"].dtype == np.int8
    assert train["image"].shape == (2, SIZE, SIZE, 1)
    whole = manifest.arrays({**o, "image_size": 20})
    np.testing.assert_array_equal(whole["train"]["image"][1, :, :, 0], crop(1))


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_as_spreadsheets_write_it(tmp_path, delimiter):
    path = write(tmp_path, "", CROPS)
    path.write_bytes(b"\xef\xbb\xbf" + TEXT.replace(",", delimiter).replace("\n", "\r\n").encode() + b"\r\n")
    assert manifest.arrays(options(tmp_path))["train"]["label"].tolist() == [
        1,
        -1,
    ]  # the folder means its csv


def test_paths(tmp_path):
    """Below the CSV's folder, beside it, absolute, with a comma, with backslashes."""
    save(tmp_path / "beside.png", crop(7))
    text = f"path,label,subject,split\n../beside.png,joy,a,train\n{tmp_path / 'm/x.png'},joy,b,train\n"
    text += '"o,1.png",joy,c,test\nd\\2.png,joy,c,test\n'
    made = read(tmp_path / "m", text, ("x.png", "o,1.png", "d/2.png"))
    assert made["train"]["id"].tolist() == ["../beside.png", "x.png"]
    assert made["test"]["id"].tolist() == ["o,1.png", "d/2.png"]


def test_the_middle_of_a_picture_and_luma(tmp_path):
    picture = np.zeros((20, 30, 3), np.uint8)
    picture[:, 5:25] = (200, 100, 50)  # luma 0.299 * 200 + 0.587 * 100 + 0.114 * 50 = 124.2
    save(tmp_path / "p.png", picture)
    made = read(tmp_path, "path,label,subject,split\np.png,joy,s,test\n", image_size=20)["test"]
    assert (made["image"] == 124).all()


def test_a_photograph_that_was_taken_with_the_camera_turned(tmp_path):
    grey = np.arange(6 * 9, dtype=np.uint8).reshape(6, 9) * 4
    for orientation, turned in (
        (1, grey), (2, grey[:, ::-1]), (3, grey[::-1, ::-1]), (4, grey[::-1]), (5, grey.T),
        (6, np.rot90(grey, 1)), (7, grey[::-1, ::-1].T), (8, np.rot90(grey, -1)),
    ):  # fmt: skip
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(np.ascontiguousarray(turned)).save(tmp_path / "p.png", exif=exif)
        np.testing.assert_array_equal(faces.read_grey(tmp_path / "p.png"), grey, str(orientation))


def test_clips(tmp_path):
    text = "path,label,subject,split,clip,frame\n"
    text += "x10.png,joy,s,train,s/smile,10\nx2.png,,s,train,s/smile,2\ny.png,fear,t,test,,\n"
    made = read(tmp_path, text, ("x2.png", "x10.png", "y.png"))
    assert made["train"]["id"].tolist() == ["s/smile/000010", "s/smile/000002"]
    ids = ["s/smile/000002", "s/smile/000010", "y.png", "1/2/3.png"]
    assert manifest.sequences(ids).tolist() == ["s/smile", "s/smile", "y.png", "1/2/3.png"]


# Who trains, selects, and is reported.


def people(n, each=2, split=""):
    rows = [(f"p{s}/{i}.png", f"s{s}") for s in range(n) for i in range(each)]
    text = "path,label,subject,split\n" + "".join(f"{path},joy,{who},{split}\n" for path, who in rows)
    return text, [path for path, _ in rows]


def test_divided_by_subject(tmp_path):
    made = read(tmp_path, *people(20))
    sides = {part: set(found["subject"].tolist()) for part, found in made.items()}
    assert {part: len(side) for part, side in sides.items()} == {"train": 14, "validation": 2, "test": 4}
    assert len(set.union(*sides.values())) == 20 and sum(len(found["id"]) for found in made.values()) == 40
    again = read(
        tmp_path, "\n".join([people(20)[0].splitlines()[0], *people(20)[0].splitlines()[:0:-1]]) + "\n"
    )
    assert set(again["test"]["id"].tolist()) == set(made["test"]["id"].tolist())


def test_divided_by_pixels_where_no_subject_is_known(tmp_path):
    text, names = people(30, 1)
    for number, name in enumerate(names):
        save(tmp_path / name, crop(number // 2))  # pairs of copies
    made = read(tmp_path, "\n".join(f"{line.rsplit(',', 2)[0]},," for line in text.splitlines()).replace(
        "path,label,,", "path,label,subject,split"))  # fmt: skip
    side = {name: part for part, found in made.items() for name in found["id"].tolist()}
    assert len(side) == 30 and all(side[a] == side[b] for a, b in zip(names[::2], names[1::2], strict=True))


def test_divide_by_hand():
    import hashlib

    keys = [f"k{n}" for n in range(10)]
    order = sorted(keys, key=lambda k: hashlib.sha256(b"ferjax parts " + k.encode()).hexdigest())
    expected = {k: "test" if i < 2 else "validation" if i < 3 else "train" for i, k in enumerate(order)}
    assert by_hash(keys + keys[:3]).tolist() == [expected[k] for k in keys + keys[:3]]
    assert sorted(by_hash(["a", "b", "c"])) == ["test", "train", "validation"]
    with pytest.raises(ValueError, match="2 different keys"):
        by_hash(["a", "b", "a"])


def test_parts(tmp_path):
    write(tmp_path / "m", TEXT, CROPS)
    made = load(tmp_path / "m", tmp_path / "c")
    assert [len(part) for part in made[:3]] == [2, 1, 1]  # the one without an emotion has an action unit
    assert made.selection == "validation"
    text, names = people(30, 1, "train")
    write(tmp_path / "n", text + "t.png,joy,t,test\nu.png,,t,test\n", [*names, "t.png", "u.png"])
    made = load(tmp_path / "n" / "manifest.csv", tmp_path / "c")
    assert made.selection == "a hashed tenth of train (no rows for validation)"
    assert (
        len(made.train) + len(made.select) == 30 and len(made.select) and made.test.id.tolist() == ["t.png"]
    )
    assert any("1 of 32 pictures have no emotion" in line for line in made.findings)
    for missing, says in (
        ("train", "no image is left in train"),
        ("test", "no picture of the part test, so nothing"),
    ):
        other = "train" if missing == "test" else "test"
        write(tmp_path / missing, people(4, 1, other)[0], people(4, 1)[1])
        with pytest.raises(BadInput, match=says):
            load(tmp_path / missing, tmp_path / "c")
    data = {"name": "manifest", "dir": str(tmp_path / "train"), "cache_dir": str(tmp_path / "c")}
    only = arrays.load_parts({**data, "options": {"crop": "none"}}, need=("test",))
    assert (len(only.train), len(only.select), len(only.test)) == (0, 0, 4)


def test_builder_and_arrays_give_the_same(tmp_path, monkeypatch):
    path = write(tmp_path / "m", TEXT, CROPS)
    with_tfds = load(path, tmp_path / "a")
    assert list((tmp_path / "a").glob("manifest/*/tfds/manifest/*/*.tfrecord*"))
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    without = load(path, tmp_path / "b")
    assert not list((tmp_path / "b").glob("manifest/*/tfds"))
    assert with_tfds[3:] == without[3:]
    assert [p.hash for p in with_tfds[:3]] == [p.hash for p in without[:3]]
    assert with_tfds.train.au_names == ("AU01", "AU12") and without.train.classes[0] == "anger"


@pytest.mark.parametrize("outside", [False, True])
def test_what_changed_is_read_again(tmp_path, outside, monkeypatch):
    """A picture or the CSV, also where the pictures lie outside of the CSV's folder."""
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    text = TEXT.replace("a/", "../p/a/") if outside else TEXT
    path = write(tmp_path / "m", text, CROPS)
    for number, name in enumerate(CROPS[:2]):
        save(tmp_path / "p" / name, crop(number))
    where = tmp_path / ("p" if outside else "m") / "a/1.png"
    entries = lambda: len(list((tmp_path / "c" / "manifest").iterdir()))  # noqa: E731
    first = load(path, tmp_path / "c")
    assert load(path, tmp_path / "c").train.hash == first.train.hash and entries() == 1
    save(where, crop(50))
    changed = load(path, tmp_path / "c")
    assert entries() == 2 and (changed.train.image != first.train.image).any()
    path.write_text(text.replace("happy", "fear"))
    assert load(path, tmp_path / "c").train.classes == ("anger", "fear", "sadness") and entries() == 3
    os.utime(tmp_path / "m" / "b/1.png", (1, 1))
    load(path, tmp_path / "c")
    assert entries() == 4


def test_inputs_for_attribution(tmp_path):
    text = "path,label,subject,split,clip,frame,AU04\n1.png,joy,s,train,c,1,2\n2.png,joy,s,train,c,2,\n"
    write(tmp_path / "m", text + "3.png,,t,test,,,0\n", ("1.png", "2.png", "3.png"))
    data = {"name": "manifest", "dir": str(tmp_path / "m"), "cache_dir": str(tmp_path / "c")}
    found = coded.load({**data, "image_size": SIZE, "options": {"crop": "none"}})
    assert found.split.id.tolist() == ["c/000001", "3.png"] and found.sequence.tolist() == ["c", "3.png"]
    assert found.split.au_names == ("AU04",)


# What is refused.


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", r"manifest.csv: empty; its first line must name the columns path,label,subject,split"),
        (HEAD, "manifest.csv: no rows below the header"),
        ("path,label,split\na.png,joy,\n", "manifest.csv: no column subject; the header must"),
        (HEAD + "a.png,joy,s,\nb.png,joy,s\n", "row 2: 3 fields where the header has 4"),
        (HEAD + "a.png,joy,s,\nb.png,cheerful,s,\n", "row 2: label: 'cheerful' is no known emotion; known"),
        (HEAD + "a.png,3,s,\n", "row 1: label: '3' is no known emotion"),
        (HEAD + "a.png,joy,s,\ngone.png,joy,s,\nwent.png,joy,s,\n", r"row 2: no picture .*gone.png \(and 1"),
        (HEAD + ",joy,s,\n", "row 1: no path; name the picture's file"),
        (HEAD + "a.png,joy,s,\nb.png,joy,s,\na.png,joy,s,\n", "row 3: a.png is in row 1 already; keep one"),
        (HEAD + "b.png,joy,s,\nx/../b.png,joy,s,\n", "row 2: x/../b.png is in row 1 already"),
        (HEAD + "a.png,joy,s,dev\n", "row 1: split is 'dev'; write train, validation or test"),
        (HEAD + "a.png,joy,s,train\nb.png,joy,t,\n", "row 2: split is empty, and train in row 1"),
        (
            HEAD + "a.png,joy,t,test\nb.png,joy,s,train\nc.png,joy,s,test\n",
            r"subject s is in two parts, train \(row 2\) and test \(row 3\)",
        ),
        (
            "path,label,subject,split,AU01,note,au_1\na.png,joy,s,,1,,\n",
            "columns AU01 and au_1 are of one action unit, AU01; keep",
        ),
        (
            "path,label,subject,split,AU12_r,AU12_c\na.png,joy,s,,1,\n",
            "columns AU12_r and AU12_c are of one action unit, AU12",
        ),
        ("path,label,subject,split,AU01_c\na.png,joy,s,,2\n", "row 1: presence of an action unit is '2'"),
        ("path,label,subject,split,AU01_r\na.png,joy,s,,5.2\n", "row 1: an action unit's code is '5.2'"),
        ("path,label,subject,split,AU01\na.png,joy,s,,6\n", "row 1: an action unit's code is '6'; write 0"),
        ("path,label,subject,split,AU01\na.png,joy,s,,2.5\n", "code is '2.5'"),
        ("path,label,subject,split,AU01\na.png,joy,s,,-1\n", "code is '-1'"),
        ("path,label,subject,split,AU01\na.png,joy,s,,B\n", "code is 'B'"),
        ("path,label,Label,subject,split\na.png,joy,,s,\n", "two columns label; keep one"),
        ("path,label,subject,split,clip\na.png,joy,s,,c\n", "of clip and frame only one is there"),
        ("path,label,subject,split,clip,frame\na.png,joy,s,,c,\n", "row 1: of clip and frame one is empty"),
        ("path,label,subject,split,clip,frame\na.png,joy,s,,c,x1\n", "row 1: frame is 'x1'; write a whole"),
        (
            "path,label,subject,split,clip,frame\na.png,joy,s,,c,1\nb.png,joy,s,,c,01\n",
            "row 2: c/000001 is in row 1 too; number frames apart",
        ),
        (
            "path,label,subject,split,clip,frame\na.png,joy,s,,c,1\nb.png,joy,t,,c,2\n",
            "row 2: clip c is of t here and of s in row 1",
        ),
        (
            "path,label,subject,split,clip,frame\na.png,joy,,train,c,1\nb.png,joy,,test,c,2\n",
            "clip c is in two parts",
        ),
        (HEAD + "a.png,joy,s,\nb.png,joy,t,\n", "2 subjects cannot be divided into train"),
    ],
)  # fmt: skip
def test_refused(tmp_path, text, words):
    with pytest.raises(BadInput, match=words) as caught:
        read(tmp_path, text, ("a.png", "b.png", "c.png"))
    assert "\n" not in str(caught.value) and "manifest.csv" in str(caught.value)


def test_damaged_pictures_are_named_with_their_row(tmp_path):
    path = write(tmp_path, TEXT, CROPS)
    whole = (tmp_path / "b/1.png").read_bytes()
    for content, reason in (
        (whole[: len(whole) // 2], "truncated"),
        (b"", "not an image"),
        (b"GIF8", "not an"),
    ):
        (tmp_path / "b/1.png").write_bytes(content)
        with pytest.raises(BadInput, match=rf"manifest.csv row 3: .*b/1.png: cannot be read \({reason}"):
            manifest.arrays(options(path))


def test_no_such_place(tmp_path):
    with pytest.raises(BadInput, match=r"is no folder.*name the one with manifest.csv, or the CSV itself"):
        manifest.arrays(options(tmp_path / "gone"))
    with pytest.raises(BadInput, match=r"data.dir: '' is no folder"):
        manifest.arrays(options(""))
    with pytest.raises(BadInput, match=r"no manifest.csv in it; name the CSV itself"):
        manifest.arrays(options(tmp_path))
    (tmp_path / "manifest.csv").write_bytes("path,label,subject,split\nä.png,joy,s,\n".encode("latin-1"))
    with pytest.raises(BadInput, match="not UTF-8"):
        manifest.arrays(options(tmp_path))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"crop": "square"}, "data.options.crop: 'square' is not known; write detect or none"),
        ({"undetected": "keep"}, "data.options.undetected: 'keep' is not known; write leave_out or fail"),
        ({"image_size": 0}, "data.options.image_size: 0 is not a whole number from 8"),
        ({"image_size": "48"}, "data.options.image_size: '48'"),
    ],
)
def test_options(tmp_path, change, words):
    with pytest.raises(BadInput, match=words):
        manifest.arrays(options(write(tmp_path, TEXT, CROPS), **change))


@pytest.mark.parametrize("tensorflow", [True, False])
def test_red_stays_red(tmp_path, monkeypatch, tensorflow):
    """From the file through builder, cache and export to the network's input, the first time and the next."""
    if not tensorflow:
        monkeypatch.setitem(sys.modules, "tensorflow", None)
    text, names = people(6, 1)
    write(tmp_path / "s", text)
    for number, name in enumerate(names):
        save(tmp_path / "s" / name, colours(number, SIZE))
    red = np.zeros((SIZE, SIZE, 3), np.uint8) + np.uint8([250, 20, 5])
    save(tmp_path / "s" / names[0], red)
    for _ in range(2):
        made = load(tmp_path / "s", tmp_path / "c", colour=True)
        seen = {n: p.image[i] for p in made[:3] for i, n in enumerate(p.id.tolist())}
        assert (seen[names[0]] == [250, 20, 5]).all() and len(seen) == 6
        assert all((seen[name] == colours(n, SIZE)).all() for n, name in enumerate(names) if n)
    grey = load(tmp_path / "s", tmp_path / "c")
    assert len(list((tmp_path / "c" / "manifest").iterdir())) == 2  # one cache each
    for colour, luma in zip(made[:3], grey[:3], strict=True):
        assert colour.id.tolist() == luma.id.tolist() and luma.image.shape[3] == 1
        for a, b in zip(colour.image, luma.image, strict=True):
            np.testing.assert_array_equal(faces.grey_of(a), b[:, :, 0])
    exported.write(made, tmp_path / "npz")
    again = arrays.load_parts({"name": "npz", "dir": str(tmp_path / "npz"), "image_size": 12})
    assert again.train.image.shape[1:] == (12, 12, 3)
    with pytest.raises(BadInput, match=r"data.options.colour: 'yes' is not known; write True or False"):
        manifest.checked({"colour": "yes"})


def test_pictures_as_a_network_takes_them():
    for shape, colour in (((20, 20, 3), True), ((24, 24, 1), False)):
        data = ConfigDict({"name": "manifest", "image_size": 48, "options": {"crop": "none"}})
        arrays.look_as(data, shape)
        assert (data.image_size, data.options.colour, data.options.crop) == (shape[0], colour, "none")
    data = ConfigDict({"name": "fer2013", "image_size": 48, "options": {}})
    arrays.look_as(data, (20, 20, 3))  # has no colours to choose
    assert (data.image_size, dict(data.options)) == (20, {})


def test_columns_spelled_as_openface_and_libreface_mean_what_they_mean_there(tmp_path):
    head = "path,label,subject,split,AU01_c,AU02_r,au_4,au_5_intensity,AU06\n"
    path = write(
        tmp_path, head + "a.png,joy,s,,1,1.5,0,0.49,1\nb.png,joy,s,,0.0,,1,5,9\n", ("a.png", "b.png")
    )
    found = table.read(table.locate(str(path)))
    assert found.au_names == ("AU01", "AU02", "AU04", "AU05", "AU06")
    # presence has no grade (9), intensities are rounded, codes are codes
    assert [row.aus for row in found.rows] == [(9, 2, 0, 0, 1), (0, -1, 9, 5, 9)]
    assert labels.au_present(np.array(found.rows[0].aus), 2).tolist() == [-1, 1, 0, 0, 0]


def test_a_prefix_keeps_apart_people_of_one_number(tmp_path):
    head = "path,label,subject,split\n"
    path = write(
        tmp_path,
        head + "a.png,joy,1,train\nb.png,fear,2,test\nc.png,joy,,train\n",
        ("a.png", "b.png", "c.png"),
    )
    read = manifest.arrays(options(path, crop="none", prefix="lab-"))
    assert sorted(read["train"]["subject"].tolist()) == ["", "lab-1"] and read["test"]["subject"] == ["lab-2"]
