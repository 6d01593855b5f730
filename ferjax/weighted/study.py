"""Faces weighted by saliency, beside what else it could be: the cells of the study.

Mavani, Raman & Miyapuram 2017 fine-tune AlexNet on the product of a face and its saliency map, and do not
show whether the map helped. Here every way of putting a map in, and every control, is trained on the same
people with the same seeds, in folds of subjects, and tested on the people left out and on the other sets.
`tables` writes what came out; docs/saliency.md says what is compared with what.
"""

import functools
import hashlib
import operator
import pathlib
import shutil
from collections.abc import Mapping, Sequence

from ml_collections import ConfigDict

from data_pipelines import BadInput, arrays, labels, leaks, saliency_input
from ferjax import across, budget, evaluate, human_table, protocols, train, transfer, weights
from ferjax import config as config_lib
from ferjax.protocols import Cell
from ferjax.studies import check, check_map, check_training, facts, gaps, hashes, kept, need, remarks

PARTS = ("train", "select", "test")
NONE = "none"  # the input without a map, which all others are compared with
INPUTS = {
    NONE: ({"mode": "none"}, "no map"),
    "product": ({"mode": "product"}, "face times map (the paper)"),
    "blend": ({"mode": "blend"}, "face dimmed where the map is low"),
    "channel": ({"mode": "channel"}, "map as a further channel"),
    "shuffled": ({"mode": "product", "control": "shuffled"}, "control: face times another face's map"),
    "inverted": ({"mode": "product", "control": "inverted"}, "control: face times one minus the map"),
    "centre": ({"mode": "product", "method": "centre"}, "control: face times a centre Gaussian"),
}


def default() -> ConfigDict:
    """A study without sets; an experiment adds them with `add_set`."""
    c = ConfigDict()
    c.study = "weighted_faces"
    c.name = "unnamed"
    c.seeds = 1
    c.folds = 0  # 0: each set's own division; else so many folds of its subjects, of sets with `folds`
    c.inputs = ",".join(INPUTS)
    c.method = "spectral"  # spectral, or maps: of each set its folder, sets.NAME.source.data.saliency.maps
    c.share = 0.5  # of blend
    c.sigma = 0.25  # of centre
    c.across = True  # also tested on the other sets
    c.human = ""  # a CSV of human confusions, beside which the networks' own are set; docs/human.md
    c.map = ""  # emotions by name before the sets meet, as data.map; after a set's own
    c.bootstrap = 2000
    c.keep_networks = False  # weights of a cell stay on disk after its test; an AlexNet's are 0.5 GB
    c.pretrained = ""  # a weights file, or the workdir of a training, that every training begins from
    c.pretrain = ConfigDict()  # where that is empty: {"source": config} of a training made first, or nothing
    c.sets = ConfigDict()
    c.paper = ConfigDict()  # "input/trained on/tested on" -> percent
    c.paper_says = ""
    return c


def add_set(c: ConfigDict, name: str, source: ConfigDict, title: str = "", in_folds: bool = True):
    """Adds a set: how to train on it.

    Args:
      c: the study.
      name: of the set in the tables.
      source: config of a training; its `data` says which files.
      title: as the tables call it.
      in_folds: whether c.folds divides it; else it keeps its own division.
    """
    c.sets[name] = ConfigDict({"title": title or name, "source": source, "in_folds": in_folds})


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
        self.inputs = tuple(word.strip() for word in c.inputs.split(",") if word.strip())
        known = set(self.inputs) <= set(INPUTS) and len(set(self.inputs)) == len(self.inputs)
        need("inputs", c.inputs, known and self.inputs, f"some of {', '.join(INPUTS)}, each once")
        alone = NONE in self.inputs or len(self.inputs) == 1
        need("inputs", c.inputs, alone, f"with {NONE} among them, which the others are compared with")
        need("method", c.method, c.method in ("spectral", "maps"), "spectral or maps")
        need("folds", c.folds, c.folds == 0 or c.folds >= 3, "0, or at least 3: one reports, one selects")
        check_map(c)
        self.human = human_table.read(c.human) if c.human else None
        self.gaps, self.sets = gaps(c), {}
        for name, one in c.sets.items():
            key, data = f"sets.{name}.source", one.source.data
            check_training(key, one.source)
            need(
                f"{key}.data.saliency.mode",
                data.saliency.mode,
                data.saliency.mode == NONE,
                "none; see inputs",
            )
            need(f"{key}.data.kfolds", data.kfolds, not data.kfolds, "0; the study's key is folds")
            if name not in self.gaps:
                self.sets[name] = one
        parts = {name: [self.parts(name, NONE, f) for f in range(self.folds(name))] for name in self.sets}
        self.hashes = {name: [hashes(p) for p in of] for name, of in parts.items()}
        self.sizes = {name: [[len(getattr(p, k)) for k in PARTS] for p in of] for name, of in parts.items()}
        self.people = {name: len({s for p in of for s in p.test.subjects}) for name, of in parts.items()}
        if c.method == "maps":
            self._look_at_maps()
        if c.across:
            _refuse_shared(parts)
        self.begin = self._begin()

    def _look_at_maps(self) -> None:
        """BadInput, before anything is trained, where maps are missing or of other pictures."""
        for name in self.sets:
            for kind in [kind for kind in self.inputs if kind != NONE][:1]:
                self.parts(name, kind, 0)

    def folds(self, name: str) -> int:
        """Divisions of a set: its folds, or one."""
        return self.c.folds if self.c.folds and self.c.sets[name].in_folds else 1

    def about(self) -> str:
        """A line on what is compared."""
        told = []
        for name, of in self.sizes.items():
            n = f"{len(of)} folds of {self.people[name]} subjects" if len(of) > 1 else f"{of[0][0]:,} train"
            told.append(f"{name} {n}, {sum(s[2] for s in of):,} tested")
        return f"{self.c.name}: {'; '.join(told)}; inputs: {', '.join(self.inputs)}; {self.c.seeds} seeds"

    def _begin(self) -> dict:
        """What all trainings begin from, for the cells' keys."""
        c = self.c
        if not c.pretrained:
            return {"pretrain": facts(c.pretrain.source)} if "source" in c.pretrain else {}
        path = pathlib.Path(c.pretrained).expanduser()
        if path.is_dir():
            if not (path / "checkpoints").is_dir():
                raise BadInput(f"config key pretrained is {c.pretrained!r}, which holds no training")
            taken, step = transfer.source_weights(str(path), "best")
            return {"pretrained": step, "of": transfer.weights_hash(taken)}
        return {"pretrained": weights.sha256(path)[1]}

    def data(self, name: str, kind: str, fold: int) -> ConfigDict:
        """A set's data with one kind of input, one fold being reported."""
        data = ConfigDict(self.c.sets[name].source.data.to_dict())
        data.map = labels.then(data.map, self.c.map)
        if self.folds(name) > 1:
            data.kfolds, data.kfold = self.c.folds, fold
        how = {"method": self.c.method, "share": self.c.share, "sigma": self.c.sigma} | INPUTS[kind][0]
        data.saliency.update(how)
        return data

    def parts(self, name: str, kind: str, fold: int, need: Sequence[str] = PARTS) -> arrays.Parts:
        """A set, divided, with one kind of input in the needed parts."""
        return arrays.load_parts(self.data(name, kind, fold), need)

    def config(self, name: str, kind: str, fold: int, seed: int) -> ConfigDict:
        """The config of one training."""
        c = config_lib.from_json(config_lib.to_json(self.c.sets[name].source))
        with c.unlocked():
            c.data, c.seed = self.data(name, kind, fold), c.seed + seed
            c.name = f"{self.c.name}: {name}, {INPUTS[kind][1]}, fold {fold}, seed {seed}"
            begin_from(c, self.c.pretrained or (self._pretraining() if self.begin else ""))
        return c.lock()

    def _pretraining(self) -> str:
        return str(protocols.folder_of(self.workdir, "pretrain") / "run")

    def speeds(self) -> dict:
        """Measured on this machine, of each set with and without a further channel."""
        out = {}
        for name in self.sets:
            for kind in {NONE if kind != "channel" else kind for kind in self.inputs}:
                split = self.parts(name, kind, 0, ("train",)).train
                out[name, kind == "channel"] = budget.speeds(self.config(name, kind, 0, 0), split)
        return out

    def cells(self, speed: dict | None = None) -> list[Cell]:
        """The pretraining, then a training with its tests for each set, input, fold and seed."""
        out = []
        if "pretrain" in self.begin:
            out.append(self._pretrain_cell(speed))
        for name in self.sets:
            for seed in range(self.c.seeds):
                for kind in self.inputs:
                    out += [self._cell(name, kind, f, seed, speed) for f in range(self.folds(name))]
        return out

    def _pretrain_cell(self, speed) -> Cell:
        c = self.c.pretrain.source

        def run(folder: pathlib.Path) -> tuple[dict | None, int]:
            status = train.train(config_lib.from_json(config_lib.to_json(c)), str(folder / "run"))
            if status:
                return None, status
            return kept(evaluate.evaluate(folder / "run", "test"), self.workdir), 0

        seconds = 0.0
        if speed:
            parts = arrays.load_parts(c.data)
            seconds = budget.training(c, parts, next(iter(speed.values())))
        return Cell("pretrain", {"config": facts(c)}, run, (), seconds)

    def _cell(self, name: str, kind: str, fold: int, seed: int, speed) -> Cell:
        c = self.config(name, kind, fold, seed)
        others = [other for other in self.sets if other != name] if self.c.across else []
        about = {"config": facts(c), "data": self.hashes[name][fold], **self.begin}
        about["maps"] = [_maps_hash(c.data) for c in [c, *(self.config(o, kind, 0, 0) for o in others)]]
        about["across"] = {o: [h["test"] for h in self.hashes[o]] for o in others}

        def run(folder: pathlib.Path) -> tuple[dict | None, int]:
            status = train.train(c, str(folder / "run"))
            if status:
                return None, status
            found = {"within": kept(evaluate.evaluate(folder / "run", "test"), self.workdir)}
            for other in others:
                for f in range(self.folds(other)):
                    data = self.data(other, kind, f)
                    paths = across.across(folder / "run", data, name=f"on_{other}_fold{f}", into=folder)
                    found[f"{other}/fold{f}"] = kept(paths, self.workdir)
            if not self.c.keep_networks:
                shutil.rmtree(folder / "run" / "checkpoints", ignore_errors=True)
            every = [path for one in found.values() for path in one["files"]]
            return {"tests": found, "files": every}, 0

        seconds = 0.0
        if speed:
            of = speed[name, kind == "channel"]
            train_, select, test = self.sizes[name][fold]
            more = test + sum(s[2] for o in others for s in self.sizes[o])
            seconds = c.train.epochs * (train_ / of["train"] + select / of["infer"]) + more / of["infer"]
            seconds += budget.START + of["compile"]
        needs = ("pretrain",) if "pretrain" in self.begin else ()
        return Cell(f"{name}/{kind}/fold{fold}/seed{seed}", about, run, needs, seconds)

    def remarks(self) -> list[str]:
        """What keeps figures from being comparable with published ones, a line each."""
        return [f"{name}: {line}" for name, one in self.sets.items() for line in remarks(one.source.data)]


def _refuse_shared(parts: Mapping[str, Sequence[arrays.Parts]]) -> None:
    """BadInput, before anything is trained, where a set's people or images are reported in another one."""
    learned = {name: functools.reduce(operator.or_, map(leaks.Learned.of, of)) for name, of in parts.items()}
    for a, theirs in learned.items():
        for b, of in parts.items():
            for one in of if a != b else ():
                leaks.refuse_learned(theirs, one, one.test, f"a network of {a}")


def begin_from(c: ConfigDict, start: str) -> None:
    """Has a training begin from a weights file or another training, "" from neither; in place."""
    path = pathlib.Path(start).expanduser()
    if start and path.is_file():
        c.transfer.file, c.transfer.workdir = start, ""
    elif start:
        c.transfer.workdir, c.transfer.file = start, ""


def files_hash(path: pathlib.Path) -> str:
    """sha256 of a file, hex; "" where it is not there."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _maps_hash(data: ConfigDict) -> str:
    """What of the maps on disk decides: maps.json, which names the weights that drew them."""
    how = saliency_input.checked(data.saliency)
    if how["mode"] == NONE or how["method"] != "maps":
        return ""
    return files_hash(pathlib.Path(how["maps"]).expanduser() / "maps.json")
