"""The schema of every experiment: each key with its default and meaning, overrides, and checks.

An experiment file starts from `default()` and changes what differs. `load` reads such a file, or a run's
config.json, applies `--config.a.b=value` overrides and checks the result before any data or model is touched.
What a value must be is in `config_rules`.
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


def default() -> ConfigDict:
    """Every key ferjax knows, with its default."""
    c = ConfigDict()
    c.name = "unnamed"  # shown in the report
    c.seed = 0  # initial weights, order of examples, augmentation, dropout

    c.task = "emotion"  # or aus: the presence of each action unit

    c.data = d = ConfigDict()
    d.name = "facsynth"  # folder under data_pipelines, or npz
    d.dir = ""  # the user's files, as unpacked
    d.cache_dir = ""  # prepared data; empty: ~/.cache/ferjax
    d.image_size = 48  # pixels, square; 0: the set's own, and the network takes that
    d.options = ConfigDict()  # what the set itself offers; see docs/data.md
    d.labels = ""  # the set's own; for fer2013 that is fer2013, or ferplus: majority of ten votes
    d.exclude_blank = False  # drop images of one single grey value
    d.exclude_duplicates = "none"  # or across: drop training images that recur in select or test
    d.select = "auto"  # the set's own rule; tenth: a hashed tenth of the training part selects the epoch
    d.published = ""  # names a division made elsewhere, whose parts may share images, never people
    d.kfolds = 0  # 0: the set's own division; else all of it in so many folds, by subject
    d.kfold = 0  # the one reported; the next one selects the epoch, the rest trains
    d.map = (
        ""  # emotions by name: contempt=disgust, or a map of data_pipelines/labels.py; contempt= leaves out
    )
    d.classes = ""  # emotions kept, comma between; empty: all
    d.limit = 0  # first n examples of each part, for trying things out; 0: all
    d.shuffle_labels = 0  # control: labels of train and select permuted with this seed; 0: as they are

    d.saliency = v = ConfigDict()  # maps of where people look, laid over the pictures; docs/saliency.md
    v.mode = "none"  # product (Mavani et al. 2017), blend, or channel: the map beside the picture
    v.method = "spectral"  # spectral residual; centre: a Gaussian; maps: those of the folder below
    v.control = "none"  # shuffled: another picture's map; inverted
    v.maps = ""  # folder that ferjax saliency wrote
    v.share = 0.5  # blend: how much of a picture its map can take away
    v.sigma = 0.25  # centre: the Gaussian's deviation, share of the side

    c.input = i = ConfigDict()
    i.batch_size = 128  # examples a step, over all devices and hosts
    i.placement = "device"  # device: set resident, gathered in the step; host: tf.data
    i.prefetch = 2  # batches ahead, host placement

    c.model = m = ConfigDict()
    m.name = "fer_cnn"  # or alexnet, whose layers are its own: of the next keys, form and width alone
    m.features = (64, 128, 256)  # filters per block; Breuer & Kimmel 2017
    m.kernel = 5  # pixels; odd
    m.dense = 512  # units of the hidden layer
    m.form = "torchvision"  # alexnet: 224 pixels; caffe: 227, the first convolution without padding
    m.width = 1.0  # alexnet: share of its filters and units
    m.dropout_conv = 0.25  # after the last block; this rate and the next are rounded to 1/256ths
    m.dropout_dense = 0.5  # after the hidden layer; alexnet: before both hidden layers, and no other
    m.init = "glorot_uniform"  # or he_normal
    m.normalise = "scale"  # scale: x / 255; standardise: each image to mean 0, deviation 1; imagenet
    m.conv = "auto"  # ops.conv method: auto, xla, explicit, banded or winograd (3x3 and 5x5 kernels only)
    m.compute_dtype = "float32"  # or bfloat16
    m.param_dtype = "float32"

    c.augment = a = ConfigDict()
    a.flip = True  # left-right, half of the images
    a.flip_alternate = False  # by turns instead of by lot: each image in every other epoch (Jordan 2024)
    a.rotation = 0.0  # degrees, uniform in +-
    a.translation = 0.0  # share of the side, uniform in +-
    a.scale = 0.0  # uniform in 1 +-
    a.shear = 0.0  # degrees, uniform in +-
    a.contrast = 0.0  # gain uniform in 1 +-, about the image's mean
    a.erase = 0.0  # chance of random erasing (Zhong et al. 2017)
    a.erase_area = (0.02, 0.2)  # share of the image
    a.crop = 0  # side in pixels, cut anywhere in training and from the middle in evaluation; 0: off
    a.last_epochs_off = 0  # epochs at the end without augmentation other than flips

    c.loss = lo = ConfigDict()
    lo.label_smoothing = 0.0
    lo.class_weights = "none"  # or balanced: inverse class frequency, mean 1 over examples

    c.aus = u = ConfigDict()  # task=aus
    u.units = ""  # names, comma between; empty: all with enough images
    u.least = 8  # training images that show a unit, and that do not, or it is left out
    u.threshold = 1  # least intensity that counts as present: 1 (A, trace); benchmarks take 2
    u.weights = "none"  # or balanced: images with and without a unit weigh the same

    c.optimizer = o = ConfigDict()
    o.name = "adam"  # adam, adamw or sgd (Nesterov)
    o.learning_rate = 1e-3
    o.beta1 = 0.9  # Adam
    o.beta2 = 0.999
    o.epsilon = 1e-7  # Keras' value
    o.momentum = 0.9  # sgd
    o.weight_decay = (
        0.0  # kernels only. adamw: decoupled; sgd: joins the gradient before momentum, as in torch
    )
    o.clip_norm = 0.0  # of the whole gradient; 0: off
    o.ema_decay = 0.0  # of the weights, per step; 0: off. Evaluation uses the average

    c.schedule = s = ConfigDict()
    s.name = "constant"  # constant, keras_decay, cosine, plateau or step
    s.decay = 1e-5  # keras_decay: learning_rate / (1 + decay * step)
    s.warmup_epochs = 0.0  # linear from 0
    s.final_fraction = 0.0  # cosine: last learning rate / first
    s.factor = 0.5  # plateau, step: multiplies the learning rate
    s.step_epochs = 10.0  # step: epochs after which it does so, again and again
    s.patience = 3  # plateau: epochs without a better selection value

    c.transfer = t = ConfigDict()
    t.workdir = ""  # a training whose weights to start from; empty: all are drawn anew
    t.file = ""  # or published weights: .pth or safetensors of torchvision's AlexNet
    t.checkpoint = "best"  # of the workdir: best, last or a step
    t.take = "block*"  # parts taken along, as patterns, comma between; the others begin anew
    t.freeze = ""  # parts that never learn
    t.rates = ""  # block*=0.1,dense=0.5: factors of the learning rate
    t.unfreeze = ""  # block3*=1,block*=3: parts that stay as they are before that epoch

    c.train = t = ConfigDict()
    t.epochs = 20
    t.select_by = "accuracy"  # accuracy, uf1 or loss, on the selecting part; task=aus: auc, f1 or loss
    t.select_every = 1  # epochs between looks at the selecting part; weights are saved then
    t.log_every = 50  # steps between progress lines

    c.checkpoint = k = ConfigDict()
    k.every_steps = 0  # also between epochs; 0: after each epoch only
    k.keep = 1  # latest ones kept, beside the best

    c.parallel = p = ConfigDict()
    p.mode = "pmap"  # or shard_map
    p.devices = 0  # of this host; 0: all that divide the batch evenly
    p.microbatch = 0  # examples of a device at once, gradients added up; 0: all, on CPU mostly 64
    p.steps_per_call = 0  # steps that one call of the device does; 0: one on CPU, else 32. placement=device

    c.evaluate = e = ConfigDict()
    e.batch_size = 256
    e.views = 1  # 1; 2: and mirrored; 10: five shifts (with augment.crop: corners and middle), each mirrored
    e.bootstrap = 2000  # resamples behind each interval
    e.human = ""  # a CSV of human confusions to compare with, see docs/human.md; empty: none

    c.attribute = t = ConfigDict()
    t.layers = ""  # names, comma between; empty: the ReLU of every block
    t.batch_size = 128  # inputs at once
    t.top_n = 9  # strongest inputs a filter is matched by; Breuer & Kimmel's N
    t.pictures = 9  # strongest inputs a filter is shown with
    t.threshold = 1  # least intensity (1 = A, trace) that counts as showing an AU
    t.least = 8  # inputs that must show an AU, and that must not, or it is left out; half of it in each half
    t.permutations = 200_000  # of AU rows within people, for the table of pairs; some 20,000 of a match
    t.fdr = 0.05  # of Benjamini-Hochberg; of the max-statistic where permutations are too few for it
    t.random_networks = 20  # with random weights; 2 or more, since each is judged by the others
    t.seeds = 0  # further trainings with other seeds: which matches recur
    t.shuffled = 0  # trainings on shuffled labels
    t.bootstrap = 2000  # resamples of subjects behind each interval
    t.causal_inputs = 256  # inputs that gradients of units and ablation look at
    t.randomised_inputs = (
        24  # inputs of the cascading randomisation of pixel methods, and of truth; 0: neither
    )
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
FREE_GROUPS_ON_RESUME = ("checkpoint.", "evaluate.", "parallel.", "attribute.")
FORMER_LABELS = "fer2013"  # the default of data.labels before it was "", with the same meaning


def recipe(batch_size: int, epochs: int, rate: float) -> ConfigDict:
    """`default()` with another recipe than the paper's, which studies start from.

    Each picture standardised, since lighting differs most between sets; He's initialisation; AdamW with
    cosine decay, half an epoch of warm-up and clipped gradients.
    """
    c = default()
    c.input.batch_size = batch_size
    c.train.epochs = epochs
    c.model.normalise = "standardise"
    c.model.init = "he_normal"
    c.optimizer.name = "adamw"
    c.optimizer.learning_rate = rate
    c.optimizer.weight_decay = 1e-2
    c.optimizer.clip_norm = 2.0
    c.schedule.name = "cosine"
    c.schedule.warmup_epochs = 0.5
    return c


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
