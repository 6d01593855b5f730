"""Winograd convolution for 5x5 and 3x3 kernels: a quarter and less of the multiplications, as matrix
products.

For a tile d of side n = 4 + r - 1 of the input, one filter w of side r, and the 4x4 tile y of the output,

    y = A^T [ sum over input channels (G w G^T) * (B^T d B) ] A

where * is element by element. That is n^2 / 16 multiplications for an output instead of r^2: 4 instead of 25
for r = 5, 2.25 instead of 9 for r = 3. The n^2 elements are independent matrix products [tiles, c] @ [c, o],
and the gradients are the transposes of the same steps. The matrices are Cook and Toom's for small rational
points and infinity.

Source: Lavin & Gray, Fast Algorithms for Convolutional Neural Networks, CVPR 2016; points for n = 8 as in
Barabasz et al., Error Analysis and Improving the Accuracy of Winograd Convolution, ACM TOMS 2020.
"""

from fractions import Fraction
from functools import cache

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

SIDE = 4  # of an output tile; must be at least r - 1, so that an input tile touches only two blocks of SIDE
_POINTS = {5: (0, 1, -1, 2, -2, Fraction(1, 2), Fraction(-1, 2)), 3: (0, 1, -1, 2, Fraction(-1, 2))}  # by r


@cache
def matrices(r: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A^T [4, n], G [n, r], B^T [n, n] in float64, with n = r + 3; y = A^T ((G w) * (B^T d)) in one
    dimension.

    With points a_0 .. a_{n-2}: A^T and G evaluate polynomials at the points, row i of B^T holds the
    coefficients of prod_{j != i} (t - a_j), row i of G is divided by prod_{j != i} (a_i - a_j), and the last
    point is infinity.
    """
    points = [Fraction(p) for p in _POINTS[r]]
    n = len(points) + 1

    def product(roots):
        coefficients = [Fraction(1)]
        for root in roots:
            shifted = [Fraction(0), *coefficients]
            coefficients = [s - root * c for s, c in zip(shifted, [*coefficients, Fraction(0)], strict=True)]
        return coefficients + [Fraction(0)] * (n - len(coefficients))

    others = [points[:i] + points[i + 1 :] for i in range(n - 1)]
    bt = [product(o) for o in others] + [product(points)]
    scale = [Fraction(1) / np.prod([a - b for b in o]) for a, o in zip(points, others, strict=True)]
    g = [[s * a**k for k in range(r)] for s, a in zip(scale, points, strict=True)]
    g.append([Fraction(int(k == r - 1)) for k in range(r)])
    at = [[a**k for a in points] + [Fraction(int(k == SIDE - 1))] for k in range(SIDE)]
    return tuple(np.array(m, np.float64) for m in (at, g, bt))


def supports(shape: tuple[int, ...]) -> bool:
    """Whether a kernel [kh, kw, c, o] is one that `forward` takes."""
    return shape[0] == shape[1] and shape[0] in _POINTS


def _both_axes(matrix: np.ndarray, x: Array) -> Array:
    """(M kron M) x for x [k, ...]: the two-dimensional transform as one matrix product."""
    m = np.kron(matrix, matrix).astype(x.dtype)
    return jnp.matmul(m, x.reshape(x.shape[0], -1), precision="highest").reshape(-1, *x.shape[1:])


def _products(equation: str, *factors: Array) -> Array:
    return jnp.einsum(equation, *factors, precision="highest")


def _wide(x: Array) -> Array:
    """Half-precision numbers as float32: the transforms lose three digits on the way."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _combine(coefficients: np.ndarray, terms: list[Array]) -> Array:
    total = None
    for c, term in zip(coefficients.tolist(), terms, strict=True):
        if c:
            term = term if c == 1 else term * c
            total = term if total is None else total + term
    return total


def _tiles(size: int) -> int:
    return -(-size // SIDE)


def _blocks(x: Array) -> Array:
    """[b, h, w, c] -> [16, tiles, c]: non-overlapping tiles, zero-filled at the far edges."""
    b, h, w, c = x.shape
    th, tw = _tiles(h), _tiles(w)
    x = jnp.pad(x, ((0, 0), (0, th * SIDE - h), (0, tw * SIDE - w), (0, 0)))
    x = x.reshape(b, th, SIDE, tw, SIDE, c).transpose(2, 4, 0, 1, 3, 5)
    return x.reshape(SIDE * SIDE, b * th * tw, c)


def _unblocks(tiles: Array, shape: tuple[int, ...]) -> Array:
    """[16, tiles, c] -> the [b, h, w, c] that `_blocks` was made from."""
    b, h, w, c = shape
    th, tw = _tiles(h), _tiles(w)
    x = tiles.reshape(SIDE, SIDE, b, th, tw, c).transpose(2, 3, 0, 4, 1, 5)
    return x.reshape(b, th * SIDE, tw * SIDE, c)[:, :h, :w]


def transform_input(x: Array, r: int) -> Array:
    """B^T d B of every overlapping tile of x, zero-padded to 'SAME': [b, h, w, c] -> [n^2, tiles, c].

    Rows first, then columns, each one loop over the output: cheaper here than (B kron B)^T as a matrix
    product, since the overlapping tiles are never written out.
    """
    bt = matrices(r)[2]
    n = len(bt)
    b, h, w, c = x.shape
    th, tw = _tiles(h), _tiles(w)
    lo = (r - 1) // 2
    x = jnp.pad(x, ((0, 0), (lo, (th + 1) * SIDE - h - lo), (lo, (tw + 1) * SIDE - w - lo), (0, 0)))
    x = lax.optimization_barrier(x).reshape(b, th + 1, SIDE, (tw + 1) * SIDE, c)
    rows = [x[:, q // SIDE : q // SIDE + th, q % SIDE] for q in range(n)]
    x = jnp.stack([_combine(row, rows) for row in bt])
    x = lax.optimization_barrier(x).reshape(n, b, th, tw + 1, SIDE, c)
    columns = [x[:, :, :, q // SIDE : q // SIDE + tw, q % SIDE] for q in range(n)]
    return jnp.stack([_combine(row, columns) for row in bt], 1).reshape(n * n, b * th * tw, c)


def _transform_input_transposed(v: Array, shape: tuple[int, ...], r: int) -> Array:
    """The transpose of `transform_input`: tiles are transformed and overlapping ones added up."""
    bt = matrices(r)[2]
    n = len(bt)
    b, h, w, c = shape
    th, tw = _tiles(h), _tiles(w)
    bt = np.pad(bt, ((0, 0), (0, 2 * SIDE - n)))
    tiles = _both_axes(bt.T, v).reshape(2, SIDE, 2, SIDE, b, th, tw, c)
    x = sum(
        jnp.pad(tiles[i, :, j], ((0, 0), (0, 0), (0, 0), (i, 1 - i), (j, 1 - j), (0, 0)))
        for i in (0, 1)
        for j in (0, 1)
    )
    x = x.transpose(2, 3, 0, 4, 1, 5).reshape(b, (th + 1) * SIDE, (tw + 1) * SIDE, c)
    lo = (r - 1) // 2
    return x[:, lo : lo + h, lo : lo + w]


def forward(x: Array, w: Array) -> tuple[Array, Array]:
    """'SAME' stride-1 convolution of x [b, h, w, c] with w [r, r, c, o], r 3 or 5.

    Returns:
      y [b, h, w, o], and v [n^2, tiles, c], the transformed input that `weight_gradient` uses again.
    """
    r, _, c, o = w.shape
    v = transform_input(_wide(x), r)
    u = _both_axes(matrices(r)[1], _wide(w).reshape(r * r, c, o))
    m = _products("ntc,nco->nto", v, u)
    y = _both_axes(matrices(r)[0], m)
    return _unblocks(y, (*x.shape[:3], o)).astype(x.dtype), v


def input_gradient(m: Array, w: Array, shape: tuple[int, ...]) -> Array:
    """dx [b, h, w, c] = `shape` from m = transform_output_gradient(g)."""
    r, _, c, o = w.shape
    u = _both_axes(matrices(r)[1], _wide(w).reshape(r * r, c, o))
    return _transform_input_transposed(_products("nto,nco->ntc", m, u), shape, r)


def weight_gradient(v: Array, m: Array, r: int) -> Array:
    """dw [r, r, c, o] from the transformed input v and m = transform_output_gradient(g)."""
    u = _products("ntc,nto->nco", v, m)
    return _both_axes(matrices(r)[1].T, u).reshape(r, r, *u.shape[1:])


def transform_output_gradient(g: Array, r: int) -> Array:
    """A g A^T of every tile: [b, h, w, o] -> [n^2, tiles, o]."""
    return _both_axes(matrices(r)[0].T, _blocks(_wide(g)))
