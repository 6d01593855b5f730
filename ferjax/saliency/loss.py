"""The loss of ML-Net: errors count more where people looked (Cornia et al. 2016, section III-D)."""

import jax
import jax.numpy as jnp

Array = jax.Array
ALPHA = 1.1  # of the paper's equation
PRIOR = 1 / 48  # L2 of the prior, one over its 6x8 values, as in the published code
TINY = 1e-7  # below which a map is not divided by its maximum: one that is 0 throughout stays so


def map_loss(found: Array, wanted: Array) -> Array:
    """Of each map the mean over places of (found / max(found) - y)^2 / (1.1 - y).

    Args:
      found: [b, h, w], 0 or more, as the network gives it.
      wanted: [b, h, w] y, 0 to 1.
    Returns:
      float32 [b].
    """
    found = found.astype(jnp.float32)
    most = jnp.maximum(found.max((1, 2), keepdims=True), TINY)
    return jnp.mean((found / most - wanted) ** 2 / (ALPHA - wanted), (1, 2))


def prior_loss(params: dict, weight: float = PRIOR) -> Array:
    """L2 of the learned prior: weight times the sum of its squares, as Keras' l2 counts it."""
    return weight * jnp.sum(params["prior"]["kernel"].astype(jnp.float32) ** 2)
