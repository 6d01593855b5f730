"""SALICON's tree: what is read, in one frame, and what is said of gaps and damage."""

import numpy as np
import pytest
import salicon_files
from PIL import Image
from scipy.io import savemat

from data_pipelines import BadInput, gaze, input, salicon

FRAME = (48, 64)


def parts(folder, **changes):
    given = {"name": "salicon", "dir": str(folder), "frame": FRAME, "limit": 0, "options": {}}
    return gaze.load({**given, **changes})


@pytest.fixture
def folder(tmp_path):
    return salicon_files.write(tmp_path / "salicon", train=12, val=3)


def test_parts(folder):
    found = parts(folder)
    assert found.test.name == "salicon/val" and len(found.test) == 3
    assert len(found.train) + len(found.select) == 12 and len(found.select) >= 1
    assert not set(found.train.id) & set(found.select.id)
    assert found.findings == (
        "SALICON train: 12 pictures for the 10,000 published",
        "SALICON val: 3 pictures for the 5,000 published",
    )
    again = parts(folder)
    assert [p.hash for p in again[:3]] == [p.hash for p in found[:3]]
    few = parts(folder, limit=4)
    assert len(few.train) + len(few.select) == 4 and set(few.test.id) == set(found.test.id)


def test_a_picture_its_map_and_where_it_was_looked_at(folder):
    part = parts(folder).test
    one = str(part.id[0])
    picture, seen = part.picture(one), part.density(one, FRAME)
    assert picture.shape == (*FRAME, 3) and picture.dtype == np.uint8
    assert seen.shape == FRAME and part.density(one, (6, 8)).shape == (6, 8)
    # columns and rows from 1, of two observers; the third lies outside
    assert part.fixations(one).tolist() == [[0, 0], [47, 63], [9, 19]]
    assert seen[9, 19] == 255


def test_another_shape_keeps_its_aspect(folder):
    name = "COCO_val2014_000000000000"
    tall = np.zeros((96, 64), np.uint8)
    tall[48:] = 200
    Image.fromarray(np.repeat(tall[..., None], 3, 2)).save(folder / f"images/val/{name}.jpg", quality=95)
    Image.fromarray(tall).save(folder / f"maps/val/{name}.png")
    gazes = np.zeros(1, [("fixations", object)])
    gazes[0]["fixations"] = np.array([[1, 1], [64, 96]], np.uint16)
    savemat(folder / f"fixations/val/{name}.mat", {"gaze": gazes, "resolution": [[96, 64]]})
    part = parts(folder).test
    box = part.box(name)
    assert box == (0, 16, 48, 32)
    assert not part.picture(name)[:, :16].any() and part.picture(name)[40, 20].min() > 150
    assert part.fixations(name).tolist() == [[0, 16], [47, 47]]


def test_batches_follow_the_order_of_all_trainings(folder):
    part = parts(folder).train
    rows = list(input.row_batches(len(part), 4, seed=3, last_step=5))
    found = list(gaze.batches(part, rows, (6, 8)))
    assert len(found) == 5
    for batch, wanted in zip(found, rows, strict=True):
        np.testing.assert_array_equal(batch["id"], wanted["id"])
        np.testing.assert_array_equal(batch["mask"], wanted["mask"])
        assert batch["image"].shape == (4, *FRAME, 3) and batch["map"].shape == (4, 6, 8)
        for row, image in zip(batch["id"], batch["image"], strict=True):
            np.testing.assert_array_equal(image, part.picture(str(part.id[row])))
    assert "map" not in next(gaze.batches(part, rows, None))


def test_a_reader_that_stops_early_leaves_no_thread(folder):
    part = parts(folder).train
    found = gaze.batches(part, input.row_batches(len(part), 4, seed=0), (6, 8))  # without end
    next(found)
    found.close()


def test_what_lacks_a_file_is_left_out_and_named(folder):
    (folder / "maps/train/COCO_train2014_000000000003.png").unlink()
    (folder / "fixations/val/COCO_val2014_000000000001.mat").unlink()
    (folder / "images/train/.DS_Store").write_bytes(b"")
    found = parts(folder)
    assert len(found.train) + len(found.select) == 11 and len(found.test) == 2
    assert "SALICON train: left out, not in maps/train: 1 (COCO_train2014_000000000003)" in found.findings
    assert "SALICON val: left out, not in fixations/val: 1 (COCO_val2014_000000000001)" in found.findings
    for path in (folder / "maps/val").iterdir():
        path.unlink()
    with pytest.raises(BadInput, match=r"no picture of val has a map.*not in maps/val: 3"):
        parts(folder)


def test_damaged_files(folder):
    part = parts(folder).test
    one = str(part.id[0])
    mat, picture = folder / f"fixations/val/{one}.mat", folder / f"images/val/{one}.jpg"
    whole = mat.read_bytes()
    for damage, says in (
        (whole[:100], r"\.mat: cannot be read as MATLAB 5"),
        (whole[: len(whole) // 2], "cannot be read as MATLAB 5"),
        (b"junk", "cannot be read as MATLAB 5"),
    ):
        mat.write_bytes(damage)
        with pytest.raises(BadInput, match=says) as error:
            part.fixations(one)
        assert "\n" not in str(error.value)
    savemat(mat, {"other": 1})
    with pytest.raises(BadInput, match="has no gaze with fixations"):
        part.fixations(one)
    picture.write_bytes(picture.read_bytes()[:300])
    with pytest.raises(BadInput, match=r"\.jpg: cannot be read"):
        part.picture(one)


def test_a_cell_of_structs_is_read_too(tmp_path):
    cell = np.empty((2, 1), object)
    cell[0, 0] = {"fixations": np.array([[3.0, 4.0]])}
    cell[1, 0] = {"fixations": np.zeros((0, 0))}
    savemat(tmp_path / "a.mat", {"gaze": cell, "resolution": [[48, 64]]})
    points, size = salicon.read_fixations(tmp_path / "a.mat")
    assert points.tolist() == [[3, 4]] and size == (48, 64)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"dir": ""}, "data.dir: '' is no folder"),
        ({"dir": "/nowhere"}, "is no folder"),
        ({"name": "mit300"}, "no set of saliency 'mit300'; there are salicon, saliency_shapes"),
        ({"options": {"colour": 1}}, "has no option 'colour'"),
    ],
)
def test_what_cannot_be(folder, changes, says):
    with pytest.raises(BadInput, match=says):
        parts(folder, **changes)


def test_another_tree(tmp_path):
    (tmp_path / "images").mkdir()
    with pytest.raises(BadInput, match=r"images/train is no folder; SALICON is images, maps and fixations"):
        parts(tmp_path)
