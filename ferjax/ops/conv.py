"""'SAME' stride-1 convolution, NHWC x HWIO, with gradients written so that XLA on CPU does them fast."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax

METHODS = ("auto", "xla", "explicit")


def conv2d(x: Array, w: Array, *, method: str = "auto") -> Array:
    """y[b, i, j, o] = sum_{p, q, c} x[b, i + p - lo, j + q - lo, c] w[p, q, c, o], x zero outside.

    lo = (kernel side - 1) // 2, so that y has the size of x ('SAME'). No bias.

    Args:
      x: [b, h, w, c], float32 or bfloat16 (float16 and float64 also work).
      w: [kh, kw, c, o], the type of x.
      method: "xla" is lax.conv_general_dilated with its own derivatives, of every order. "explicit" has the
        same forward pass, and first derivatives only, written as plain convolutions and matrix products.
        "auto" picks the fastest by shape on CPU, as measured, and "xla" elsewhere.
    Returns:
      [b, h, w, o], the type of x.
    Raises:
      ValueError: ranks, channels or types that do not fit, or an unknown method.
    """
    if x.ndim != 4 or w.ndim != 4 or x.shape[3] != w.shape[2]:
        raise ValueError(f"conv2d needs x [b, h, w, c] and w [kh, kw, c, o], got {x.shape} and {w.shape}")
    if x.dtype != w.dtype:
        raise ValueError(f"conv2d needs one type for x and w, got {x.dtype} and {w.dtype}")
    if method not in METHODS:
        raise ValueError(f"conv2d knows the methods {', '.join(METHODS)}, not {method!r}")
    if method == "auto":
        method = "explicit" if jax.default_backend() == "cpu" else "xla"
    return _plain(x, w) if method == "xla" else _conv(x, w)


def _same(k: int) -> tuple[int, int]:
    """Padding before and after for a 'SAME' stride-1 convolution with a kernel of side k."""
    return (k - 1) // 2, k // 2


def _plain(x: Array, w: Array, padding=None) -> Array:
    padding = padding or [_same(w.shape[0]), _same(w.shape[1])]
    return lax.conv_general_dilated(x, w, (1, 1), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))


@jax.custom_vjp
def _conv(x, w):
    return _plain(x, w)


def _conv_fwd(x, w):
    return _conv(x, w), (x, w)


def _conv_bwd(residuals, g):
    x, w = residuals
    return _input_gradient(g, w), _weight_gradient(x, g, w.shape)


_conv.defvjp(_conv_fwd, _conv_bwd)


def _input_gradient(g: Array, w: Array) -> Array:
    """The forward convolution of g with w turned by half a turn and its channels swapped."""
    padding = [_same(k)[::-1] for k in w.shape[:2]]
    return _plain(g, w[::-1, ::-1].swapaxes(2, 3), padding)


def _weight_gradient(x: Array, g: Array, shape: tuple[int, ...]) -> Array:
    """dw[p, q] = x shifted by (p, q), transposed, times g: kh kw matrix products."""
    kh, kw, c, o = shape
    _, h, w, _ = x.shape
    padded = jnp.pad(x, ((0, 0), _same(kh), _same(kw), (0, 0)))
    g = g.reshape(-1, o)
    product = partial(lax.dot_general, dimension_numbers=(((0,), (0,)), ((), ())))
    taps = [
        product(padded[:, p : p + h, q : q + w].reshape(-1, c), g, preferred_element_type=jnp.float32)
        for p in range(kh)
        for q in range(kw)
    ]
    return jnp.stack(taps).reshape(shape).astype(x.dtype)
