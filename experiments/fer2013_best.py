"""FER2013 with the paper's network and the best recipe found for it.

    ferjax train --config experiments/fer2013_best.py --workdir runs/fer2013_best --config.data.dir=/path/to/fer2013
"""

from ferjax import config


def get_config():
    """The experiment."""
    c = config.default()
    c.name = "FER2013, best recipe"
    c.data.name = "fer2013"
    c.data.exclude_blank = True
    c.input.batch_size = 128
    c.train.epochs = 30

    c.model.normalise = "standardise"  # each image to mean 0, deviation 1: lighting varies much
    c.model.init = "he_normal"  # ReLU's gain; glorot starts the deep layers too small

    c.optimizer.name = "sgd"
    c.optimizer.learning_rate = 0.02
    c.optimizer.momentum = 0.9
    c.optimizer.weight_decay = 5e-4
    c.optimizer.clip_norm = 5.0
    c.optimizer.ema_decay = 0.999
    c.schedule.name = "cosine"
    c.schedule.warmup_epochs = 1.0
    c.loss.label_smoothing = 0.1

    c.augment.flip = True
    c.augment.rotation = 10.0
    c.augment.translation = 0.06
    c.augment.scale = 0.1
    c.evaluate.views = 10
    return c
