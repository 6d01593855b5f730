"""What may not lie on both sides is refused by name; folds keep subjects whole."""

import dataclasses
import itertools

import numpy as np
import pytest
from runs import tiny_config, tiny_split

from data_pipelines import BadInput, arrays, divide, exported, labels, leaks, split
from data_pipelines.split import hash_rows


def parts(**subjects):
    """Three parts of 30 images; subjects by part."""
    made = {}
    for i, part in enumerate(("train", "select", "test")):
        split = tiny_split(30, i, part)
        made[part] = dataclasses.replace(split, subject=subjects.get(part, split.subject))
    return made


def write(tmp_path, made, published=""):
    whole = arrays.Parts(made["train"], made["select"], made["test"], "the select part", published=published)
    exported.write(whole, tmp_path)
    return tiny_config(str(tmp_path)).data


def test_a_subject_on_both_sides_is_refused_by_name(tmp_path):
    made = parts()
    subject = made["test"].subject.astype("U20")
    subject[7] = made["train"].subject[0]
    made["test"] = dataclasses.replace(made["test"], subject=subject)
    says = r"tiny/train \(train\) and tiny/test \(test\) share 1 subject 'train-S0'"
    with pytest.raises(BadInput, match=says):
        arrays.load_parts(write(tmp_path, made))


def test_an_unknown_subject_is_nobody(tmp_path):
    nobody = np.array([""] * 30)
    arrays.load_parts(write(tmp_path, parts(train=nobody, select=nobody, test=nobody)))


def test_a_duplicated_image_under_another_name_is_refused_by_name(tmp_path):
    made = parts()
    image = made["select"].image.copy()
    image[3] = made["train"].image[11]
    made["select"] = dataclasses.replace(made["select"], image=image)
    with pytest.raises(BadInput, match="share 1 image, pixel for pixel: 'train011' and 'select003'"):
        arrays.load_parts(write(tmp_path, made))


def test_many_are_counted_and_the_first_named(tmp_path):
    made = parts()
    made["test"] = dataclasses.replace(made["test"], image=made["train"].image.copy())
    with pytest.raises(BadInput, match=r"share 30 images.* and 26 more"):
        arrays.load_parts(write(tmp_path, made))


@pytest.mark.parametrize("by", ["the set", "the config"])
def test_a_published_division_is_taken_as_it_is(tmp_path, by):
    made = parts()
    made["test"] = dataclasses.replace(made["test"], image=made["train"].image.copy())
    data = write(tmp_path, made, "a division of theirs" if by == "the set" else "")
    if by == "the config":
        data.published = "a division of theirs"
    assert arrays.load_parts(data).published == "a division of theirs"


@pytest.mark.parametrize("published", ["", "a division of theirs"])
def test_a_shared_person_is_refused_in_a_published_division_too(tmp_path, published):
    made = parts()
    made["test"] = dataclasses.replace(made["test"], subject=made["train"].subject)
    with pytest.raises(BadInput, match=r"share 5 subjects 'train-S0'.*give every subject one part$"):
        arrays.load_parts(write(tmp_path, made, published))


@pytest.mark.parametrize(("name", "prefix"), [("manifest", True), ("tiny", False)])
def test_people_of_one_name_in_two_sets_are_told_how_to_tell_them_apart(name, prefix):
    theirs = arrays.Parts(*parts().values(), "", published="x")
    test = dataclasses.replace(theirs.train, name=f"{name}[test, fold 0 of 3]")
    with pytest.raises(BadInput, match=r"names must differ between sets") as e:
        leaks.refuse_learned(theirs, theirs, test)
    assert ("data.options.prefix" in str(e.value)) == prefix and "data.published" not in str(e.value)


def test_leaving_duplicates_out_mends_it(tmp_path):
    made = parts()
    image = made["test"].image.copy()
    image[0] = made["train"].image[0]
    made["test"] = dataclasses.replace(made["test"], image=image)
    data = write(tmp_path, made)
    data.exclude_duplicates = "across"
    assert len(arrays.load_parts(data).train) == 29


def test_folds_by_hand():
    """Sizes 5, 3, 2, 2: the largest subjects first, each to the emptiest fold."""
    of = divide.folds([b"a"] * 5 + [b"b"] * 3 + [b"c"] * 2 + [b"d"] * 2, 3)
    assert sorted(np.bincount(of)) == [3, 4, 5]
    assert len(set(of[:5])) == 1 and len(set(of[5:8])) == 1 and of[8] == of[10] and of[9] == of[11]


def test_folds_do_not_depend_on_the_rows_order_but_on_the_seed():
    keys = np.array([f"s{i % 17}".encode() for i in range(100)], object)
    order = np.random.default_rng(0).permutation(100)
    of = divide.folds(keys, 5)
    np.testing.assert_array_equal(divide.folds(keys[order], 5), of[order])
    assert (divide.folds(keys, 5, seed=1) != of).any()


def test_folds_are_those_of_before_clips_were_looked_at():
    """Of subjects, and of images where nobody is known: as ferjax divided them from the first."""
    of = divide.folds([f"s{i % 7}".encode() for i in range(30)], 3)
    assert of.tolist() == [int(k) for k in "102102210210221021022102102210"]
    made = parts(**{p: np.array([""] * 30) for p in ("train", "select", "test")})
    got = divide.by_fold(arrays.Parts(*made.values(), ""), 3, 0)
    assert got.test.id.tolist()[:6] == [f"select{i:03d}" for i in (0, 4, 5, 10, 11, 20)]
    assert split.split_tenth(made["train"])[1].id.tolist() == ["train008", "train014"]


def test_too_few_subjects_for_the_folds():
    with pytest.raises(BadInput, match=r"data.kfolds is 5, and there are 2 subjects;"):
        divide.folds([b"a", b"b", b"b"], 5)
    with pytest.raises(BadInput, match=r"data.kfolds is 5, and there are 2 subjects, clips or different"):
        divide.folds([b"a", b"\0clip b", b"\0clip b"], 5)


def in_clips(made, nobody=True):
    """The parts as six clips of five frames each, ids as a manifest names them."""
    named = {}
    for part, rows in made.items():
        ids = [f"{part}-clip{i // 5}/{i % 5:06d}" for i in range(len(rows))]
        who = [""] * len(rows) if nobody else rows.subject
        named[part] = dataclasses.replace(rows, id=ids, subject=who)
    return named


def test_clips_stay_whole_where_subjects_are_unknown():
    whole = arrays.Parts(*in_clips(parts()).values(), "")
    got = divide.by_fold(whole, 4, 1)
    sides = [set(split.clips(s.id).tolist()) for s in (got.train, got.select, got.test)]
    assert sum(map(len, sides)) == 18 and len(set.union(*sides)) == 18
    assert "fold 2 of 4 by clip, subjects being unknown" in got.selection
    ids = [f"c{i // 5}/{i % 5:06d}" for i in range(300)]
    many = dataclasses.replace(tiny_split(300, 0), subject=[""] * 300, id=ids)
    nine, tenth = split.split_tenth(many)
    assert len(tenth) and not set(split.clips(nine.id)) & set(split.clips(tenth.id))


def test_a_set_says_itself_what_its_clips_are():
    made = {p: dataclasses.replace(s, subject=[""] * 30) for p, s in parts().items()}
    got = divide.by_fold(arrays.Parts(*made.values(), ""), 3, 0, lambda ids: np.array([i[:-1] for i in ids]))
    sides = [{name[:-1] for name in s.id.tolist()} for s in (got.train, got.select, got.test)]
    assert sum(map(len, sides)) == 9 == len(set.union(*sides))


def test_subjects_are_kept_whole_before_clips():
    got = divide.by_fold(arrays.Parts(*in_clips(parts(), nobody=False).values(), ""), 3, 0)
    assert not any(
        set(a.subjects) & set(b.subjects)
        for a, b in itertools.combinations((got.train, got.select, got.test), 2)
    )
    assert "by subject, numbered" in got.selection


def test_every_subject_is_reported_in_just_one_fold(tmp_path):
    data = write(tmp_path, parts())
    data.kfolds = 5
    seen = []
    for data.kfold in range(5):
        got = arrays.load_parts(data)
        sides = [set(s.subject.tolist()) for s in (got.train, got.select, got.test)]
        assert not any(a & b for a, b in itertools.combinations(sides, 2))
        assert sum(map(len, (got.train, got.select, got.test))) == 90
        seen += sorted(sides[2])
    assert sorted(seen) == sorted({f"{p}-S{i}" for p in ("train", "select", "test") for i in range(5)})
    assert "fold 0 of 5 by subject" in got.selection


def test_copies_stay_together_where_subjects_are_unknown():
    made = parts(**{p: np.array([""] * 30) for p in ("train", "select", "test")})
    made["test"] = dataclasses.replace(made["test"], image=made["train"].image.copy())
    whole = arrays.Parts(made["train"], made["select"], made["test"], "", published="x")
    got = divide.by_fold(whole, 4, 1)
    for a, b in itertools.combinations((got.train, got.select, got.test), 2):
        assert not set(hash_rows(a.image)) & set(hash_rows(b.image))


def test_emotions_are_mapped_by_name_and_what_maps_to_nothing_is_left_out(tmp_path):
    data = write(tmp_path, parts())
    data.map, data.classes = "anger=sadness,neutral=", ""
    got, before = arrays.load_parts(data), tiny_split(30, 0)
    assert got.train.classes == ("sadness", "happiness")
    assert len(got.train) == (before.label != 2).sum()
    by_id = dict(zip(before.id.tolist(), before.label.tolist(), strict=True))
    rows = zip(got.train.id.tolist(), got.train.label, strict=True)
    assert all(label == by_id[name] for name, label in rows)
    assert "anger as sadness" in got.findings[-1] and "images of neutral" in got.findings[-1]


def test_classes_are_kept_in_the_order_asked_for(tmp_path):
    data = write(tmp_path, parts())
    data.classes = "happiness, anger"
    got = arrays.load_parts(data).test
    assert got.classes == ("happiness", "anger") and set(got.label.tolist()) == {0, 1}


@pytest.mark.parametrize(
    ("mapping", "classes", "says"),
    [
        ("joyous=anger", "", "'joyous' is no known emotion"),
        ("anger", "", "write old=new"),
        ("anger=fear,anger=sadness", "", "anger is mapped twice"),
        ("", "anger,contempt", "contempt is not among anger, happiness, neutral"),
        ("", "anger,anger", "each once"),
    ],
)
def test_maps_that_cannot_be(tmp_path, mapping, classes, says):
    data = write(tmp_path, parts())
    data.map, data.classes = mapping, classes
    with pytest.raises(BadInput, match=says):
        arrays.load_parts(data)


def test_sets_meet_on_what_all_have():
    assert labels.meet(labels.FERPLUS_CLASSES, labels.FER2013_CLASSES) == tuple(
        name for name in labels.FERPLUS_CLASSES if name != "contempt"
    )
    with pytest.raises(BadInput, match="1 emotions in common"):
        labels.meet(("anger", "fear"), ("anger", "neutral"))
    table = labels.label_map("contempt_to_disgust")
    assert labels.mapped_classes(("anger", "contempt", "disgust"), table) == ("anger", "disgust")


def test_own_folds_are_no_published_division():
    with pytest.raises(BadInput, match=r"data\.published is 'theirs'; it must be empty where data\.kfolds"):
        tiny_config("x", data__published="theirs", data__kfolds=3)
