"""Whether a convolution and its gradients cost more inside `lax.scan` than outside, on this machine.

    python -m benchmarks.scanned [--batch 64] [--rounds 5] [--methods explicit,banded,winograd,auto]

For each layer of the paper's network and each method: steps of a convolution, gradients and changed weights,
one after the other on other inputs, called from Python and by one scan; turn and turn about, median of the
rounds' ratios. Nothing of a step is the same in the next one, so that XLA can take nothing out of the loop;
a test looks. Several steps a call (`parallel.steps_per_call`) and microbatches (`parallel.microbatch`) live
by this. XLA's own gradients (method xla) take minutes here: some 80 times longer inside.
"""

import argparse
import pathlib
import statistics
import time

import jax
import jax.numpy as jnp

from benchmarks import rounds
from ferjax.ops import conv2d, keep_freed_memory

RESULTS = pathlib.Path(__file__).parent / "results" / "scanned.json"
LAYERS = {"block1": (48, 1, 64), "block2": (24, 64, 128), "block3": (12, 128, 256)}  # side, channels in, out
TIMES = 4  # convolutions of one measurement


def programs(method: str):
    """(one, scanned): (w, i, xs [t, b, h, w, c], gs) -> (new w, sum of x's gradient); of all i in one scan.

    Both take number i out of the same arrays, which copies x and g: a cost of its own (3 ms for block 1's g
    of 64 pictures, where the gradient takes 11), and none of the convolution's.
    """

    def step(w, i, xs, gs):
        x, g = xs[i], gs[i]
        dx, dw = jax.grad(lambda x, w: jnp.vdot(conv2d(x, w, method=method), g), (0, 1))(x, w)
        return w - 1e-6 * dw, dx.sum()

    @jax.jit
    def scanned(w, xs, gs):
        return jax.lax.scan(lambda w, i: step(w, i, xs, gs), w, jnp.arange(len(xs)))

    return jax.jit(step), scanned


def pair(layer: str, method: str, batch: int):
    """(called from Python, by one scan): TIMES gradients of the layer's convolution, of other inputs each."""
    side, c, o = LAYERS[layer]
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (TIMES, batch, side, side, c))
    w = jax.random.normal(keys[1], (5, 5, c, o)) / (25 * c) ** 0.5
    g = jax.random.normal(keys[2], (TIMES, batch, side, side, o))
    one, scanned = programs(method)

    def outside():
        now = w
        for i in range(TIMES):
            now, total = one(now, i, x, g)
        jax.block_until_ready((now, total))

    def inside():
        jax.block_until_ready(scanned(w, x, g))

    return outside, inside


def seconds(run) -> float:
    """Of one call."""
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun


def main() -> None:
    """Prints the table and writes benchmarks/results/scanned.json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--methods", default="explicit,banded,winograd,auto")
    parser.add_argument("--out", type=pathlib.Path, default=RESULTS)
    args = parser.parse_args()
    keep_freed_memory()
    rows = []
    print(f"{'layer':8} {'method':10} {'outside, ms':>12} {'inside / outside':>24}")
    for layer in LAYERS:
        for method in args.methods.split(","):
            outside, inside = pair(layer, method, args.batch)
            outside(), inside()
            turns = [(seconds(outside), seconds(inside)) for _ in range(args.rounds)]
            ratio = rounds.spread([b / a for a, b in turns])
            ms = statistics.median(a for a, _ in turns) / TIMES * 1e3
            rows.append({"layer": layer, "method": method, "outside_ms": ms, "inside_over_outside": ratio})
            span = f"{ratio['median']:.2f} ({ratio['low']:.2f}-{ratio['high']:.2f})"
            print(f"{layer:8} {method:10} {ms:12.1f} {span:>24}", flush=True)
    about = {"machine": rounds.machine(), "jax": jax.__version__, "batch": args.batch, "rounds": args.rounds}
    rounds.write(args.out, about | {"rows": rows})


if __name__ == "__main__":
    main()
