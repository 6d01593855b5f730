"""Where the time of a training step of the paper's network goes: its parts, its layers, the ways to convolve.

    python -m benchmarks.step_parts [--batch 128] [--rounds 7] [--figure docs/img/step_parts.png]

Each part is a compiled function of its own and runs once in every round, one after the other, in one process;
medians over rounds, ratios within a round. Parts do not add up to the whole step, which XLA compiles as one.
"gradient" is the forward pass with it. Layers are timed forward and back. Writes
benchmarks/results/step_parts.json.
"""

import argparse
import pathlib
import statistics
import time

import numpy as np

from benchmarks import contestants, rounds

RESULTS = pathlib.Path(__file__).parent / "results" / "step_parts.json"
LAYERS = ((48, 1, 64), (24, 64, 128), (12, 128, 256))  # side, channels in and out of the blocks
METHODS = ("xla", "explicit", "banded", "winograd")


def parts(batch: int) -> dict:
    """{(group, part): what runs it once and waits}; ("step", "whole") is what `ferjax train` runs."""
    import jax
    import jax.numpy as jnp

    from ferjax import config, models, optim, train
    from ferjax.augment import augment, example_keys, normalise

    c = config.default()
    whole, infer, _ = contestants.ferjax_training(c, *contestants.random_images(batch), contestants.CLASSES)
    model = models.build(c.model, contestants.CLASSES)
    state = jax.jit(lambda: train.init_state(c, model, (48, 48, 1)))()
    image, label = map(jnp.asarray, contestants.random_images(batch))
    keys = example_keys(0, 0, jnp.arange(batch))
    x = jax.block_until_ready(normalise(image, c.model.normalise))
    transform = optim.transform(c)

    def loss(params):
        logits, _ = model.apply({"params": params}, x, keys=keys)
        return -jnp.sum(jax.nn.log_softmax(logits)[jnp.arange(batch), label])

    def update(params, gradient, opt_state):
        step, opt_state = transform.update(gradient, opt_state, params)
        return jax.tree.map(lambda p, s: p - 1e-3 * s, params, step), opt_state

    def ready(function, *given):
        compiled = jax.jit(function)
        return lambda: jax.block_until_ready(compiled(*given))

    gradient = jax.jit(jax.grad(loss))(state.params)
    out = {
        ("step", "whole"): whole,
        ("step", "inference"): infer,
        ("step", "augment and normalise"): ready(
            lambda image, keys: normalise(augment(image, keys, c.augment, True), c.model.normalise),
            image,
            keys,
        ),
        ("step", "forward"): ready(loss, state.params),
        ("step", "gradient"): ready(jax.grad(loss), state.params),
        ("step", "optimizer"): ready(update, state.params, gradient, state.opt_state),
    }
    return out | layers(batch, ready)


def layers(batch: int, ready) -> dict:
    """{(layer, method): as of `parts`}: convolutions by each method, poolings, the dense layer."""
    import jax
    import jax.numpy as jnp

    from ferjax.ops import conv2d, max_pool_2x2

    rng, out = np.random.default_rng(0), {}

    def normal(*shape):
        return jnp.asarray(rng.standard_normal(shape, np.float32))

    def both_ways(function, g, *given):
        def run(g, *given):
            y, back = jax.vjp(function, *given)
            return y, back(g)

        return ready(run, g, *given)

    for i, (side, c, o) in enumerate(LAYERS, 1):
        x, w, g = normal(batch, side, side, c), normal(5, 5, c, o), normal(batch, side, side, o)
        for method in METHODS:
            if method == "banded" and c > 4:  # its matrix is mostly zeros there
                continue

            def conv(w, x=x, method=method):
                return conv2d(x, w, method=method)

            def conv_of_both(x, w, method=method):
                return conv2d(x, w, method=method)

            # of the first block nobody asks for the gradient to the image
            out[f"block{i}/conv", method] = (
                both_ways(conv, g, w) if i == 1 else both_ways(conv_of_both, g, x, w)
            )
        half = normal(batch, side // 2, side // 2, o)
        out[f"block{i}/relu, pool", ""] = both_ways(lambda x: max_pool_2x2(jax.nn.relu(x)), half, g)
    x, w, g = normal(batch, 9216), normal(9216, 512), normal(batch, 512)
    out["dense", ""] = both_ways(jnp.matmul, g, x, w)
    return out


def measured(runs: dict, count: int) -> dict:
    """{key: seconds of each round}, after two rounds that compile and warm up."""
    taken = {key: [] for key in runs}
    for i in range(count + 2):
        for key, run in runs.items():
            start = time.perf_counter()
            run()
            if i > 1:
                taken[key].append(time.perf_counter() - start)
    return taken


def summarise(taken: dict) -> list[dict]:
    """Rows {"group", "part", "ms": {"median", "low", "high"}, "of_step": median ratio within rounds}."""
    whole = taken["step", "whole"]
    return [
        {
            "group": group,
            "part": part,
            "ms": {k: round(1e3 * v, 2) for k, v in rounds.spread(seconds).items()},
            "of_step": round(statistics.median(s / w for s, w in zip(seconds, whole, strict=True)), 4),
        }
        for (group, part), seconds in taken.items()
    ]


def table(rows: list[dict]) -> str:
    """The rows as text."""
    lines = [f"{'':22} {'':22} {'ms (lowest-highest)':>28}  of the step"]
    for row in rows:
        t = row["ms"]
        ms = f"{t['median']:.1f} ({t['low']:.1f}-{t['high']:.1f})"
        lines.append(f"{row['group']:22} {row['part']:22} {ms:>28}  {100 * row['of_step']:.0f} %")
    return "\n".join(lines)


def draw(rows: list[dict], path: pathlib.Path, title: str) -> None:
    """Two panels: the parts of a step, and its layers with the ways to convolve."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    ms = {(row["group"], row["part"]): row["ms"]["median"] for row in rows}
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(11, 4.6), dpi=130, layout="constrained", width_ratios=(1, 1.5)
    )
    step = {
        "whole step": ms["step", "whole"],
        "gradient,\nforward with it": ms["step", "gradient"],
        "forward": ms["step", "forward"],
        "inference": ms["step", "inference"],
        "optimizer": ms["step", "optimizer"],
        "augment,\nnormalise": ms["step", "augment and normalise"],
    }
    bars = left.barh(list(step), list(step.values()), color="#4a6fa5")
    left.bar_label(bars, fmt="{:.0f}", padding=3, fontsize=9)
    left.invert_yaxis()
    left.set_xlim(0, 1.14 * max(step.values()))
    left.set_xlabel("ms")
    left.set_title("parts, each compiled by itself", fontsize=10)
    colours = {
        "xla": "#b0b7c3",
        "explicit": "#e0a458",
        "banded": "#7a9e7e",
        "winograd": "#4a6fa5",
        "": "#555555",
    }
    labels, at = [], 0
    for group in dict.fromkeys(row["group"] for row in rows if row["group"] != "step"):
        mine = [(part, value) for (g, part), value in ms.items() if g == group]
        for part, value in mine:
            bar = right.barh(at, value, color=colours[part])
            right.bar_label(bar, fmt="{:.0f}", padding=3, fontsize=9)
            labels.append((at, f"{group}  {part}".rstrip()))
            at += 1
        at += 0.6
    right.set_yticks([place for place, _ in labels], [text for _, text in labels], fontsize=9)
    right.invert_yaxis()
    right.set_xlim(0, 1.12 * max(v for (g, _), v in ms.items() if g != "step"))
    right.set_xlabel("ms, forward and back")
    right.set_title("layers", fontsize=10)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title, fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    plt.close(figure)


def main() -> None:
    """Runs the rounds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--figure", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, default=RESULTS)
    args = parser.parse_args()
    import os

    import jax

    load = os.getloadavg()[0]
    rows = summarise(measured(parts(args.batch), args.rounds))
    about = rounds.machine() | {"load_before": load, "load_after": os.getloadavg()[0]}
    found = {
        "machine": about,
        "versions": {"jax": jax.__version__},
        "missing": {},
        "rounds": [None] * args.rounds,
    }
    rounds.tell(found, rows, table(rows), args.out)
    if args.figure:
        d = jax.devices()[0].device_kind
        title = f"One step of {args.batch} images 48x48, {about['cpu']}, {about['cores']} cores ({d})"
        draw(rows, args.figure, title)
        print(f"drawn: {args.figure}")


if __name__ == "__main__":
    main()
