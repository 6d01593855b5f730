"""The cross-data-set table as files: results, CSV, Markdown, a heat map, and study.json for the report."""

import io
import pathlib
from collections.abc import Mapping

import numpy as np

from ferjax import config as config_lib
from ferjax import files, protocols, results
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
        for a in study.sets:
            for b in study.sets:
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
    paper = study.c.paper.get(f"{a}/{b}")
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
        "paper": None if paper is None else paper / 100,
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
    names = list(study.sets)
    for mode in study.c.modes:
        out.append(f"\n## {MODES[mode]}\n")
        head = ["trained on", *(study.sets[b].title for b in names)]
        body = [[study.sets[a].title, *(cell_text(_at(rows, mode, a, b)) for b in names)] for a in names]
        out.append(table(head, body))
    out.append("\n" + legend(study))
    for name, known in study.sets.items():
        out.append(f"- {known.title} ({name}): {'; '.join(known.remarks)}.")
    out += [f"- Left out: {gap}." for gap in study.gaps.values()]
    return "\n".join(out) + "\n"


def legend(study: Study) -> str:
    """How to read the table."""
    paper = f" In brackets: {study.c.paper_says}." if study.c.paper else ""
    return (
        f"Accuracy in percent over {len(study.classes)} emotions ({', '.join(study.classes)}), "
        f"predictions of {study.c.seeds} networks (seeds) pooled, 95 % interval over subjects, over "
        f"images where no subjects are known. The diagonal is the network that was trained there.{paper}\n"
    )


def cell_text(row: Mapping) -> str:
    """ "61.2 [59.0, 63.1] (paper 69.3)"."""
    text = f"{100 * row['accuracy']:.1f}"
    if np.isfinite(row["low"]) and np.isfinite(row["high"]):
        text += f" [{100 * row['low']:.1f}, {100 * row['high']:.1f}]"
    return text + (f" (paper {100 * row['paper']:.1f})" if row["paper"] is not None else "")


def _at(rows, mode, a, b) -> dict:
    return next(r for r in rows if (r["mode"], r["trained on"], r["tested on"]) == (mode, a, b))


def _page(study: Study, rows: list[dict]) -> None:
    """What the report draws."""
    names = list(study.sets)

    def cell(mode, a, b):
        row = _at(rows, mode, a, b)
        return {k: row[k] for k in ("accuracy", "low", "high", "paper")} | {"why": row[COLUMNS[-1]]}

    results.write_study(
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
                "rows": [study.sets[a].title for a in names],
                "columns": [study.sets[b].title for b in names],
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


def heat_map(study: Study, rows: list[dict]) -> bytes:
    """All modes side by side, shaded by accuracy; a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names, modes = list(study.sets), study.c.modes
    figure = Figure(
        figsize=(1.2 + 1.45 * len(names) * len(modes), 1.4 + 0.95 * len(names)), dpi=150, layout="constrained"
    )
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(modes), squeeze=False, sharey=True)[0]
    for axis, mode in zip(axes, modes, strict=True):
        values = np.array([[_at(rows, mode, a, b)["accuracy"] for b in names] for a in names])
        picture = axis.imshow(100 * values, cmap="viridis", vmin=0, vmax=100)
        for i, a in enumerate(names):
            for j, b in enumerate(names):
                row = _at(rows, mode, a, b)
                text = f"{100 * row['accuracy']:.1f}"
                if np.isfinite(row["low"]) and np.isfinite(row["high"]):
                    text += f"\n{100 * row['low']:.0f} to {100 * row['high']:.0f}"
                colour = "black" if row["accuracy"] > 0.6 else "white"
                axis.text(j, i, text, ha="center", va="center", fontsize=8, color=colour)
        titles = [study.sets[n].title for n in names]
        axis.set_xticks(range(len(names)), titles, fontsize=8, rotation=20, ha="right", parse_math=False)
        axis.set_yticks(range(len(names)), titles, fontsize=8, parse_math=False)
        axis.set_title(MODES[mode], fontsize=9)
        axis.set_xlabel("tested on", fontsize=8)
    axes[0].set_ylabel("trained on", fontsize=8)
    figure.colorbar(picture, ax=list(axes), label="accuracy, %", shrink=0.8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
