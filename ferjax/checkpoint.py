"""The only room that imports Orbax: what is saved, when it goes away, how it comes back.

A checkpoint `W/checkpoints/<step>` holds `params` (the weights), `ema` (their average, where that is on),
`rest` (optimizer, counters, running sums) and `progress` (JSON: best so far, plateau counters). Each is made
and unmade by a rename: written into a temporary folder first, moved to `old/` before it is deleted. So a
folder that has a step's name is whole, wherever a run was killed.
"""

import logging
import pathlib
import shutil
import sys

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers as policies

from data_pipelines import BadInput

# Orbax tells a page about each save, and with tracebacks what is raised here as one line
logging.getLogger("absl").addFilter(lambda record: "orbax" not in record.pathname)

# and asyncio, when they are collected, of the other writes that failed with the first
logging.getLogger("asyncio").addFilter(lambda record: "was never retrieved" not in record.getMessage())

OLD = "old"  # checkpoints on their way out
UNFINISHED = ".orbax-checkpoint-tmp"  # in the names of those that are being written


def _unraisable(said, others=sys.unraisablehook) -> None:
    """Drops what tensorstore says, in a traceback, of a loop that Orbax closed when another write failed."""
    if str(said.exc_value) != "Event loop is closed":
        others(said)


sys.unraisablehook = _unraisable


class Checkpoints:
    """The checkpoints of one workdir.

    Args:
      workdir: the run's folder.
      keep: latest ones kept; the best by validation is kept beside them.
      read_only: never write, for evaluation.
      main: whether this process deletes (the first of several).
    Raises:
      BadInput: the folder cannot be read or written.
    """

    def __init__(self, workdir, keep: int = 1, read_only: bool = False, main: bool = True):
        self.folder = pathlib.Path(workdir).absolute() / "checkpoints"
        self.read_only, self.sweeps = read_only, main and not read_only
        keep_policy = policies.AnyPreservationPolicy(
            [
                policies.LatestN(n=keep),
                policies.BestN(n=1, get_metric_fn=_rank, keep_checkpoints_without_metrics=False),
            ]
        )
        options = ocp.CheckpointManagerOptions(
            preservation_policy=keep_policy,
            best_fn=_rank,
            read_only=read_only,
            create=not read_only,
            todelete_subdir=None if read_only else OLD,
        )
        handlers = {name: ocp.StandardCheckpointHandler() for name in ("params", "ema", "rest")}
        handlers["progress"] = ocp.JsonCheckpointHandler()
        self._sweep(f"*{UNFINISHED}*")
        with _Translate(lambda e: f"checkpoints in {self.folder} cannot be opened: {e}; mend its rights"):
            self.manager = ocp.CheckpointManager(self.folder, options=options, item_handlers=handlers)

    def last(self) -> int | None:
        """The newest step, perhaps still being written, or None."""
        return self.manager.latest_step()

    def steps(self) -> list[int]:
        """All complete steps, in order."""
        return sorted(self.manager.all_steps())

    def save(self, step: int, state: dict, progress: dict, rank: float | None) -> None:
        """Starts writing one checkpoint; returns once the state has been copied, or cannot change any more.

        Args:
          step: its name.
          state: {"params", "rest"} and perhaps "ema", pytrees of global arrays.
          progress: JSON.
          rank: larger is better, None where nothing was evaluated at this step.
        Raises:
          BadInput: this one or the one before could not be written (disk full, not writable).
        """
        items = {name: ocp.args.StandardSave(tree) for name, tree in state.items()}
        args = ocp.args.Composite(**items, progress=ocp.args.JsonSave(progress))
        metrics = None if rank is None else {"rank": float(rank), "step": step}
        self.wait()  # the one before may have failed
        with self._writing(step):
            self.manager.save(step, args=args, metrics=metrics, force=True)

    def wait(self) -> None:
        """Blocks until what was saved is on disk; raises as `save`."""
        with self._writing(None):
            self.manager.wait_until_finished()
        self._sweep()

    def _sweep(self, unfinished: str = "") -> None:
        if self.sweeps:
            for folder in [self.folder / OLD, *(self.folder.glob(unfinished) if unfinished else ())]:
                shutil.rmtree(folder, ignore_errors=True)

    def restore(self, step: int, like: dict) -> tuple[dict, dict]:
        """State and progress of a step, on the devices of `like` (arrays that give shape, type and place).

        Raises:
          BadInput: the checkpoint is of another model or cannot be read.
        """
        self._same_model(step, like["params"])
        args = {name: ocp.args.StandardRestore(tree) for name, tree in like.items()}
        with self._reading(step):
            out = self.manager.restore(step, args=ocp.args.Composite(**args, progress=ocp.args.JsonRestore()))
        return {name: out[name] for name in like}, out["progress"]

    def progress(self, step: int) -> dict:
        """The JSON part of a step."""
        with self._reading(step):
            out = self.manager.restore(step, args=ocp.args.Composite(progress=ocp.args.JsonRestore()))
        return out["progress"]

    def weights(self, step: int, like: dict) -> dict:
        """The weights that evaluation uses: the average where the run kept one.

        Args:
          step: which checkpoint.
          like: pytree of arrays or shapes of the model that is to take them.
        Raises:
          BadInput: the checkpoint is of another model or cannot be read.
        """
        self._same_model(step, like)
        name = "ema" if (self.folder / str(step) / "ema").is_dir() else "params"
        whole = jax.tree.map(lambda a: np.zeros(a.shape, a.dtype), like)
        with self._reading(step):
            args = ocp.args.Composite(**{name: ocp.args.StandardRestore(whole)})
            return self.manager.restore(step, args=args)[name]

    def all_weights(self, step: int) -> dict:
        """The weights that evaluation uses, whatever their network: part -> name -> array, on the host.

        Raises:
          BadInput: the checkpoint cannot be read.
        """
        with self._reading(step):
            saved = self.manager.item_metadata(step)["params"]
            like = jax.tree.map(lambda a: jax.ShapeDtypeStruct(tuple(a.shape), a.dtype), dict(saved.items()))
        return self.weights(step, like)

    def close(self) -> None:
        """Waits and lets go of threads. Does not raise: what went wrong is what `wait` raises."""
        try:
            self.manager.close()
        except Exception as e:
            logging.getLogger(__name__).debug("closing checkpoints: %s", e)

    def _same_model(self, step, params) -> None:
        with self._reading(step):
            saved = _shapes(self.manager.item_metadata(step)["params"])
            if not saved:
                raise ValueError("there are no weights in it")
        wanted = _shapes(params)
        for name in sorted(saved.keys() | wanted.keys()):
            if saved.get(name) != wanted.get(name):
                there, here = saved.get(name, "absent"), wanted.get(name, "absent")
                raise BadInput(
                    f"checkpoint {self.folder / str(step)} is of another model: {name} is {there} there and "
                    f"{here} in this config's network; use the config.json that it was trained with"
                )

    def _on_disk(self) -> list[int]:
        return sorted(int(p.name) for p in self.folder.glob("[0-9]*") if p.name.isdigit())

    def _reading(self, step):
        def words(e):
            others = [s for s in self._on_disk() if s != step]
            if self.read_only:
                listed = ", ".join(map(str, others))
                mend = f"give another --checkpoint: {listed or 'there is none; train again'}"
            else:
                then = f"go on from step {others[-1]}" if others else "start anew"
                mend = f"delete that folder, and the same command will {then}"
            return f"checkpoint {self.folder / str(step)} cannot be read: {e}; {mend}"

        return _Translate(words)

    def _writing(self, step):
        def words(e):
            what = "a checkpoint" if step is None else f"checkpoint {step}"
            kept = self._on_disk()
            kept = f"the last complete one is step {kept[-1]}" if kept else "none is complete yet"
            mend = "free some space there or mend its rights, and give the same command again"
            return f"could not write {what} under {self.folder}: {e}; {kept}; {mend}"

        return _Translate(words)


class _Translate:
    """Turns Orbax's and the file system's errors into one line."""

    def __init__(self, words):
        self.words = words

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if error is not None and isinstance(error, Exception) and not isinstance(error, BadInput):
            line = " ".join(str(error).split())
            raise BadInput(self.words(line[:300] or type(error).__name__)) from error
        return False


def _rank(metrics) -> tuple[float, float]:
    return (metrics["rank"], -metrics["step"])  # of equals, the earliest


def _shapes(tree) -> dict[str, tuple]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): tuple(leaf.shape) for path, leaf in leaves
    }
