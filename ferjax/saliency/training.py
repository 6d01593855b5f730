"""Training of ML-Net: one step, and the loop around it, resumed bit for bit."""

import functools
import pathlib
import signal

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from data_pipelines import gaze, input
from ferjax import checkpoint, optim, results, run
from ferjax import config as config_lib
from ferjax.augment import example_keys
from ferjax.loop import Loop
from ferjax.models import ml_net, vgg16
from ferjax.parallel import AXIS, Devices
from ferjax.saliency import loss, metrics, network
from ferjax.saliency.settings import SELECT, data_of
from ferjax.train import TrainState

Array = jax.Array


def init_state(c: ConfigDict, model: ml_net.MlNet) -> TrainState:
    """The state before the first step, weights drawn."""
    params = network.init(model, c.seed)
    zero = (jnp.zeros(()), jnp.zeros(()))
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        ema={},
        opt_state=optim.transform(c).init(params),
        lr_scale=jnp.ones(()),
        sums={"loss": zero},
    )


def make_train_step(c: ConfigDict, model: ml_net.MlNet, steps_per_epoch: int):
    """The step for one device: (state, batch, resident) -> (state, {"loss": (sum, count)} over all devices).

    A batch is of `gaze.batches`, with maps of the network's output. The loss that is told leaves the prior's
    L2 out, the gradient does not.
    """
    transform, rate = optim.transform(c), optim.learning_rate(c, steps_per_epoch)

    def train_step(state: TrainState, batch: dict, resident: dict) -> tuple[TrainState, dict]:
        del resident
        keys = example_keys(c.seed, state.step, batch["id"])
        images, wanted = vgg16.normalise(batch["image"]), batch["map"].astype(jnp.float32) / 255

        def local_loss(params):
            found, _ = model.apply({"params": params}, images, keys)
            return jnp.sum(jnp.where(batch["mask"], loss.map_loss(found, wanted), 0))

        # the local sum is differentiated, the psums stay outside, as in ferjax/train.py
        value, gradient = jax.value_and_grad(local_loss)(state.params)
        count = jnp.sum(batch["mask"]).astype(jnp.float32)
        gradient, value, count = jax.lax.psum((gradient, value, count), AXIS)
        gradient = jax.tree.map(lambda g: g / jnp.maximum(count, 1), gradient)
        held = jax.grad(loss.prior_loss)(state.params, c.prior)
        gradient = jax.tree.map(jnp.add, gradient, held)
        step, opt_state = transform.update(gradient, state.opt_state, state.params)
        params = jax.tree.map(lambda p, s: p - (rate(state.step) * s).astype(p.dtype), state.params, step)
        sums = {"loss": (value, count)}
        fresh = state.step % steps_per_epoch == 0
        total = jax.tree.map(lambda old, new: jnp.where(fresh, 0, old) + new, state.sums, sums)
        return state.replace(step=state.step + 1, params=params, opt_state=opt_state, sums=total), sums

    return train_step


def train(c: ConfigDict, workdir, parts: gaze.Parts) -> tuple[int, dict]:
    """Trains, or goes on where an interrupted training stopped.

    Args:
      c: a study's config, checked.
      workdir: the training's folder; made if absent. One that holds checkpoints is resumed.
      parts: what is learned from; `test` is not looked at.
    Returns:
      (0, or 128 + signal number where one stopped it, saved and resumable; {"best_step", "best", "steps"}).
    Raises:
      BadInput: a workdir in use, a loss that is not finite, a full disk, weights that do not fit.
    """
    workdir = run.open_workdir(workdir)
    with run.lock(workdir), run.Signals() as signals:
        return _Loop(c, workdir, parts, signals).go()


class _Loop(Loop):
    def __init__(self, c: ConfigDict, workdir: pathlib.Path, parts: gaze.Parts, signals: run.Signals):
        self.c, self.workdir, self.parts, self.signals = c, workdir, parts, signals
        self.devices = Devices(c.parallel.mode, c.train.batch_size, c.parallel.devices)
        self.model = network.build(c)
        self.wanted = output(c, self.model)
        self.batch_size, self.log_every = c.train.batch_size, c.train.log_every
        self.every_steps, self.select_by, self.resident = c.train.every_steps, c.train.select_by, {}
        self.steps_per_epoch = input.steps_per_epoch(len(parts.train), c.train.batch_size)
        self.steps = self.steps_per_epoch * c.train.epochs
        self.step = self.devices.compile(make_train_step(c, self.model, self.steps_per_epoch), donate=True)
        self.predictor = network.Predictor(self.model, self.devices, c.train.batch_size)
        self.checkpoints = checkpoint.Checkpoints(workdir)
        self.progress = {"best": None, "best_step": None, "wait": 0}

    def go(self) -> tuple[int, dict]:
        state = self.devices.init(functools.partial(init_state, self.c, self.model))
        done, begun = self.checkpoints.last() or 0, {}
        if done:
            parts, self.progress = self.checkpoints.restore(done, state.parts())
            state = TrainState.of_parts(parts)
        elif self.c.model.weights:
            params, begun = network.begin(jax.tree.map(np.asarray, state.params), self.c.model.weights)
            state = state.replace(params=self.devices.put(params))
        self._describe(begun)
        with run.Log(self.workdir, done, self.steps, self.steps_per_epoch) as log:
            log.say(self._opening(done, begun))
            try:
                _, done, status = self.run_steps(state, done, log)
                self.checkpoints.wait()
            finally:
                self.checkpoints.close()
            log.say(self._closing(done, status))
        return status, {"best": self.progress["best"], "best_step": self.progress["best_step"], "steps": done}

    def batches(self, done: int):
        """Pictures and maps from step `done` on."""
        rows = input.row_batches(len(self.parts.train), self.batch_size, self.c.seed, done, self.steps)
        return gaze.batches(self.parts.train, rows, self.wanted)

    def enough(self) -> bool:
        """Whether selection has not become better for so long that training ends."""
        return 0 < self.c.train.patience <= self.progress["wait"]

    def end_epoch(self, state: TrainState, step: int, log: run.Log) -> tuple[TrainState, float]:
        """Looks at the selecting part, keeps the best so far."""
        epoch = step // self.steps_per_epoch
        total, count = (float(a) for a in state.sums["loss"])
        rate = float(optim.learning_rate(self.c, self.steps_per_epoch)(step - 1))
        mean = total / max(count, 1e-9)
        log.metrics({"step": step, "epoch": epoch, "split": "train", "loss": mean, "learning_rate": rate})
        chosen = self._select(state.params)
        log.metrics({"step": step, "epoch": epoch, "split": "select", **chosen})
        by = self.c.train.select_by
        rank = SELECT[by] * chosen[by]
        self.better(rank, step)
        return state, rank

    def _select(self, params: dict) -> dict[str, float]:
        """Mean loss and mean CC of the selecting part's maps, at the network's resolution."""
        rows = list(self.predictor.part(params, self.parts.select, self.wanted))
        found, wanted = (
            np.stack([r[1] for r in rows]),
            np.stack([r[2] for r in rows]).astype(np.float32) / 255,
        )
        each = [metrics.cc(a, b) for a, b in zip(found, wanted, strict=True)]
        mean = float(np.mean(np.asarray(loss.map_loss(jnp.asarray(found), jnp.asarray(wanted)), np.float64)))
        return {"loss": mean, "cc": float(np.nanmean(each)) if np.isfinite(each).any() else 0.0}

    def advice(self) -> str:
        """What to try where training diverges."""
        return (
            "try in another --workdir a lower --config.optimizer.learning_rate (now "
            f"{self.c.optimizer.learning_rate:g}) or --config.optimizer.clip_norm=1"
        )

    def _describe(self, begun: dict) -> None:
        p = self.parts
        begun = begun or results.read_workdir(self.workdir)["run"].get("started_from", {})
        results.describe_run(
            self.workdir,
            config_lib.to_json(self.c),
            {part: getattr(p, part).hash for part in ("train", "select", "test")},
            self.devices.describe(),
            image_shape=[*data_of(self.c).frame, 3],
            selection=selection(p),
            findings=list(p.findings),
            sizes={part: len(getattr(p, part)) for part in ("train", "select", "test")},
            **({"started_from": begun} if begun else {}),
        )

    def _opening(self, done: int, begun: dict) -> str:
        p = self.parts
        size = sum(a.size for a in jax.tree.leaves(network.shapes(self.model)))
        start = f"going on at step {done}" if done else "starting"
        told = f"{len(begun['taken'])} parts as in {begun['file']}\n" if begun else ""
        return (
            f"{self.c.name}: {len(p.train)} train, {len(p.select)} select pictures; {size:,} parameters; "
            f"{self.devices.describe()}\n{told}epoch selected on {selection(p)}; {start} of at most "
            f"{self.steps} steps ({self.c.train.epochs} epochs)"
        )

    def _closing(self, step: int, status: int) -> str:
        if status:
            name = signal.Signals(status - 128).name
            return f"stopped by {name} at step {step}; saved; the same command goes on from there"
        best, by = self.progress, self.c.train.select_by
        early = "" if step == self.steps else f", {best['wait']} epochs without a better one"
        return f"done: {step} steps{early}; best {by} {abs(best['best']):.4f} at step {best['best_step']}"


def output(c: ConfigDict, model: ml_net.MlNet) -> tuple[int, int]:
    """Rows and columns of the network's map of a frame."""
    frame = jax.ShapeDtypeStruct((1, *data_of(c).frame, 3), jnp.float32)
    found, _ = jax.eval_shape(lambda p, x: model.apply({"params": p}, x), network.shapes(model), frame)
    return found.shape[1:]


def selection(parts: gaze.Parts) -> str:
    """In words, what selects the epoch."""
    return f"a hashed tenth of the training part ({len(parts.select)} pictures)"
