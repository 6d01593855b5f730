"""The built-in faces, end to end: emotions of people the network never saw.

    make demo

facsynth's faces, 600 people with 40 pictures each, divided by person; the network and blocks of Breuer &
Kimmel 2017. Six minutes on two CPU cores.
"""

from ferjax import config


def get_config():
    """The experiment."""
    c = config.default()
    c.name = "demo: emotions of the built-in faces"
    c.data.name = "facsynth"
    c.data.options.n_subjects = 600
    c.data.options.images_per_subject = 40
    c.input.batch_size = 64
    c.train.epochs = 4

    c.model.normalise = "standardise"  # light varies from picture to picture
    c.model.init = "he_normal"

    c.optimizer.name = "adamw"
    c.optimizer.learning_rate = 1e-3
    c.optimizer.weight_decay = 1e-2
    c.optimizer.clip_norm = 2.0
    c.schedule.name = "cosine"
    c.schedule.warmup_epochs = 0.5

    c.augment.flip = True
    c.augment.translation = 0.04
    return c
