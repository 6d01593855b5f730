"""Who goes to which part: by hash of subjects, by folds of them; and parts with other classes."""

import dataclasses
import hashlib
from collections.abc import Callable, Sequence

import numpy as np

from data_pipelines import BadInput, labels
from data_pipelines.split import Parts, clips, join, together

MAPPED = "emotions mapped by name: "  # begins the finding that says what a map did


def by_hash(keys: Sequence[str]) -> np.ndarray:
    """Divides what has no parts of its own: about 70 in 100 keys train, 10 validate, 20 are the test.

    A key's part is its rank by sha256("ferjax parts " + key) among all: the same on every machine. Rows of
    one key come to lie on one side.

    Args:
      keys: [n] the subject of each row, or whatever must stay together.
    Returns:
      str [n], "train", "validation" or "test"; each has a key.
    Raises:
      ValueError: fewer than three different keys.
    """
    order = sorted(set(keys), key=lambda key: hashlib.sha256(f"ferjax parts {key}".encode()).hexdigest())
    if len(order) < 3:
        raise ValueError(f"{len(order)} different keys do not make three parts")
    n_test, n_val = max(1, round(0.2 * len(order))), max(1, round(0.1 * len(order)))
    rank = {key: place for place, key in enumerate(order)}
    place = np.array([rank[key] for key in keys])
    return np.select([place < n_test, place < n_test + n_val], ["test", "validation"], "train")


def folds(keys: Sequence[bytes], n: int, seed: int = 0) -> np.ndarray:
    """Which fold each row lies in: all rows of a key in one, sizes in rows as even as keys allow.

    Keys, in the order of a hash of seed and key, go to the fold that has the fewest rows so far, those of
    many rows first.

    Args:
      keys: [m] whatever must stay together, see `split.together`.
      n: folds, at least 3 (one reports, one selects, the others train).
      seed: of the hash.
    Returns:
      int [m], 0 to n - 1; the same on every machine, whatever the order of the rows.
    Raises:
      BadInput: fewer different keys than folds.
    """
    groups, inverse, size = np.unique(np.array(keys, object), return_inverse=True, return_counts=True)
    if len(groups) < n:
        known = not any(key.startswith(b"\0") for key in groups)
        what = "subjects" if known else "subjects, clips or different images"
        raise BadInput(f"data.kfolds is {n}, and there are {len(groups)} {what}; take fewer folds")
    order = [hashlib.sha256(f"ferjax fold {seed} ".encode() + g).digest() for g in groups]
    rows, of_group = np.zeros(n, int), np.zeros(len(groups), int)
    for g in sorted(range(len(groups)), key=lambda g: (-size[g], order[g])):
        fold = int(rows.argmin())
        of_group[g], rows[fold] = fold, rows[fold] + size[g]
    return of_group[inverse]


def by_fold(parts: Parts, n: int, fold: int, sequences: Callable = clips) -> Parts:
    """Pools train, select and test and divides them anew: one fold is reported, the next selects.

    No subject is in two folds; where the subject is unknown no clip is, and outside clips no image and its
    copy.

    Args:
      parts: of a set.
      n: folds, at least 3.
      fold: 0 to n - 1, the one reported.
      sequences: ids -> clips, the set's own.
    Returns:
      Parts; our own division, whatever that of the set was.
    Raises:
      BadInput: no such fold, or fewer subjects than folds.
    """
    if n < 3 or not 0 <= fold < n:
        raise BadInput(f"data.kfolds is {n} and data.kfold {fold}; take 3 folds or more, numbered from 0")
    set_name = parts.train.name.partition("/")[0]
    whole = join(set_name, [parts.train, parts.select, parts.test])
    whole = whole.take(np.argsort(whole.id, kind="stable"))
    keys = together(whole, sequences)
    of = folds(keys, n)
    chosen = (fold + 1) % n
    test, select = of == fold, of == chosen
    sides = {"train": ~(test | select), "select": select, "test": test}
    divided = {k: whole.take(rows, f"{set_name}[{k}, fold {fold} of {n}]") for k, rows in sides.items()}
    words = f"fold {chosen} of {n} by {_by(keys)}, numbered from 0 (fold {fold} is reported)"
    return parts._replace(**divided, selection=words, published="")


def _by(keys: Sequence[bytes]) -> str:
    """What rows were kept together by, in words."""
    clip = any(key.startswith(b"\0clip ") for key in keys)
    image = any(key.startswith(b"\0") and not key.startswith(b"\0clip ") for key in keys)
    unknown = " and ".join(["clip"] * clip + ["image"] * image)
    if not unknown:
        return "subject"
    known = not all(key.startswith(b"\0") for key in keys)
    return f"subject where known, else by {unknown}" if known else f"{unknown}, subjects being unknown"


def relabel(parts: Parts, mapping: str, classes: str) -> Parts:
    """The parts with their emotions mapped by name, and only some of them kept.

    Images of a class that is left out are left out; those without a known label stay.

    Args:
      parts: of a set.
      mapping: see `labels.label_map`; "" changes nothing.
      classes: names, comma between; "" keeps all.
    Returns:
      Parts, with a finding that says what was mapped and left out.
    Raises:
      BadInput: an unknown map or emotion, or a class that the set does not have.
    """
    if not mapping and not classes:
        return parts
    own = parts.train.classes
    table = labels.label_map(mapping, own)
    have = labels.mapped_classes(own, table)
    wanted = tuple(labels.own_name(word, own) for word in classes.split(",") if word.strip()) or have
    absent = [name for name in wanted if name not in have]
    if absent or len(set(wanted)) < len(wanted):
        raise BadInput(
            f"data.classes: {absent[0] if absent else classes} is not among {', '.join(have)}, each once"
        )
    before, out, left = parts.train.classes, {}, dict.fromkeys(parts.train.classes, 0)
    for part in ("train", "select", "test"):
        split = getattr(parts, part)
        renamed = [table.get(name, name) for name in before]
        label = labels.map_labels(split.label, renamed, wanted)
        gone = (split.label >= 0) & (label < 0)
        for name, count in zip(before, np.bincount(split.label[gone], minlength=len(before)), strict=True):
            left[name] += int(count)
        out[part] = dataclasses.replace(split.take(~gone), label=label[~gone], classes=wanted)
    return parts._replace(**out, findings=(*parts.findings, told(before, table, left)))


def told(classes, table: dict[str, str], left: dict[str, int]) -> str:
    """One line on what a map did."""
    renamed = [f"{old} as {new}" for old, new in table.items() if new and old in classes]
    gone = [f"{count} images of {name}" for name, count in left.items() if count]
    words = [", ".join(renamed) or "no class renamed", f"left out: {', '.join(gone) or 'nothing'}"]
    return MAPPED + "; ".join(words)


def mapped(findings: Sequence[str]) -> str:
    """What a map did to the parts that have these findings, as `told` has it; "" where there was none."""
    return next((line.removeprefix(MAPPED) for line in findings if line.startswith(MAPPED)), "")
