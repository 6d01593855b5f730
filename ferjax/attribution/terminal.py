"""What an attribution found, in a few lines for a terminal."""

import math
import pathlib

from ferjax import files
from ferjax.attribution import ablation, evidence, verdict
from ferjax.attribution.tables import COUNTS


def words(folder: pathlib.Path) -> str:
    """What a summary.json says, in a few lines for a terminal."""
    said = files.read_json(folder / "summary.json")
    head, counts, paper, causal = said["headline"], said["counts"], said["paper"], said["causes"]
    settings = said["settings"]
    lines = [
        f"{said['data']}: {counts['sequences']} sequences of {counts['subjects']} people, {said['rule']}",
        f"{head['filters']} filters, {head['active']} active; {head['significant']} go with an action unit "
        f"on people who did not choose it ({_correction(settings)}, {settings['permutations']:,} "
        f"permutations within people, smallest possible p {settings['smallest_p'] or math.nan:.1g})",
        f"above the 95th percentile of {settings['random_networks']} networks with random weights, in the "
        f"same layer with the same unit (any unit, where few have it): {head['above']}; of these "
        f"{head['outside']} outside emotion, {head['within']} within, {head['both']} both"
        f"{_by_unit(said['aus'])}",
    ]
    for row in said["controls"]:
        counted = ", ".join(f"{key} {_range(row[key])}" for key in COUNTS)
        again = f"; matches shared {_range(row['recurring'], '.2f')}" if row["recurring"] else ""
        lines.append(f"  {row['name']} ({row['networks']}): {counted}{again}")
    kept = "; ".join(f"{row['name']} {_range(row['kept'])}" for row in said["controls"])
    lines += [
        f"the paper's rule in {paper['layer']}, N = {paper['top_n']}: of {paper['active']} active filters "
        f"{paper['rejected']} rejected (paper, as commonly quoted: of {paper['paper_active']} "
        f"{paper['paper_rejected']}); not rejected: {kept}",
        f"planted filters: {planted_words(said['planted'])}",
        f"ablation lowers the unit's logit more than any of {ablation.NEAREST} filters like it (luck: 1 in "
        f"{ablation.NEAREST + 1}): {_of_causes(causal, 'matched')} significant filters, "
        f"{_of_causes(causal, 'other')} others; in {causal['random_networks']} networks with random weights "
        f"{_of_causes(causal, 'random_matched')} and {_of_causes(causal, 'random_other')} others",
        *(f"note: {note}" for note in said["notes"]),
        f"in {folder}",
    ]
    return "\n".join(lines)


def planted_words(planted: list[dict]) -> str:
    """How many of the filters built on each thing are called AU filters."""
    out = []
    for fires in evidence.FIRES:
        some = [p for p in planted if p["fires_on"] == fires]
        called = [p for p in some if p["verdict"] == verdict.AU_FILTER]
        wrong = sum(p["au"] != p["planted"] for p in called)
        words = f"{len(called)} of {len(some)} that fire on {fires} alone"
        out.append(words + (f" ({wrong} of another unit)" if wrong else ""))
    return f"called AU filters are {', '.join(out)}"


def _of_causes(causal: dict, key: str) -> str:
    stronger, comparable, every = causal[key]
    left = f" ({every - comparable} more have none like them)" if comparable < every else ""
    return f"{stronger} of {comparable}{left}"


def _by_unit(aus: list[dict]) -> str:
    some = sorted((au for au in aus if au["both"]), key=lambda au: -au["both"])
    return " (" + ", ".join(f"{au['name']} {au['both']}" for au in some) + ")" if some else ""


def _correction(settings: dict) -> str:
    level = f"{settings['fdr']:g}"
    if settings["significant_by"] == "q":
        return f"false discovery rate {level}"
    return f"max-statistic at {level}, since permutations are too few for a false discovery rate"


def _range(values, form: str = "g") -> str:
    if values[0] is None:
        return "unknown"
    mean, low, high = (f"{round(v, 2):{form}}" for v in values)
    return mean if low == high else f"{mean} ({low} to {high})"
