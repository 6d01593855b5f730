"""The sections of the report, each from what a workdir says to a piece of HTML."""

import base64
import io
import json
import math
import pathlib
import zipfile
from html import escape

import numpy as np

from ferjax.report import charts
from ferjax.report.style import CSS

WORST = 24  # mistakes shown of each result
_SAFE = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"  # the page can load nothing
MEASURES = {
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "auc": "ROC AUC",
    "average_precision": "AP",
}
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
        "confusion": ("Confusion matrix", _each(workdir, _confusion, "confusion matrix")),
        "classes": ("Per class", _each(workdir, _per_class, "table of classes")),
        "mistakes": ("Worst mistakes", _each(workdir, lambda r: _worst(path, r, faces), "mistakes")),
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
    over = _over(result)
    cards = ""
    for key, label in (("accuracy", "accuracy"), ("uf1", "UF1"), ("uar", "UAR")):
        m = result["metrics"].get(key)
        if m:
            label = f"{result['name']} {label}" if key == "accuracy" else label
            cards += f'<div class="card"><span class="label">{escape(label)}</span>'
            cards += f"<b>{_number(key, m['value'])}</b><span>{_span(key, m)}</span></div>"
    n = result["metrics"].get("accuracy", {}).get("n")
    counted = f"{n:,} images" if n else ""
    facts = {
        "Scored on": f"{escape(result['split'])}, {counted} <span class='mono soft'>{_short(result['split_hash'])}</span>",
        "Intervals": escape(over),
        "Checkpoint": f"step {result['checkpoint_step']}, selected on {escape(result['selected_on'])}",
        "When, where": f"{escape(_when(result['created']))}, on {escape(result['device'])}",
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
                f"<td>{_number(key, m['value'])}<small>{_span(key, m)}</small></td>" if m else "<td></td>"
            )
        n = r["metrics"].get("accuracy", {}).get("n", "")
        units = f"{r['interval']['units']:,} {_plural(r['interval'])}"
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


def _confusion(result: dict) -> str:
    counts, classes = result["confusion"], result["classes"]
    if counts is None:
        return f"<p class='missing'>results/{escape(result['name'])}.json holds no confusion matrix.</p>"
    head = "".join(f"<th scope='col'>{escape(c)}</th>" for c in classes)
    rows = ""
    for i, (row, c) in enumerate(zip(counts, classes, strict=True)):
        total = sum(row)
        rows += f"<tr><th scope='row'>{escape(c)} <span class='soft'>{total:,}</span></th>"
        for j, n in enumerate(row):
            share = n / total if total else 0.0
            css = " ".join(["hot"] * (share > 0.55) + ["right"] * (i == j))
            percent = f"{share:.0%}" if total else "-"
            rows += f'<td class="{css}" style="--share:{share:.3f}">{percent}<small>{n:,}</small></td>'
        rows += "</tr>"
    return (
        '<div class="scroll"><table class="confusion"><caption>Rows: true class and its images. Columns: predicted class. '
        f"Share of the row, and images.</caption><thead><tr><th></th>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _per_class(result: dict) -> str:
    metrics, rows = result["metrics"], ""
    shown = {k: v for k, v in MEASURES.items() if any(name.startswith(f"{k}/") for name in metrics)}
    for i, c in enumerate(result["classes"] or ()):
        images = f"{sum(result['confusion'][i]):,}" if result["confusion"] else ""
        rows += f"<tr><th scope='row'>{escape(c)}</th><td>{images}</td>"
        for measure in shown:
            m = metrics.get(f"{measure}/{c}")
            if not m:
                rows += "<td></td>"
            elif math.isnan(m["value"]):
                rows += f"<td>undefined<small>{escape(m.get('reason', ''))}</small></td>"
            else:
                picture = charts.whisker(m["value"], m["low"], m["high"]) if measure == "f1" else ""
                rows += f"<td>{_number(measure, m['value'])}{picture}<small>{_span(measure, m)}</small></td>"
        rows += "</tr>"
    if not (shown and rows):
        return f"<p class='missing'>results/{escape(result['name'])}.json holds no measures of classes.</p>"
    head = "".join(f"<th scope='col'>{h}</th>" for h in ("Images", *shown.values()))
    return (
        f'<div class="scroll"><table><caption>{escape(_over(result))}</caption><thead><tr><th scope="col" class="left">'
        f"Class</th>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _worst(path: pathlib.Path, result: dict, faces: bool) -> str:
    name = f"results/{result['name']}_worst.npz"
    try:
        with np.load(path / name, allow_pickle=False) as file:
            image, label, predicted, confidence, ids = (
                file[k][:WORST] for k in ("image", "label", "predicted", "confidence", "id")
            )
        if not len(image) == len(label) == len(predicted) == len(confidence) == len(ids):
            raise ValueError("its arrays differ in length")
        pictures = [_png(i) for i in image] if faces else []
        classes = result["classes"] or []
        captions = [
            f"{escape(classes[int(t)])} &rarr; {escape(classes[int(p)])} ({float(c):.2f})"
            for t, p, c in zip(label, predicted, confidence, strict=True)
        ]
    except FileNotFoundError:
        return f"<p class='missing'>{escape(name)}: missing; no mistakes to show.</p>"
    except (OSError, KeyError, ValueError, IndexError, EOFError, zipfile.BadZipFile) as error:
        return f"<p class='missing'>{escape(name)}: cannot be shown: {escape(str(error))}</p>"
    if not captions:
        return "<p>Not one mistake.</p>"
    intro = "<p class='soft'>The surest mistakes: true class &rarr; predicted class (probability given to it), and the image's id.</p>"
    if not faces:
        rows = "".join(
            f"<tr><td class='left id'>{escape(str(i))}</td><td class='left'>{c}</td></tr>"
            for i, c in zip(ids, captions, strict=True)
        )
        return (
            "<p class='note'>This report was written without faces (--no-faces): the pictures are left out.</p>"
            f"{intro}<div class='scroll'><table><tbody>{rows}</tbody></table></div>"
        )
    out = ""
    for png, caption, i in zip(pictures, captions, ids, strict=True):
        text = f"{caption}<span class='id'>{escape(str(i))}</span>"
        alt = f"face, {caption.replace('&rarr;', 'taken for')}"
        out += f'<figure><img src="data:image/png;base64,{png}" alt="{alt}"><figcaption>{text}</figcaption></figure>'
    return f'{intro}<div class="faces">{out}</div>'


def _png(image: np.ndarray) -> str:
    """uint8 [h, w, c], c = 1 or 3, as base64 of a PNG."""
    from PIL import Image

    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] not in (1, 3):
        raise ValueError(f"an image is {image.dtype} {image.shape}, not uint8 [h, w, 1 or 3]")
    buffer = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def _config(workdir: dict) -> str:
    if not workdir["config"]:
        return _problem(workdir, "config.json", "the configuration is unknown")
    text = json.dumps(workdir["config"], indent=2, ensure_ascii=False)
    return f"<details><summary>The resolved configuration</summary><pre tabindex='0'>{escape(text)}</pre></details>"


def _provenance(workdir: dict) -> str:
    run, out = workdir["run"], ""
    if run:
        facts = {
            "Training began": escape(_when(str(run.get("created", "unknown")))),
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
            times = ", ".join(escape(_when(str(s.get("created", "")))) for s in starts[-5:])
            facts["Resumed"] = f"{len(starts)} times, last {times}" if len(starts) > 1 else f"once, {times}"
        facts["Versions"] = escape(", ".join(f"{k} {v}" for k, v in run.get("versions", {}).items()))
        out += f"<h3>Training</h3>{_list(facts)}"
    else:
        out += _problem(workdir, "run.json", "how the training was run is unknown")
    for name, r in workdir["results"].items():
        facts = {
            "Evaluated": f"{escape(_when(r['created']))}, in {r['wall_time_s']} s, on {escape(r['device'])}, seed {r['seed']}",
            "Git revision": f"<span class='mono'>{escape(r['git_revision'])}</span>",
            "Split hash": f"<span class='mono'>{escape(r['split_hash'])}</span>",
            "Config hash": f"<span class='mono'>{escape(r['config_hash'])}</span>",
            "Intervals": escape(f"{_over(r)}; {r['interval']['method']}"),
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


def _number(measure: str, value: float) -> str:
    if not math.isfinite(value):
        return "undefined"
    return f"{100 * value:.1f} %" if measure == "accuracy" else f"{value:.3f}"


def _span(measure: str, m: dict) -> str:
    """The interval in words, or why there is none."""
    if not (math.isfinite(m["low"]) and math.isfinite(m["high"])):
        return escape(m.get("reason", ""))
    scale, digits = (100, 1) if measure == "accuracy" else (1, 3)
    return f"{scale * m['low']:.{digits}f} to {scale * m['high']:.{digits}f}"


def _plural(interval: dict) -> str:
    return interval["over"] + "s" * (interval["units"] != 1)


def _over(result: dict) -> str:
    i = result["interval"]
    if i["method"] == "none":
        return "no intervals"
    return f"{100 * i['level']:.0f} % intervals over {i['units']:,} {_plural(i)}"


def _when(created: str) -> str:
    return created.replace("T", " ").replace("Z", " UTC")


def _short(digest: str) -> str:
    return escape(digest[:12])
