"""The sections of the report, each from what a workdir says to a piece of HTML."""

import json
import pathlib
from html import escape

from ferjax.report import charts, parts
from ferjax.report.style import CSS

_SAFE = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"  # the page can load nothing
GLOSSARY = {
    "Accuracy": "share of images whose predicted class is the true one.",
    "UF1": "unweighted (macro) F1: F1 = 2TP / (2TP + FP + FN) of each class, averaged over the classes that occur in "
    "the truth or in the predictions. Predictions of all subjects are pooled first.",
    "UAR": "unweighted average recall: the recall of each class, averaged over the classes that occur in the truth. "
    "Chance is one divided by the number of classes.",
    "ROC AUC": "probability that an image of the class scores higher for it than one of another class; chance is 0.5.",
    "AP": "average precision: area under the precision-recall curve; chance is the share of the class.",
    "Log loss": "mean of -log of the probability given to the true class, in nats.",
    "Interval": "percentile bootstrap: subjects (or images, where subjects are unknown) are drawn again with "
    "replacement. It does not include the spread over training seeds.",
}


def page(path: pathlib.Path, workdir: dict, faces: bool) -> str:
    """The whole page.

    Args:
      path: of the workdir.
      workdir: as results.read_workdir gives it.
      faces: whether pictures of faces may be embedded.
    Returns:
      An HTML document that needs no other file.
    """
    name = str(workdir["config"].get("name") or path.resolve().name)
    sections = {
        "results": ("Results", _results(workdir)),
        "curves": ("Training", _curves(workdir)),
        "confusion": ("Confusion matrix", _each(workdir, parts.confusion, "confusion matrix")),
        "classes": ("Per class", _each(workdir, parts.per_class, "table of classes")),
        "mistakes": ("Worst mistakes", _each(workdir, lambda r: parts.worst(path, r, faces), "mistakes")),
        "config": ("Configuration", _config(workdir)),
        "provenance": ("Provenance", _provenance(workdir)),
        "glossary": ("Glossary", _terms(GLOSSARY)),
    }
    links = "".join(f'<a href="#{key}">{title}</a>' for key, (title, _) in sections.items())
    body = "".join(
        f'<section id="{key}" aria-labelledby="{key}-h"><h2 id="{key}-h">{title}</h2>{content}</section>'
        for key, (title, content) in sections.items()
    )
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_SAFE}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(name)} - ferjax report</title><style>{CSS}</style></head>"
        f'<body><a class="skip" href="#results">Skip to the results</a><header><h1>{escape(name)}</h1>'
        f"{_headline(workdir)}</header><nav aria-label='Sections'>{links}</nav><main>{body}</main></body></html>\n"
    )


def _headline(workdir: dict) -> str:
    if not workdir["results"]:
        return _missing(
            workdir, "results", "No result yet: run ferjax evaluate on this workdir, then report again."
        )
    result = next(iter(workdir["results"].values()))
    over = parts.over(result)
    cards = ""
    for key, label in (("accuracy", "accuracy"), ("uf1", "UF1"), ("uar", "UAR")):
        m = result["metrics"].get(key)
        if m:
            label = f"{result['name']} {label}" if key == "accuracy" else label
            cards += f'<div class="card"><span class="label">{escape(label)}</span>'
            cards += f"<b>{parts.number(key, m['value'])}</b><span>{parts.span(key, m)}</span></div>"
    n = result["metrics"].get("accuracy", {}).get("n")
    counted = f"{n:,} images" if n else ""
    facts = {
        "Scored on": f"{escape(result['split'])}, {counted} <span class='mono soft'>{parts.short(result['split_hash'])}</span>",
        "Intervals": escape(over),
        "Checkpoint": f"step {result['checkpoint_step']}, selected on {escape(result['selected_on'])}",
        "When, where": f"{escape(parts.when(result['created']))}, on {escape(result['device'])}",
    }
    return f'<div class="cards">{cards}</div>{_list(facts)}{_notes(workdir, result)}'


def _results(workdir: dict) -> str:
    head = "".join(
        f"<th scope='col'>{h}</th>"
        for h in ("Images", "Accuracy", "UF1", "UAR", "Log loss", "Views", "Step", "Intervals over")
    )
    rows = ""
    for name, r in workdir["results"].items():
        cells = ""
        for key in ("accuracy", "uf1", "uar", "log_loss"):
            m = r["metrics"].get(key)
            cells += (
                f"<td>{parts.number(key, m['value'])}<small>{parts.span(key, m)}</small></td>"
                if m
                else "<td></td>"
            )
        n = r["metrics"].get("accuracy", {}).get("n", "")
        units = f"{r['interval']['units']:,} {parts.plural(r['interval'])}"
        rows += f"<tr><th scope='row'>{escape(name)}<small class='soft'> {escape(r['split'])}</small></th><td>{n:,}</td>"
        rows += f"{cells}<td>{r['views']}</td><td>{r['checkpoint_step']}</td><td>{escape(units)}</td></tr>"
    table = (
        f'<div class="scroll"><table><thead><tr><th scope="col" class="left">Result</th>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )
    used = [n for n in workdir["results"] if n.startswith(("select", "train"))]
    if used:
        table += f"<p class='soft'>{escape(', '.join(used))}: seen while training or selecting, so no measure of new faces.</p>"
    problems = "".join(
        f"<p class='missing'>{escape(k)}: {escape(v)}</p>"
        for k, v in workdir["problems"].items()
        if k.startswith("results/")
    )
    return (table if rows else _missing(workdir, "results", "results/: no result to show.")) + problems


def _curves(workdir: dict) -> str:
    lines = [line for line in workdir["metrics"] if line.get("split") in ("train", "select")]
    out = (
        _problem(workdir, "metrics.jsonl", "no training curves")
        if not lines or "metrics.jsonl" in workdir["problems"]
        else ""
    )
    x = "epoch"
    for split in ("train", "select"):
        epochs = [line.get("epoch") for line in lines if line["split"] == split]
        if None in epochs or len(set(epochs)) < len(epochs):
            x = "step"
    mark = _best(workdir, lines, x)
    pictures = ""
    for key, title, text in (("loss", "Loss", "{:.3g}".format), ("accuracy", "Accuracy", "{:.0%}".format)):
        series = [
            (s, [(line[x], line[key]) for line in lines if line["split"] == s and _numbers(line, x, key)])
            for s in ("train", "select")
        ]
        pictures += charts.line_chart(f"chart-{key}", title, x, [s for s in series if s[1]], mark, text)
    if pictures:
        out += f'<div class="charts">{pictures}</div>'
        out += "<p class='soft'>train is measured during the epoch, under augmentation and dropout; select after it, without.</p>"
    speed = [
        (line["step"], line["images_per_s"])
        for line in workdir["timing"]
        if _numbers(line, "step", "images_per_s")
    ]
    if speed:
        chart = charts.line_chart(
            "chart-speed",
            "Training throughput, images/s",
            "step",
            [("images/s", speed)],
            None,
            "{:,.0f}".format,
            True,
        )
        out += f'<div class="charts">{chart}</div>'
    if not speed or "timing.jsonl" in workdir["problems"]:
        out += _problem(workdir, "timing.jsonl", "no throughput")
    return out


def _best(workdir: dict, lines: list[dict], x: str) -> tuple[float, str] | None:
    """Where the scored checkpoint lies on the x axis, or None."""
    for result in workdir["results"].values():
        at = [line.get(x) for line in lines if line.get("step") == result["checkpoint_step"]]
        if at and isinstance(at[0], int | float):
            return at[0], f"scored: {x} {at[0]:,}"
    return None


def _each(workdir: dict, section, what: str) -> str:
    """A section for every result: the first one open, the others to be opened."""
    out = ""
    for i, (name, result) in enumerate(workdir["results"].items()):
        content = section(result)
        if i:
            out += f"<details><summary>{escape(name)}: {escape(result['split'])}</summary>{content}</details>"
        else:
            out += (
                f"<h3>{escape(name)}: {escape(result['split'])}</h3>{content}"
                if len(workdir["results"]) > 1
                else content
            )
    return out or f"<p class='missing'>results/: no result, so no {escape(what)}.</p>"


def _config(workdir: dict) -> str:
    if not workdir["config"]:
        return _problem(workdir, "config.json", "the configuration is unknown")
    text = json.dumps(workdir["config"], indent=2, ensure_ascii=False)
    return f"<details><summary>The resolved configuration</summary><pre tabindex='0'>{escape(text)}</pre></details>"


def _provenance(workdir: dict) -> str:
    run, out = workdir["run"], ""
    if run:
        facts = {
            "Training began": escape(parts.when(str(run.get("created", "unknown")))),
            "Git revision": f"<span class='mono'>{escape(str(run.get('git_revision', 'unknown')))}</span>",
            "Devices": escape(str(run.get("devices", "unknown"))),
            "Host": escape(str(run.get("host", "unknown"))),
            "Selection": escape(str(run.get("selection", "unknown"))),
            "Config hash": f"<span class='mono'>{escape(str(run.get('config_hash', 'unknown')))}</span>",
        }
        facts |= {
            f"Split {k}": f"<span class='mono'>{escape(str(v))}</span>"
            for k, v in run.get("split_hashes", {}).items()
        }
        starts = run.get("resumed") or []
        if starts:
            times = ", ".join(escape(parts.when(str(s.get("created", "")))) for s in starts[-5:])
            facts["Resumed"] = f"{len(starts)} times, last {times}" if len(starts) > 1 else f"once, {times}"
        facts["Versions"] = escape(", ".join(f"{k} {v}" for k, v in run.get("versions", {}).items()))
        out += f"<h3>Training</h3>{_list(facts)}"
    else:
        out += _problem(workdir, "run.json", "how the training was run is unknown")
    for name, r in workdir["results"].items():
        facts = {
            "Evaluated": f"{escape(parts.when(r['created']))}, in {r['wall_time_s']} s, on {escape(r['device'])}, seed {r['seed']}",
            "Git revision": f"<span class='mono'>{escape(r['git_revision'])}</span>",
            "Split hash": f"<span class='mono'>{escape(r['split_hash'])}</span>",
            "Config hash": f"<span class='mono'>{escape(r['config_hash'])}</span>",
            "Intervals": escape(f"{parts.over(r)}; {r['interval']['method']}"),
        }
        if r["versions"] != run.get("versions"):
            facts["Versions"] = escape(", ".join(f"{k} {v}" for k, v in r["versions"].items()))
        out += f"<details><summary>{escape(name)}</summary>{_list(facts)}</details>"
    return out


def _notes(workdir: dict, result: dict) -> str:
    notes = [str(n) for n in result["notes"]]
    known = workdir["run"].get("split_hashes", {})
    if known and result["split_hash"] not in known.values():
        notes.append("This split is none of those that the training was given (their hashes differ).")
    if result["git_revision"].endswith("+dirty"):
        notes.append("The code had uncommitted changes when this was evaluated.")
    return "".join(f"<p class='note'>{escape(n)}</p>" for n in notes)


def _missing(workdir: dict, key: str, text: str) -> str:
    return f"<p class='missing'>{escape(text)}</p>"


def _problem(workdir: dict, file: str, then: str) -> str:
    return f"<p class='missing'>{escape(file)}: {escape(workdir['problems'].get(file, 'nothing in it'))}; {escape(then)}.</p>"


def _list(facts: dict[str, str]) -> str:
    return "<dl>" + "".join(f"<dt>{escape(k)}</dt><dd>{v}</dd>" for k, v in facts.items()) + "</dl>"


def _terms(words: dict[str, str]) -> str:
    return _list({k: escape(v) for k, v in words.items()})


def _numbers(line: dict, *keys: str) -> bool:
    return all(isinstance(line.get(k), int | float) for k in keys)
