"""CK+ as others use it: folds of people, the builder, counts; and the look-alike, where its archive is."""

import csv
import hashlib
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from ck_plus_files import SET, SIZE, as_split, options, read, told, write_set
from PIL import Image

from data_pipelines import BadInput, arrays, ck_plus, coded, faces, labels
from data_pipelines.arrays import load_parts
from data_pipelines.ck_plus import layout, source, tables
from data_pipelines.prepared import load_splits
from data_pipelines.split import Split
from data_pipelines.tfds_examples import examples

# Folds.


def many(n, unlabelled=3):
    """A Split of n subjects with an emotion, four rows each, and some without; all have codes."""
    names = [f"ckplus-S{number:03d}" for number in range(5, 5 + n + unlabelled) for _ in range(4)]
    rows = len(names)
    label = np.where(np.arange(rows) < 4 * n, np.arange(rows) % 8, -1)
    return Split(
        name="ck_plus/frames",
        image=np.zeros((rows, 2, 2, 1), np.uint8),
        label=label,
        aus=np.zeros((rows, len(ck_plus.AU_NAMES))),
        subject=np.array(names),
        id=np.array([f"{row:04d}" for row in range(rows)]),
        classes=ck_plus.CLASSES,
        au_names=ck_plus.AU_NAMES,
    )


@pytest.mark.parametrize(
    ("rows", "people"), [("emotion", (23, 0)), ("emotion", (20, 3)), ("facs", (20, 3))], ids=str
)
def test_folds_are_apart_by_subject_and_cover_all(rows, people):
    """Those without an emotion are divided too, whether their rows take part or not."""
    split = many(*people)
    taken = split.id[(split.label >= 0) | (rows == "facs")].tolist()
    divided = ck_plus.folds(split.subjects, 10)
    tested = []
    for fold in range(10):
        options = {"folds": 10, "fold": fold, "rows": rows}
        train, select, test, words = ck_plus.parts(options, {"frames": split})
        sides = [set(part.subject.tolist()) for part in (train, select, test)]
        assert not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])
        assert sorted([*train.id, *select.id, *test.id]) == taken
        in_fold = {name for name, part in divided.items() if part == fold}
        assert sides[2] == in_fold & set(split.subject[np.isin(split.id, taken)].tolist())
        assert words == f"fold {(fold + 1) % 10} of 10 by subject, numbered from 0 (fold {fold} is reported)"
        assert test.name == f"ck_plus/frames[test, fold {fold} of 10]"
        after = ck_plus.parts({**options, "fold": (fold + 1) % 10}, {"frames": split})[2]
        assert select.id.tolist() == after.id.tolist()
        tested += test.id.tolist()
    assert sorted(tested) == taken
    assert sorted(np.bincount(list(divided.values()))) == [2] * 7 + [3] * 3


def test_folds_come_from_the_names_alone():
    names = [f"ckplus-S{number:03d}" for number in (5, 10, 11, 14, 22, 26, 28)]
    by_hash = sorted(names, key=lambda name: hashlib.sha256(b"ferjax ck_plus " + name.encode()).digest())
    assert ck_plus.folds(names, 3) == {name: rank % 3 for rank, name in enumerate(by_hash)}
    assert ck_plus.folds(names[::-1] * 2, 3) == ck_plus.folds(np.array(names), 3)
    assert [name for name, part in ck_plus.folds(names, 3).items() if part == 0] == [
        "ckplus-S014",
        "ckplus-S028",
        "ckplus-S010",
    ]
    split = many(12)
    other = split.take(np.flatnonzero(split.label != 3)[::-1])
    for a, b in zip(
        *(ck_plus.parts({"folds": 4, "fold": 1}, {"frames": s}) for s in (split, other)), strict=True
    ):
        if isinstance(a, Split):
            assert set(a.subject.tolist()) == set(b.subject.tolist())


@pytest.mark.parametrize(
    ("rows", "people", "words"),
    [
        ("emotion", (9, 3), r"9 subjects with an emotion do not make 10 folds; set .*the Emotion folder"),
        ("facs", (6, 3), r"9 subjects with action-unit codes do not make 10 folds; set .*the FACS folder"),
    ],
)
def test_fewer_subjects_than_folds(rows, people, words):
    with pytest.raises(BadInput, match=rf"^/d: {words}"):
        ck_plus.parts({"dir": "/d", "rows": rows}, {"frames": many(*people)})


MORE = {**SET, ("S023", "001"): (range(1, 5), None, [(12, 3)])}  # and a person without any emotion
UNLABELLED = ("S005/004", "S023/001")
CODED = {  # the last frames of its sequences with codes
    "S005/001/S005_001_00000007",
    "S005/004/S005_004_00000005",
    "S010/002/S010_002_00000008",
    "S023/001/S023_001_00000004",
    "S999/003/S999_003_00000003",
}


def test_both_choices_of_rows_divide_the_people_alike(tmp_path):
    """rows=facs takes sequences without an emotion and no frame without codes; nobody changes sides."""
    write_set(tmp_path, MORE)
    splits = {"frames": as_split(read(tmp_path))}
    assert len(splits["frames"].subjects) == 5
    for fold in range(3):
        side = {}
        for rows in ("emotion", "facs"):
            parts = ck_plus.parts(options(tmp_path, rows=rows, fold=fold), splits)[:3]
            side[rows] = {name: i for i, part in enumerate(parts) for name in part.subjects}
            assert sum(len(part.subjects) for part in parts) == len(side[rows]) == 4
            ids = {name for part in parts for name in part.id.tolist()}
            if rows == "facs":
                assert ids == CODED
            else:
                assert ids == {name for name in splits["frames"].id.tolist() if name[:8] not in UNLABELLED}
        assert side["facs"].keys() ^ side["emotion"].keys() == {"ckplus-S011", "ckplus-S023"}
        both = side["facs"].keys() & side["emotion"].keys()
        assert {name: side["facs"][name] for name in both} == {name: side["emotion"][name] for name in both}


def test_action_units_by_the_data_key(tmp_path):
    """The same from the config's data down: one cache serves both, and nothing is refused as a leak."""
    write_set(tmp_path / "source", MORE)
    data = {"name": "ck_plus", "dir": str(tmp_path / "source"), "image_size": SIZE}
    data["cache_dir"] = str(tmp_path / "cache")
    seen = set()
    for fold in range(3):
        parts = load_parts({**data, "options": {"folds": 3, "fold": fold, "rows": "facs"}})
        seen |= set(parts.test.id.tolist())
        assert all((part.aus >= 0).all() for part in parts[:3])
    assert seen == CODED
    load_parts({**data, "options": {"folds": 3}})
    assert len(list((tmp_path / "cache" / "ck_plus").iterdir())) == 1


# The set as others use it.


def test_builder_and_arrays_give_the_same(tmp_path, monkeypatch):
    write_set(tmp_path / "source")
    data = {"name": "ck_plus", "dir": str(tmp_path / "source"), "image_size": SIZE, "options": {"folds": 4}}
    with_tfds = load_parts({**data, "cache_dir": str(tmp_path / "a")})
    assert list((tmp_path / "a").glob("ck_plus/*/tfds/ck_plus/*/*.tfrecord*"))
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    without = load_parts({**data, "cache_dir": str(tmp_path / "b")})
    assert not list((tmp_path / "b").glob("ck_plus/*/tfds"))
    assert with_tfds.selection == without.selection
    assert with_tfds.findings == without.findings and told(without.findings, "5 sequences, published 593")
    for a, b in zip(with_tfds[:3], without[:3], strict=True):
        assert (a.hash, a.name) == (b.hash, b.name) and a.image.shape[1:] == (SIZE, SIZE, 1)
    splits = load_splits(ck_plus, options(tmp_path / "source"), str(tmp_path / "c"))
    plain = read(tmp_path / "source")
    assert list(splits) == ["frames"]
    for field, values in plain.items():
        np.testing.assert_array_equal(getattr(splits["frames"], field), values)


def test_builder_describes_itself(tmp_path):
    from data_pipelines.ck_plus import builder

    info = builder.Builder(data_dir=str(tmp_path), options={"image_size": 32}).info
    assert list(info.metadata["classes"]) == list(labels.EMOTIONS)
    assert list(info.metadata["au_names"]) == list(ck_plus.AU_NAMES)
    assert info.features["image"].shape == (32, 32, 1)
    assert "lucey2010extended" in info.citation and "Licence" in info.description
    with pytest.raises(BadInput, match="last_frames"):
        builder.Builder(data_dir=str(tmp_path), options={"last_frames": 0})


def test_inputs_for_attribution(tmp_path):
    """The last frames of all coded sequences, once each; with carried codes, several of one sequence."""
    data = {"name": "ck_plus", "dir": str(write_set(tmp_path / "source")), "image_size": SIZE}
    load = coded.load({**data, "cache_dir": str(tmp_path / "cache")})
    assert load.sequence.tolist() == ["S005/001", "S005/004", "S010/002", "S999/003"]
    assert load.rule == "last frames of the sequences with FACS codes"
    assert load.split.label[1] == -1 and (load.split.label[[0, 2, 3]] >= 0).all()
    more = coded.load({**data, "cache_dir": str(tmp_path / "cache"), "options": {"aus": "carried"}})
    assert more.sequence.tolist() == ["S005/001"] * 4 + ["S005/004"] + ["S010/002"] * 4 + ["S999/003"] * 3
    assert "carried" in more.rule


def test_examples_keep_every_bit():
    rng = np.random.default_rng(0)
    a = {
        "image": rng.integers(0, 256, (3, 9, 7, 1), np.uint8),
        "label": np.array([2, -1, 0]),
        "aus": np.array([[1, 0], [-1, -1], [9, 5]], np.int8),
        "subject": np.array(["a", "", "c"]),
        "id": np.array(["x/1", "x/2", "y"]),
        "au_intensity": rng.random((3, 2, 2)),
    }
    made = list(examples(a))
    assert [key for key, _ in made] == ["x/1", "x/2", "y"]
    for row, (key, example) in enumerate(made):
        np.testing.assert_array_equal(np.asarray(Image.open(example["image"])), a["image"][row, :, :, 0])
        np.testing.assert_array_equal(example["aus"], a["aus"][row])
        assert (example["label"], example["subject"], example["id"]) == (
            a["label"][row],
            a["subject"][row],
            key,
        )
        assert set(example) == {"image", "label", "aus", "subject", "id"}
    for row, (_, example) in enumerate(examples(a, more=("au_intensity",))):
        np.testing.assert_array_equal(example["au_intensity"], a["au_intensity"][row])


def test_check(tmp_path, capsys):
    write_set(tmp_path)
    found = {what: (n, published) for what, n, published in ck_plus.check(str(tmp_path))}
    assert found["sequences"] == (5, 593) and found["subjects"] == (4, 123)
    assert found["sequences with an emotion"] == (4, 327) and found["subjects with an emotion"] == (4, 118)
    assert found["sequences with FACS codes"] == (4, 593)
    assert found["anger"] == (1, 45) and found["contempt"] == (0, 18) and "neutral" not in found
    assert found["frames"] == (26, None) and found["sequences without landmarks"] == (0, None)
    assert found["last frames with AU12"] == (2, None)
    assert arrays.print_check("ck_plus", str(tmp_path)) == 0
    said = capsys.readouterr().out
    assert "differs" in said and "fewer frames than asked for, which give what they have: 1 (S999" in said


def test_published_counts_add_up():
    assert sum(tables.PUBLISHED_EMOTIONS.values()) == tables.PUBLISHED["sequences with an emotion"]
    numbers = [labels.au_number(name) for name in ck_plus.AU_NAMES]
    assert numbers == sorted(set(numbers))


# The look-alike.

BY_EMOTION = {
    "surprise": 34,
    "happiness": 30,
    "disgust": 28,
    "anger": 22,
    "fear": 17,
    "sadness": 10,
    "contempt": 10,
}
BY_UNIT = (
    "1:99 2:91 4:89 5:88 6:59 7:61 9:28 10:18 12:42 14:22 15:17 16:10 17:50 18:15 20:28 22:5 23:16 24:22 "
    "25:140 26:26 27:26 28:10 43:14"
)


@pytest.fixture(scope="module")
def real(real_data, tmp_path_factory):
    place = tmp_path_factory.mktemp("ckplus")
    with tarfile.open(real_data / "ict_ckplus.tar") as file:
        file.extractall(place, filter="data")
    return place


@pytest.mark.real_data
def test_look_alike(real, tmp_path):
    """Counts as its README has them; codes as its truth, which moved the faces, has them."""
    found = {what: n for what, n, _ in ck_plus.check(str(real))}
    assert (found["sequences"], found["subjects"], found["frames"]) == (269, 30, 1997)
    assert found["sequences with an emotion"] == 151 and found["sequences with FACS codes"] == 269
    assert {name: found[name] for name in BY_EMOTION} == BY_EMOTION
    units = {labels.au_name(int(a)): int(b) for a, b in (pair.split(":") for pair in BY_UNIT.split())}
    assert {what[-4:]: n for what, n in found.items() if what.startswith("last frames with")} == units
    splits = load_splits(ck_plus, options(real, image_size=48), str(tmp_path))
    split = splits["frames"]
    assert len(split) == 151 * 4 + 118 and (split.label == -1).sum() == 118
    assert "3 junk files" in told(ck_plus.findings(options(real), splits), "junk")
    shown_last = split.take(split.aus[:, 0] >= 0)
    assert len(shown_last) == 269 and len(set(ck_plus.sequences(shown_last.id).tolist())) == 269
    assert (
        dict(zip(split.au_names, (shown_last.aus > 0).sum(0).tolist(), strict=True))
        == dict.fromkeys(split.au_names, 0) | units
    )
    with open(real / "ckplus" / "truth.csv", newline="") as file:
        truth = {Path(row["image"]).stem: row for row in csv.DictReader(file)}
    names = {"happy": "happiness", "": None}
    for row in range(len(shown_last)):
        true = truth[shown_last.id[row].rpartition("/")[2]]
        assert shown_last.subject[row] == "ckplus-" + true["subject"]
        shown = shown_last.classes[shown_last.label[row]] if shown_last.label[row] >= 0 else None
        assert shown == names.get(true["emotion"], true["emotion"])
        for unit, code in zip(shown_last.au_names, shown_last.aus[row].tolist(), strict=True):
            strength = float(true.get(unit) or 0)
            if unit not in ("AU45", "AU61", "AU62"):  # blinks and eye turns move faces but are not coded
                assert (code > 0) == (strength > 0), (shown_last.id[row], unit)
                if 1 <= code <= 5:
                    assert (code - 1) / 5 <= strength + 0.01 and strength - 0.01 <= code / 5


@pytest.mark.real_data
def test_look_alike_without_landmarks(real, tmp_path):
    """The detector's crops are the landmarks' but for a few hundredths of the eyes' distance."""
    pytest.importorskip("cv2")
    tree = layout.scan(str(real))
    error = []
    for sequence in tree.sequences[::6]:
        eyes = faces.eye_centres(tables.read_landmarks(sequence.landmarks[sequence.frames[0][0]]))
        at = faces.move(np.array(eyes), source.guess(sequence._replace(landmarks={}), 48))
        expected = faces.move(np.array(eyes), faces.similarity(*eyes, 48))
        error.append(np.abs(at - expected).max())
    assert len(error) > 40 and np.median(error) < 1.5 and np.max(error) < 5
