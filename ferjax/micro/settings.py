"""The config of a micro-expression study: every key with its default, sets added, checks."""

from ml_collections import ConfigDict

from data_pipelines import BadInput, clips, motion
from ferjax import config as config_lib
from ferjax.micro import loso
from ferjax.models import micro_lstm

NETWORKS = {
    "fold": "a frame network for each fold, which never saw the subject held out",
    "shared": "ONE FRAME NETWORK FOR ALL FOLDS, WHICH SAW THE SUBJECTS HELD OUT",
    "given": "one frame network from elsewhere, as it is",
}
RULES = {
    "fixed": "a number of epochs fixed in advance",
    "inner": "the epoch with the least loss on inner subjects, who neither train nor are held out",
}


def default() -> ConfigDict:
    """A study without sets; an experiment adds them with `add_set`."""
    c = ConfigDict()
    c.study = "micro_expression"
    c.name = "unnamed"
    c.seeds = 5  # of the heads
    c.bootstrap = 2000
    c.inputs = "grey"  # grey (the paper), difference (to the onset frame) or flow; comma between
    c.kinds = ",".join(micro_lstm.KINDS)
    c.layer = "dense/relu"  # whose activations the heads stand on: the first dense layer
    c.inner = 2  # subjects of each fold that choose the frame network's epoch (heads: see epoch_rule)
    c.epoch_rule = "fixed"  # of the heads, or inner
    c.network = (
        "fold"  # or shared (seen by the subject held out, and labelled so), or given: frames.transfer.workdir
    )
    c.clip = ConfigDict(
        {
            "sampling": "resample",  # or interpolate, or pad
            "length": 32,  # frames of a sequence
            "stride": 1,  # of pad
            "gain": 4.0,  # grey levels of a difference of one
            "near": 0,  # frames on either side of the apex that train the frame network too
            "step": 2,  # between them
        }
    )
    c.frames = config_lib.recipe(64, 8, 5e-4)  # of the frame networks; data is the study's
    c.head = ConfigDict({k: v for k, v in loso.Recipe()._asdict().items() if k != "kind"})
    c.lbp_top = ConfigDict({"radii": (1, 1, 4), "blocks": (5, 5, 1)})  # empty blocks: leave it out
    c.end_to_end = ConfigDict({"epochs": 0, "batch": 4, "rate": 1e-4, "seeds": 1})  # 0: not done
    c.sets = ConfigDict()
    return c


def add_set(c: ConfigDict, name: str, source: ConfigDict, title: str = "") -> None:
    """Adds a set of clips; `source.data` says which. Several become one, subjects kept apart by name."""
    c.sets[name] = ConfigDict({"title": title or name, "source": source})


def check(c: ConfigDict, inputs: list[str], kinds: list[str]) -> None:
    """BadInput for a study's config that cannot be."""
    if not c.sets:
        raise BadInput(f"study {c.name}: needs sets")
    for key, given, known in (
        ("inputs", inputs, motion.KINDS),
        ("kinds", kinds, micro_lstm.KINDS),
        ("network", [c.network], NETWORKS),
        ("epoch_rule", [c.epoch_rule], RULES),
        ("clip.sampling", [c.clip.sampling], clips.SAMPLINGS),
    ):
        if any(word not in known for word in given) or len(set(given)) < len(given):
            raise BadInput(f"config key {key} is {','.join(given)!r}; write {', '.join(known)}, each once")
    h = c.head
    for key, ok, rule in (
        ("seeds", c.seeds >= 1, "at least 1"),
        ("inner", c.inner >= 1, "at least 1"),
        ("bootstrap", c.bootstrap == 0 or c.bootstrap >= 50, "0, or at least 50"),
        ("frames.model.name", c.frames.model.name == "fer_cnn", "fer_cnn: the heads are made for its layers"),
        ("frames.augment.crop", c.frames.augment.crop == 0, "0: frames are looked at whole"),
        ("layer", c.layer in _layers(c), f"one of {', '.join(_layers(c))}"),
        (
            "lbp_top.blocks",
            len(c.lbp_top.blocks) in (0, 3) and min(c.lbp_top.blocks, default=1) >= 1,
            "three numbers of at least 1, or empty",
        ),
        (
            "lbp_top.radii",
            len(c.lbp_top.radii) == 3 and min(c.lbp_top.radii) >= 1,
            "three numbers of at least 1",
        ),
        ("end_to_end.epochs", c.end_to_end.epochs >= 0, "at least 0"),
        ("end_to_end.epochs", not c.end_to_end.epochs or "lstm" in kinds, "0 without lstm among the kinds"),
        ("end_to_end.batch", c.end_to_end.batch >= 1, "at least 1"),
        ("end_to_end.rate", c.end_to_end.rate > 0, "above 0"),
        ("end_to_end.seeds", 1 <= c.end_to_end.seeds <= c.seeds, "1 to seeds, whose heads it begins with"),
        ("clip.length", c.clip.length >= 2, "at least 2"),
        ("clip.stride", c.clip.stride >= 1, "at least 1"),
        ("clip.near", c.clip.near >= 0, "at least 0"),
        ("clip.step", c.clip.step >= 1, "at least 1"),
        ("clip.gain", c.clip.gain > 0, "above 0"),
        ("head.hidden", h.hidden >= 1, "at least 1"),
        ("head.epochs", h.epochs >= 1, "at least 1"),
        ("head.batch", h.batch >= 1, "at least 1"),
        ("head.chunk", h.chunk >= 1, "at least 1"),
        ("head.rate", h.rate > 0, "above 0"),
        ("head.decay", h.decay >= 0, "at least 0"),
        ("head.clip", h.clip >= 0, "at least 0"),
        ("head.dropout", 0 <= h.dropout < 1, "0 to below 1"),
        ("head.recurrent_dropout", 0 <= h.recurrent_dropout < 1, "0 to below 1"),
        ("head.dropout_out", 0 <= h.dropout_out < 1, "0 to below 1"),
        (
            "network",
            c.network != "given" or c.frames.transfer.workdir,
            "fold without frames.transfer.workdir",
        ),
    ):
        if not ok:
            value = c
            for part in key.split("."):
                value = value[part]
            raise BadInput(f"config key {key} is {value!r}; it must be {rule}")


def _layers(c: ConfigDict) -> tuple[str, ...]:
    """The named activations of the frame network."""
    blocks = [
        f"block{i}/{part}"
        for i in range(1, len(c.frames.model.features) + 1)
        for part in ("conv", "relu", "pool")
    ]
    return (*blocks, "dense", "dense/relu", "logits")
