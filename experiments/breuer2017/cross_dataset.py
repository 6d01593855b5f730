"""Breuer & Kimmel 2017, the cross-data-set table: trained on one set, tested on another.

    ferjax reproduce --config experiments/breuer2017/cross_dataset.py --workdir runs/cross \
        --dir ck_plus=/path/to/CK+ --dir fer2013=/path/to/fer2013 --dir nova_emotions=/path/to/NovaEmotions

Sets that are not named leave a gap; the built-in faces are always there. Sizes and epochs below are chosen
so that facsynth, CK+ and FER2013 with two seeds fit into three hours on two CPU cores (facsynth 200 people,
FER2013 8,000 images). On an accelerator take the sets whole:

    --config.sets.fer2013.source.data.limit=0 --config.sets.fer2013.source.train.epochs=80 --config.seeds=5
"""

from ferjax import config, cross_dataset


def _recipe(batch_size: int, epochs: int, rate: float):
    """Training from random weights."""
    c = config.recipe(batch_size, epochs, rate)
    c.loss.label_smoothing = 0.1
    c.augment.flip = True
    c.augment.rotation = 7.0
    c.augment.translation = 0.05
    c.augment.scale = 0.07
    c.augment.contrast = 0.2
    return c


def _adapted(batch_size: int, epochs: int, rate: float, freeze: str):
    """Convolutions from the other set's network, dense layers drawn anew."""
    c = _recipe(batch_size, epochs, rate)
    c.transfer.take, c.transfer.freeze = "block*", freeze
    if not freeze:
        c.transfer.rates = "block*=0.3"  # what was taken along moves more slowly
    return c


def get_config():
    """The study."""
    c = cross_dataset.default()
    c.name = "Breuer & Kimmel 2017: across data sets"
    c.seeds = 2

    source = _recipe(32, 40, 5e-4)
    source.data.name = "ck_plus"
    source.data.options.folds = 5  # a fifth of the subjects is reported, a fifth selects
    source.train.select_by = "loss"  # few subjects: accuracy moves in large steps
    source.loss.class_weights = "balanced"
    head, fine = _adapted(32, 30, 5e-4, "block*"), _adapted(32, 30, 5e-4, "")
    for one in (head, fine):
        one.train.select_by, one.loss.class_weights = "loss", "balanced"
    cross_dataset.add_set(c, "ck_plus", source, head, fine, "CK+")

    source = _recipe(128, 15, 1e-3)
    source.data.name = "fer2013"
    source.data.limit = 8000
    cross_dataset.add_set(
        c, "fer2013", source, _adapted(128, 8, 1e-3, "block*"), _adapted(128, 10, 1e-3, ""), "FER2013"
    )

    source = _recipe(128, 15, 1e-3)
    source.data.name = "nova_emotions"
    source.data.limit = 8000
    cross_dataset.add_set(
        c,
        "nova_emotions",
        source,
        _adapted(128, 8, 1e-3, "block*"),
        _adapted(128, 10, 1e-3, ""),
        "NovaEmotions",
    )

    source = _recipe(128, 6, 2e-3)
    source.data.name = "facsynth"
    source.data.options.n_subjects = 200
    source.data.options.images_per_subject = 40
    cross_dataset.add_set(
        c, "facsynth", source, _adapted(128, 4, 2e-3, "block*"), _adapted(128, 4, 2e-3, ""), "built-in faces"
    )

    # Breuer & Kimmel 2017, accuracy in percent, last layers adapted, rows trained on, columns tested on
    c.paper_says = "the paper's figure, as commonly quoted"
    c.paper.update(
        {
            "ck_plus/ck_plus": 98.62,
            "ck_plus/fer2013": 69.3,
            "ck_plus/nova_emotions": 67.2,
            "fer2013/ck_plus": 92.0,
            "fer2013/fer2013": 72.1,
            "fer2013/nova_emotions": 78.0,
            "nova_emotions/ck_plus": 93.75,
            "nova_emotions/fer2013": 71.8,
            "nova_emotions/nova_emotions": 81.3,
        }
    )
    return c
