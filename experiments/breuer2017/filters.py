"""Which filters of a network trained on CK+ emotions go with which action units, with controls.

Breuer & Kimmel 2017 (as commonly quoted): of 50 active filters in the last map of a CK+ model, 7 were
rejected, no action unit being in all of their strongest inputs. Here: what survives more.

    ferjax attribute --config experiments/breuer2017/filters.py --workdir runs/filters --dir /path/to/CK+

trains (8 emotions, the paper's network, one fold of the subjects held out) and its controls (two other
seeds, one network on shuffled labels), and writes the report. The recipe (optimizer, augmentation, epochs) is
ours, chosen for few sequences, not the paper's.
"""

from ferjax import config


def get_config():
    """The experiment."""
    c = config.default()
    c.name = "Breuer & Kimmel 2017: filters and action units on CK+"
    c.data.name = "ck_plus"
    c.input.batch_size = 32
    c.train.epochs = 40
    c.train.select_by = "loss"  # three subjects: accuracy moves in large steps

    c.model.normalise = "standardise"
    c.model.init = "he_normal"

    c.optimizer.name = "adamw"
    c.optimizer.learning_rate = 5e-4
    c.optimizer.weight_decay = 1e-2
    c.optimizer.clip_norm = 2.0
    c.schedule.name = "cosine"
    c.schedule.warmup_epochs = 1.0
    c.loss.label_smoothing = 0.1
    c.loss.class_weights = "balanced"  # 10 sequences show contempt, 34 surprise

    c.augment.flip = True
    c.augment.rotation = 7.0
    c.augment.translation = 0.05
    c.augment.scale = 0.07
    c.augment.contrast = 0.2

    c.attribute.seeds = 2
    c.attribute.shuffled = 1
    return c
