"""What must not lie on both sides: a subject, or an image, that selects something and is also reported."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

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


class Side(NamedTuple):
    """What a network was trained on, or selected on, without the pictures.

    Attributes:
      subject: str [m], sorted; nobody ("") is not among them.
      image: S32 [n], `Split.pixels`, sorted, each once.
      id: str [n], of an image with those pixels.
      published: bool [n], whether it stands in a published division alone.
    """

    subject: np.ndarray
    image: np.ndarray
    id: np.ndarray
    published: np.ndarray

    @classmethod
    def of(cls, split: Split, published: bool = False) -> "Side":
        """Of a split, whose division is a published one or not."""
        image, first = np.unique(split.pixels, return_index=True)
        return cls(np.array(split.subjects, np.str_), image, split.id[first], np.full(len(image), published))

    def __or__(self, other: "Side") -> "Side":
        """What is in either."""
        image = np.concatenate([self.image, other.image])
        image, first, back = np.unique(image, return_index=True, return_inverse=True)
        published = np.ones(len(image), bool)
        np.logical_and.at(published, back, np.concatenate([self.published, other.published]))
        subject = np.union1d(self.subject, other.subject)
        return Side(subject, image, np.concatenate([self.id, other.id])[first], published)


class Learned(NamedTuple):
    """What a network has learned from.

    Attributes:
      trained: what its weights were fitted to.
      selected: what chose an epoch.
      image_shape: (h, w, c) of the pictures, which can be compared with those of this shape only.
      sets: names of the data sets.
      unknown: sentences on what else there is and is not known.
    """

    trained: Side
    selected: Side
    image_shape: tuple[int, int, int]
    sets: tuple[str, ...]
    unknown: tuple[str, ...] = ()

    @classmethod
    def of(cls, parts: Parts) -> "Learned":
        """Of a network that was trained and selected on these parts, from random weights."""
        sides = (Side.of(split, bool(parts.published)) for split in (parts.train, parts.select))
        sets = tuple(dict.fromkeys((set_of(parts.train), set_of(parts.select))))
        return cls(*sides, parts.train.picture_shape, sets)

    @classmethod
    def nothing(cls, image_shape, unknown: str) -> "Learned":
        """Of a network of which nothing is known, but why."""
        none = Side(*(np.zeros(0, kind) for kind in ("U1", "S32", "U1", bool)))
        return cls(none, none, tuple(image_shape), (), (unknown,))

    def __or__(self, other: "Learned") -> "Learned":
        """Of a network that began from the other; images of one shape."""
        return Learned(
            self.trained | other.trained,
            self.selected | other.selected,
            self.image_shape,
            tuple(dict.fromkeys((*self.sets, *other.sets))),
            tuple(dict.fromkeys((*self.unknown, *other.unknown))),
        )

    def without_images(self, image_shape, unknown: str) -> "Learned":
        """Its people alone, where images cannot be compared; `unknown` says why."""
        none = Learned.nothing(image_shape, unknown)
        sides = (none.trained._replace(subject=s.subject) for s in (self.trained, self.selected))
        return Learned(*sides, none.image_shape, self.sets, (*self.unknown, unknown))

    def seen(self, split: Split, selected: bool = True) -> np.ndarray:
        """bool [n]: images of a split that it was trained on, or selected on if that counts."""
        known = [side.image for side in (self.trained, self.selected)[: 1 + selected]]
        return np.isin(split.pixels, np.concatenate(known))


def refuse_learned(learned: Parts | Learned, of: Parts, reported: Split, who: str = "the network") -> None:
    """Refuses to report what a network from elsewhere was trained or selected on.

    A shared image is let through where either division is a published one: the figures then come with and
    without it. A shared person never is.

    Args:
      learned: what the network was trained and selected on.
      of: the parts that `reported` is one of.
      reported: what is to be reported.
      who: the network, in words.
    Raises:
      BadInput: naming the people or images on both sides.
    """
    learned = learned if isinstance(learned, Learned) else Learned.of(learned)
    for words, side in (("trained on", learned.trained), ("selected on", learned.selected)):
        people = sorted(set(side.subject.tolist()) & set(reported.subjects))
        images = []
        if not people and not of.published:
            ours = zip(side.image.tolist(), side.id.tolist(), side.published.tolist(), strict=True)
            theirs = {pixels: name for pixels, name, excused in ours if not excused}
            found = zip(reported.pixels.tolist(), reported.id.tolist(), strict=True)
            images = [(theirs[pixels], name) for pixels, name in found if pixels in theirs]
        if people or images:
            where = f"what {who} was {words} and {reported.name} (to be reported)"
            raise BadInput(
                said(where, people, images, elsewhere(bool(people), (*learned.sets, set_of(reported))))
            )


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
