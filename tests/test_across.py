"""A network on another set as it is: classes meet by name, and a leak is refused."""

import csv
import dataclasses
import io

import numpy as np
import pytest
from runs import tiny_config, tiny_split, write_set

from data_pipelines import BadInput, arrays, exported
from ferjax import across, results, train


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("across")
    assert train.train(tiny_config(write_set(folder / "data")), str(folder / "w")) == 0
    return folder / "w"


def other_set(folder, classes=("neutral", "anger", "fear"), **changes):
    """A set of 20 images a part with classes in another order, one of them unknown to the network."""
    made = []
    for i, part in enumerate(("train", "select", "test")):
        split = tiny_split(20, 50 + i, part)
        name = np.char.add("other-", split.subject)
        renamed = {"classes": classes, "subject": name, "name": f"other/{part}", **changes}
        made.append(dataclasses.replace(split, **renamed))
    exported.write(arrays.Parts(*made, "theirs"), folder)
    return across.of_set("npz", str(folder)), made[2]


def test_classes_meet_by_name_by_hand():
    split = dataclasses.replace(tiny_split(3, 0), classes=("neutral", "anger", "fear"))
    split = dataclasses.replace(split, label=np.array([0, 1, 2], np.int32))
    p = np.array([[0.2, 0.6, 0.2], [0.1, 0.5, 0.4], [1.0, 0, 0]])
    kept, q, note = across.on_common(split, p, ("anger", "happiness", "neutral"))
    assert kept.classes == ("anger", "neutral") and kept.label.tolist() == [1, 0]
    np.testing.assert_allclose(q, [[0.5, 0.5], [0.2, 0.8]])
    assert "left out: 1 images of fear; the network's happiness not counted" in note


def test_a_row_without_any_probability_is_not_a_nan():
    split = dataclasses.replace(tiny_split(1, 0), classes=("anger", "neutral"), label=np.array([0], np.int32))
    _, q, _ = across.on_common(split, np.array([[0.0, 1.0, 0.0]]), ("anger", "happiness", "neutral"))
    np.testing.assert_allclose(q, [[0.5, 0.5]])


def test_scores_on_another_set(trained, tmp_path):
    data, test = other_set(tmp_path / "other")
    (path,) = across.across(trained, data)
    said = results.read_result(path)
    assert said["name"] == "test_on_npz" and said["classes"] == ["anger", "neutral"]
    assert said["metrics"]["accuracy"]["n"] == (test.label != 2).sum()
    assert "images of fear" in said["notes"][0]
    table = path.with_name("test_on_npz_predictions.csv")
    ids, subject, label, p = across.read_predictions(table, said["classes"])
    rows = list(csv.DictReader(io.StringIO(table.read_text())))
    assert [r["id"] for r in rows] == ids.tolist() and subject[0].startswith("other-")
    assert np.mean(p.argmax(1) == label) == pytest.approx(said["metrics"]["accuracy"]["value"])


def test_maps_are_told(trained, tmp_path):
    data, _ = other_set(tmp_path / "other")
    data.map = "fear=happiness"
    (path,) = across.across(trained, data, into=tmp_path / "elsewhere")
    assert path.parent == tmp_path / "elsewhere/results"
    (line,) = [note for note in results.read_result(path)["notes"] if note.startswith("Emotions by name")]
    assert line == (
        "Emotions by name: map fear=happiness; kept all; all parts: fear as happiness; left out: nothing."
    )


def test_a_person_whom_the_network_knows_is_refused(trained, tmp_path):
    data, _ = other_set(tmp_path / "other")
    path = tmp_path / "other" / "test.npz"
    split = arrays.Split.load(path)
    subject = split.subject.astype("U30")
    subject[2] = "train-S1"
    dataclasses.replace(split, subject=subject).save(path)
    with pytest.raises(BadInput, match=r"trained on.* share 1 subject 'train-S1'"):
        across.across(trained, data)
    data.published = "a division of theirs"  # excuses images, not people
    with pytest.raises(BadInput, match=r"trained on.* share 1 subject 'train-S1'"):
        across.across(trained, data)


def test_an_image_that_it_learned_from_is_refused_or_told_apart(trained, tmp_path):
    data, _ = other_set(tmp_path / "other", classes=("anger", "happiness", "neutral"))
    path = tmp_path / "other" / "test.npz"
    split = arrays.Split.load(path)
    image = split.image.copy()
    image[4] = tiny_split(37, 0).image[9]
    dataclasses.replace(split, image=image).save(path)
    with pytest.raises(BadInput, match="'train009' and 'test004'"):
        across.across(trained, data)
    data.published = "a division of theirs"
    whole, fresh = (results.read_result(p) for p in across.across(trained, data))
    assert (whole["metrics"]["accuracy"]["n"], fresh["metrics"]["accuracy"]["n"]) == (20, 19)


def test_nothing_in_common(trained, tmp_path):
    data, _ = other_set(tmp_path / "other", classes=("fear", "disgust", "anger"))
    with pytest.raises(BadInput, match="1 emotions in common"):
        across.across(trained, data)


def test_only_data_can_change():
    with pytest.raises(BadInput, match=r"--config.seed cannot change here"):
        across.of_set("facsynth", "", ["seed=1"])


def test_another_set_of_the_same_name_does_not_replace_a_result(trained, tmp_path):
    """Two folders, each read as npz: the second gets its folder's name, each replaces its own alone."""
    for path in (trained / "results").glob("*"):
        path.unlink()
    first, _ = other_set(tmp_path / "a" / "here")
    second, _ = other_set(tmp_path / "b" / "lab 2", classes=("happiness", "anger", "fear"))
    third, _ = other_set(tmp_path / "c" / "lab 2", classes=("happiness", "neutral", "fear"))
    names = [across.across(trained, data)[0].stem for data in (first, second, third, first, second, third)]
    assert names[:2] == ["test_on_npz", "test_on_npz_lab-2"] and names[3:] == names[:3]
    whole = results.read_result(trained / "results" / f"{names[2]}.json")["split_hash"]
    assert names[2] == f"test_on_npz_lab-2_{whole[:8]}"
