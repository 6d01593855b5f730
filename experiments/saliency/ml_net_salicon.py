"""ML-Net on SALICON, as its authors train it (Cornia et al. 2016), beside maps that need no training.

    ferjax reproduce --config experiments/saliency/ml_net_salicon.py --workdir runs/salicon --dir salicon=D \
        --config.model.weights=vgg16_weights.h5

D holds images, maps and fixations, each with train and val; see docs/saliency.md. Without model.weights the
network begins from random weights, which the paper's does not. For a GPU: on CPU a step takes minutes.
"""

from ferjax.saliency import settings


def get_config():
    """The experiment."""
    c = settings.default()
    c.name = "ML-Net on SALICON"
    settings.add_set(c, "salicon", "SALICON")
    return c
