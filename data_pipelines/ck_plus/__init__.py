"""CK+, the Extended Cohn-Kanade set (Lucey et al. 2010): from neutral to apex, with emotions and FACS codes.

No TensorFlow here. The names below are what `data_pipelines.arrays` asks of every data set's folder;
docs/data.md describes them.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from data_pipelines import BadInput
from data_pipelines.ck_plus import checks, layout, source
from data_pipelines.ck_plus.source import CLASSES
from data_pipelines.ck_plus.tables import AU_NAMES
from data_pipelines.labels import AU_UNKNOWN
from data_pipelines.split import Split, known

__all__ = [
    "AU_NAMES",
    "CLASSES",
    "OPTIONS",
    "arrays",
    "check",
    "coded",
    "findings",
    "folds",
    "gaps",
    "parts",
    "sequences",
]

OPTIONS = {
    "dir": "",  # folder with cohn-kanade-images, Emotion, FACS and Landmarks, or up to three above it
    "image_size": 48,  # pixels; faces are cut out at this size
    "last_frames": 3,  # so many frames at a sequence's end show its emotion
    "first_neutral": True,  # the first frame of a sequence with an emotion is neutral
    "aus": "last",  # codes on the last frame alone; or "carried": on all last_frames, and on the first none
    "rows": "emotion",  # what takes part: frames with an emotion; or "facs": those with action-unit codes
    "folds": 10,  # parts of the subjects
    "fold": 0,  # the one that is reported; the next one selects, and the rest trains
}


def arrays(options: Mapping) -> dict[str, dict]:
    """Reads the folder `options["dir"]`; see `source.read`.

    Returns:
      {"frames": image uint8 [n, size, size, 1], label int32 [n] (index into CLASSES; -1 without an emotion),
      aus int8 [n, u], subject str [n] ("ckplus-S005"), id str [n] ("S005/001/S005_001_00000011")}.

    Raises:
      BadInput: an option that makes no sense, or files that cannot be read.
    """
    return {"frames": source.read(checked(options))}


def checked(options: Mapping) -> dict:
    """OPTIONS with the given ones filled in.

    Raises:
      BadInput: a value that makes no sense.
    """
    o = {**OPTIONS, **options}
    for key, low, high in (
        ("image_size", 8, 1024),
        ("last_frames", 1, None),
        ("folds", 3, None),
        ("fold", 0, None),
    ):
        if isinstance(o[key], bool) or not isinstance(o[key], int | np.integer):
            raise BadInput(f"data.options.{key}: {o[key]!r} is not a whole number")
        if o[key] < low or (high is not None and o[key] > high):
            upto = "or more" if high is None else f"to {high}"
            raise BadInput(f"data.options.{key}: {o[key]} is out of range; write {low} {upto}")
    if o["fold"] >= o["folds"]:
        raise BadInput(
            f"data.options.fold: {o['fold']} of {o['folds']} folds; they are numbered 0 to {o['folds'] - 1}"
        )
    if o["rows"] not in ("emotion", "facs"):
        raise BadInput(f"data.options.rows: {o['rows']!r} is not known; write emotion or facs")
    if o["aus"] not in ("last", "carried"):
        raise BadInput(f"data.options.aus: {o['aus']!r} is not known; write last or carried")
    return o


def sequences(ids: Sequence[str] | np.ndarray) -> np.ndarray:
    """The sequence of each input, which is the unit of analysis: its frames are near-copies.

    Args:
      ids: [n], such as "S005/001/S005_001_00000011".
    Returns:
      str [n], such as "S005/001".
    """
    return np.array([str(name).rpartition("/")[0] for name in ids], np.str_)


def coded(options: Mapping, load: Callable[[Mapping], Mapping[str, Split]]) -> tuple[Split, str]:
    """The inputs for attribution: all sequences, with an emotion and without; see `coded.load`."""
    which = (
        "last frames"
        if options["aus"] == "last"
        else "first and last frames, codes of the last carried to all"
    )
    return load(options)["frames"], f"{which} of the sequences with FACS codes"


def check(folder: str) -> list[tuple[str, int, int | None]]:
    """Compares a user's copy with what was published; decodes no frame.

    Returns:
      (what, found, published) rows; published is None where nothing is sure.

    Raises:
      BadInput: what is in the folder cannot be read.
    """
    return checks.counts(layout.scan(folder))


def gaps(folder: str) -> list[str]:
    """Junk and gaps of a user's copy, a line each, for `ferjax data check`; decodes no frame."""
    return checks.passed_over(layout.scan(folder), OPTIONS)


def findings(options: Mapping, splits: Mapping) -> list[str]:
    """What a user should know about the copy read, a line each; see `checks.findings`."""
    return checks.findings(checked(options), splits["frames"])


def folds(subjects: Sequence[str] | np.ndarray, n: int) -> dict[str, int]:
    """Divides subjects into n parts of equal size, give or take one.

    A subject's part is the rank of sha256("ferjax ck_plus " + its name) among those given, modulo n: the same
    on every machine and in every run, whatever the labels, the image size and the choice of frames.

    Args:
      subjects: names; repeated ones count once.
      n: parts.
    Returns:
      Name -> part, 0 to n - 1.
    """
    digest = {
        name: hashlib.sha256(f"ferjax ck_plus {name}".encode()).hexdigest() for name in map(str, subjects)
    }
    return {name: rank % n for rank, name in enumerate(sorted(digest, key=digest.get))}


def parts(options: Mapping, splits: Mapping) -> tuple:
    """One fold is reported, the next one selects the epoch, the rest trains; no subject is in two of them.

    Only rows with an emotion (or neutral) take part, or with rows=facs those with action-unit codes. All
    subjects are divided, so that a network of emotions and one of action units share their folds.

    Args:
      options: as OPTIONS.
      splits: {"frames": Split}.

    Returns:
      (train, select, test, selection), the last in words.

    Raises:
      BadInput: no such fold, or fewer subjects than folds.
    """
    o = checked(options)
    n, fold = o["folds"], o["fold"]
    split = splits["frames"]
    if o["rows"] == "emotion":
        split, what, folder = known(split), "an emotion", "Emotion"
    else:
        split, what, folder = split.take((split.aus != AU_UNKNOWN).any(1)), "action-unit codes", "FACS"
    if len(split.subjects) < n:
        raise BadInput(
            f"{o['dir']}: {len(split.subjects)} subjects with {what} do not make {n} folds; set "
            f"data.options.folds lower, or check that the {folder} folder is there"
        )
    of = folds(splits["frames"].subjects, n)  # of everybody, so that both choices of rows divide alike
    where = np.array([of[name] for name in split.subject.tolist()])
    select = (fold + 1) % n
    sides = {"test": where == fold, "select": where == select}
    sides["train"] = ~(sides["test"] | sides["select"])
    train, chosen, test = (
        split.take(sides[side], f"{split.name}[{side}, fold {fold} of {n}]")
        for side in ("train", "select", "test")
    )
    return train, chosen, test, f"fold {select} of {n} by subject, numbered from 0 (fold {fold} is reported)"
