"""The sections of one result: tables, pictures, and how numbers read."""

import base64
import io
import math
import pathlib
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from data_pipelines.labels import facs_name
from data_pipelines.split import DAMAGED
from ferjax.report import charts

MOST = 100  # mistakes that a page shows of a result; the file may hold fewer or more
MEASURES = {
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "auc": "ROC AUC",
    "average_precision": "AP",
}


def confusion(result: Mapping) -> str:
    """The confusion matrix as a table, shaded by the share of the row."""
    counts, classes = result["confusion"], result["classes"]
    if counts is None:
        return missing(f"results/{result['name']}.json holds no confusion matrix.")
    rows = []
    for i, (row, c) in enumerate(zip(counts, classes, strict=True)):
        total = sum(row)
        cells = f"<th scope='row'>{escape(c)} <span class='soft'>{total:,}</span></th>"
        for j, n in enumerate(row):
            share = n / total if total else 0.0
            css = " ".join(["hot"] * (share > 0.7) + ["right"] * (i == j) + ["none"] * (n == 0))
            text = f"{100 * share:.0f} %<small>{n:,}</small>" if n else "0"
            cells += f'<td class="{css}" style="--share:{share:.3f}">{text}</td>'
        rows.append(cells)
    caption = (
        "Rows: the true class and its images. Columns: the predicted class. Share of the row, and images."
    )
    upright = len(classes) > 9 or sum(map(len, classes)) > 90
    return table(caption, ["", *classes], rows, "confusion upright" if upright else "confusion")


def per_class(result: Mapping) -> str:
    """Every measure of every class with its interval."""
    metrics, rows = result["metrics"], []
    shown = {key: title for key, title in MEASURES.items() if any(m.startswith(f"{key}/") for m in metrics)}
    for i, c in enumerate(result["classes"] or ()):
        cells = f"<th scope='row'>{escape(c)}</th>"
        cells += f"<td>{sum(result['confusion'][i]):,}</td>" if result["confusion"] else "<td></td>"
        for measure in shown:
            m = metrics.get(f"{measure}/{c}")
            mark = charts.whisker(m["value"], m["low"], m["high"]) if m and measure == "f1" else ""
            cells += cell(measure, m, mark)
        rows.append(cells)
    if not (shown and rows):
        return missing(f"results/{result['name']}.json holds no measures of classes.")
    return table(over(result), ["Class", "Images", *shown.values()], rows)


def per_unit(result: Mapping) -> str:
    """Every measure of every action unit with its interval, its threshold, and how often it is there."""
    metrics, rows = result["metrics"], []
    shown = {key: MEASURES[key] for key in ("f1", "auc", "average_precision")}
    for au in result["classes"] or ():
        share, at = (metrics.get(f"{key}/{au}") for key in ("prevalence", "threshold"))
        name = escape(facs_name(au))
        cells = f"<th scope='row'>{escape(au)} <span class='soft'>{name}</span></th>"
        cells += (
            f"<td>{share['n']:,}</td><td>{_share(share['value'])}</td>" if share else "<td></td><td></td>"
        )
        cells += f"<td>{number('threshold', at['value'])}</td>" if at else "<td></td>"
        for measure in shown:
            m = metrics.get(f"{measure}/{au}")
            mark = (
                charts.whisker(m["value"], m["low"], m["high"])
                if m and measure != "average_precision"
                else ""
            )
            cells += cell(measure, m, mark)
        rows.append(cells)
    if not rows:
        return missing(f"results/{result['name']}.json holds no measures of action units.")
    head = ["Action unit", "Known", "Present", "Threshold", *shown.values()]
    words = "Known: images with a code. Present: their share that shows the unit, which is AP's chance level"
    return table(f"{words}; {over(result)}.", head, rows)


def _share(value: float) -> str:
    return f"{100 * value:.1f} %" if math.isfinite(value) else "undefined"


def lower(title: str) -> str:
    """A title within a phrase: "Mean F1" -> "mean F1", and "UF1" as it is."""
    return title if title[:2].isupper() else title[:1].lower() + title[1:]


def worst(path: pathlib.Path, result: Mapping, faces: bool) -> str:
    """The surest mistakes of W/results/<name>_worst.npz, with their pictures where `faces` allows.

    The file holds image uint8 [m, h, w, 1 or 3]; label, predicted (indices), confidence and id, each [m].
    """
    name = f"results/{result['name']}_worst.npz"
    try:
        with np.load(io.BytesIO((path / name).read_bytes()), allow_pickle=False) as file:
            keys = ("image", "label", "predicted", "confidence", "id")
            image, label, predicted, confidence, ids = (file[key][:MOST] for key in keys)
        sizes = {len(image), len(label), len(predicted), len(confidence), len(ids)}
        if len(sizes) > 1:
            raise ValueError("its arrays differ in length")
        pictures = [png(i) for i in image] if faces else []
        truth, guess = (_names(codes, result["classes"] or ()) for codes in (label, predicted))
        sure = [f"{float(c):.2f}" for c in confidence]
    except FileNotFoundError:
        return missing(f"{name}: missing; no mistakes to show.")
    except DAMAGED as error:
        return missing(f"{name}: cannot be shown: {error}")
    ids = [escape(str(i)) for i in ids]
    if not ids:
        return "<p>Not one mistake.</p>"
    intro = (
        "<p class='soft'>The surest mistakes: true class &rarr; predicted class (the probability given to "
        "it), and the image's id.</p>"
    )
    if not faces:
        note = "<p class='note'>Written without faces (--no-faces): the pictures are left out.</p>"
        rows = [
            f"<td class='id'>{i}</td><td>{t}</td><td>{g}</td><td>{c}</td>"
            for i, t, g, c in zip(ids, truth, guess, sure, strict=True)
        ]
        return note + intro + table("", ["Id", "True", "Predicted", "Probability"], rows, "words")
    figures = "".join(
        f'<figure><img src="data:image/png;base64,{png}" alt="face of {t}, predicted as {g}">'
        f'<figcaption>{t} &rarr; {g} ({c})<span class="id">{i}</span></figcaption></figure>'
        for png, t, g, c, i in zip(pictures, truth, guess, sure, ids, strict=True)
    )
    return f'{intro}<div class="faces">{figures}</div>'


def _names(codes: np.ndarray, classes: Sequence[str]) -> list[str]:
    codes = [int(c) for c in codes]
    for c in codes:
        if not 0 <= c < len(classes):
            raise ValueError(f"class {c} is none of the result's {len(classes)}")
    return [escape(classes[c]) for c in codes]


def png(image: np.ndarray) -> str:
    """uint8 [h, w, c], c = 1 or 3, as base64 of a PNG."""
    from PIL import Image

    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] not in (1, 3):
        raise ValueError(f"an image is {image.dtype} {image.shape}, not uint8 [h, w, 1 or 3]")
    buffer = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def table(
    caption: str, head: Sequence[str], rows: Sequence[str], css: str = "", left: Sequence[int] = ()
) -> str:
    """A table that scrolls sideways where it must: caption and head plain text, rows cells in HTML.

    `left` are columns of words, whose titles stand to the left as they do.
    """
    above = f"<p class='soft'>{escape(caption)}</p>" if caption else ""
    first, *others = (escape(h) for h in head)
    cells = f"<th scope='col' class='left'>{first}</th>" if first else "<td></td>"
    for i, h in enumerate(others, 1):
        cells += f"<th scope='col'{' class=left' if i in left else ''}><span>{h}</span></th>"
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return (
        f'{above}<div class="scroll" tabindex="0" role="group" aria-label="table"><table class="{css}">'
        f"<thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def facts(words: Mapping[str, str]) -> str:
    """A list of terms (plain text) and what they are (HTML)."""
    return "<dl>" + "".join(f"<dt>{escape(k)}</dt><dd>{v}</dd>" for k, v in words.items()) + "</dl>"


def missing(text: str) -> str:
    """A paragraph that says, in plain text, what is not there."""
    return f"<p class='missing'>{escape(text)}</p>"


def cell(measure: str, m: Mapping | None, mark: str = "") -> str:
    """A table cell: the value, a mark beside it (HTML), and the interval or the reason below."""
    if not m:
        return "<td></td>"
    return f"<td>{number(measure, m['value'])}{mark}<small>{span(measure, m)}</small></td>"


def number(measure: str, value: float) -> str:
    """A metric's value in words: accuracy in percent, the others as they are."""
    if not math.isfinite(value):
        return "undefined"
    return f"{100 * value:.1f} %" if measure == "accuracy" else f"{value:.3f}"


def span(measure: str, m: Mapping) -> str:
    """The interval in words, or why there is none."""
    if not (math.isfinite(m["low"]) and math.isfinite(m["high"])):
        return escape(str(m.get("reason", "")))
    scale, digits = (100, 1) if measure == "accuracy" else (1, 3)
    return f"{scale * m['low']:.{digits}f} to {scale * m['high']:.{digits}f}"


def units(result: Mapping) -> str:
    """Over what the intervals run: "53 subjects"."""
    i = result["interval"]
    return f"{i['units']:,} {i['over']}{'s' * (i['units'] != 1)}"


def over(result: Mapping) -> str:
    """The intervals in words."""
    i = result["interval"]
    return (
        "no intervals"
        if i["method"] == "none"
        else f"{100 * i['level']:.0f} % intervals over {units(result)}"
    )


SAFE = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"  # the page can load nothing


def document(name: str, head: str, sections: Mapping[str, tuple[str, str]], css: str) -> str:
    """A whole page.

    Args:
      name: of the run or study, in HTML.
      head: what stands below the name, in HTML.
      sections: anchor -> (title, content), both in HTML; the first is what a reader came for.
      css: its style.
    Returns:
      An HTML document that needs no other file.
    """
    first = next(iter(sections))
    links = "".join(f'<a href="#{key}">{title}</a>' for key, (title, _) in sections.items())
    body = "".join(
        f'<section id="{key}" aria-labelledby="{key}-h"><h2 id="{key}-h">{title}</h2>{content}</section>\n'
        for key, (title, content) in sections.items()
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{SAFE}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{name} - ferjax report</title><style>{css}</style></head>\n"
        f'<body><a class="skip" href="#{first}">Skip to the results</a>'
        f"<header><h1>{name}</h1>{head}</header>\n"
        f'<nav aria-label="Sections">{links}</nav>\n<main>{body}</main></body></html>\n'
    )
