"""FER2013 with the paper's network and the best recipe found for it, on an accelerator.

    ferjax train --config experiments/fer2013_best.py --workdir runs/fer2013_best \
        --config.data.dir=/path/to/fer2013

fer2013_quick.py with four times the epochs and, with them, more augmentation. Two minutes on an H100.
"""

import pathlib

from ferjax import config


def get_config():
    """The experiment."""
    c = config.read_file(pathlib.Path(__file__).with_name("fer2013_quick.py"))
    c.name = "FER2013, best recipe"
    c.train.epochs = 120
    c.augment.rotation = 10.0  # degrees
    c.augment.translation = 0.08
    c.augment.scale = 0.1
    c.augment.contrast = 0.2
    c.augment.erase = 0.3
    return c
