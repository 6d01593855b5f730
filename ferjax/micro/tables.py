"""The tables of a micro-expression study: every method in the same folds, clean beside field-style."""

import pathlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from ferjax import config as config_lib
from ferjax import files, metrics, protocols, results, study_file
from ferjax.micro import baselines, spotted, spotting, told
from ferjax.micro.settings import NETWORKS, RULES
from ferjax.micro.study import Study
from ferjax.models.micro_lstm import NAMES
from ferjax.studies import span, table

SHOWN = ("accuracy", "uf1", "uar")
# Breuer & Kimmel 2017, on CASME II with five classes, as commonly quoted; the first two are those it
# compares with.
PAPER = {"LBP-TOP": 44.12, "LBP-TOP with adaptive magnification": 51.91, "CNN and LSTM": 59.47}


def write(study: Study, done: Mapping[str, Mapping]) -> pathlib.Path:
    """Pools folds and seeds: W/results/*.json, W/micro_expression/*.csv, table.md, and W/study.json.

    Returns:
      W/micro_expression.
    """
    out = study.workdir / "micro_expression"
    methods = list(_methods(study, done))
    rows, people, classes, charts = [], [], [], []
    for m in methods:
        scores = {rule: pooled(study, p) for rule, p in m.told.items()}
        for rule, s in scores.items():
            _result(study, m, rule, s)
        rows.append(_row(study, m, scores))
        people += _by_subject(study, m)
        classes += _by_class(study, m, scores["clean"])
        charts.append((m.short, [_triple(scores.get(r), "accuracy") for r in ("clean", "field")]))
    head = ["method", *SHOWN, *(f"field-style {k}" for k in SHOWN), "each seed's accuracy"]
    legend = (
        f"Leave one subject out, {len(study.clips)} clips of {len(study.subjects)} subjects, "
        f"{study.c.seeds} seeds of each head; {NETWORKS[study.c.network]}. Predictions of all folds and "
        "seeds pooled, 95 % intervals over subjects. Epochs of the heads: "
        f"{RULES[study.c.epoch_rule]}. Field-style: of each fold the epoch that did best on the subject "
        "held out, a leak, given to show what it is worth."
    )
    tables = [{"title": "Methods", "head": head, "rows": rows}]
    spots = _spotting(study, done)
    if spots:
        tables.append({"title": "Spotting", "head": list(SPOT_HEAD), "rows": spots})
    by_class = ["method", "class", "clips", "precision", "recall", "f1"]
    by_subject = ["method", "subject", "clips", "accuracy", "each seed"]
    first = [m for m in methods if m.name.endswith("_lstm")] or methods[:1]
    confused = [(f"Confusions: {m.title}", *_confusion(study, m)) for m in first]
    tables += [{"title": title, "head": names, "rows": counts} for title, names, counts in confused]
    shown = {m.title for m in first}
    tables += [
        {"title": "Classes", "head": by_class, "rows": [r for r in classes if r[0] in shown]},
        {"title": "Subjects", "head": by_subject, "rows": [r for r in people if r[0] in shown]},
    ]
    remarks = [*study.remarks, *_remarks(study)]
    text = [f"# {study.c.name}", legend, table(head, rows)]
    if spots:
        text += ["## Spotting", table(SPOT_HEAD, spots)]
    for title, names, counts in confused:
        text += [f"## {title}", table(names, counts)]
    text += ["## Classes", table(by_class, classes)]
    gaps = list(study.gaps.values())
    text.append("\n".join(f"- {line}" for line in [*remarks, *(f"Left out: {gap}." for gap in gaps)]))
    files.write(out / "table.md", ("\n\n".join(text) + "\n").encode())
    files.write(out / "table.csv", files.csv_bytes([head, *rows]))
    files.write(out / "classes.csv", files.csv_bytes([by_class, *classes]))
    files.write(out / "subjects.csv", files.csv_bytes([by_subject, *people]))
    if spots:
        files.write(out / "spotting.csv", files.csv_bytes([SPOT_HEAD, *spots]))
    strips = [str(p) for k in study.inputs for p in done.get(f"evidence/{k}", {}).get("files", [])]
    common = float((methods[-1].told["clean"][0].argmax(-1) == study.clips.label).mean())
    chart = {"title": "Accuracy", "series": ["clean", "field-style (leaks)"], "rows": charts, "level": common}
    study_file.write(
        study.workdir,
        study.c.name,
        legend,
        tables,
        charts=[chart],
        remarks=remarks,
        gaps=gaps,
        cells=protocols.kept(study.workdir),
        clips=strips,
    )
    return out


class Method(NamedTuple):
    """One way to tell clips.

    Attributes:
      name: of its result.
      title: in tables.
      short: in the picture.
      told: "clean", and where there are epochs to choose "field" -> probabilities [s, n, k].
      device: in words.
      chosen: what the epoch was chosen on, in words.
      notes: what else must be known.
    """

    name: str
    title: str
    short: str
    told: dict[str, np.ndarray]
    device: str
    chosen: str = "nothing: it has no epochs"
    notes: tuple[str, ...] = ()


def _methods(study: Study, done: Mapping) -> Iterator[Method]:
    """Every method, the heads of each input first."""
    n, k = len(study.clips), len(study.clips.classes)
    for kind in study.inputs:
        for head in study.kinds:
            found = done[f"heads/{kind}/{head}"]
            with np.load(study.workdir / found["files"][0]) as file:
                a = {name: file[name] for name in ("probability", "chosen", "watch", "choose")}
            of = (a["watch"], a["choose"])
            leak, _ = told.field_style(a["probability"], *of, study.clips.label)
            both = {"clean": told.clean(a["probability"], a["chosen"], *of, n), "field": leak}
            short = f"{'LSTM' if head == 'lstm' else head}, {kind}"
            title, rule = f"{NAMES[head]}, frames as {kind}", RULES[study.c.epoch_rule]
            yield Method(f"{kind}_{head}", title, short, both, found["device"], rule, _network(study))
        if study.c.end_to_end.epochs:
            yield _end_to_end(study, done, kind)
    if "baseline/lbp_top" in done:
        with np.load(study.workdir / done["baseline/lbp_top"]["files"][0]) as file:
            p = file["probability"][None]
        yield Method("lbp_top", "LBP-TOP and a linear SVM", "LBP-TOP and SVM", {"clean": p}, "cpu")
    p = np.zeros((1, n, k))
    for who in study.subjects:
        test = study.clips.subject == who
        p[0, test] = baselines.majority(study.clips.label[~test], k)
    yield Method("majority", "the training subjects' commonest class", "commonest class", {"clean": p}, "cpu")


def _end_to_end(study: Study, done: Mapping, kind: str) -> Method:
    o, n = study.c.end_to_end, len(study.clips)
    both = {rule: np.zeros((o.seeds, n, len(study.clips.classes))) for rule in ("clean", "field")}
    for who in study.subjects:
        for seed in range(o.seeds):
            found = done[f"end_to_end/{kind}/{who}/seed{seed}"]
            with np.load(study.workdir / found["files"][0]) as file:
                p, rows = file["probability"], file["rows"]
            right = (p.argmax(-1) == study.clips.label[rows]).mean(1)
            both["clean"][seed, rows], both["field"][seed, rows] = p[-1], p[int(right.argmax())]
    title = f"{NAMES['lstm']}, trained on with the frame network, frames as {kind}"
    notes = (*_network(study), "It begins with the head that the rule for heads gave.")
    return Method(
        f"{kind}_end_to_end", title, f"end to end, {kind}", both, found["device"], RULES["fixed"], notes
    )


def _network(study: Study) -> tuple[str, ...]:
    """On the frame networks."""
    if study.c.network == "given":
        return (f"{NETWORKS['given']}: {study.c.frames.transfer.workdir}.",)
    more = "; seeds vary the heads alone" if study.c.network == "fold" else ""
    return (f"{NETWORKS[study.c.network]}; its epoch chosen on {study.c.inner} inner subjects{more}.",)


def pooled(study: Study, p: np.ndarray) -> metrics.Scores:
    """Scores of [s, n, k] probabilities: seeds pooled before anything is counted, resampled by subject."""
    label, subject = (np.tile(a, len(p)) for a in (study.clips.label, study.clips.subject))
    flat = p.reshape(-1, p.shape[-1]).astype(np.float64)
    flat /= flat.sum(-1, keepdims=True)
    return metrics.classification(label, flat, study.clips.classes, subject, study.c.bootstrap)


def _row(study: Study, m: Method, scores: Mapping[str, metrics.Scores]) -> list[str]:
    each = [span(scores["clean"].metrics[k]) for k in SHOWN]
    leak = [span(scores["field"].metrics[k]) if "field" in scores else "" for k in SHOWN]
    return [m.title, *each, *leak, " ".join(f"{a:.3f}" for a in _right(study, m).mean(1))]


def _triple(scores: metrics.Scores | None, key: str):
    return (
        None if scores is None else tuple(getattr(scores.metrics[key], f) for f in ("value", "low", "high"))
    )


def _right(study: Study, m: Method) -> np.ndarray:
    """bool [s, n]: right answers, clean."""
    return m.told["clean"].argmax(-1) == study.clips.label


def _by_subject(study: Study, m: Method) -> list[list[str]]:
    right, out = _right(study, m), []
    for who in study.subjects:
        mine = right[:, study.clips.subject == who]
        each = " ".join(f"{a:.3f}" for a in mine.mean(1))
        out.append([m.title, who, str(mine.shape[1]), f"{mine.mean():.3f}", each])
    return out


def _by_class(study: Study, m: Method, scores: metrics.Scores) -> list[list[str]]:
    n = np.bincount(study.clips.label, minlength=len(study.clips.classes))
    keys = ("precision", "recall", "f1")
    return [
        [m.title, name, str(k), *(span(scores.metrics[f"{key}/{name}"]) for key in keys)]
        for name, k in zip(study.clips.classes, n, strict=True)
        if k
    ]


def _confusion(study: Study, m: Method) -> tuple[list[str], list[list[str]]]:
    """(head, rows): true classes in rows, answers of all seeds counted in columns."""
    counts = pooled(study, m.told["clean"]).confusion
    names = study.clips.classes
    return ["true", *names], [
        [name, *map(str, row)] for name, row in zip(names, counts.tolist(), strict=True)
    ]


def _result(study: Study, m: Method, rule: str, scores: metrics.Scores) -> None:
    p = m.told[rule]
    name = m.name if rule == "clean" else f"{m.name}_field_style"
    leak = "THE SUBJECT HELD OUT (field-style, a leak: never quote it as a result)"
    ids = np.concatenate([np.char.add(study.clips.id, f" seed{s}") for s in range(len(p))])
    label, who = (np.tile(a, len(p)) for a in (study.clips.label, study.clips.subject))
    rows = results.predictions(ids, who, label, p.reshape(-1, p.shape[-1]), study.clips.classes)
    results.write_result(
        study.workdir,
        name,
        scores,
        split=f"{study.clips.name}, leave one subject out",
        split_hash=study.clips.hash,
        config=config_lib.to_json(study.c),
        selected_on=m.chosen if rule == "clean" else leak,
        checkpoint_step=None,
        seed=0,
        wall_time_s=None,
        device=m.device,
        notes=[
            f"{m.title}; predictions of {len(study.subjects)} folds and {len(p)} seed(s) pooled.",
            *m.notes,
            *study.remarks,
        ],
        companions={"_predictions.csv": rows},
    )


def _remarks(study: Study) -> list[str]:
    out = [f"Sequences: {study.c.clip.sampling}, {study.c.clip.length} frames from onset to offset."]
    out += spotted.remark(study.clips)
    sets = {one.source.data.name for name, one in study.c.sets.items() if name not in study.gaps}
    if sets == {"casme2"} and len(study.clips.classes) == 5:
        paper = "; ".join(f"{name} {value}" for name, value in PAPER.items())
        out.append(
            "Paper, as commonly quoted (Breuer & Kimmel 2017, CASME II, five classes, accuracy in percent): "
            f"{paper}. How it chose its epochs is not known."
        )
    return out


SPOT_HEAD = ("curve", "mean IoU", "IoU of 0.5 or more", "apex error, frames", "median", "nothing found")


def _spotting(study: Study, done: Mapping) -> list[list[str]]:
    out = []
    for name, words in spotted.CURVES.items():
        if f"spotting/{name}" not in done:
            continue
        with np.load(study.workdir / done[f"spotting/{name}"]["files"][0]) as file:
            of = [file[key] for key in ("found", "truth", "length", "subject")]
        s = spotting.score(*of, study.c.bootstrap)
        m = s.metrics
        values = [span(m["iou"]), span(m["hits"]), span(m["apex_error"], 1), span(m["apex_error_median"], 1)]
        out.append([f"{name}: {words}", *values, span(m["misses"])])
    return out
