"""How fast tf.data gathers batches on the host, beside the network's training; memory over epochs.

    python -m benchmarks.input_speed                      # on two cores

Three claims are checked, and the exit status is 1 where one of them fails: tf.data gives 30,000 images of
48x48 a second, with the pauses between its chunks of steps; it gives five times what the paper's network
trains at; and memory after the last of many epochs is that after the first third of them, within 2 %. The row
numbers that `input.placement=device` needs are timed beside it. Writes benchmarks/results/input.json.
"""

import argparse
import json
import os
import pathlib
import sys
import time

import numpy as np

from benchmarks import rounds
from data_pipelines import input
from data_pipelines.split import Split

RESULTS = pathlib.Path(__file__).parent / "results" / "input.json"
LEAST, TIMES = 30_000, 5  # images/s from the cache, and times the training rate


def noise(n: int, size: int) -> Split:
    """n pictures of noise, [n, size, size, 1]."""
    rng = np.random.default_rng(0)
    return Split(
        name="noise/train",
        image=rng.integers(0, 256, (n, size, size, 1), np.uint8),
        label=rng.integers(0, 8, n),
        aus=np.zeros((n, 0), np.int8),
        subject=[""] * n,
        id=[f"{row:06d}" for row in range(n)],
        classes=tuple("abcdefgh"),
        au_names=(),
    )


def speed(batches, batch_size: int, steps: int) -> float:
    """Images a second over so many steps, the first left out."""
    next(batches)
    begin = time.perf_counter()
    for _ in range(steps):
        next(batches)
    return steps * batch_size / (time.perf_counter() - begin)


def child(args) -> dict:
    """One round of one way: {"version", "images_per_s", ...}."""
    if args.child == "train":
        from benchmarks import contestants

        run, _, version = contestants.ferjax(args.batch)
        taken = rounds.measure(run, 3, 5)
        return {"version": version, "images_per_s": args.batch / float(np.median(taken))}
    split = noise(args.images, args.size)
    if args.child == "rows":
        found = speed(input.row_batches(len(split), args.batch, 0), args.batch, args.steps)
        return {"version": np.__version__, "images_per_s": found}
    version = __import__("tensorflow").__version__
    if args.child == "memory":
        return {"version": version, "resident_mb": memory(split, args.batch, args.epochs)}
    with input.host_batches(split, args.batch, 0) as batches:
        return {"version": version, "images_per_s": speed(batches, args.batch, args.steps)}


def memory(split: Split, batch_size: int, epochs: int) -> list[float]:
    """MB resident after each epoch of batches by tf.data."""
    found, steps = [], input.steps_per_epoch(len(split), batch_size)
    with input.host_batches(split, batch_size, 0, last_step=epochs * steps) as batches:
        for step, _ in enumerate(batches, 1):
            if step % steps == 0:
                found.append(resident_mb())
    return found


def resident_mb() -> float:
    """What this process holds of memory now; Linux."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def summarise(held: list[dict]) -> dict:
    """What was found, and whether it is what is claimed.

    Args:
      held: {(way,): result of `child`} of each round.
    Returns:
      "images_per_s" of each way {"median", "low", "high"}; "over_training", the median over rounds;
      "memory_mb" after the first epoch, the third of them that warm up, and all; "claims", claim -> bool.
    """
    rates = {way: [r[way,]["images_per_s"] for r in held] for way in ("host", "rows", "train")}
    ratio = float(np.median([h / t for h, t in zip(rates["host"], rates["train"], strict=True)]))
    after = next(r["memory",]["resident_mb"] for r in held if ("memory",) in r)
    warm = after[len(after) // 3]
    host = rounds.spread(rates["host"])
    claims = {
        f"{LEAST:,} images/s": host["median"] >= LEAST,
        f"{TIMES} times the training rate": ratio >= TIMES,
        "memory constant": after[-1] <= 1.02 * warm,
    }
    return {
        "images_per_s": {way: rounds.spread(values) for way, values in rates.items()},
        "over_training": ratio,
        "memory_mb": {"epochs": len(after), "first": after[0], "warm": warm, "last": after[-1]},
        "claims": claims,
    }


def table(found: dict) -> str:
    """The findings as text."""
    names = {
        "host": "host (tf.data)",
        "rows": "device (row numbers)",
        "train": "training, the paper's network",
    }
    lines = [
        f"{names[way]:30} {r['median']:12,.0f} images/s  [{r['low']:,.0f}, {r['high']:,.0f}]"
        for way, r in found["images_per_s"].items()
    ]
    m = found["memory_mb"]
    lines.append(f"tf.data over training: {found['over_training']:.0f} x")
    lines.append(
        f"memory after epoch 1: {m['first']:.0f} MB, {m['epochs'] // 3 + 1}: {m['warm']:.0f} MB, "
        f"{m['epochs']}: {m['last']:.0f} MB"
    )
    return "\n".join(lines + [f"{claim}: {'yes' if ok else 'NO'}" for claim, ok in found["claims"].items()])


def main() -> int:
    """Runs the rounds; 1 where a claim fails."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    sizes = {"images": 4000, "size": 48, "batch": 128, "steps": 5000, "rounds": 3, "epochs": 300}
    for name, default in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--out", type=pathlib.Path, default=RESULTS)
    parser.add_argument("--child", choices=("host", "rows", "train", "memory"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(child(args)))
        return 0
    words = [word for name in sizes for word in (f"--{name}", getattr(args, name))]
    runs = {
        (way,): (lambda way=way: rounds.spawn("benchmarks.input_speed", way, *words))
        for way in ("host", "train", "rows")
    }
    found = rounds.run(args.rounds, runs, lambda key: key[0])
    found["rounds"][0] |= rounds.run(
        1, {("memory",): lambda: rounds.spawn("benchmarks.input_speed", "memory", *words)}, lambda key: key[0]
    )["rounds"][0]
    told = summarise(found["rounds"])
    rounds.tell(found, [told], table(told), args.out)
    return 0 if all(told["claims"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
