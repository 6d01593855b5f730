"""The heads of all folds and seeds as one program, against one after the other, over the first steps.

    python -m benchmarks.loso                          # 16 folds, 5 seeds, as of the look-alike of CASME II
    python -m benchmarks.loso --folds 26 --clips 246 --seeds 5

Features are random, since time does not depend on them. Both ways give each head the same weights, batches
and dropout; the greatest difference of their losses over the steps, and of what they tell of the held-out
clips, is printed. They are timed in turns, after a first call that compiles, and the medians are compared.
What the whole `loso.fit` takes is timed: standardising, copying to the device and back included.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

from benchmarks import rounds


def task(args):
    """Random features of so many clips and subjects, with labels that they tell a little of."""
    import numpy as np

    from ferjax.micro import folds

    rng = np.random.default_rng(0)
    n, t, k = args.clips, args.length, args.classes
    subject = np.array([f"s{i % args.folds:02d}" for i in range(n)])
    label = rng.integers(0, k, n)
    x = rng.standard_normal((1, n, t, args.features), np.float32)
    x[..., :k] += np.eye(k)[label][:, None]
    _, train, watch, choose = folds.splits(subject)
    mask = np.ones((n, t), bool)
    of = (np.zeros(args.folds, int), mask, np.full(n, t // 2), label, train, watch, choose, k)
    return folds.Task(x, *of)


def compare(args) -> dict:
    """Times both ways in turns."""
    import numpy as np

    from ferjax.micro import loso
    from ferjax.parallel import Devices

    work = task(args)
    recipe = loso.Recipe(hidden=args.hidden)
    per_epoch = -(-int(work.train.sum(1).max()) // recipe.batch)
    epochs = -(-args.steps // per_epoch)
    recipe = recipe._replace(chunk=epochs)
    devices = Devices("pmap", None)
    ways = {"vmapped": {}, "looped": {"looped": True}}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    fitted = {}
    for turn in range(args.repeats + 1):  # the first compiles
        for name, how in ways.items():
            begun = time.perf_counter()
            fitted[name], _ = loso.fit(work, recipe, range(args.seeds), devices, epochs=epochs, **how)
            seconds[name].append(time.perf_counter() - begun)
            print(f"turn {turn}, {name}: {seconds[name][-1]:.2f} s", flush=True)
    a, b = fitted["vmapped"], fitted["looped"]
    median = {name: statistics.median(times[1:]) for name, times in seconds.items()}
    return {
        "heads": args.folds * args.seeds,
        "steps": epochs * per_epoch,
        "first_call_s": {name: round(times[0], 2) for name, times in seconds.items()},
        "seconds": {name: [round(t, 3) for t in times[1:]] for name, times in seconds.items()},
        "looped_over_vmapped": round(median["looped"] / median["vmapped"], 2),
        "greatest_difference_of_losses": float(np.abs(a.loss - b.loss).max()),
        "mean_loss_first_and_last": [round(float(a.loss[i].mean()), 4) for i in (0, -1)],
        "greatest_difference_of_probabilities": float(np.abs(a.probability - b.probability).max()),
        "devices": devices.describe(),
    }


def main() -> None:
    """Runs and writes benchmarks/results/loso.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    for name, default in (
        ("folds", 16),
        ("seeds", 5),
        ("clips", 112),
        ("length", 32),
        ("features", 512),
        ("hidden", 64),
        ("classes", 5),
        ("steps", 20),
        ("repeats", 3),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    results = Path(__file__).parent / "results" / "loso.json"
    parser.add_argument("--out", type=Path, default=results)
    args = parser.parse_args()
    import jax

    out = {"machine": rounds.machine(), "jax": jax.__version__}
    out |= {name: value for name, value in vars(args).items() if name != "out"} | compare(args)
    print(json.dumps(out, indent=2))
    rounds.write(args.out, out)


if __name__ == "__main__":
    main()
