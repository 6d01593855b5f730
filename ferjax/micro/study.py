"""Micro-expressions, leave one subject out: a frame network for each fold, then all heads at once.

Breuer & Kimmel 2017: a CNN learns single frames (the apex as the emotion, first and last as neutral), then
its first dense layer's features of every frame go into an LSTM. Here the network of a fold never sees the
subject held out. Beside the LSTM stand heads without time, LBP-TOP with a linear SVM, and the majority class,
in the same folds.

Axis letters: n clips, t time, f folds, s seeds, k classes, e epochs.
"""

import dataclasses
import functools
import os
import pathlib
import shutil
import time

import numpy as np
from ml_collections import ConfigDict

from data_pipelines import BadInput, clips, exported, leaks, motion
from data_pipelines.split import Parts, Split
from ferjax import budget, detectors, evaluate, files, learned, results, train, transfer
from ferjax import config as config_lib
from ferjax.attribution.network import Network
from ferjax.micro import baselines, end_to_end, evidence, loso, spotted
from ferjax.micro.lbp_top import lbp_top
from ferjax.models import fer_cnn, micro_lstm
from ferjax.parallel import Devices
from ferjax.protocols import Cell, folder_of
from ferjax.studies import facts, kept, not_on_disk

NETWORKS = {
    "fold": "a frame network for each fold, which never saw the subject held out",
    "shared": "ONE FRAME NETWORK FOR ALL FOLDS, WHICH SAW THE SUBJECTS HELD OUT",
    "given": "one frame network from elsewhere, as it is",
}
RULES = {
    "fixed": "a number of epochs fixed in advance",
    "inner": "the epoch with the least loss on inner subjects, who neither train nor are held out",
}


def default() -> ConfigDict:
    """A study without sets; an experiment adds them with `add_set`."""
    c = ConfigDict()
    c.study = "micro_expression"
    c.name = "unnamed"
    c.seeds = 5  # of the heads
    c.bootstrap = 2000
    c.inputs = "grey"  # grey (the paper), difference (to the onset frame) or flow; comma between
    c.kinds = ",".join(micro_lstm.KINDS)
    c.layer = "dense/relu"  # whose activations the heads stand on: the first dense layer
    c.inner = 2  # subjects of each fold that choose the frame network's epoch (heads: see epoch_rule)
    c.epoch_rule = "fixed"  # of the heads, or inner
    c.network = (
        "fold"  # or shared (seen by the subject held out, and labelled so), or given: frames.transfer.workdir
    )
    c.clip = ConfigDict(
        {
            "sampling": "resample",  # or interpolate, or pad
            "length": 32,  # frames of a sequence
            "stride": 1,  # of pad
            "gain": 4.0,  # grey levels of a difference of one
            "near": 0,  # frames on either side of the apex that train the frame network too
            "step": 2,  # between them
        }
    )
    c.frames = config_lib.recipe(64, 8, 5e-4)  # of the frame networks; data is the study's
    c.head = ConfigDict({k: v for k, v in loso.Recipe()._asdict().items() if k != "kind"})
    c.lbp_top = ConfigDict({"radii": (1, 1, 4), "blocks": (5, 5, 1)})  # empty blocks: leave it out
    c.end_to_end = ConfigDict({"epochs": 0, "batch": 4, "rate": 1e-4, "seeds": 1})  # 0: not done
    c.sets = ConfigDict()
    return c


def add_set(c: ConfigDict, name: str, source: ConfigDict, title: str = "") -> None:
    """Adds a set of clips; `source.data` says which. Several become one, subjects kept apart by name."""
    c.sets[name] = ConfigDict({"title": title or name, "source": source})


class Study:
    """The clips that are on disk, and the cells that follow from them.

    Args:
      c: as `default`, with sets.
      workdir: W.
    Raises:
      BadInput: a config that cannot be, or clips that cannot be read.
    """

    def __init__(self, c: ConfigDict, workdir):
        self.c, self.workdir, self.gaps = c, pathlib.Path(workdir), {}
        self.inputs, self.kinds = c.inputs.split(","), c.kinds.split(",")
        _check(c, self.inputs, self.kinds)
        config_lib.check(c.frames)
        found, self.remarks = {}, []
        for name, one in c.sets.items():
            config_lib.check(one.source)
            why = not_on_disk(one.source.data, name)
            if why:
                self.gaps[name] = why
                continue
            found[name], told = clips.load(one.source.data)
            self.remarks += [f"{one.title}: {line.partition(': ')[2] or line}" for line in told]
        if not found:
            raise BadInput(f"study {c.name}: not one set is on disk; {'; '.join(self.gaps.values())}")
        self.clips = next(iter(found.values())) if len(found) == 1 else clips.joined(c.name, found)
        self.title = " + ".join(c.sets[name].title for name in found)
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
        seen = learned.of_run(workdir, key.image.shape[1:])
        nothing = key.take(np.zeros(0, int))
        leaks.refuse_learned(seen, Parts(nothing, nothing, key, ""), key)

    # What is trained on what.

    @property
    def apex(self) -> np.ndarray:
        """int32 [n]: the step nearest to the apex; the middle where it is unknown."""
        top = np.where(self.clips.apex >= 0, self.clips.apex, (self.clips.onset + self.clips.offset) // 2)
        far = np.abs(self.place - top[:, None]) + 1e9 * ~self.mask
        return far.argmin(1).astype(np.int32)

    def folds(self) -> list[str]:
        """Of frame networks: the subject held out of each, or one name for all."""
        return list(self.subjects) if self.c.network == "fold" else [self.c.network]

    def frame_parts(self, fold: str, kind: str) -> Parts:
        """Single frames for the frame network of a fold: those of the subject held out are its test part."""
        key = key_inputs(self.clips, kind, self.c.clip)
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

    def network(self, fold: str, kind: str) -> tuple[Network, dict]:
        """A fold's frame network, trained, and its config as plain facts."""
        where = folder_of(self.workdir, _frames(fold, kind)) / "run"
        if self.c.network == "given":
            where = pathlib.Path(self.c.frames.transfer.workdir)
        said = results.read_workdir(where)
        if not said.get("config"):
            raise BadInput(f"{where} has no config.json; give the workdir of a training")
        c = config_lib.from_json(said["config"])
        names = tuple(said["run"].get("au_names") or said["run"]["classes"])
        model = fer_cnn.build(c.model, len(names))
        shape = (*self.clips.image.shape[1:3], motion.channels(kind, self.clips.image.shape[3]))
        which = self.c.frames.transfer.checkpoint if self.c.network == "given" else "best"
        params, _ = evaluate.load_weights(where, which, model, shape)
        return Network(model, params, classes=names, normalise=c.model.normalise), said["config"]

    def features(self, network: Network, kind: str) -> np.ndarray:
        """float32 [n, t, d] of every frame of every sequence; 0 where masked."""
        x = motion.clip_inputs(self.clips, self.place, kind, self.c.clip.gain)
        told = detectors.features(network, x[self.mask], self.c.layer)
        out = np.zeros((*self.mask.shape, told.shape[-1]), np.float32)
        out[self.mask] = told
        return out

    def task(self, kind: str) -> loso.Task:
        """What the heads look at, of finished frame networks."""
        every = []
        for fold in self.folds():
            with np.load(folder_of(self.workdir, _frames(fold, kind)) / "features.npz") as file:
                every.append(file["features"])
        inner = [clips.inner(self.subjects, s, self.c.inner) for s in self.subjects]
        _, learn, watch, choose = loso.splits(
            self.clips.subject, inner if self.c.epoch_rule == "inner" else ()
        )
        network = (
            np.arange(len(self.subjects)) if self.c.network == "fold" else np.zeros(len(self.subjects), int)
        )
        at = (np.stack(every), network, self.mask, self.apex, self.clips.label, learn, watch, choose)
        return loso.Task(*at, len(self.clips.classes))

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
            parts = self.frame_parts(self.folds()[0], kind)
            c = self.frame_config(self.folds()[0], kind, pathlib.Path("."))
            out[kind] = budget.speeds(c, parts.train)
        n, t = self.mask.shape
        x = np.random.default_rng(0).normal(size=(1, n, t, self.c.frames.model.dense)).astype(np.float32)
        _, learn, watch, choose = loso.splits(self.clips.subject)
        some = (learn[:1], watch[:1], choose[:1])
        task = loso.Task(
            x, np.zeros(1, int), self.mask, self.apex, self.clips.label, *some, len(self.clips.classes)
        )
        took, recipe = [], self.recipe[self.kinds[0]]  # the LSTM, which costs most, where it is there
        for epochs in (1, 3):
            begun = time.monotonic()
            loso.fit(task, recipe._replace(chunk=1), range(4), epochs=epochs)
            took.append(time.monotonic() - begun)
        return out | {"head": max(took[1] - took[0], 1e-3) / 2 / 4}

    def cells(self, speed: dict | None = None) -> list[Cell]:
        """Frame networks, heads, baselines, evidence, spotting."""
        out = []
        for kind in self.inputs:
            out += [self._frames(fold, kind, speed) for fold in self.folds()]
        for kind in self.inputs:
            need = tuple(_frames(fold, kind) for fold in self.folds())
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
                _fresh(folder, key())
                if not (folder / "data" / "parts.json").exists():
                    exported.write(parts, folder / "data")
                status = train.train(self.frame_config(fold, kind, folder), str(folder / "run"))
                if status:
                    return None, status
                found = kept(evaluate.evaluate(folder / "run", "test"), self.workdir)
            network, _ = self.network(fold, kind)
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
        made = Cell(_frames(fold, kind), about, run, (), float(seconds))

        def key() -> str:
            return made.key

        return made

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
            leaves = {f"params/{name}": a for name, a in flat(fitted.params).items()}
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
        return Cell(f"heads/{kind}/{head}", about, run, need, seconds)

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


def _fresh(folder: pathlib.Path, key: str) -> None:
    """Clears what an unfinished cell left that was begun with other clips or another config."""
    mark = folder / "begun.txt"
    if not mark.exists() or mark.read_text() != key:
        for name in ("data", "run"):
            shutil.rmtree(folder / name, ignore_errors=True)
        files.write(mark, key.encode())


def _frames(fold: str, kind: str) -> str:
    return f"frames/{kind}/{fold}"


def flat(tree: dict, at: str = "") -> dict[str, np.ndarray]:
    """Nested parameters as "a/b" -> array."""
    out = {}
    for key, value in tree.items():
        out |= flat(value, f"{at}{key}/") if isinstance(value, dict) else {f"{at}{key}": np.asarray(value)}
    return out


def nested(arrays_: dict[str, np.ndarray]) -> dict:
    """The reverse of `flat`."""
    out: dict = {}
    for name, value in arrays_.items():
        *groups, leaf = name.split("/")
        at = out
        for g in groups:
            at = at.setdefault(g, {})
        at[leaf] = value
    return out


def key_inputs(of: clips.Clips, kind: str, c) -> Split:
    """Key frames as a frame network's input; those without change, being the onset, are left out.

    Args:
      of: the clips.
      kind: of `motion.KINDS`.
      c: the study's `clip`: gain, near, step.
    Returns:
      Split, image uint8 [m, h, w, channels].
    """
    key = clips.key_frames(of, c.near, c.step)
    owner = {name: i for i, name in enumerate(of.id.tolist())}
    images = []
    for name, image in zip(key.id.tolist(), key.image, strict=True):
        i = owner[name.rpartition("/")[0]]
        images.append(motion.represent(image[None], of.frames(i)[of.onset[i]], kind, c.gain)[0])
    key = dataclasses.replace(key, image=np.stack(images))
    still = np.zeros(len(key), bool) if kind == "grey" else (key.image == motion.ZERO).all((1, 2, 3))
    return key.take(~still)


def _check(c: ConfigDict, inputs: list[str], kinds: list[str]) -> None:
    """BadInput for a study's config that cannot be."""
    if not c.sets:
        raise BadInput(f"study {c.name}: needs sets")
    for key, given, known in (
        ("inputs", inputs, motion.KINDS),
        ("kinds", kinds, micro_lstm.KINDS),
        ("network", [c.network], NETWORKS),
        ("epoch_rule", [c.epoch_rule], RULES),
        ("clip.sampling", [c.clip.sampling], clips.SAMPLINGS),
    ):
        if any(word not in known for word in given) or len(set(given)) < len(given):
            raise BadInput(f"config key {key} is {','.join(given)!r}; write {', '.join(known)}, each once")
    h = c.head
    for key, ok, rule in (
        ("seeds", c.seeds >= 1, "at least 1"),
        ("inner", c.inner >= 1, "at least 1"),
        ("bootstrap", c.bootstrap == 0 or c.bootstrap >= 50, "0, or at least 50"),
        ("layer", c.layer in _layers(c), f"one of {', '.join(_layers(c))}"),
        (
            "lbp_top.blocks",
            len(c.lbp_top.blocks) in (0, 3) and min(c.lbp_top.blocks, default=1) >= 1,
            "three numbers of at least 1, or empty",
        ),
        (
            "lbp_top.radii",
            len(c.lbp_top.radii) == 3 and min(c.lbp_top.radii) >= 1,
            "three numbers of at least 1",
        ),
        ("end_to_end.epochs", c.end_to_end.epochs >= 0, "at least 0"),
        ("end_to_end.epochs", not c.end_to_end.epochs or "lstm" in kinds, "0 without lstm among the kinds"),
        ("end_to_end.batch", c.end_to_end.batch >= 1, "at least 1"),
        ("end_to_end.rate", c.end_to_end.rate > 0, "above 0"),
        ("end_to_end.seeds", 1 <= c.end_to_end.seeds <= c.seeds, "1 to seeds, whose heads it begins with"),
        ("clip.length", c.clip.length >= 2, "at least 2"),
        ("clip.stride", c.clip.stride >= 1, "at least 1"),
        ("clip.near", c.clip.near >= 0, "at least 0"),
        ("clip.step", c.clip.step >= 1, "at least 1"),
        ("clip.gain", c.clip.gain > 0, "above 0"),
        ("head.hidden", h.hidden >= 1, "at least 1"),
        ("head.epochs", h.epochs >= 1, "at least 1"),
        ("head.batch", h.batch >= 1, "at least 1"),
        ("head.chunk", h.chunk >= 1, "at least 1"),
        ("head.rate", h.rate > 0, "above 0"),
        ("head.decay", h.decay >= 0, "at least 0"),
        ("head.clip", h.clip >= 0, "at least 0"),
        ("head.dropout", 0 <= h.dropout < 1, "0 to below 1"),
        ("head.recurrent_dropout", 0 <= h.recurrent_dropout < 1, "0 to below 1"),
        ("head.dropout_out", 0 <= h.dropout_out < 1, "0 to below 1"),
        (
            "network",
            c.network != "given" or c.frames.transfer.workdir,
            "fold without frames.transfer.workdir",
        ),
    ):
        if not ok:
            value = c
            for part in key.split("."):
                value = value[part]
            raise BadInput(f"config key {key} is {value!r}; it must be {rule}")


def _layers(c: ConfigDict) -> tuple[str, ...]:
    """The named activations of the frame network."""
    blocks = [
        f"block{i}/{part}"
        for i in range(1, len(c.frames.model.features) + 1)
        for part in ("conv", "relu", "pool")
    ]
    return (*blocks, "dense", "dense/relu", "logits")
