"""The loop around a training's step: what is queued, looked at and saved, and how it stops.

A training is a subclass of `Loop`, which knows its own batches, what ranks an epoch, and what to advise where
numbers are no longer finite.
"""

import abc
import contextlib
import itertools
import math
import signal
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from data_pipelines import BadInput
from ferjax import profile
from ferjax.parallel import InFlight

STEPS_PER_CALL = 32  # of an accelerator, so that the host calls seldom


@jax.jit
def _finite(tree) -> jax.Array:
    return jnp.stack([jnp.isfinite(a).all() for a in jax.tree.leaves(tree)]).all()


class Loop(abc.ABC):
    """One training.

    Attributes that a subclass sets before `run_steps`:
      workdir, devices, checkpoints, signals: where, on what, and what interrupts.
      step: compiled by `parallel.Devices.compile`, for `steps_per_call` steps.
      steps, steps_per_epoch: of the whole training.
      batch_size, log_every, every_steps, select_every, select_by: as the config's keys.
      resident: arrays on the devices that the step reads.
      progress: {"best", "best_step", "wait"}, saved with each checkpoint.
      steps_per_call: steps that one call does; more than 1 needs batches of row numbers.
      profiled: steps to trace, 0 for none.
      input_waits: what to do where input holds the devices up, in words.
    """

    steps_per_call = 1
    select_every = 1
    profiled = 0
    input_waits = ""

    @abc.abstractmethod
    def batches(self, done: int) -> Iterator[dict]:
        """This process's share of the batches from step `done` on."""

    @abc.abstractmethod
    def end_epoch(self, state, step: int, log) -> tuple:
        """Looks at the selecting part: (state, what ranks the epoch, larger is better)."""

    @abc.abstractmethod
    def advice(self) -> str:
        """What to try where training diverges."""

    def enough(self) -> bool:
        """Whether training ends before its last step."""
        return False

    def run_steps(self, state, done: int, log) -> tuple:
        """Steps from `done` to the end or to a signal: (state, steps done, status)."""
        queue = InFlight()
        self.signals.defer()
        if self.enough():
            return state, done, 0
        with contextlib.ExitStack() as stack:
            batches = stack.enter_context(contextlib.closing(self.batches(done)))
            calls = self._calls(log.timed(batches, queue, self.input_waits), done)
            if self.profiled and self.devices.main:
                traced = profile.traced(calls, queue, self.workdir, self.profiled, done, self.steps, log.say)
                calls = stack.enter_context(contextlib.closing(traced))
            for steps, batch in calls:
                state, sums = self.step(state, batch, self.resident)
                finished, step = queue.push(steps, sums), steps[-1]
                due = self._due(step)
                if due:
                    finished += queue.drain()
                self._look(finished, log)
                stop = self._told(finished)  # read once, so that no step is called saved that is not
                if not (due or stop):
                    continue
                self._look(queue.drain(), log)
                if not _finite(state):
                    raise self.diverged(f"the weights are not finite after step {step}")
                rank = None
                if self._looks_after(step):
                    state, rank = self.end_epoch(state, step, log)
                saved = self.devices.to_global(state).parts()
                self.checkpoints.save(step, saved, self.progress, rank)
                done = step
                if stop:
                    return state, step, 128 + stop
                if self.enough():
                    return state, step, 0
        assert done == self.steps
        return state, done, 0

    def better(self, rank: float, step: int) -> bool:
        """Keeps the best so far; whether this is it."""
        if not math.isfinite(rank):
            raise self.diverged(f"the selecting part's {self.select_by} is {rank} after step {step}")
        if self.progress["best"] is None or rank > self.progress["best"]:
            self.progress |= {"best": rank, "best_step": step, "wait": 0}
            return True
        self.progress["wait"] += 1
        return False

    def diverged(self, what: str) -> BadInput:
        """The error for numbers that are not finite."""
        kept = self.checkpoints.last()
        kept = "no checkpoint was saved yet" if kept is None else f"the last good checkpoint is step {kept}"
        return BadInput(f"{what}; {kept} in {self.workdir}; {self.advice()}")

    def _calls(self, batches: Iterator[dict], done: int) -> Iterator[tuple]:
        """(steps, what the compiled step takes) of each call; none goes past a step that is due."""
        several = self.devices.processes > 1
        while done < self.steps:
            room = range(done + 1, min(done + self.steps_per_call, self.steps) + 1)
            room = room[: next((i for i, step in enumerate(room, 1) if self._due(step)), len(room))]
            found = list(itertools.islice(batches, len(room)))
            done = room[-1]
            if several:  # all must stop at the same step: who was told tells the others
                for batch in found:
                    batch["stop"] = np.full(len(batch["mask"]), bool(self.signals.caught))
            yield room, found if self.steps_per_call > 1 else found[0]

    def _due(self, step: int) -> bool:
        """Whether a checkpoint is written there."""
        return self._looks_after(step) or bool(self.every_steps and step % self.every_steps == 0)

    def _looks_after(self, step: int) -> bool:
        """Whether an epoch ends there after which the selecting part is looked at; the last one always is."""
        epoch, rest = divmod(step, self.steps_per_epoch)
        return not rest and (epoch % self.select_every == 0 or step == self.steps)

    def _told(self, finished: list) -> int:
        """The signal to stop for, or 0; the same for every process of a run."""
        if self.devices.processes == 1:
            return self.signals.caught
        told = any(np.max(sums["stop"][0]) > 0 for _, sums in finished)
        return (self.signals.caught or signal.SIGTERM) if told else 0

    def _look(self, finished: list, log) -> None:
        """Progress of the steps that are done; stops at a loss that is not finite."""
        for steps, sums in finished:
            losses, counts = (np.atleast_1d(a).tolist() for a in sums["loss"])
            for step, loss in zip(steps, losses, strict=False):
                if not math.isfinite(loss):
                    raise self.diverged(f"the loss is {loss} at step {step}")
            log.step(step, loss / max(counts[len(steps) - 1], 1e-9), self.log_every, self.batch_size)


def steps_per_call(asked: int, platform: str) -> int:
    """Steps of one call: what parallel.steps_per_call asks; 0 leaves it to the platform ("cpu", "gpu")."""
    return asked or (1 if platform == "cpu" else STEPS_PER_CALL)
