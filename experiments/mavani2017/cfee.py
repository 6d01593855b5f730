"""Mavani, Raman & Miyapuram 2017 on CFEE: AlexNet fine-tuned, people left out.

    ferjax reproduce --config experiments/mavani2017/cfee.py --workdir runs/cfee --dir cfee=/path/to/CFEE \
        --config.pretrained=alexnet-owt-7be5be79.pth

Without the published weights training begins from an AlexNet trained on built-in faces, in the same job. The
paper does not say whether its test faces were of other people; here they are.
"""

import pathlib

from ferjax.weighted import recipe

HUMAN = pathlib.Path(__file__).with_name("human_muros2021.csv")


def get_config():
    """The study."""
    return recipe.one_set("cfee", "CFEE", 74.79, str(HUMAN))
