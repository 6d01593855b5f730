"""What all studies share: which sets are there, what a cell rests on and keeps, figures, tables."""

import hashlib
import os
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from ml_collections import ConfigDict

from data_pipelines import BadInput, arrays, labels
from ferjax import across, metrics, results
from ferjax import config as config_lib


def facts(c: ConfigDict) -> dict:
    """What of a training's config decides what it learns: keys that differ from their defaults.

    Where files lie is not of it (hashes say what was read), nor what it is called.
    """
    plain = config_lib.flatten(config_lib.to_json(config_lib.default()))
    free = (*config_lib.FREE_ON_RESUME, "transfer.workdir")
    return {
        key: value
        for key, value in config_lib.flatten(config_lib.to_json(c)).items()
        if key not in free
        and not key.startswith(("checkpoint.", "attribute.", "parallel."))
        and value != plain.get(key)
    }


def hashes(parts: arrays.Parts) -> dict[str, str]:
    """What a cell's data are: of each part its Split.hash, which leaves people out, and one of its people."""
    out = {}
    for part in ("train", "select", "test"):
        split = getattr(parts, part)
        people = "\n".join(split.subject.tolist()).encode()
        out |= {part: split.hash, f"{part}/subjects": hashlib.sha256(people).hexdigest()}
    return out


def need(key: str, value, ok: bool, rule: str) -> None:
    """BadInput, naming a study's key, where its value cannot be."""
    if not ok:
        raise BadInput(f"config key {key} is {value!r}; it must be {rule}")


def check(c: ConfigDict) -> None:
    """BadInput where a study's own keys, those that all studies have, cannot be."""
    if not c.sets:
        raise BadInput(f"study {c.name} has no sets")
    need("seeds", c.seeds, c.seeds >= 1, "at least 1")
    need(
        "bootstrap", c.bootstrap, c.bootstrap == 0 or c.bootstrap >= 100, "0 (no intervals), or at least 100"
    )


def check_map(c: ConfigDict) -> None:
    """BadInput where a study's `map`, emotions by name, cannot be read."""
    try:
        labels.label_map(c.map)
    except BadInput as e:
        raise BadInput(f"config key map, which is as {e}") from None


def check_training(key: str, c: ConfigDict, task: str = "emotion") -> None:
    """BadInput, naming the key, where one of a study's trainings cannot be, or is of another task."""
    try:
        config_lib.check(c)
    except BadInput as e:
        raise BadInput(f"{key}: {e}") from None
    need(f"{key}.task", c.task, c.task == task, f"{task} in this study")


def not_on_disk(data: ConfigDict, key: str) -> str:
    """Why a set, `key` in the study, leaves a gap; "" where it is there, or was not to be read from files."""
    module = None if data.name == "npz" else arrays.data_set({"name": data.name})[0]
    if module is not None and "dir" not in module.OPTIONS:
        return ""
    if not data.dir:
        return f"{key}: no folder was named (--dir {key}=FOLDER)"
    if not pathlib.Path(data.dir).expanduser().exists():
        return f"{key}: {data.dir} is not there"
    return ""


def gaps(c: ConfigDict) -> dict[str, str]:
    """Set -> why it leaves a gap, of a study whose sets have a `source`.

    Raises:
      BadInput: not one of them is on disk.
    """
    out = {name: not_on_disk(one.source.data, name) for name, one in c.sets.items()}
    out = {name: why for name, why in out.items() if why}
    if len(out) == len(c.sets):
        raise BadInput(f"study {c.name}: not one set is on disk; {'; '.join(out.values())}")
    return out


def remarks(data: ConfigDict) -> tuple[str, ...]:
    """What keeps figures on this copy of a set from being comparable with published ones, a line each."""
    out = []
    module = None if data.name == "npz" else arrays.data_set({"name": data.name})[0]
    if module is not None and hasattr(module, "check"):
        rows = module.check(str(pathlib.Path(data.dir).expanduser()))
        off = [f"{what} {n:,} for {known:,}" for what, n, known in rows if known not in (None, n)]
        if off:
            out.append(
                f"not the set as published: {', '.join(off[:3])}" + (" and more" if len(off) > 3 else "")
            )
    if module is not None and "dir" not in module.OPTIONS:
        out.append("drawn faces; no paper reports on them")
    if data.limit:
        out.append(f"at most {data.limit:,} images of each part")
    return tuple(out)


def kept(paths: Sequence[pathlib.Path], workdir) -> dict:
    """What a cell keeps of its evaluation: its files, named from the workdir on."""
    found = {"results": [os.path.relpath(path, workdir) for path in paths]}
    return found | {"files": [*found["results"], os.path.relpath(_predictions(paths[0]), workdir)]}


def kept_results(workdir, found: Mapping) -> list[dict]:
    """The results that a cell kept."""
    return [results.read_result(pathlib.Path(workdir) / path) for path in found["results"]]


def kept_predictions(workdir, found: Mapping) -> pathlib.Path:
    """The predictions beside the first of them."""
    return _predictions(pathlib.Path(workdir) / found["results"][0])


def _predictions(path: pathlib.Path) -> pathlib.Path:
    return path.with_name(f"{path.stem}_predictions.csv")


def pooled(files: Sequence, classes: Sequence[str], bootstrap: int, seed: int = 0) -> metrics.Scores:
    """Scores over seeds: predictions of all networks pooled, resampled by subject, or by image without one.

    All of a subject's (or image's) predictions by all networks move together.
    """
    parts = [across.read_predictions(pathlib.Path(f), classes) for f in files]
    ids, subject, label, p = (np.concatenate(column) for column in zip(*parts, strict=True))
    groups = np.where(subject == "", np.char.add("image ", ids), subject) if len(parts) > 1 else subject
    scores = metrics.classification(label, p, classes, groups, bootstrap, seed)
    if not (subject != "").any():
        scores.interval["over"] = "image"  # which stood in for subjects
    return scores


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def span(e: metrics.Estimate, digits: int = 3, scale: float = 1.0) -> str:
    """ "0.712 [0.690, 0.733]"; without an interval the value alone."""
    text = f"{scale * e.value:.{digits}f}"
    if np.isfinite(e.low) and np.isfinite(e.high):
        text += f" [{scale * e.low:.{digits}f}, {scale * e.high:.{digits}f}]"
    return text
