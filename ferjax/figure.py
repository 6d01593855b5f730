"""Figures as PNG bytes."""

import io
from collections.abc import Mapping

import numpy as np


def confusion_png(result: Mapping) -> bytes:
    """The confusion matrix of a result (schema: docs/results.md): counts, shaded by the share of their row.

    Returns:
      A PNG file, about 150 dots an inch, legible from 2 to some 30 classes.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    counts, classes = np.array(result["confusion"]), [str(c) for c in result["classes"]]
    k = len(classes)
    rows = counts.sum(1, keepdims=True)
    share = counts / np.maximum(rows, 1)
    side = 1.9 + max(2.4, 0.62 * k)
    figure = Figure(figsize=(side + 0.9, side), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    picture = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for i in range(k):
        for j in range(k):
            colour = "white" if share[i, j] > 0.55 else "0.15" if counts[i, j] else "0.6"
            text = f"{counts[i, j]}\n{100 * share[i, j]:.0f} %" if counts[i, j] else "0"
            axes.text(j, i, text, ha="center", va="center", fontsize=7.5, color=colour)
    axes.set_xticks(range(k), classes, rotation=45, ha="right", rotation_mode="anchor", parse_math=False)
    axes.set_yticks(
        range(k), [f"{c} ({n})" for c, n in zip(classes, rows[:, 0], strict=True)], parse_math=False
    )
    axes.set_xlabel("predicted")
    axes.set_ylabel("true (images)")
    axes.set_title(_title(result), fontsize=10, parse_math=False)
    figure.colorbar(picture, ax=axes, label="share of the true class", shrink=0.8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _title(result: Mapping) -> str:
    entry, interval = result["metrics"].get("accuracy"), result["interval"]
    if not entry or entry["value"] is None:
        return result["name"]
    text = f"{result['name']}: accuracy {100 * entry['value']:.1f} %"
    if entry["low"] is not None and entry["high"] is not None:
        units = f"{interval['units']} {interval['over']}{'s' * (interval['units'] != 1)}"
        text += f" [{100 * entry['low']:.1f}, {100 * entry['high']:.1f}]"
        text += f"\n{100 * interval['level']:.0f} % interval over {units}"
    return text
