"""An experiment's parts made otherwise: by folds of the subjects, and with other classes."""

import dataclasses

import numpy as np

from data_pipelines import BadInput, labels
from data_pipelines.leaks import folds
from data_pipelines.split import hash_rows, join


def by_fold(parts, n: int, fold: int):
    """Pools train, select and test and divides them anew: one fold is reported, the next selects.

    No subject is in two folds; where subjects are unknown, copies of one image stay together.

    Args:
      parts: arrays.Parts.
      n: folds, at least 3.
      fold: 0 to n - 1, the one reported.
    Returns:
      arrays.Parts.
    Raises:
      BadInput: no such fold, or fewer subjects than folds.
    """
    if n < 3 or not 0 <= fold < n:
        raise BadInput(f"data.kfolds is {n} and data.kfold {fold}; take 3 folds or more, numbered from 0")
    set_name = parts.train.name.partition("/")[0]
    whole = join(set_name, [parts.train, parts.select, parts.test])
    whole = whole.take(np.argsort(whole.id, kind="stable"))
    of = folds(whole.subject, hash_rows(whole.image), n)
    chosen = (fold + 1) % n
    test, select = of == fold, of == chosen
    sides = {"train": ~(test | select), "select": select, "test": test}
    divided = {k: whole.take(rows, f"{set_name}[{k}, fold {fold} of {n}]") for k, rows in sides.items()}
    by = "subject" if whole.subjects else "image, subjects being unknown"
    return parts._replace(
        **divided, selection=f"fold {chosen} of {n} by {by}, numbered from 0 (fold {fold} is reported)"
    )


def relabel(parts, mapping: str, classes: str):
    """The parts with their emotions mapped by name, and only some of them kept.

    Images of a class that is left out are left out; those without a known label stay.

    Args:
      parts: arrays.Parts.
      mapping: see `labels.label_map`; "" changes nothing.
      classes: names, comma between; "" keeps all.
    Returns:
      arrays.Parts, with a finding that says what was mapped and left out.
    Raises:
      BadInput: an unknown map or emotion, or a class that the set does not have.
    """
    if not mapping and not classes:
        return parts
    table = labels.label_map(mapping)
    have = labels.mapped_classes(parts.train.classes, table)
    wanted = tuple(labels.emotion(word) for word in classes.split(",") if word.strip()) or have
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
    return "emotions mapped by name: " + "; ".join(words)
