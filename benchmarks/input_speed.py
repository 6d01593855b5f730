"""How fast tf.data gathers batches on the host: images/s, beside the row numbers that the device way needs.

    python -m benchmarks.input_speed

30,000 images of 48x48 a second keep a fast accelerator busy with the expression network.
"""

import argparse
import time

import numpy as np

from data_pipelines import input
from data_pipelines.split import Split


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


def main() -> None:
    """Prints the median of some rounds and their range."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("images", 4000), ("size", 48), ("batch", 128), ("steps", 200), ("rounds", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    split = noise(args.images, args.size)
    found = {"host (tf.data)": [], "device (row numbers)": []}
    for _ in range(args.rounds):
        with input.host_batches(split, args.batch, 0) as batches:
            found["host (tf.data)"].append(speed(batches, args.batch, args.steps))
        rows = input.row_batches(len(split), args.batch, 0)
        found["device (row numbers)"].append(speed(rows, args.batch, args.steps))
    for name, values in found.items():
        low, middle, high = np.quantile(values, [0, 0.5, 1])
        print(f"{name:21} {middle:12,.0f} images/s  [{low:,.0f}, {high:,.0f}]")


if __name__ == "__main__":
    main()
