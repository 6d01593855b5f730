"""Draws docs/img/fer2013_curves.png from the metrics.jsonl of the runs beside this file.

python docs/results/curves.py
"""

import json
import pathlib

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

HERE = pathlib.Path(__file__).parent
RUNS = {
    "breuer2017_fer2013": "paper's recipe",
    "fer2013_quick": "30 epochs",
    "fer2013_best": "best recipe",
}


def main():
    """One panel for accuracy, one for loss; train (with augmentation and dropout) dashed, select solid."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for colour, (run, words) in zip(("#b4531a", "#3a8f5c", "#1f5fa8"), RUNS.items(), strict=True):
        lines = [json.loads(line) for line in (HERE / run / "metrics.jsonl").read_text().splitlines()]
        for ax, key, factor in zip(axes, ("accuracy", "loss"), (100, 1), strict=True):
            for split, style in (("train", "--"), ("select", "-")):
                rows = [line for line in lines if line["split"] == split]
                x, y = [r["epoch"] for r in rows], [factor * r[key] for r in rows]
                ax.plot(x, y, style, color=colour, label=f"{words}, {split}")
    for ax, name in zip(
        axes, ("accuracy, percent", "loss (train: with label smoothing, where on)"), strict=True
    ):
        ax.set(xlabel="epoch", title=name)
        ax.grid(alpha=0.3)
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].legend(frameon=False)
    figure.savefig(HERE.parent / "img" / "fer2013_curves.png", dpi=110)


if __name__ == "__main__":
    main()
