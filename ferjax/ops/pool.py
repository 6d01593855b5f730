"""Max pooling with stride 2 whose gradient goes to the first of equal elements, as PyTorch's does."""

import functools
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax


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


def max_pool_3x3(x: Array) -> Array:
    """Maximum over 3x3 windows with stride 2, which overlap; rows and columns that fill none are dropped.

    On CPU several times as fast as `lax.reduce_window` (5.9 forward, 9.3 forward and back, batch 16 of
    55x55x64, one timing on two busy cores). Ties and NaN as in `max_pool_2x2`.

    Args:
      x: [b, h, w, c] with h, w at least 3.
    Returns:
      [b, (h - 1) // 2, (w - 1) // 2, c].
    Raises:
      ValueError: x is not of rank 4, or has fewer than 3 rows or columns.
    Source: Krizhevsky et al. 2012, section 3.4 (s = 2, z = 3).
    """
    if x.ndim != 4 or x.shape[1] < 3 or x.shape[2] < 3:
        raise ValueError(f"max_pool_3x3 needs [b, h >= 3, w >= 3, c], got {x.shape}")
    return _overlapping(x, x.shape)


def _ninths(x: Array) -> list[Array]:
    """The nine elements of each window in row-major order: 9 arrays [b, (h - 1) // 2, (w - 1) // 2, c]."""
    h, w = ((n - 1) // 2 * 2 for n in x.shape[1:3])
    return [x[:, i : i + h - 1 : 2, j : j + w - 1 : 2] for i in range(3) for j in range(3)]


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def _overlapping(x, shape):
    return functools.reduce(jnp.maximum, _ninths(x))


def _overlapping_fwd(x, shape):
    ninths = _ninths(x)
    y = functools.reduce(jnp.maximum, ninths)
    winner = jnp.full(y.shape, 9, jnp.int8)  # 9: nobody, NaN
    for i in range(8, -1, -1):
        winner = jnp.where(ninths[i] == y, jnp.int8(i), winner)
    return y, winner


def _overlapping_bwd(shape, winner, g):
    dx = 0
    for i in range(3):
        for j in range(3):
            mine = jnp.where(winner == 3 * i + j, g, 0)
            ends = [
                (at, n - at - 2 * m + 1, 1) for at, n, m in zip((i, j), shape[1:3], g.shape[1:3], strict=True)
            ]
            dx += lax.pad(mine, jnp.zeros((), g.dtype), [(0, 0, 0), *ends, (0, 0, 0)])
    return (dx,)


_overlapping.defvjp(_overlapping_fwd, _overlapping_bwd)
