"""What each value of a config must be: choices, ranges, and keys that must fit each other."""

from ml_collections import ConfigDict

from data_pipelines import arrays

CONV_METHODS = ("auto", "xla", "explicit", "banded", "winograd")  # ops.conv.METHODS, without importing JAX


SELECT_BY = {"emotion": ("accuracy", "uf1", "loss"), "aus": ("auc", "f1", "loss")}
OF_FER_CNN = {"features": (64, 128, 256), "kernel": 5, "dense": 512}  # as in config.default
OF_ALEXNET = {"form": "torchvision", "width": 1.0}
OWN = "the set's own"
PARTS = "parts and numbers that are not negative, such as block*=0.1,dense=0.5"


def part_numbers(text: str) -> dict[str, float] | None:
    """ "block*=0.1, dense=0.5" -> {"block*": 0.1, "dense": 0.5}; None where that is not what it says."""
    out = {}
    for word in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = (piece.strip() for piece in word.partition("="))
        try:
            out[name] = float(value)
        except ValueError:
            return None
        if not name or not 0 <= out[name] < float("inf"):
            return None
    return out


def get(config: ConfigDict, key: str):
    """The value of "a.b"."""
    for part in key.split("."):
        config = config[part]
    return config


def rules(c: ConfigDict) -> list[tuple[str, bool, str]]:
    """(key, whether its value can be, what it must be in words); of a config whose types are right."""

    def one_of(key, *valid):
        return key, get(c, key) in valid, "one of " + ", ".join(str(v) or "''" for v in valid)

    def at_least(key, low):
        return key, get(c, key) >= low, f"at least {low}"

    def positive(key):
        return key, get(c, key) > 0, "above 0"

    def share(key):
        return key, 0 <= get(c, key) < 1, "at least 0 and below 1"

    def dropout(key):
        rate = get(c, key)
        return key, rate == 0 or 1 / 512 < rate <= 255 / 256, "0, or above 1/512 and at most 255/256"

    area, blocks = c.augment.erase_area, len(c.model.features)
    alexnet, side = c.model.name == "alexnet", c.augment.crop or c.data.image_size
    least, why = 2**blocks, f"as model.features has {blocks} blocks that halve it"
    if alexnet:
        least, why = (67 if c.model.form == "caffe" else 63), "as model.name is alexnet"
    other_kernel = f"another method where model.kernel is {c.model.kernel}; winograd takes 3 and 5"
    return [
        at_least("seed", 0),
        at_least("train.epochs", 1),
        one_of("data.name", *arrays.names(), "npz"),
        ("data.image_size", c.data.image_size >= 0, f"0 ({OWN}), or pixels"),
        (
            "augment.crop" if c.augment.crop else "data.image_size",
            side == 0 or side >= least,
            f"0 ({'off' if c.augment.crop else OWN}) or at least {least}, {why}",
        ),
        (
            "augment.crop",
            0 <= c.augment.crop <= (c.data.image_size or c.augment.crop),
            f"in 0..{c.data.image_size} (data.image_size)",
        ),
        one_of("data.labels", "", "fer2013", "ferplus"),
        one_of("data.exclude_duplicates", "none", "across"),
        one_of("data.select", "auto", "tenth"),
        at_least("data.limit", 0),
        ("data.kfolds", c.data.kfolds == 0 or c.data.kfolds >= 3, "0, or 3 or more"),
        (
            "data.kfold",
            0 <= c.data.kfold < max(1, c.data.kfolds),
            f"from 0 to below data.kfolds ({c.data.kfolds})",
        ),
        (
            "data.published",
            not (c.data.published and c.data.kfolds),
            "empty where data.kfolds divides the set anew: folds are nobody's published division",
        ),
        (
            "transfer.file",
            not (c.transfer.file and c.transfer.workdir),
            f"empty where transfer.workdir is {c.transfer.workdir!r}: weights begin in one place",
        ),
        (
            "transfer.file",
            not c.transfer.file or alexnet,
            "empty where model.name is fer_cnn, of which nobody publishes weights; set model.name=alexnet",
        ),
        ("transfer.checkpoint", bool(c.transfer.checkpoint), "best, last or a step"),
        ("transfer.rates", part_numbers(c.transfer.rates) is not None, PARTS),
        ("transfer.unfreeze", part_numbers(c.transfer.unfreeze) is not None, PARTS),
        at_least("data.shuffle_labels", 0),
        at_least("input.batch_size", 1),
        one_of("input.placement", "device", "host"),
        at_least("input.prefetch", 1),
        one_of("model.name", "fer_cnn", "alexnet"),
        one_of("model.form", "torchvision", "caffe"),
        positive("model.width"),
        *(
            (f"model.{key}", not alexnet or c.model[key] == own, f"{own} (its default): alexnet has its own")
            for key, own in OF_FER_CNN.items()
        ),
        *(
            (f"model.{key}", alexnet or c.model[key] == own, f"{own}, as fer_cnn has none")
            for key, own in OF_ALEXNET.items()
        ),
        (
            "model.features",
            len(c.model.features) > 0 and min(c.model.features) > 0,
            "a tuple of counts above 0",
        ),
        ("model.kernel", c.model.kernel > 0 and c.model.kernel % 2 == 1, "odd and above 0"),
        positive("model.dense"),
        dropout("model.dropout_conv"),
        dropout("model.dropout_dense"),
        one_of("model.init", "glorot_uniform", "he_normal"),
        one_of("model.conv", *CONV_METHODS),
        ("model.conv", c.model.conv != "winograd" or c.model.kernel in (3, 5), other_kernel),
        one_of("model.normalise", "scale", "standardise", "imagenet"),
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
        (
            "augment.last_epochs_off",
            0 <= c.augment.last_epochs_off <= c.train.epochs,
            f"in 0..{c.train.epochs} (train.epochs)",
        ),
        share("loss.label_smoothing"),
        one_of("loss.class_weights", "none", "balanced"),
        one_of("optimizer.name", "adam", "adamw", "sgd"),
        positive("optimizer.learning_rate"),
        share("optimizer.beta1"),
        share("optimizer.beta2"),
        positive("optimizer.epsilon"),
        share("optimizer.momentum"),
        at_least("optimizer.weight_decay", 0),
        (
            "optimizer.weight_decay",
            c.optimizer.name != "adam" or c.optimizer.weight_decay == 0,
            "0 with optimizer.name=adam; for Adam with weight decay set optimizer.name=adamw",
        ),
        at_least("optimizer.clip_norm", 0),
        share("optimizer.ema_decay"),
        one_of("schedule.name", "constant", "keras_decay", "cosine", "plateau", "step"),
        at_least("schedule.decay", 0),
        (
            "schedule.warmup_epochs",
            0 <= c.schedule.warmup_epochs < c.train.epochs,
            f"at least 0 and below train.epochs ({c.train.epochs})",
        ),
        ("schedule.final_fraction", 0 <= c.schedule.final_fraction <= 1, "in 0..1"),
        ("schedule.factor", 0 < c.schedule.factor < 1, "between 0 and 1"),
        positive("schedule.step_epochs"),
        at_least("schedule.patience", 1),
        one_of("task", "emotion", "aus"),
        (
            "train.select_by",
            c.train.select_by in SELECT_BY.get(c.task, ()),
            f"one of {', '.join(SELECT_BY.get(c.task, ()))} where task is {c.task}",
        ),
        at_least("aus.least", 1),
        ("aus.threshold", 1 <= c.aus.threshold <= 5, "1 (A, trace) to 5 (E, maximum)"),
        one_of("aus.weights", "none", "balanced"),
        at_least("train.select_every", 1),
        at_least("train.log_every", 1),
        at_least("checkpoint.every_steps", 0),
        at_least("checkpoint.keep", 1),
        one_of("parallel.mode", "pmap", "shard_map"),
        at_least("parallel.devices", 0),
        at_least("parallel.microbatch", 0),
        at_least("parallel.steps_per_call", 0),
        (
            "parallel.steps_per_call",
            c.parallel.steps_per_call <= 1 or c.input.placement == "device",
            "0 or 1 where input.placement is host",
        ),
        (
            "augment.flip_alternate",
            c.augment.flip or not c.augment.flip_alternate,
            "False where augment.flip is",
        ),
        at_least("evaluate.batch_size", 1),
        one_of("evaluate.views", 1, 2, 10),
        at_least("evaluate.bootstrap", 100),
        ("evaluate.human", c.task == "emotion" or not c.evaluate.human, "empty where task is aus"),
        at_least("attribute.batch_size", 1),
        at_least("attribute.top_n", 1),
        at_least("attribute.pictures", 1),
        ("attribute.threshold", 1 <= c.attribute.threshold <= 5, "1 (A, trace) to 5 (E, maximum)"),
        at_least("attribute.least", 1),
        at_least("attribute.permutations", 100),
        ("attribute.fdr", 0 < c.attribute.fdr < 1, "between 0 and 1"),
        at_least("attribute.random_networks", 2),
        at_least("attribute.seeds", 0),
        at_least("attribute.shuffled", 0),
        at_least("attribute.bootstrap", 100),
        at_least("attribute.causal_inputs", 2),
        ("attribute.randomised_inputs", (c.attribute.randomised_inputs or 2) >= 2, "0, or 2 or more"),
    ]
