"""One experiment of many trainings, from its config file to its tables: what `ferjax reproduce` runs."""

import dataclasses
import gc
import pathlib
from collections.abc import Callable, Sequence

import jax
from ml_collections import ConfigDict

from data_pipelines import BadInput
from ferjax import au_study, au_tables, cross_dataset, cross_tables, kfold, protocols
from ferjax import config as config_lib
from ferjax.micro import study as micro_study
from ferjax.micro import tables as micro_tables
from ferjax.ops.memory import keep_freed_memory
from ferjax.protocols import span
from ferjax.saliency import study as saliency_study
from ferjax.saliency import tables as saliency_tables
from ferjax.weighted import study as weighted_study
from ferjax.weighted import tables as weighted_tables


def load(path: str, overrides: Sequence[str] = (), dirs: Sequence[str] = ()) -> ConfigDict:
    """A study's config file, with overrides and the folders of its sets.

    Args:
      path: a Python file whose get_config() gives a study, such as experiments/breuer2017/cross_dataset.py.
      overrides: "sets.ck_plus.source.train.epochs=5" and the like.
      dirs: "ck_plus=/path" and the like, where the files of a set are.
    Raises:
      BadInput: no such file, key or set, or a file that holds no study.
    """
    c = config_lib.read_file(path)
    if "study" not in c:
        raise BadInput(f"{path} holds one training and no study; give it to ferjax train")
    for text in overrides:
        key = text.partition("=")[0]
        if key.partition(".")[0] not in c:
            raise BadInput(f"unknown config key {key}; this study has {', '.join(sorted(c))}")
    with c.unlocked():
        config_lib.apply_overrides(c, overrides)
        for text in dirs:
            name, equals, folder = text.partition("=")
            if not equals or name not in c.get("sets", {}):
                raise BadInput(
                    f"--dir {text}: write NAME=FOLDER with one of {', '.join(c.get('sets', {})) or 'no set'}"
                )
            c.sets[name].source.data.dir = folder
    return c


def reproduce(
    c: ConfigDict, workdir: str, say: Callable[[str], None], budget: bool = True
) -> tuple[pathlib.Path | None, int]:
    """Runs a study, or goes on with it.

    Args:
      c: as `load` gives it.
      workdir: W.
      say: takes a line of progress.
      budget: whether it is measured first how long the rest will take.
    Returns:
      (the folder of its tables, 0), or (None, 128 + signal) where a signal stopped it.
    Raises:
      BadInput: an unknown study, unusable data, another study in the workdir.
    """
    keep_freed_memory()
    if c.study not in STUDIES:
        raise BadInput(f"study {c.study!r} is unknown; there are {', '.join(STUDIES)}")
    make, write = STUDIES[c.study]
    study = make(c, workdir)
    for gap in study.gaps.values():
        say(f"gap: {gap}")
    say(study.about())
    cells = study.cells()
    done = protocols.finished(workdir, cells, say)
    if len(done) < len(cells) and budget:
        say("measuring this machine's speed for the time budget")
        cells = study.cells(study.speeds())
        left = [cell for cell in cells if cell.name not in done]
        total = span(sum(cell.seconds for cell in left))
        say(f"time budget: {len(left)} of {len(cells)} cells are left, about {total} one after the other")
        for kind in dict.fromkeys(cell.name.split("/")[0] for cell in left):
            of = [cell for cell in left if cell.name.startswith(f"{kind}/")]
            say(f"  {kind}: {len(of)} cells, about {span(sum(cell.seconds for cell in of))}")
    done, status = protocols.run_cells(workdir, [_lean(cell) for cell in cells], say)
    if status:
        say(f"stopped with {len(done)} of {len(cells)} cells finished; the same command goes on from there")
        return None, status
    return write(study, done), 0


def _lean(cell: protocols.Cell) -> protocols.Cell:
    """The cell, after which the programs compiled for it go: else memory grows by 0.4 GB a training."""

    def run(folder):
        try:
            return cell.run(folder)
        finally:
            jax.clear_caches()
            gc.collect()

    return dataclasses.replace(cell, run=run)


STUDIES = {
    "cross_dataset": (cross_dataset.Study, cross_tables.write),
    "au_detection": (au_study.Study, au_tables.write),
    "kfold": (kfold.Study, kfold.write),
    "micro_expression": (micro_study.Study, micro_tables.write),
    "saliency_training": (saliency_study.Study, saliency_tables.write),
    "weighted_faces": (weighted_study.Study, weighted_tables.write),
}
"""c.study -> (what its cells are, what writes its tables)."""
