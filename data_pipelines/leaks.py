"""What must not lie on both sides: a subject, or an image, that selects something and is also reported."""

import re
from collections.abc import Mapping, Sequence

import numpy as np

from data_pipelines import BadInput
from data_pipelines.split import Parts, Split

SHOWN = 4  # of the ids in an error


def shared_subjects(a: Split, b: Split) -> list[str]:
    """Names of the subjects that both have, sorted; "" is nobody."""
    return sorted((set(a.subject.tolist()) & set(b.subject.tolist())) - {""})


def shared_images(a: Split, b: Split) -> list[tuple[str, str]]:
    """(id in a, id in b) of images that are the same pixel for pixel, one pair for each such image of b."""
    first = {}
    for name, pixels in zip(a.id.tolist(), a.pixels.tolist(), strict=True):
        first.setdefault(pixels, name)
    theirs = zip(b.id.tolist(), b.pixels.tolist(), strict=True)
    return [(first[pixels], name) for name, pixels in theirs if pixels in first]


def refuse(parts: Mapping[str, Split], published: str = "") -> None:
    """Refuses parts that share a subject or an image, naming them.

    Args:
      parts: "train", "select", "test" -> Split; each pair is looked at.
      published: names a division that its publisher made and others report on. The images that recur in it
        are let through: evaluation then gives its numbers with and without them. A shared person never is.
    Raises:
      BadInput: what the first pair shares that is not disjoint.
    """
    names = list(parts)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            refuse_pair(parts[one], one, parts[other], other, published)


def refuse_pair(a: Split, one: str, b: Split, other: str, published: str = "") -> None:
    """BadInput where two splits share a subject, or an image of no published division, naming both."""
    where = f"{a.name} ({one}) and {b.name} ({other})"
    people = shared_subjects(a, b)
    images = [] if people or published else shared_images(a, b)
    if people or images:
        mend = "leave one of each out, by hand or with data.exclude_duplicates=across; or name in "
        mend += "data.published the division that others made and report on"
        raise BadInput(said(where, people, images, "give every subject one part" if people else mend))


def said(where: str, people: Sequence[str], images: Sequence[tuple[str, str]], mend: str) -> str:
    """The one line on what two sides share: people, or else images (id there, id here)."""
    what = [repr(name) for name in people] or [f"{x!r} and {y!r}" for x, y in images]
    kind = "subject" if people else "image"
    kind += ("s" if len(what) > 1 else "") + ("" if people else ", pixel for pixel:")
    some = ", ".join(what[:SHOWN]) + (f" and {len(what) - SHOWN} more" if len(what) > SHOWN else "")
    return (
        f"{where} share {len(what)} {kind} {some}. What is reported must not have been trained or selected "
        f"on: {mend}"
    )


def unique(sets: Sequence[str]) -> str:
    """What to do where two people of these sets have one name."""
    prefix = ": data.options.prefix puts one before those of a manifest" if "manifest" in sets else ""
    return f"if these are two people of one name, names must differ between sets{prefix}"


def set_of(split: Split) -> str:
    """The data set of a split: "manifest" of "manifest/train[9/10]"."""
    return re.split(r"[/\[]", split.name)[0]


def refuse_learned(learned: Parts, of: Parts, reported: Split) -> None:
    """Refuses to report what a network from elsewhere was trained or selected on.

    A shared image is let through where either division is a published one: the figures then come with and
    without it. A shared person never is.

    Args:
      learned: what the network was trained and selected on.
      of: the parts that `reported` is one of.
      reported: what is to be reported.
    Raises:
      BadInput: naming the people or images on both sides.
    """
    published = learned.published or of.published
    for words, side in (("trained on", learned.train), ("selected on", learned.select)):
        people = shared_subjects(side, reported)
        images = [] if people or published else shared_images(side, reported)
        if people or images:
            where = f"what the network was {words}, {side.name}, and {reported.name} (to be reported)"
            mend = elsewhere(bool(people), (set_of(side), set_of(reported)))
            raise BadInput(said(where, people, images, mend))


def elsewhere(people: bool, sets: Sequence[str]) -> str:
    """What to do where people, or images, are reported that a network from elsewhere has learned from."""
    if people:
        return f"report on people who are new to it, or divide both trainings alike; {unique(sets)}"
    return (
        "report on images that are new to it, or divide both trainings alike; or name in data.published the "
        "division that others made and report on"
    )


def seen(split: Split, *before: Split) -> np.ndarray:
    """bool [n]: images of a split that also stand, pixel for pixel, in a part used before it."""
    known = [other.pixels for other in before]
    return np.isin(split.pixels, np.concatenate(known) if known else [])
