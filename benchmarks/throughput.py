"""Training and inference throughput of the expression network beside Keras and PyTorch on the same machine.

    python -m benchmarks.throughput [--batches 32,128,512] [--rounds 3] [--contestants ferjax,keras,torch]
    python -m benchmarks.throughput --contestants ferjax,torch,ferjax-bf16,torch-bf16 --out gpu.json   # a GPU

In each round every contestant runs once at every batch size, in a process of its own, one after the other, so
that neither memory nor threads are shared and a busy spell of the machine meets all alike. Ratios are taken
within a round. Keras has jit_compile=False, the faster setting on CPU; its default, "auto", runs beside it at
batch 128 only. Prints a table and writes benchmarks/results/latest.json.
"""

import argparse
import json
import os
import pathlib
import platform
import resource
import statistics
import subprocess
import sys
import time

from benchmarks import contestants

RESULTS = pathlib.Path(__file__).parent / "results" / "latest.json"
SECONDS, LEAST = 2.0, 3  # each measurement repeats for so long, and so often at least


def measure(run, seconds: float = SECONDS, least: int = LEAST) -> list[float]:
    """Seconds of each repetition, after two that warm up."""
    run(), run()
    times, begin = [], time.perf_counter()
    while len(times) < least or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return times


def child(name: str, batch: int) -> None:
    """One contestant at one batch size; prints a line of JSON."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    try:
        train, infer, version = contestants.ALL[name](batch)
    except ImportError as e:
        print(json.dumps({"missing": str(e)}))
        return
    result = {"version": version, "train": measure(train), "infer": measure(infer)}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    print(json.dumps(result | {"peak_mb": peak}))


def spawn(name: str, batch: int) -> dict:
    """Runs `child` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.throughput", "--child", name, str(batch)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        return {"missing": f"failed with status {done.returncode}: {last}"}
    return json.loads(done.stdout.strip().splitlines()[-1])


def machine() -> dict:
    """What the numbers were measured on."""
    name = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as f:
            models = [line.split(":")[1].strip() for line in f if line.startswith("model name")]
        name = models[0] if models else name
    return {
        "cpu": name,
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def summarise(rounds: list[dict], batches: list[int]) -> list[dict]:
    """Rows of contestant and batch: median images/s with the lowest and highest round, and ratios to ferjax.

    Args:
      rounds: {(contestant, batch): result of `child`} of each round.
      batches: sizes.
    Returns:
      {"contestant", "batch", "train", "infer": {"median", "low", "high", "ferjax_over_this"}, "peak_mb"}.
    """
    rows = []
    for batch in batches:
        for name in contestants.ALL:
            results = [r[name, batch] for r in rounds if "train" in r.get((name, batch), {})]
            if not results:
                continue
            row = {"contestant": name, "batch": batch, "peak_mb": round(max(r["peak_mb"] for r in results))}
            for kind in ("train", "infer"):
                speeds = [batch / statistics.median(r[kind]) for r in results]
                row[kind] = {"median": statistics.median(speeds), "low": min(speeds), "high": max(speeds)}
                ours = [r.get(("ferjax", batch), {}) for r in rounds if "train" in r.get((name, batch), {})]
                pairs = zip(ours, results, strict=True)
                ratios = [
                    statistics.median(r[kind]) / statistics.median(o[kind]) for o, r in pairs if kind in o
                ]
                row[kind]["ferjax_over_this"] = statistics.median(ratios) if ratios else None
            rows.append(row)
    return rows


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
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args.child[0], int(args.child[1]))
        return
    batches = [int(b) for b in args.batches.split(",")]
    names = args.contestants.split(",")
    unknown = set(names) - set(contestants.ALL)
    if unknown:
        parser.error(
            f"no such contestant: {', '.join(sorted(unknown))}; there are {', '.join(contestants.ALL)}"
        )
    runs = [(n, b) for b in batches for n in names if n != "keras-auto" or b == 128]
    load = os.getloadavg()[0]  # above 0.5 or so: others are at work here too
    rounds, missing, versions = [], {}, {}
    for i in range(args.rounds):
        rounds.append({})
        for name, batch in runs:
            if name in missing:
                continue
            print(
                f"\rround {i + 1} of {args.rounds}: {name}, batch {batch}    ",
                end="",
                file=sys.stderr,
                flush=True,
            )
            result = rounds[-1][name, batch] = spawn(name, batch)
            if "missing" in result:
                missing[name] = result["missing"]
            else:
                versions[name] = result["version"]
    print(file=sys.stderr)
    rows = summarise(rounds, batches)
    about = machine() | {"load_before": load, "load_after": os.getloadavg()[0]}
    print(f"{about['cpu']}, {about['cores']} cores, {about['system']}; load before {load:.1f}")
    print(f"median of {args.rounds} rounds (lowest-highest)")
    print("; ".join(f"{name}: {version}" for name, version in versions.items()))
    print(table(rows))
    for name, why in missing.items():
        print(f"{name}: not measured, {why}")
    args.out.parent.mkdir(exist_ok=True, parents=True)
    whole = {"machine": about, "versions": versions, "rounds": args.rounds, "rows": rows, "missing": missing}
    args.out.write_text(json.dumps(whole, indent=1) + "\n")
    print(f"written: {args.out}")


if __name__ == "__main__":
    main()
