"""RaFD: what its names say, cameras and gazes, people apart, and the look-alike."""

import re
import shutil
import sys
import tarfile
from collections import Counter

import numpy as np
import pytest
from manifest_files import SIZE, colours, crop, photograph, save

from data_pipelines import BadInput, arrays, faces, labels, pictures, rafd
from data_pipelines.manifest import source
from data_pipelines.rafd import layout, turned
from ferjax.main import main

WORDS = ("angry", "contemptuous", "disgusted", "fearful", "happy", "neutral", "sad", "surprised")
NAME = "Rafd{}_{:02d}_{}_{}_{}.jpg"


def write_set(folder, people=range(1, 8), cameras=("090",), words=WORDS, gazes=layout.GAZES):
    """Small pictures of everybody, different for each."""
    number = 0
    for who in people:
        kind = "Moroccan_male" if who % 3 == 0 else "Kid_female" if who % 3 == 1 else "Caucasian_female"
        for camera in cameras:
            for word in words:
                for gaze in gazes:
                    save(folder / NAME.format(camera, who, kind, word, gaze), colours(number, 16))
                    number += 1
    return folder


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Seven people, all expressions and gazes, from the front."""
    return write_set(tmp_path_factory.mktemp("rafd"))


def options(folder, **changes):
    return {**rafd.OPTIONS, "dir": str(folder), "crop": "none", "image_size": 16, **changes}


def load(folder, cache, **changes):
    more = {key: changes.pop(key) for key in ("kfolds", "kfold", "map", "classes") if key in changes}
    data = {"name": "rafd", "dir": str(folder), "image_size": 16, "cache_dir": str(cache), **more}
    return arrays.load_parts({**data, "options": {"crop": "none", **changes}})


def test_names(tmp_path):
    parse = lambda name: layout.parse(tmp_path / name)  # noqa: E731
    made = parse("Rafd135_07_Kid_male_contemptuous_left.jpg")
    assert made[1:] == ("135", "07", "kid", "male", "contempt", "left")
    assert parse("rafd000_73_Moroccan_female_Surprised_FRONTAL.png")[1:] == (
        "000", "73", "moroccan", "female", "surprise", "frontal",
    )  # fmt: skip
    for word, emotion in zip(WORDS, labels.EMOTIONS, strict=True):
        assert parse(NAME.format("090", 1, "Caucasian_female", word, "right")).emotion == emotion
    for odd in (
        "Rafd091_01_Caucasian_female_angry_frontal.jpg", "Rafd090_01_Caucasian_female_bored_frontal.jpg",
        "Rafd090_01_Caucasian_female_angry_up.jpg", "Rafd090_01_Caucasian_angry_frontal.jpg",
        "Rafd090_01_Caucasian_female_angry_frontal (1).jpg", "x.jpg",
    ):  # fmt: skip
        assert parse(odd) is None, odd


def test_what_is_read(small):
    made = rafd.arrays(options(small))
    rows = {n: (p, i) for p in made for i, n in enumerate(made[p]["id"].tolist())}
    assert len(rows) == 7 * 8 * 3 and rafd.classes(options(small)) == labels.EMOTIONS
    part, i = rows["Rafd090_04_Kid_female_sad_left"]
    assert made[part]["subject"][i] == "rafd-04" and labels.EMOTIONS[made[part]["label"][i]] == "sadness"
    assert made[part]["image"].shape[1:] == (16, 16, 1) and made[part]["aus"].shape[1:] == (0,)
    people = {p: set(made[p]["subject"].tolist()) for p in made}
    assert sorted(map(len, people.values())) == [1, 1, 5] and len(set.union(*people.values())) == 7


def test_options(tmp_path, small):
    for gazes, count in (("frontal", 56), ("left, right", 112), ("all", 168)):
        made = rafd.arrays(options(small, gazes=gazes))
        assert sum(len(p["id"]) for p in made.values()) == count
    write_set(tmp_path, (1, 2, 3), ("045", "090", "180"), ("angry", "happy"), ("frontal",))
    for cameras, count in (("090", 6), ("045, 180", 12), ("all", 18)):
        assert sum(len(p["id"]) for p in rafd.arrays(options(tmp_path, cameras=cameras)).values()) == count
        assert len(rafd.files(options(tmp_path, cameras=cameras))) == count
    with pytest.raises(BadInput, match=r"no picture of cameras 000 with .*6 of camera 045, gaze frontal; 6"):
        rafd.arrays(options(tmp_path, cameras="000"))
    for key, value in (("cameras", "90"), ("cameras", ""), ("cameras", "all,090"), ("gazes", "up")):
        with pytest.raises(BadInput, match=rf"data.options.{key}: '.*is not known; write all, or some of"):
            rafd.checked({key: value})
    with pytest.raises(BadInput, match=r"data.options.crop: 'face' is not known"):
        rafd.checked({"crop": "face"})


@pytest.mark.parametrize("above", ["RaFD", "a/b/RaFD"])
def test_up_to_three_folders_above(tmp_path, above):
    write_set(tmp_path / above, (1, 2, 3), words=("sad", "happy"))
    assert len(rafd.files(options(tmp_path))) == 18


def test_people_are_apart_in_every_division(small, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    divisions = [load(small, tmp_path / "c")]
    divisions += [load(small, tmp_path / "c", kfolds=3, kfold=k) for k in range(3)]
    for made in divisions:
        sides = [set(part.subject.tolist()) for part in made[:3]]
        assert all(sides) and len(set.union(*sides)) == sum(map(len, sides)) == 7
    assert set.union(*(set(made.test.subject.tolist()) for made in divisions[1:])) == {
        f"rafd-{n:02d}" for n in range(1, 8)
    }


def test_the_seven_classes_of_the_paper(small, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    made = load(small, tmp_path / "c", map="without_contempt")
    assert made.train.classes == tuple(name for name in labels.EMOTIONS if name != "contempt")
    assert sum(len(part) for part in made[:3]) == 7 * 7 * 3


@pytest.mark.parametrize("colour", [False, True])
def test_builder_and_arrays_give_the_same(small, tmp_path, monkeypatch, colour):
    from data_pipelines.rafd import builder

    info = builder.Builder(data_dir=str(tmp_path / "t"), options=options(small, colour=colour)).info
    assert info.features["image"].shape == (16, 16, 3 if colour else 1) and "Langner" in info.citation
    with_tfds = load(small, tmp_path / "a", colour=colour)
    assert list((tmp_path / "a").glob("rafd/*/tfds/rafd/*/*.tfrecord*"))
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    without = load(small, tmp_path / "b", colour=colour)
    assert [p.hash for p in with_tfds[:3]] == [p.hash for p in without[:3]] and with_tfds[3:] == without[3:]
    path = rafd.files(options(small))[0]
    (image,) = (p.image[p.id == path.stem] for p in without[:3] if path.stem in p.id)
    read = faces.read_rgb(path) if colour else faces.read_grey(path)[..., None]
    np.testing.assert_array_equal(image[0], read)


def test_what_is_told(tmp_path, tmp_path_factory, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    write_set(tmp_path, (1, 2, 4))
    for name in ("Rafd090_02_Caucasian_female_angry_left.jpg", "Rafd090_02_Caucasian_female_sad_left.jpg"):
        (tmp_path / name).unlink()
    shutil.move(
        tmp_path / "Rafd090_04_Kid_female_sad_left.jpg", tmp_path / "Rafd090_04_Kid_male_sad_left.jpg"
    )
    save(tmp_path / "portrait.jpg", crop(1))
    (tmp_path / "readme.txt").write_text("x")
    (tmp_path / ".DS_Store").write_text("x")
    said = "\n".join(load(tmp_path, tmp_path_factory.mktemp("c")).findings)
    assert "rafd: 70 pictures, published 8,040; 3 people, published 67; 0 pictures of camera 000" in said
    assert "rafd: pictures whose names are not like RaFD's, passed over: 1 (portrait.jpg)" in said
    assert "rafd: other files, passed over: 1 (readme.txt)" in said
    assert "rafd: people with pictures missing: 1 (rafd-02: 22 of 24)" in said
    assert "by their pictures' names: 1 (rafd-04: Kid female, Kid male)" in said
    assert "divided by hash of the subject" in said and "DS_Store" not in said


def test_refused(tmp_path):
    with pytest.raises(BadInput, match=r"is no folder.*Rafd090_01_Caucasian_female_angry_frontal.jpg"):
        rafd.arrays(options(tmp_path / "gone"))
    with pytest.raises(BadInput, match="no RaFD here or up to 3 folders below; expected pictures like R"):
        rafd.arrays(options(write_set(tmp_path / "1/2/3/4/5", (1,)).parents[3]))
    place = write_set(tmp_path / "s", (1, 2, 3), words=("sad",))
    twice = place / "more" / "Rafd090_02_Caucasian_female_sad_left.jpg"
    save(twice, crop(1))
    with pytest.raises(BadInput, match=r"sad_left.jpg and .*sad_left.jpg: one picture twice; keep one"):
        rafd.arrays(options(place))
    twice.unlink()
    path = place / twice.name
    save(path, colours(1, 200))
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(BadInput, match=r"_02_Caucasian_female_sad_left.jpg: cannot be read \(truncated\)"):
        rafd.arrays(options(place))
    with pytest.raises(BadInput, match="2 subjects cannot be divided into train, validation and test"):
        rafd.arrays(options(write_set(tmp_path / "two", (1, 2), words=("sad",))))


def test_check(tmp_path, capsys):
    """Faces are looked for, and counted by camera."""
    pytest.importorskip("cv2")
    for camera in ("045", "090"):
        save(tmp_path / NAME.format(camera, 5, "Kid_male", "happy", "left"), photograph(0))
    save(tmp_path / NAME.format("090", 5, "Kid_male", "sad", "left"), np.full((90, 90), 50, np.uint8))
    assert main(["data", "check", "rafd", "--dir", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    rows = dict(re.findall(r"(?m)^(.*\S)  +([\d,]+) {3,}", said))
    assert re.search(r"(?m)^pictures +3 +8,040  differs$", said)
    assert rows["camera 045: faces found: frontal"] == rows["camera 090: faces found: frontal"] == "1"
    assert rows["camera 090: pictures without a face"] == "1"
    assert "rafd: no face found: 1 (Rafd090_05_Kid_male_sad_left)" in said


def test_faces_are_found_and_cut_out(tmp_path):
    pytest.importorskip("cv2")
    for who in (1, 2, 3):
        save(tmp_path / NAME.format("090", who, "Kid_male", "happy", "left"), photograph(who - 1))
    save(tmp_path / NAME.format("090", 1, "Kid_male", "sad", "left"), np.full((90, 90), 50, np.uint8))
    o = options(tmp_path, crop="detect", image_size=SIZE, colour=True)
    made = rafd.arrays(o)
    assert sum(len(p["id"]) for p in made.values()) == 3  # one has no face
    for part in made.values():
        for name, image in zip(part["id"].tolist(), part["image"], strict=True):
            found = faces.search(faces.read_rgb(tmp_path / f"{name}.jpg"))
            picture = faces.read_rgb(tmp_path / f"{name}.jpg")
            cut = faces.align(picture, found.left_eye, found.right_eye, SIZE)
            np.testing.assert_array_equal(image, cut)
    with pytest.raises(BadInput, match=r"no face is found in .*_01_Kid_male_sad_left.jpg; delete the row"):
        rafd.arrays({**o, "undetected": "fail"})


# Which way a camera's faces look.


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        (["profile"] * 9 + ["mirrored profile"] * 3, "profile"),
        (["mirrored profile"] * 6 + ["frontal", "", "profile"], "mirrored profile"),
        (["profile"] * 7 + ["mirrored profile"] * 5, ""),  # fewer than two thirds
        (["profile"] * 5 + ["frontal"] * 9, ""),  # five are too few
    ],
)
def test_most_faces_of_a_camera_say_how_all_are_turned(tmp_path, monkeypatch, how, expected):
    write_set(tmp_path, range(1, len(how) + 1), ("045", "090"), ("sad",), ("frontal",))

    def look_at_all(paths, crop, size, what):
        assert len(paths) == len(how) and "camera 045" in what
        return (pictures.Looked(None, word) for word in how)

    monkeypatch.setattr(pictures, "look_at_all", look_at_all)
    table = layout.scan(options(tmp_path, cameras="all")).table
    made = turned.turned(table)
    assert {row.facing for row in made.rows if layout.camera(row) == "045"} == {expected}
    assert {row.facing for row in made.rows if layout.camera(row) == "090"} == {""}
    assert [row._replace(facing="") for row in made.rows] == list(table.rows)


def test_so_turned_they_are_looked_for(tmp_path, monkeypatch):
    write_set(tmp_path, (1, 2, 3), ("045", "090"), ("sad",), ("frontal",))
    asked = {}

    def search(picture, facing=""):
        asked[facing] = asked.get(facing, 0) + 1
        return faces.Found(
            (0, 0, 9, 9), np.array([3.0, 4.0]), np.array([9.0, 4.0]), "box", facing or "frontal"
        )

    def turn(table):
        side = {"045": "profile"}
        return table._replace(rows=tuple(r._replace(facing=side.get(r.id[4:7], "")) for r in table.rows))

    monkeypatch.setattr(faces, "search", search)
    monkeypatch.setattr(rafd._set, "turned", turn)
    rafd.arrays(options(tmp_path, cameras="all", crop="detect"))
    assert asked == {"profile": 3, "": 3}


# The look-alike.


@pytest.fixture(scope="module")
def real(real_data, tmp_path_factory):
    place = tmp_path_factory.mktemp("look_alike")
    with tarfile.open(real_data / "ict_rafd.tar") as file:
        file.extractall(place, filter="data")
    return place


@pytest.mark.real_data
def test_look_alike(real):
    """Counts as its README has them, and what each name says as in its truth."""
    found = {what: n for what, n in layout.scan(options(real)).counted.items()}
    assert (found["pictures"], found["people"]) == (560, 14)
    assert [found[f"pictures of camera {c}"] for c in ("045", "090", "135")] == [112, 336, 112]
    assert [found[f"pictures with gaze {g}"] for g in layout.GAZES] == [336, 112, 112]
    assert all(found[f"pictures of {name}"] == 70 for name in labels.EMOTIONS)
    assert found["people: Caucasian female"] == 6 and found["people: Moroccan female"] == 2
    text = (real / "rafd" / "truth.csv").read_text().splitlines()
    head = text[0].split(",")
    truth = [dict(zip(head, line.split(","), strict=True)) for line in text[1:]]
    rows = {row.id: row for row in layout.scan(options(real, cameras="all")).table.rows}
    assert len(rows) == len(truth) == 560
    for row in truth:
        mine = rows[row["image"].rpartition("/")[2][:-4]]
        assert mine.label == labels.emotion(row["emotion"])
        assert mine.subject[-2:] == f"{int(row['subject'][-2:]):02d}"


@pytest.mark.real_data
def test_look_alike_by_the_detector(real):
    """Every picture from the front has a face; people are apart; turned ones are found as their camera is."""
    pytest.importorskip("cv2")
    made = rafd.arrays(options(real, crop="detect", colour=True, image_size=32))
    assert sum(len(p["id"]) for p in made.values()) == 336
    people = [set(p["subject"].tolist()) for p in made.values()]
    assert len(set.union(*people)) == sum(map(len, people)) == 14
    table = turned.turned(layout.scan(options(real, cameras="045,135", gazes="frontal")).table)
    table = table._replace(rows=table.rows[::2])
    how = Counter(zip((r.id[4:7] for r in table.rows), source.detected(table, "detect", 32), strict=True))
    assert how["045", "profile"] >= 54 and how["135", "mirrored profile"] >= 54
    assert not how["045", ""] + how["135", ""]
