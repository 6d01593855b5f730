"""What people take expressions for, beside what a network does: a table of human confusions, and how alike.

Mavani, Raman & Miyapuram 2017 set their network's confusions beside human ones. Here the likeness is a number
with an interval and a test. Both matrices are cut to the classes that both know and each row is divided by
its sum; then the cells off the diagonal are compared by rank (Spearman; Kendall's tau-b beside it), since
percentages of people and of a network are on scales of their own. The diagonal, which class is how hard, is
compared apart. Chance is that of names: all classes of one matrix are permuted, rows and columns together
(Mantel 1967, as in quadratic assignment), since cells of one row or column are not independent.

Axis letters: k common classes, n examples, r resamples or permutations, m = k (k - 1) cells. No JAX here.
"""

from __future__ import annotations

import csv
import itertools
import math
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from data_pipelines import BadInput
from ferjax import metrics
from ferjax.human_table import Table

LEAST = 3  # common classes below which there is nothing to rank
EXACT = 7  # classes up to which every permutation is tried: 5,040
SAMPLED = 10_000  # permutations of more classes
ALPHA = 0.05  # p below which words say "beyond chance"
SHARED, RARE = 5, 0.02  # confusions named in words; the share of a row from which one counts


def compare(
    label,
    predicted,
    classes: Sequence[str],
    table: Table,
    groups=None,
    n_bootstrap: int = 2000,
    seed: int = 0,
) -> dict:
    """A network's confusions beside people's: the `human` group of a result, see docs/results.md.

    Intervals are those of the network: its subjects are drawn again with replacement (images, where they are
    unknown). The table of people is taken as it is.

    Args:
      label: [n] int, index into classes; rows with -1 (unknown) are left out. Pooled predictions of several
        seeds or folds may be given, one after the other.
      predicted: [n] int, index into classes.
      classes: the network's.
      table: the people's.
      groups: [n] subject of each example, as `metrics.classification` takes them.
      n_bootstrap: resamples; 0 for no intervals.
      seed: of resampling, and of permutations where there are too many for all.
    Raises:
      BadInput: fewer than `LEAST` classes in common; names those of either side.
    """
    classes = tuple(str(c) for c in classes)
    label, predicted = np.asarray(label), np.asarray(predicted)
    known = label >= 0
    counts = metrics.confusion(label[known], predicted[known], len(classes))
    common, people = _common(counts, classes, table)
    at = [classes.index(c) for c in common]
    model = _shares(counts[np.ix_(at, at)])
    units, over, cells = _cells(label, predicted, groups, known, at)
    measures = {name: float(of(model[None], people)[0]) for name, of in MEASURES.items()}
    low_high = _intervals(cells, people, n_bootstrap, seed, over)
    p, tried, exact = _permute(model, people, seed)
    k = len(common)
    correlation = {}
    for name, value in measures.items():
        low, high, reason = low_high[name]
        entry = {"value": value, "low": low, "high": high, "n": k if name == "diagonal" else k * (k - 1)}
        entry["p"] = p[name]
        if math.isnan(value):
            constant = "the network's" if _flat(model, name) else "people's"
            part = "diagonals" if name == "diagonal" else "cells off the diagonal"
            reason = f"{constant} {part} are all equal: no ranks"
        correlation[name] = entry | ({"reason": reason} if reason else {})
    wanted = [c for c in table.shown if c in common]
    return {
        "file": table.file,
        "hash": table.hash,
        "source": table.source,
        "classes": list(common),
        "network": model.tolist(),
        "people": people.tolist(),
        "answers": [table.n[table.shown.index(c)] for c in common],
        "correlation": correlation,
        "interval": {
            "level": metrics.LEVEL,
            "over": over,
            "units": units,
            "method": f"percentile bootstrap, {n_bootstrap} resamples, seed {seed}"
            if n_bootstrap
            else "none",
        },
        "permutations": {"tried": tried, "exact": exact, "smallest_p": 1 / tried},
        "shared": _shared(model, people, common),
        "notes": _notes(counts, classes, table, common, wanted),
    }


def from_predictions(path) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[str, ...]]:
    """A result's "_predictions.csv" as label [n] (-1 unknown), predicted [n], subject [n] and classes.

    Raises:
      BadInput: no such file, or no such table.
    """
    path = pathlib.Path(path)
    try:
        with open(path, newline="", encoding="utf-8") as file:
            head, *rows = list(csv.reader(file))
        classes = tuple(name[2:-1] for name in head if name.startswith("p("))
        code = {name: i for i, name in enumerate((*classes, ""))} | {"": -1}
        columns = [head.index(name) for name in ("label", "predicted", "subject")]
        label, predicted, subject = ([row[c] for row in rows] for c in columns)
        label, predicted = (np.array([code[name] for name in names], int) for names in (label, predicted))
    except (OSError, ValueError, KeyError, IndexError) as e:
        raise BadInput(f"{path}: cannot be read as the predictions of a result: {e}") from None
    return label, predicted, np.array(subject, str), classes


def words(group: Mapping) -> str:
    """The comparison in sentences, for a terminal."""
    k, of = len(group["classes"]), group["correlation"]
    parts = [
        f"Rank correlation of the {k * (k - 1)} cells off the diagonal: Spearman {_said(of['spearman'])}"
    ]
    if _is_number(of["spearman"]["value"]):
        parts[0] += f", Kendall's tau-b {_said(of['kendall'])}; {chance_words(group)}"
    parts.append(f"Which class is how hard: Spearman {_said(of['diagonal'])} over {k} classes")
    if group["interval"]["method"] != "none":
        level, units, over = (group["interval"][key] for key in ("level", "units", "over"))
        parts.append(f"{100 * level:.0f} % intervals over the network's {units:,} {over}{'s' * (units != 1)}")
    return ". ".join([*parts, shared_words(group)])


def chance_words(group: Mapping) -> str:
    """What the permutations say of the cells off the diagonal; "" where there is no number."""
    p = group["correlation"]["spearman"]["p"]
    if not _is_number(p):
        return ""
    tried = group["permutations"]["tried"]
    how = f"all {tried:,}" if group["permutations"]["exact"] else f"{tried:,} random"
    verdict = "beyond chance" if p < ALPHA else "not beyond chance"
    return (
        f"{verdict} (p = {p:.2g} over {how} relabellings, {group['permutations']['smallest_p']:.2g} at best)"
    )


def shared_words(group: Mapping) -> str:
    """The largest confusions that people and network share, as one sentence."""
    named = [
        f"{s['shown']} for {s['chosen']} ({100 * s['people']:.0f} % and {100 * s['network']:.0f} %)"
        for s in group["shared"]
    ]
    if not named:
        return f"No confusion of {100 * RARE:.0f} % or more is shared by people and network."
    listed = named[0] if len(named) == 1 else ", ".join(named[:-1]) + f" and {named[-1]}"
    return f"People and network take {listed}; of people first, of the network second."


def check(group, where: str) -> None:
    """Raises ValueError with one line if a result's `human` group is not as `compare` makes it."""
    kinds = {"file": str, "hash": str, "source": str, "classes": list, "network": list, "people": list,
             "answers": list, "correlation": dict, "interval": dict, "permutations": dict, "shared": list,
             "notes": list}  # fmt: skip
    for key, kind in kinds.items():
        if not isinstance(group.get(key), kind):
            raise ValueError(f"{where}: human.{key} is {group.get(key)!r:.60}, not {kind.__name__}")
    k = len(group["classes"])
    for key in ("network", "people"):
        if len(group[key]) != k or any(not isinstance(row, list) or len(row) != k for row in group[key]):
            raise ValueError(f"{where}: human.{key} must be {k} rows of {k} shares")
    for name in MEASURES:
        entry = group["correlation"].get(name)
        missing = {"value", "low", "high", "n", "p"} - set(entry if isinstance(entry, Mapping) else ())
        if missing:
            raise ValueError(f"{where}: human.correlation.{name} has no {min(missing)!r}")


def spearman(model: np.ndarray, people: np.ndarray) -> np.ndarray:
    """Rank correlation of the cells off the diagonal, ties by mean rank: [r, k, k], [k, k] -> [r]."""
    return _pearson(_ranks(_off(model)), _ranks(_off(people)))


def kendall(model: np.ndarray, people: np.ndarray) -> np.ndarray:
    """Kendall's tau-b of the same cells: (concordant - discordant) pairs by those untied: -> [r]."""
    i, j = np.triu_indices(_off(people).shape[-1], 1)
    ours, theirs = (np.sign(_off(of)[..., i] - _off(of)[..., j]) for of in (model, people))
    both = np.sqrt((ours**2).sum(-1) * (theirs**2).sum())
    return np.divide((ours * theirs).sum(-1), both, out=np.full(len(model), math.nan), where=both > 0)


def diagonal(model: np.ndarray, people: np.ndarray) -> np.ndarray:
    """Rank correlation of the diagonals: is what is easy for people easy for the network: -> [r]."""
    ours, theirs = (np.diagonal(of, axis1=-2, axis2=-1) for of in (model, people))
    return _pearson(_ranks(ours), _ranks(theirs))


MEASURES = {"spearman": spearman, "kendall": kendall, "diagonal": diagonal}


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks along the last axis, ties by their mean."""
    from scipy import stats  # here, since every reader of a result imports this module

    return stats.rankdata(np.round(values, 12), axis=-1)


def _pearson(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """[r, m], [m] -> [r]; NaN where either is constant."""
    a, b = a - a.mean(-1, keepdims=True), b - b.mean()
    both = np.sqrt((a**2).sum(-1) * (b**2).sum())
    return np.divide(a @ b, both, out=np.full(len(a), math.nan), where=both > 1e-12)


def _off(of: np.ndarray) -> np.ndarray:
    """[..., k, k] -> [..., m], rounded so that equal shares tie."""
    return np.round(of[..., ~np.eye(of.shape[-1], dtype=bool)], 12)


def _shares(counts: np.ndarray) -> np.ndarray:
    """Each row by its sum; NaN where that is 0."""
    counts = np.asarray(counts, float)
    total = counts.sum(-1, keepdims=True)
    return np.divide(counts, total, out=np.full(counts.shape, math.nan), where=total > 0)


def _flat(model: np.ndarray, name: str) -> bool:
    cells = np.round(np.diagonal(model), 12) if name == "diagonal" else _off(model)
    return len(np.unique(cells)) == 1


def _common(counts: np.ndarray, classes: Sequence[str], table: Table) -> tuple[tuple[str, ...], np.ndarray]:
    """Classes that both have, in the network's order, and people's shares over them [k, k].

    A class whose row is empty over the others (never shown to the network, say) is left out as well.
    """
    both = [c for c in classes if c in table.shown and c in table.chosen]
    while True:
        at = [classes.index(c) for c in both]
        rows, columns = [table.shown.index(c) for c in both], [table.chosen.index(c) for c in both]
        people = table.value[np.ix_(rows, columns)]
        ours = counts[np.ix_(at, at)].sum(1)
        good = [c for c, a, b in zip(both, ours, people.sum(1), strict=True) if a > 0 and b > 0]
        if good == both:
            break
        both = good
    if len(both) < LEAST:
        theirs = ", ".join(c for c in table.shown if c in table.chosen) or "none"
        ours = ", ".join(c for c, n in zip(classes, counts.sum(1), strict=True) if n) or "none"
        raise BadInput(
            f"{table.file}: {len(both)} classes in common, and {LEAST} are needed: people were shown and "
            f"could choose {theirs}; the network was shown {ours}"
        )
    return tuple(both), _shares(people)


def _cells(label, predicted, groups, known, at) -> tuple[int, str, np.ndarray]:
    """Units, what they are, and their counts over the common classes [units, k, k]."""
    own = np.arange(len(label))
    unit, over = own, "image"
    if groups is not None:
        groups = np.asarray(groups)
        told = groups >= 0 if groups.dtype.kind in "iu" else groups.astype(str) != ""
        if told[known].any():
            code = np.unique(groups, return_inverse=True)[1].reshape(-1)
            unit, over = np.where(told, code, len(label) + own), "subject"
    k, place = len(at), np.full(max([*label, *predicted, *at]) + 1, -1)
    place[at] = np.arange(k)
    used = known & (place[label] >= 0) & (place[predicted] >= 0)
    unit = np.unique(unit[used], return_inverse=True)[1].reshape(-1)
    units = int(unit.max()) + 1
    cell = unit * k * k + place[label[used]] * k + place[predicted[used]]
    return units, over, np.bincount(cell, minlength=units * k * k).reshape(units, k, k)


def _intervals(cells, people, n_bootstrap, seed, over) -> dict[str, tuple[float, float, str]]:
    units, k = len(cells), len(people)
    nothing = {name: (math.nan, math.nan, f"no interval from {units} {over}") for name in MEASURES}
    if not n_bootstrap:
        return {name: (math.nan, math.nan, "no interval was asked for") for name in MEASURES}
    if units < 2:
        return nothing
    rng, flat, found = np.random.default_rng(seed), cells.reshape(units, k * k).astype(float), []
    for start in range(0, n_bootstrap, 200):
        r = min(200, n_bootstrap - start)
        drawn = rng.integers(0, units, (r, units)) + units * np.arange(r)[:, None]
        times = np.bincount(drawn.reshape(-1), minlength=units * r).reshape(r, units)
        found.append(_shares((times @ flat).reshape(r, k, k)))
    models = np.concatenate(found)
    whole = models[np.isfinite(models).all((1, 2))]  # a resample may lack a class
    out = {}
    for name, of in MEASURES.items():
        values = of(whole, people) if len(whole) else np.zeros(0)
        values = values[np.isfinite(values)]
        if 2 * len(values) < n_bootstrap:
            why = f"no interval: undefined in more than half of the resamples over {over}s"
            out[name] = (math.nan, math.nan, why)
            continue
        low, high = np.percentile(values, [50 * (1 - metrics.LEVEL), 50 * (1 + metrics.LEVEL)])
        out[name] = (float(low), float(high), "")
    return out


def _permute(model: np.ndarray, people: np.ndarray, seed: int) -> tuple[dict[str, float], int, bool]:
    """One-sided p of each measure (as alike or more), how many relabellings were tried, and whether all."""
    k = len(model)
    exact = k <= EXACT
    if exact:
        orders = np.array(list(itertools.permutations(range(k))))
    else:
        rng = np.random.default_rng(seed)
        orders = np.stack([np.arange(k), *(rng.permutation(k) for _ in range(SAMPLED - 1))])
    renamed = model[orders[:, :, None], orders[:, None, :]]  # the first is as it was
    p = {}
    for name, of in MEASURES.items():
        values = np.concatenate(
            [of(part, people) for part in np.array_split(renamed, -(-len(renamed) // 1000))]
        )
        p[name] = float((values >= values[0] - 1e-9).mean()) if np.isfinite(values[0]) else math.nan
    return p, len(orders), exact


def _shared(model: np.ndarray, people: np.ndarray, common: Sequence[str]) -> list[dict]:
    """The largest confusions of both, by the smaller of the two shares."""
    both = np.where(np.eye(len(common), dtype=bool), 0, np.minimum(model, people))
    order = np.argsort(-both, axis=None, kind="stable")[:SHARED]
    return [
        {
            "shown": common[i],
            "chosen": common[j],
            "people": float(people[i, j]),
            "network": float(model[i, j]),
        }
        for i, j in zip(*np.unravel_index(order, both.shape), strict=True)
        if both[i, j] >= RARE
    ]


def _notes(counts, classes, table: Table, common, rows) -> list[str]:
    """What the comparison leaves out."""
    notes = []
    ours = [c for c in classes if c not in common]
    if ours:
        at = [classes.index(c) for c in common]
        lost = int(counts.sum() - counts[np.ix_(at, at)].sum())
        notes.append(
            f"Not in {table.file}, or without an example: {', '.join(ours)}; {lost} of {int(counts.sum())} "
            "examples that are or were taken for these are left out."
        )
    theirs = sorted({*table.shown, *table.chosen} - set(common))
    if theirs:
        notes.append(f"Not among the network's classes, or without an example: {', '.join(theirs)}.")
    if table.other.any():
        whole = table.value.sum(1) + table.other
        most = max(rows, key=lambda c: table.other[table.shown.index(c)] / whole[table.shown.index(c)])
        share = table.other[table.shown.index(most)] / whole[table.shown.index(most)]
        notes.append(
            f"People's answers that are none of the emotions are left out: at most {share:.1%} ({most})."
        )
    return notes


def _said(entry: Mapping) -> str:
    """A value and its interval, or why there is none."""
    if not _is_number(entry["value"]):
        return f"undefined ({entry.get('reason', '')})"
    known = _is_number(entry["low"]) and _is_number(entry["high"])
    span = f" [{entry['low']:.2f}, {entry['high']:.2f}]" if known else ""
    return f"{entry['value']:.2f}{span}"


def _is_number(value) -> bool:
    return value is not None and math.isfinite(value)
