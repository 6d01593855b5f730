"""Twenty action-unit detectors on cached features: one program for all, against one after the other.

    python -m benchmarks.detectors                 # hidden layers of 64, and linear ones
    python -m benchmarks.detectors --hidden 64 --steps 200

The detectors are those of `ferjax.detectors`, each with its own weights, order and best state on the part
that selects, on 512 features of random inputs: time does not depend on them. One after the other they are one
compiled program too, called once for each. Both ways compute the same (the greatest difference of their
losses is printed); they are timed in turns, after a first call that compiles, and the medians are compared.
The joint head, one hidden layer for all units, is timed beside them.
"""

import argparse
import json
import os
import platform
import statistics
import time
from pathlib import Path


def inputs(n: int, d: int, u: int, seed: int):
    """Features float32 [n, d] and codes int8 [n, u]: 1 present, 0 absent, a tenth -1 unknown."""
    import numpy as np

    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d), np.float32)
    code = (x[:, :u] + rng.standard_normal((n, u)) > 1).astype(np.int8)
    code[rng.random((n, u)) < 0.1] = -1
    return x, code


def compare(args, hidden: int) -> dict:
    """Times the ways with so many units in the hidden layers."""
    import numpy as np

    from ferjax import detectors

    recipe = detectors.Recipe(hidden=hidden, steps=args.steps)
    train = inputs(args.images, args.features, args.units, 0)
    select = inputs(args.images // 5, args.features, args.units, 1)
    ways = {"vmapped": {}, "looped": {"looped": True}, "joint": {"joint": True}}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    losses = {}
    for turn in range(args.repeats + 1):  # the first compiles
        for name, how in ways.items():
            begun = time.perf_counter()
            losses[name] = detectors.fit(train, select, recipe, **how).batch_loss
            seconds[name].append(time.perf_counter() - begun)
            print(f"hidden {hidden}, turn {turn}, {name}: {seconds[name][-1]:.2f} s", flush=True)
    timed = {name: times[1:] for name, times in seconds.items()}
    median = {name: statistics.median(times) for name, times in timed.items()}
    pairs = zip(timed["looped"], timed["vmapped"], strict=True)
    return {
        "hidden": hidden,
        "first_call_s": {name: round(times[0], 2) for name, times in seconds.items()},
        "seconds": {name: [round(t, 3) for t in times] for name, times in timed.items()},
        "median_s": {name: round(t, 3) for name, t in median.items()},
        "looped_over_vmapped": round(median["looped"] / median["vmapped"], 2),
        "each_turn": [round(a / b, 2) for a, b in pairs],
        "greatest_difference_of_losses": float(np.abs(losses["vmapped"] - losses["looped"]).max()),
        "last_losses": [round(float(v), 4) for v in losses["vmapped"][-1][:3]],
    }


def main() -> None:
    """Prints the times and writes benchmarks/results/detectors.json."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=6000)
    parser.add_argument("--features", type=int, default=512)
    parser.add_argument("--units", type=int, default=20)
    parser.add_argument("--hidden", type=int, nargs="*", default=[64, 0], help="of each layer; 0: linear")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()

    import jax

    settings = {key: value for key, value in vars(args).items() if key != "hidden"}
    facts = {"date": time.strftime("%Y-%m-%d"), "machine": platform.platform(), "jax": jax.__version__}
    facts |= {"device": jax.devices()[0].device_kind, "load_before": [round(v, 1) for v in os.getloadavg()]}
    result = {**facts, **settings, "runs": [compare(args, hidden) for hidden in args.hidden]}
    print(json.dumps(result, indent=2))
    path = Path(__file__).parent / "results" / "detectors.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    print("in benchmarks/results/detectors.json")


if __name__ == "__main__":
    main()
