"""ML-Net trained on one set, and measured on its test part beside maps that need no training.

Cells: the training, then the scores of ML-Net, the spectral residual and the centre prior, whose width is
fitted on the training part. All metrics are of the picture at the frame's size, padding left out.
"""

import functools
import os
import pathlib
import time
from collections.abc import Callable, Iterator

import jax
import numpy as np
from ml_collections import ConfigDict
from tqdm import tqdm

from data_pipelines import BadInput, gaze, letterbox, saliency_maps
from ferjax import config as config_lib
from ferjax import evaluate, files, weights
from ferjax.models import keras1
from ferjax.parallel import Devices
from ferjax.protocols import Cell, folder_of
from ferjax.saliency import metrics, network, settings, training

TRAINING = "training/ml_net"
METHODS = {"ml_net": "ML-Net", "spectral": "spectral residual", "centre": "centre prior"}
STEPS = 2  # timed for the budget, after one that compiles


class Study:
    """The set, and the cells that follow from it.

    Args:
      c: as `settings.default`, with a set.
      workdir: W.
    Raises:
      BadInput: a config that cannot be, or a set that is not on disk.
    """

    def __init__(self, c: ConfigDict, workdir):
        self.c, self.workdir, self.gaps = c, pathlib.Path(workdir), {}
        settings.check(c)
        ((self.name, one),) = c.sets.items()
        self.title, self.data = one.title, one.source.data
        if self.data.name == "salicon":
            why = "" if self.data.dir else f"no folder was named (--dir {self.name}=FOLDER)"
            if why:
                raise BadInput(f"study {c.name}: its set is not on disk; {why}")
        self.parts = gaze.load(self.data)
        self.remarks = list(self.parts.findings)

    def about(self) -> str:
        """A line on what is learned and measured."""
        (h, w), sizes = self.data.frame, [len(part) for part in self.parts[:3]]
        return "{}: {:,} pictures to train on, {:,} select, {:,} are scored; {}x{} pixels".format(
            self.c.name, *sizes, h, w
        )

    def hashes(self) -> dict[str, str]:
        """Part -> its hash."""
        return {part: getattr(self.parts, part).hash for part in ("train", "select", "test")}

    @functools.cached_property
    def weights(self) -> str:
        """sha256 of the file that training starts from; "" from scratch."""
        path = self.c.model.weights
        return weights.sha256(path, published=keras1.PUBLISHED)[1] if path else ""

    def speeds(self) -> dict[str, float]:
        """Seconds of a picture in training and in inference, and to compile both, on this machine."""
        c = self.c
        devices = Devices(c.parallel.mode, c.train.batch_size, c.parallel.devices)
        model = network.build(c)
        state = devices.init(functools.partial(training.init_state, c, model))
        step = devices.compile(training.make_train_step(c, model, 100), donate=True)
        forward = network.Predictor(model, devices, devices.count)
        some = {"id": np.arange(devices.count, dtype=np.int32) % len(self.parts.train)}
        some |= {"mask": np.ones(devices.count, bool)}
        (batch,) = gaze.batches(self.parts.train, [some], training.output(c, model))

        def learn():
            nonlocal state
            state, _ = step(state, batch, {})
            jax.block_until_ready(state)

        begun = time.monotonic()
        learn(), forward(state.params, batch["image"])
        out = {"compile": time.monotonic() - begun}
        for name, run in (("train", learn), ("infer", lambda: forward(state.params, batch["image"]))):
            begun = time.monotonic()
            for _ in range(STEPS):
                run()
            out[name] = (time.monotonic() - begun) / STEPS / devices.count
        return out

    def cells(self, speed: dict | None = None) -> list[Cell]:
        """The training, and the scores of every method."""
        return [self._training(speed), *(self._scores(method, speed) for method in METHODS)]

    def about_training(self) -> dict:
        """All that decides what the network learns."""
        c = config_lib.to_json(self.c)
        groups = ("seed", "prior", "model", "optimizer", "schedule", "train")
        kept = {group: c[group] for group in groups}
        kept["model"] = {k: v for k, v in kept["model"].items() if k != "weights"}
        kept["train"] = {k: v for k, v in kept["train"].items() if k not in ("every_steps", "log_every")}
        hashes = self.hashes()
        return {"config": kept, "weights": self.weights, "data": {k: hashes[k] for k in ("train", "select")}}

    def _training(self, speed: dict | None) -> Cell:
        def run(folder: pathlib.Path) -> tuple[dict | None, int]:
            status, found = training.train(self.c, folder / "run", self.parts)
            if status:
                return None, status
            kept = [folder / "run/config.json", folder / f"run/checkpoints/{found['best_step']}"]
            return found | {"files": [os.path.relpath(path, self.workdir) for path in kept]}, 0

        seconds = 0.0
        if speed:
            p = self.parts
            each = len(p.train) * speed["train"] + len(p.select) * speed["infer"]
            seconds = self.c.train.epochs * each + speed["compile"] + 10
        return Cell(TRAINING, self.about_training(), run, (), seconds)

    def _scores(self, method: str, speed: dict | None) -> Cell:
        about = {"test": self.parts.test.hash, "others": self.c.others, "seed": self.c.seed}
        if method == "ml_net":
            about |= {"training": self.about_training()}
        elif method == "spectral":
            about |= {"options": self.c.spectral.to_dict()}
        else:
            about |= {"options": self.c.centre.to_dict(), "train": self.parts.train.hash}

        def run(folder: pathlib.Path) -> tuple[dict | None, int]:
            maps, found = self._maps(method)
            score = np.stack(list(self._scored(maps, METHODS[method])))
            told = {"score": score, "id": self.parts.test.id}
            files.write(folder / "scores.npz", files.npz_bytes(told))
            return found | {"files": [os.path.relpath(folder / "scores.npz", self.workdir)]}, 0

        needs = (TRAINING,) if method == "ml_net" else ()
        seconds = len(self.parts.test) * (0.1 + (speed["infer"] if needs else 0)) if speed else 0.0
        return Cell(f"scores/{method}", about, run, needs, seconds)

    def _maps(self, method: str) -> tuple[Iterator[np.ndarray], dict]:
        """(a map of every test picture, of the picture at the frame's size; what there is to say)."""
        part = self.parts.test
        if method == "ml_net":
            return self._of_network()
        if method == "spectral":
            o = self.c.spectral
            return (
                saliency_maps.spectral_residual(part.picture(n)[part.box(n).inside], o.size, o.blur)
                for n in part.id.tolist()
            ), {}
        share = self.fitted_share()
        return (
            saliency_maps.centre(part.box(n).height, part.box(n).width, share) for n in part.id.tolist()
        ), {"share": share}

    def _of_network(self) -> tuple[Iterator[np.ndarray], dict]:
        c, part = self.c, self.parts.test
        model = network.build(c)
        params, step = evaluate.load_weights(
            folder_of(self.workdir, TRAINING) / "run", "best", model, network.SMALL
        )
        devices = Devices(c.parallel.mode, None, c.parallel.devices)
        predictor = network.Predictor(model, devices, c.train.batch_size)

        def maps():
            for row, found, _ in predictor.part(devices.put(params), part):
                box = part.box(str(part.id[row]))
                yield letterbox.unpad(found, box, part.frame, box.height, box.width)

        return maps(), {"step": step, "device": devices.describe()}

    def fitted_share(self) -> float:
        """The width of a Gaussian in the middle that correlates best with the training part's maps."""
        o, part = self.c.centre, self.parts.train
        shares = np.arange(o.least, o.most + o.step / 2, o.step)
        rows = np.linspace(0, len(part) - 1, min(len(part), o.pictures)).astype(int)
        total = np.zeros(len(shares))
        for n in part.id[rows].tolist():
            seen = part.density(n, part.frame)[part.box(n).inside]
            h, w = (max(2, size // 8) for size in seen.shape)
            seen = saliency_maps.resize(seen, h, w)
            if np.ptp(seen):
                total += [metrics.cc(saliency_maps.centre(h, w, float(s)), seen) for s in shares]
        return float(np.round(shares[total.argmax()], 6))

    def _scored(self, maps: Iterator[np.ndarray], what: str) -> Iterator[np.ndarray]:
        """float64 [6] of every test picture."""
        part = self.parts.test
        points = _kept(part.fixations)
        bar = tqdm(zip(part.id.tolist(), maps, strict=True), what, len(part), unit="maps", disable=None)
        for i, (name, found) in enumerate(bar):
            box = part.box(name)
            others = [points(str(part.id[j])) for j in other_rows(len(part), i, self.c.others, self.c.seed)]
            others = np.concatenate([np.zeros((0, 2), int), *others])
            corner = np.array([box.top, box.left])
            seen = part.density(name, part.frame)[box.inside]
            yield metrics.every(found, seen, points(name) - corner, others - corner)


def _kept(read: Callable) -> Callable:
    """Fixations of a few hundred pictures are kept, since each is the other of ten."""
    return functools.lru_cache(maxsize=20_000)(read)


def other_rows(n: int, row: int, others: int, seed: int) -> list[int]:
    """So many other rows of n, drawn by (seed, row) alone."""
    drawn = np.random.default_rng((seed, row)).permutation(n - 1)[:others]
    return [int(j) + (j >= row) for j in drawn]
