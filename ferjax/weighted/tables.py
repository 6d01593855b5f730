"""The study of saliency as an input, as files: results, tables, pictures of the inputs, study.json."""

import io
import pathlib
from collections.abc import Mapping

import numpy as np

from data_pipelines import BadInput
from ferjax import across, config, files, human, protocols, results, study_file
from ferjax.studies import kept_predictions, kept_results, pooled, span, table
from ferjax.weighted import differences
from ferjax.weighted.study import INPUTS, NONE, Study

HEAD = (
    "trained on",
    "tested on",
    "input",
    "accuracy",
    "uf1",
    "uar",
    "minus no map, points",
    "paper",
    "answers",
)
FACES = 4  # rows of the picture of inputs


def write(study: Study, done: Mapping[str, Mapping]) -> pathlib.Path:
    """Pools folds and seeds and writes W/weighted, W/results and W/study.json.

    Args:
      study: with its sets.
      done: cell name -> found, all finished.
    Returns:
      W/weighted.
    """
    out, rows, charts, sentences = study.workdir / "weighted", [], [], []
    for a in study.sets:
        for b in study.sets:
            if a != b and not study.c.across:
                continue
            of = {kind: _answers(study, done, a, b, kind) for kind in study.inputs}
            people = _beside_people(study, of) if study.human and a == b else {}
            dots = []
            for kind in study.inputs:
                row, scores, change = _row(study, a, b, kind, of, people.get(kind))
                rows.append(row)
                accuracy = scores.metrics["accuracy"]
                dots.append((INPUTS[kind][1], [(accuracy.value, accuracy.low, accuracy.high)]))
                if change:
                    where = f"trained on {_title(study, a)}, tested on {_title(study, b)}"
                    sentences.append(f"{where}: {differences.sentence(INPUTS[kind][1], change)}.")
            title = f"trained on {_title(study, a)}, tested on {_title(study, b)}"
            if {"product", "shuffled"} <= of.keys():  # what the map's meaning is worth
                worth = difference(
                    of["product"], of["shuffled"], _classes(of["product"]["files"][0]), study.c.bootstrap
                )
                said = differences.sentence("a face's own map against another's", worth, "another's")
                sentences.append(f"{title}: {said}.")
            if study.human and a == b:
                sentences += [
                    f"{_title(study, a)}, {INPUTS[kind][1]}, beside people ({study.human.file}): "
                    + (human.words(alike) if alike else "too few emotions in common")
                    for kind, alike in people.items()
                ]
            charts.append({"title": f"Accuracy, {title}", "series": ["accuracy"], "rows": dots})
    rows += _gaps(study)
    legend = _legend(study)
    text = [[_words(row[key]) for key in HEAD] for row in rows]
    notes = [*study.remarks(), *_begun(study, done)]
    told = "\n".join(f"- {line}" for line in [*sentences, *notes])
    body = f"# {study.c.name}\n\n{legend}\n\n{table(HEAD, text)}\n\n{told}\n"
    files.write(out / "table.md", body.encode())
    files.write(out / "table.csv", files.csv_bytes([HEAD, *text]))
    files.write(out / "inputs.png", look(study))
    study_file.write(
        study.workdir,
        study.c.name,
        legend,
        [{"title": "Accuracy with and without a map", "head": list(HEAD), "rows": text}],
        charts=charts,
        remarks=[*sentences, *notes],
        gaps=list(study.gaps.values()),
        cells=protocols.kept(study.workdir),
        pictures=[{"file": "weighted/inputs.png", "title": "What the networks are shown", "faces": True}],
    )
    return out


def _title(study: Study, name: str) -> str:
    return study.c.sets[name].title


def _legend(study: Study) -> str:
    c = study.c
    folds = f"{c.folds} folds of subjects, " if c.folds else ""
    return (
        f"{folds}{c.seeds} seed{'s' * (c.seeds > 1)}, predictions pooled; 95 % intervals over subjects, of "
        f"the difference to no map over subjects{' and seeds' * (c.seeds > 1)}, each answer paired with that "
        "of the network without a map of the same fold and seed. "
        f"Maps: {'spectral residual' if c.method == 'spectral' else 'as given'}. {_colours(study)}"
        f"{f' Paper: {c.paper_says}.' if c.paper else ''}"
    )


def _colours(study: Study) -> str:
    """Whether pictures are grey, in words; weights of ImageNet learned from colours."""
    colour = [
        _title(study, name) for name in study.sets if study.parts(name, NONE, 0, ()).train.image.shape[3] > 1
    ]
    return f"Pictures in colour: {', '.join(colour)}." if colour else "All pictures are grey."


def _begun(study: Study, done: Mapping) -> list[str]:
    if study.c.pretrained:
        return [f"Every training began from {pathlib.Path(study.c.pretrained).name}."]
    if "pretrain" not in study.begin:
        return ["Every training began from random weights."]
    first = kept_results(study.workdir, done["pretrain"])[0]["metrics"]["accuracy"]["value"]
    name, run = study.c.pretrain.source.name, protocols.folder_of(study.workdir, "pretrain") / "run"
    images = results.read_workdir(run)["run"]["sizes"]["train"]
    return [
        f"Every training began from one network, {name} ({images:,} training images), whose own test "
        f"accuracy is {100 * first:.1f} %."
    ]


def _answers(study: Study, done: Mapping, a: str, b: str, kind: str) -> dict:
    """The predictions of all networks trained on a, tested on b.

    Returns:
      {"files": paths, "results": first result of each, "key": (fold of the training, its seed, fold of the
      test) of each}.
    """
    out = {"files": [], "results": [], "key": []}
    for seed in range(study.c.seeds):
        for fold in range(study.folds(a)):
            tests = done[f"{a}/{kind}/fold{fold}/seed{seed}"]["tests"]
            names = ["within"] if a == b else [f"{b}/fold{f}" for f in range(study.folds(b))]
            for name in names:
                out["files"].append(kept_predictions(study.workdir, tests[name]))
                out["results"].append(kept_results(study.workdir, tests[name])[0])
                out["key"].append((fold, seed, name))
    return out


def _classes(path) -> list[str]:
    head = path.read_text("utf-8").splitlines()[0].split(",")
    return [name[2:-1] for name in head if name.startswith("p(")]


def _row(study: Study, a: str, b: str, kind: str, of: Mapping, alike: Mapping | None):
    """A line of the table, its result beside it: (its cells, Scores, the difference to no map or None)."""
    mine = of[kind]
    classes = _classes(mine["files"][0])
    scores = pooled(mine["files"], classes, study.c.bootstrap)
    change = (
        None if kind == NONE or NONE not in of else difference(mine, of[NONE], classes, study.c.bootstrap)
    )
    first = mine["results"][0]
    results.write_result(
        study.workdir,
        f"{a}_on_{b}_{kind}",
        scores,
        split=f"{b}, {'people left out' if a == b else 'as another set'}",
        split_hash=" ".join(h["test"] for h in study.hashes[b]),
        config=config.to_json(study.config(a, kind, 0, 0)),
        selected_on=first["selected_on"],
        checkpoint_step=None,
        seed=study.c.sets[a].source.seed,
        wall_time_s=None,
        device=first["device"],
        views=first["views"],
        human=alike,
        notes=[
            f"{len(mine['files'])} networks' predictions pooled; input: {INPUTS[kind][1]}.",
            *first["notes"],
        ],
    )
    m = scores.metrics
    row = dict(zip(HEAD[:3], (_title(study, a), _title(study, b), INPUTS[kind][1]), strict=True))
    row |= {key: span(m[key]) for key in ("accuracy", "uf1", "uar")}
    row["minus no map, points"] = span(change, 1, 100) if change else ""
    paper = study.c.paper.get(f"{kind}/{a}/{b}")
    row |= {"paper": "" if paper is None else f"{paper / 100:.4f}", "answers": str(m["accuracy"].n)}
    return row, scores, change


def difference(mine: Mapping, none: Mapping, classes, bootstrap: int):
    """`differences.paired` of two kinds of networks, network by network and picture by picture."""
    if mine["key"] != none["key"]:
        raise ValueError("the two kinds were not trained in the same folds and with the same seeds")
    seeds = [seed for _, seed, _ in mine["key"]]
    pairs = zip(seeds, mine["files"], none["files"], strict=True)
    return differences.of_predictions(pairs, classes, bootstrap)


def _beside_people(study: Study, of: Mapping) -> dict[str, dict | None]:
    """Kind of networks -> how alike their confusions, on people left out, are to people's.

    None where the two have too few emotions in common.
    """
    out = {}
    for kind, mine in of.items():
        classes = _classes(mine["files"][0])
        told = [across.read_predictions(path, classes) for path in mine["files"]]
        subject, label, p = (np.concatenate([t[i] for t in told]) for i in (1, 2, 3))
        try:
            often = study.c.bootstrap
            out[kind] = human.compare(label, p.argmax(1), classes, study.human, subject, often)
        except BadInput:
            out[kind] = None
    return out


def _gaps(study: Study) -> list[dict]:
    """Lines of the paper's figures on sets that are not there."""
    out = []
    for key, value in study.c.paper.items():
        kind, a, b = key.split("/")
        gone = [study.gaps[name] for name in dict.fromkeys((a, b)) if name in study.gaps]
        if gone:
            row = {**dict.fromkeys(HEAD, ""), "trained on": _title(study, a), "tested on": _title(study, b)}
            row |= {"input": INPUTS[kind][1], "accuracy": "not on disk", "paper": f"{value / 100:.4f}"}
            out.append(row)
    return out


def _words(value) -> str:
    return "" if value is None else str(value)


def look(study: Study) -> bytes:
    """PNG: a few faces of every set, as each kind of input shows them; of channel, the map alone."""
    import matplotlib

    matplotlib.use("agg", force=False)
    from matplotlib.figure import Figure

    kinds, rows = study.inputs, []
    for name in study.sets:
        shown = {kind: study.parts(name, kind, 0, ("test",)).test.image for kind in kinds}
        n = len(shown[kinds[0]])
        pick = np.unique(np.linspace(0, n - 1, min(n, max(1, FACES // len(study.sets)))).astype(int))
        rows += [(name, [shown[kind][i] for kind in kinds]) for i in pick]
    figure = Figure(figsize=(1.5 * len(kinds) + 0.3, 1.55 * len(rows) + 0.35), layout="constrained")
    axes = figure.subplots(len(rows), len(kinds), squeeze=False)
    for i, (name, images) in enumerate(rows):
        for j, (kind, image) in enumerate(zip(kinds, images, strict=True)):
            ax = axes[i, j]
            image = image[..., -1:] if kind == "channel" else image
            ax.imshow(image.squeeze(-1) if image.shape[-1] == 1 else image, cmap="gray", vmin=0, vmax=255)
            ax.set_xticks([])
            ax.set_yticks([])
            if not i:
                ax.set_title("map" if kind == "channel" else "no map" if kind == NONE else kind, fontsize=9)
            if not j:
                ax.set_ylabel(_title(study, name), fontsize=9)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=110)
    return out.getvalue()
