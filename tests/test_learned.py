"""What a network learned from goes with it: a warm start does not see what is reported, or that is told."""

import dataclasses
import shutil

import numpy as np
import pytest
from runs import tiny_config, tiny_split, write_set

from data_pipelines import BadInput, arrays, exported, leaks
from ferjax import across, evaluate, learned, results, train

QUICK = {"train__epochs": 1, "parallel__devices": 1}


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A training on fold 0 of 5: (workdir, its data)."""
    folder = tmp_path_factory.mktemp("learned")
    data = write_set(folder / "data")
    assert train.train(tiny_config(data, data__kfolds=5, **QUICK), str(folder / "w")) == 0
    return folder / "w", data


@pytest.fixture(scope="module")
def second(first, tmp_path_factory):
    """A training on other people that began from the first: (workdir, its data)."""
    folder = tmp_path_factory.mktemp("second")
    data = other_set(folder / "data")
    c = tiny_config(data, transfer__workdir=str(first[0]), **QUICK)
    assert train.train(c, str(folder / "w")) == 0
    return folder / "w", data


def other_set(folder, published="", seed=50, **subjects_or_images):
    """A set of other people; `test_subject=...` or `select_image=...` replaces its first rows'."""
    made = {}
    for i, part in enumerate(("train", "select", "test")):
        split = tiny_split(20, seed + i, part)
        values = {"image": split.image.copy(), "subject": np.char.add(f"other{seed}-", split.subject)}
        values["subject"] = values["subject"].astype("U30")
        for key, rows in subjects_or_images.items():
            if key.startswith(part):
                values[key.partition("_")[2]][: len(rows)] = rows
        made[part] = dataclasses.replace(split, name=f"other/{part}", **values)
    exported.write(arrays.Parts(*made.values(), "theirs", published=published), folder)
    return str(folder)


def from_first(first, data, tmp_path, **changes):
    c = tiny_config(data, transfer__workdir=str(first[0]), **QUICK, **changes)
    return train.train(c, str(tmp_path / "w"))


def forget(first, tmp_path, data=True):
    """The first training as an earlier version left it, its data moved away unless told; (workdir, )."""
    copy = tmp_path / "first"
    shutil.copytree(first[0], copy)
    (copy / learned.NAME).unlink()
    if not data:
        text = (copy / "config.json").read_text()
        (copy / "config.json").write_text(text.replace(first[1], first[1] + "-gone"))
    return (copy,)


def people_and_pictures(first):
    """Somebody, and a picture, that the first training was trained on."""
    parts = arrays.load_parts(tiny_config(first[1], data__kfolds=5).data)
    return parts.train.subjects[0], parts.train.image[3]


@pytest.mark.parametrize("forgotten", [False, True])
def test_the_next_fold_does_not_start_from_a_network_that_learned_from_it(first, tmp_path, forgotten):
    """Also where the source says nothing, being of an earlier version: then its data are looked at."""
    source = forget(first, tmp_path) if forgotten else first
    says = r"what the network of .* was selected on and tiny\[test, fold 1 of 5\] .* share . subjects .*alike"
    with pytest.raises(BadInput, match=says):
        from_first(source, first[1], tmp_path, data__kfolds=5, data__kfold=1)
    with pytest.raises(BadInput, match=r"was trained on and .* share . subjects"):
        from_first(source, first[1], tmp_path, data__kfolds=5, data__kfold=2)
    assert not (tmp_path / "w" / "run.json").exists()


def test_the_same_division_may_go_on_and_says_what_was_learned(first, tmp_path):
    assert from_first(first, first[1], tmp_path, data__kfolds=5) == 0
    said = results.read_workdir(tmp_path / "w")["run"]["started_from"]
    parts = arrays.load_parts(tiny_config(first[1], data__kfolds=5).data)
    assert said["notes"] == []
    assert said["learned"]["trained"] == {"subjects": len(parts.train.subjects), "images": len(parts.train)}
    assert said["learned"]["selected"] == {
        "subjects": len(parts.select.subjects),
        "images": len(parts.select),
    }
    kept, again = learned.read(tmp_path / "w"), leaks.Learned.of(parts)
    assert kept.image_shape == (16, 16, 1) and kept.sets == ("tiny",) and kept.unknown == ()
    for ours, theirs in zip(kept[:2], again[:2], strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b)


def test_people_it_was_trained_on_may_select_and_that_is_told(first, tmp_path):
    who, _ = people_and_pictures(first)
    data = other_set(tmp_path / "data", select_subject=[who])
    assert from_first(first, data, tmp_path) == 0
    (note,) = results.read_workdir(tmp_path / "w")["run"]["started_from"]["notes"]
    assert note.startswith("1 people of the part that selects were trained on by")
    (path,) = evaluate.evaluate(tmp_path / "w", "test")
    assert note in results.read_result(path)["notes"]


def test_what_the_source_of_the_source_learned_from_is_not_forgotten(first, second, tmp_path):
    """Neither the first training nor the second's data are needed for that."""
    who, picture = people_and_pictures(first)
    copy = tmp_path / "second"
    shutil.copytree(second[0], copy)
    for name in ("config.json", "run.json"):
        text = (copy / name).read_text()
        (copy / name).write_text(text.replace(str(first[0]), "/gone").replace(second[1], "/gone"))
    third = other_set(tmp_path / "a", seed=70, test_subject=[who])
    with pytest.raises(BadInput, match=rf"trained on .* share 1 subject '{who}'"):
        from_first((copy,), third, tmp_path)
    with pytest.raises(BadInput, match=rf"trained on .* share 1 subject '{who}'"):
        across.across(copy, across.of_set("npz", third))
    third = other_set(tmp_path / "b", seed=70, test_image=[picture])
    with pytest.raises(BadInput, match=r"trained on .* share 1 image, pixel for pixel: '.*' and 'test000'"):
        across.across(copy, across.of_set("npz", third))


def test_a_fine_tuned_network_is_not_evaluated_on_what_its_source_learned_from(first, second, tmp_path):
    who, _ = people_and_pictures(first)
    data = other_set(tmp_path / "data", test_subject=[who])
    with pytest.raises(BadInput, match=rf"trained on .* share 1 subject '{who}'"):
        evaluate.evaluate(second[0], "test", overrides=[f"data.dir={data}"])


def test_a_source_whose_data_are_gone_is_told_in_run_and_results(first, tmp_path, caplog):
    assert from_first(forget(first, tmp_path, data=False), other_set(tmp_path / "data"), tmp_path) == 0
    (note,) = results.read_workdir(tmp_path / "w")["run"]["started_from"]["notes"]
    assert "are not on disk as they were: whether it saw the part that is reported is not known" in note
    assert note in caplog.text
    (path,) = evaluate.evaluate(tmp_path / "w", "test")
    assert note in results.read_result(path)["notes"]
    (path,) = across.across(tmp_path / "w", across.of_set("npz", other_set(tmp_path / "third", seed=70)))
    assert note in results.read_result(path)["notes"]


def test_under_a_published_division_images_are_told_apart_and_people_refused(first, tmp_path):
    who, picture = people_and_pictures(first)
    data = other_set(tmp_path / "data", published="theirs", test_image=[picture])
    assert from_first(first, data, tmp_path) == 0
    whole, fresh = (results.read_result(p) for p in evaluate.evaluate(tmp_path / "w", "test"))
    assert (whole["metrics"]["accuracy"]["n"], fresh["metrics"]["accuracy"]["n"]) == (20, 19)
    assert whole["notes"] == [
        "1 of 20 of these images is also, pixel for pixel, in a part trained or selected on"
    ]
    data = other_set(tmp_path / "people", published="theirs", test_subject=[who])
    with pytest.raises(BadInput, match="share 1 subject"):
        from_first(first, data, tmp_path / "people")


def test_images_are_compared_at_the_size_of_the_training_that_begins(first, tmp_path):
    parts = arrays.load_parts(tiny_config(first[1], data__kfolds=5, data__image_size=24).data)
    data = other_set(tmp_path / "data")
    big = arrays.load_parts(tiny_config(data, data__image_size=24).data)
    image = big.test.image.copy()
    image[0] = parts.train.image[0]
    exported.write(big._replace(test=dataclasses.replace(big.test, image=image)), tmp_path / "big")
    with pytest.raises(BadInput, match="share 1 image, pixel for pixel"):
        from_first(first, str(tmp_path / "big"), tmp_path, data__image_size=24)
    kept = learned.read(first[0])
    copy = forget(first, tmp_path, data=False)[0]
    learned.write(copy, kept)
    people = learned.of_run(copy, (24, 24, 1))
    assert len(people.trained.image) == 0 and "images of another size" in people.unknown[0]
    np.testing.assert_array_equal(people.trained.subject, kept.trained.subject)


def test_sides_join_by_hand():
    split = tiny_split(3, 0)
    a, b = leaks.Side.of(split.take([0, 1]), True), leaks.Side.of(split.take([1, 2]), False)
    both = a | b
    assert both.subject.tolist() == ["train-S0", "train-S1", "train-S2"]
    by = dict(
        zip(both.image.tolist(), zip(both.id.tolist(), both.published.tolist(), strict=True), strict=True)
    )
    expected = {0: ("train000", True), 1: ("train001", False), 2: ("train002", False)}
    assert by == {split.pixels[i]: value for i, value in expected.items()}


def test_a_damaged_file_is_named(tmp_path):
    learned.write(tmp_path, leaks.Learned.nothing((4, 4, 1), "a reason"))
    assert learned.read(tmp_path).unknown == ("a reason",)
    path = tmp_path / learned.NAME
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(BadInput, match=r"learned.npz cannot be read"):
        learned.read(tmp_path)
