"""What may be said of one filter, as a code and in one plain sentence: from numbers alone.

The codes are those of docs/attribution.md. A link counts as holding within emotion (or outside it) when the
interval of its AUC there lies above 0.5 and the AUC exceeds what networks with random weights, matched in the
same way, reach (`measure.limits`). A link that is not shown is not a link shown to be absent, and the
sentences say so.
"""

from __future__ import annotations

import dataclasses
import math

from data_pipelines import labels

AS_RANDOM, AU_FILTER = "as in random networks", "AU filter"
CODES = ("inactive", "no match", AS_RANDOM, "emotion filter", AU_FILTER, "unclear")


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What is known of one filter; NaN is not known.

    Attributes:
      active: above zero for some input.
      au: name of the matched unit; "" where none could be chosen.
      corrected: p-value of filter and unit on the measuring half (permutations within subjects) that allows
        for the number of filters; corrected_by: "q" (Benjamini-Hochberg) or "p_max" (max-statistic).
      auc, auc_low, auc_high: on the measuring half.
      random: what matches in this layer, with this unit, reach in networks with random weights
        (`measure.limits`).
      within, within_low, within_high, random_within: the same among inputs of one emotion.
      within_present, within_absent: inputs with and without the unit that it rests on.
      outside and the like: the same among inputs without an emotion label.
      together: units that nearly always come with `au`, and it with them; implied: those that nearly always
        come with it, but not it with them.
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
    within_present: int = 0
    within_absent: int = 0
    outside: float = math.nan
    outside_low: float = math.nan
    outside_high: float = math.nan
    random_outside: float = math.nan
    outside_present: int = 0
    outside_absent: int = 0
    together: tuple[str, ...] = ()
    implied: tuple[str, ...] = ()
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

    `inactive`; else `no match` unless significant; else `as in random networks` unless above those; else, by
    what holds within and outside emotion: both `AU filter`; `emotion filter` where the link vanishes within
    emotion (its interval there reaches 0.5, and ends below the AUC over all), whatever it does outside, where
    a face may show an emotion that nobody labelled; anything else `unclear`: too few pictures to tell, not
    known within or outside, or no more than random networks reach there.
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
        link += f" (hardly to be told from {_list(e.together)} here)"
    if e.implied:
        link += f" (pictures with {e.au} nearly always show {_list(e.implied)} too)"
    if e.holds is None:
        return Verdict("unclear", f"{link}, but no network that learned nothing was tried for comparison.")
    if not e.holds:
        return Verdict(
            AS_RANDOM,
            f"{link}, but of the filters that prefer it in networks that learned nothing 5 % reach "
            f"{_share(e.random)} or more: learning need not be the reason.",
        )
    return Verdict(*_controlled(e, link, name))


def _controlled(e: Evidence, link: str, name: str) -> tuple[str, str]:
    counts = e.within_present, e.within_absent
    same = f"among pictures of the same emotion ({_brief(e.within, e.within_low, e.within_high, *counts)})"
    counts = e.outside_present, e.outside_absent
    free = (
        f"in pictures without an emotion label ({_brief(e.outside, e.outside_low, e.outside_high, *counts)})"
    )
    within, outside = e.holds_within, e.holds_outside
    if within and outside:
        return AU_FILTER, (
            f"{link}, also {same} and {free}, each more than in networks that learned nothing; "
            "whether the network relies on it is not shown by this."
        )
    if within is False:
        return _vanished(e, link, same, free)
    if within is None and outside is None and math.isnan(e.within) and math.isnan(e.outside):
        words = (
            f"{link}, but it could be measured neither among pictures of the same emotion nor in pictures "
            f"without an emotion label: {name} and the emotion cannot be told apart here."
        )
    elif within is None and outside is None:
        words = f"{link}; {_unknown(e.within, same)}, and {_unknown(e.outside, free)}."
    elif within is None:
        words = f"{link}, {_elsewhere(e, free)}; {_unknown(e.within, same)}."
    elif outside is None:
        words = f"{link}, also {same}; {_unknown(e.outside, free)}."
    else:
        words = f"{link}, also {same}, {_elsewhere(e, free)}."
    return "unclear", words


def _vanished(e: Evidence, link: str, same: str, free: str) -> tuple[str, str]:
    """Of a link that does not hold within emotion."""
    outside = e.holds_outside
    where = _elsewhere(e, free).removeprefix("but ")
    if outside is None:
        where = _unknown(e.outside, free)
    if e.within_low > 0.5:
        return "unclear", (
            f"{link}, also {same}, but there no more than filters of networks that learned nothing reach "
            f"({_share(e.random_within)}); {where}."
        )
    follows = e.emotion if e.emotion and e.emotion_auc > 0.5 else "the emotion"
    words = f"{link}, but not reliably {same}; {where}"
    if e.within_high >= e.auc:
        return "unclear", f"{words}: too few pictures to tell whether it follows the unit or {follows}."
    unlabelled = ", which a face may also show where nobody labelled it" if outside else ""
    return "emotion filter", f"{words}: it may follow {follows} rather than the unit{unlabelled}."


def _unknown(value: float, where: str) -> str:
    """Of a place where it is not known whether the link holds."""
    if math.isnan(value):
        return f"{where.partition(' (')[0]} it could not be measured"
    return f"{where} it cannot be judged, for want of an interval or of a comparison"


def _elsewhere(e: Evidence, free: str) -> str:
    """What is found in pictures without an emotion label, where it could be measured."""
    if e.holds_outside:
        return f"also {free}"
    if e.outside_low > 0.5:
        return f"but {free} no more than in networks that learned nothing ({_share(e.random_outside)})"
    return f"but not reliably {free}"


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


def _brief(value: float, low: float, high: float, present: int, absent: int) -> str:
    interval = "no interval" if math.isnan(low) else f"{100 * low:.0f} to {100 * high:.0f}"
    return f"{100 * value:.0f}, {interval}; {present} with it, {absent} without"


def _list(names: tuple[str, ...]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
