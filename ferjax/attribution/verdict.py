"""What may be said of one filter, as a code and in one plain sentence: from numbers alone.

The codes are those of docs/attribution.md. A link counts as holding within emotion (or outside it) when the
interval of its AUC there lies above 0.5 and the AUC exceeds the 95th percentile of networks with random
weights, matched in the same way. A link that is not shown is not a link shown to be absent, and the
sentences say so.
"""

from __future__ import annotations

import dataclasses
import math

from data_pipelines import labels

CODES = ("inactive", "no match", "chance", "emotion filter", "AU filter", "unclear")


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What is known of one filter; NaN is not known.

    Attributes:
      active: above zero for some input.
      au: name of the matched unit; "" where none could be chosen.
      corrected: p-value of filter and unit over all inputs (permutations within subjects) that allows for the
        number of pairs; corrected_by: "q" (Benjamini-Hochberg) or "p_max" (max-statistic).
      auc, auc_low, auc_high: on the measuring half.
      random: 95th percentile of the AUC of matches in this layer of networks with random weights.
      within, within_low, within_high, random_within: the same among inputs of one emotion.
      outside, outside_low, outside_high, random_outside: the same among inputs without an emotion label.
      together: units that nearly always come with `au`.
      emotion: the class the filter prefers, "" where none could be chosen.
      emotion_auc: its AUC on the measuring half.
      fdr: a link is significant when `corrected` is below this.
    """

    active: bool
    au: str = ""
    corrected: float = math.nan
    corrected_by: str = "q"
    auc: float = math.nan
    auc_low: float = math.nan
    auc_high: float = math.nan
    random: float = math.nan
    within: float = math.nan
    within_low: float = math.nan
    within_high: float = math.nan
    random_within: float = math.nan
    outside: float = math.nan
    outside_low: float = math.nan
    outside_high: float = math.nan
    random_outside: float = math.nan
    together: tuple[str, ...] = ()
    emotion: str = ""
    emotion_auc: float = math.nan
    fdr: float = 0.05

    @property
    def significant(self) -> bool:
        """More than permutations within subjects explain."""
        return bool(self.active and self.au and self.corrected < self.fdr)

    @property
    def holds(self) -> bool | None:
        """The link exceeds the random networks on the measuring half; None where that is not known."""
        return None if math.isnan(self.auc) or math.isnan(self.random) else bool(self.auc > self.random)

    @property
    def holds_within(self) -> bool | None:
        """It also holds among inputs of the same emotion; None where that is not known."""
        return _holds(self.within, self.within_low, self.random_within)

    @property
    def holds_outside(self) -> bool | None:
        """It also holds among inputs without an emotion label; None where that is not known."""
        return _holds(self.outside, self.outside_low, self.random_outside)


@dataclasses.dataclass(frozen=True)
class Verdict:
    """code: one of CODES. words: one sentence for a reader who knows FACS and not statistics."""

    code: str
    words: str


def verdict(e: Evidence) -> Verdict:
    """The verdict on one filter.

    `inactive`; else `no match` unless significant; else `chance` unless above the random networks; else, by
    what holds within and outside emotion: both `AU filter`; `emotion filter` where the link vanishes within
    emotion (its interval there reaches 0.5, and ends below the AUC over all) and outside does not hold, or
    is not known; anything else `unclear`: too few pictures to tell, not known within or outside, or the two
    contradict each other.
    """
    if not e.active:
        return Verdict("inactive", "It responds to none of these pictures: nothing can be said about it.")
    if not e.au:
        return Verdict("no match", "No action unit is shown and lacked by enough pictures to be tried on it.")
    name = _unit(e.au)
    if not e.significant:
        why = f"{e.corrected_by} is {e.corrected:.2g}"
        if math.isnan(e.corrected):
            why = "it could not be tested within subjects"
        return Verdict(
            "no match",
            f"No more than chance was found: its best candidate is {name}, but {why}; "
            "that does not prove that there is no link.",
        )
    if math.isnan(e.auc):
        return Verdict(
            "unclear",
            f"Over all pictures it goes with {name}, but on the subjects kept for measuring it could not be "
            "measured.",
        )
    pairs = _pairs(e.auc, e.auc_low, e.auc_high)
    link = f"In {pairs} it responds more to a picture with {name} than to one without"
    if e.together:
        link += f" (hardly to be told from {' and '.join(e.together)} here)"
    if e.holds is None:
        return Verdict("unclear", f"{link}, but no network that learned nothing was tried for comparison.")
    if not e.holds:
        return Verdict(
            "chance",
            f"{link}, but of the filters of networks that learned nothing 5 % reach {_share(e.random)} or "
            "more: learning need not be the reason.",
        )
    return Verdict(*_controlled(e, link, name))


def _controlled(e: Evidence, link: str, name: str) -> tuple[str, str]:
    same = f"among pictures of the same emotion ({_brief(e.within, e.within_low, e.within_high)})"
    free = f"in pictures without an emotion label ({_brief(e.outside, e.outside_low, e.outside_high)})"
    within, outside = e.holds_within, e.holds_outside
    if within and outside:
        return "AU filter", (
            f"{link}, also {same} and {free}, each more than in networks that learned nothing; "
            "whether the network relies on it is not shown by this."
        )
    if within is False and not outside:
        tail = f", nor {free}" if outside is False else " (without an emotion label not measurable)"
        follows = e.emotion if e.emotion and e.emotion_auc > 0.5 else "the emotion"
        if e.within_low > 0.5:
            return "unclear", (
                f"{link}, also {same}, but there no more than filters of networks that learned nothing reach "
                f"({_share(e.random_within)}){tail}."
            )
        words = f"{link}, but not reliably {same}{tail}"
        if e.within_high >= e.auc:
            return "unclear", f"{words}: too few pictures to tell whether it follows the unit or {follows}."
        return "emotion filter", f"{words}: it may follow {follows} rather than the unit."
    if within is None and outside is None:
        words = (
            f"{link}, but it could be measured neither among pictures of the same emotion nor in pictures "
            f"without an emotion label: {name} and the emotion cannot be told apart here."
        )
    elif within is None:
        also = "also" if outside else "but not reliably"
        words = f"{link}, {also} {free}; among pictures of the same emotion it could not be measured."
    elif outside is None:
        words = f"{link}, also {same}; in pictures without an emotion label it could not be measured."
    else:
        yes, no = (same, free) if within else (free, same)
        words = f"{link}, also {yes}, but not reliably {no}: the two disagree."
    return "unclear", words


def _holds(effect: float, low: float, random: float) -> bool | None:
    if math.isnan(effect) or math.isnan(low) or math.isnan(random):
        return None
    return bool(low > 0.5 and effect > random)


def _unit(name: str) -> str:
    facs = labels.facs_name(name)
    return f"{name} ({facs})" if facs else name


def _pairs(value: float, low: float, high: float) -> str:
    """An AUC for someone who has never met one."""
    if math.isnan(low):
        return f"{_share(value)} pairs (no interval)"
    return f"{_share(value)} pairs (95 % interval {100 * low:.0f} to {100 * high:.0f})"


def _share(auc: float) -> str:
    return f"{100 * auc:.0f} of 100"


def _brief(value: float, low: float, high: float) -> str:
    if math.isnan(low):
        return f"{100 * value:.0f}, no interval"
    return f"{100 * value:.0f}, {100 * low:.0f} to {100 * high:.0f}"
