"""Mavani, Raman & Miyapuram 2017, generalisation: AlexNet trained on one set of faces, tested on the other.

    ferjax reproduce --config experiments/mavani2017/cross_dataset.py --workdir runs/mavani_cross \
        --dir rafd=/path/to/RaFD --dir cfee=/path/to/CFEE --config.pretrained=alexnet-owt-7be5be79.pth

A set that is not named leaves a gap; the built-in faces are always there. The paper's abstract gives no
figure of this without saliency; saliency.py has the one with.
"""

from ferjax.weighted import recipe


def get_config():
    """The study."""
    c = recipe.across_sets(epochs=20)
    c.name, c.inputs = "Mavani et al. 2017: across data sets", "none"
    return c
