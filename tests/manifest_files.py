"""Photographs as tiny files: drawn faces in larger colour pictures, and manifests that list them."""

import numpy as np
from drawn_face import drawn
from PIL import Image

from data_pipelines import arrays, manifest

SIZE = 24
HEAD = "path,label,subject,split\n"


def photograph(which=0, shift=0, grey=False):
    """The drawn face, mirrored for 1, with less contrast for 2, aside; in colour unless grey."""
    face = drawn()[0]
    face = (face, face[:, ::-1], 40 + face // 4 * 3)[which]
    canvas = np.full((300, 440), 120, np.uint8)
    canvas[:, shift : shift + 400] = face
    if grey:
        return canvas
    tint = np.stack([canvas, canvas * 0.9, canvas * 0.8], -1)
    return np.rint(tint).astype(np.uint8)


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def crop(number, side=20):
    """A small picture that is a crop already, different for each number."""
    return np.random.default_rng(number).integers(0, 256, (side, side), np.uint8)


def colours(number, side=20):
    """As `crop`, in colour."""
    return np.random.default_rng(number).integers(0, 256, (side, side, 3), np.uint8)


def write(folder, text, crops=()):
    """manifest.csv with that text, and small pictures of those names."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(crops):
        save(folder / name, crop(number))
    path = folder / "manifest.csv"
    path.write_text(text)
    return path


def options(place, **changes):
    return {**manifest.OPTIONS, "dir": str(place), "crop": "none", "image_size": SIZE, **changes}


def load(folder, cache, **changes):
    """The parts of a manifest, as a config reads them."""
    data = {"name": "manifest", "dir": str(folder), "image_size": SIZE, "cache_dir": str(cache)}
    return arrays.load_parts({**data, "options": {"crop": "none", **changes}})
