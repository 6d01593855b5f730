"""W/study.json: what the report's page of a study is made of."""

import pathlib
from collections.abc import Mapping, Sequence

from ferjax import files
from ferjax.results import git_revision, now, versions

SCHEMA = "ferjax/study/1"


def write(
    workdir,
    name: str,
    legend: str,
    tables: Sequence[Mapping],
    *,
    matrices: Sequence[Mapping] = (),
    charts: Sequence[Mapping] = (),
    remarks: Sequence[str] = (),
    gaps: Sequence[str] = (),
    cells: Mapping[str, Mapping],
    clips: Sequence[str] = (),
    pictures: Sequence[Mapping] = (),
) -> None:
    """Writes W/study.json, what the report's page of a study is made of; see `report.study_page`.

    Args:
      workdir: W.
      name: of the study.
      legend: how to read its figures.
      tables: {"title", "head", "rows"} each, all text.
      matrices: {"title", "corner", "rows", "columns", "cells"} each.
      charts: {"title", "series", "rows": [(name, [(value, low, high), ...])]} each, from 0 to 1.
      remarks: sentences on the sets.
      gaps: what was left out, and why.
      cells: name -> {"seconds", "created"}.
      clips: .npz files below the workdir whose clips are shown; see `report.strips`.
      pictures: {"file", "title", "faces"} each: PNGs below the workdir, and whether faces are on them.
    """
    said = {"schema": SCHEMA, "name": name, "created": now(), "git_revision": git_revision()}
    said |= {"versions": versions(), "legend": legend, "remarks": list(remarks), "gaps": list(gaps)}
    said |= {
        "matrices": list(matrices),
        "charts": list(charts),
        "tables": list(tables),
        "cells": dict(cells),
        "clips": list(clips),
        "pictures": list(pictures),
    }
    files.write(pathlib.Path(workdir) / "study.json", files.json_bytes(files.plain(said)))
