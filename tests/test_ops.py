import platform
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import runs
from jax import lax

from ferjax.ops import conv2d, max_pool_2x2, winograd
from ferjax.ops.conv import METHODS
from ferjax.ops.pool import max_pool_3x3

SHAPES = {  # name: (b, h, w, c), (kh, kw, c, o)
    "first layer": ((2, 12, 12, 1), (5, 5, 1, 8)),
    "inner layer": ((2, 12, 12, 6), (5, 5, 6, 8)),
    "odd size": ((3, 7, 9, 3), (5, 5, 3, 4)),
    "smaller than the kernel": ((2, 3, 2, 2), (5, 5, 2, 3)),
    "3x3": ((2, 6, 10, 3), (3, 3, 3, 4)),
    "even kernel": ((2, 6, 5, 3), (4, 2, 3, 4)),
    "1x1": ((2, 6, 6, 3), (1, 1, 3, 4)),
    "wide enough for winograd": ((2, 11, 9, 16), (5, 5, 16, 24)),
    "3x3, wide": ((2, 7, 8, 16), (3, 3, 16, 16)),
}


def reference(x, w):
    return lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def exact_three(x, w, g):
    """Output and both gradients, summed tap by tap in NumPy float64."""
    x, w, g = (np.asarray(a, np.float64) for a in (x, w, g))
    kh, kw = w.shape[:2]
    top, left = (kh - 1) // 2, (kw - 1) // 2
    padded = np.pad(x, ((0, 0), (top, kh - 1 - top), (left, kw - 1 - left), (0, 0)))
    y, dx, dw = np.zeros(g.shape), np.zeros(padded.shape), np.zeros(w.shape)
    for p in range(kh):
        for q in range(kw):
            at = np.s_[:, p : p + x.shape[1], q : q + x.shape[2]]
            y += padded[at] @ w[p, q]
            dx[at] += g @ w[p, q].T
            dw[p, q] = np.einsum("bhwc,bhwo->co", padded[at], g)
    return y, dx[:, top : top + x.shape[1], left : left + x.shape[2]], dw


def draw(shapes):
    """x, w and an output gradient."""
    rng = np.random.default_rng(0)
    (b, h, w, _), (*_, o) = shapes
    return [jnp.asarray(rng.standard_normal(s, np.float32)) for s in (*shapes, (b, h, w, o))]


def all_three(conv, x, w, g):
    """Output and both gradients."""

    @jax.jit
    def run(x, w, g):
        y, back = jax.vjp(conv, x, w)
        return (y, *back(g))

    return run(x, w, g)


def near(actual, expected, bound):
    """Largest error is at most `bound` of the root mean square."""
    for a, e in zip(actual, expected, strict=True):
        assert a.shape == e.shape
        a, e = np.asarray(a, np.float64), np.asarray(e, np.float64)
        assert np.max(np.abs(a - e)) <= bound * np.sqrt(np.mean(e**2))


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("method", METHODS)
def test_conv_and_gradients_in_float64(name, method):
    if method == "winograd" and not winograd.supports(SHAPES[name][1]):
        pytest.skip("winograd takes 3x3 and 5x5 kernels")
    x, w, g = draw(SHAPES[name])
    actual = all_three(lambda x, w: conv2d(x, w, method=method), x, w, g)
    near(actual, exact_three(x, w, g), 1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_conv_bfloat16(method):
    x, w, g = (a.astype(jnp.bfloat16) for a in draw(SHAPES["inner layer"]))
    actual = all_three(lambda x, w: conv2d(x, w, method=method), x, w, g)
    assert {a.dtype for a in actual} == {jnp.dtype(jnp.bfloat16)}
    near(actual, exact_three(*(a.astype(jnp.float32) for a in (x, w, g))), 5e-2)


@pytest.mark.parametrize("method", METHODS)
def test_conv_like_torch(method):
    torch = pytest.importorskip("torch")
    x, w, g = draw(SHAPES["odd size"])
    tx = torch.tensor(np.asarray(x).transpose(0, 3, 1, 2), requires_grad=True)
    tw = torch.tensor(np.asarray(w).transpose(3, 2, 0, 1), requires_grad=True)
    ty = torch.nn.functional.conv2d(tx, tw, padding=2)
    ty.backward(torch.tensor(np.asarray(g).transpose(0, 3, 1, 2)))
    expected = (
        ty.detach().numpy().transpose(0, 2, 3, 1),
        tx.grad.numpy().transpose(0, 2, 3, 1),
        tw.grad.numpy().transpose(2, 3, 1, 0),
    )
    near(all_three(lambda x, w: conv2d(x, w, method=method), x, w, g), expected, 1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_conv_under_transformations(method):
    x, w, g = draw(SHAPES["inner layer"])
    xs, ws = jnp.stack([x, 2 * x]), jnp.stack([w, -w])

    def loss(w, x):
        return jnp.sum(conv2d(x, w, method=method) * g)

    one = jax.grad(loss, (0, 1))
    exact = [exact_three(x, w, g) for x, w in zip(xs, ws, strict=True)]
    expected = [np.stack([e[2] for e in exact]), np.stack([e[1] for e in exact])]
    near(jax.jit(jax.vmap(one))(ws, xs), expected, 1e-4)
    near(jax.jit(lambda a: lax.scan(lambda _, b: (None, one(*b)), None, a)[1])((ws, xs)), expected, 1e-4)
    near(jax.jit(jax.vmap(jax.grad(jax.checkpoint(loss), (0, 1))))(ws, xs), expected, 1e-4)
    shared = jax.jit(jax.vmap(jax.grad(loss), in_axes=(None, 0)))(w, xs)
    near([shared], [np.stack([exact[0][2], 2 * exact[0][2]])], 1e-4)


@pytest.mark.parametrize("name", ["first layer", "wide enough for winograd"])
def test_conv_like_the_derivatives_of_lax(name):
    x, w, g = draw(SHAPES[name])
    near(all_three(conv2d, x, w, g), all_three(reference, x, w, g), 1e-4)


@pytest.mark.skipif(jax.device_count() < 2, reason="needs two devices")
def test_conv_and_pool_on_two_devices():
    x, w, g = draw(SHAPES["inner layer"])

    def gradient(w, x, g):
        local = jax.grad(lambda w: jnp.sum(max_pool_2x2(conv2d(x, w)) * g[:, ::2, ::2]))(w)
        return lax.psum(local, "data")

    spec = jax.sharding.PartitionSpec
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:2]), ("data",))
    sharded = jax.shard_map(
        gradient, mesh=mesh, in_specs=(spec(), spec("data"), spec("data")), out_specs=spec(), check_vma=False
    )
    expected = jax.grad(lambda w: jnp.sum(max_pool_2x2(reference(x, w)) * g[:, ::2, ::2]))(w)
    near([jax.jit(sharded)(w, x, g)], [expected], 2e-5)
    pmapped = jax.pmap(gradient, "data", in_axes=(None, 0, 0), out_axes=None, devices=jax.devices()[:2])
    near([pmapped(w, x[:, None], g[:, None])], [expected], 2e-5)


@pytest.mark.parametrize(
    ("x", "w", "method", "match"),
    [
        (jnp.zeros((1, 4, 4, 2)), jnp.zeros((3, 3, 3, 1)), "auto", "needs x"),
        (jnp.zeros((4, 4, 2)), jnp.zeros((3, 3, 2, 1)), "auto", "needs x"),
        (jnp.zeros((1, 4, 4, 2)), jnp.zeros((3, 3, 2, 1), jnp.bfloat16), "auto", "one type"),
        (jnp.zeros((1, 4, 4, 2)), jnp.zeros((3, 3, 2, 1)), "fft", "explicit"),
        (jnp.zeros((1, 4, 4, 2)), jnp.zeros((3, 5, 2, 1)), "winograd", "3x3 and 5x5"),
    ],
)
def test_conv_refuses(x, w, method, match):
    with pytest.raises(ValueError, match=match):
        conv2d(x, w, method=method)


def pool_and_gradient(x, g):
    y, back = jax.vjp(max_pool_2x2, x)
    return y, back(g)[0]


@pytest.mark.parametrize("size", [(4, 6), (5, 7), (2, 3)])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_pool_like_torch_with_ties(size, dtype):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    x = jnp.asarray(rng.integers(-1, 2, (3, *size, 5)), dtype)  # three values: most windows have ties
    g = jnp.asarray(rng.standard_normal((3, size[0] // 2, size[1] // 2, 5)), dtype)
    y, dx = jax.jit(pool_and_gradient)(x, g)
    tx = torch.tensor(np.asarray(x, np.float32).transpose(0, 3, 1, 2), requires_grad=True)
    ty = torch.nn.functional.max_pool2d(tx, 2)
    ty.backward(torch.tensor(np.asarray(g, np.float32).transpose(0, 3, 1, 2)))
    assert y.dtype == dx.dtype == dtype
    np.testing.assert_array_equal(np.asarray(y, np.float32), ty.detach().numpy().transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(np.asarray(dx, np.float32), tx.grad.numpy().transpose(0, 2, 3, 1))


@pytest.mark.parametrize("size", [(7, 9), (8, 6), (3, 4)])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_overlapping_pool_like_torch_with_ties(size, dtype):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    x = jnp.asarray(rng.integers(-1, 2, (3, *size, 5)), dtype)
    g = jnp.asarray(rng.integers(-4, 5, (3, *((n - 1) // 2 for n in size), 5)), dtype)  # sums are exact
    y, back = jax.vjp(jax.jit(max_pool_3x3), x)
    dx = jax.jit(back)(g)[0]
    tx = torch.tensor(np.asarray(x, np.float32).transpose(0, 3, 1, 2), requires_grad=True)
    ty = torch.nn.functional.max_pool2d(tx, 3, 2)
    ty.backward(torch.tensor(np.asarray(g, np.float32).transpose(0, 3, 1, 2)))
    assert y.dtype == dx.dtype == dtype
    np.testing.assert_array_equal(np.asarray(y, np.float32), ty.detach().numpy().transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(np.asarray(dx, np.float32), tx.grad.numpy().transpose(0, 2, 3, 1))


def test_overlapping_pool_refuses_and_passes_nan_on():
    for shape in ((1, 2, 4, 2), (1, 4, 2, 2), (4, 4, 2)):
        with pytest.raises(ValueError, match="max_pool_3x3 needs"):
            max_pool_3x3(jnp.zeros(shape))
    x = jnp.zeros((1, 3, 5, 1)).at[0, 0, 0, 0].set(jnp.nan)
    y, back = jax.vjp(max_pool_3x3, x)
    assert jnp.isnan(y[0, 0, 0, 0]) and y[0, 0, 1, 0] == 0
    np.testing.assert_array_equal(np.flatnonzero(back(jnp.ones_like(y))[0]), [2])


def test_pool_literal_ties():
    x = jnp.array([[0.0, 0.0, 1.0, 2.0], [0.0, 0.0, 2.0, 2.0]]).reshape(1, 2, 4, 1)
    gradient = jax.grad(lambda x: max_pool_2x2(x).sum())(x)
    np.testing.assert_array_equal(gradient[0, :, :, 0], [[1, 0, 0, 1], [0, 0, 0, 0]])


def test_pool_nan_passes_no_gradient():
    x = jnp.array([[0.0, jnp.nan], [1.0, 2.0]]).reshape(1, 2, 2, 1)
    y, back = jax.vjp(max_pool_2x2, x)
    assert jnp.isnan(y).all()
    np.testing.assert_array_equal(back(jnp.ones_like(y))[0], jnp.zeros_like(x))


def test_pool_under_transformations():
    x = jnp.asarray(np.random.default_rng(0).standard_normal((3, 2, 5, 6, 4), np.float32))
    one = jax.jit(jax.grad(lambda x: jnp.sum(max_pool_2x2(x) ** 2)))
    expected = jnp.stack([one(a) for a in x])
    np.testing.assert_array_equal(jax.jit(jax.vmap(one))(x), expected)
    np.testing.assert_array_equal(lax.scan(lambda _, a: (None, one(a)), None, x)[1], expected)
    checkpointed = jax.checkpoint(lambda x: jnp.sum(max_pool_2x2(x) ** 2))
    np.testing.assert_array_equal(jax.jit(jax.grad(checkpointed))(x[0]), expected[0])


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_keep_freed_memory():
    """A freed block of 256 MB stays with the process, or not; in one of its own: it holds for the whole."""
    code = (
        "import ctypes, sys; from ferjax.ops.memory import keep_freed_memory; keep_freed_memory()\n"
        "assert keep_freed_memory(large=sys.argv[1] == 'large')\n"
        "c = ctypes.CDLL(None); c.malloc.restype = ctypes.c_void_p; c.free.argtypes = [ctypes.c_void_p]\n"
        "block = c.malloc(2**28); ctypes.memset(block, 1, 2**28); after = c.malloc(2**20); c.free(block)\n"
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmRSS')))"
    )
    held = {}
    for which in ("large", "small"):
        command = [sys.executable, "-c", code, which]
        done = subprocess.run(command, cwd=runs.ROOT, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        held[which] = int(done.stdout) / 1024  # MB
    assert 250 < held["large"] - held["small"] < 270


@pytest.mark.parametrize("shape", [(1, 1, 4, 2), (1, 4, 1, 2), (4, 4, 2)])
def test_pool_refuses(shape):
    with pytest.raises(ValueError, match="max_pool_2x2 needs"):
        max_pool_2x2(jnp.zeros(shape))
