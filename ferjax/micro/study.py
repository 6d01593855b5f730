"""Micro-expressions, leave one subject out: a frame network for each fold, then all heads at once.

Breuer & Kimmel 2017: a CNN learns single frames (the apex as the emotion, first and last as neutral), then
its first dense layer's features of every frame go into an LSTM. Here the network of a fold never sees the
subject held out. Beside the LSTM stand heads without time, LBP-TOP with a linear SVM, and the majority class,
in the same folds.

Axis letters: n clips, t time, f folds, s seeds, k classes, e epochs.
"""

import functools
import os
import pathlib
import time

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from ml_collections import ConfigDict

from data_pipelines import BadInput, clips, exported, leaks, motion
from data_pipelines.split import Parts, Split
from ferjax import budget, detectors, evaluate, files, learned, models, results, train, transfer
from ferjax import config as config_lib
from ferjax.attribution.network import Network
from ferjax.augment import input_shape
from ferjax.micro import baselines, end_to_end, evidence, folds, loso, settings, spotted
from ferjax.micro.lbp_top import lbp_top
from ferjax.micro.settings import NETWORKS
from ferjax.parallel import Devices
from ferjax.protocols import Cell, folder_of
from ferjax.studies import facts, gaps, kept


class Study:
    """The clips that are on disk, and the cells that follow from them.

    Args:
      c: as `default`, with sets.
      workdir: W.
    Raises:
      BadInput: a config that cannot be, or clips that cannot be read.
    """

    def __init__(self, c: ConfigDict, workdir):
        self.c, self.workdir = c, pathlib.Path(workdir)
        self.inputs, self.kinds = c.inputs.split(","), c.kinds.split(",")
        settings.check(c, self.inputs, self.kinds)
        config_lib.check(c.frames)
        found, self.remarks = {}, []
        self.gaps = gaps(c)
        for name, one in c.sets.items():
            config_lib.check(one.source)
            if name in self.gaps:
                continue
            found[name], told = clips.load(one.source.data)
            self.remarks += [f"{one.title}: {line.partition(': ')[2] or line}" for line in told]
        self.clips = next(iter(found.values())) if len(found) == 1 else clips.joined(c.name, found)
        self.place, self.mask = clips.positions(self.clips, c.clip.sampling, c.clip.length, c.clip.stride)
        self.subjects = self.clips.subjects
        if len(self.subjects) < c.inner + 2:
            raise BadInput(
                f"study {c.name}: {len(self.subjects)} subjects; one is held out, {c.inner} choose the "
                "epoch, and at least one must train: give more, or lower --config.inner"
            )
        few = [s for s in self.subjects if (self.clips.subject == s).sum() == 1]
        if few:
            self.remarks.append(f"subjects with a single clip: {', '.join(few)}; their fold tests one clip")
        if c.network == "given":
            self._refuse_seen(c.frames.transfer.workdir)
        if c.network == "shared":
            held, within = self.subjects[-1], clips.inner(self.subjects, self.subjects[-1], c.inner)
            self.remarks.append(
                f"the one frame network trained on all subjects but {held} (held out) and "
                f"{', '.join(within)} (who chose its epoch)"
            )
        self.recipe = {k: loso.Recipe(kind=k, **c.head.to_dict()) for k in self.kinds}

    def _refuse_seen(self, workdir: str) -> None:
        """BadInput where a network from elsewhere learned from a person, or an image, of these clips."""
        key = clips.key_frames(self.clips)
        seen = learned.of_run(workdir, key.picture_shape)
        nothing = key.take(np.zeros(0, int))
        leaks.refuse_learned(seen, Parts(nothing, nothing, key, ""), key)

    # What is trained on what.

    @property
    def apex(self) -> np.ndarray:
        """int32 [n]: the step nearest to the apex; the middle where it is unknown."""
        top = np.where(self.clips.apex >= 0, self.clips.apex, (self.clips.onset + self.clips.offset) // 2)
        far = np.abs(self.place - top[:, None]) + 1e9 * ~self.mask
        return far.argmin(1).astype(np.int32)

    def frame_networks(self) -> list[str]:
        """Of frame networks: the subject held out of each, or one name for all."""
        return list(dict.fromkeys(map(self.fold_of, self.subjects)))

    @functools.cache  # noqa: B019
    def key(self, kind: str) -> Split:
        """The key frames of all clips as a frame network's input."""
        o = self.c.clip
        return motion.key_inputs(self.clips, clips.key_frames(self.clips, o.near, o.step), kind, o.gain)

    @functools.cache  # noqa: B019
    def inputs_as(self, kind: str) -> np.ndarray:
        """uint8 [n, t, h, w, c]: the sequences of all clips as a frame network's input."""
        return motion.clip_inputs(self.clips, self.place, kind, self.c.clip.gain)

    def frame_parts(self, fold: str, kind: str) -> Parts:
        """Single frames for the frame network of a fold: those of the subject held out are its test part."""
        key = self.key(kind)
        held = fold if self.c.network == "fold" else self.subjects[-1]
        inner = clips.inner(self.subjects, held, self.c.inner)
        test, select = key.subject == held, np.isin(key.subject, inner)
        name = f"{self.clips.name}[{{}}, {held} held out]"
        rows = {"train": ~(test | select), "select": select, "test": test}
        parts = {part: key.take(r, name.format(part)) for part, r in rows.items()}
        return Parts(**parts, selection=f"inner subjects {', '.join(inner)}")

    def frame_config(self, fold: str, kind: str, folder: pathlib.Path) -> ConfigDict:
        """The config of a frame network's training."""
        c = config_lib.from_json(config_lib.to_json(self.c.frames))
        with c.unlocked():
            c.data.name, c.data.dir, c.data.image_size = "npz", str(folder / "data"), 0
            c.name = f"{self.c.name}: frames as {kind}, {fold} held out"
        return c.lock()

    def fold_of(self, subject: str) -> str:
        """The frame network by which a subject's clips are told."""
        return subject if self.c.network == "fold" else self.c.network

    def network(self, fold: str, kind: str) -> Network:
        """A fold's frame network, trained."""
        where = folder_of(self.workdir, _frames(fold, kind)) / "run"
        if self.c.network == "given":
            where = pathlib.Path(self.c.frames.transfer.workdir)
        said = results.read_workdir(where)
        if not said.get("config"):
            raise BadInput(f"{where} has no config.json; give the workdir of a training")
        c = config_lib.from_json(said["config"])
        names = tuple(said["run"].get("au_names") or said["run"]["classes"])
        model = models.build(c.model, len(names))
        shape = (*self.clips.image.shape[1:3], motion.channels(kind, self.clips.image.shape[3]))
        which = self.c.frames.transfer.checkpoint if self.c.network == "given" else "best"
        params, _ = evaluate.load_weights(where, which, model, input_shape(c, shape))
        return Network.of(c, model, params, names)

    def features(self, network: Network, kind: str) -> np.ndarray:
        """float32 [n, t, d] of every frame of every sequence; 0 where masked."""
        told = detectors.features(network, self.inputs_as(kind)[self.mask], self.c.layer)
        out = np.zeros((*self.mask.shape, told.shape[-1]), np.float32)
        out[self.mask] = told
        return out

    def task(self, kind: str) -> folds.Task:
        """What the heads look at, of finished frame networks."""
        every = []
        for fold in self.frame_networks():
            with np.load(folder_of(self.workdir, _frames(fold, kind)) / "features.npz") as file:
                every.append(file["features"])
        inner = [clips.inner(self.subjects, s, self.c.inner) for s in self.subjects]
        _, learn, watch, choose = folds.splits(
            self.clips.subject, inner if self.c.epoch_rule == "inner" else ()
        )
        network = np.array([self.frame_networks().index(self.fold_of(s)) for s in self.subjects])
        at = (np.stack(every), network, self.mask, self.apex, self.clips.label, learn, watch, choose)
        return folds.Task(*at, len(self.clips.classes))

    def head(self, kind: str, head: str, subject: str, seed: int) -> dict:
        """The weights of a finished head: of the fold in which this subject is held out."""
        at = self.subjects.index(subject) * self.c.seeds + seed
        with np.load(folder_of(self.workdir, _heads(kind, head)) / "heads.npz") as file:
            names = [name for name in file.files if name.startswith("params/")]
            leaves = {name.removeprefix("params/"): file[name][at] for name in names}
        return unflatten_dict(leaves, sep="/")

    # Cells.

    def about(self) -> str:
        """A line on what is told."""
        n = np.bincount(self.clips.label, minlength=len(self.clips.classes))
        of = ", ".join(f"{name} {k}" for name, k in zip(self.clips.classes, n.tolist(), strict=True))
        return (
            f"{self.c.name}: {len(self.clips)} clips of {len(self.subjects)} subjects ({of}); "
            f"{self.c.seeds} seeds of each head; {NETWORKS[self.c.network]}"
        )

    def speeds(self) -> dict:
        """Measured on this machine: images a second by input, seconds of an epoch of one head."""
        out = {}
        for kind in self.inputs:
            parts = self.frame_parts(self.frame_networks()[0], kind)
            c = self.frame_config(self.frame_networks()[0], kind, pathlib.Path("."))
            out[kind] = budget.speeds(c, parts.train)
        n, t = self.mask.shape
        x = np.random.default_rng(0).normal(size=(1, n, t, self.c.frames.model.dense)).astype(np.float32)
        _, learn, watch, choose = folds.splits(self.clips.subject)
        some = (learn[:1], watch[:1], choose[:1])
        task = folds.Task(
            x, np.zeros(1, int), self.mask, self.apex, self.clips.label, *some, len(self.clips.classes)
        )
        recipe, heads = self.recipe[self.kinds[0]], 8  # the LSTM, which costs most, where it is there
        took = []
        for epochs in (1, 1, 3):  # the first one compiles
            begun = time.monotonic()
            loso.fit(task, recipe._replace(chunk=1), range(heads), epochs=epochs)
            took.append(time.monotonic() - begun)
        return out | {"head": max(took[2] - took[1], 1e-3) / 2 / heads}

    def cells(self, speed: dict | None = None) -> list[Cell]:
        """Frame networks, heads, baselines, evidence, spotting."""
        out = []
        for kind in self.inputs:
            out += [self._frames(fold, kind, speed) for fold in self.frame_networks()]
        for kind in self.inputs:
            need = tuple(_frames(fold, kind) for fold in self.frame_networks())
            out += [self._heads(kind, head, need, speed) for head in self.kinds]
            if "lstm" in self.kinds:
                out.append(evidence.cell(self, kind, need))
                if self.c.end_to_end.epochs:
                    out += end_to_end.cells(self, kind, need, speed)
        if self.c.lbp_top.blocks:
            out.append(self._lbp_top())
        return out + spotted.cells(self)

    def data(self) -> dict:
        """What all cells rest on."""
        return {"clips": self.clips.hash, "clip": self.c.clip.to_dict(), "network": self.c.network}

    def _frames(self, fold: str, kind: str, speed: dict | None) -> Cell:
        parts = None if self.c.network == "given" else self.frame_parts(fold, kind)

        def run(folder: pathlib.Path) -> tuple[dict | None, int]:
            found = {}
            if parts is not None:
                if not (folder / "data" / "parts.json").exists():
                    exported.write(parts, folder / "data")
                status = train.train(self.frame_config(fold, kind, folder), str(folder / "run"))
                if status:
                    return None, status
                found = kept(evaluate.evaluate(folder / "run", "test"), self.workdir)
            network = self.network(fold, kind)
            told = {"features": self.features(network, kind)}
            files.write(folder / "features.npz", files.npz_bytes(told))
            mine = os.path.relpath(folder / "features.npz", self.workdir)
            return found | {"files": [*found.get("files", []), mine]}, 0

        about = {**self.about_frames(), "input": kind, "data": self.data()}
        seconds = 0.0
        if speed:
            seconds = self.mask.sum() / speed[kind]["infer"] + budget.START
            if parts is not None:
                seconds += budget.training(self.c.frames, parts, speed[kind])
        return Cell(_frames(fold, kind), about, run, (), float(seconds))

    def about_frames(self) -> dict:
        """What the frame networks rest on, beside the clips."""
        return {
            "config": facts(self.c.frames),
            "inner": self.c.inner,
            "start": self._started(),
            "layer": self.c.layer,
        }

    @functools.cache  # noqa: B019
    def _started(self) -> str:
        """Which weights the frame networks start from: a hash of them, "" where they are drawn anew."""
        o = self.c.frames.transfer
        return transfer.weights_hash(transfer.source_weights(o.workdir, o.checkpoint)[0]) if o.workdir else ""

    def _heads(self, kind: str, head: str, need: tuple[str, ...], speed: dict | None) -> Cell:
        def run(folder: pathlib.Path) -> tuple[dict | None, int]:
            task = self.task(kind)
            task = task.shuffled() if head == "shuffled" else task
            seeds = range(self.c.seeds)
            fitted, status = loso.fit(task, self.recipe[head], seeds, kept=folder / "state.npz")
            if status:
                return None, status
            leaves = {f"params/{name}": a for name, a in flatten_dict(fitted.params, sep="/").items()}
            told = {"probability": fitted.probability, "loss": fitted.loss, "chosen": fitted.chosen}
            told |= {"watch": task.watch, "choose": task.choose}
            files.write(folder / "heads.npz", files.npz_bytes(leaves | told))
            (folder / "state.npz").unlink(missing_ok=True)
            device = Devices("pmap", None).describe()
            return {"files": [os.path.relpath(folder / "heads.npz", self.workdir)], "device": device}, 0

        about = {"recipe": self.recipe[head]._asdict(), "seeds": self.c.seeds, "rule": self.c.epoch_rule}
        about |= {"data": self.data(), "frames": self.about_frames()}
        seconds = 0.0
        if speed:
            seconds = speed["head"] * self.recipe[head].epochs * self.c.seeds * len(self.subjects) + 20.0
        return Cell(_heads(kind, head), about, run, need, seconds)

    def _lbp_top(self) -> Cell:
        o = self.c.lbp_top

        def run(folder: pathlib.Path) -> tuple[dict | None, int]:
            rows = []
            for i in range(len(self.clips)):
                cut = self.clips.frames(i)[self.clips.onset[i] : self.clips.offset[i] + 1]
                rows.append(lbp_top(cut.mean(-1).astype(np.uint8), tuple(o.radii), blocks=tuple(o.blocks)))
            of = self.clips.label, self.clips.subject, len(self.clips.classes)
            told = baselines.lbp_top_loso(np.stack(rows), *of)
            files.write(folder / "told.npz", files.npz_bytes({"probability": told}))
            return {"files": [os.path.relpath(folder / "told.npz", self.workdir)], "device": "cpu"}, 0

        about = {"options": o.to_dict(), "clips": self.clips.hash}
        return Cell("baseline/lbp_top", about, run, (), 0.3 * len(self.clips) + 10)


def _frames(fold: str, kind: str) -> str:
    return f"frames/{kind}/{fold}"


def _heads(kind: str, head: str) -> str:
    return f"heads/{kind}/{head}"
