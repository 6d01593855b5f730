"""Images/s of AlexNet's training and of ML-Net's maps beside PyTorch on the same machine, as ratios.

    python -m benchmarks.big_networks [--jobs alexnet,ml_net] [--rounds 3] [--short]
    python -m benchmarks.big_networks --contestants ferjax,torch,ferjax-bf16,torch-bf16 \
        --alexnet-batch 256 --ml-net-batch 8 --out gpu.json                          # a GPU

In each round every contestant runs once, in a process of its own, one after the other, so that a busy spell
of the machine meets all alike. Ratios are taken within a round; of rounds the median is told, with the lowest
and the highest. --short is one round of few repetitions, to see that all runs. Prints a table and writes
benchmarks/results/big_networks.json.
"""

import argparse
import json
import pathlib
import statistics

from benchmarks import alexnet, ml_net, rounds

RESULTS = pathlib.Path(__file__).parent / "results" / "big_networks.json"
JOBS = {"alexnet": alexnet.CONTESTANTS, "ml_net": ml_net.CONTESTANTS}
WORDS = {"alexnet": "AlexNet, training, 224x224x3", "ml_net": "ML-Net, maps, 480x640x3"}
DEFAULT = ("ferjax", "torch")
SECONDS, LEAST = 4.0, 5  # each measurement repeats for so long, and so often at least; --short: once


def child(job: str, name: str, batch: int, short: bool) -> None:
    """One contestant of one job; prints a line of JSON."""
    try:
        run, version = JOBS[job][name](batch)
    except ImportError as e:
        print(json.dumps({"missing": str(e)}))
        return
    seconds = rounds.measure(run, *((0.0, 1) if short else (SECONDS, LEAST)))
    told = {"version": version, "seconds": seconds, "peak_mb": rounds.peak_mb(), "gpu_mb": _gpu_mb(name)}
    print(json.dumps(told))


def _gpu_mb(name: str) -> float | None:
    """The most memory of a GPU that this process held; None without one."""
    if name.startswith("torch"):
        import torch

        return torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else None
    import jax

    stats = jax.devices()[0].memory_stats() or {}
    return stats["peak_bytes_in_use"] / 2**20 if "peak_bytes_in_use" in stats else None


def summarise(each: list[dict], batches: dict[str, int]) -> list[dict]:
    """Rows of job and contestant: images/s and its ratio to ferjax's of the same round.

    Args:
      each: {(job, contestant): result of `child`} of each round.
      batches: job -> batch size.
    Returns:
      {"job", "contestant", "batch", "images_per_s": {"median", "low", "high"}, "ferjax_over_this": the same
      or None, "peak_mb", "gpu_mb"}; low and high are the lowest and highest round.
    """
    rows = []
    for job, batch in batches.items():
        for name in JOBS[job]:
            held = [r for r in each if "seconds" in r.get((job, name), {})]
            if not held:
                continue
            mine = [r[job, name] for r in held]
            speeds = [batch / statistics.median(m["seconds"]) for m in mine]
            pairs = [(m, r[job, "ferjax"]) for m, r in zip(mine, held, strict=True) if (job, "ferjax") in r]
            ratios = [
                statistics.median(m["seconds"]) / statistics.median(ours["seconds"])
                for m, ours in pairs
                if "seconds" in ours
            ]
            gpu = [m["gpu_mb"] for m in mine if m["gpu_mb"] is not None]
            rows.append(
                {
                    "job": job,
                    "contestant": name,
                    "batch": batch,
                    "images_per_s": rounds.spread(speeds),
                    "ferjax_over_this": rounds.spread(ratios) if ratios else None,
                    "peak_mb": round(max(m["peak_mb"] for m in mine)),
                    "gpu_mb": round(max(gpu)) if gpu else None,
                }
            )
    return rows


def table(rows: list[dict]) -> str:
    """The rows as text."""
    lines = [f"{'':12} {'batch':>5}  {'images/s':>22}  {'ferjax is':>20}  {'peak MB':>7}  {'GPU MB':>6}"]
    job = None
    for row in rows:
        if row["job"] != job:
            job = row["job"]
            lines.append(WORDS[job])
        s, r = row["images_per_s"], row["ferjax_over_this"]
        speeds = f"{s['median']:.3g} ({s['low']:.3g}-{s['high']:.3g})"
        ratio = "" if r is None else f"{r['median']:.2f} x ({r['low']:.2f}-{r['high']:.2f})"
        name, memory = f"  {row['contestant']:10} {row['batch']:5}", f"{row['peak_mb']:7}"
        memory += "" if row["gpu_mb"] is None else f"  {row['gpu_mb']:6}"
        lines.append(f"{name}  {speeds:>22}  {ratio:>20}  {memory}")
    return "\n".join(lines)


def main() -> None:
    """Runs the rounds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", default=",".join(JOBS))
    parser.add_argument("--alexnet-batch", type=int, default=32)
    parser.add_argument("--ml-net-batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--short", action="store_true", help="one round of few repetitions, batch 8 of AlexNet"
    )
    parser.add_argument("--out", type=pathlib.Path, default=None)
    parser.add_argument("--contestants", default=",".join(DEFAULT))
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args.child[0], args.child[1], int(args.child[2]), args.short)
        return
    jobs, names = args.jobs.split(","), args.contestants.split(",")
    for of, known in ((jobs, JOBS), (names, alexnet.CONTESTANTS)):
        if set(of) - set(known):
            parser.error(f"no {', '.join(sorted(set(of) - set(known)))}; there are {', '.join(known)}")
    count = 1 if args.short else args.rounds
    sizes = {"alexnet": 8 if args.short else args.alexnet_batch, "ml_net": args.ml_net_batch}
    batches = {job: sizes[job] for job in jobs}
    short = ["--short"] * args.short
    found = rounds.run(
        count,
        {
            (job, name): lambda job=job, name=name: rounds.spawn(
                "benchmarks.big_networks", job, name, batches[job], *short
            )
            for job in jobs
            for name in names
        },
        ", ".join,
    )
    rows = summarise(found["rounds"], batches)
    rounds.tell(found, rows, table(rows), args.out or (None if args.short else RESULTS))


if __name__ == "__main__":
    main()
