"""Reads FER2013 as it lies on a user's disk, in any of its circulating forms. No TensorFlow here.

Forms, looked for in the folder itself and up to three folders below (unzipping doubles folders):

- fer2013.csv: emotion,pixels,Usage; or icml_face_data.csv: emotion, Usage, pixels. Fields go by name.
- beside a csv, fer2013new.csv with FER+'s votes, joined by row.
- train/<class>/*.jpg, test/<class>/*.jpg, perhaps validation/<class>/*.jpg. File names that begin with
  Training_, PublicTest_ or PrivateTest_ say which part they are of; elsewhere the folder does: validation is
  PublicTest, and test is PrivateTest where there is a validation folder and PublicTest where there is none.
"""

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from data_pipelines import BadInput, faces, labels, no_folder
from data_pipelines.disk import folders, junk, progress, readers
from data_pipelines.fer2013.tables import SIDE, USAGES, VOTES_NAME, read_csv, read_votes

log = logging.getLogger(__name__)

CSV_NAMES = ("fer2013.csv", "icml_face_data.csv")
FOLDERS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "publictest", "public_test"),
    "test": ("test", "testing"),
    "private_test": ("privatetest", "private_test"),
}
IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".pgm")

# Images per class, in the order of FER2013_CODES. Goodfellow et al. 2013 give the totals 28,709, 3,589 and
# 3,589; the classes are counts of the published fer2013.csv.
PUBLISHED = {
    "train": (3995, 436, 4097, 7215, 4830, 3171, 4965),
    "public_test": (467, 56, 496, 895, 653, 415, 607),
    "private_test": (491, 55, 528, 879, 594, 416, 626),
}
ALPHABETICAL = (
    "anger",
    "disgust",
    "fear",
    "happiness",
    "neutral",
    "sadness",
    "surprise",
)  # angry, disgust, ...


def read(folder: str, label_set: str = "fer2013") -> dict[str, dict]:
    """Reads the set.

    Args:
      folder: where it lies.
      label_set: "fer2013", the challenge's labels; or "ferplus", majorities of FER+'s votes. Under "ferplus"
        an image without a majority keeps its row, with label -1.

    Returns:
      "train", "public_test", "private_test", those there are -> image uint8 [n, 48, 48, 1], label int32 [n],
      aus int8 [n, 0], subject str [n] (empty: the set does not say), id str [n] ("fer2013.csv:00017", the
      data row from 1, or the file's path below `folder`).

    Raises:
      BadInput: names the file, and the row or field, and says what to do.
    """
    if label_set not in ("fer2013", "ferplus"):
        raise BadInput(f"data.labels: {label_set!r} is not known; write fer2013 or ferplus")
    kind, place = find(folder)
    if kind == "csv":
        image, label, part, ids = read_csv(place)
        if label_set == "ferplus":
            label = read_votes(place, part)
    elif label_set == "ferplus":
        raise BadInput(
            f"{place}: FER+ votes go with rows of fer2013.csv and cannot be joined to a copy in folders, "
            "whose file names carry no row numbers; put fer2013.csv and fer2013new.csv there, or set "
            "data.labels to fer2013"
        )
    else:
        image, label, part, ids = _read_folders(Path(folder).expanduser(), place)
    splits = {}
    for name in USAGES.values():
        rows = part == name
        n = int(rows.sum())
        if n:
            splits[name] = {
                "image": image[rows],
                "label": label[rows],
                "aus": np.zeros((n, 0), np.int8),
                "subject": np.full(n, "", np.str_),
                "id": ids[rows],
            }
    if "train" not in splits:
        raise BadInput(f"{place}: no Training images here; FER2013 has 28,709 of them")
    return splits


def find(folder: str) -> tuple[str, Path]:
    """Looks for a known form.

    Returns:
      ("csv", the file) or ("folders", the folder that holds train/ and test/).

    Raises:
      BadInput: no such folder, or nothing known in it.
    """
    top = Path(folder).expanduser()
    if not folder or not top.is_dir():
        raise no_folder(folder, "fer2013.csv or train/ and test/")
    level = [top]
    for _ in range(4):
        for place in level:
            for name in CSV_NAMES:
                if (place / name).is_file():
                    return "csv", place / name
        for place in level:
            if _role_folders(place).get("train"):
                return "folders", place
        level = [path for place in level for path in folders(place)]
    raise BadInput(
        f"{top}: no FER2013 in any known form; expected fer2013.csv, icml_face_data.csv, or "
        "train/<class>/*.jpg and test/<class>/*.jpg"
    )


def has_votes(folder: str) -> bool:
    """Whether FER+'s votes lie beside the csv."""
    kind, place = find(folder)
    return kind == "csv" and place.with_name(VOTES_NAME).is_file()


def count_findings(splits: Mapping, label_set: str = "fer2013") -> list[str]:
    """A line for each count that is not the published one, and for each part that lost rows to FER+'s vote.

    Args:
      splits: part -> Split, or a mapping with "label" as `read` returns it.
      label_set: what the labels are.
    """
    found = []
    for name, split in splits.items():
        label = split["label"] if isinstance(split, Mapping) else split.label
        if label_set == "ferplus":
            lost = int((label < 0).sum())
            if lost:
                found.append(
                    f"fer2013 {name}: {lost} of {len(label)} images have no FER+ majority and are left out"
                )
            if len(label) != sum(PUBLISHED[name]):
                found.append(f"fer2013 {name}: {len(label)} images, published {sum(PUBLISHED[name])}")
            continue
        counts = np.bincount(label, minlength=7)
        found += [
            f"fer2013 {name}: {count} images of {labels.FER2013_CODES[code]}, published {published}"
            for code, (count, published) in enumerate(zip(counts.tolist(), PUBLISHED[name], strict=True))
            if count != published
        ]
    return found


# Folders of images.


def _role_folders(place: Path) -> dict[str, Path]:
    """ "train", "validation", "test", "private_test" -> the subfolder that plays it."""
    roles = {}
    for path in folders(place):
        for role, words in FOLDERS.items():
            if path.name.lower() in words:
                if role in roles:
                    raise BadInput(f"{place}: both {roles[role].name} and {path.name}; keep one of them")
                roles[role] = _undouble(path)
    return roles


def _undouble(folder: Path) -> Path:
    """Goes down through folders that hold nothing but one of the same name."""
    while True:
        inner = [path for path in folder.iterdir() if not junk(path.name)]
        if len(inner) != 1 or not inner[0].is_dir() or inner[0].name.lower() != folder.name.lower():
            return folder
        folder = inner[0]


def _read_folders(top: Path, place: Path) -> tuple[np.ndarray, ...]:
    """Returns image, label, part and id, sorted by path below `top`."""
    roles = _role_folders(place)
    published = {"train": "train", "validation": "public_test", "private_test": "private_test"}
    published["test"] = "private_test" if "validation" in roles else "public_test"
    files, label, part, guessed, numbered = [], [], [], 0, False
    for role, folder in roles.items():
        classes = folders(folder)
        if not classes:
            raise BadInput(f"{folder}: no class folders; expected angry, disgust, fear, ... or 0 to 6")
        for class_folder in classes:
            name = class_folder.name.strip()
            numbered |= name.isdecimal()
            code = _class_code(class_folder)
            inside = [path for path in _undouble(class_folder).iterdir() if not junk(path.name)]
            images = sorted(path for path in inside if path.suffix.lower() in IMAGES)
            if not images:
                raise BadInput(f"{class_folder}: an empty class folder; unpack the archive again")
            strange = sorted(path for path in inside if path.suffix.lower() not in IMAGES)
            if strange:
                raise BadInput(f"{strange[0]}: not an image; move it out of the class folders")
            for path in images:
                usage = USAGES.get(path.name.partition("_")[0])
                guessed += usage is None and role == "test"
                files.append(path)
                label.append(code)
                part.append(usage or published[role])
    if guessed:
        log.warning(
            "%s: %d file names do not say whether they are PublicTest or PrivateTest; taken as %s, since "
            "there is %s validation folder",
            roles["test"],
            guessed,
            published["test"],
            "a" if "validation" in roles else "no",
        )
    label, part = np.array(label, np.int32), np.array(part)
    if numbered:
        _check_numbering(place, label, part)
    ids = np.array([path.relative_to(top).as_posix() for path in files])
    image = np.empty((len(files), SIDE, SIDE, 1), np.uint8)
    with readers() as pool:
        for row, pixels in enumerate(progress(pool.map(read_image, files), place.name, len(files))):
            image[row, :, :, 0] = pixels
    return image, label, part, ids


def _class_code(folder: Path) -> int:
    """FER2013's code of a class folder, from its name or number."""
    name = folder.name.strip()
    if name.isdecimal():
        if int(name) in labels.FER2013_CODES:
            return int(name)
        raise BadInput(f"{folder}: FER2013's codes are 0 to 6")
    try:
        return labels.FER2013_CLASSES.index(labels.emotion(name))
    except ValueError:  # BadInput too
        known = ", ".join(labels.FER2013_CLASSES)
        raise BadInput(f"{folder}: {name!r} is no class of FER2013; expected {known}, or 0 to 6") from None


def _check_numbering(place: Path, label: np.ndarray, part: np.ndarray) -> None:
    """Refuses numbered folders whose counts show that they were numbered alphabetically."""
    log.warning("%s: class folders are numbers, read as FER2013's codes, 0 anger to 6 neutral", place)
    for name, published in PUBLISHED.items():
        counts = np.bincount(label[part == name], minlength=7).tolist()
        by_name = dict(zip(labels.FER2013_CLASSES, published, strict=True))
        if counts == [by_name[emotion] for emotion in ALPHABETICAL]:
            raise BadInput(
                f"{place}: the counts show that folders 0 to 6 number the classes alphabetically (3 happy, "
                "4 neutral, 5 sad, 6 surprise), not by FER2013's codes; rename them to the classes' names"
            )


def read_image(path: Path) -> np.ndarray:
    """uint8 [48, 48], the grey values of an image file.

    Raises:
      BadInput: unreadable, truncated, or of another size.
    """
    picture = faces.read_grey(path)
    if picture.shape != (SIDE, SIDE):
        h, w = picture.shape
        raise BadInput(f"{path}: {w}x{h} pixels; FER2013's images have 48x48")
    return picture
