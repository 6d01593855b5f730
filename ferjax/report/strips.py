"""Clips as film strips: their frames, what the answer stands on, and the answer after each frame."""

import io
import pathlib
from html import escape

import numpy as np

from data_pipelines.split import DAMAGED
from ferjax.report import charts, parts

STYLE = """
.clip { margin: 1.6rem 0 2.2rem; break-inside: avoid; }
.clip h3 { margin: 0 0 .4rem; } .clip .wrong { color: var(--two); }
.strip { display: grid; grid-template-columns: repeat(var(--n), minmax(0, 1fr)); gap: 3px; max-width: 60rem; }
.strip img { width: 100%; image-rendering: pixelated; display: block; border-radius: 3px; }
.strip span { font-size: .74rem; color: var(--soft); text-align: center; line-height: 1.2; }
.strip .peak { color: var(--ink); font-weight: 700; }
"""
KEYS = (
    "id",
    "label",
    "predicted",
    "apex",
    "known",
    "mask",
    "probability",
    "weight",
    "step",
    "frames",
    "pixels",
)


def section(path: pathlib.Path, key: str, faces: bool) -> str:
    """The clips of one file, in HTML.

    Args:
      path: an .npz with classes [k] and, of q clips, id, label, predicted, apex (a step), known (whether the
        apex was coded), mask [q, t], probability [q, t, k] after each frame, weight [q, t], step [q, p] of
        the strip's frames, frames uint8 [q, p, h, w], pixels float [q, p, h, w] (1 is the clip's largest).
      key: letters, unique in the page.
      faces: whether pictures are shown.
    """
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            e = {name: file[name] for name in KEYS}
            classes = [str(c) for c in file["classes"]]
    except DAMAGED as error:
        return parts.missing(f"{path.name}: cannot be shown: {error}")
    note = (
        "<p class='soft'>Above: frames from onset to offset, the one nearest to the apex marked. Below: "
        "how much each pixel moves the last answer (size of the gradient; red is the clip's largest). "
        "Left: the answer after each frame, of the true class and of the one told. Right: what each frame "
        "adds to the last answer (its features times their gradient).</p>"
    )
    return note + "".join(_clip(e, classes, i, f"{key}-{i}", faces) for i in range(len(e["id"])))


def _clip(e: dict, classes: list[str], i: int, key: str, faces: bool) -> str:
    true, told = classes[e["label"][i]], classes[e["predicted"][i]]
    n = int(e["mask"][i].sum())
    p = e["probability"][i][:n]
    sure = p[-1, e["predicted"][i]]
    verdict = "right" if true == told else f"<span class='wrong'>told as {escape(told)}</span>"
    head = f"<h3>{escape(str(e['id'][i]))}: {escape(true)}, {verdict} ({sure:.2f})</h3>"
    strip = _strip(e, i) if faces else ""
    lines = [(true, list(enumerate(p[:, e["label"][i]].tolist())))]
    if true != told:
        lines.append((told, list(enumerate(p[:, e["predicted"][i]].tolist()))))
    mark = (float(e["apex"][i]), "apex" if e["known"][i] else "middle (no apex coded)")
    answer = charts.line_chart(f"{key}-p", "Probability", "frame", lines, mark, "{:.2f}".format, zero=True)
    weights = list(enumerate(e["weight"][i][:n].tolist()))
    weight = charts.line_chart(
        f"{key}-w", "Adds to the answer", "frame", [("weight", weights)], mark, "{:.2f}".format, whole=True
    )
    return f"<div class='clip'>{head}{strip}<div class='charts'>{answer}{weight}</div></div>"


def _strip(e: dict, i: int) -> str:
    steps = e["step"][i].tolist()
    peak = int(np.abs(e["step"][i] - e["apex"][i]).argmin())
    rows = ["", ""]
    for j, step in enumerate(steps):
        face = e["frames"][i, j]
        heat = np.clip(e["pixels"][i, j] / 0.6, 0, 1)[..., None]
        over = np.rint((1 - heat) * face[..., None] + heat * np.array([214, 40, 40])).astype(np.uint8)
        for r, picture in enumerate((face[..., None], over)):
            rows[r] += f'<img src="data:image/png;base64,{parts.png(picture)}" alt="frame {step}">'
    words = ""
    for j, step in enumerate(steps):
        what = "apex" if j == peak else "onset" if j == 0 else "offset" if j == len(steps) - 1 else ""
        words += f"<span{' class=peak' if j == peak else ''}>{step} {what}</span>"
    return f"<div class='strip' style='--n: {len(steps)}'>{rows[0]}{words}{rows[1]}</div>"
