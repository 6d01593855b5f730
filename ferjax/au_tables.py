"""The tables of an action-unit study: terminal and Markdown, CSV, results in the one schema, study.json."""

import pathlib
from collections.abc import Mapping

import numpy as np

from data_pipelines.labels import facs_name
from ferjax import au_metrics, files, protocols, results, study_file
from ferjax import config as config_lib
from ferjax.au_study import BACKBONES, HEADS, MEANS, Study
from ferjax.studies import span, table

TITLES = {"f1": "mean F1", "auc": "mean AUC", "average_precision": "mean AP"}


def write(study: Study, done: Mapping[str, Mapping]) -> pathlib.Path:
    """Pools the seeds and writes W/au_detection, W/results and W/study.json.

    Returns:
      W/au_detection.
    """
    rows, units, long, charts = [], [], [], []
    for name, s in study.sets.items():
        by_unit = {}
        for kind in BACKBONES:
            for head in ("joint", "single", *(["own"] if kind == "aus" else [])):
                cell = f"backbone/{name}-{kind}" if head == "own" else f"{head}/{name}-{kind}"
                found = _found(study, done, cell)
                scores = study.pooled(name, found)
                _result(study, name, kind, head, scores)
                by_unit[kind, head] = scores
                icc = None
                if head == "joint":
                    icc = study.intensity(name, _found(study, done, f"intensity/{name}-{kind}"))
                    _result(study, name, kind, "intensity", icc)
                    by_unit[kind, "intensity"] = icc
                rows.append(_row(s, kind, head, scores, found, icc))
        units += _units(s, by_unit)
        long += [[name, *row] for row in _long(by_unit)]
        charts.append(_chart(s, by_unit))
    out = study.workdir / "au_detection"
    head = ["set", "features", "head", *TITLES.values(), "mean ICC", "each seed's AUC"]
    least = study.c.sets[next(iter(study.sets))].source.aus.threshold
    legend = (
        f"Mean over units of F1 (thresholds chosen on the selecting part), ROC AUC and average precision on "
        f"people of the test part, mean of {study.c.seeds} seeds, 95 % intervals over subjects. Present "
        f"means an intensity of at least {least}. ICC: of intensities. Units that fewer than "
        f"{au_metrics.PEOPLE} people show or lack are not in the means and have no interval. Heads "
        f"stand on {study.c.layer}."
    )
    heads = ["set", "unit", "test images with it", *(f"AUC: {k}, {h}" for k, h in COLUMNS)]
    remarks = [f"{s.title}: {'; '.join(s.remarks)}." for s in study.sets.values()]
    remarks += [
        f"{s.title}: left out, too few training images: {', '.join(s.task.left_out)}."
        for s in study.sets.values()
        if s.task.left_out
    ]
    text = f"# {study.c.name}\n\n{legend}\n\n{table(head, rows)}\n\n## Units\n\n{table(heads, units)}\n\n"
    text += "\n".join(f"- {line}" for line in [*remarks, *(f"Left out: {g}." for g in study.gaps.values())])
    files.write(out / "table.md", (text + "\n").encode())
    files.write(out / "table.csv", files.csv_bytes([head, *rows]))
    files.write(out / "units.csv", files.csv_bytes([LONG, *long]))
    study_file.write(
        study.workdir,
        study.c.name,
        legend,
        [
            {"title": "Features and heads", "head": head, "rows": rows},
            {"title": "Units", "head": heads, "rows": units},
        ],
        charts=charts,
        remarks=remarks,
        gaps=list(study.gaps.values()),
        cells=protocols.kept(study.workdir),
    )
    return out


COLUMNS = (
    ("emotion", "joint"),
    ("emotion", "single"),
    ("random", "joint"),
    ("random", "single"),
    ("aus", "own"),
)


DRAWN = {("emotion", "single"): "emotions", ("random", "single"): "random", ("aus", "single"): "action units"}


def _chart(s, by_unit) -> dict:
    """AUC of each unit that the test part shows, single detectors on the three kinds of features."""
    rows = []
    for au in s.task.names:
        found = [by_unit[key].metrics[f"auc/{au}"] for key in DRAWN]
        if np.isfinite(found[0].value):
            rows.append((f"{au} {facs_name(au)}", [(e.value, e.low, e.high) for e in found]))
    return {"title": f"{s.title}: ROC AUC on features from", "series": list(DRAWN.values()), "rows": rows}


def _row(s, kind: str, head: str, scores, found, icc) -> list[str]:
    cells = [span(scores.metrics[m]) for m in MEANS]
    each = " ".join(f"{f['auc']:.3f}" for f in found)
    return [
        s.title,
        BACKBONES[kind],
        HEADS[head],
        *cells,
        "" if icc is None or np.isnan(icc.metrics["icc"].value) else span(icc.metrics["icc"]),
        each,
    ]


def _found(study: Study, done, cell: str) -> list[dict]:
    """What a cell of every seed found."""
    return [done[f"{cell}/seed{k}"] for k in range(study.c.seeds)]


LONG = ("set", "features", "head", "unit", "metric", "value", "low", "high", "n", "reason")


def _long(by_unit) -> list[list]:
    """A row for every measure of every unit (and mean over units), features and head."""
    out = []
    for (kind, head), scores in by_unit.items():
        for key, e in scores.metrics.items():
            metric, _, unit = key.partition("/")
            out.append([kind, head, unit or "mean", metric, e.value, e.low, e.high, e.n, e.reason])
    return out


def _units(s, by_unit) -> list[list[str]]:
    out = []
    for au in s.task.names:
        n = by_unit["emotion", "joint"].metrics[f"auc/{au}"].n
        out.append([s.title, au, str(n), *(span(by_unit[key].metrics[f"auc/{au}"]) for key in COLUMNS)])
    return out


def _result(study: Study, name: str, kind: str, head: str, scores) -> None:
    test = study.sets[name].parts.test
    results.write_result(
        study.workdir,
        f"{name}_{kind}_{head}",
        scores,
        split=test.name,
        split_hash=test.hash,
        config=config_lib.to_json(study.c.sets[name]),
        selected_on=("the loss" if head == "intensity" else "the loss and the best F1")
        + f" on {study.sets[name].parts.selection}",
        checkpoint_step=None,
        seed=study.c.sets[name].source.seed,
        wall_time_s=None,
        device="see the cells",
        notes=[
            f"{BACKBONES[kind]}; {HEADS.get(head, 'one regressor of all intensities')}; mean of "
            f"{study.c.seeds} seeds.",
            *study.sets[name].task.notes(),
            *(f"{line}." for line in study.sets[name].remarks),
        ],
    )
