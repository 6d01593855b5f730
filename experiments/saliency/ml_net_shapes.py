"""ML-Net, narrow and small, on drawn scenes whose odd things are looked at: shows that training works.

    ferjax reproduce --config experiments/saliency/ml_net_shapes.py --workdir runs/shapes

No data needed; a few minutes on two CPU cores. Adam, since plain SGD from random weights is slow to begin.
"""

from ferjax.saliency import settings


def get_config():
    """The experiment."""
    c = settings.default()
    c.name = "ML-Net on drawn scenes"
    settings.add_set(
        c,
        "saliency_shapes",
        "drawn scenes",
        frame=(96, 128),
        options={"train": 600, "test": 100, "seed": 0},
    )
    c.model.width = 0.125
    c.optimizer.name = "adam"
    c.optimizer.learning_rate = 3e-4  # at 1e-3 the map can go to 0 everywhere, and stays there
    c.schedule.name = "cosine"
    c.model.dropout = 0.0
    c.train.epochs = 6
    c.train.patience = 0
    return c
