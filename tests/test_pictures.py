"""Pictures in colour: whatever the file's kind, red stays red, and grey is its luma."""

import numpy as np
import pytest
from manifest_files import colours, crop, photograph, save
from PIL import Image

from data_pipelines import BadInput, faces, pictures, tfds_examples


def kinds(folder):
    """The same colours as files of several kinds -> what they show."""
    rgb = colours(0)
    palette = Image.fromarray(colours(1) // 64 * 64).quantize(64)
    alpha = np.concatenate([rgb, crop(2)[..., None]], -1)
    cmyk = Image.fromarray(rgb).convert("CMYK")
    files = {
        "rgb.png": (Image.fromarray(rgb), rgb),
        "rgba.png": (Image.fromarray(alpha), rgb),
        "palette.png": (palette, np.asarray(palette.convert("RGB"))),
        "cmyk.tif": (cmyk, np.asarray(cmyk.convert("RGB"))),
        "grey.png": (Image.fromarray(crop(3)), np.repeat(crop(3)[..., None], 3, -1)),
        "la.png": (
            Image.fromarray(np.stack([crop(3), crop(4)], -1)),
            np.repeat(crop(3)[..., None], 3, -1),
        ),
    }
    for name, (image, shown) in files.items():
        image.save(folder / name)
        yield folder / name, shown


def test_whatever_the_kind_of_file(tmp_path):
    for path, shown in kinds(tmp_path):
        read = faces.read_rgb(path)
        np.testing.assert_array_equal(read, shown, path.name)
        grey = faces.read_grey(path)  # ITU-R 601, by hand; in fixed point of 16 bits
        np.testing.assert_allclose(grey, read @ [0.299, 0.587, 0.114], atol=0.51)
        np.testing.assert_array_equal(grey, faces.grey_of(read), path.name)
    np.testing.assert_array_equal(faces.grey_of(crop(3)), crop(3))


def test_a_camera_that_was_turned(tmp_path):
    upright, exif = colours(5)[:12], Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.ascontiguousarray(np.rot90(upright))).save(tmp_path / "p.png", exif=exif)
    np.testing.assert_array_equal(faces.read_rgb(tmp_path / "p.png"), upright)


def test_refused_as_in_grey(tmp_path):
    Image.fromarray(np.zeros((9, 9), np.uint16)).save(tmp_path / "deep.png")
    save(tmp_path / "cut.jpg", colours(0, 64))
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "cut.jpg").read_bytes()[:900])
    for name, words in (("deep.png", "more than 8 bits"), ("cut.jpg", "truncated")):
        for read in (faces.read_grey, faces.read_rgb):
            with pytest.raises(BadInput, match=rf"{name}.*{words}"):
                read(tmp_path / name)
        assert words in pictures.look(tmp_path / name, "none", 8, colour=True).problem


def test_the_square_in_the_middle_in_colour(tmp_path):
    wide = np.concatenate([colours(1, 20), colours(0, 20), colours(2, 20)], 1)
    seen = pictures.look(save(tmp_path / "p.png", wide), "none", 20, colour=True)
    assert (seen.how, seen.box) == ("whole", (20, 0, 20, 20))
    np.testing.assert_array_equal(seen.pixels, colours(0, 20))
    assert pictures.look(tmp_path / "p.png", "none", 20).pixels.shape == (20, 20)


def test_a_face_is_looked_for_in_grey(tmp_path):
    """Colour changes neither where it is nor, but for rounding, its luma."""
    pytest.importorskip("cv2")
    path = save(tmp_path / "p.png", photograph(0))
    grey, seen = pictures.look(path, "detect", 64), pictures.look(path, "detect", 64, colour=True)
    assert seen.pixels.shape == (64, 64, 3) and seen[1:] == grey[1:] and seen.how == "frontal"
    np.testing.assert_allclose(faces.grey_of(seen.pixels), grey.pixels, atol=1.01)
    shown = seen.pixels.astype(float).mean((0, 1))
    np.testing.assert_allclose(shown / shown[0], [1, 0.9, 0.8], atol=0.01)  # the tint of `photograph`


def test_frames_of_a_clip_in_colour(tmp_path):
    paths = [save(tmp_path / f"{n}.png", colours(n)) for n in range(3)]
    placed = pictures.look_at_clip(paths, "none")
    seen = list(pictures.look_at_all(paths, "none", 20, "x", placed=[placed] * 3, colour=True))
    assert all((s.pixels == colours(n)).all() for n, s in enumerate(seen))
    small = save(tmp_path / "small.png", colours(0, 19))
    assert "19x19 pixels" in pictures.look(small, "none", 20, placed, colour=True).problem


def test_a_face_that_is_known_to_be_turned(monkeypatch):
    """The side is looked for first, and the usual search goes on where there is none."""
    box = (3, 4, 40, 50)
    frontal = faces.Found(box, *faces._eyes_of_box(box), "eyes")
    asked = []

    def profile(picture, sides=faces.PROFILES):
        asked.append(sides)
        return frontal._replace(by=sides[-1], how="box") if "profile" in sides else None

    monkeypatch.setattr(faces, "_frontal", lambda picture, share: frontal)
    monkeypatch.setattr(faces, "_profile", profile)
    picture = np.zeros((90, 120), np.uint8)
    assert faces.search(picture).by == "frontal" and asked == []
    assert faces.search(picture, "profile").by == "profile" and asked == [("profile",)]
    assert faces.search(picture, "mirrored profile").by == "frontal" and asked[1:] == [("mirrored profile",)]


def test_so_many_folders_below(tmp_path):
    paths = [save(tmp_path / "/".join("abc"[:n]) / f"{n}.png", crop(n)) for n in range(4)]
    assert pictures.below(tmp_path)[0] == sorted(paths) == pictures.below(tmp_path, 3)[0]
    assert [path.name for path in pictures.below(tmp_path, 1)[0]] == ["0.png", "1.png"]
    assert pictures.below(tmp_path, 0)[0] == paths[:1]


def test_examples_of_a_builder():
    for channels in (1, 3):
        image = np.stack([colours(n)[:, :, :channels] for n in range(2)])
        arrays = {
            "image": image,
            "label": np.zeros(2, int),
            "aus": np.zeros((2, 0), np.int8),
            "subject": np.array(["a", "b"]),
            "id": np.array(["x", "y"]),
        }
        for row, (_, example) in enumerate(tfds_examples.examples(arrays)):
            read = np.asarray(Image.open(example["image"])).reshape(20, 20, channels)
            np.testing.assert_array_equal(read, image[row])


def test_many_pictures_keep_their_order(tmp_path):
    paths = [save(tmp_path / f"{n}.png", crop(n)) for n in range(40)]
    for ahead in (1, 7, 100):
        seen = list(pictures.look_at_all(paths, "none", 20, "x", ahead))
        assert all((s.pixels == crop(n)).all() for n, s in enumerate(seen)) and seen[0].box == (0, 0, 20, 20)
