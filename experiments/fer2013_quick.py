"""FER2013 with the paper's network and the best recipe of 30 epochs: an hour or so on two CPU cores.

    ferjax train --config experiments/fer2013_quick.py --workdir runs/fer2013_quick \
        --config.data.dir=/path/to/fer2013
"""

from ferjax import config


def get_config():
    """The experiment."""
    c = config.default()
    c.name = "FER2013, 30 epochs"
    c.data.name = "fer2013"
    c.input.batch_size = 128
    c.train.epochs = 30

    c.model.normalise = "standardise"  # each image to mean 0, deviation 1: lighting varies much
    c.model.init = "he_normal"  # ReLU's gain; glorot starts the deep layers too small

    c.optimizer.name = "adamw"
    c.optimizer.learning_rate = 1e-3
    c.optimizer.weight_decay = 5e-2
    c.optimizer.clip_norm = 2.0
    c.optimizer.ema_decay = 0.998
    c.schedule.name = "cosine"
    c.schedule.warmup_epochs = 0.5
    c.loss.label_smoothing = 0.1

    c.augment.flip = True
    c.augment.rotation = 7.0  # degrees; milder than the paper's recipe, which underfits
    c.augment.translation = 0.05
    c.augment.scale = 0.07
    c.evaluate.views = 10
    return c
