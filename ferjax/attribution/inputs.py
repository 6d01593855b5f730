"""The inputs of an attribution: one picture a sequence, with its action units, person and emotion."""

import dataclasses

import numpy as np

from data_pipelines import BadInput, arrays, coded, labels
from data_pipelines.split import Split
from ferjax.attribution import matching, units


@dataclasses.dataclass(frozen=True, eq=False)
class Inputs:
    """What filters are matched on. Axis letters: q input (one a sequence), u action unit.

    Attributes:
      split: the pictures; its `au_names` are all the set has.
      rule: which pictures of the set these are, in words.
      present: int8 [q, u] 1 present, 0 absent, -1 unknown, at the intensity threshold; u those kept.
      au_names: u names.
      left_out: {"name", "present", "why"} of each unit with too few inputs.
      together: u tuples of the names that nearly always come with the unit, and it with them.
      implied: u tuples of those that nearly always come with it, but not it with them.
      emotion: int [q] index into split.classes, -1 without an emotion.
      choose: bool [q], the half of the subjects on which a filter's unit is chosen.
      frames: coded pictures before one was taken of each sequence.
    """

    split: Split
    rule: str
    present: np.ndarray
    au_names: tuple[str, ...]
    left_out: list[dict]
    together: tuple[tuple[str, ...], ...]
    implied: tuple[tuple[str, ...], ...]
    emotion: np.ndarray
    choose: np.ndarray
    frames: int

    @property
    def subject(self) -> np.ndarray:
        """Str [q]."""
        return self.split.subject


def load(data: dict, threshold: int, least: int, seed: int = 0) -> Inputs:
    """Reads a set's coded pictures and takes one of each sequence.

    Args:
      data: as for `coded.load`.
      threshold: least intensity that counts as present, 1 to 5.
      least: inputs that must show a unit, and must not, or it is left out; of each half, half as many.
      seed: of the halves.
    Raises:
      BadInput: no action units, none seen often enough, or one subject only.
    """
    taken = coded.load(data)
    rows = one_of_each(taken.split.aus, taken.sequence)
    split = taken.split.take(rows)
    present = labels.au_present(split.aus, threshold)
    units.testable(present, split.au_names, least)  # before halves are made of nothing
    choose = matching.halves(split.subject, seed)
    keep, left_out = units.testable(present, split.au_names, least, choose)
    names = np.array(split.au_names)[keep]
    groups, comes = units.together(present[:, keep]), units.implied(present[:, keep])
    comes = [tuple(o for o in c if o not in g) for c, g in zip(comes, groups, strict=True)]
    return Inputs(
        split=split,
        rule=taken.rule,
        present=present[:, keep],
        au_names=tuple(names.tolist()),
        left_out=left_out,
        together=tuple(tuple(names[list(g)].tolist()) for g in groups),
        implied=tuple(tuple(names[list(c)].tolist()) for c in comes),
        emotion=split.label.astype(np.int64),
        choose=choose,
        frames=len(taken.split),
    )


def one_of_each(aus: np.ndarray, sequence: np.ndarray) -> np.ndarray:
    """The row of each sequence that shows most: most units present, of equals the last (nearest to the apex).

    Frames of a sequence are near-copies; counting each would make a few people look like many.

    Args:
      aus: int8 [n, u] codes.
      sequence: str [n]; rows of a sequence in the order of time.
    Returns:
      int [q], ascending.
    """
    shown = (aus > 0).sum(1)
    last = np.lexsort(
        (np.arange(len(shown)), shown, sequence)
    )  # by sequence, then by what is shown, then time
    ends = np.append(sequence[last][1:] != sequence[last][:-1], True)
    return np.sort(last[ends])


def neutral_images(inputs: Inputs, data: dict, least: int = 8) -> tuple[np.ndarray, str]:
    """Pictures of faces at rest, for a filter's neutral mean.

    Args:
      inputs: whose neutral ones are taken where there are enough.
      data: of the set; its other pictures labelled neutral are taken otherwise.
    Returns:
      uint8 [n, h, w, c], and where they are from in words.
    Raises:
      BadInput: fewer than `least` neutral pictures.
    """
    found = _neutral(inputs.split)
    if len(found) >= least:
        return found, f"{len(found)} neutral pictures of the inputs"
    parts = arrays.load_parts(data)
    found = np.concatenate([_neutral(p) for p in (parts.train, parts.select, parts.test)])
    if len(found) < least:
        raise BadInput(
            f"data {data['name']}: only {len(found)} pictures are labelled neutral, and the ablation test "
            f"replaces filters by their mean over at least {least}; take a set with neutral faces"
        )
    return found, f"{len(found)} neutral pictures of the set"


def _neutral(split: Split) -> np.ndarray:
    if "neutral" not in split.classes:
        return split.image[:0]
    return split.image[split.label == split.classes.index("neutral")]
