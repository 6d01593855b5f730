"""Draws filters by action units, and prints the table by unit, of an attribution.

python docs/results/filters.py runs/filters/attribution/ck_plus docs/img/filters_ck_plus.png
"""

import csv
import json
import pathlib
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

PANELS = {"auc": "all", "auc_outside": "without an emotion", "auc_within": "of one emotion"}


def main(folder: pathlib.Path, picture: pathlib.Path):
    """One panel over all sequences, one for those without an emotion, one within emotion; last layer only."""
    said = json.loads((folder / "summary.json").read_text())
    layer, units = said["layers"][-1]["name"], [au["name"] for au in said["aus"]]
    filters = [r for r in csv.DictReader((folder / "filters.csv").open()) if r["layer"] == layer and r["au"]]
    filters.sort(key=lambda r: (units.index(r["au"]), -float(r["auc"] or 0)))
    place = {int(r["filter"]): i for i, r in enumerate(filters)}
    maps = {key: np.full((len(units), len(filters)), np.nan) for key in PANELS}
    for row in csv.DictReader((folder / "pairs.csv").open()):
        if row["layer"] == layer and int(row["filter"]) in place:
            for key, of in maps.items():
                of[units.index(row["au"]), place[int(row["filter"])]] = float(row[key] or "nan")
    figure, axes = plt.subplots(
        len(PANELS), 1, figsize=(10, 0.48 * len(units)), sharex=True, layout="constrained"
    )
    for ax, (key, words) in zip(axes, PANELS.items(), strict=True):
        drawn = ax.imshow(maps[key], cmap="RdBu_r", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
        ax.set_yticks(range(len(units)), units, fontsize=7)
        ax.set_title(f"sequences: {words}", fontsize=10, loc="left")
        ax.set_facecolor("#dddddd")
        ax.spines[:].set_visible(False)
    axes[-1].set_xlabel(f"{len(filters)} active filters of {layer}, by the unit each is matched to")
    figure.colorbar(drawn, ax=axes, shrink=0.4, label="ROC AUC (grey: cannot be measured)")
    figure.savefig(picture, dpi=110)
    heads = {head["au"]: head for head in said["heads"]}
    planted = {p["planted"]: p for p in said["planted"] if p["fires_on"] == "the action unit"}
    print(
        "| AU | | sequences | significant | above random | outside | within | both | head AUC (random) "
        "| a filter made of it is called |"
    )
    print("| --- " * 10 + "|")
    for au in said["aus"]:
        head = heads[au["name"]]
        counts = " | ".join(str(au[key]) for key in ("significant", "above", "outside", "within", "both"))
        print(
            f"| {au['name']} | {au['facs']} | {au['present']} | {counts} | {head['auc']:.2f} "
            f"({head['random_auc']:.2f}) | {planted[au['name']]['verdict']} |"
        )


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
