"""The cross-data-set table: trained on one set, tested on another, in three ways, over seeds.

Breuer & Kimmel 2017 keep the convolutional layers and adapt the last ones on the target's training set;
beside that stand the network as it is, and all of it fine-tuned. Here is which cells there are and what they
run; `cross_tables` writes what came out.
"""

import dataclasses
import pathlib

import numpy as np
from ml_collections import ConfigDict

from data_pipelines import BadInput, arrays, labels, leaks
from ferjax import across, budget, evaluate, metrics, protocols, train
from ferjax import config as config_lib
from ferjax.protocols import Cell

MODES = {
    "as_is": "as it is",
    "head": "dense layers adapted, convolutions kept",
    "fine": "all of it fine-tuned",
}


def default() -> ConfigDict:
    """A study without sets; an experiment adds them with `add_set`."""
    c = ConfigDict()
    c.study = "cross_dataset"
    c.name = "unnamed"
    c.seeds = 1  # of initial weights, order, augmentation; each a network of its own
    c.modes = tuple(MODES)
    c.map = ""  # emotions by name before the sets meet, as data.map
    c.classes = ""  # emotions compared, comma between; empty: those that all sets on disk have
    c.bootstrap = 2000
    c.sets = ConfigDict()
    c.paper = ConfigDict()  # "row/column" -> percent, as printed there
    c.paper_says = ""  # whose figures those are
    return c


def add_set(
    c: ConfigDict, name: str, source: ConfigDict, head: ConfigDict, fine: ConfigDict, title: str = ""
):
    """Adds a set: how to train on it, and how to adapt another set's network to it.

    Args:
      c: the study.
      name: of the set in the tables, such as ck_plus.
      source: config of a training from random weights; its `data` says which files.
      head, fine: configs of the adaptation; data is taken from `source`.
      title: as the tables call it.
    """
    c.sets[name] = ConfigDict({"title": title or name, "source": source, "head": head, "fine": fine})


@dataclasses.dataclass(frozen=True)
class Known:
    """A set that is on disk."""

    name: str
    title: str
    parts: arrays.Parts
    hashes: dict[str, str]
    remarks: tuple[str, ...]


class Study:
    """What is on disk, and the cells that follow from it.

    Args:
      c: as `default`, with sets.
      workdir: W.
    Raises:
      BadInput: a config that cannot be, or a set that is there and cannot be read.
    """

    def __init__(self, c: ConfigDict, workdir):
        self.c, self.workdir = c, pathlib.Path(workdir)
        unknown = [mode for mode in c.modes if mode not in MODES]
        if unknown or not c.modes or c.seeds < 1 or not c.sets:
            raise BadInput(
                f"study {c.name}: needs sets, seeds of at least 1 (here {c.seeds}) and modes among "
                f"{', '.join(MODES)} (here {', '.join(c.modes)})"
            )
        self.gaps, found = {}, {}
        for name, one in c.sets.items():
            for kind in ("source", "head", "fine"):
                config_lib.check(one[kind])
            why = not_on_disk(one.source.data)
            if why:
                self.gaps[name] = why
            else:
                found[name] = self._parts(one.source.data)
        if not found:
            raise BadInput(f"study {c.name}: not one set is on disk; {'; '.join(self.gaps.values())}")
        met = labels.meet(*(parts.train.classes for parts in found.values()))
        self.classes = tuple(word.strip() for word in c.classes.split(",") if word.strip()) or met
        self.sets = {name: self._known(name) for name in found}

    def _parts(self, data: ConfigDict, classes: tuple[str, ...] = ()) -> arrays.Parts:
        data = ConfigDict(data.to_dict())
        data.map, data.classes = self.c.map, ",".join(classes)
        return arrays.load_parts(data)

    def _known(self, name: str) -> Known:
        one = self.c.sets[name]
        parts = self._parts(one.source.data, self.classes)
        hashes = {part: getattr(parts, part).hash for part in ("train", "select", "test")}
        return Known(name, one.title, parts, hashes, remarks(one.source.data, parts))

    def config(self, name: str, kind: str, seed: int, start: pathlib.Path | None = None) -> ConfigDict:
        """The config of one training."""
        one = self.c.sets[name]
        c = config_lib.from_json(config_lib.to_json(one[kind]))
        with c.unlocked():
            c.data = ConfigDict(one.source.data.to_dict())
            c.data.map, c.data.classes, c.seed = self.c.map, ",".join(self.classes), c.seed + seed
            c.name = f"{self.c.name}: {kind} {name}, seed {seed}"
            if start:
                c.transfer.workdir = str(start)
                c.transfer.take = c.transfer.take or "block*"
                if kind == "head":
                    c.transfer.freeze = c.transfer.freeze or "block*"
        return c.lock()

    def cells(self, speed: dict[tuple[str, str], dict[str, float]] | None = None) -> list[Cell]:
        """Every training and evaluation, each after those it needs."""
        out = []
        for name in self.sets:
            for seed in range(self.c.seeds):
                out.append(self._training(f"source/{name}/seed{seed}", name, "source", seed, None, speed))
        for a in self.sets:
            for b in self.sets:
                if a == b:
                    continue
                for mode in self.c.modes:
                    for seed in range(self.c.seeds):
                        cell = f"{mode}/{a}-{b}/seed{seed}"
                        need = f"source/{a}/seed{seed}"
                        if mode == "as_is":
                            out.append(self._as_is(cell, a, b, seed, need, speed))
                        else:
                            out.append(self._training(cell, b, mode, seed, need, speed))
        return out

    def _training(self, cell, name, kind, seed, need, speed) -> Cell:
        start = protocols.folder_of(self.workdir, need) / "run" if need else None
        c = self.config(name, kind, seed, start)
        known = self.sets[name]
        about = {"config": facts(c), "data": known.hashes}
        if need:
            about |= {"source": need, "of": self.sets[need.split("/")[1]].hashes}

        def run(folder: pathlib.Path) -> tuple[dict | None, int]:
            status = train.train(c, str(folder / "run"))
            if status:
                return None, status
            if need:
                source = self.sets[need.split("/")[1]]
                refuse_leak(source, known)
            paths = evaluate.evaluate(folder / "run", "test")
            return found(paths), 0

        seconds = budget.training(c, known.parts, speed[name, kind]) if speed else 0.0
        return Cell(cell, about, run, (need,) if need else (), seconds)

    def _as_is(self, cell, a, b, seed, need, speed) -> Cell:
        source = protocols.folder_of(self.workdir, need) / "run"
        data = ConfigDict(self.c.sets[b].source.data.to_dict())
        data.map, data.classes = self.c.map, ",".join(self.classes)
        about = {"of": self.sets[a].hashes, "data": self.sets[b].hashes, "source": need}
        about["trained"] = facts(self.config(a, "source", seed))

        def run(folder: pathlib.Path) -> tuple[dict | None, int]:
            del folder
            return found(across.across(source, data)), 0

        n = len(self.sets[b].parts.test) * self.config(a, "source", seed).evaluate.views
        seconds = n / speed[a, "source"]["infer"] + budget.START if speed else 0.0
        return Cell(cell, about, run, (need,), seconds)

    def speeds(self) -> dict[tuple[str, str], dict[str, float]]:
        """Measured on this machine: (set, kind of training) -> images a second; equal configs share one."""
        out, measured = {}, {}
        for name, known in self.sets.items():
            for kind in ("source", "head", "fine"):
                if kind != "source" and kind not in self.c.modes:
                    continue
                c = self.config(name, kind, 0, pathlib.Path("x") if kind != "source" else None)
                c = config_lib.from_json({**config_lib.to_json(c), "transfer": _frozen_only(c)})
                model = (known.parts.train.image.shape[1:], c.input.batch_size, str(c.model), str(c.augment))
                key = (*model, c.transfer.freeze)
                if key not in measured:
                    measured[key] = budget.speeds(c, known.parts.train)
                out[name, kind] = measured[key]
        return out


def facts(c: ConfigDict) -> dict:
    """What of a training's config decides what it learns: keys that differ from their defaults.

    Where files lie is not of it (hashes say what was read), nor what it is called.
    """
    plain = config_lib.flatten(config_lib.default())
    free = (*config_lib.FREE_ON_RESUME, "transfer.workdir")
    return {
        key: value
        for key, value in config_lib.flatten(config_lib.to_json(c)).items()
        if key not in free
        and not key.startswith(("checkpoint.", "attribute.", "parallel."))
        and value != plain_value(plain.get(key))
    }


def plain_value(value):
    """As JSON gives it back."""
    return list(value) if isinstance(value, tuple) else value


def _frozen_only(c: ConfigDict) -> dict:
    """The transfer settings that decide a step's speed, without a workdir to read."""
    plain = config_lib.to_json(config_lib.default())["transfer"]
    return {**plain, "freeze": c.transfer.freeze, "rates": c.transfer.rates, "unfreeze": c.transfer.unfreeze}


def not_on_disk(data: ConfigDict) -> str:
    """Why a set leaves a gap; "" where it is there, or was not to be read from files."""
    module = None if data.name == "npz" else arrays.data_set({"name": data.name})[0]
    if module is not None and "dir" not in module.OPTIONS:
        return ""
    if not data.dir:
        return f"{data.name}: no folder was named (--dir {data.name}=FOLDER)"
    if not pathlib.Path(data.dir).expanduser().exists():
        return f"{data.name}: {data.dir} is not there"
    return ""


def remarks(data: ConfigDict, parts: arrays.Parts) -> tuple[str, ...]:
    """What keeps figures on this copy of a set from being comparable with published ones, a line each."""
    out = []
    module = None if data.name == "npz" else arrays.data_set({"name": data.name})[0]
    if module is not None and hasattr(module, "check"):
        rows = module.check(str(pathlib.Path(data.dir).expanduser()))
        off = [f"{what} {n:,} for {known:,}" for what, n, known in rows if known not in (None, n)]
        if off:
            out.append(
                f"not the set as published: {', '.join(off[:3])}" + (" and more" if len(off) > 3 else "")
            )
    if module is not None and "dir" not in module.OPTIONS:
        out.append("drawn faces; no paper reports on them")
    if data.limit:
        out.append(f"at most {data.limit:,} images of each part")
    out.append(f"selected on {parts.selection}")
    return tuple(out)


def refuse_leak(source: Known, target: Known) -> None:
    """What is reported must not have been seen by the network that was taken along; see `leaks`."""
    published = source.parts.published or target.parts.published
    for words, side in (
        ("trained on before", source.parts.train),
        ("selected on before", source.parts.select),
    ):
        if published and not leaks.shared_subjects(side, target.parts.test):
            continue
        leaks.refuse_pair(side, words, target.parts.test, "to be reported")


def found(paths) -> dict:
    """What a cell keeps of its results: their files."""
    return {"results": [str(p) for p in paths], "predictions": str(predictions_beside(paths[0]))}


def predictions_beside(path) -> pathlib.Path:
    """The _predictions.csv of a result."""
    path = pathlib.Path(path)
    return path.with_name(f"{path.stem}_predictions.csv")


def pooled(files, classes, bootstrap: int, seed: int = 0) -> metrics.Scores:
    """Scores over seeds: predictions of all networks pooled, resampled by subject, or by image without one.

    All of a subject's (or image's) predictions by all networks move together.
    """
    parts = [across.read_predictions(pathlib.Path(f), classes) for f in files]
    ids, subject, label, p = (np.concatenate(column) for column in zip(*parts, strict=True))
    groups = np.where(subject == "", np.char.add("image ", ids), subject) if len(parts) > 1 else subject
    return metrics.classification(label, p, classes, groups, bootstrap, seed)
