"""From a config to trained weights: state, one step, and the loop around it."""

import contextlib
import functools
import pathlib
import signal

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from data_pipelines import BadInput, arrays, input, leaks
from ferjax import checkpoint, evaluate, learned, microbatch, models, optim, run, tasks, transfer
from ferjax import config as config_lib
from ferjax.augment import augment, by_turns, example_keys, input_shape, normalise
from ferjax.loop import Loop, steps_per_call
from ferjax.ops.memory import keep_freed_memory
from ferjax.parallel import AXIS, Devices, is_main

Array = jax.Array
INPUT_WAITS = "set input.placement=device, or raise input.prefetch"


@flax.struct.dataclass
class TrainState:
    """All that a step changes. Saved whole, so that a resumed run goes on bit for bit."""

    step: Array  # int32, steps done
    params: dict
    ema: dict  # average of the weights; empty where that is off
    opt_state: optax.OptState
    lr_scale: Array  # the plateau rule's factor
    sums: dict  # this epoch's {"loss": (sum, count), "accuracy": (sum, count)} so far

    def parts(self) -> dict:
        """As `checkpoint.Checkpoints.save` wants it."""
        rest = {"step": self.step, "opt_state": self.opt_state, "lr_scale": self.lr_scale, "sums": self.sums}
        return {"params": self.params, "rest": rest} | ({"ema": self.ema} if self.ema else {})

    @classmethod
    def of_parts(cls, parts: dict) -> "TrainState":
        """The reverse of `parts`."""
        return cls(params=parts["params"], ema=parts.get("ema", {}), **parts["rest"])


def init_state(config: ConfigDict, model, image_shape: tuple[int, int, int]) -> TrainState:
    """The state before the first step; [h, w, c] is the shape of one of the set's images."""
    images = jnp.zeros((1, *input_shape(config, image_shape)))
    params = model.init(jax.random.key(config.seed), images)["params"]
    zero = (jnp.zeros(()), jnp.zeros(()))
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        ema=jax.tree.map(jnp.copy, params) if config.optimizer.ema_decay else {},
        opt_state=transfer.partition(config, optim.transform(config)).init(params),
        lr_scale=jnp.ones(()),
        sums={"loss": zero, "accuracy": zero},
    )


def make_train_step(config: ConfigDict, model, steps_per_epoch: int, task, weights: np.ndarray):
    """The step for one device: (state, batch, resident) -> (state, {name: (sum, count)} over all devices).

    `task` and its `weights` are of `tasks`.
    """
    transform = transfer.partition(config, optim.transform(config))
    rate = optim.learning_rate(config, steps_per_epoch)
    plain_from = (config.train.epochs - config.augment.last_epochs_off) * steps_per_epoch

    def local(state: TrainState, batch: dict, resident: dict):
        """Of some of a device's examples: gradient of the summed loss, (sum, count) of loss and accuracy."""
        if resident:
            batch = {**batch, **input.gather(resident, batch)}
        keys = jax.vmap(jax.random.split)(example_keys(config.seed, state.step, batch["id"]))
        turns = None
        if config.augment.flip_alternate:
            turns = by_turns(config.seed, state.step // steps_per_epoch, batch["id"])
        images = augment(batch["image"], keys[:, 0], config.augment, state.step < plain_from, turns)
        images = normalise(images, config.model.normalise)

        def local_loss(params):
            params = transfer.hold(config, params)
            logits, _ = model.apply({"params": params}, images, keys=keys[:, 1])
            loss, right = task.sums(logits, batch, jnp.asarray(weights))
            return loss[0], (loss, right)

        return jax.grad(local_loss, has_aux=True)(state.params)

    def train_step(state: TrainState, batch: dict, resident: dict) -> tuple[TrainState, dict]:
        # the local sum is differentiated, the psums stay outside: so masked and uneven batches are exact
        stop, batch = batch.get("stop"), {name: a for name, a in batch.items() if name != "stop"}
        at_once = microbatch.training(config, jax.default_backend(), len(batch["mask"]))
        gradient, (loss, accuracy) = microbatch.summed(lambda b: local(state, b, resident), batch, at_once)
        gradient, loss, accuracy = jax.lax.psum((gradient, loss, accuracy), AXIS)
        gradient = jax.tree.map(lambda g: g / jnp.maximum(loss[1], 1e-9), gradient)
        step, opt_state = transform.update(gradient, state.opt_state, state.params)
        gates = transfer.gates(config, state.params, state.step, steps_per_epoch)
        if gates is not None:
            step = {name: jax.tree.map(lambda s, g=gates[name]: g * s, part) for name, part in step.items()}
        lr = rate(state.step) * state.lr_scale
        params = jax.tree.map(lambda p, s: p - (lr * s).astype(p.dtype), state.params, step)
        sums = {"loss": loss, "accuracy": accuracy}
        fresh = state.step % steps_per_epoch == 0
        total = jax.tree.map(lambda old, new: jnp.where(fresh, 0, old) + new, state.sums, sums)
        if stop is not None:
            sums["stop"] = (jax.lax.psum(jnp.sum(stop), AXIS), jnp.ones(()))
        state = state.replace(
            step=state.step + 1,
            params=params,
            ema=optim.ema(state.ema, params, config.optimizer.ema_decay, state.step) if state.ema else {},
            opt_state=opt_state,
            sums=total,
        )
        return state, sums

    return train_step


def train(config: ConfigDict, workdir: str, profiled: int = 0, mirror: str = "") -> int:
    """Trains, or goes on where an interrupted run stopped.

    Args:
      config: checked, see `config.load`.
      workdir: the run's folder; made if absent. One that holds checkpoints is resumed.
      profiled: steps to trace, see `profile`; 0: none.
      mirror: where the folder is copied to as it grows, see `mirror`; one that is further on is fetched.
    Returns:
      exit status: 0 done, 128 + signal number where a signal stopped it (saved and resumable).
    Raises:
      BadInput: unusable data, a workdir of another config, a loss that is not finite, a full disk.
    """
    keep_freed_memory(config.parallel.keep_memory)
    workdir = run.open_workdir(workdir)
    alone = run.lock(workdir) if is_main() else contextlib.nullcontext()
    with alone, run.Signals() as signals:
        devices = Devices(config.parallel.mode, config.input.batch_size, config.parallel.devices)
        copy = _fetched(config, workdir, mirror, devices) if mirror and devices.main else None
        parts = arrays.load_parts(config.data)
        loop = _Loop(config, workdir, parts, devices, signals, profiled)
        if copy is None:
            return loop.go()
        with copy.following(run.say) as end:
            status = loop.go()
            # a machine that is taken away gives little time, and jax none to processes that wait for this one
            end(hurried=bool(status) or devices.processes > 1)
        return status


def _fetched(config: ConfigDict, workdir: pathlib.Path, address: str, devices: Devices):
    """The `mirror.Mirror` of a run, which goes on from there where that is further on."""
    from ferjax.mirror import Mirror  # needs fsspec

    copy, mine = Mirror(workdir, address), config_lib.to_json(config)
    if devices.processes > 1 and copy.ahead(mine):  # the others would not see it come
        raise BadInput(
            f"mirror {address} is further on than {workdir}; where several processes train, fetch it first: "
            f"ferjax mirror --workdir {workdir} --from {address}"
        )
    copy.fetch(run.say, mine)
    return copy


class _Loop(Loop):
    def __init__(
        self, config, workdir: pathlib.Path, parts: arrays.Parts, devices: Devices, signals, profiled=0
    ):
        self.config, self.workdir, self.parts = config, workdir, parts
        self.devices, self.signals, self.profiled = devices, signals, profiled
        run.same_or_refuse(workdir, config, parts)
        self.task = tasks.of(config, parts.train)
        for split in (parts.train, parts.select):
            self.task.check(split)
        split = parts.train
        self.batch_size, self.log_every = config.input.batch_size, config.train.log_every
        self.every_steps, self.select_every = config.checkpoint.every_steps, config.train.select_every
        self.select_by = config.train.select_by
        self.steps_per_epoch = input.steps_per_epoch(len(split.label), self.batch_size)
        self.steps = self.steps_per_epoch * config.train.epochs
        microbatch.training(config, jax.default_backend(), self.batch_size // devices.count)  # or refused
        self.on_device = config.input.placement == "device"
        self.input_waits = "" if self.on_device else INPUT_WAITS
        if self.on_device:
            self.steps_per_call = steps_per_call(config.parallel.steps_per_call, jax.default_backend())
        self.model = models.build(config.model, len(self.task.names))
        transfer.check_names(config, tuple(jax.eval_shape(self._init_params)))
        step = make_train_step(config, self.model, self.steps_per_epoch, self.task, self.task.weights(split))
        self.step = devices.compile(step, donate=True, steps=self.steps_per_call)
        self.predictor = evaluate.Predictor(config, self.model, devices, views=1)
        self.checkpoints = checkpoint.Checkpoints(workdir, config.checkpoint.keep, main=devices.main)
        self.progress = {"best": None, "best_step": None, "wait": 0}

    def go(self) -> int:
        """Runs to the end or to a signal."""
        config = self.config
        state = self.devices.init(
            functools.partial(init_state, config, self.model, self.parts.train.image.shape[1:])
        )
        done, begun = self.checkpoints.last() or 0, {}
        seen = leaks.Learned.of(self.parts)
        if (config.transfer.workdir or config.transfer.file) and not done:
            params = jax.tree.map(np.asarray, self.devices.to_global(state).params)
            params, begun, theirs = transfer.begin(config, params, self.parts, self.task)
            seen |= theirs
            state = state.replace(params=self.devices.put(params))
            if state.ema:
                state = state.replace(ema=self.devices.put(params))
        if done:
            parts, self.progress = self.checkpoints.restore(done, self.devices.to_global(state).parts())
            state = self.devices.to_local(TrainState.of_parts(parts))
        if self.devices.main:
            if not done:  # later the source may be gone
                learned.write(self.workdir, seen)
            run.describe(self.workdir, config, self.parts, self.devices, self.task, begun)
        with run.Log(self.workdir, done, self.steps, self.steps_per_epoch, self.devices.main) as log:
            log.say(self._opening(done, begun))
            try:
                self.resident = self.devices.put(input.resident(self.parts.train)) if self.on_device else {}
                state, _, status = self.run_steps(state, done, log)
                self.checkpoints.wait()
            finally:
                self.checkpoints.close()
            log.say(self._closing(status, int(state.step)))
        return status

    def batches(self, done: int):
        """This process's share of the batches from step `done` on."""
        config, split = self.config, self.parts.train
        steps = {"first_step": done, "last_step": self.steps}
        mine = {"process_index": self.devices.process, "process_count": self.devices.processes}
        if self.on_device:
            return input.row_batches(len(split), config.input.batch_size, config.seed, **steps, **mine)
        return input.host_batches(
            split, config.input.batch_size, config.seed, **steps, **mine, prefetch=config.input.prefetch
        )

    def advice(self) -> str:
        """What to try where training diverges."""
        o = self.config.optimizer
        return (
            f"try in another --workdir: a lower optimizer.learning_rate (now {o.learning_rate:g}), "
            f"optimizer.clip_norm=1 (now {o.clip_norm:g}), or model.compute_dtype=float32"
        )

    def end_epoch(self, state: TrainState, done: int, log) -> tuple[TrainState, float]:
        """Evaluates on the selecting part, keeps best-so-far and the plateau rule's counters."""
        config = self.config
        epoch = done // self.steps_per_epoch
        means = {name: float(s) / max(float(c), 1e-9) for name, (s, c) in jax.device_get(state.sums).items()}
        rate = float(optim.learning_rate(config, self.steps_per_epoch)(done - 1)) * float(state.lr_scale)
        log.metrics({"step": done, "epoch": epoch, "split": "train", **means, "learning_rate": rate})
        probability = self.predictor(state.ema or state.params, self.parts.select)
        chosen = self.task.summary(self.parts.select, probability)
        log.metrics({"step": done, "epoch": epoch, "split": "select", **chosen})
        rank = chosen[config.train.select_by] * (-1 if config.train.select_by == "loss" else 1)
        plateau = config.schedule.name == "plateau"
        if not self.better(rank, done) and plateau and self.progress["wait"] >= config.schedule.patience:
            self.progress["wait"] = 0
            scale = self.devices.put(np.float32(float(state.lr_scale) * config.schedule.factor))
            state = state.replace(lr_scale=scale)
        return state, rank

    def _opening(self, done: int, begun: dict) -> str:
        p = self.parts
        counts = f"{len(p.train)} train, {len(p.select)} select, {len(p.test)} test images"
        weights = sum(a.size for a in jax.tree.leaves(jax.eval_shape(self._init_params)))
        start = f"going on at step {done}" if done else "starting"
        told = f"action units: {', '.join(self.task.names)}\n" if self.task.kind == "aus" else ""
        if self.task.kind == "aus" and self.task.left_out:
            few = ", ".join(self.task.left_out)
            told += f"left out, too few images (aus.least={self.config.aus.least}): {few}\n"
        if "file" in begun:
            told += f"{', '.join(begun['taken'])} as in {begun['file']} (sha256 {begun['sha256']})\n"
        return (
            f"{self.config.name}: {counts}; {weights:,} parameters; {self.devices.describe()}\n"
            f"{told}epoch selected on {p.selection}; {start} of {self.steps} steps "
            f"({self.config.train.epochs} epochs)"
        )

    def _init_params(self):
        return init_state(self.config, self.model, self.parts.train.image.shape[1:]).params

    def _closing(self, status: int, step: int) -> str:
        if status:
            return (
                f"stopped by {signal.Signals(status - 128).name} at step {step} of {self.steps}; saved in "
                f"{self.workdir / 'checkpoints'}; the same command goes on from there"
            )
        best = self.progress
        return (
            f"done: {self.steps} steps; best {self.config.train.select_by} on {self.parts.selection} "
            f"{abs(best['best']):.4f} at step {best['best_step']}; weights in {self.workdir / 'checkpoints'}"
        )
