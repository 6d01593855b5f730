"""Training and inference throughput of the expression network beside Keras and PyTorch on the same machine.

    python -m benchmarks.throughput [--batches 32,128,512] [--rounds 3] [--contestants ferjax,keras,torch]
    python -m benchmarks.throughput --contestants ferjax,torch,ferjax-bf16,torch-bf16 --out gpu.json \
        --peak 989   # a GPU, and its TFLOP/s by its maker (H100 SXM, bfloat16, dense): how much of it is used
    python -m benchmarks.throughput --batches 128 --rounds 1 --least 60 --out long.json
        # is the peak of 60 steps above that of three? then memory grows

In each round every contestant runs once at every batch size, in a process of its own, one after the other, so
that neither memory nor threads are shared and a busy spell of the machine meets all alike. Ratios are taken
within a round. Keras has jit_compile=False, the faster setting on CPU; its default, "auto", runs beside it at
batch 128 only. Prints a table and writes benchmarks/results/latest.json.
"""

import argparse
import json
import os
import pathlib
import statistics

from benchmarks import contestants, rounds

RESULTS = pathlib.Path(__file__).parent / "results" / "latest.json"
SECONDS, LEAST = 2.0, 3  # each measurement repeats for so long, and so often at least
FORWARD_GFLOP = 2e-9 * (
    48**2 * 25 * 64 + 24**2 * 25 * 64 * 128 + 12**2 * 25 * 128 * 256 + 9216 * 512 + 512 * 8
)
GFLOP = {"train": 3 * FORWARD_GFLOP, "infer": FORWARD_GFLOP}  # of an image: convolutions and dense layers
"""A training step counts as three forward passes, as is usual, whatever a method really multiplies."""


def child(name: str, batch: int, least: int) -> None:
    """One contestant at one batch size, `least` steps or more; prints a line of JSON."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    try:
        train, infer, version = contestants.ALL[name](batch)
    except ImportError as e:
        print(json.dumps({"missing": str(e)}))
        return
    taken = {kind: rounds.measure(run, SECONDS, least) for kind, run in (("train", train), ("infer", infer))}
    print(json.dumps({"version": version, **taken, "peak_mb": rounds.peak_mb()}))


def summarise(held: list[dict], batches: list[int]) -> list[dict]:
    """Rows of contestant and batch: median images/s with the lowest and highest round, and ratios to ferjax.

    Args:
      held: {(contestant, batch): result of `child`} of each round.
      batches: sizes.
    Returns:
      {"contestant", "batch", "train", "infer": {"median", "low", "high", "ferjax_over_this", "tflop_s"},
      "peak_mb"}.
    """
    rows = []
    for batch in batches:
        for name in contestants.ALL:
            results = [r[name, batch] for r in held if "train" in r.get((name, batch), {})]
            if not results:
                continue
            row = {"contestant": name, "batch": batch, "peak_mb": round(max(r["peak_mb"] for r in results))}
            for kind in ("train", "infer"):
                speeds = [batch / statistics.median(r[kind]) for r in results]
                row[kind] = rounds.spread(speeds)
                ours = [r.get(("ferjax", batch), {}) for r in held if "train" in r.get((name, batch), {})]
                pairs = zip(ours, results, strict=True)
                ratios = [
                    statistics.median(r[kind]) / statistics.median(o[kind]) for o, r in pairs if kind in o
                ]
                row[kind]["ferjax_over_this"] = statistics.median(ratios) if ratios else None
                row[kind]["tflop_s"] = row[kind]["median"] * GFLOP[kind] / 1000
            rows.append(row)
    return rows


def utilisation(rows: list[dict], peak: float) -> str:
    """What each row uses of the `peak`, TFLOP/s, as text; by the network's own products (GFLOP)."""
    lines = [f"of {peak:g} TFLOP/s, counting the network's products alone:"]
    half = [row for row in rows if row["contestant"].endswith("bf16")]
    for row in half or rows:  # a card's peak is another in float32
        used = ", ".join(f"{kind} {row[kind]['tflop_s'] / peak:.1%}" for kind in GFLOP)
        lines.append(f"{row['contestant']:10} {row['batch']:5}  {used}")
    return "\n".join(lines)


def table(rows: list[dict]) -> str:
    """The rows as text."""
    lines = [
        f"{'':10} {'batch':>5}  {'training images/s':>24} {'ferjax is':>9}"
        f"  {'inference images/s':>24} {'ferjax is':>9}  {'peak MB':>7}"
    ]
    for row in rows:
        line = f"{row['contestant']:10} {row['batch']:5}"
        for kind in ("train", "infer"):
            r = row[kind]
            speeds = f"{r['median']:.0f} ({r['low']:.0f}-{r['high']:.0f})"
            ratio = "" if r["ferjax_over_this"] is None else f"{r['ferjax_over_this']:.2f} x"
            line += f"  {speeds:>24} {ratio:>9}"
        lines.append(f"{line}  {row['peak_mb']:7}")
    return "\n".join(lines)


def main() -> None:
    """Runs the rounds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batches", default="32,128,512")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=pathlib.Path, default=RESULTS)
    parser.add_argument("--contestants", default=",".join(contestants.DEFAULT))
    parser.add_argument("--least", type=int, default=LEAST, help="steps of each measurement (default 3)")
    parser.add_argument("--peak", type=float, help="the machine's TFLOP/s: tells how much of it is used")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args.child[0], int(args.child[1]), int(args.child[2]))
        return
    batches = [int(b) for b in args.batches.split(",")]
    names = args.contestants.split(",")
    unknown = set(names) - set(contestants.ALL)
    if unknown:
        parser.error(
            f"no such contestant: {', '.join(sorted(unknown))}; there are {', '.join(contestants.ALL)}"
        )
    runs = [(n, b) for b in batches for n in names if n != "keras-auto" or b == 128]
    found = rounds.run(
        args.rounds,
        {run: (lambda run=run: rounds.spawn("benchmarks.throughput", *run, args.least)) for run in runs},
        lambda run: run[0],
    )
    rows = summarise(found["rounds"], batches)
    words = table(rows) + (f"\n{utilisation(rows, args.peak)}" if args.peak else "")
    rounds.tell(found, rows, words, args.out)


if __name__ == "__main__":
    main()
