"""NovaEmotions in folders named by emotions, or by a manifest."""

import sys

import numpy as np
import pytest
from manifest_files import crop, save, write

from data_pipelines import BadInput, arrays, nova_emotions
from ferjax.main import main

PARTS = ("train", "val", "test")
NAMES = ("Happy", "Anger", "neutral")


def write_set(folder, each=6):
    for emotion in NAMES:
        for number in range(each):
            save(folder / emotion / f"face{number}.png", crop(1000 * NAMES.index(emotion) + number))
    return folder


def load(folder, cache, **changes):
    data = {"name": "nova_emotions", "dir": str(folder), "image_size": 20, "cache_dir": str(cache)}
    return arrays.load_parts({**data, **changes})


def options(folder, **changes):
    return {**nova_emotions.OPTIONS, "dir": str(folder), "image_size": 20, **changes}


@pytest.mark.parametrize("below", ["", "NovaEmotions", "a/b/NovaEmotions"])
def test_folders(tmp_path, below):
    write_set(tmp_path / below)
    made = nova_emotions.arrays(options(tmp_path))
    assert nova_emotions.classes(options(tmp_path)) == ("anger", "happiness", "neutral")
    assert nova_emotions.au_names(options(tmp_path)) == ()
    seen = {}
    for part in made.values():
        assert set(part["subject"].tolist()) == {""} and part["aus"].shape == (len(part["id"]), 0)
        seen |= dict(
            zip(part["id"].tolist(), zip(part["label"].tolist(), part["image"], strict=True), strict=True)
        )
    assert {part: len(found["id"]) for part, found in made.items()} == {
        "train": 12,
        "validation": 2,
        "test": 4,
    }
    prefix = f"{below}/" if below else ""
    label, image = seen[f"{prefix}Happy/face3.png"]
    assert label == 1 and (image[:, :, 0] == crop(3)).all() and seen[f"{prefix}Anger/face0.png"][0] == 0


def test_copies_lie_on_one_side(tmp_path):
    write_set(tmp_path, 20)
    for number in range(20):
        save(tmp_path / "Happy" / f"copy{number}.png", crop(number))
    made = nova_emotions.arrays(options(tmp_path))
    side = {name: part for part, found in made.items() for name in found["id"].tolist()}
    assert all(side[f"Happy/face{n}.png"] == side[f"Happy/copy{n}.png"] for n in range(20))
    assert {side[f"Happy/copy{n}.png"] for n in range(20)} > {"train", "test"} or len(set(side.values())) == 3


def test_builder_and_arrays_give_the_same(tmp_path, monkeypatch):
    write_set(tmp_path / "set")
    (tmp_path / "set" / "unsure").mkdir()
    save(tmp_path / "set" / "unsure" / "x.png", crop(1))
    (tmp_path / "set" / "Happy" / "notes.txt").write_text("x")
    (tmp_path / "set" / "Happy" / ".DS_Store").write_text("x")
    with_tfds = load(tmp_path / "set", tmp_path / "a")
    assert list((tmp_path / "a").glob("nova_emotions/*/tfds/nova_emotions/*/*.tfrecord*"))
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    without = load(tmp_path / "set", tmp_path / "b")
    assert with_tfds[3:] == without[3:]
    assert [p.hash for p in with_tfds[:3]] == [p.hash for p in without[:3]]
    assert with_tfds.selection == "validation, divided by hash"
    told = "\n".join(without.findings)
    assert "the 40 people are in train and in test alike" in told
    assert "18 of 18 pictures have no subject, so one person's may be in several parts" in told
    assert "passed over: Happy/notes.txt, unsure (1 pictures)" in told and "hash of the pixels" in told
    before = len(list((tmp_path / "b" / "nova_emotions").iterdir()))
    save(tmp_path / "set" / "Anger" / "new.png", crop(77))
    assert len(load(tmp_path / "set", tmp_path / "b").train) + 7 >= 13
    assert len(list((tmp_path / "b" / "nova_emotions").iterdir())) == before + 1


def test_a_manifest(tmp_path):
    write_set(tmp_path / "NovaEmotions")
    rows = [f"{name}/face{n}.png,{name},s{n % 3},{PARTS[n % 3]},2" for name in NAMES for n in range(6)]
    text = "path,label,subject,split,AU12\n" + "\n".join(rows) + "\n"
    write(tmp_path / "NovaEmotions", text)
    made = load(tmp_path, tmp_path / "c")
    assert [set(part.subject.tolist()) for part in made[:3]] == [{"s0"}, {"s1"}, {"s2"}]
    assert made.train.au_names == ("AU12",) and made.findings == () and made.train.id[0] == "Anger/face0.png"


def test_refused(tmp_path):
    with pytest.raises(BadInput, match=r"is no folder.*NovaEmotions/<emotion>"):
        nova_emotions.arrays(options(tmp_path / "gone"))
    with pytest.raises(
        BadInput, match="no NovaEmotions here or up to 3 folders below; expected folders named by"
    ):
        nova_emotions.arrays(options(tmp_path))
    write_set(tmp_path / "1/2/3/4")
    with pytest.raises(BadInput, match="no NovaEmotions here"):
        nova_emotions.arrays(options(tmp_path))
    write_set(tmp_path / "s")
    (tmp_path / "s" / "sad").mkdir()
    with pytest.raises(BadInput, match=r"sad: an emotion's folder without a picture"):
        nova_emotions.arrays(options(tmp_path / "s"))
    save(tmp_path / "s" / "sad" / "a.png", crop(1))
    (tmp_path / "s" / "sad" / "b.png").write_bytes(b"\x89PNG")
    with pytest.raises(BadInput, match=r"s row 20: .*sad/b.png: cannot be read"):
        nova_emotions.arrays(options(tmp_path / "s"))
    with pytest.raises(BadInput, match=r"data.options.crop: 'face' is not known"):
        nova_emotions.arrays(options(tmp_path / "s", crop="face"))


def test_check(tmp_path, capsys):
    write_set(tmp_path)
    assert main(["data", "check", "nova_emotions", "--dir", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    rows = [line.rsplit(None, 1) for line in map(str.strip, said.splitlines()[1:])]
    counts = {what.strip(): int(n) for what, n in rows if n.isdigit()}
    assert counts["pictures"] == 18 and counts["subjects"] == 0 and counts["happiness"] == 6
    assert "the 40 people" in said and "without a face" not in said


def test_builder_describes_itself(tmp_path):
    from data_pipelines.nova_emotions import builder

    info = builder.Builder(data_dir=str(tmp_path / "t"), options=options(write_set(tmp_path / "s"))).info
    assert info.features["image"].shape == (20, 20, 1) and "Mour" in info.citation
    assert (
        list(info.metadata["classes"]) == ["anger", "happiness", "neutral"] and "Licence" in info.description
    )
    assert np.dtype(info.features["aus"].np_dtype) == np.int8
