"""saliency.py for two CPU cores: a narrow AlexNet, small faces, RaFD (or its look-alike) and built-in faces.

    ferjax reproduce --config experiments/mavani2017/saliency_small.py --workdir runs/saliency_small \
        --dir rafd=/path/to/RaFD

An eighth of AlexNet's filters and units, faces of 104 pixels; the same inputs, controls, folds and seeds.
"""

import pathlib

from ml_collections import ConfigDict

from ferjax import config

WIDTH, SIDE = 0.125, 104


def _small(c):
    c.model.width = WIDTH
    c.data.image_size, c.augment.crop = SIDE + 8, SIDE


def get_config():
    """The study."""
    c = config.read_file(pathlib.Path(__file__).with_name("saliency.py"))
    c.name += ", small"
    del c.sets["cfee"]
    c.paper = ConfigDict()
    _small(c.pretrain.source)
    c.pretrain.source.data.options.n_subjects = 150
    c.pretrain.source.optimizer.learning_rate = 1e-3
    for one in c.sets.values():
        _small(one.source)
    return c
