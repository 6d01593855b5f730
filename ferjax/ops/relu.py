"""ReLUs whose backward pass is not their derivative: guided backpropagation's and deconvnet's.

Both are max(x, 0) going forward. A model that takes its rectifier as an argument serves training with
`jax.nn.relu` and attribution with these; nothing in it is changed or hooked.

    backward of g at x      jax.nn.relu     g where x > 0
                            guided          g where x > 0 and g > 0
                            deconvnet       g where g > 0
"""

import jax
import jax.numpy as jnp
from jax import Array


@jax.custom_vjp
def guided(x: Array) -> Array:
    """max(x, 0); a gradient passes where it and x are positive.

    Args:
      x: [...] floats.
    Returns:
      [...], the type of x; NaN where x is NaN, which passes no gradient. First derivatives in reverse only.
    Source: Springenberg et al. 2015, Striving for simplicity: the all convolutional net, figure 1.
    """
    return jax.nn.relu(x)


def _guided_fwd(x):
    return jax.nn.relu(x), x > 0


def _guided_bwd(positive, g):
    return (jnp.where(positive & (g > 0), g, 0),)


guided.defvjp(_guided_fwd, _guided_bwd)


@jax.custom_vjp
def deconvnet(x: Array) -> Array:
    """max(x, 0); a gradient passes where it is positive, whatever x is.

    Args:
      x: [...] floats.
    Returns:
      [...], the type of x. First derivatives in reverse only.
    Source: Zeiler & Fergus 2014, Visualizing and understanding convolutional networks, section 2.1.
    """
    return jax.nn.relu(x)


def _deconvnet_fwd(x):
    return jax.nn.relu(x), None


def _deconvnet_bwd(_, g):
    return (jnp.where(g > 0, g, 0),)


deconvnet.defvjp(_deconvnet_fwd, _deconvnet_bwd)
