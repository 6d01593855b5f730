"""The section of human confusions: both matrices side by side, and how alike they are."""

import math
from collections.abc import Mapping, Sequence
from html import escape

from ferjax import human
from ferjax.report import parts

ROWS = {
    "spearman": ("Confusions, off the diagonal", "Spearman"),
    "kendall": ("The same", "Kendall's tau-b"),
    "diagonal": ("Which class is how hard, the diagonal", "Spearman"),
}


def section(result: Mapping) -> str:
    """People's and the network's confusions of one result that holds such a comparison."""
    group = result["human"]
    names, chance = group["classes"], human.chance_words(group)
    said = human.shared_words(group) + (f" Their likeness is {chance}." if chance else "")
    pair = ""
    for key, title, of in (("people", "People", group["answers"]), ("network", "Network", None)):
        pair += f"<div><h4>{title}</h4>{_matrix(group[key], names, of)}</div>"
    caption = (
        "Rows: the expression shown (and answers, where known). Columns: what it was taken for. Percent of "
        "the row, over the classes that both have."
    )
    out = f"<p>{escape(said).replace(' %', '&nbsp;%')}</p><p class='soft'>{caption}</p>"
    out += f'<div class="pair">{pair}</div>{_correlations(group)}'
    out += "".join(f"<p class='note'>{escape(note)}</p>" for note in group["notes"])
    source = f"{escape(group['source'])}. " if group["source"] else ""
    return f"{out}<p class='soft'>People: {source}<span class='mono'>{escape(group['file'])}</span></p>"


def _correlations(group: Mapping) -> str:
    rows = []
    for key, (what, measure) in ROWS.items():
        m = {k: math.nan if v is None else v for k, v in group["correlation"][key].items()}
        p = f"{m['p']:.2g}" if math.isfinite(m["p"]) else ""
        cells = f"<th scope='row'>{what}</th><td>{measure}</td><td>{m['n']}</td>"
        rows.append(cells + parts.cell(key, m) + f"<td>{p}</td>")
    i = group["interval"]
    over = (
        "no intervals" if i["method"] == "none" else f"{100 * i['level']:.0f} % intervals over the network's "
    )
    over += "" if i["method"] == "none" else parts.units({"interval": i})
    head = ["Rank correlation", "", "Cells", "Value", "p"]
    return parts.table(f"How alike, -1 to 1; {over}.", head, rows)


def _matrix(shares: Sequence[Sequence[float]], names: Sequence[str], answers: Sequence[int] | None) -> str:
    rows = []
    for i, (name, row) in enumerate(zip(names, shares, strict=True)):
        n = f" <span class='soft'>{answers[i]:,}</span>" if answers and answers[i] else ""
        cells = f"<th scope='row'>{escape(name)}{n}</th>"
        for j, share in enumerate(row):
            css = " ".join(["hot"] * (share > 0.7) + ["right"] * (i == j) + ["none"] * (share == 0))
            text = "0" if share == 0 else "&lt;1" if share < 0.005 else f"{100 * share:.0f}"
            cells += f'<td class="{css}" style="--share:{share:.3f}">{text}</td>'
        rows.append(cells)
    return parts.table("", ["", *names], rows, "confusion upright")
