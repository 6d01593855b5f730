"""The schema of every experiment: each key with its default and meaning, overrides, and checks.

An experiment file starts from `default()` and changes what differs. `load` reads such a file, applies
`--config.a.b=value` overrides and checks the result before any data or model is touched.
"""

import ast
import difflib
import importlib
import importlib.util
import json
import pathlib
from collections.abc import Iterable, Mapping

from ml_collections import ConfigDict

from data_pipelines import BadInput

KNOWN_SETS = ("facsynth", "fer2013", "npz")


def default() -> ConfigDict:
    """Every key ferjax knows, with its default."""
    c = ConfigDict()
    c.name = "unnamed"  # shown in the report
    c.seed = 0  # initial weights, order of examples, augmentation, dropout

    c.data = d = ConfigDict()
    d.name = "facsynth"  # folder under data_pipelines, or npz
    d.dir = ""  # the user's files, as unpacked
    d.cache_dir = ""  # prepared data; empty: ~/.cache/ferjax
    d.image_size = 48  # pixels, square
    d.options = ConfigDict()  # what the set itself offers; see docs/data.md
    d.labels = "fer2013"  # or ferplus: majority of ten votes
    d.exclude_blank = False  # drop images of one single grey value
    d.exclude_duplicates = "none"  # or across: drop training images that recur in select or test
    d.select = "auto"  # the set's own rule; tenth: a hashed tenth of the training part selects the epoch
    d.limit = 0  # first n examples of each part, for trying things out; 0: all

    c.input = i = ConfigDict()
    i.batch_size = 128  # examples a step, over all devices and hosts
    i.placement = "device"  # device: set resident, gathered in the step; host: tf.data
    i.prefetch = 2  # batches ahead, host placement

    c.model = m = ConfigDict()
    m.name = "fer_cnn"
    m.features = (64, 128, 256)  # filters per block; Breuer & Kimmel 2017
    m.kernel = 5  # pixels; odd
    m.dense = 512  # units of the hidden layer
    m.dropout_conv = 0.25  # after the last block
    m.dropout_dense = 0.5  # after the hidden layer
    m.init = "glorot_uniform"  # or he_normal
    m.normalise = "scale"  # scale: x / 255; standardise: each image to mean 0, deviation 1
    m.conv = "auto"  # ops.conv method: auto, xla, explicit, ...
    m.compute_dtype = "float32"  # or bfloat16
    m.param_dtype = "float32"

    c.augment = a = ConfigDict()
    a.flip = True  # left-right, half of the images
    a.rotation = 0.0  # degrees, uniform in +-
    a.translation = 0.0  # share of the side, uniform in +-
    a.scale = 0.0  # uniform in 1 +-
    a.shear = 0.0  # degrees, uniform in +-
    a.contrast = 0.0  # gain uniform in 1 +-, about the image's mean
    a.erase = 0.0  # chance of random erasing (Zhong et al. 2017)
    a.erase_area = (0.02, 0.2)  # share of the image
    a.last_epochs_off = 0  # epochs at the end without augmentation other than flips

    c.loss = lo = ConfigDict()
    lo.label_smoothing = 0.0
    lo.class_weights = "none"  # or balanced: inverse class frequency, mean 1 over examples

    c.optimizer = o = ConfigDict()
    o.name = "adam"  # adam, adamw or sgd (Nesterov)
    o.learning_rate = 1e-3
    o.beta1 = 0.9  # Adam
    o.beta2 = 0.999
    o.epsilon = 1e-7  # Keras' value
    o.momentum = 0.9  # sgd
    o.weight_decay = 0.0  # decoupled, kernels only
    o.clip_norm = 0.0  # of the whole gradient; 0: off
    o.ema_decay = 0.0  # of the weights, per step; 0: off. Evaluation uses the average

    c.schedule = s = ConfigDict()
    s.name = "constant"  # constant, keras_decay, cosine or plateau
    s.decay = 1e-5  # keras_decay: learning_rate / (1 + decay * step)
    s.warmup_epochs = 0.0  # linear from 0
    s.final_fraction = 0.0  # cosine: last learning rate / first
    s.factor = 0.5  # plateau: multiplies the learning rate
    s.patience = 3  # plateau: epochs without a better selection value

    c.train = t = ConfigDict()
    t.epochs = 20
    t.select_by = "accuracy"  # accuracy, uf1 or loss, on the selecting part
    t.log_every = 50  # steps between progress lines

    c.checkpoint = k = ConfigDict()
    k.every_steps = 0  # also between epochs; 0: after each epoch only
    k.keep = 1  # latest ones kept, beside the best

    c.parallel = p = ConfigDict()
    p.mode = "pmap"  # or shard_map
    p.devices = 0  # of this host; 0: all that divide the batch evenly

    c.evaluate = e = ConfigDict()
    e.batch_size = 256
    e.views = 1  # 1; 2: and mirrored; 10: five shifts, each mirrored
    e.bootstrap = 2000  # resamples behind each interval
    return c


# Keys that may change between a run and its resumption: they do not change what is learned.
FREE_ON_RESUME = (
    "name",
    "data.dir",
    "data.cache_dir",
    "input.placement",
    "input.prefetch",
    "train.log_every",
)
FREE_GROUPS_ON_RESUME = ("checkpoint.", "evaluate.", "parallel.")


def load(path: str, overrides: Iterable[str] = ()) -> ConfigDict:
    """Reads an experiment file and applies overrides.

    Args:
      path: a Python file with get_config() -> ConfigDict.
      overrides: "a.b=value" strings, as after `--config.`.
    Returns:
      A checked, locked config.
    Raises:
      BadInput: no such file, no get_config, an unknown key, a wrong type, an impossible value.
    """
    file = pathlib.Path(path)
    if not file.is_file():
        raise BadInput(
            f"config file {path} does not exist; give the path of a file such as experiments/demo.py"
        )
    spec = importlib.util.spec_from_file_location("ferjax_experiment", file)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except SyntaxError as e:
        raise BadInput(f"{path}, line {e.lineno}: {e.msg}; mend the config file") from e
    except (AttributeError, KeyError, TypeError) as e:
        raise BadInput(f"{path}: {_first_line(e)}") from e
    if not hasattr(module, "get_config"):
        raise BadInput(f"{path} has no function get_config(); see experiments/demo.py")
    try:
        config = module.get_config()
    except (AttributeError, KeyError, TypeError) as e:
        raise BadInput(f"{path}: {_first_line(e)}") from e
    if not isinstance(config, ConfigDict):
        raise BadInput(f"{path}: get_config() gave {type(config).__name__}, not a ConfigDict")
    apply_overrides(config, overrides)
    check(config)
    return config.lock()


def apply_overrides(config: ConfigDict, overrides: Iterable[str]) -> None:
    """Sets "a.b=value" strings in place; a value's type is that of the value it replaces.

    Raises:
      BadInput: naming the key, and the nearest valid one where there is none of that name.
    """
    for text in overrides:
        key, eq, raw = text.partition("=")
        if not eq:
            raise BadInput(f"--config.{key} has no value; write --config.{key}=VALUE")
        parent, leaf = config, key
        *groups, leaf = key.split(".")
        for g in groups:
            parent = parent.get(g) if isinstance(parent, ConfigDict) else None
        is_option = groups == ["data", "options"]
        if not isinstance(parent, ConfigDict) or (leaf not in parent and not is_option):
            raise BadInput(_unknown(key))
        if isinstance(parent.get(leaf), ConfigDict):
            raise BadInput(f"--config.{key} is a group of keys; set one of {sorted(parent[leaf])}")
        try:
            value = ast.literal_eval(raw)
        except (ValueError, SyntaxError):
            value = raw
        with parent.unlocked():
            parent[leaf] = value if leaf not in parent else _cast(key, value, parent[leaf])


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
    for key, ok, rule in _rules(config):
        if not ok:
            raise BadInput(f"config key {key} is {_get(config, key)!r}; it must be {rule}")
    _check_options(config.data)


def _rules(c: ConfigDict) -> list[tuple[str, bool, str]]:
    def one_of(key, *valid):
        return key, _get(c, key) in valid, "one of " + ", ".join(map(str, valid))

    def at_least(key, low):
        return key, _get(c, key) >= low, f"at least {low}"

    def positive(key):
        return key, _get(c, key) > 0, "above 0"

    def share(key):
        return key, 0 <= _get(c, key) < 1, "at least 0 and below 1"

    area = c.augment.erase_area
    return [
        at_least("seed", 0),
        one_of("data.name", *KNOWN_SETS),
        at_least("data.image_size", 2 ** len(c.model.features)),
        one_of("data.labels", "fer2013", "ferplus"),
        one_of("data.exclude_duplicates", "none", "across"),
        one_of("data.select", "auto", "tenth"),
        at_least("data.limit", 0),
        at_least("input.batch_size", 1),
        one_of("input.placement", "device", "host"),
        at_least("input.prefetch", 1),
        one_of("model.name", "fer_cnn"),
        (
            "model.features",
            len(c.model.features) > 0 and min(c.model.features) > 0,
            "a tuple of counts above 0",
        ),
        ("model.kernel", c.model.kernel > 0 and c.model.kernel % 2 == 1, "odd and above 0"),
        positive("model.dense"),
        share("model.dropout_conv"),
        share("model.dropout_dense"),
        one_of("model.init", "glorot_uniform", "he_normal"),
        one_of("model.normalise", "scale", "standardise"),
        one_of("model.compute_dtype", "float32", "bfloat16"),
        one_of("model.param_dtype", "float32", "bfloat16"),
        at_least("augment.rotation", 0),
        share("augment.translation"),
        share("augment.scale"),
        ("augment.shear", 0 <= c.augment.shear < 45, "at least 0 and below 45"),
        share("augment.contrast"),
        ("augment.erase", 0 <= c.augment.erase <= 1, "in 0..1"),
        (
            "augment.erase_area",
            len(area) == 2 and 0 < area[0] <= area[1] < 1,
            "(low, high) with 0 < low <= high < 1",
        ),
        at_least("augment.last_epochs_off", 0),
        share("loss.label_smoothing"),
        one_of("loss.class_weights", "none", "balanced"),
        one_of("optimizer.name", "adam", "adamw", "sgd"),
        positive("optimizer.learning_rate"),
        share("optimizer.beta1"),
        share("optimizer.beta2"),
        positive("optimizer.epsilon"),
        share("optimizer.momentum"),
        at_least("optimizer.weight_decay", 0),
        at_least("optimizer.clip_norm", 0),
        share("optimizer.ema_decay"),
        one_of("schedule.name", "constant", "keras_decay", "cosine", "plateau"),
        at_least("schedule.decay", 0),
        at_least("schedule.warmup_epochs", 0),
        ("schedule.final_fraction", 0 <= c.schedule.final_fraction <= 1, "in 0..1"),
        ("schedule.factor", 0 < c.schedule.factor < 1, "between 0 and 1"),
        at_least("schedule.patience", 1),
        at_least("train.epochs", 1),
        one_of("train.select_by", "accuracy", "uf1", "loss"),
        at_least("train.log_every", 1),
        at_least("checkpoint.every_steps", 0),
        at_least("checkpoint.keep", 1),
        one_of("parallel.mode", "pmap", "shard_map"),
        at_least("parallel.devices", 0),
        at_least("evaluate.batch_size", 1),
        one_of("evaluate.views", 1, 2, 10),
        at_least("evaluate.bootstrap", 100),
    ]


def _check_options(data: ConfigDict) -> None:
    known = data.name != "npz"
    valid = importlib.import_module(f"data_pipelines.{data.name}").OPTIONS if known else {}
    for key, value in data.options.items():
        if key not in valid:
            near = difflib.get_close_matches(key, valid, n=1, cutoff=0.0)
            hint = f"did you mean data.options.{near[0]}?" if near else f"{data.name} has no options"
            raise BadInput(f"unknown config key data.options.{key}; {hint}")
        _cast(f"data.options.{key}", value, valid[key])


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
    check(config)
    return config.lock()


def differences(old: Mapping, new: Mapping) -> list[tuple[str, object, object]]:
    """What matters to a resumed run: [(key, old, new)] of keys that change what is learned.

    `train.epochs` may grow where the learning rate does not depend on it.
    """
    old, new = flatten(old), flatten(new)
    schedule = (old.get("schedule.name"), new.get("schedule.name"), new.get("augment.last_epochs_off"))
    out = []
    for key in sorted(old.keys() | new.keys()):
        a, b = old.get(key), new.get(key)
        if a == b or key in FREE_ON_RESUME or key.startswith(FREE_GROUPS_ON_RESUME):
            continue
        if key == "train.epochs" and "cosine" not in schedule and not schedule[2] and (b or 0) >= (a or 0):
            continue
        out.append((key, a, b))
    return out


def _get(config: ConfigDict, key: str):
    for part in key.split("."):
        config = config[part]
    return config


def _cast(key: str, value, like):
    """`value` if it has the type of `like` (an int may stand for a float), else BadInput."""
    if isinstance(like, bool) or isinstance(value, bool):
        ok = isinstance(like, bool) and isinstance(value, bool)
    elif isinstance(like, float):
        ok = isinstance(value, int | float)
        value = float(value) if ok else value
    elif isinstance(like, tuple):
        ok = isinstance(value, tuple | list) and all(isinstance(v, type(like[0]) | int) for v in value)
        value = tuple(value) if ok else value
    else:
        ok = isinstance(value, type(like))
    if not ok:
        raise BadInput(
            f"config key {key} is {value!r}; it must be of type {type(like).__name__}, like {like!r}"
        )
    return value


def _unknown(key: str) -> str:
    known = [*flatten(default()), "data.options"]
    leaf = key.rsplit(".", 1)[-1]
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
    same_leaf = [k for k in known if k.rsplit(".", 1)[-1] == leaf]
    return f"unknown config key {key}; did you mean {(same_leaf or near)[0]}?"


def _first_line(error: BaseException) -> str:
    return str(error.args[0] if error.args else error).splitlines()[0]
