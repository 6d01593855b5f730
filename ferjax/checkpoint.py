"""The only room that imports Orbax: what is saved, when it goes away, how it comes back.

A checkpoint `W/checkpoints/<step>` holds `params` (the weights), `ema` (their average, where that is on), `rest`
(optimizer, counters, running sums) and `progress` (JSON: best so far, plateau counters). Orbax writes into a
temporary folder and renames it, so that one killed half-way is never taken for a whole one.
"""

import logging
import pathlib

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers as policies

from data_pipelines import BadInput

logging.getLogger("absl").setLevel(logging.ERROR)  # Orbax tells a page about each save


class Checkpoints:
    """The checkpoints of one workdir.

    Args:
      workdir: the run's folder.
      keep: latest ones kept; the best by validation is kept beside them.
      read_only: never write, for evaluation.
    """

    def __init__(self, workdir, keep: int = 1, read_only: bool = False):
        self.folder = pathlib.Path(workdir).absolute() / "checkpoints"
        keep_policy = policies.AnyPreservationPolicy(
            [
                policies.LatestN(n=keep),
                policies.BestN(n=1, get_metric_fn=_rank, keep_checkpoints_without_metrics=False),
            ]
        )
        options = ocp.CheckpointManagerOptions(
            preservation_policy=keep_policy,
            best_fn=_rank,
            cleanup_tmp_directories=not read_only,
            read_only=read_only,
            create=not read_only,
        )
        handlers = {name: ocp.StandardCheckpointHandler() for name in ("params", "ema", "rest")}
        self.manager = ocp.CheckpointManager(
            self.folder, options=options, item_handlers={**handlers, "progress": ocp.JsonCheckpointHandler()}
        )

    def last(self) -> int | None:
        """The newest complete step, or None."""
        return self.manager.latest_step()

    def steps(self) -> list[int]:
        """All complete steps."""
        return list(self.manager.all_steps())

    def save(self, step: int, state: dict, progress: dict, rank: float | None) -> None:
        """Starts writing one checkpoint; returns once the state has been copied.

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
        with self._writing(step):
            self.manager.save(step, args=args, metrics=metrics, force=True)

    def wait(self) -> None:
        """Blocks until what was saved is on disk; raises as `save`."""
        with self._writing(None):
            self.manager.wait_until_finished()

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
            return self.manager.restore(step, args=ocp.args.Composite(progress=ocp.args.JsonRestore()))[
                "progress"
            ]

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
            return self.manager.restore(
                step, args=ocp.args.Composite(**{name: ocp.args.StandardRestore(whole)})
            )[name]

    def close(self) -> None:
        """Waits and lets go of threads."""
        self.manager.close()

    def _same_model(self, step, params) -> None:
        with self._reading(step):
            saved = _shapes(self.manager.item_metadata(step)["params"])
        wanted = _shapes(params)
        for name in sorted(saved.keys() | wanted.keys()):
            if saved.get(name) != wanted.get(name):
                raise BadInput(
                    f"checkpoint {self.folder / str(step)} is of another model: {name} is "
                    f"{saved.get(name, 'absent')} there and {wanted.get(name, 'absent')} in this config's network"
                )

    def _reading(self, step):
        return _Translate(
            lambda e: f"checkpoint {self.folder / str(step)} cannot be read: {e}; give another step"
        )

    def _writing(self, step):
        def words(e):
            what = "a checkpoint" if step is None else f"checkpoint {step}"
            kept = self.last()
            kept = "none is complete yet" if kept is None else f"the last complete one is step {kept}"
            return f"could not write {what} under {self.folder}: {e}; free some space there or mend its rights ({kept})"

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
