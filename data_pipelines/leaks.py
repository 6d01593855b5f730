"""What must not lie on both sides: a subject, or an image, that selects something and is also reported."""

from collections.abc import Mapping

import numpy as np

from data_pipelines import BadInput
from data_pipelines.split import Parts, Split, hash_rows

SHOWN = 4  # of the ids in an error


def shared_subjects(a: Split, b: Split) -> list[str]:
    """Names of the subjects that both have, sorted; "" is nobody."""
    return sorted((set(a.subject.tolist()) & set(b.subject.tolist())) - {""})


def shared_images(a: Split, b: Split) -> list[tuple[str, str]]:
    """(id in a, id in b) of images that are the same pixel for pixel, one pair for each such image of b."""
    first = {}
    for name, pixels in zip(a.id.tolist(), hash_rows(a.image).tolist(), strict=True):
        first.setdefault(pixels, name)
    theirs = zip(b.id.tolist(), hash_rows(b.image).tolist(), strict=True)
    return [(first[pixels], name) for name, pixels in theirs if pixels in first]


def refuse(parts: Mapping[str, Split], published: str = "") -> None:
    """Refuses parts that share a subject or an image, naming them.

    Args:
      parts: "train", "select", "test" -> Split; each pair is looked at.
      published: names a division that its publisher made and others report on, which is taken as it is:
        evaluation then gives its numbers with and without the images that recur.
    Raises:
      BadInput: what the first pair shares that is not disjoint.
    """
    if published:
        return
    names = list(parts)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            refuse_pair(parts[one], one, parts[other], other)


def refuse_pair(a: Split, one: str, b: Split, other: str) -> None:
    """BadInput where two splits share a subject or an image, naming both sides and what is shared."""
    what, mend = [repr(name) for name in shared_subjects(a, b)], "give every subject one part"
    kind = "subject" if len(what) == 1 else "subjects"
    if not what:
        what = [f"{x!r} and {y!r}" for x, y in shared_images(a, b)]
        kind = "image, pixel for pixel:" if len(what) == 1 else "images, pixel for pixel:"
        mend = "leave one of each out, by hand or with data.exclude_duplicates=across"
    if what:
        some = ", ".join(what[:SHOWN]) + (f" and {len(what) - SHOWN} more" if len(what) > SHOWN else "")
        raise BadInput(
            f"{a.name} ({one}) and {b.name} ({other}) share {len(what)} {kind} {some}. What is reported "
            f"must not have been trained or selected on: {mend}; or name in data.published the division that "
            "others made and report on"
        )


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
    for words, side in (("trained on", learned.train), ("selected on", learned.select)):
        if not (learned.published or of.published) or shared_subjects(side, reported):
            refuse_pair(side, words, reported, "to be reported")


def seen(split: Split, *before: Split) -> np.ndarray:
    """bool [n]: images of a split that also stand, pixel for pixel, in a part used before it."""
    known = [hash_rows(other.image) for other in before]
    return np.isin(hash_rows(split.image), np.concatenate(known) if known else [])
