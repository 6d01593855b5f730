"""Clips in a manifest: phases and speed, one cut for all frames, a table written and read again."""

import os

import numpy as np
import pytest
from manifest_files import SIZE, crop, options, photograph, save, write

from data_pipelines import BadInput, clips, faces, manifest, pictures
from data_pipelines.manifest import source, table


def read(folder, text, crops=()):
    return manifest.arrays(options(write(folder, text, crops)))


CLIP = "path,label,subject,split,clip,frame,onset,apex,offset,fps,AU04\n"


def film(n=5, **changed):
    """Rows of two clips of n frames."""
    rows = []
    for who, first in (("s", 7), ("t", 10)):
        for number in range(first, first + n):
            field = {"onset": first, "apex": first + 2, "offset": first + n - 1, "fps": 100, "AU04": ""}
            field |= {"label": "Others" if who == "s" else "positive"} | changed.get(f"{who}{number}", {})
            if number == field["apex"]:
                field["AU04"] = 9
            rows.append(
                f"{who}{number}.png,{field['label']},{who},train,{who}/a,{number},{field['onset']},"
                f"{field['apex']},{field['offset']},{field['fps']},{field['AU04']}"
            )
    return CLIP + "\n".join(rows) + "\n", [row.split(",")[0] for row in rows]


def test_clips_with_phases(tmp_path):
    o = options(write(tmp_path / "m", *film()))
    assert manifest.phases(o) == {"s/a": (7, 9, 11), "t/a": (10, 12, 14)} and manifest.fps(o) == 100
    assert manifest.classes(o) == ("others", "positive")
    made, _ = clips.load({"name": "manifest", "dir": o["dir"], "image_size": SIZE, "cache_dir": str(tmp_path),
                          "options": {"crop": "none"}})  # fmt: skip
    assert made.id.tolist() == ["s/a", "t/a"] and made.apex.tolist() == [2, 2] and made.fps == 100
    assert made.aus.tolist() == [[9], [9]] and made.number.tolist() == [*range(7, 12), *range(10, 15)]
    text = "path,label,subject,split,clip,frame\na.png,joy,s,,c,1\n"
    plain = options(write(tmp_path / "p", text, ["a.png"]))
    assert manifest.phases(plain) == {"c": (-1, -1, -1)} and manifest.fps(plain) == 200


def test_what_is_odd_about_clips_is_told(tmp_path):
    changed = {f"s{n}": {"apex": ""} for n in range(7, 12)} | {f"t{n}": {"apex": 99} for n in range(20)}
    text, names = film(**changed)
    told = "\n".join(source.of_table(table.read(write(tmp_path, text, names)), "m"))
    assert "m: clips without an apex, which is unknown: 1 (s/a)" in told
    assert "or not in order, unusable as clips: 1 (t/a)" in told
    assert "m: subjects with a single clip: 2 (s, t)" in told


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"s9": {"apex": 10}}, "row 3: apex of clip s/a is 10 here and 9 in row 1; write the same"),
        ({"s9": {"onset": ""}}, "row 3: onset of clip s/a is empty here and 7 in row 1"),
        ({"s9": {"offset": "x"}}, "row 3: offset is 'x'; write a frame's number, or nothing"),
        ({"t12": {"onset": "-1"}}, "row 8: onset is '-1'"),
        ({"t12": {"fps": "fast"}}, "row 8: fps is 'fast'; write frames a second"),
        ({"t12": {"fps": "0"}}, "row 8: fps is '0'"),
        ({"t12": {"fps": "25"}}, "row 8: fps is 25, and 100 in row 1; a manifest has clips of one speed"),
    ],
)
def test_phases_that_are_refused(tmp_path, changed, says):
    with pytest.raises(BadInput, match=says):
        read(tmp_path, *film(**changed))


def test_phases_of_no_clip(tmp_path):
    with pytest.raises(BadInput, match="a column apex, and no columns clip and frame that say whose it is"):
        read(tmp_path, "path,label,subject,split,apex\na.png,joy,s,,1\n", ["a.png"])
    with pytest.raises(BadInput, match="row 1: apex is 1, and the row is of no clip"):
        read(tmp_path, "path,label,subject,split,clip,frame,apex\na.png,joy,s,,,,1\n", ["a.png"])


def test_written_and_read_again(tmp_path):
    """Every field of every row; pictures in the folder by their relative paths, others by whole ones."""
    text, names = film(**{f"t{n}": {"onset": ""} for n in range(20)})
    other = save(tmp_path / "o,1.png", crop(3))
    first = table.read(write(tmp_path / "m", text + f'"{other}",,u ü,train,,,,,,,3\n', names))
    for place in (tmp_path / "m" / "again.csv", tmp_path / "deep" / "er" / "m.csv"):
        table.write(first, place)
        again = table.read(place)
        assert (again.au_names, again.fps, again.phases) == (first.au_names, 100, first.phases)
        for a, b in zip(first.rows, again.rows, strict=True):
            assert a._replace(path="", id="") == b._replace(path="", id="")
            assert os.path.samefile(a.path, b.path) and (a.id == b.id or not a.clip)
    line = (tmp_path / "m" / "again.csv").read_text("utf-8").splitlines()[1]
    assert line == "s7.png,others,s,train,,s/a,7,7,9,11,100"
    text = "path,label,subject,split,AU12,AU1\na/1.png,joy,ann,train,3,\nb/1.png,,bob,test,0,9\n"
    plain = table.read(write(tmp_path / "p", text, ("a/1.png", "b/1.png")))
    table.write(plain, tmp_path / "p" / "b.csv")
    assert table.read(tmp_path / "p" / "b.csv").rows == plain.rows
    assert (tmp_path / "p" / "b.csv").read_text().splitlines()[0] == "path,label,subject,split,AU01,AU12"
    with pytest.raises(BadInput, match=r"'ann ' begins or ends with a blank"):
        table.write(plain._replace(rows=(plain.rows[0]._replace(subject="ann "),)), tmp_path / "c.csv")
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cannot be written"):
        table.write(plain, tmp_path / "file" / "c.csv")


# One cut for all frames.


@pytest.fixture
def moving(tmp_path):
    """A clip, out of order in the CSV, of a face that moves aside and is hidden at first; a picture."""
    pytest.importorskip("cv2")
    wall = np.full((300, 440), 120, np.uint8)
    for number, shift in ((2, 8), (10, 16), (1, None), (3, 30)):
        save(tmp_path / f"{number}.png", wall if shift is None else photograph(0, shift, grey=True))
    save(tmp_path / "alone.png", photograph(1))
    text = "path,label,subject,split,clip,frame\n" + "".join(
        f"{n}.png,joy,s,train,s/a,{n}\n" for n in (10, 2, 1, 3)
    )
    return write(tmp_path, text + "alone.png,joy,t,test,,\n")


def test_the_frames_of_a_clip_are_cut_alike(moving):
    """Not found in the first frame, the face is searched in the middle one, number 2, and found."""
    made = manifest.arrays(options(moving, crop="detect"))
    assert made["train"]["id"].tolist() == [f"s/a/{n:06d}" for n in (10, 2, 1, 3)]
    found = faces.search(faces.read_grey(moving.parent / "2.png"))
    matrix = faces.similarity(found.left_eye, found.right_eye, SIZE)
    for place, n in enumerate((10, 2, 1, 3)):
        expected = faces.warp(faces.read_grey(moving.parent / f"{n}.png"), matrix, SIZE)
        np.testing.assert_array_equal(made["train"]["image"][place, :, :, 0], expected)
    own = faces.search(faces.read_grey(moving.parent / "alone.png"))
    expected = faces.align(faces.read_grey(moving.parent / "alone.png"), own.left_eye, own.right_eye, SIZE)
    np.testing.assert_array_equal(made["test"]["image"][0, :, :, 0], expected)


def test_where_the_face_of_a_clip_is_looked_for(moving, monkeypatch):
    """In the first frame; then in the apex, without one the middle; then in the last; no frame twice."""
    paths = [str(moving.parent / f"{n}.png") for n in (1, 2, 3, 10)]
    asked = []
    read_grey = faces.read_grey
    monkeypatch.setattr(faces, "read_grey", lambda p: asked.append(os.path.basename(p)) or read_grey(p))
    monkeypatch.setattr(faces, "search", lambda grey: None)
    for apex, expected in ((-1, [1, 2, 10]), (2, [1, 3, 10]), (0, [1, 10]), (3, [1, 10])):
        asked.clear()
        placed = pictures.look_at_clip(paths, "detect", apex)
        assert placed.found is None and placed.shape == (300, 440)
        assert asked == [f"{n}.png" for n in expected]
    asked.clear()
    assert pictures.look_at_clip(paths, "none").shape == (300, 440) and asked == ["1.png"]


@pytest.mark.parametrize("crop_", ["none", "detect"])
def test_a_clip_with_frames_of_two_sizes(moving, crop_):
    for n, size in ((3, (250, 300)), (10, (300, 430))):
        save(moving.parent / f"{n}.png", np.full(size, 9, np.uint8))
        with pytest.raises(
            BadInput, match=rf"row \d: .*/{n}.png: .*, and .*/1.png, the first of its clip, 4"
        ):
            manifest.arrays(options(moving, crop=crop_))
        save(moving.parent / f"{n}.png", photograph(0, grey=True))


def test_a_clip_without_a_face_is_left_out_whole(moving, tmp_path):
    for n in (1, 2, 10):  # found in number 3 it would be, which is not looked at
        save(moving.parent / f"{n}.png", np.full((300, 440), 120, np.uint8))
    made = manifest.arrays(options(moving, crop="detect"))
    assert list(made) == ["test"]
    told = manifest.gaps(str(moving))
    assert "manifest: no face found: 4 (s/a (4 frames))" in told
    (moving.parent / "2.png").write_bytes(b"\x89PNG")
    with pytest.raises(BadInput, match=r"row 2: .*/2.png: cannot be read \(not an image file"):
        manifest.arrays(options(moving, crop="detect"))
