"""Mavani, Raman & Miyapuram 2017 on RaFD: AlexNet fine-tuned, people left out.

    ferjax reproduce --config experiments/mavani2017/rafd.py --workdir runs/rafd --dir rafd=/path/to/RaFD \
        --config.pretrained=alexnet-owt-7be5be79.pth

Without the published weights training begins from an AlexNet trained on built-in faces, in the same job. The
paper does not say whether its test faces were of other people; here they are.
"""

import pathlib

from ferjax.weighted import recipe, study


def get_config():
    """The study."""
    c = study.default()
    c.name = "Mavani et al. 2017: RaFD"
    c.inputs, c.folds, c.seeds = "none", 10, 1
    c.map = "contempt="
    c.pretrain.source = recipe.drawn_faces(people=300, pictures=40, epochs=12)
    source = recipe.alexnet(epochs=20)
    source.data.name = "rafd"
    study.add_set(c, "rafd", source, "RaFD")
    c.human = str(pathlib.Path(__file__).with_name("human_muros2021.csv"))
    c.paper_says = recipe.PAPER
    c.paper["none/rafd/rafd"] = 95.71
    return c
