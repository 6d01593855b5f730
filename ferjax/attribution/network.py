"""A trained network as attribution sees it: every activation by name, the ReLU rule and edits by argument."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import flax.struct
import jax
from ml_collections import ConfigDict

from ferjax.models.parts import unchanged

Array = jax.Array
HEAD = "aus"  # name of the action-unit logits among the activations


@flax.struct.dataclass
class Network:
    """A model, its weights, and perhaps a linear head of action-unit logits on one of its layers.

    A pytree: hand it to jitted functions as an argument; networks of one architecture share a program.

    Attributes:
      model: as `models.build` gives it.
      params: its weights.
      head: {"kernel": [d, u], "bias": [u]} on the flattened activation `head_layer`, or None.
      head_layer: name of an activation.
      au_names: u names of the head's outputs.
      classes: k names of the logits.
      normalise: config.model.normalise, which the images go through first (`augment.normalise`).
      crop: config.augment.crop, the side of the middle square that images are cut to before that
        (`augment.middle`); who looks at pixels cuts them before anything else.
    """

    model: Any = flax.struct.field(pytree_node=False)
    params: dict
    head: dict | None = None
    head_layer: str = flax.struct.field(pytree_node=False, default="dense/relu")
    au_names: tuple[str, ...] = flax.struct.field(pytree_node=False, default=())
    classes: tuple[str, ...] = flax.struct.field(pytree_node=False, default=())
    normalise: str = flax.struct.field(pytree_node=False, default="scale")
    crop: int = flax.struct.field(pytree_node=False, default=0)

    @classmethod
    def of(cls, config: ConfigDict, model, params: dict, classes) -> "Network":
        """The network of a training's config, without a head.

        Args:
          config: of the training.
          model: as `models.build` gives it.
          params: its weights.
          classes: names of the logits.
        """
        rest = {"normalise": config.model.normalise, "crop": config.augment.crop}
        return cls(model, params, head_layer=model.features_layer, classes=tuple(classes), **rest)

    def __call__(
        self, x: Array, relu: Callable = nn.relu, edit: Callable[[str, Array], Array] = unchanged
    ) -> dict[str, Array]:
        """Every named activation of [b, h, w, c] normalised images.

        Args:
          x: [b, h, w, c], after `augment.normalise`.
          relu: the rectifier; `ops.relu` has those of deconvnet and guided backpropagation.
          edit: (name, activation) -> activation, applied at every name, the head's too.
        Returns:
          name -> [b, ...], as `FerCnn` names them, and "aus" [b, u] where there is a head.
        """
        _, acts = self.model.clone(relu=relu, edit=edit).apply({"params": self.params}, x)
        if self.head is not None:
            features = acts[self.head_layer].reshape(len(x), -1)
            acts[HEAD] = edit(HEAD, features @ self.head["kernel"] + self.head["bias"])
        return acts
