"""A run's folder while it is being written: lock, refusal, signals, metric lines, progress."""

import contextlib
import fcntl
import json
import os
import pathlib
import signal
import sys
import time
from collections.abc import Iterator

from ml_collections import ConfigDict
from tqdm import tqdm

from data_pipelines import BadInput, arrays
from ferjax import compiled, files, results
from ferjax import config as config_lib
from ferjax.board import Board
from ferjax.parallel import InFlight

WAITS = 0.1  # of the time waited for input, from which on the progress line says so
SAME_SIGNAL = 1.0  # seconds within which a second signal is the first one, told twice


def open_workdir(path: str) -> pathlib.Path:
    """Makes the folder; BadInput where that cannot be, or where it cannot be written to."""
    if "://" in str(path):
        raise BadInput(
            f"workdir {path} is an object store's, which has no locks and no renames; give a folder, and "
            f"--mirror {path} to have it copied there as it grows (docs/launch.md)"
        )
    folder = pathlib.Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".write-{os.getpid()}"
        try:
            probe.write_bytes(b"\0" * 4096)
        finally:
            probe.unlink(missing_ok=True)
    except OSError as e:
        raise BadInput(f"workdir {folder} cannot be written: {e.strerror}; choose another --workdir") from e
    return folder


@contextlib.contextmanager
def lock(workdir: pathlib.Path):
    """Holds the workdir for this process; the lock goes with the process, however it ends."""
    with open(workdir / ".lock", "w") as f:
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as e:
            raise BadInput(
                f"workdir {workdir} is in use by another ferjax; wait for it or choose another"
            ) from e
        yield


def split_hashes(parts: arrays.Parts) -> dict[str, str]:
    """{part: hash} of train, select and test."""
    return {name: getattr(parts, name).hash for name in ("train", "select", "test")}


def same_or_refuse(workdir: pathlib.Path, config: ConfigDict, parts: arrays.Parts) -> None:
    """BadInput where the workdir was begun with another config or other data, naming what differs."""
    saved = results.read_workdir(workdir)
    if not saved["config"]:
        if any((workdir / "checkpoints").glob("[0-9]*")):
            raise BadInput(
                f"workdir {workdir} has checkpoints and no config.json; put it back or choose another workdir"
            )
        return
    differing = config_lib.differences(saved["config"], config_lib.to_json(config))
    if differing:
        words = ", ".join(f"{key} (there {old!r}, now {new!r})" for key, old, new in differing)
        raise BadInput(
            f"workdir {workdir} was begun with another config: {words}; use a new --workdir, go back, or, if "
            f"that run is not needed, rm -r {workdir}"
        )
    old = saved["run"].get("split_hashes", {})
    changed = [name for name, new in split_hashes(parts).items() if old.get(name, new) != new]
    if changed:
        raise BadInput(
            f"workdir {workdir} was begun on other data: {', '.join(changed)} changed; use a new --workdir"
        )


def describe(
    workdir: pathlib.Path, config: ConfigDict, parts: arrays.Parts, devices, task, begun: dict | None = None
) -> None:
    """Writes the workdir's description of itself; `begun` says whose weights a new training started from."""
    begun = begun or results.read_workdir(workdir)["run"].get("started_from", {})
    results.describe_run(
        workdir,
        config_lib.to_json(config),
        split_hashes(parts),
        devices.describe(),
        image_shape=list(parts.train.image.shape[1:]),
        selection=parts.selection,
        findings=list(parts.findings),
        classes=list(parts.train.classes),
        sizes={name: len(getattr(parts, name)) for name in ("train", "select", "test")},
        task=task.kind,
        **({"au_names": list(task.names)} if task.kind == "aus" else {}),
        **({"started_from": begun} if begun else {}),
    )


def say(text: str) -> None:
    """A line for the person who watches, above the progress bar."""
    tqdm.write(text, file=sys.stderr)


class Signals:
    """Catches SIGTERM and Ctrl-C; a second one, a second or more later, ends the process as usual.

    Sooner than that it is the same one: a cluster tells every process of a job, a parent its child.

    While a run is set up there is nothing to save, and a signal raises KeyboardInterrupt with its number at
    once. After `defer` it is only noted in `caught`, for the loop to save and stop.
    """

    def __enter__(self):  # noqa: D105
        self.caught, self.deferred = 0, False
        self.before = {s: signal.signal(s, self._catch) for s in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_):  # noqa: D105
        self._restore()

    def defer(self) -> None:
        """From here on the loop looks at `caught`."""
        self.deferred = True

    def _catch(self, number, _frame):
        first, now = not self.caught, time.monotonic()
        if first:
            self.caught, self.since = number, now
        if not self.deferred:
            self._restore()
            raise KeyboardInterrupt(number)
        if not first and now - self.since > SAME_SIGNAL:
            self._restore()
            os.kill(os.getpid(), number)

    def _restore(self):
        for s, handler in self.before.items():
            signal.signal(s, handler)


class Log:
    """metrics.jsonl, timing.jsonl, TensorBoard events and the progress bar.

    metrics.jsonl holds nothing that depends on the clock, and is cut back to the restored step, so that a
    resumed run leaves the same bits as an uninterrupted one.

    Args:
      workdir: the run's folder.
      done: steps already done; lines of later steps are removed.
      steps: of the whole run.
      steps_per_epoch: for the epoch shown.
      main: False writes and shows nothing (other processes of the run).
    Raises:
      BadInput: on entering and in every method: a file cannot be written.
    """

    def __init__(self, workdir: pathlib.Path, done: int, steps: int, steps_per_epoch: int, main: bool = True):
        self.workdir, self.steps, self.steps_per_epoch, self.main = workdir, steps, steps_per_epoch, main
        self.done, self.mark, self.clock = done, done, None
        self.waited, self.mend = 0.0, ""

    def __enter__(self):  # noqa: D105
        if not self.main:
            return self
        self.files = {}
        for name in ("metrics.jsonl", "timing.jsonl"):
            files.cut_back(self.workdir / name, self.done)
            self.files[name] = files.Appended(self.workdir / name)
        self.board = Board(self.workdir / "tensorboard", self.done + 1)
        shown = sys.stderr.isatty()
        self.bar = tqdm(
            total=self.steps, initial=self.done, unit="step", disable=not shown, dynamic_ncols=True
        )
        self.plain = not shown
        return self

    def __exit__(self, *_):  # noqa: D105
        if self.main:
            self.bar.close()
            self.board.close()
            for f in self.files.values():
                f.close()

    def say(self, text: str) -> None:
        """A line for the person who watches."""
        if self.main:
            say(text)

    def timed(self, batches: Iterator, queue: InFlight, mend: str = "") -> Iterator:
        """The batches; notes how long each kept the devices waiting, for the next line of progress.

        A wait counts where nothing was left in the queue when the batch came; while the devices still work
        on earlier steps it costs nothing.

        Args:
          batches: yields the loop's batches.
          queue: the loop's steps in flight.
          mend: what to do about it, in words.
        """
        self.mend = mend
        while True:
            begin = time.monotonic()
            batch = next(batches, None)
            if queue.idle():
                self.waited += time.monotonic() - begin
            if batch is None:
                return
            yield batch

    def step(self, step: int, loss: float, every: int, batch_size: int) -> None:
        """Moves the bar; every so many steps says how fast it goes, when it ends, what input costs."""
        if not self.main:
            return
        self.bar.update(step - self.bar.n)
        now = time.monotonic()
        if self.clock is None:  # the first step compiles
            self.mark, self.clock, self.waited = step, now, 0.0
        elif step - self.mark >= every:
            seconds = now - self.clock
            self._speed(step, loss, (step - self.mark) / seconds, batch_size, min(1.0, self.waited / seconds))
            self.mark, self.clock, self.waited = step, now, 0.0

    def metrics(self, line: dict) -> None:
        """One line of metrics.jsonl, its TensorBoard scalars, and a line to read."""
        if not self.main:
            return
        self._append("metrics.jsonl", line)
        numbers = {k: v for k, v in line.items() if isinstance(v, float)}
        words = "  ".join(f"{k} {v:.4g}" for k, v in numbers.items())
        self.say(f"epoch {line['epoch']:>3}  {line['split']:<6}  {words}")
        self.board.write({f"{line['split']}/{k}": v for k, v in numbers.items()}, line["step"])
        if line["split"] == "select":
            times = {"time": round(time.time(), 1), "compiling_s": round(compiled.seconds(), 2)}
            self._append("timing.jsonl", {"step": line["step"], "epoch": line["epoch"], **times})
        self.clock = None if line["split"] == "select" else self.clock

    def _speed(self, step: int, loss: float, rate: float, batch_size: int, waited: float) -> None:
        left = (self.steps - step) / rate
        images = rate * batch_size
        eta = f"{int(left // 3600)}:{int(left // 60 % 60):02d}:{int(left % 60):02d}"
        line = {"step": step, "images_per_s": round(images, 1), "time": round(time.time(), 1)}
        self._append("timing.jsonl", line | {"input_wait": round(waited, 3)})
        self.board.write({"speed/images_per_s": images, "speed/input_wait": waited}, step)
        said = [f"loss {loss:.3f}", f"{images:.0f} images/s", f"{eta} left"]
        if waited > WAITS:
            share = f"input {100 * waited:.0f} % of the time"
            said.append(f"{share}: {self.mend}" if self.mend else share)
        self.bar.set_postfix_str(", ".join(said))
        if self.plain:
            self.say("  ".join([f"step {step}/{self.steps}", *said]))

    def _append(self, name: str, line: dict) -> None:
        self.files[name].write(json.dumps(line).encode() + b"\n")
