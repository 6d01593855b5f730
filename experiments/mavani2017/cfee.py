"""Mavani, Raman & Miyapuram 2017 on CFEE: AlexNet fine-tuned, people left out.

    ferjax reproduce --config experiments/mavani2017/cfee.py --workdir runs/cfee --dir cfee=/path/to/CFEE \
        --config.pretrained=alexnet-owt-7be5be79.pth

Without the published weights training begins from an AlexNet trained on built-in faces, in the same job. The
paper does not say whether its test faces were of other people; here they are.
"""

import pathlib

from ferjax.weighted import recipe, study


def get_config():
    """The study."""
    c = study.default()
    c.name = "Mavani et al. 2017: CFEE"
    c.inputs, c.folds, c.seeds = "none", 10, 1
    c.pretrain.source = recipe.drawn_faces(people=300, pictures=40, epochs=12)
    source = recipe.alexnet(epochs=20)
    source.data.name = "cfee"
    study.add_set(c, "cfee", source, "CFEE")
    c.human = str(pathlib.Path(__file__).with_name("human_muros2021.csv"))
    c.paper_says = recipe.PAPER
    c.paper["none/cfee/cfee"] = 74.79
    return c
