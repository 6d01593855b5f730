"""FER2013 (Goodfellow et al. 2013), and FER+'s votes for it (Barsoum et al. 2016). No TensorFlow here.

The names below are what `data_pipelines.arrays` asks of every data set's folder; docs/data.md describes them.
"""

from collections.abc import Mapping

import numpy as np

from data_pipelines import BadInput, filled, labels
from data_pipelines.fer2013 import source
from data_pipelines.split import blank, duplicates, known, split_tenth

CLASSES = labels.FER2013_CLASSES
AU_NAMES = ()
PUBLISHED = "FER2013's Training, PublicTest and PrivateTest (Goodfellow et al. 2013)"
"""Its parts share images: results come with and without them."""

OPTIONS = {
    "dir": "",  # folder with fer2013.csv, icml_face_data.csv, or train/ and test/ folders of images
    "labels": "fer2013",  # or "ferplus": majority of ten votes, from fer2013new.csv beside the csv
    "select": "auto",  # or "tenth": select on a hashed tenth of Training even where PrivateTest is on disk
}


def checked(options: Mapping) -> dict:
    """OPTIONS with the given ones filled in; BadInput for one that there is none of."""
    return filled("data.options: fer2013", options, OPTIONS)


def classes(options: Mapping) -> tuple[str, ...]:
    """Names the labels index: FER2013's seven, or FER+'s eight."""
    return labels.FERPLUS_CLASSES if options["labels"] == "ferplus" else CLASSES


def arrays(options: Mapping) -> dict[str, dict]:
    """Reads the folder `options["dir"]`; see `source.read`.

    Returns:
      Part of the set ("train", "public_test", "private_test"; those on disk) -> dict of arrays: image uint8
      [n, 48, 48, 1], label int32 [n], aus int8 [n, 0], subject and id str [n].

    Raises:
      BadInput: what is in the folder cannot be read.
    """
    return source.read(options["dir"], options["labels"])


def check(folder: str) -> list[tuple[str, int, int | None]]:
    """Compares a user's copy with what was published, and looks for blank and repeated images.

    Returns:
      (what, found, published) rows; published is None where nothing was.

    Raises:
      BadInput: what is in the folder cannot be read.
    """
    splits = source.read(folder)
    rows = []
    for part in source.USAGES.values():
        label = splits[part]["label"] if part in splits else np.zeros(0, np.int32)
        published = source.PUBLISHED[part]
        rows.append((f"{part} images", len(label), sum(published)))
        counts = np.bincount(label, minlength=len(CLASSES)).tolist()
        rows += [(f"{part} {name}", *pair) for name, *pair in zip(CLASSES, counts, published, strict=True)]
    for part, split in splits.items():
        rows.append((f"{part} blank images", int(blank(split["image"]).sum()), None))
    same = duplicates(splits)
    rows.append(("groups of identical images", same["groups"], None))
    rows.append(("images in such groups", same["rows"], None))
    rows.append(("such groups with several labels", same["conflicting"], None))
    rows += [(f"such groups in both {a} and {b}", n, None) for (a, b), n in same["across"].items()]
    if source.has_votes(folder):
        for part, split in source.read(folder, "ferplus").items():
            rows.append((f"{part} images without a FER+ majority", int((split["label"] < 0).sum()), None))
    return rows


def findings(options: Mapping, splits: Mapping) -> list[str]:
    """What a user should know about the parts read, a line each: counts other than the published ones."""
    return source.count_findings(splits, options["labels"])


def parts(options: Mapping, splits: Mapping) -> tuple:
    """Which images train, select the epoch, and are reported.

    Where PrivateTest is on disk: Training, PublicTest, PrivateTest (the challenge's own use). Elsewhere
    PublicTest is the only held-out part, so it is reported, and a hashed tenth of Training selects.

    Args:
      options: as OPTIONS.
      splits: part of the set -> Split.

    Returns:
      (train, select, test, selection), the last in words.

    Raises:
      BadInput: neither PublicTest nor PrivateTest is there.
    """
    if options["select"] not in ("auto", "tenth"):
        raise BadInput(f"data.select: {options['select']!r} is not known; write auto or tenth")
    splits = {name: known(split) for name, split in splits.items()}
    public, private = splits.get("public_test"), splits.get("private_test")
    if public is None and private is None:
        raise BadInput(
            f"{options['dir']}: neither PublicTest nor PrivateTest is here, so nothing can be reported"
        )
    if public is not None and private is not None and options["select"] == "auto":
        return splits["train"], public, private, "PublicTest"
    train, tenth = split_tenth(splits["train"])
    if options["select"] == "tenth":
        why = "data.select = tenth"
    else:
        why = f"{'PrivateTest' if private is None else 'PublicTest'} is not on disk"
    test = public if private is None else private
    return train, tenth, test, f"a hashed tenth of Training ({why})"
