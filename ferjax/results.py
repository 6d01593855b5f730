"""The one result schema, and how a workdir describes itself. docs/results.md shows an example of each file.

Reads and writes files only: no JAX, no model.
"""

from __future__ import annotations

import datetime
import difflib
import functools
import hashlib
import importlib.metadata
import json
import math
import pathlib
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence

import numpy as np

from data_pipelines import BadInput
from ferjax import files, human

SCHEMA, RUN_SCHEMA = "ferjax/result/1", "ferjax/run/1"
PACKAGES = ("ferjax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "ml-collections",
            "tensorflow", "tensorflow-cpu", "tensorflow-datasets")  # fmt: skip

PLACES = ("data.dir", "data.cache_dir", "evaluate.human")  # keys of a config that say where files lie

_NUMBER, _TEXT = (int, float), (str,)
_FIELDS = {  # key -> (allowed types, may it be null)
    "schema": (_TEXT, False),
    "name": (_TEXT, False),
    "metrics": ((dict,), False),
    "interval": ((dict,), False),
    "confusion": ((list,), True),
    "classes": ((list,), True),
    "split": (_TEXT, False),
    "split_hash": (_TEXT, False),
    "config_hash": (_TEXT, False),
    "selected_on": (_TEXT, False),
    "checkpoint_step": ((int,), True),
    "git_revision": (_TEXT, False),
    "versions": ((dict,), False),
    "seed": ((int,), True),
    "wall_time_s": (_NUMBER, True),
    "device": (_TEXT, False),
    "views": ((int,), False),
    "created": (_TEXT, False),
    "notes": ((list,), False),
}
_OPTIONAL = {"human": human.check}  # key -> check(value, where)
_METRIC = {"value": True, "low": True, "high": True, "n": False}  # key -> may it be null
_INTERVAL = {"level": _NUMBER, "over": _TEXT, "units": (int,), "method": _TEXT}


def write_result(
    workdir,
    name: str,
    scores,
    *,
    split: str,
    split_hash: str,
    config,
    selected_on: str,
    checkpoint_step: int | None,
    seed: int | None,
    wall_time_s: float | None,
    device: str,
    views: int = 1,
    notes: Sequence[str] = (),
    figure: bool = True,
    companions: Mapping[str, bytes] | None = None,
    human: Mapping | None = None,
) -> pathlib.Path:
    """Writes W/results/<name>.json, .csv (one row a metric) and .png (the confusion matrix).

    Git revision, versions and time are added here. A JSON that is there has the companions that belong to it.

    Args:
      workdir: W.
      name: "test", "select", "test_without_duplicates".
      scores: metrics.Scores.
      split: the Split's name, "fer2013/test".
      split_hash: Split.hash.
      config: resolved, for its hash.
      selected_on: in words, what the checkpoint was selected on.
      checkpoint_step: of the parameters scored.
      seed: the config's.
      wall_time_s: seconds that the evaluation took.
      device: in words, "8 x cpu, pmap".
      views: test-time views averaged per image.
      notes: sentences that a reader of the numbers should see.
      figure: draw the .png (needs matplotlib).
      companions: further files, what follows <name> in the file's name -> content.
      human: the comparison with people's confusions, as human.compare makes it.
    Returns:
      The path of the JSON.
    Raises:
      ValueError: the result does not follow the schema.
      BadInput: the files cannot be written.
    """
    metrics = {}
    for key, estimate in scores.metrics.items():
        metrics[key] = {"value": estimate.value, "low": estimate.low, "high": estimate.high, "n": estimate.n}
        if estimate.reason:
            metrics[key]["reason"] = estimate.reason
    notes = [*notes, *scores.notes]
    if scores.unlabelled:
        notes.append(f"Left out, their label being unknown: {scores.unlabelled} of the split's images.")
    result = {
        "schema": SCHEMA,
        "name": name,
        "metrics": metrics,
        "interval": scores.interval,
        "confusion": scores.confusion,
        "classes": scores.classes,
        "split": split,
        "split_hash": split_hash,
        "config_hash": config_hash(config),
        "selected_on": selected_on,
        "checkpoint_step": checkpoint_step,
        "git_revision": git_revision(),
        "versions": versions(),
        "seed": seed,
        "wall_time_s": None if wall_time_s is None else round(float(wall_time_s), 3),
        "device": device,
        "views": views,
        "created": now(),
        "notes": notes,
    }
    result |= {"human": human} if human else {}
    return save_result(workdir, result, figure and scores.confusion is not None, companions)


def save_result(
    workdir, result: Mapping, figure: bool = True, companions: Mapping[str, bytes] | None = None
) -> pathlib.Path:
    """Writes a result that is a dict already (a pooled one, say); else as `write_result`."""
    result = files.plain(result)
    name = result.get("name")
    check_result(result, f"result {name!r}")
    folder = pathlib.Path(workdir) / "results"
    rows = [["metric", "value", "low", "high", "n", "reason"]]
    rows += [[key, *(m[v] for v in _METRIC), m.get("reason", "")] for key, m in result["metrics"].items()]
    contents = {folder / f"{name}{end}": data for end, data in (companions or {}).items()}
    contents[folder / f"{name}.csv"] = files.csv_bytes(rows)
    if figure and result["confusion"] is not None:
        # matplotlib is slow to import, and only figures need it
        from ferjax.figure import confusion_png

        contents[folder / f"{name}.png"] = confusion_png(result)
    contents[folder / f"{name}.json"] = files.json_bytes(result)
    files.write_together(contents)
    return folder / f"{name}.json"


def predictions(id, subject, label, probability, classes) -> bytes:
    """A csv of id, subject, label, predicted, p(class) for each class; a result's "_predictions.csv".

    Args:
      id: [n] str, the Split's ids.
      subject: [n] str, "" where unknown.
      label: [n] int, index into classes; -1 is written as "".
      probability: [n, k]; the prediction is the argmax.
      classes: k names.
    Raises:
      ValueError: shapes that do not fit.
    """
    probability, names = np.asarray(probability, np.float64), [*classes, ""]
    n = len(id)
    if not n == len(subject) == len(label) or probability.shape != (n, len(classes)):
        shapes = f"{n} ids, {len(subject)} subjects, {len(label)} labels, probability {probability.shape}"
        raise ValueError(f"predictions: {shapes} and {len(classes)} classes do not fit together")
    rows = [["id", "subject", "label", "predicted", *(f"p({c})" for c in classes)]]
    for i, p in enumerate(probability):
        rows.append([id[i], subject[i], names[int(label[i])], names[p.argmax()], *(f"{v:.6g}" for v in p)])
    return files.csv_bytes(rows)


def words(result) -> str:
    """A result in a few lines, for the terminal. Takes a result or its path."""
    path = None if isinstance(result, Mapping) else pathlib.Path(result)
    result = result if path is None else read_result(path)
    interval, parts, n = result["interval"], [], 0
    shown = (("accuracy", "accuracy"), ("uf1", "UF1"), ("uar", "UAR"))
    if "f1" in result["metrics"]:
        shown = (("f1", "mean F1"), ("auc", "mean AUC"), ("average_precision", "mean AP"))
    for key, name in shown:
        m = result["metrics"].get(key)
        if m:
            value, low, high, n = (m[v] for v in _METRIC)
            unit, scale, digits = (" %", 100, 2) if key == "accuracy" else ("", 1, 4)
            known = low is not None and high is not None and math.isfinite(low + high)
            span = f" [{scale * low:.{digits}f}, {scale * high:.{digits}f}]" if known else ""
            parts.append(f"{name} {math.nan if value is None else scale * value:.{digits}f}{unit}{span}")
    over = f"{100 * interval['level']:.0f} % intervals over {interval['units']} {interval['over']}"
    over += "s" * (interval["units"] != 1)
    over = "no intervals" if interval["method"] == "none" else over
    lines = [f"{result['name']} ({result['split']}): {', '.join(parts)}", f"  {n} images, {over}"]
    lines.append(f"  checkpoint of step {result['checkpoint_step']}, selected on {result['selected_on']}")
    lines += [f"  {note}" for note in result["notes"]]
    if "human" in result:
        lines.append(f"  beside people ({result['human']['file']}): {human.words(result['human'])}")
    return "\n".join(lines + ([f"  in {path}"] if path else []))


def check_result(result: Mapping, where: str = "result") -> None:
    """Raises ValueError with one line, naming the key, if `result` does not follow the schema."""
    if not isinstance(result, Mapping):
        raise ValueError(f"{where}: a result is a JSON object, not {type(result).__name__}")
    if result.get("schema") != SCHEMA:
        raise ValueError(f"{where}: schema is {result.get('schema')!r}; this ferjax reads {SCHEMA!r}")
    for key in result:
        if key not in _FIELDS and key not in _OPTIONAL:
            near = difflib.get_close_matches(str(key), [*_FIELDS, *_OPTIONAL], 1)
            raise ValueError(
                f"{where}: unknown key {key!r}" + (f"; did you mean {near[0]!r}?" if near else "")
            )
    for key, (types, nullable) in _FIELDS.items():
        if key not in result:
            raise ValueError(f"{where}: {key!r} is missing")
        _expect(result[key], types, nullable, key, where)
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", result["name"]):
        raise ValueError(f"{where}: name {result['name']!r} must be letters, digits, '_', '-' and '.'")
    for name, entry in result["metrics"].items():
        _expect(entry, (dict,), False, f"metrics.{name}", where)
        for key, nullable in _METRIC.items():
            if key not in entry:
                raise ValueError(f"{where}: metrics.{name} has no {key!r}; every metric is {list(_METRIC)}")
            _expect(entry[key], _NUMBER if nullable else (int,), nullable, f"metrics.{name}.{key}", where)
        low, high = entry["low"], entry["high"]
        if low is not None and high is not None and low > high:
            raise ValueError(f"{where}: metrics.{name} has low {low} above high {high}")
    for key, types in _INTERVAL.items():
        _expect(result["interval"].get(key), types, False, f"interval.{key}", where)
    if result["confusion"] is not None:
        k = len(result["classes"] or ())
        rows = result["confusion"]
        if len(rows) != k or any(not isinstance(row, list) or len(row) != k for row in rows):
            raise ValueError(f"{where}: confusion must be {k} rows of {k} counts, as there are {k} classes")
        if any(not isinstance(n, int) or n < 0 for row in rows for n in row):
            raise ValueError(f"{where}: confusion holds something that is no count")
    if any(not isinstance(c, str) for c in result["classes"] or ()):
        raise ValueError(f"{where}: classes must be names")
    for key in _OPTIONAL.keys() & result.keys():
        _expect(result[key], (dict,), False, key, where)
        _OPTIONAL[key](result[key], where)


def read_result(path) -> dict:
    """One result file, checked; null values of metrics come back as NaN.

    Raises:
      BadInput: the file is missing, not JSON, or does not follow the schema.
    """
    result = files.read_json(pathlib.Path(path))
    try:
        check_result(result, str(path))
    except ValueError as error:
        raise BadInput(str(error)) from None
    for entry in result["metrics"].values():
        entry |= {key: math.nan for key in ("value", "low", "high") if entry[key] is None}
    return result


def read_all(workdir) -> dict[str, dict]:
    """Every W/results/*.json: name -> result, "test" first; BadInput for a broken one."""
    paths = sorted((pathlib.Path(workdir) / "results").glob("*.json"), key=_test_first)
    return {path.stem: read_result(path) for path in paths}


def config_hash(config) -> str:
    """sha256, hex, of the config as canonical JSON (keys sorted, tuples as lists): 64 characters.

    Where files lie (`PLACES`) is left out, so that one recipe has one hash on every machine.

    Args:
      config: a dict or ml_collections.ConfigDict of plain values.
    Raises:
      ValueError: a value that JSON cannot hold; names its key.
    """
    config = _config(config)
    for name, group in config.items():
        if isinstance(group, Mapping):
            config[name] = {key: value for key, value in group.items() if f"{name}.{key}" not in PLACES}
    text = json.dumps(config, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


@functools.cache
def git_revision() -> str:
    """Commit of the checkout that tracks this file, "+dirty" if it has changes; "unknown" outside one."""
    here = pathlib.Path(__file__).resolve()

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(here.parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()

    try:
        git(
            "ls-files", "--error-unmatch", here.name
        )  # not another project's checkout around a virtual environment
        return git("rev-parse", "HEAD") + ("+dirty" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


@functools.cache
def _versions() -> tuple[tuple[str, str], ...]:
    found = [("python", platform.python_version())]
    for package in PACKAGES:
        try:
            found.append((package, importlib.metadata.version(package)))
        except importlib.metadata.PackageNotFoundError:
            if package == "ferjax":
                found.append((package, "not installed"))
    return tuple(found)


def versions() -> dict[str, str]:
    """Python's version and those of the installed packages that decide a number (see PACKAGES)."""
    return dict(_versions())


def now() -> str:
    """The time, UTC, "2024-05-31T12:00:00Z"."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")  # noqa: UP017


def describe_run(workdir, config, splits: Mapping[str, str], devices: str, **more) -> None:
    """Writes W/config.json and W/run.json; where run.json is there, adds this start to its "resumed" list.

    One process calls it, once per start.

    Args:
      workdir: W; made if need be.
      config: resolved, a dict or ConfigDict.
      splits: part -> hash, {"train": ..., "select": ..., "test": ...}.
      devices: in words, "8 x cpu, pmap".
      **more: further plain facts for run.json: selection="...", classes=[...], step=0.
    Raises:
      ValueError: the config cannot be written as JSON; names the key.
      BadInput: the files cannot be written, or run.json cannot be read.
    """
    workdir = pathlib.Path(workdir)
    start = {"created": now(), "git_revision": git_revision(), "config_hash": config_hash(config)}
    start |= {"devices": devices, "host": platform.platform(), "versions": versions(), **more}
    path = workdir / "run.json"
    if path.exists():
        run = files.read_json(path)
        run["resumed"] = [*run.get("resumed", []), start]
    else:
        run = {"schema": RUN_SCHEMA, **start, "split_hashes": dict(splits), "resumed": []}
    files.write(workdir / "config.json", files.json_bytes(_config(config)))
    files.write(path, files.json_bytes(files.plain(run)))


def read_workdir(workdir, strict: bool = True) -> dict:
    """What a workdir says of itself, as far as it can be read.

    Args:
      workdir: W; one that is not there reads as an empty one.
      strict: raise for a config.json or run.json that is there and broken.
    Returns:
      {"config": dict, "run": dict, "metrics": lines of metrics.jsonl, "timing": lines of timing.jsonl,
      "results": name -> result, "test" first, "problems": file -> what is wrong with it, in words}; what is
      missing or broken is empty, and explained under "problems".
    Raises:
      BadInput: see strict.
    """
    folder = pathlib.Path(workdir)
    problems: dict[str, str] = {}

    def attempt(name: str, read, strict=False) -> dict | None:
        try:
            return read(folder / name)
        except BadInput as error:
            if strict and (folder / name).exists():
                raise
            problems[name] = str(error).removeprefix(f"{folder / name}: ")
            return None

    out = {key: attempt(f"{key}.json", files.read_json, strict) or {} for key in ("config", "run")}
    for key in ("metrics", "timing"):
        out[key], problem = files.read_lines(folder / f"{key}.jsonl")
        problems |= {f"{key}.jsonl": problem} if problem else {}
    paths = sorted((folder / "results").glob("*.json"), key=_test_first)
    found = {path.stem: attempt(f"results/{path.name}", read_result) for path in paths}
    out["results"] = {name: result for name, result in found.items() if result is not None}
    return out | {"problems": problems}


def _test_first(path: pathlib.Path) -> tuple:
    return path.stem != "test", not path.stem.startswith("test"), path.stem


def _expect(value, types, nullable: bool, key: str, where: str) -> None:
    good = isinstance(value, types) and not (isinstance(value, bool) and bool not in types)
    if not (good or (nullable and value is None)):
        wanted = " or ".join([t.__name__ for t in types] + ["null"] * nullable)
        raise ValueError(f"{where}: {key} is {value!r:.60}, not {wanted}")


def _config(config, key: str = "config"):
    """A config as plain dicts and lists; ValueError naming the key of what JSON cannot hold."""
    if hasattr(config, "to_dict"):
        config = config.to_dict()
    if isinstance(config, Mapping):
        return {str(k): _config(v, f"{key}.{k}") for k, v in config.items()}
    if isinstance(config, list | tuple):
        return [_config(v, f"{key}.{i}") for i, v in enumerate(config)]
    if isinstance(config, np.generic):
        config = config.item()
    if (
        config is None
        or isinstance(config, str | int)
        or (isinstance(config, float) and math.isfinite(config))
    ):
        return config
    raise ValueError(f"{key} is {config!r:.60}, which a JSON file cannot hold")
