"""The expression CNN of Breuer & Kimmel 2017 on FER2013, with the paper's recipe.

Paper (as commonly quoted): 72.1 % accuracy on FER2013. Network and recipe: three 5x5 blocks (64, 128, 256),
hidden layer 512, dropout 0.25 and 0.5, Adam 1e-3 with Keras' decay 1e-5, flips and affine maps.

    ferjax train --config experiments/breuer2017/fer2013.py --workdir runs/breuer2017_fer2013 \
        --config.data.dir=/path/to/fer2013

Where PrivateTest is on disk, PublicTest selects the epoch and PrivateTest is reported once; elsewhere a
hashed tenth of Training selects and PublicTest is reported. The README says what it reached,
on what, in what time.
"""

from ferjax import config


def get_config():
    """The experiment."""
    c = config.default()
    c.name = "Breuer & Kimmel 2017: FER2013"
    c.data.name = "fer2013"
    c.input.batch_size = 128
    c.train.epochs = 22

    c.optimizer.name = "adam"
    c.optimizer.learning_rate = 1e-3
    c.schedule.name = "keras_decay"
    c.schedule.decay = 1e-5

    c.augment.flip = True
    c.augment.rotation = 10.0  # degrees; the paper names the maps, not their ranges
    c.augment.translation = 0.1
    c.augment.scale = 0.1
    c.augment.shear = 5.0
    return c
