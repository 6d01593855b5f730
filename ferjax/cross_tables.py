"""The cross-data-set table as files: results, CSV, Markdown, a heat map, and study.json for the report."""

import io
import pathlib
from collections.abc import Mapping

import numpy as np

from ferjax import config as config_lib
from ferjax import files, protocols, results, study_file
from ferjax.cross_dataset import MODES, Study
from ferjax.studies import kept_predictions, kept_results, pooled, table

COLUMNS = (
    "mode",
    "trained on",
    "tested on",
    "accuracy",
    "low",
    "high",
    "uf1",
    "uar",
    "without duplicates",
    "each seed",
    "images",
    "interval over",
    "paper",
    "not comparable because",
)

NOT_THERE = "not on disk"  # in place of a figure


def write(study: Study, done: Mapping[str, Mapping]) -> pathlib.Path:
    """Pools the seeds of every cell and writes W/cross_dataset, W/results and W/study.json.

    Args:
      study: with its sets.
      done: cell name -> found, all finished.
    Returns:
      W/cross_dataset.
    """
    rows = []
    for mode in study.c.modes:
        for a in study.c.sets:
            for b in study.c.sets:
                if a in study.gaps or b in study.gaps:
                    rows.append(_gap(study, mode, a, b))
                    continue
                names = [
                    f"source/{a}/seed{s}" if a == b else f"{mode}/{a}-{b}/seed{s}"
                    for s in range(study.c.seeds)
                ]
                rows.append(_row(study, mode, a, b, [done[name] for name in names]))
    out = study.workdir / "cross_dataset"
    text = markdown(study, rows)
    files.write(out / "table.csv", files.csv_bytes([COLUMNS, *([row[c] for c in COLUMNS] for row in rows)]))
    files.write(out / "table.md", text.encode())
    files.write(out / "heatmap.png", heat_map(study, rows))
    _page(study, rows)
    return out


def _gap(study: Study, mode: str, a: str, b: str) -> dict:
    """A cell of the matrix whose set is not there: the paper's figure, and why not ours."""
    why = "; ".join(study.gaps[name] for name in dict.fromkeys((a, b)) if name in study.gaps)
    row = {**dict.fromkeys(COLUMNS), "mode": mode, "trained on": a, "tested on": b}
    return row | {"paper": _paper(study, a, b), "not comparable because": f"{NOT_THERE}: {why}"}


def _paper(study: Study, a: str, b: str) -> float | None:
    paper = study.c.paper.get(f"{a}/{b}")
    return None if paper is None else paper / 100


def _row(study: Study, mode: str, a: str, b: str, found: list[Mapping]) -> dict:
    """One cell of the matrix, over its seeds."""
    known = study.sets[b]
    predictions = [kept_predictions(study.workdir, f) for f in found]
    scores = pooled(predictions, study.classes, study.c.bootstrap)
    every = [kept_results(study.workdir, f) for f in found]
    each = [r[0] for r in every]
    fresh = [r[1]["metrics"]["accuracy"]["value"] for r in every if r[1:]]
    notes = [f"Predictions of {len(found)} networks (seeds) pooled.", *each[0]["notes"]]
    if fresh:
        notes.append(
            f"Without images seen in training: accuracy {100 * np.mean(fresh):.1f} %, mean of seeds."
        )
    results.write_result(
        study.workdir,
        f"{mode}_{a}_on_{b}",
        scores,
        split=known.parts.test.name,
        split_hash=known.parts.test.hash,
        config=config_lib.to_json(study.c.sets[b]),
        selected_on=each[0]["selected_on"],
        checkpoint_step=None,
        seed=study.c.sets[b].source.seed,
        wall_time_s=None,
        device=each[0]["device"],
        views=each[0]["views"],
        notes=notes,
    )
    accuracy = scores.metrics["accuracy"]
    paper = _paper(study, a, b)
    return {
        "mode": mode,
        "trained on": a,
        "tested on": b,
        "accuracy": accuracy.value,
        "low": accuracy.low,
        "high": accuracy.high,
        "uf1": scores.metrics["uf1"].value,
        "uar": scores.metrics["uar"].value,
        "without duplicates": float(np.mean(fresh)) if fresh else None,
        "each seed": " ".join(f"{r['metrics']['accuracy']['value']:.4f}" for r in each),
        "images": len(known.parts.test),
        "interval over": f"{scores.interval['units']} {scores.interval['over']}s",
        "paper": paper,
        "not comparable because": "" if paper is None else "; ".join(_why_not(study, mode, a, b)),
    }


def _why_not(study: Study, mode: str, a: str, b: str) -> list[str]:
    """Why a cell cannot be held against the paper's."""
    why = []
    for name in dict.fromkeys((a, b)):
        why += [f"{name}: {remark}" for remark in study.sets[name].remarks]
    if mode != "head" and a != b:
        why.append("the paper adapts the last layers")
    if len(study.classes) != 8:
        why.append(f"{len(study.classes)} emotions here")
    return why


def markdown(study: Study, rows: list[dict]) -> str:
    """The matrices as Markdown, one for each mode, the paper's figure behind ours."""
    out = [f"# {study.c.name}\n"]
    names, titles = list(study.c.sets), _titles(study)
    for mode in study.c.modes:
        out.append(f"\n## {MODES[mode]}\n")
        head = ["trained on", *titles.values()]
        body = [[titles[a], *(cell_text(_at(rows, mode, a, b)) for b in names)] for a in names]
        out.append(table(head, body))
    out.append("\n" + legend(study))
    for name, known in study.sets.items():
        out.append(f"- {known.title} ({name}): {'; '.join(known.remarks)}.")
    out += [f"- Left out: {gap}." for gap in study.gaps.values()]
    return "\n".join(out) + "\n"


def _titles(study: Study) -> dict[str, str]:
    """Of all sets, also those that are not there."""
    return {name: one.title for name, one in study.c.sets.items()}


def legend(study: Study) -> str:
    """How to read the table, and what became of the sets' emotions."""
    maps = ". ".join(f"{known.title}: {known.mapped}" for known in study.sets.values())
    paper = f" In brackets: {study.c.paper_says}." if study.c.paper else ""
    return (
        f"Accuracy in percent over {len(study.classes)} emotions ({', '.join(study.classes)}), "
        f"predictions of {study.c.seeds} networks (seeds) pooled, 95 % interval over subjects, over "
        "images where no subjects are known. The diagonal is the network that was trained "
        f"there.{paper} Emotions by name: {maps}.\n"
    )


def cell_text(row: Mapping) -> str:
    """ "61.2 [59.0, 63.1] (paper 69.3)"; "not on disk (paper 69.3)"."""
    text = NOT_THERE if row["accuracy"] is None else f"{100 * row['accuracy']:.1f}"
    if row["accuracy"] is not None and np.isfinite(row["low"]) and np.isfinite(row["high"]):
        text += f" [{100 * row['low']:.1f}, {100 * row['high']:.1f}]"
    return text + (f" (paper {100 * row['paper']:.1f})" if row["paper"] is not None else "")


def _at(rows, mode, a, b) -> dict:
    return next(r for r in rows if (r["mode"], r["trained on"], r["tested on"]) == (mode, a, b))


def _page(study: Study, rows: list[dict]) -> None:
    """What the report draws."""
    names, titles = list(study.c.sets), _titles(study)

    def cell(mode, a, b):
        row = _at(rows, mode, a, b)
        return {k: row[k] for k in ("accuracy", "low", "high", "paper")} | {"why": row[COLUMNS[-1]]}

    study_file.write(
        study.workdir,
        study.c.name,
        legend(study),
        [
            {
                "title": "All cells",
                "head": list(COLUMNS),
                "rows": [[_shown(r[c]) for c in COLUMNS] for r in rows],
            }
        ],
        matrices=[
            {
                "title": MODES[mode],
                "rows": list(titles.values()),
                "columns": list(titles.values()),
                "corner": "trained on / tested on",
                "cells": [[cell(mode, a, b) for b in names] for a in names],
            }
            for mode in study.c.modes
        ],
        remarks=[f"{k.title}: {'; '.join(k.remarks)}." for k in study.sets.values()],
        gaps=list(study.gaps.values()),
        cells=protocols.kept(study.workdir),
    )


def _shown(value) -> str:
    return "" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)


def _drawn(row: Mapping) -> tuple[str, str]:
    """A cell of the heat map: its text, and the text's colour."""
    if row["accuracy"] is None:
        paper = "" if row["paper"] is None else f"\npaper {100 * row['paper']:.1f}"
        return NOT_THERE + paper, "black"
    text = f"{100 * row['accuracy']:.1f}"
    if np.isfinite(row["low"]) and np.isfinite(row["high"]):
        text += f"\n{100 * row['low']:.0f} to {100 * row['high']:.0f}"
    return text, "black" if row["accuracy"] > 0.6 else "white"


def heat_map(study: Study, rows: list[dict]) -> bytes:
    """All modes side by side, shaded by accuracy; a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names, titles, modes = list(study.c.sets), list(_titles(study).values()), study.c.modes
    figure = Figure(
        figsize=(1.2 + 1.45 * len(names) * len(modes), 1.4 + 0.95 * len(names)), dpi=150, layout="constrained"
    )
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(modes), squeeze=False, sharey=True)[0]
    for axis, mode in zip(axes, modes, strict=True):
        values = np.array([[_at(rows, mode, a, b)["accuracy"] for b in names] for a in names], float)
        axis.set_facecolor("0.9")  # of gaps
        picture = axis.imshow(100 * values, cmap="viridis", vmin=0, vmax=100)
        for i, a in enumerate(names):
            for j, b in enumerate(names):
                row = _at(rows, mode, a, b)
                text, colour = _drawn(row)
                axis.text(j, i, text, ha="center", va="center", fontsize=8, color=colour)
        axis.set_xticks(range(len(names)), titles, fontsize=8, rotation=20, ha="right", parse_math=False)
        axis.set_yticks(range(len(names)), titles, fontsize=8, parse_math=False)
        axis.set_title(MODES[mode], fontsize=9)
        axis.set_xlabel("tested on", fontsize=8)
    axes[0].set_ylabel("trained on", fontsize=8)
    figure.colorbar(picture, ax=list(axes), label="accuracy, %", shrink=0.8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
