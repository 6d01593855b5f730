"""The page: each section made from what a workdir says of itself."""

import json
import pathlib
from collections.abc import Callable, Mapping
from html import escape

from ferjax.report import charts, parts, people
from ferjax.report.style import CSS

GLOSSARY = {
    "Accuracy": "share of images whose predicted class is the true one.",
    "UF1": "unweighted (macro) F1: F1 = 2 TP / (2 TP + FP + FN) of each class, averaged over the classes "
    "that occur in the truth or in the predictions. Predictions of all subjects are pooled first.",
    "UAR": "unweighted average recall: the recall of each class, averaged over the classes that occur in the "
    "truth. Chance is one divided by their number.",
    "ROC AUC": "probability that an image of the class scores higher for it than any other; chance is 0.5.",
    "AP": "average precision, the area under the precision-recall curve; chance is the share of the class.",
    "Mean F1, mean ROC AUC, mean AP": "of action units: each unit by itself, present or absent, then the "
    "mean over the units for which it is defined. F1 at one threshold a unit, chosen on the selecting part.",
    "Beside people": "cells off the diagonal of both confusion matrices, compared by rank; chance is every "
    "relabelling of the classes of one of them, rows and columns together. People's table is taken as exact.",
    "Log loss": "mean of -log of the probability given to the true class, in nats.",
    "Interval": "percentile bootstrap: subjects (images, where subjects are unknown) are drawn again with "
    "replacement. The spread over training seeds is not in it.",
    "Hashes": "sha256. A split's covers ids, labels and pixels; the configuration's covers every key but "
    "where files lie.",
}


def page(path: pathlib.Path, workdir: Mapping, faces: bool, attribution: str = "") -> str:
    """The whole page.

    Args:
      path: of the workdir.
      workdir: as results.read_workdir gives it.
      faces: whether pictures of faces may be embedded.
      attribution: HTML that names the attribution explorers; "" where there are none.
    Returns:
      An HTML document that needs no other file.
    """
    name = escape(str(workdir["config"].get("name") or path.resolve().name))
    sections = {
        "results": ("Results", _results(workdir)),
        "training": ("Training", _training(workdir)),
        **(_of_units(workdir) if _is_aus(workdir) else _of_classes(path, workdir, faces)),
        **({"attribution": ("What the filters see", attribution)} if attribution else {}),
        "config": ("Configuration", _config(workdir)),
        "provenance": ("Provenance", _provenance(workdir)),
        "glossary": ("Glossary", parts.facts({k: escape(v) for k, v in GLOSSARY.items()})),
    }
    return parts.document(name, _headline(workdir), sections, CSS)


def _is_aus(workdir: Mapping) -> bool:
    """Whether the run tells action units, and not one emotion of several."""
    scored = any("f1" in result["metrics"] for result in workdir["results"].values())
    return scored or "aus" in (workdir["run"].get("task"), workdir["config"].get("task"))


def _of_classes(path: pathlib.Path, workdir: Mapping, faces: bool) -> dict[str, tuple[str, str]]:
    return {
        "confusion": ("Confusion matrix", _each(workdir, parts.confusion, "confusion matrix")),
        **_beside_people(workdir),
        "classes": ("Per class", _each(workdir, parts.per_class, "table of classes")),
        "mistakes": ("Worst mistakes", _mistakes(path, workdir, faces)),
    }


def _beside_people(workdir: Mapping) -> dict[str, tuple[str, str]]:
    """The results that were compared with human confusions; no section where none was."""
    compared = {name: r for name, r in workdir["results"].items() if "human" in r}
    if not compared:
        return {}
    return {
        "people": ("Beside people", _each({**workdir, "results": compared}, people.section, "comparison"))
    }


def _of_units(workdir: Mapping) -> dict[str, tuple[str, str]]:
    return {"units": ("Per action unit", _each(workdir, parts.per_unit, "table of action units"))}


def _headline(workdir: Mapping) -> str:
    if not workdir["results"]:
        return parts.missing("No result yet: evaluate this workdir, then write the report again.")
    result = next(iter(workdir["results"].values()))
    cards = ""
    shown = _shown(workdir)
    for i, (key, label) in enumerate(list(shown.items())[:3]):
        m, label = result["metrics"].get(key), label if i else f"{result['name']} {parts.lower(label)}"
        if m:
            cards += (
                f'<div class="card"><span class="label">{escape(label)}</span>'
                f"<b>{parts.number(key, m['value'])}</b><span>{parts.span(key, m)}</span></div>"
            )
    n = result["metrics"].get(next(iter(shown)), {}).get("n")
    images = f", {n:,} images" if n else ""
    facts = {
        "Scored on": f"{escape(result['split'])}{images}, split {_mono(result['split_hash'][:12])}",
        "Intervals": escape(parts.over(result)),
        "Checkpoint": f"step {_step(result)}, selected on {escape(result['selected_on'])}",
        "When, where": f"{_when(result['created'])}, on {escape(result['device'])}",
    }
    return f'<div class="cards">{cards}</div>{parts.facts(facts)}{_notes(workdir, result)}'


def _shown(workdir: Mapping) -> dict[str, str]:
    """The measures that sum a result up, and their titles."""
    if _is_aus(workdir):
        return {"f1": "Mean F1", "auc": "Mean ROC AUC", "average_precision": "Mean AP"}
    return {"accuracy": "Accuracy", "uf1": "UF1", "uar": "UAR", "log_loss": "Log loss"}


def _notes(workdir: Mapping, result: Mapping) -> str:
    notes = [str(n) for n in result["notes"]]
    known = _dict(workdir["run"], "split_hashes").values()
    if known and result["split_hash"] not in known:
        notes.append("This split is none of those that the training was given: the hashes differ.")
    if result["git_revision"].endswith("+dirty"):
        notes.append("The code had uncommitted changes when this was evaluated.")
    return "".join(f"<p class='note'>{escape(n)}</p>" for n in notes)


def _results(workdir: Mapping) -> str:
    shown = _shown(workdir)
    head = ["Result", "Images", *shown.values(), "Views", "Step", "Intervals over"]
    rows = []
    for name, r in workdir["results"].items():
        n = r["metrics"].get(next(iter(shown)), {}).get("n")
        cells = f"<th scope='row'>{escape(name)}<small>{escape(r['split'])}</small></th>"
        cells += f"<td>{'' if n is None else f'{n:,}'}</td>"
        cells += "".join(parts.cell(key, r["metrics"].get(key)) for key in shown)
        rows.append(cells + f"<td>{r['views']}</td><td>{_step(r)}</td><td>{escape(parts.units(r))}</td>")
    out = parts.table("", head, rows) if rows else parts.missing("results/: no result that can be read.")
    seen = [name for name in workdir["results"] if name.startswith(("select", "train"))]
    if seen:
        words = "seen while training or selecting, so no measure of new faces."
        out += f"<p class='soft'>{escape(', '.join(seen))}: {words}</p>"
    broken = {k: v for k, v in workdir["problems"].items() if k.startswith("results/")}
    return out + "".join(parts.missing(f"{k}: {v}") for k, v in broken.items())


def _training(workdir: Mapping) -> str:
    lines = {s: [line for line in workdir["metrics"] if line.get("split") == s] for s in ("train", "select")}
    x = "epoch" if all(_once_an_epoch(of) for of in lines.values()) else "step"
    mark, pictures = _mark(workdir, lines["select"], x), ""
    for key, title, text in (
        ("loss", "Loss", "{:.3g}".format),
        ("accuracy", "Codes told right, at one half" if _is_aus(workdir) else "Accuracy", _percent),
        ("auc", "Mean ROC AUC", "{:.3g}".format),
        ("learning_rate", "Learning rate", "{:.3g}".format),
    ):
        series = [(s, _points(of, x, key)) for s, of in lines.items()]
        series = [(s, points) for s, points in series if points]
        pictures += charts.line_chart(
            f"chart-{key}", title, x, series, mark, text, zero=key == "learning_rate"
        )
    out = _problem(workdir, "metrics.jsonl", "" if pictures else "no training curves")
    speed = [("images/s", _points(workdir["timing"], "step", "images_per_s"))]
    title, text = "Training throughput, images/s", "{:,.0f}".format
    speed = charts.line_chart("chart-speed", title, "step", speed, None, text, zero=True)
    out += _problem(workdir, "timing.jsonl", "" if speed else "no throughput")
    if not pictures + speed:
        return out
    words = (
        "train is measured during the epoch, with the augmentation, dropout and label smoothing that the "
        "configuration asks for; select after it, without them."
    )
    return f'{out}<div class="charts">{pictures}{speed}</div>' + f'<p class="soft">{words}</p>' * bool(
        pictures
    )


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _mark(workdir: Mapping, select: list[dict], x: str) -> tuple[float, str] | None:
    """Where the scored checkpoint lies on the x axis; with no result yet, the best on select."""
    for result in workdir["results"].values():
        for line in select:
            if line.get("step") == result["checkpoint_step"] and _numbers(line, x):
                return line[x], f"scored: {x} {line[x]:,}"
    by = "auc" if _is_aus(workdir) else "accuracy"
    best = max(_points(select, x, by), key=lambda point: point[1], default=None)
    return None if best is None or workdir["results"] else (best[0], f"best on select: {x} {best[0]:,}")


def _each(workdir: Mapping, section: Callable[[Mapping], str], what: str) -> str:
    """A section of every result: the first one to be seen, the others to be opened."""
    if not workdir["results"]:
        return parts.missing(f"results/: no result, so no {what}.")
    out = ""
    for name, result in workdir["results"].items():
        title = escape(f"{name}: {result['split']}")
        if len(workdir["results"]) == 1:
            return section(result)
        if out:
            out += f"<details><summary>{title}</summary>{section(result)}</details>"
        else:
            out = f"<h3>{title}</h3>{section(result)}"
    return out


def _mistakes(path: pathlib.Path, workdir: Mapping, faces: bool) -> str:
    """Of every result but the variants without duplicates, whose mistakes are among those of the whole."""
    whole = {k: r for k, r in workdir["results"].items() if not k.endswith("_without_duplicates")}
    return _each({**workdir, "results": whole}, lambda r: parts.worst(path, r, faces), "mistakes")


def _config(workdir: Mapping) -> str:
    if not workdir["config"]:
        return _problem(workdir, "config.json", "the configuration is unknown")
    text = escape(json.dumps(workdir["config"], indent=2, ensure_ascii=False))
    return f'<details><summary>The resolved configuration</summary><pre tabindex="0">{text}</pre></details>'


def _provenance(workdir: Mapping) -> str:
    run = workdir["run"]
    out = _problem(workdir, "run.json", "" if run else "how the training was run is unknown")
    if run:
        facts = {
            "Training began": _when(run.get("created")),
            "Git revision": _mono(run.get("git_revision")),
            "Devices": escape(str(run.get("devices", "unknown"))),
            "Host": escape(str(run.get("host", "unknown"))),
            "Selection": escape(str(run.get("selection", "unknown"))),
            "Config hash": _mono(run.get("config_hash")),
        }
        facts |= {f"Split {part}": _mono(digest) for part, digest in _dict(run, "split_hashes").items()}
        starts = [s for s in run.get("resumed") or [] if isinstance(s, dict)]
        if starts:
            facts["Resumed"] = f"{len(starts)} times, last {_when(starts[-1].get('created'))}"
        facts["Versions"] = _versions(run)
        out += f"<h3>Training</h3>{parts.facts(facts)}"
    for name, r in workdir["results"].items():
        seconds = "" if r["wall_time_s"] is None else f", in {r['wall_time_s']:g} s"
        facts = {
            "Evaluated": f"{_when(r['created'])}{seconds}, on {escape(r['device'])}",
            "Git revision": _mono(r["git_revision"]),
            "Split hash": _mono(r["split_hash"]),
            "Config hash": _mono(r["config_hash"]),
            "Seed": escape(str(r["seed"])),
            "Intervals": escape(f"{parts.over(r)}; {r['interval']['method']}"),
            "Versions": _versions(r),
        }
        out += f"<details><summary>Result {escape(name)}</summary>{parts.facts(facts)}</details>"
    return out


def _problem(workdir: Mapping, file: str, then: str) -> str:
    """What is wrong with a file and what follows; "" where nothing is."""
    words = workdir["problems"].get(file) or ("nothing to show in it" if then else "")
    return parts.missing(f"{file}: {words}{'; ' * bool(then)}{then}.") if words else ""


def _points(lines: list[dict], x: str, y: str) -> list[tuple[float, float]]:
    return [(line[x], line[y]) for line in lines if _numbers(line, x, y)]


def _once_an_epoch(lines: list[dict]) -> bool:
    epochs = [line["epoch"] for line in lines if _numbers(line, "epoch")]
    return len(set(epochs)) == len(lines)


def _numbers(line: dict, *keys: str) -> bool:
    return all(isinstance(line.get(key), int | float) for key in keys)


def _dict(of: Mapping, key: str) -> dict:
    value = of.get(key)
    return value if isinstance(value, dict) else {}


def _versions(of: Mapping) -> str:
    return escape(", ".join(f"{package} {version}" for package, version in _dict(of, "versions").items()))


def _mono(text) -> str:
    return f"<span class='mono'>{escape(str(text or 'unknown'))}</span>"


def _step(result: Mapping) -> str:
    step = result["checkpoint_step"]
    return "unknown" if step is None else f"{step:,}"


def _when(created) -> str:
    return escape(str(created or "unknown").replace("T", " ").replace("Z", " UTC"))
