"""A study of many trainings as one page: its matrices as heat maps, its tables, what is missing and why."""

import base64
import math
import pathlib
from collections.abc import Mapping
from html import escape

from data_pipelines import BadInput
from ferjax import files, study_file
from ferjax.report import charts, parts, strips
from ferjax.report.style import CSS

_MORE = """
img.wide { max-width: 100%; height: auto; background: #fff; }
.matrix td { text-align: center; min-width: 7rem; padding: .5rem .6rem; }
.matrix td b { display: block; font-size: 1.15rem; font-variant-numeric: tabular-nums; }
.matrix td small { display: block; color: inherit; }
.matrix td.gap { color: var(--soft); background: repeating-linear-gradient(135deg, transparent 0 6px,
  var(--rule) 6px 7px); }
"""


def page(path: pathlib.Path, faces: bool = True) -> str:
    """The whole page.

    Args:
      path: W/study.json: {"name", "legend", "remarks", "gaps", "matrices": [{"title", "corner", "rows",
        "columns", "cells": [[{"accuracy", "low", "high", "paper", "why"}]]}],
        "charts": [{"title", "series", "rows": [[name, [[value, low, high]]]]}],
        "tables": [{"title", "head", "rows"}],
        "clips": [files below its folder, see `strips`],
        "pictures": [{"file", "title", "faces"}], "cells": name -> {"seconds", "created"}}. A cell
        that is not there has no accuracy, and why as "not on disk: more".
      faces: False embeds no picture of a face.
    Raises:
      BadInput: not readable, or of another schema.
    """
    said = files.read_json(path)
    if said.get("schema") != study_file.SCHEMA:
        raise BadInput(f"{path}: schema is {said.get('schema')!r}; this ferjax reads {study_file.SCHEMA!r}")
    name = escape(str(said.get("name", "study")))
    legend = f"<p>{escape(said.get('legend', ''))}</p>"
    sections = {}
    if said.get("matrices"):
        sections["matrix"] = ("The matrix", legend + "".join(_matrix(m) for m in said["matrices"]))
    drawn = [
        charts.dot_chart(f"dots{i}", c["title"], c["series"], c["rows"], c.get("level", 0.5))
        for i, c in enumerate(said.get("charts", []))
    ]
    for i, table in enumerate(said.get("tables", [])):
        rows = ["".join(map(_text_cell, row)) for row in table["rows"]]
        lead = "" if sections else legend
        words = [i for i, c in enumerate(table["rows"][0]) if not _figure(str(c))] if table["rows"] else []
        body = lead + parts.table(table.get("caption", ""), table["head"], rows, left=words)
        sections[f"table{i}"] = (escape(table["title"]), body)
        if i == 0 and any(drawn):
            sections["charts"] = ("Pictures", f'<div class="charts">{"".join(drawn)}</div>')
    for i, clips in enumerate(said.get("clips", [])):
        title = f"Clips, {pathlib.Path(clips).parent.name}"
        sections[f"clips{i}"] = (escape(title), strips.section(path.parent / clips, f"clip{i}", faces))
    for i, one in enumerate(said.get("pictures", [])):
        sections[f"picture{i}"] = (escape(one["title"]), _picture(path.parent / one["file"], one, faces))
    notes = [*said.get("remarks", []), *(f"Left out: {gap}." for gap in said.get("gaps", []))]
    if notes:
        items = "".join(f"<li>{escape(note)}</li>" for note in notes)
        sections["notes"] = ("What to know about the sets", f"<ul>{items}</ul>")
    sections["provenance"] = ("Provenance", _provenance(said))
    return parts.document(name, "", sections, CSS + _MORE + strips.STYLE)


def _picture(path: pathlib.Path, one: Mapping, faces: bool) -> str:
    """A PNG within the page; a sentence in its place where it shows faces and none may be shown."""
    if one.get("faces") and not faces:
        return "<p>Left out: it shows faces.</p>"
    if not path.is_file():
        return f"<p>{escape(path.name)} is gone.</p>"
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<img class="wide" alt="{escape(one["title"])}" src="data:image/png;base64,{data}">'


def _text_cell(text) -> str:
    """Words to the left, figures to the right with their interval below; what is not there as a dash."""
    text = str(text)
    if text in ("", "nan"):
        return "<td>&ndash;</td>"
    if not _figure(text):
        return f"<td class='left'>{escape(text)}</td>"
    value, _, span = text.partition(" [")
    small = f"<small>{escape(span[:-1].replace(', ', ' to '))}</small>" if span.endswith("]") else ""
    return f"<td>{escape(value)}{small}</td>" if small else f"<td>{escape(text)}</td>"


def _figure(text: str) -> bool:
    return text[:1].isdigit() or text[:1] in ("-", ".")


def _matrix(m: Mapping) -> str:
    rows = []
    for title, cells in zip(m["rows"], m["cells"], strict=True):
        rows.append(f"<th scope='row' class='left'>{escape(title)}</th>" + "".join(map(_cell, cells)))
    table = parts.table("", [m["corner"], *m["columns"]], rows, "matrix")
    return f"<h3>{escape(m['title'])}</h3>{table}"


def _cell(cell: Mapping | None) -> str:
    if not cell or cell.get("accuracy") is None:
        why, _, more = (cell or {}).get("why", "not there").partition(": ")
        title = f' title="{escape(more, quote=True)}"' if more else ""
        return f"<td class='gap'{title}>{escape(why)}{_of_paper(cell or {})}</td>"
    value = cell["accuracy"]
    hot = min(1.0, max(0.0, value))
    ink = "color: var(--hot-ink)" if hot > 0.55 else ""
    span = ""
    if _finite(cell.get("low")) and _finite(cell.get("high")):
        span = f"<small>{100 * cell['low']:.1f} to {100 * cell['high']:.1f}</small>"
    why = f' title="{escape(cell["why"], quote=True)}"' if cell.get("why") else ""
    shade = f'style="background: rgba(var(--heat), {hot:.2f}); {ink}"'
    return f"<td{why} {shade}><b>{100 * value:.1f}</b>{span}{_of_paper(cell)}</td>"


def _of_paper(cell: Mapping) -> str:
    return f"<small>paper {100 * cell['paper']:.1f}</small>" if _finite(cell.get("paper")) else ""


def _finite(value) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _provenance(said: Mapping) -> str:
    seconds = sum(c["seconds"] for c in said.get("cells", {}).values())
    versions = ", ".join(f"{k} {v}" for k, v in said.get("versions", {}).items())
    return parts.facts(
        {
            "Written": escape(str(said.get("created", ""))),
            "Cells": f"{len(said.get('cells', {}))}, {seconds / 60:.0f} min of work together",
            "Code": f"<span class='mono'>{escape(str(said.get('git_revision', '')))}</span>",
            "Versions": escape(versions),
        }
    )
