"""The cross-data-set table: trained on one set, tested on another, in three ways, over seeds.

Breuer & Kimmel 2017 keep the convolutional layers and adapt the last ones on the target's training set;
beside that stand the network as it is, and all of it fine-tuned. Here is which cells there are and what they
run; `cross_tables` writes what came out.
"""

import dataclasses
import pathlib

from ml_collections import ConfigDict

from data_pipelines import BadInput, arrays, divide, labels, leaks
from ferjax import across, budget, evaluate, protocols, train
from ferjax import config as config_lib
from ferjax.protocols import Cell
from ferjax.studies import check, check_map, check_training, facts, gaps, hashes, kept, need, remarks

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
    c.map = ""  # emotions by name before the sets meet, as data.map; after a set's own
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
    mapped: str  # which of its emotions were named anew or left out


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
        check(c)
        modes = bool(c.modes) and all(mode in MODES for mode in c.modes)
        need("modes", c.modes, modes, f"some of the modes among {', '.join(MODES)}")
        check_map(c)
        self.gaps, found = gaps(c), {}
        for name, one in c.sets.items():
            for kind in ("source", "head", "fine"):
                key, data = f"sets.{name}.{kind}", one[kind].data
                check_training(key, one[kind])
                need(
                    f"{key}.data.classes", data.classes, not data.classes, "empty; the study's key is classes"
                )
                of = f"empty; the set's own map is sets.{name}.source.data.map"
                need(f"{key}.data.map", data.map, kind == "source" or not data.map, of)
            if name not in self.gaps:
                found[name] = arrays.load_parts(self._data(name))
        met = labels.meet(*(parts.train.classes for parts in found.values()))
        self.classes = _classes(c.classes, met) if c.classes else met
        self.sets = {name: self._known(name) for name in found}
        for a in self.sets.values():
            for b in self.sets.values():
                if a is not b:
                    leaks.refuse_learned(a.parts, b.parts, b.parts.test)

    def about(self) -> str:
        """A line on what is compared."""
        parts = ("train", "select", "test")
        sizes = {n: [len(getattr(k.parts, p)) for p in parts] for n, k in self.sets.items()}
        told = "; ".join(f"{n} {a:,} train, {b:,} select, {t:,} test" for n, (a, b, t) in sizes.items())
        return f"{self.c.name}: {told}; emotions: {', '.join(self.classes)}; {self.c.seeds} seeds"

    def _data(self, name: str, classes: tuple[str, ...] = ()) -> ConfigDict:
        """A set's data: the study's map after its own, and the emotions compared."""
        data = ConfigDict(self.c.sets[name].source.data.to_dict())
        data.map, data.classes = labels.then(data.map, self.c.map), ",".join(classes)
        return data

    def _known(self, name: str) -> Known:
        one = self.c.sets[name]
        data = self._data(name, self.classes)
        parts = arrays.load_parts(data)
        told = (*remarks(one.source.data), f"selected on {parts.selection}")
        mapped = f"map {data.map or 'none'}, {divide.mapped(parts.findings)}"
        return Known(name, one.title, parts, hashes(parts), told, mapped)

    def config(self, name: str, kind: str, seed: int, start: pathlib.Path | None = None) -> ConfigDict:
        """The config of one training."""
        one = self.c.sets[name]
        c = config_lib.from_json(config_lib.to_json(one[kind]))
        with c.unlocked():
            c.data, c.seed = self._data(name, self.classes), c.seed + seed
            c.name = f"{self.c.name}: {kind} {name}, seed {seed}"
            c.transfer.workdir = str(start or "")
            if start:
                c.transfer.file = ""  # published weights are where the sources begin
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
            about |= self._of(need.split("/")[1], seed)

        def run(folder: pathlib.Path) -> tuple[dict | None, int]:
            status = train.train(c, str(folder / "run"))
            if status:
                return None, status
            return kept(evaluate.evaluate(folder / "run", "test"), self.workdir), 0

        seconds = budget.training(c, known.parts, speed[name, kind]) if speed else 0.0
        return Cell(cell, about, run, (need,) if need else (), seconds)

    def _of(self, a: str, seed: int) -> dict:
        """What decides the weights that a cell starts from: the data and config of their training."""
        return {"of": self.sets[a].hashes, "trained": facts(self.config(a, "source", seed))}

    def _as_is(self, cell, a, b, seed, need, speed) -> Cell:
        source = protocols.folder_of(self.workdir, need) / "run"
        data = self._data(b, self.classes)
        about = {"data": self.sets[b].hashes, **self._of(a, seed)}

        def run(folder: pathlib.Path) -> tuple[dict | None, int]:
            return kept(across.across(source, data, name=f"test_on_{b}", into=folder), self.workdir), 0

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
                c = self.config(name, kind, 0)
                model = (known.parts.train.image.shape[1:], c.input.batch_size, str(c.model), str(c.augment))
                key = (*model, c.transfer.freeze)
                if key not in measured:
                    measured[key] = budget.speeds(c, known.parts.train)
                out[name, kind] = measured[key]
        return out


def _classes(text: str, met: tuple[str, ...]) -> tuple[str, ...]:
    """The emotions that a study names; BadInput where not two or more of those met, each once."""
    try:
        named = tuple(labels.class_name(word) for word in text.split(",") if word.strip())
    except BadInput as e:
        raise BadInput(f"config key classes: {e}") from None
    fits = set(named) <= set(met) and len(set(named)) == len(named) >= 2
    need("classes", text, fits, f"two or more of {', '.join(met)}, each once")
    return named
