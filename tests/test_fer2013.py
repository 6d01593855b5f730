import shutil
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image

from data_pipelines import BadInput, arrays, fer2013, labels
from data_pipelines.fer2013 import source, tables

FOLDERS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")  # in the order of the codes
USAGES = ("Training", "Training", "Training", "PublicTest", "PrivateTest")
VOTES_HEADER = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"


def grey(seed):
    return np.random.default_rng(seed).integers(0, 256, (48, 48), np.uint8)


def rows(n=35):
    """(code, image, Usage), each class in each Usage."""
    return [(row % 7, grey(row), USAGES[row // 7]) for row in range(n)]


def write_csv(folder, name="fer2013.csv", made=None):
    folder.mkdir(parents=True, exist_ok=True)
    kaggle = name == "icml_face_data.csv"
    lines = ["emotion, Usage, pixels" if kaggle else "emotion,pixels,Usage"]
    for code, image, usage in rows() if made is None else made:
        pixels = " ".join(map(str, image.ravel().tolist()))
        lines.append(f"{code},{usage},{pixels}" if kaggle else f"{code},{pixels},{usage}")
    (folder / name).write_text("\n".join(lines) + "\n")
    return folder / name


def write_folders(folder, validation=False, prefix=True, names=FOLDERS, suffix=".png", private=True):
    """As PNG, which keeps the pixels; the circulating JPEGs are what the real-data test reads."""
    for row, (code, image, usage) in enumerate(rows()):
        if usage == "PrivateTest" and not private:
            continue
        part = {"Training": "train", "PublicTest": "validation" if validation else "test"}.get(usage, "test")
        place = folder / part / names[code]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{f'{usage}_' if prefix else 'im'}{row:03d}{suffix}")
    return folder


def counts(splits):
    return {name: np.bincount(split["label"], minlength=7).tolist() for name, split in splits.items()}


WHOLE = {"train": [3] * 7, "public_test": [1] * 7, "private_test": [1] * 7}


@pytest.mark.parametrize("name", source.CSV_NAMES)
def test_csv(tmp_path, name):
    write_csv(tmp_path, name)
    splits = source.read(str(tmp_path))
    assert counts(splits) == WHOLE
    np.testing.assert_array_equal(splits["train"]["image"][9, :, :, 0], grey(9))
    np.testing.assert_array_equal(splits["private_test"]["image"][2, :, :, 0], grey(30))
    assert splits["private_test"]["id"][2] == f"{name}:00031"
    assert splits["train"]["image"].shape == (21, 48, 48, 1)
    assert splits["train"]["aus"].shape == (21, 0)


@pytest.mark.parametrize("validation", [False, True])
@pytest.mark.parametrize("prefix", [False, True])
@pytest.mark.parametrize("names", [FOLDERS, "0123456", tuple(name.title() for name in FOLDERS)])
def test_folders(tmp_path, validation, prefix, names, caplog):
    write_folders(tmp_path, validation, prefix, names)
    splits = source.read(str(tmp_path))
    if prefix or validation:
        assert counts(splits) == WHOLE
        assert ("PublicTest or PrivateTest" in caplog.text) == (not prefix)
    else:
        assert counts(splits) == {"train": [3] * 7, "public_test": [2] * 7}
        assert "taken as public_test" in caplog.text
    assert ("read as FER2013's codes" in caplog.text) == (names == "0123456")
    of_happy = splits["train"]["id"] == f"train/{names[3]}/{'Training_' if prefix else 'im'}010.png"
    assert splits["train"]["label"][of_happy].tolist() == [3]
    np.testing.assert_array_equal(splits["train"]["image"][of_happy][0, :, :, 0], grey(10))


def test_doubled_folders_and_junk(tmp_path):
    write_folders(tmp_path / "archive" / "fer2013")
    inner = tmp_path / "archive" / "fer2013"
    shutil.move(inner / "train", inner / "moved")
    (inner / "train").mkdir()
    shutil.move(inner / "moved", inner / "train" / "train")
    (tmp_path / "__MACOSX" / "train" / "angry").mkdir(parents=True)
    for place in (tmp_path, inner, inner / "train", inner / "train" / "train", inner / "test" / "sad"):
        for junk in (".DS_Store", "Thumbs.db", "._x.jpg", "x.lnk"):
            (place / junk).write_text("junk")
    assert counts(source.read(str(tmp_path))) == WHOLE
    folder = tmp_path / "with_csv" / "fer2013" / "fer2013"
    write_csv(folder)
    assert source.find(str(tmp_path / "with_csv")) == ("csv", folder / "fer2013.csv")


def damage_csv(text, change):
    lines = text.split("\n")
    lines[4] = change(lines[4])  # row 4
    return "\n".join(lines)


def replace_pixel(value):
    def change(line):
        emotion, pixels, usage = line.split(",")
        pixels = pixels.split()
        pixels[9] = value
        return f"{emotion},{' '.join(pixels)},{usage}"

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda line: line[:3000], r"row 4: 2 fields where the header has 3; the file may be cut off"),
        (lambda line: line.replace(" ", ",", 1), r"row 4: 4 fields"),
        (lambda line: line[:2] + line[line.index(" ") :], r"row 4: 2303 pixels, 2304 \(48x48\) expected"),
        (replace_pixel("256"), r"row 4: pixel 10 is '256'; grey values are 0 to 255"),
        (replace_pixel("-1"), r"row 4: pixel 10 is '-1'"),
        (replace_pixel("1.5"), r"row 4: pixel 10 is '1.5'"),
        (replace_pixel("x"), r"row 4: pixel 10 is 'x'"),
        (lambda line: "7" + line[1:], r"row 4: emotion is '7'; FER2013's codes are 0 to 6"),
        (lambda line: "happy" + line[1:], r"row 4: emotion is 'happy'"),
        (
            lambda line: line.replace("Training", "Train"),
            r"row 4: Usage is 'Train'; expected Training, PublicTest",
        ),
        (lambda line: "9" * 200_000, r"not a csv file"),
    ],
)
def test_csv_mistakes(tmp_path, change, words):
    path = write_csv(tmp_path)
    path.write_text(damage_csv(path.read_text(), change))
    with pytest.raises(BadInput, match=r"fer2013\.csv.*" + words) as error:
        source.read(str(tmp_path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", r"lacks emotion, pixels, Usage"),
        ("emotion,pixels\n0,1 2\n", r"the header is 'emotion,pixels' and lacks Usage; expected the columns"),
        ("emotion,pixels,Usage\n", r"no rows"),
    ],
)
def test_csv_headers(tmp_path, text, words):
    (tmp_path / "fer2013.csv").write_text(text)
    with pytest.raises(BadInput, match=words):
        source.read(str(tmp_path))


def test_missing_and_unknown_folders(tmp_path):
    for folder in ("", str(tmp_path / "nowhere")):
        with pytest.raises(BadInput, match=r"data\.dir: .* is no folder"):
            source.read(folder)
    with pytest.raises(BadInput, match="no FER2013 in any known form; expected"):
        source.read(str(tmp_path))
    write_csv(tmp_path, made=[row for row in rows() if row[2] != "Training"])
    with pytest.raises(BadInput, match="no Training images"):
        source.read(str(tmp_path))
    with pytest.raises(BadInput, match=r"data\.labels"):
        source.read(str(tmp_path), "both")


def damage(kind, folder):
    happy = folder / "train" / "happy"
    first = sorted(happy.iterdir())[0]
    if kind == "truncated":
        Image.fromarray(grey(0)).save(happy / "Training_x.jpg")
        whole = (happy / "Training_x.jpg").read_bytes()
        (happy / "Training_x.jpg").write_bytes(whole[: len(whole) // 2])
    elif kind == "not an image file":
        first.write_text("no image")
    elif kind == "49x48 pixels":
        Image.fromarray(np.zeros((48, 49), np.uint8)).save(first)
    elif kind == "empty class folder":
        shutil.rmtree(happy)
        happy.mkdir()
    elif kind == "no class of FER2013":
        happy.rename(folder / "train" / "contempt")
    elif kind == "codes are 0 to 6":
        happy.rename(folder / "train" / "7")
    elif kind == "not an image;":
        (happy / "readme.doc").write_text("")
    elif kind == "no class folders":
        shutil.rmtree(folder / "test")
        (folder / "test").mkdir()
    elif kind == "both Training and train":
        (folder / "Training").mkdir()


@pytest.mark.parametrize(
    "kind",
    [
        "truncated",
        "not an image file",
        "49x48 pixels",
        "empty class folder",
        "no class of FER2013",
        "codes are 0 to 6",
        "not an image;",
        "no class folders",
        "both Training and train",
    ],
)
def test_folder_mistakes(tmp_path, kind):
    damage(kind, write_folders(tmp_path))
    with pytest.raises(BadInput, match=kind) as error:
        source.read(str(tmp_path))
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)


def test_alphabetical_numbers_are_refused(tmp_path, monkeypatch):
    published = {"train": (1, 2, 3, 4, 5, 6, 7), "public_test": (1,) * 7, "private_test": (1,) * 7}
    monkeypatch.setattr(source, "PUBLISHED", published)
    of = dict(zip(labels.FER2013_CLASSES, published["train"], strict=True))
    for number, name in enumerate(source.ALPHABETICAL):
        (tmp_path / "train" / str(number)).mkdir(parents=True)
        for row in range(of[name]):
            Image.fromarray(grey(row)).save(tmp_path / "train" / str(number) / f"{row}.png")
    with pytest.raises(BadInput, match="alphabetically"):
        source.read(str(tmp_path))


# FER+.


@pytest.mark.parametrize(
    ("votes", "name"),
    [
        ((10, 0, 0, 0, 0, 0, 0, 0, 0, 0), "neutral"),
        ((4, 0, 0, 1, 3, 2, 0, 0, 0, 0), None),  # 4 of 9
        ((4, 0, 0, 1, 3, 1, 0, 0, 1, 0), "neutral"),  # 4 of 7: single votes count nothing
        ((5, 0, 0, 5, 0, 0, 0, 0, 0, 0), None),  # half is no majority
        ((4, 0, 0, 1, 0, 0, 0, 0, 5, 0), None),  # unknown has it
        ((0, 0, 0, 0, 0, 0, 0, 0, 0, 10), None),  # not a face
        ((1, 1, 1, 1, 1, 1, 1, 1, 1, 1), None),
        ((0, 0, 0, 0, 2, 0, 0, 6, 2, 0), "contempt"),
    ],
)
def test_ferplus_majority(votes, name):
    (label,) = tables.ferplus_majority(np.array([votes]))
    assert label == (-1 if name is None else labels.FERPLUS_CLASSES.index(name))


def write_votes(folder, change=lambda lines: lines):
    lines = [VOTES_HEADER]
    for row, (_, _, usage) in enumerate(rows()):
        votes = [0] * 10
        votes[row % 10] = 10  # the ninth and tenth are unknown and NF
        name = "" if row % 10 == 9 else f"fer{row:07d}.png"
        lines.append(",".join([usage, name, *map(str, votes)]))
    (folder / "fer2013new.csv").write_text("\n".join(change(lines)) + "\n")


def test_ferplus(tmp_path):
    write_csv(tmp_path)
    with pytest.raises(BadInput, match=r"fer2013new\.csv: no such file"):
        source.read(str(tmp_path), "ferplus")
    write_votes(tmp_path)
    splits = source.read(str(tmp_path), "ferplus")
    expected = [row % 10 if row % 10 < 8 else -1 for row in range(35)]
    found = np.concatenate([splits[name]["label"] for name in ("train", "public_test", "private_test")])
    np.testing.assert_array_equal(found, expected)
    data = {
        "name": "fer2013",
        "dir": str(tmp_path),
        "labels": "ferplus",
        "cache_dir": str(tmp_path / "cache"),
    }
    parts = arrays.load_parts(data)
    assert parts.train.classes == labels.FERPLUS_CLASSES
    assert [len(part) for part in parts[:3]] == [17, 7, 5]
    assert "fer2013 train: 4 of 21 images have no FER+ majority and are left out" in parts.findings
    assert ("train images without a FER+ majority", 4, None) in fer2013.check(str(tmp_path))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda lines: lines[:-1], r"34 rows where fer2013.csv has 35"),
        (lambda lines: [*lines, lines[-1]], r"36 rows where"),
        (
            lambda lines: [lines[0], *lines[:0:-1]],
            r"row 1: Usage is 'PrivateTest' where fer2013.csv has another",
        ),
        (
            lambda lines: [lines[0], lines[1].replace("10", "ten"), *lines[2:]],
            r"row 1: a vote is not a whole",
        ),
        (lambda lines: [lines[0].replace("contempt", "scorn"), *lines[1:]], r"lacks contempt"),
    ],
)
def test_ferplus_mistakes(tmp_path, change, words):
    write_csv(tmp_path)
    write_votes(tmp_path, change)
    with pytest.raises(BadInput, match=r"fer2013new\.csv.*" + words):
        source.read(str(tmp_path), "ferplus")


def test_ferplus_needs_the_csv(tmp_path):
    write_folders(tmp_path)
    write_votes(tmp_path)
    with pytest.raises(BadInput, match="cannot be joined to a copy in folders"):
        source.read(str(tmp_path), "ferplus")


# What becomes of it.


def test_division(tmp_path):
    options = {**fer2013.OPTIONS, "dir": str(tmp_path)}
    write_csv(tmp_path, made=[(row % 7, grey(row), USAGES[row % 5]) for row in range(200)])
    splits = {
        name: arrays.Split(name=name, classes=fer2013.CLASSES, au_names=(), **split)
        for name, split in fer2013.arrays(options).items()
    }
    parts = arrays.Parts(*fer2013.parts(options, splits))
    assert [part.name for part in parts[:3]] == ["train", "public_test", "private_test"]
    assert parts.selection == "PublicTest"
    tenth = arrays.Parts(*fer2013.parts({**options, "select": "tenth"}, splits))
    assert (tenth.test.name, tenth.selection) == (
        "private_test",
        "a hashed tenth of Training (data.select = tenth)",
    )
    assert sorted([*tenth.train.id, *tenth.select.id]) == sorted(splits["train"].id)
    for held_out, lacking in (("public_test", "PrivateTest"), ("private_test", "PublicTest")):
        some = {name: splits[name] for name in ("train", held_out)}
        parts = arrays.Parts(*fer2013.parts(options, some))
        assert parts.test.name == held_out
        assert parts.selection == f"a hashed tenth of Training ({lacking} is not on disk)"
        assert set(parts.select.id) == set(tenth.select.id)
    with pytest.raises(BadInput, match="neither PublicTest nor PrivateTest"):
        fer2013.parts(options, {"train": splits["train"]})
    with pytest.raises(BadInput, match=r"data\.select"):
        fer2013.parts({**options, "select": "best"}, splits)


def test_check(tmp_path, capsys):
    made = rows()
    made[8] = (1, made[0][1], "Training")  # the same image, labelled otherwise
    made[22] = (1, made[1][1], "PublicTest")  # the same image on the other side
    made[30] = (2, np.full((48, 48), 7, np.uint8), "PrivateTest")
    write_csv(tmp_path, made=made)
    found = {what: (n, published) for what, n, published in fer2013.check(str(tmp_path))}
    assert found["train images"] == (21, 28709)
    assert found["private_test happiness"] == (1, 879)
    assert found["private_test blank images"] == (1, None)
    assert found["train blank images"] == (0, None)
    assert found["groups of identical images"] == (2, None)
    assert found["such groups with several labels"] == (1, None)
    assert found["such groups in both train and public_test"] == (1, None)
    assert found["such groups in both train and private_test"] == (0, None)
    assert arrays.print_check("fer2013", str(tmp_path)) == 0
    assert "differs" in capsys.readouterr().out


def test_published_counts_add_up():
    assert [sum(source.PUBLISHED[name]) for name in source.USAGES.values()] == [28709, 3589, 3589]


def test_builder_and_arrays_give_the_same(tmp_path, monkeypatch):
    write_folders(tmp_path / "source", private=False)
    data = {"name": "fer2013", "dir": str(tmp_path / "source")}
    with_tfds = arrays.load_parts({**data, "cache_dir": str(tmp_path / "a")})
    assert list((tmp_path / "a").glob("fer2013/*/tfds/fer2013/*/*.tfrecord*"))
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    without = arrays.load_parts({**data, "cache_dir": str(tmp_path / "b")})
    assert not list((tmp_path / "b").glob("fer2013/*/tfds"))
    assert (
        with_tfds.selection == without.selection == "a hashed tenth of Training (PrivateTest is not on disk)"
    )
    assert with_tfds.findings == without.findings
    assert "fer2013 train: 3 images of happiness, published 7215" in without.findings
    for a, b in zip(with_tfds[:3], without[:3], strict=True):
        assert a.hash == b.hash
        assert a.name == b.name
    monkeypatch.undo()
    again = arrays.load_parts({**data, "cache_dir": str(tmp_path / "a")})
    assert again.train.hash == with_tfds.train.hash


def test_builder_describes_itself(tmp_path):
    from data_pipelines.fer2013 import builder

    info = builder.Builder(data_dir=str(tmp_path), options={"labels": "ferplus"}).info
    assert info.metadata["classes"] == list(labels.FERPLUS_CLASSES)
    assert "goodfellow2013challenges" in info.citation
    assert "Licence" in info.description


# Real data.


@pytest.fixture(scope="module")
def real(real_data, tmp_path_factory):
    place = tmp_path_factory.mktemp("fer2013")
    with zipfile.ZipFile(real_data / "fer2013_images.zip") as file:
        file.extractall(place)
    return place


@pytest.mark.real_data
def test_real_copy(real, tmp_path):
    found = {what: (n, published) for what, n, published in fer2013.check(str(real))}
    for what, (n, published) in found.items():
        if published is not None:
            assert n == (0 if what.startswith("private_test") else published), what
    assert found["groups of identical images"][0] == 1273
    assert found["such groups with several labels"][0] == 47
    assert found["such groups in both train and public_test"][0] == 270
    assert (found["train blank images"][0], found["public_test blank images"][0]) == (11, 1)
    data = {"name": "fer2013", "dir": str(real), "cache_dir": str(tmp_path), "exclude_duplicates": "across"}
    parts = arrays.load_parts({**data, "exclude_blank": True})
    assert [len(part) for part in parts[:3]] == [25486, 2872, 3589]
    assert parts.test.hash.startswith("558c4c97b014")
