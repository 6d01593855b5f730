"""The config of a training of ML-Net: every key with its default, sets added, checks."""

from ml_collections import ConfigDict

from data_pipelines import BadInput, gaze, saliency_maps
from ferjax import config as config_lib
from ferjax.models.vgg16 import POOLS
from ferjax.saliency import loss
from ferjax.studies import need

SELECT = {"loss": -1, "cc": 1}  # what selects the epoch -> whether more of it is better


def default() -> ConfigDict:
    """A study without a set; an experiment adds one with `add_set`. As the published code trains ML-Net.

    Its decay of 5e-4, which the paper calls weight decay, is there Keras' decay of the learning rate: rate
    / (1 + decay * step).
    """
    plain = config_lib.default()
    c = ConfigDict()
    c.study = "saliency_training"
    c.name = "unnamed"
    c.seed = 0  # of weights, order, dropout, and of which pictures are the others of sAUC
    c.bootstrap = 2000  # resamples of pictures behind each interval
    c.others = 10  # pictures whose fixations are the negatives of the shuffled AUC
    c.prior = loss.PRIOR  # L2 of the learned prior
    c.model = ConfigDict(
        {
            "width": 1.0,  # share of all filters
            "dropout": 0.5,
            "pool": "theano",  # as published, or caffe: see models/vgg16.py
            "conv": "auto",  # see ops/conv.py
            "compute_dtype": "float32",
            "param_dtype": "float32",
            "weights": "",  # a file to start from: vgg16_weights.h5, or a whole ML-Net; empty: from scratch
        }
    )
    c.optimizer = plain.optimizer
    c.optimizer.name, c.optimizer.learning_rate = "sgd", 1e-3
    c.schedule = plain.schedule
    c.schedule.name, c.schedule.decay = "keras_decay", 5e-4
    c.train = ConfigDict(
        {
            "epochs": 20,
            "batch_size": 10,  # over all devices
            "patience": 5,  # epochs without a better selection value, after which it ends; 0: never
            "select_by": "loss",  # or cc, on a tenth of the training part
            "every_steps": 0,  # steps between checkpoints within an epoch; 0: none
            "log_every": 10,  # steps between progress lines
        }
    )
    c.parallel = plain.parallel  # mode and devices; the others are of fer_cnn and of row numbers
    c.spectral = ConfigDict({"size": saliency_maps.SIZE, "blur": saliency_maps.BLUR})
    c.centre = ConfigDict(
        {"least": 0.1, "most": 1.0, "step": 0.05, "pictures": 500}
    )  # widths tried, on train
    c.sets = ConfigDict()
    return c


def add_set(c: ConfigDict, name: str, title: str = "", **data) -> None:
    """Sets what is learned from: keys of `gaze.load`; --dir NAME=FOLDER says where it is."""
    given = {"name": name, "dir": "", "frame": (480, 640), "limit": 0, "options": {}, **data}
    c.sets[name] = ConfigDict({"title": title or name, "source": {"data": given}})


def data_of(c: ConfigDict) -> ConfigDict:
    """`data` of the one set of a study."""
    ((_, one),) = c.sets.items()
    return one.source.data


def check(c: ConfigDict) -> None:
    """BadInput, naming the key, where a config cannot be."""
    if len(c.sets) != 1:
        raise BadInput(f"study {c.name}: needs one set, and has {', '.join(c.sets) or 'none'}")
    data, m, t = data_of(c), c.model, c.train
    (key,) = c.sets
    key = f"sets.{key}.source.data"
    need(f"{key}.name", data.name, data.name in gaze.SETS, f"one of {', '.join(gaze.SETS)}")
    frame = data.frame
    need(f"{key}.frame", frame, len(frame) == 2 and min(frame) >= 16, "height and width of 16 pixels or more")
    need(f"{key}.limit", data.limit, data.limit >= 0, "at least 0")
    need("bootstrap", c.bootstrap, c.bootstrap == 0 or c.bootstrap >= 100, "0, or at least 100")
    need("others", c.others, c.others >= 1, "at least 1")
    need("prior", c.prior, c.prior >= 0, "at least 0")
    need("model.width", m.width, m.width > 0, "above 0")
    need("model.dropout", m.dropout, 0 <= m.dropout < 1, "0 to below 1")
    need("model.pool", m.pool, m.pool in POOLS, f"one of {', '.join(POOLS)}")
    need("model.weights", m.weights, not m.weights or m.width == 1, "empty with a model.width other than 1")
    need("train.batch_size", t.batch_size, t.batch_size >= 1, "at least 1")
    need("train.patience", t.patience, t.patience >= 0, "at least 0")
    need("train.every_steps", t.every_steps, t.every_steps >= 0, "at least 0")
    need("train.log_every", t.log_every, t.log_every >= 1, "at least 1")
    need("train.select_by", t.select_by, t.select_by in SELECT, f"one of {', '.join(SELECT)}")
    need("spectral.size", c.spectral.size, c.spectral.size >= 3, "at least 3")
    need("spectral.blur", c.spectral.blur, c.spectral.blur >= 0, "at least 0")
    w = c.centre
    need("centre.least", w.least, 0 < w.least <= w.most, "above 0, and at most centre.most")
    need("centre.step", w.step, w.step > 0, "above 0")
    need("centre.pictures", w.pictures, w.pictures >= 1, "at least 1")
    _check_shared(c)


def _check_shared(c: ConfigDict) -> None:
    """The keys that all trainings have, by the rules for those."""
    need("schedule.name", c.schedule.name, c.schedule.name != "plateau", "another than plateau here")
    whole = config_lib.default()
    whole.optimizer, whole.schedule, whole.parallel = c.optimizer, c.schedule, c.parallel
    whole.train.epochs = c.train.epochs
    for key in ("conv", "compute_dtype", "param_dtype"):
        whole.model[key] = c.model[key]
    config_lib.check(whole)
