"""The built-in faces, end to end: emotions of people the network never saw.

    make demo

facsynth's faces, 500 people with 40 pictures each, divided by person; the network and blocks of Breuer &
Kimmel 2017, with less dropout, since three epochs are too few to overfit. Then which filters of the last
block go with which action units, in short: the Makefile has the flags, and without them all of it is done.
Four to six minutes on two CPU cores.
"""

from ferjax import config


def get_config():
    """The experiment."""
    c = config.default()
    c.name = "demo: emotions of the built-in faces"
    c.data.name = "facsynth"
    c.data.options.n_subjects = 500
    c.data.options.images_per_subject = 40
    c.input.batch_size = 128
    c.train.epochs = 3

    c.model.normalise = "standardise"  # light varies from picture to picture
    c.model.init = "he_normal"
    c.model.dropout_conv = 0.0
    c.model.dropout_dense = 0.25

    c.optimizer.name = "adamw"
    c.optimizer.learning_rate = 2e-3
    c.optimizer.weight_decay = 1e-2
    c.optimizer.clip_norm = 2.0
    c.schedule.name = "cosine"
    c.schedule.warmup_epochs = 0.25

    c.augment.flip = True
    c.augment.translation = 0.04
    c.evaluate.views = 2  # and mirrored
    return c
