"""Breuer & Kimmel 2017, from emotions to action units: new heads on an emotion network's features.

    ferjax reproduce --config experiments/breuer2017/au_detection.py --workdir runs/aus \
        --dir ck_plus=/path/to/CK+

On CK+ all sequences with FACS codes take part, with an emotion or without, their last three frames and the
first; on the built-in faces units are drawn without regard to emotion. The emotion network sees the same
people's training part, with emotion labels alone. The paper, as commonly quoted, gives no table for this; it
says that rare units such as AU11 fail for want of samples.
"""

from ferjax import au_study, config


def _recipe(batch_size: int, epochs: int, rate: float):
    """Training from random weights."""
    c = config.recipe(batch_size, epochs, rate)
    c.model.dropout_conv, c.model.dropout_dense = 0.0, 0.25
    c.augment.flip = True
    c.augment.translation = 0.04
    return c


def _aus(c):
    """The same on action units."""
    c.task, c.train.select_by, c.aus.weights = "aus", "auc", "balanced"
    return c


def get_config():
    """The study."""
    c = au_study.default()
    c.name = "Breuer & Kimmel 2017: from emotions to action units"
    c.seeds = 2

    source, emotion = _aus(_recipe(128, 8, 2e-3)), _recipe(128, 6, 2e-3)
    for one, mode in ((source, "independent"), (emotion, "emotion")):
        one.data.name = "facsynth"
        one.data.options.update({"n_subjects": 200, "images_per_subject": 40, "mode": mode})
    au_study.add_set(c, "facsynth", source, emotion, "built-in faces")

    source, emotion = _aus(_recipe(32, 25, 5e-4)), _recipe(32, 40, 5e-4)
    for one in (source, emotion):
        one.data.name = "ck_plus"
        one.data.options.folds = 5
    source.data.options.rows, source.data.options.aus = "facs", "carried"
    emotion.train.select_by, emotion.loss.class_weights = "loss", "balanced"
    au_study.add_set(c, "ck_plus", source, emotion, "CK+")
    return c
