"""Networks: each returns (logits, named activations)."""

from ml_collections import ConfigDict

from ferjax.models import alexnet, fer_cnn

NETWORKS = {"fer_cnn": fer_cnn, "alexnet": alexnet}


def build(config: ConfigDict, outputs: int) -> fer_cnn.FerCnn | alexnet.AlexNet:
    """The network of config.model."""
    return NETWORKS[config.name].build(config, outputs)
