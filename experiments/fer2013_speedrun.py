"""FER2013, how fast to an accuracy on PublicTest: everything on the accelerator, from a cold start.

    python -m benchmarks.speedrun --config experiments/fer2013_speedrun.py --workdir runs/speedrun \
        --config.data.dir=/path/to/fer2013

The recipe of fer2013_quick.py in bfloat16, with batches of 512, 32 steps a call, and flips by turns, which
show an image and its mirror image equally often (Jordan 2024). The set lies on the device; rows of a batch
are all that the host sends.
"""

import pathlib

from ferjax import config


def get_config():
    """The experiment."""
    c = config.read_file(pathlib.Path(__file__).with_name("fer2013_quick.py"))
    c.name = "FER2013, speedrun"
    c.input.batch_size = 512
    c.train.epochs = 40
    c.model.compute_dtype = "bfloat16"
    c.optimizer.learning_rate = 2e-3
    c.optimizer.ema_decay = 0.99
    c.schedule.warmup_epochs = 2.0
    c.augment.flip_alternate = True
    c.augment.last_epochs_off = 3
    c.parallel.steps_per_call = 32
    c.evaluate.batch_size = 1024
    return c
