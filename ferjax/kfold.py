"""k-fold cross-validation as one job: every subject that is known is reported, unseen by its network.

In each fold one part of the subjects is reported, the next one selects the epoch, the rest trains, so that
the selection is nested. Predictions are pooled over folds (and seeds) before anything is counted.
"""

import pathlib
from collections.abc import Sequence

import numpy as np
from ml_collections import ConfigDict

from data_pipelines import BadInput, arrays
from ferjax import budget, evaluate, files, protocols, results, study_file, train
from ferjax import config as config_lib
from ferjax.protocols import Cell
from ferjax.studies import (
    check,
    check_training,
    facts,
    hashes,
    kept,
    kept_predictions,
    kept_results,
    need,
    not_on_disk,
    pooled,
    remarks,
    span,
    table,
)


def default() -> ConfigDict:
    """A study of one training config in folds."""
    c = ConfigDict()
    c.study = "kfold"
    c.name = "unnamed"
    c.folds = 10
    c.seeds = 1
    c.bootstrap = 2000
    c.sets = ConfigDict()  # one: name -> {"source": config}
    return c


class Study:
    """The folds of one set.

    Args:
      c: as `default`, with one set whose `source` is a training's config.
      workdir: W.
    Raises:
      BadInput: a config that cannot be, a set that is not on disk, more folds than subjects.
    """

    def __init__(self, c: ConfigDict, workdir):
        self.c, self.workdir, self.gaps = c, pathlib.Path(workdir), {}
        check(c)
        need("folds", c.folds, c.folds >= 3, "at least 3: one reports, one selects, the others train")
        if len(c.sets) != 1:
            raise BadInput(f"study {c.name}: folds are of one set, and here are {', '.join(c.sets)}")
        ((self.name, one),) = c.sets.items()
        self.source = one.source
        check_training(f"sets.{self.name}.source", self.source)
        data = self.source.data
        need(
            f"sets.{self.name}.source.data.published",
            data.published,
            not data.published,
            "empty: folds are ours",
        )
        why = not_on_disk(data, self.name)
        if why:
            raise BadInput(f"study {c.name}: its set is not on disk; {why}")
        self.parts = [arrays.load_parts(self.config(f, 0).data) for f in range(c.folds)]

    def config(self, fold: int, seed: int) -> ConfigDict:
        """The config of one training."""
        c = config_lib.from_json(config_lib.to_json(self.source))
        with c.unlocked():
            c.data.kfolds, c.data.kfold, c.seed = self.c.folds, fold, c.seed + seed
            c.name = f"{self.c.name}: fold {fold}, seed {seed}"
        return c.lock()

    def about(self) -> str:
        """A line on what is divided."""
        n = sum(len(p.test) for p in self.parts)
        people = len({s for p in self.parts for s in p.test.subjects})
        by = f"{people} subjects" if people else "images (or clips), subjects being unknown"
        return f"{self.c.name}: {n:,} images, {self.c.folds} folds of {by}, {self.c.seeds} seeds"

    def speeds(self) -> dict:
        """Measured on this machine."""
        return budget.speeds(self.config(0, 0), self.parts[0].train)

    def cells(self, speed: dict | None = None) -> list[Cell]:
        """A training and its test for each fold and seed."""
        return [self._cell(f, s, speed) for f in range(self.c.folds) for s in range(self.c.seeds)]

    def _cell(self, fold: int, seed: int, speed: dict | None) -> Cell:
        c, parts = self.config(fold, seed), self.parts[fold]

        def run(folder: pathlib.Path) -> tuple[dict | None, int]:
            status = train.train(c, str(folder / "run"))
            if status:
                return None, status
            return kept(evaluate.evaluate(folder / "run", "test"), self.workdir), 0

        seconds = budget.training(c, parts, speed) if speed else 0.0
        return Cell(f"fold{fold}/seed{seed}", {"config": facts(c), "data": hashes(parts)}, run, (), seconds)


def apart(parts: Sequence[arrays.Parts]) -> str:
    """Who lies in one fold alone, in words."""
    who = np.concatenate([p.test.subject for p in parts])
    unknown = int((who == "").sum())
    if not unknown:
        return "no subject is in two folds"
    if unknown == len(who):
        return "subjects are unknown, so that one person's images may be in several folds"
    return (
        f"no known subject is in two folds; {unknown:,} of {len(who):,} images are of unknown subjects, "
        "who may be in several"
    )


def write(study: Study, done) -> pathlib.Path:
    """Pools all predictions: W/results/kfold.json, W/kfold/table.md, table.csv and W/study.json."""
    classes = study.parts[0].train.classes
    predictions = [kept_predictions(study.workdir, f) for f in done.values()]
    scores = pooled(predictions, classes, study.c.bootstrap)
    each = {name: kept_results(study.workdir, f)[0] for name, f in done.items()}
    one = next(iter(each.values()))
    tested = [p.test.hash for p in study.parts]
    notes = [
        f"Predictions of {study.c.folds} folds and {study.c.seeds} seeds pooled; {apart(study.parts)}.",
        f"Splits of the folds: {', '.join(h[:12] for h in tested)}.",
        *evaluate.made_of(study.source.data, study.parts[0].findings),
        *remarks(study.source.data),
    ]
    results.write_result(
        study.workdir,
        "kfold",
        scores,
        split=f"{study.name}, {study.c.folds} folds",
        split_hash=" ".join(tested),
        config=config_lib.to_json(study.source),
        selected_on=f"{study.source.train.select_by} on the fold after the one reported",
        checkpoint_step=None,
        seed=study.source.seed,
        wall_time_s=None,
        device=one["device"],
        views=one["views"],
        notes=notes,
    )
    head = ["cell", "accuracy", "uf1", "uar", "images"]
    m = scores.metrics
    whole = [span(m[key], 4) for key in head[1:4]]
    rows = [["all, pooled", *whole, str(m["accuracy"].n)]]
    for name, r in each.items():
        values = {m: f"{e['value']:.4f}" for m, e in r["metrics"].items()}
        rows.append([name, *(values[m] for m in head[1:4]), str(r["metrics"]["accuracy"]["n"])])
    out = study.workdir / "kfold"
    legend = f"{notes[0]} 95 % intervals over {scores.interval['units']} {scores.interval['over']}s."
    files.write(out / "table.md", f"# {study.c.name}\n\n{legend}\n\n{table(head, rows)}\n".encode())
    files.write(out / "table.csv", files.csv_bytes([head, *rows]))
    study_file.write(
        study.workdir,
        study.c.name,
        legend,
        [{"title": "Folds", "head": head, "rows": rows}],
        remarks=notes[1:],
        cells=protocols.kept(study.workdir),
    )
    return out
