"""Further ways to find a face: small, in profile, in mirrored profile."""

import numpy as np
from manifest_files import photograph
from PIL import Image

from data_pipelines import faces


def test_further_ways_to_find_a_face(monkeypatch):
    """A small face, one in profile, one in mirrored profile, each in the picture's own pixels."""
    whole = photograph(0, grey=True)
    first = faces.search(whole)
    assert first.by == "frontal" and first.box == faces.detect(whole).box
    wide = np.full((1400, 1700), 120, np.uint8)
    wide[300:450, 1000:1220] = np.asarray(Image.fromarray(whole).reduce(2))
    assert faces.detect(wide) is None
    found = faces.search(wide)  # in the picture at half the size
    assert found.by == "enlarged"
    eyes = (np.array([first.left_eye, first.right_eye]) + 0.5) / 2 - 0.5 + [1000, 300]
    off = np.array([found.left_eye, found.right_eye]) - eyes
    assert np.abs(off).max() < 0.25 * np.ptp(eyes[:, 0])  # by the box

    class Profile:
        """One weak box in every picture, and a sure one where the first pixel is 1."""

        def detectMultiScale3(self, picture, **_):  # noqa: N802
            boxes = [[0, 0, 30, 30]] if picture.any() else []
            boxes += [[2, 5, 40, 50]] if picture[0, 0] == 1 else []
            return np.array(boxes) if boxes else (), (), np.array([0.5, 2.0][: len(boxes)])

    class Nothing:
        def detectMultiScale(self, picture, **_):  # noqa: N802
            return ()

    monkeypatch.setattr(faces, "_cascades", lambda: (Nothing(), Nothing(), Profile()))
    picture = np.zeros((90, 120), np.uint8)
    picture[0, 0] = 1
    found = faces.search(picture)
    assert (found.by, found.how, found.box) == ("profile", "box", (2, 5, 40, 50))
    found = faces.search(picture[:, ::-1])
    assert (found.by, found.box) == ("mirrored profile", (78, 5, 40, 50))
    assert found.left_eye.tolist() == [78 + 0.3 * 40 - 0.5, 5 + 0.4 * 50 - 0.5]
    assert faces.search(np.zeros((90, 120), np.uint8)) is None

    class Ear(Nothing):
        def detectMultiScale(self, picture, **_):  # noqa: N802
            return np.array([[9, 9, side, side]])

    monkeypatch.setattr(faces, "_cascades", lambda: (Ear(), Nothing(), Profile()))
    side = 30  # without eyes, and the profile is 40 wide: 1.33 times
    assert faces.search(picture).by == "profile"
    side = 32  # 1.25 times
    found = faces.search(picture)
    assert (found.by, found.how, found.box) == ("frontal", "box", (9, 9, 32, 32))
