"""'SAME' stride-1 convolution, NHWC x HWIO, with gradients written so that XLA on CPU does them fast."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax

from ferjax.ops import winograd

METHODS = ("auto", "xla", "explicit", "banded", "winograd")
BAND = 4  # output columns that "banded" computes at once


def conv2d(x: Array, w: Array, *, method: str = "auto") -> Array:
    """y[b, i, j, o] = sum_{p, q, c} x[b, i + p - lo, j + q - lo, c] w[p, q, c, o], x zero outside.

    lo = (kernel side - 1) // 2, so that y has the size of x ('SAME'). No bias.

    Methods, all of which jit, vmap, pmap, scan and checkpoint; all but "xla" have first derivatives only:

      "xla": lax.conv_general_dilated and its own derivatives, of every order.
      "explicit": the same forward pass; gradients as a plain convolution and as matrix products.
      "banded": one matrix product of overlapping strips of x with a banded matrix of w; for few input
      channels. "winograd": see `ferjax.ops.winograd`; kernels 3x3 and 5x5 only; computes in float32 at least.
        Its rounding error, a root mean square over that of the result, is below 1e-5 forward and back in
        float32 (2e-4 for the largest single error), where a direct sum has about 5e-7.
      "auto": on CPU as `choose` says, elsewhere "xla".

    Args:
      x: [b, h, w, c], float32 or bfloat16 (float16 and float64 also work).
      w: [kh, kw, c, o], the type of x.
      method: one of the above.
    Returns:
      [b, h, w, o], the type of x.
    Raises:
      ValueError: ranks, channels or types that do not fit, or a method that is unknown or does not fit the
      kernel.
    """
    if x.ndim != 4 or w.ndim != 4 or x.shape[3] != w.shape[2]:
        raise ValueError(f"conv2d needs x [b, h, w, c] and w [kh, kw, c, o], got {x.shape} and {w.shape}")
    if x.dtype != w.dtype:
        raise ValueError(f"conv2d needs one type for x and w, got {x.dtype} and {w.dtype}")
    if method not in METHODS:
        raise ValueError(f"conv2d knows the methods {', '.join(METHODS)}, not {method!r}")
    if method == "auto":
        method = choose(w.shape) if jax.default_backend() == "cpu" else "xla"
    if method == "winograd" and not winograd.supports(w.shape):
        raise ValueError(f"conv2d method 'winograd' takes 3x3 and 5x5 kernels, got {w.shape[0]}x{w.shape[1]}")
    return _plain(x, w) if method == "xla" else _conv(x, w, method)


def choose(shape: tuple[int, ...]) -> str:
    """The fastest method on CPU for a kernel [kh, kw, c, o].

    Measured on 2 cores with AVX-512, 48x48 to 12x12 images, batches of 32 to 512, forward and back.
    """
    _, _, c, o = shape
    if c <= 4:
        return "banded"
    if winograd.supports(shape) and min(c, o) >= 16:
        return "winograd"
    return "explicit"


def _same(k: int) -> tuple[int, int]:
    """Padding before and after for a 'SAME' stride-1 convolution with a kernel of side k."""
    return (k - 1) // 2, k // 2


def _plain(x: Array, w: Array, padding=None) -> Array:
    padding = padding or [_same(w.shape[0]), _same(w.shape[1])]
    return lax.conv_general_dilated(x, w, (1, 1), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _conv(x, w, method):
    return _conv_fwd(x, w, method)[0]


def _conv_fwd(x, w, method):
    if method == "winograd":
        y, v = winograd.forward(x, w)
        return y, (v, w)
    y = _banded(x, w) if method == "banded" else _plain(x, w)
    return y, (x, w)


def _conv_bwd(method, residuals, g):
    x, w = residuals
    if method == "winograd":
        r = w.shape[0]
        m = winograd.transform_output_gradient(g, r)
        dx = winograd.input_gradient(m, w, (*g.shape[:3], w.shape[2]))
        return dx.astype(w.dtype), winograd.weight_gradient(x, m, r).astype(w.dtype)
    dw = _banded_weight_gradient(x, g, w.shape) if method == "banded" else _weight_gradient(x, g, w.shape)
    return _input_gradient(g, w), dw


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
    taps = [
        _transposed_times(padded[:, p : p + h, q : q + w].reshape(-1, c), g)
        for p in range(kh)
        for q in range(kw)
    ]
    return jnp.stack(taps).reshape(shape).astype(x.dtype)


def _transposed_times(a: Array, b: Array) -> Array:
    """a^T b, summed in float32 at least."""
    kind = jnp.promote_types(a.dtype, jnp.float32)
    return lax.dot_general(a, b, (((0,), (0,)), ((), ())), preferred_element_type=kind)


def _strips(x: Array, kh: int, kw: int) -> Array:
    """[b h ceil(w / BAND), kh (kw + BAND - 1) c]: what each run of BAND output columns sees of x."""
    _, h, w, c = x.shape
    wide = -(-w // BAND) * BAND
    (above, below), (left, right) = _same(kh), _same(kw)
    x = jnp.pad(x, ((0, 0), (above, below), (left, right + wide - w), (0, 0)))
    taps = [(p, q) for p in range(kh) for q in range(kw + BAND - 1)]
    columns = [x[:, p : p + h, q : q + wide - BAND + 1 : BAND] for p, q in taps]
    return jnp.concatenate(columns, -1).reshape(-1, len(taps) * c)


def _banded(x: Array, w: Array) -> Array:
    kh, kw, _, o = w.shape
    b, height, width, _ = x.shape
    band = [jnp.pad(w, ((0, 0), (j, BAND - 1 - j), (0, 0), (0, 0))) for j in range(BAND)]
    band = jnp.stack(band, 3).reshape(-1, BAND * o)
    return (_strips(x, kh, kw) @ band).reshape(b, height, -1, o)[:, :, :width]


def _banded_weight_gradient(x: Array, g: Array, shape: tuple[int, ...]) -> Array:
    kh, kw, c, o = shape
    g = jnp.pad(g, ((0, 0), (0, 0), (0, -g.shape[2] % BAND), (0, 0)))
    band = _transposed_times(_strips(x, kh, kw), g.reshape(-1, BAND * o))
    band = band.reshape(kh, kw + BAND - 1, c, BAND, o)
    return sum(band[:, j : j + kw, :, j] for j in range(BAND)).astype(x.dtype)
