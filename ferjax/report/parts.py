"""The sections of one result: tables, pictures, and how numbers read."""

import base64
import io
import math
import pathlib
import zipfile
from html import escape

import numpy as np

from ferjax.report import charts

WORST = 24  # mistakes shown of each result
MEASURES = {
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "auc": "ROC AUC",
    "average_precision": "AP",
}


def confusion(result: dict) -> str:
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


def per_class(result: dict) -> str:
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
                rows += f"<td>{number(measure, m['value'])}{picture}<small>{span(measure, m)}</small></td>"
        rows += "</tr>"
    if not (shown and rows):
        return f"<p class='missing'>results/{escape(result['name'])}.json holds no measures of classes.</p>"
    head = "".join(f"<th scope='col'>{h}</th>" for h in ("Images", *shown.values()))
    return (
        f'<div class="scroll"><table><caption>{escape(over(result))}</caption><thead><tr><th scope="col" class="left">'
        f"Class</th>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def worst(path: pathlib.Path, result: dict, faces: bool) -> str:
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


def number(measure: str, value: float) -> str:
    if not math.isfinite(value):
        return "undefined"
    return f"{100 * value:.1f} %" if measure == "accuracy" else f"{value:.3f}"


def span(measure: str, m: dict) -> str:
    """The interval in words, or why there is none."""
    if not (math.isfinite(m["low"]) and math.isfinite(m["high"])):
        return escape(m.get("reason", ""))
    scale, digits = (100, 1) if measure == "accuracy" else (1, 3)
    return f"{scale * m['low']:.{digits}f} to {scale * m['high']:.{digits}f}"


def plural(interval: dict) -> str:
    return interval["over"] + "s" * (interval["units"] != 1)


def over(result: dict) -> str:
    i = result["interval"]
    if i["method"] == "none":
        return "no intervals"
    return f"{100 * i['level']:.0f} % intervals over {i['units']:,} {plural(i)}"


def when(created: str) -> str:
    return created.replace("T", " ").replace("Z", " UTC")


def short(digest: str) -> str:
    return escape(digest[:12])
