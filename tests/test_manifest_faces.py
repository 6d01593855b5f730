"""Faces in the photographs of a manifest: found, cut out, left out by name, and what `data check` says."""

import numpy as np
import pytest
from manifest_files import HEAD, SIZE, load, options, photograph, save, write

from data_pipelines import BadInput, faces, manifest
from data_pipelines.manifest import source, table
from ferjax.main import main


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Three photographs with a face, one without; the CSV."""
    folder = tmp_path_factory.mktemp("photographs")
    for number in range(3):
        save(folder / f"p{number}.png", photograph(number, 10 * number, grey=number == 2))
    save(folder / "wall.jpg", np.full((200, 240, 3), 90, np.uint8))
    text = HEAD + "p0.png,joy,a,train\np1.png,fear,b,validation\nwall.jpg,joy,a,train\np2.png,joy,c,test\n"
    return write(folder, text)


def test_faces_are_found_and_cut_out(photographs, tmp_path, caplog):
    made = load(photographs, tmp_path / "c", crop="detect")
    assert made.train.id.tolist() == ["p0.png"] and made.test.id.tolist() == ["p2.png"]
    said = "faces found in 3 of 4 pictures (3 frontal); 1 without a face"
    assert sum(said in line for line in caplog.messages) == 1
    assert "manifest: no face found, left out: 1 of 4 (wall.jpg)" in made.findings
    grey = faces.read_grey(photographs.parent / "p0.png")
    found = faces.detect(grey)
    expected = faces.align(grey, found.left_eye, found.right_eye, SIZE)
    np.testing.assert_array_equal(made.train.image[0, :, :, 0], expected)
    caplog.clear()
    again = load(photographs, tmp_path / "c", crop="detect")  # the cache says it again
    assert again.findings == made.findings and sum(said in line for line in caplog.messages) == 1


def test_no_face_is_an_error_if_so_asked(photographs, tmp_path):
    with pytest.raises(BadInput, match=r"manifest.csv row 3: no face is found in .*wall.jpg"):
        manifest.arrays(options(photographs, crop="detect", undetected="fail"))
    alone = write(tmp_path, HEAD + f"{photographs.parent / 'wall.jpg'},joy,a,train\n")
    with pytest.raises(BadInput, match=r"no face is found in any of 1 pictures.*wall.jpg; set data"):
        manifest.arrays(options(alone, crop="detect"))


def test_check(photographs, capsys):
    for place in (photographs, photographs.parent):
        assert main(["data", "check", "manifest", "--dir", str(place)]) == 0
        said = capsys.readouterr().out
        rows = {line[:30].strip(): line.split() for line in said.splitlines()}
        assert rows["pictures"][-1] == "4" and "happiness" in said and "faces found: frontal" in said
        assert "manifest: no face found: 1 (wall.jpg)" in said
    assert main(["data", "check", "manifest", "--dir", str(photographs.parent / "gone")]) == 2


def test_findings_name_so_many_and_count_the_rest(tmp_path):
    rows = [table.Row(n + 1, f"/x/{n}", f"{n:02d}", "", "", "train") for n in range(30)]
    found = source.findings(table.Table(tmp_path, tuple(rows)), {}, {"crop": "detect"}, "m")
    assert "left out: 30 of 30 (00, 01," in found[-1] and "19, and 10 more: ferjax data check" in found[-1]
