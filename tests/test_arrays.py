import dataclasses
import json
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from ml_collections import config_dict

from data_pipelines import BadInput, arrays, exported, prepared, split

ROOT = Path(__file__).parents[1]


def make(n=40, name="made/train", size=6, channels=1, seed=0, subjects=False, prefix="r"):
    rng = np.random.default_rng(seed)
    return arrays.Split(
        name=name,
        image=rng.integers(0, 256, (n, size, size, channels), np.uint8),
        label=np.arange(n) % 3,
        aus=rng.choice(np.array([-1, 0, 3, 9], np.int8), (n, 2)),
        subject=[f"s{row % 5}" if subjects else "" for row in range(n)],
        id=[f"{prefix}{row:03d}" for row in range(n)],
        classes=("anger", "fear", "neutral"),
        au_names=("AU01", "AU12"),
    )


def same(a, b):
    assert (a.name, a.classes, a.au_names, a.hash) == (b.name, b.classes, b.au_names, b.hash)
    for field in split.FIELDS:
        x, y = getattr(a, field), getattr(b, field)
        np.testing.assert_array_equal(x, y)
        assert x.dtype.kind == y.dtype.kind


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("image", np.zeros((40, 6, 6, 1)), "not uint8"),
        ("image", np.zeros((40, 6, 6), np.uint8), "not uint8"),
        ("label", np.zeros(39), "label is"),
        ("label", np.full(40, 3), "a label is not -1 to 2"),
        ("aus", np.zeros((40, 3)), "aus is"),
        ("aus", np.full((40, 2), 7), "AU code"),
        ("subject", ["s"], "subject is"),
        ("id", ["same"] * 40, "ids repeat"),
    ],
)
def test_split_checks_itself(field, value, words):
    with pytest.raises(ValueError, match=words):
        dataclasses.replace(make(), **{field: value})


def test_split_types_and_subjects():
    made = make(subjects=True)
    assert (made.label.dtype, made.aus.dtype, made.id.dtype.kind) == (np.int32, np.int8, "U")
    assert made.subjects == ("s0", "s1", "s2", "s3", "s4")
    np.testing.assert_array_equal(made.subject_code, np.arange(40) % 5)
    np.testing.assert_array_equal(make().subject_code, -1)


def test_hash_sees_ids_labels_and_pixels():
    made = make()
    other_image, other_label, other_id = made.image.copy(), made.label.copy(), made.id.copy()
    other_image[3, 2, 2, 0] ^= 1
    other_label[0] = 1
    other_id[0] = "x"
    changed = [
        dataclasses.replace(made, **change)
        for change in ({"image": other_image}, {"label": other_label}, {"id": other_id})
    ]
    assert len({made.hash, *(split.hash for split in changed)}) == 4
    assert made.hash == make().hash == dataclasses.replace(made, name="another").hash


@pytest.mark.parametrize("kwargs", [{}, {"subjects": True, "channels": 3}, {"n": 0}])
def test_save_and_load(tmp_path, kwargs):
    made = make(**kwargs)
    made.save(tmp_path / "folder" / "x.npz")
    same(made, arrays.Split.load(tmp_path / "folder" / "x.npz"))
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["x.npz"]  # no temporary file is left


def test_load_refuses(tmp_path):
    path = tmp_path / "x.npz"
    with pytest.raises(BadInput, match="no such file"):
        arrays.Split.load(path)
    make().save(path)
    whole = path.read_bytes()
    for damaged in (b"", b"not a zip", whole[: len(whole) // 2], whole[:700] + b"\xff" * 9 + whole[709:]):
        path.write_bytes(damaged)
        with pytest.raises(BadInput, match=r"x\.npz"):
            arrays.Split.load(path)
    np.savez(path, name=np.array([{}], object))  # would have to be unpickled
    with pytest.raises(BadInput, match="not a readable Split"):
        arrays.Split.load(path)


def test_tenth_keeps_copies_and_subjects_together():
    made = make(n=600)
    image = made.image.copy()
    image[300:] = image[:300]
    train, tenth = split.split_tenth(dataclasses.replace(made, image=image))
    assert len(train) + len(tenth) == 600
    assert 30 < len(tenth) < 90
    assert not set(split.hash_rows(train.image)) & set(split.hash_rows(tenth.image))
    people = dataclasses.replace(made, subject=[f"s{row % 60}" for row in range(600)])
    train, tenth = split.split_tenth(people)
    assert len(tenth)
    assert not set(train.subjects) & set(tenth.subjects)
    reverse = people.take(np.arange(600)[::-1])
    assert set(split.split_tenth(reverse)[1].id) == set(
        tenth.id
    )  # a row's side does not depend on the others


def test_stratified():
    made = make(n=90)
    uneven = made.take(np.flatnonzero((made.label == 0) | (np.arange(90) < 45)))  # 30, 15, 15
    chosen = uneven.take(split.stratified(uneven, 12))
    np.testing.assert_array_equal(np.bincount(chosen.label), [6, 3, 3])
    assert len(split.stratified(uneven, 1000)) == 60
    assert set(chosen.id) < set(uneven.take(split.stratified(uneven, 24)).id)


def test_resize():
    flat = dataclasses.replace(make(channels=3), image=np.full((40, 6, 6, 3), 77, np.uint8))
    for size in (3, 6, 9):
        image = split.resize(flat, size).image
        assert image.shape == (40, size, size, 3)
        assert (image == 77).all()
    checks = dataclasses.replace(
        make(n=1), image=np.indices((8, 8)).sum(0)[None, :, :, None].astype(np.uint8) % 2 * 200
    )
    assert np.ptp(split.resize(checks, 4).image) < 60  # antialiased: no aliasing to all black or all white


def test_duplicates():
    image = np.zeros((6, 2, 2, 1), np.uint8)
    image[:, 0, 0, 0] = [1, 1, 2, 3, 1, 2]
    parts = {
        "a": {"image": image[:4], "label": np.array([0, 0, 1, 1])},
        "b": {"image": image[4:], "label": np.array([2, 1])},
    }
    assert split.duplicates(parts) == {"groups": 2, "conflicting": 1, "rows": 5, "across": {("a", "b"): 2}}


# Parts.


THEIRS = "a division of theirs, with copies"


def export(folder, published=THEIRS):
    """Parts that share images, as published divisions do."""
    train, select, test = (
        make(30, f"made/{part}", seed=seed, prefix=part)
        for seed, part in enumerate(("train", "select", "test"))
    )
    image = train.image.copy()
    image[0] = 9  # blank
    image[1], image[2] = select.image[1], test.image[0]
    chosen = select.image.copy()
    chosen[5] = test.image[3]
    train, select = dataclasses.replace(train, image=image), dataclasses.replace(select, image=chosen)
    parts = arrays.Parts(train, select, test, "select", ("told",), published)
    exported.write(parts, folder)
    return parts


def test_export_and_load(tmp_path):
    parts = export(tmp_path)
    read = arrays.load_parts({"name": "npz", "dir": str(tmp_path)})
    for a, b in zip(parts[:3], read[:3], strict=True):
        same(a, b)
    assert (read.selection, read.findings, read.published) == ("select", ("told",), THEIRS)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "parts.json",
        "select.npz",
        "test.npz",
        "train.npz",
    ]


def test_takes_a_config(tmp_path):
    export(tmp_path)
    data = config_dict.ConfigDict({"name": "npz", "dir": str(tmp_path), "options": {}, "unknown": 1})
    assert len(arrays.load_parts(data).train) == 30


def test_exclusions_and_limit(tmp_path):
    export(tmp_path, published="")
    data = {"name": "npz", "dir": str(tmp_path)}
    read = arrays.load_parts({**data, "exclude_blank": True, "exclude_duplicates": "across"})
    assert set(read.train.id) == {f"train{row:03d}" for row in range(3, 30)}
    assert set(read.select.id) == {f"select{row:03d}" for row in range(30)} - {"select005"}
    assert len(read.test) == 30
    assert read.findings == (
        "told",
        "excluded 1 blank images from train",
        "excluded 2 images from train that are also on a later side",
        "excluded 1 images from select that are also on a later side",
    )
    small = arrays.load_parts({**data, "limit": 6, "image_size": 4, "published": THEIRS})
    assert [len(part) for part in small[:3]] == [6, 6, 6]
    assert small.train.image.shape == (6, 4, 4, 1)
    np.testing.assert_array_equal(np.bincount(small.test.label), [2, 2, 2])


def test_folds_of_an_export_are_no_published_division(tmp_path):
    """They are ours, so copies in two of them are refused, whatever the exported parts were."""
    parts = export(tmp_path)
    data = {"name": "npz", "dir": str(tmp_path), "kfolds": 3}
    assert arrays.load_parts(data).published == ""  # copies stay together where nobody is known
    for name, part in zip(("train", "select", "test"), parts[:3], strict=True):
        people = [f"{name}-{row % 5}" for row in range(30)]
        dataclasses.replace(part, subject=people).save(tmp_path / f"{name}.npz")
    for fold in range(3):
        with pytest.raises(BadInput, match=r"share . images?, pixel for pixel"):
            arrays.load_parts({**data, "kfold": fold})
    assert arrays.load_parts({**data, "kfolds": 0}).published == THEIRS


@pytest.mark.parametrize("part", ["train", "select", "test"])
@pytest.mark.parametrize("more", [{}, {"exclude_blank": True, "exclude_duplicates": "across"}])
def test_a_part_without_images_is_named(tmp_path, part, more):
    parts = export(tmp_path, published="")
    for name in ("train", "select", "test"):
        rows = np.arange(10, 10 if name == part else 30)  # past the copies
        getattr(parts, name).take(rows).save(tmp_path / f"{name}.npz")
    with pytest.raises(BadInput, match=rf"data: no image is left in {part} \(made/{part}\)"):
        arrays.load_parts({"name": "npz", "dir": str(tmp_path), **more})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "nowhere"}, "data.name: no data set 'nowhere'; there are .*fer2013.*npz"),
        ({"name": "a.b"}, "no data set"),
        ({"exclude_duplicates": "all"}, "exclude_duplicates"),
        ({"dir": ""}, "data.dir"),
        ({"dir": "/nowhere"}, "data.dir: '/nowhere' is no folder; name the one with train.npz"),
        ({"dir": "no/where"}, f"'no/where' is no folder in {re.escape(os.getcwd())}; .*--config.data.dir="),
        (
            {"name": "fer2013", "options": {"colour": 1}},
            "data.options.colour: fer2013 has no such option; it has dir",
        ),
    ],
)
def test_load_parts_refuses(tmp_path, change, words):
    with pytest.raises(BadInput, match=words):
        arrays.load_parts({"name": "npz", "dir": str(tmp_path), **change})


def test_npz_refuses_other_classes(tmp_path):
    export(tmp_path)
    other = arrays.Split.load(tmp_path / "test.npz")
    dataclasses.replace(other, classes=("a", "b", "c")).save(tmp_path / "test.npz")
    with pytest.raises(BadInput, match="different classes"):
        arrays.load_parts({"name": "npz", "dir": str(tmp_path)})
    (tmp_path / "parts.json").write_text("{")
    with pytest.raises(BadInput, match=r"parts\.json"):
        arrays.load_parts({"name": "npz", "dir": str(tmp_path)})


# The cache.


@pytest.fixture
def counted(tmp_path, monkeypatch):
    """A set that counts how often it is read, without TensorFlow."""
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "__init__.py").write_text("# code")
    source = tmp_path / "source"
    source.mkdir()
    (source / "x.txt").write_text("1")
    module = types.ModuleType("data_pipelines.counted")
    module.__file__ = str(folder / "__init__.py")
    module.CLASSES, module.AU_NAMES, module.reads = ("anger", "fear", "neutral"), ("AU01", "AU12"), 0

    def read(options):
        module.reads += 1
        made = make()
        return {"train": {field: getattr(made, field)[::-1] for field in split.FIELDS}}

    module.arrays = read
    options = {"dir": str(source), "colour": "grey", "select": "auto"}
    return module, options, tmp_path / "cache"


def load(counted, **options):
    module, defaults, cache = counted
    return prepared.load_splits(module, {**defaults, **options}, str(cache))["train"]


def test_cache_is_used_and_renewed(counted, tmp_path):
    module = counted[0]
    first = load(counted)
    assert list(first.id) == sorted(first.id)
    same(first, load(counted))
    load(counted, select="tenth")
    assert module.reads == 1
    load(counted, colour="blue")
    assert module.reads == 2
    os.utime(tmp_path / "source" / "x.txt", (1, 1))
    load(counted)
    assert module.reads == 3
    (tmp_path / "source" / "y.txt").write_text("")
    load(counted)
    assert module.reads == 4
    (tmp_path / "code" / "__init__.py").write_text("# other code")
    load(counted)
    assert module.reads == 5


@pytest.mark.parametrize("file", ["train.npz", "splits.json"])
def test_damaged_cache_is_built_again(counted, file, caplog):
    module, _, cache = counted
    first = load(counted)
    (path,) = cache.glob(f"counted/*/{file}")
    path.write_bytes(path.read_bytes()[:-30])
    same(first, load(counted))
    assert module.reads == 2
    assert "damaged" in caplog.text
    path.unlink()
    same(first, load(counted))
    same(first, load(counted))
    assert module.reads == 3


def test_unwritable_cache(counted, tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(BadInput, match=r"data\.cache_dir"):
        load(counted)


def test_an_unreadable_source_is_not_the_caches_fault(counted):
    def read(options):
        raise PermissionError(13, "Permission denied", "source/x.txt")

    counted[0].arrays = read
    with pytest.raises(PermissionError, match=r"source/x\.txt"):
        load(counted)


def test_a_cache_that_fills_up_is_named(counted, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(arrays.Split, "save", full)
    with pytest.raises(BadInput, match=r"data\.cache_dir: .*No space left on device"):
        load(counted)


@pytest.mark.parametrize(
    ("name", "words"),
    [("npz", "data check npz: npz is exported parts; nothing"), ("facsynth", "facsynth is made, not read")],
)
def test_what_cannot_be_checked(name, words):
    with pytest.raises(BadInput, match=words):
        arrays.print_check(name, "")


def test_default_division_is_by_name():
    splits = {name: make() for name in ("train", "validation", "test")}
    assert arrays.Parts(*arrays._train_validation_test({}, splits)).select is splits["validation"]


def test_works_without_tensorflow_and_imports_none_of_it(tmp_path):
    """The whole way to batches for the device, with TensorFlow not to be had."""
    export(tmp_path)
    code = f"""
import sys
sys.modules["tensorflow"] = sys.modules["tensorflow_datasets"] = None
from data_pipelines import BadInput, arrays, input
parts = arrays.load_parts({{"name": "npz", "dir": {json.dumps(str(tmp_path))}}})
batch = input.gather(input.resident(parts.train), next(input.row_batches(30, 4, 0)))
assert batch["image"].shape == (4, 6, 6, 1)
try:
    input.host_batches(parts.train, 4, 0)
except BadInput as error:
    assert "needs TensorFlow" in str(error)
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=60)


@pytest.mark.parametrize("name", ["fer2013", "ck_plus"])
def test_a_set_whose_folder_is_not_named_is_refused_in_a_line(name, tmp_path):
    with pytest.raises(BadInput, match=r"^data.dir: '' is no folder; name the one with .*data.dir=FOLDER$"):
        arrays.load_parts({"name": name, "cache_dir": str(tmp_path)})
