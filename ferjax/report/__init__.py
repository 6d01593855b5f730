"""A workdir as one page to read: reads files only, computes nothing new, imports no model code and no JAX."""

import pathlib

from data_pipelines import BadInput
from ferjax import files, results
from ferjax.report import study_page
from ferjax.report.explorer import write_explorer, write_explorers
from ferjax.report.page import page

__all__ = ["write_explorer", "write_report"]


def write_report(workdir, faces: bool = True) -> pathlib.Path:
    """Writes W/report/index.html, one file that opens from disk and loads nothing.

    Beside it W/report/attribution-<data>.html of every attribution in the workdir (see `write_explorer`).

    A study of many trainings (study.json) gets a page of its own kind, see `study_page`.

    The same files give the same page, byte for byte. A file that is missing or broken is named there.

    Args:
      workdir: W.
      faces: False embeds no picture of a face, and the page says so.
    Returns:
      The page's path.
    Raises:
      BadInput: no such folder, nothing of a run in it, or the page cannot be written.
    """
    path = pathlib.Path(workdir)
    if not path.is_dir():
        raise BadInput(f"{path}: no such workdir; give the --workdir of a training")
    out = path / "report" / "index.html"
    if (path / "study.json").exists():
        files.write(out, study_page.page(path / "study.json", faces).encode())
        return out
    said = results.read_workdir(path, strict=False)
    if not any(said[key] for key in ("config", "run", "metrics", "timing", "results")):
        raise BadInput(
            f"{path}: nothing of a run in it (config.json, run.json, metrics.jsonl, results/*.json)"
        )
    files.write(out, page(path, said, faces, write_explorers(path, faces)).encode())
    return out
