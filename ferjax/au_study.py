"""From emotions to action units: which features tell them, emotion-trained, random, or trained on the units.

Breuer & Kimmel 2017 put new heads on the emotion network's features, one joint and one for each unit. Beside
these stand the same heads on random weights, on a network trained on the units from scratch, and that network
itself. Subjects of the test part are unseen by all of them; thresholds are chosen on the selecting part.
"""

import dataclasses
import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from data_pipelines import arrays, labels, leaks
from data_pipelines.split import Split
from ferjax import au_metrics, budget, detectors, evaluate, files, metrics, models, tasks, train
from ferjax import config as config_lib
from ferjax.attribution.network import Network
from ferjax.augment import input_shape
from ferjax.protocols import Cell, folder_of
from ferjax.studies import check, check_training, facts, gaps, hashes, kept, need, remarks

BACKBONES = {
    "emotion": "trained on emotions",
    "random": "random weights",
    "aus": "trained on action units from scratch",
}
HEADS = {
    "joint": "one head for all units",
    "single": "a detector for each unit",
    "own": "the network's own outputs",
}


def default() -> ConfigDict:
    """A study without sets; an experiment adds them with `add_set`."""
    c = ConfigDict()
    c.study = "au_detection"
    c.name = "unnamed"
    c.seeds = 1
    c.layer = "dense/relu"  # whose activations the heads stand on
    c.bootstrap = 2000
    c.head = ConfigDict(detectors.Recipe()._asdict())
    c.sets = ConfigDict()
    return c


def add_set(c: ConfigDict, name: str, source: ConfigDict, emotion: ConfigDict, title: str = ""):
    """Adds a FACS-coded set.

    Args:
      c: the study.
      name: of the set in the tables.
      source: config of a training on its units (task=aus); its `data` says which rows, files and parts.
      emotion: config of a training on emotions of the same people; data.dir is taken from `source`.
      title: as the tables call it.
    """
    c.sets[name] = ConfigDict({"title": title or name, "source": source, "emotion": emotion})


@dataclasses.dataclass(frozen=True)
class Coded:
    """A set that is on disk, with its task."""

    title: str
    parts: arrays.Parts
    emotion: arrays.Parts
    task: tasks.Aus
    remarks: tuple[str, ...]

    def about(self) -> dict:
        """Hashes of what is read."""
        return {"aus": hashes(self.parts), "emotion": hashes(self.emotion)}


class Study:
    """What is on disk, and the cells that follow from it.

    Args:
      c: as `default`, with sets.
      workdir: W.
    Raises:
      BadInput: a config that cannot be, a set that is there and cannot be read, or a person of the test part
        whom the emotion network learned from.
    """

    def __init__(self, c: ConfigDict, workdir):
        self.c, self.workdir, self.sets = c, pathlib.Path(workdir), {}
        check(c)
        self.recipe = _recipe(c.head)
        self.gaps = gaps(c)
        for name, one in c.sets.items():
            check_training(f"sets.{name}.source", one.source, "aus")
            check_training(f"sets.{name}.emotion", one.emotion)
            if name in self.gaps:
                continue
            parts = arrays.load_parts(one.source.data)
            emotion = arrays.load_parts(self._emotion_data(name))
            leaks.refuse_learned(emotion, parts, parts.test)
            task = tasks.of(one.source, parts.train)
            maps = evaluate.made_of(self._emotion_data(name), emotion.findings)
            told = (
                *remarks(one.source.data),
                f"selected on {parts.selection}",
                *(m.rstrip(".") for m in maps),
            )
            self.sets[name] = Coded(one.title, parts, emotion, task, told)
            for kind in ("aus", "emotion"):
                layers = self._layers(name, kind)
                need("layer", c.layer, c.layer in layers, f"one of {', '.join(layers)}")

    def _emotion_data(self, name: str) -> ConfigDict:
        one = self.c.sets[name]
        data = ConfigDict(one.emotion.data.to_dict())
        data.dir = one.source.data.dir
        return data

    def _layers(self, name: str, kind: str) -> list[str]:
        """Names of a backbone's activations."""
        model = models.build(self.config(name, kind, 0).model, 2)
        image = jnp.zeros(
            (1, *input_shape(self.config(name, kind, 0), self.sets[name].parts.train.image.shape[1:]))
        )
        (_, named), _ = jax.eval_shape(model.init_with_output, jax.random.key(0), image)
        return list(named)

    def config(self, name: str, kind: str, seed: int) -> ConfigDict:
        """The config of a backbone's training; kind is emotion or aus."""
        c = config_lib.from_json(
            config_lib.to_json(self.c.sets[name]["source" if kind == "aus" else "emotion"])
        )
        with c.unlocked():
            if kind == "emotion":
                c.data = self._emotion_data(name)
            c.seed += seed
            c.name = f"{self.c.name}: {name}, {BACKBONES[kind]}, seed {seed}"
        return c.lock()

    def about(self) -> str:
        """A line on what is told."""
        told = [
            f"{n}: {len(s.parts.train):,} train, {len(s.parts.select):,} select, {len(s.parts.test):,} test "
            f"images, {len(s.task.names)} units ({', '.join(s.task.names)})"
            for n, s in self.sets.items()
        ]
        return f"{self.c.name}: " + "; ".join(told)

    def speeds(self) -> dict:
        """Measured on this machine: (set, kind of backbone) -> images a second."""
        out = {}
        for name, s in self.sets.items():
            for kind, parts in (("emotion", s.emotion), ("aus", s.parts)):
                out[name, kind] = budget.speeds(self.config(name, kind, 0), parts.train)
        return out

    def cells(self, speed: dict | None = None) -> list[Cell]:
        """Backbones first, then every head on every backbone, and intensities."""
        out = []
        for name in self.sets:
            for kind in ("emotion", "aus"):
                out += [self._backbone(name, kind, seed, speed) for seed in range(self.c.seeds)]
        for name in self.sets:
            for kind in BACKBONES:
                for head in ("joint", "single", "intensity"):
                    out += [self._head(name, kind, head, seed, speed) for seed in range(self.c.seeds)]
        return out

    def _backbone(self, name, kind, seed, speed) -> Cell:
        c, s = self.config(name, kind, seed), self.sets[name]
        parts = s.parts if kind == "aus" else s.emotion

        def run(folder: pathlib.Path) -> tuple[dict | None, int]:
            status = train.train(c, str(folder / "run"))
            if status:
                return None, status
            paths = evaluate.evaluate(folder / "run", "test")
            found = kept(paths, self.workdir)
            if kind == "aus":
                network = self.network(name, kind, seed)
                at = {
                    p: detectors.features(network, getattr(s.parts, p).image, "logits")
                    for p in ("select", "test")
                }
                also = self._keep(folder, s, at)
                found |= also | {"files": found["files"] + also["files"]}
            return found, 0

        about = {"config": facts(c), "data": s.about()}
        seconds = budget.training(c, parts, speed[name, kind]) if speed else 0.0
        return Cell(f"backbone/{name}-{kind}/seed{seed}", about, run, (), seconds)

    def _head(self, name, kind, head, seed, speed) -> Cell:
        s = self.sets[name]
        need = () if kind == "random" else (f"backbone/{name}-{kind}/seed{seed}",)

        def run(folder: pathlib.Path) -> tuple[dict | None, int]:
            network = self.network(name, kind, seed)
            x = {p: detectors.features(network, getattr(s.parts, p).image, self.c.layer) for p in PARTS}
            graded = head == "intensity"
            code = {
                p: intensities(s.task, getattr(s.parts, p)) if graded else s.task.present(getattr(s.parts, p))
                for p in PARTS
            }
            joint = head != "single"
            of = (x["train"], code["train"]), (x["select"], code["select"])
            fitted = detectors.fit(*of, self.recipe, joint=joint, graded=graded)
            told = {p: detectors.scores(fitted, x[p], 1, joint)[0] for p in ("select", "test")}
            if graded:
                return self._written(folder, {"score": told["test"]}), 0
            return self._keep(folder, s, told), 0

        about = {"layer": self.c.layer, "head": self.c.head.to_dict(), "kind": [kind, head, seed]}
        task, backbone = facts(self.config(name, "aus", seed)), facts(self._of(name, kind, seed))
        about |= {"data": s.about(), "task": {k: v for k, v in task.items() if k.startswith("aus.")}}
        if kind == "random":  # what it would be trained by changes nothing
            backbone = {k: v for k, v in backbone.items() if k.startswith("model.")}
        about["backbone"] = backbone
        images = sum(len(getattr(s.parts, p)) for p in PARTS)
        seconds = images / speed[name, "aus"]["infer"] + budget.START if speed else 0.0
        return Cell(f"{head}/{name}-{kind}/seed{seed}", about, run, need, seconds)

    def _of(self, name: str, kind: str, seed: int) -> ConfigDict:
        """The config of a backbone; random weights are those of the emotion network's."""
        return self.config(name, "aus" if kind == "aus" else "emotion", seed)

    def network(self, name: str, kind: str, seed: int) -> Network:
        """A backbone with its weights: a training's, or drawn anew with the emotion config's initialiser."""
        s, c = self.sets[name], self._of(name, kind, seed)
        names = s.task.names if kind == "aus" else tuple(s.emotion.train.classes)
        model, shape = models.build(c.model, len(names)), input_shape(c, s.parts.train.image.shape[1:])
        if kind == "random":
            key = jax.random.fold_in(jax.random.key(seed), 1)  # not the weights the trained ones began with
            params = model.init(key, jnp.zeros((1, *shape)))["params"]
        else:
            where = folder_of(self.workdir, f"backbone/{name}-{kind}/seed{seed}") / "run"
            params, _ = evaluate.load_weights(where, "best", model, shape)
        return Network.of(c, model, params, names)

    def _keep(self, folder: pathlib.Path, s: Coded, told: dict[str, np.ndarray]) -> dict:
        """Test scores and thresholds, on disk, and this seed's own figures."""
        threshold = au_metrics.best_thresholds(s.task.present(s.parts.select), told["select"])
        test = s.parts.test
        found = self._written(folder, {"score": told["test"], "threshold": threshold})
        scores = au_metrics.detection(
            s.task.present(test), told["test"], s.task.names, threshold, test.subject, 0
        )
        return found | {k: scores.metrics[k].value for k in MEANS}

    def _written(self, folder: pathlib.Path, kept_: dict[str, np.ndarray]) -> dict:
        """What a head says of the test part, on disk."""
        files.write(folder / "test.npz", files.npz_bytes(kept_))
        name = os.path.relpath(folder / "test.npz", self.workdir)
        return {"scores": name, "files": [name]}

    def _stacked(self, found: list[dict], key: str) -> np.ndarray:
        """[seeds, ...] of what the cells of all seeds have written."""
        out = []
        for f in found:
            with np.load(self.workdir / f["scores"], allow_pickle=False) as file:
                out.append(file[key])
        return np.stack(out)

    def pooled(self, name: str, found: list[dict]) -> metrics.Scores:
        """A row's figures over its seeds, intervals over subjects."""
        s = self.sets[name]
        score, threshold = (self._stacked(found, key) for key in ("score", "threshold"))
        of = (s.task.present(s.parts.test), score, s.task.names, threshold, s.parts.test.subject)
        return au_metrics.detection(*of, self.c.bootstrap)

    def intensity(self, name: str, found: list[dict]) -> metrics.Scores:
        """ICC of the intensities that the cells of all seeds tell, intervals over subjects."""
        s = self.sets[name]
        test, told = s.parts.test, self._stacked(found, "score")
        of = (intensities(s.task, test), told, s.task.names, test.subject)
        return au_metrics.intensity(*of, self.c.bootstrap)


PARTS = ("train", "select", "test")
MEANS = ("f1", "auc", "average_precision")


def intensities(task: tasks.Aus, split: Split) -> np.ndarray:
    """float32 [n, u] graded intensities 0 to 5; -1 unknown or not graded."""
    code = split.aus[:, task.columns(split)]
    return np.where(code == labels.AU_PRESENT, -1, code).astype(np.float32)


def _recipe(c: ConfigDict) -> detectors.Recipe:
    """The heads' recipe; BadInput where it cannot be."""
    r = detectors.Recipe(**c.to_dict())
    for key, least in (("hidden", 0), ("steps", 1), ("batch", 1), ("looks", 1), ("decay", 0)):
        need(f"head.{key}", getattr(r, key), getattr(r, key) >= least, f"at least {least}")
    need("head.rate", r.rate, r.rate > 0, "above 0")
    need("head.steps", r.steps, r.steps % r.looks == 0, f"a multiple of head.looks ({r.looks})")
    return r
