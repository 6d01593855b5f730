"""The tables of a training of ML-Net: every method and metric, and what ML-Net gains, picture by picture."""

import pathlib
from collections.abc import Mapping

import numpy as np

from ferjax import config as config_lib
from ferjax import files, protocols, results, study_file
from ferjax.metrics import LEVEL, Estimate, Scores
from ferjax.saliency.metrics import BETTER, NAMES
from ferjax.saliency.study import METHODS, TRAINING, Study
from ferjax.saliency.training import selection
from ferjax.studies import span, table

KEYS = ("cc", "sim", "nss", "auc_judd", "sauc", "kl")  # of NAMES in results


def write(study: Study, done: Mapping[str, Mapping]) -> pathlib.Path:
    """Writes W/results/<method>.json, W/saliency/table.md, table.csv, pictures.csv and W/study.json.

    Returns:
      W/saliency.
    """
    out, c = study.workdir / "saliency", study.c
    score = {}
    for method in METHODS:
        with np.load(study.workdir / done[f"scores/{method}"]["files"][0]) as file:
            score[method] = file["score"]
    found = {method: estimates(s, c.bootstrap, c.seed) for method, s in score.items()}
    share = done["scores/centre"]["share"]
    titles = {**METHODS, "centre": f"{METHODS['centre']}, {share:.2f} of the sides"}
    for method in METHODS:
        _result(study, done, method, titles[method], found[method])
    head = ["method", *(f"{name} ({BETTER[name]} is better)" for name in NAMES)]
    rows = [[titles[m], *map(span, found[m])] for m in METHODS]
    gains = [
        [f"ML-Net less {METHODS[m]}", *map(span, estimates(score["ml_net"] - score[m], c.bootstrap, c.seed))]
        for m in METHODS
        if m != "ml_net"
    ]
    trained = done[TRAINING]
    legend = (
        f"{len(study.parts.test)} pictures of {study.parts.test.name}, {study.title}; means over pictures, "
        f"{100 * LEVEL:.0f} % percentile bootstrap intervals over them. The centre prior's width was fitted "
        f"on the training part; ML-Net's epoch (step {trained['best_step']} of {trained['steps']}) was "
        f"selected on {selection(study.parts)}. Metrics as in docs/saliency.md."
    )
    started = f"ML-Net began from {c.model.weights} (sha256 {study.weights})" if study.weights else ""
    remarks = [*study.remarks, *([started] if started else ["ML-Net began from random weights"])]
    text = [f"# {c.name}", legend, table(head, rows), "## What ML-Net gains, on the same pictures"]
    text += [table(head, gains), "\n".join(f"- {line}" for line in remarks)]
    files.write(out / "table.md", ("\n\n".join(text) + "\n").encode())
    files.write(out / "table.csv", files.csv_bytes([head, *rows, *gains]))
    each = [
        [n, m, *(f"{v:.6g}" for v in row)]
        for m in METHODS
        for n, row in zip(study.parts.test.id, score[m], strict=True)
    ]
    files.write(out / "pictures.csv", files.csv_bytes([["id", "method", *KEYS], *each]))
    shown = [i for i, name in enumerate(NAMES) if name in ("CC", "SIM", "AUC-Judd", "sAUC")]
    bars = [(METHODS[m], [_triple(found[m][i]) for i in shown]) for m in METHODS]
    study_file.write(
        study.workdir,
        c.name,
        legend,
        [
            {"title": "Methods", "head": head, "rows": rows},
            {"title": "What ML-Net gains", "head": head, "rows": gains},
        ],
        charts=[{"title": "From 0 to 1", "series": [NAMES[i] for i in shown], "rows": bars}],
        remarks=remarks,
        cells=protocols.kept(study.workdir),
    )
    return out


def estimates(score: np.ndarray, resamples: int, seed: int) -> list[Estimate]:
    """Means over pictures with percentile bootstrap intervals over pictures.

    Args:
      score: [n, m]; NaN where a picture has no such score, which is left out.
      resamples: 0: no intervals.
      seed: of the resampling, the same pictures for all of m.
    Returns:
      m estimates.
    """
    n = len(score)
    draws = np.random.default_rng(seed).integers(n, size=(resamples, n))
    out = []
    for column in score.T:
        known = np.isfinite(column)
        if not known.any():
            out.append(Estimate(np.nan, np.nan, np.nan, 0, "no picture has this score"))
            continue
        low = high = np.nan
        if resamples:
            total, count = np.where(known, column, 0)[draws].sum(1), known[draws].sum(1)
            means = total[count > 0] / count[count > 0]
            low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        reason = "" if resamples else "no intervals were asked for"
        out.append(Estimate(float(column[known].mean()), float(low), float(high), int(known.sum()), reason))
    return out


def _result(study: Study, done: Mapping, method: str, title: str, found: list[Estimate]) -> None:
    c, said = study.c, done[f"scores/{method}"]
    how = "none" if not c.bootstrap else f"percentile bootstrap, {c.bootstrap} resamples, seed {c.seed}"
    interval = {"level": LEVEL, "over": "image", "units": len(study.parts.test), "method": how}
    chosen = {
        "ml_net": f"{c.train.select_by} on {selection(study.parts)}",
        "centre": "CC on the training part",
    }
    results.write_result(
        study.workdir,
        method,
        Scores(dict(zip(KEYS, found, strict=True)), interval, None, None, 0),
        split=study.parts.test.name,
        split_hash=study.parts.test.hash,
        config=config_lib.to_json(c),
        selected_on=chosen.get(method, "nothing: it has no parameters to choose"),
        checkpoint_step=said.get("step"),
        seed=c.seed,
        wall_time_s=None,
        device=said.get("device", "cpu"),
        notes=[title, *study.remarks],
    )


def _triple(e: Estimate) -> tuple[float, float, float]:
    return e.value, e.low, e.high
