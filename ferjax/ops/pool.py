"""2x2 max pooling with stride 2 whose gradient goes to the first of equal elements, as PyTorch's does."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array


def max_pool_2x2(x: Array) -> Array:
    """Maximum over 2x2 windows with stride 2; an odd last row or column is dropped.

    The maximum of four strided slices is about 4 times faster on CPU than a reduction over reshaped windows,
    which in turn beats `lax.reduce_window`. Of the forward pass one byte a window is kept: which element won.

    Args:
      x: [b, h, w, c] with h, w at least 2.
    Returns:
      [b, h // 2, w // 2, c]. Its gradient goes to the first element, in row-major order of the window, that
      equals the maximum; a window that holds NaN gives NaN and passes no gradient.
    Raises:
      ValueError: x is not of rank 4, or has fewer than 2 rows or columns.
    Source: the tie rule of torch.nn.functional.max_pool2d.
    """
    if x.ndim != 4 or x.shape[1] < 2 or x.shape[2] < 2:
        raise ValueError(f"max_pool_2x2 needs [b, h >= 2, w >= 2, c], got {x.shape}")
    return _pool(x, x.shape)


def _quarters(x: Array) -> list[Array]:
    """The four elements of each window in row-major order: 4 arrays [b, h // 2, w // 2, c]."""
    b, h, w, c = x.shape
    windows = x[:, : h // 2 * 2, : w // 2 * 2].reshape(b, h // 2, 2, w // 2, 2, c)
    return [windows[:, :, i, :, j] for i in (0, 1) for j in (0, 1)]


def _maximum(quarters: list[Array]) -> Array:
    first, second, third, fourth = quarters
    return jnp.maximum(jnp.maximum(first, second), jnp.maximum(third, fourth))


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def _pool(x, shape):
    return _maximum(_quarters(x))


def _pool_fwd(x, shape):
    quarters = _quarters(x)
    y = _maximum(quarters)
    winner = jnp.full(y.shape, 4, jnp.int8)  # 4: nobody, NaN
    for i in (3, 2, 1, 0):
        winner = jnp.where(quarters[i] == y, jnp.int8(i), winner)
    return y, winner


def _pool_bwd(shape, winner, g):
    b, h, w, c = shape
    place = jnp.arange(4, dtype=jnp.int8).reshape(2, 1, 2, 1)
    dx = jnp.where(winner[:, :, None, :, None] == place, g[:, :, None, :, None], 0)
    dx = dx.reshape(b, h // 2 * 2, w // 2 * 2, c)
    return (jnp.pad(dx, ((0, 0), (0, h % 2), (0, w % 2), (0, 0))),)


_pool.defvjp(_pool_fwd, _pool_bwd)
