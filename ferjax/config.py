"""The config of an experiment: read from a file, overridden, checked, compared with that of an earlier run.

An experiment file starts from `default()` and changes what differs; its keys are in `schema`. `load` reads
such a file, or a run's config.json, applies `--config.a.b=value` overrides and checks the result before any
data or model is touched. What a value must be is in `config_rules`.
"""

import ast
import difflib
import importlib.machinery
import importlib.util
import json
import math
import pathlib
import traceback
from collections.abc import Iterable, Mapping

from ml_collections import ConfigDict

from data_pipelines import BadInput, saliency_input
from ferjax import config_rules
from ferjax.schema import default
from ferjax.schema import recipe as recipe  # what experiments start from, like default

# Keys that may change between a run and its resumption: they do not change what is learned.
FREE_ON_RESUME = (
    "name",
    "data.dir",
    "data.cache_dir",
    "input.placement",
    "input.prefetch",
    "train.log_every",
)
FREE_GROUPS_ON_RESUME = ("checkpoint.", "evaluate.", "parallel.", "attribute.")
FORMER_LABELS = "fer2013"  # the default of data.labels before it was "", with the same meaning


def load(path: str, overrides: Iterable[str] = ()) -> ConfigDict:
    """Reads an experiment file and applies overrides.

    Args:
      path: a Python file with get_config() -> ConfigDict, or the config.json of a run.
      overrides: "a.b=value" strings, as after `--config.`.
    Returns:
      A checked, locked config.
    Raises:
      BadInput: no such file, an error in it, an unknown key, a wrong type, an impossible value.
    """
    file = pathlib.Path(path)
    if not file.is_file():
        raise BadInput(
            f"config file {path} does not exist; give the path of a file such as experiments/demo.py"
        )
    config = _of_json(file) if file.suffix == ".json" else read_file(path)
    if "study" in config:
        raise BadInput(f"{path} holds a study of many trainings; give it to ferjax reproduce")
    with config.unlocked():
        apply_overrides(config, overrides)
    check(config)
    return config.lock()


def _of_json(file: pathlib.Path) -> ConfigDict:
    try:
        saved = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as e:
        raise BadInput(f"{file}: cannot be read as JSON: {e}") from None
    if not isinstance(saved, dict):
        raise BadInput(f"{file}: holds no JSON object")
    try:
        return from_json(saved)
    except BadInput as e:
        raise BadInput(f"{file}: {e}") from None


def read_file(path: str | pathlib.Path) -> ConfigDict:
    """What get_config() of a Python file gives, unchecked.

    Raises:
      BadInput: no such file, or an error in it, with its line.
    """
    file = pathlib.Path(path)
    if not file.is_file():
        raise BadInput(f"config file {path} does not exist; give the path of a file under experiments/")
    loader = importlib.machinery.SourceFileLoader("ferjax_experiment", str(file))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    try:
        loader.exec_module(module)
        if not hasattr(module, "get_config"):
            raise BadInput("has no function get_config(); see experiments/demo.py")
        config = module.get_config()
    except BadInput as e:
        raise BadInput(f"{file}: {e}") from e
    except Exception as e:  # whatever a file of the user's own may raise
        lines = [at.lineno for at in traceback.extract_tb(e.__traceback__) if at.filename == str(file)]
        line = e.lineno if isinstance(e, SyntaxError) else lines[-1] if lines else None
        where = f"{file}, line {line}" if line else f"{file}"
        raise BadInput(f"{where}: {type(e).__name__}: {_first_line(e)}; mend the config file") from e
    if not isinstance(config, ConfigDict):
        raise BadInput(f"{file}: get_config() gave {type(config).__name__}, not a ConfigDict")
    return config


def apply_overrides(config: ConfigDict, overrides: Iterable[str]) -> None:
    """Sets "a.b=value" strings in place; a value's type is that of the value it replaces.

    Raises:
      BadInput: naming the key, and the nearest valid one where there is none of that name.
    """
    for text in sorted(overrides, key=lambda text: not text.startswith("data.name=")):  # whose options
        key, eq, raw = text.partition("=")
        if not eq:
            raise BadInput(f"--config.{key} has no value; write --config.{key}=VALUE")
        parent, leaf = config, key
        *groups, leaf = key.split(".")
        for g in groups:
            parent = parent.get(g) if isinstance(parent, ConfigDict) else None
        is_option = groups == ["data", "options"]
        if not isinstance(parent, ConfigDict) or (leaf not in parent and not is_option):
            raise BadInput(_unknown(key, config if "study" in config else None))
        if isinstance(parent.get(leaf), ConfigDict):
            raise BadInput(f"--config.{key} is a group of keys; set one of {sorted(parent[leaf])}")
        try:
            value = ast.literal_eval(raw)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            value = raw
        like = _option(config, leaf) if is_option else parent.get(leaf)
        if isinstance(like, str) and not isinstance(value, str):
            value = raw  # a name such as 2024, or cameras 045,090
        with parent.unlocked():
            parent[leaf] = value if leaf not in parent else _cast(key, value, parent[leaf])


def _option(config: ConfigDict, key: str):
    """The default of a set's option; None where the config names no set, or it has no such option."""
    name = str(config.get("data", {}).get("name", ""))
    if not name.isidentifier() or importlib.util.find_spec(f"data_pipelines.{name}") is None:
        return None
    return getattr(importlib.import_module(f"data_pipelines.{name}"), "OPTIONS", {}).get(key)


def check(config: ConfigDict) -> None:
    """Raises BadInput for an unknown key, a wrong type or a value that cannot be, naming the key."""
    reference = flatten(default())
    for key, value in flatten(config).items():
        if key.startswith("data.options."):
            continue
        if key not in reference:
            raise BadInput(_unknown(key))
        _cast(key, value, reference[key])
    missing = sorted(set(reference) - set(flatten(config)) - {"data.options"})
    if missing:
        raise BadInput(f"config key {missing[0]} is missing; start the config from ferjax.config.default()")
    for key, ok, rule in config_rules.rules(config):
        if not ok:
            raise BadInput(f"config key {key} is {config_rules.get(config, key)!r}; it must be {rule}")
    _check_options(config.data)
    saliency_input.checked(config.data.saliency)


def _check_options(data: ConfigDict) -> None:
    known = data.name != "npz"
    valid = importlib.import_module(f"data_pipelines.{data.name}").OPTIONS if known else {}
    for key, value in data.options.items():
        if key in valid and key in data:
            raise BadInput(f"config key data.options.{key} is data.{key}; set that")
        if key not in valid:
            near = difflib.get_close_matches(key, valid, n=1, cutoff=0.0)
            group = "data" if near and near[0] in data else "data.options"
            hint = f"did you mean {group}.{near[0]}?" if near else f"{data.name} has no options"
            raise BadInput(f"unknown config key data.options.{key}; {hint}")
        _cast(f"data.options.{key}", value, valid[key])
    for key, own in (("labels", ""), ("select", "auto")):
        if data[key] != own and key not in valid:
            raise BadInput(
                f"config key data.{key} is {data[key]!r}, and {data.name} has no such choice; "
                f"leave it at {own!r}"
            )


def flatten(config: Mapping, prefix: str = "") -> dict:
    """Nested config -> {"a.b": value}; an empty group stays as itself."""
    out = {}
    for key, value in config.items():
        if isinstance(value, Mapping | ConfigDict) and len(value):
            out |= flatten(value, f"{prefix}{key}.")
        else:
            out[prefix + key] = value
    return out


def to_json(config: ConfigDict) -> dict:
    """Plain nested dict that JSON can hold (tuples become lists)."""
    return json.loads(json.dumps(config.to_dict()))


def from_json(saved: Mapping) -> ConfigDict:
    """The config of a workdir, as `to_json` wrote it, checked against today's schema."""
    config = default()
    reference = flatten(config)
    for key, value in flatten(saved).items():
        if key == "data.options":
            continue
        *groups, leaf = key.split(".")
        parent = config
        for g in groups:
            parent = parent.get(g, ConfigDict()) if isinstance(parent, ConfigDict) else ConfigDict()
        if key not in reference and groups != ["data", "options"]:
            raise BadInput(_unknown(key))
        parent[leaf] = _cast(key, value, reference[key]) if key in reference else value
    if config.data.labels == FORMER_LABELS and config.data.name != "fer2013":
        config.data.labels = ""
    check(config)
    return config.lock()


def differences(old: Mapping, new: Mapping) -> list[tuple[str, object, object]]:
    """What matters to a resumed run: [(key, old, new)] of keys that change what is learned.

    `train.epochs` may grow where the learning rate does not depend on it.
    """
    reference = flatten(default())  # a key that a former version lacked had its default's meaning
    old, new = reference | flatten(old), reference | flatten(new)
    schedule = (old.get("schedule.name"), new.get("schedule.name"), new.get("augment.last_epochs_off"))
    out = []
    for key in sorted(old.keys() | new.keys()):
        a, b = old.get(key), new.get(key)
        if key == "data.labels":
            a, b = a or FORMER_LABELS, b or FORMER_LABELS
        if a == b or key in FREE_ON_RESUME or key.startswith(FREE_GROUPS_ON_RESUME):
            continue
        if key == "train.epochs" and "cosine" not in schedule and not schedule[2] and (b or 0) >= (a or 0):
            continue
        out.append((key, a, b))
    return out


def _cast(key: str, value, like):
    """`value` if it has the type of `like` (an int may stand for a float), else BadInput."""
    if isinstance(like, bool) or isinstance(value, bool):
        ok = isinstance(like, bool) and isinstance(value, bool)
    elif isinstance(like, float):
        ok = isinstance(value, int | float)
        value = _finite(key, value) if ok else value
    elif isinstance(like, tuple):
        kind = type(like[0])
        ok = isinstance(value, tuple | list) and all(
            isinstance(v, kind | int) and not isinstance(v, bool) for v in value
        )
        value = tuple(_finite(key, v) if kind is float else v for v in value) if ok else value
    else:
        ok = isinstance(value, type(like))
    if not ok:
        raise BadInput(
            f"config key {key} is {value!r}; it must be of type {type(like).__name__}, like {like!r}"
        )
    return value


def _finite(key: str, value: float) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise BadInput(f"config key {key} is {number}; it must be a finite number")
    return number


def _unknown(key: str, of: ConfigDict | None = None) -> str:
    """The nearest key of a training's config, or of `of`, a study's."""
    known = [*flatten(default() if of is None else of), "data.options"]
    leaf = key.rsplit(".", 1)[-1]
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
    same_leaf = [k for k in known if k.rsplit(".", 1)[-1] == leaf]
    return f"unknown config key {key}; did you mean {(same_leaf or near)[0]}?"


def _first_line(error: BaseException) -> str:
    lines = str(error.args[0] if error.args else error).strip().splitlines()
    return lines[0] if lines else "no message"
