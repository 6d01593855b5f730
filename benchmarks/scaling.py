"""What it costs to split a training step among devices and processes of this machine, and what it sends.

    python -m benchmarks.scaling [--batch 128] [--rounds 3] [--devices 1,2,4,8] [--processes 2,4]

The paper's network, one global batch, on N forced CPU devices of one process, and on N processes of one
device each. All share the same cores, so more devices cannot be faster: efficiency is the time of the
one-device step over that of the N-device step, 1 where splitting and summing cost nothing. Rounds are
interleaved, ratios taken within a round. Writes benchmarks/results/scaling.json.

The bytes of a step are arithmetic, not measured: gradients and sums of all parameters in float32, all-reduced
over a ring, of which a device sends and receives 2 (N - 1) / N times their size.
"""

import argparse
import json
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import time

from benchmarks import rounds

RESULTS = pathlib.Path(__file__).parent / "results" / "scaling.json"
STEPS = 4  # timed, after two


def child(batch: int, processes: int, process: int, port: int) -> None:
    """One process of a run; the first prints a line of JSON."""
    import jax

    from benchmarks import contestants
    from ferjax import config, models, parallel, train

    if processes > 1:
        parallel.connect(f"localhost:{port}", processes, process)
    c = config.default()
    c.parallel.mode = "shard_map"
    image, label = contestants.random_images(batch)
    run, _, version = contestants.ferjax_training(c, image, label, contestants.CLASSES, per_host=0)
    run(), run()
    times = []
    for _ in range(STEPS):  # the same number everywhere: all processes meet in every step
        begun = time.perf_counter()
        run()
        times.append(time.perf_counter() - begun)
    model = models.build(c.model, contestants.CLASSES)
    state = jax.eval_shape(lambda: train.init_state(c, model, image.shape[1:]))
    size = sum(a.size * a.dtype.itemsize for a in jax.tree.leaves(state.params))
    if process == 0:
        print(json.dumps({"version": version, "seconds": times, "bytes": size}))


def spawn(batch: int, devices: int, processes: int) -> dict:
    """The result of a run of so many processes with so many devices each."""
    with socket.socket() as s:
        s.bind(("localhost", 0))
        port = s.getsockname()[1]
    flags = f"--xla_force_host_platform_device_count={devices}"
    env = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}
    command = [sys.executable, "-m", "benchmarks.scaling", "--batch", str(batch), "--child", str(processes)]
    all_ = [
        subprocess.Popen(
            [*command, str(i), str(port)], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for i in range(processes)
    ]
    ended = [p.communicate() for p in all_]
    if any(p.returncode for p in all_):
        last = next(err for p, (_, err) in zip(all_, ended, strict=True) if p.returncode).strip()
        return {"missing": (last.splitlines() or ["no message"])[-1]}
    return json.loads(ended[0][0].strip().splitlines()[-1])


def ring_bytes(size: int, n: int) -> float:
    """Bytes that each of n devices sends, and receives, in an all-reduce of so many bytes over a ring."""
    return 2 * (n - 1) / n * size


def summarise(held: list[dict], runs: list[tuple[str, int]]) -> list[dict]:
    """Rows of (kind, n): median seconds, efficiency against one device within rounds, bytes sent by each."""
    rows = []
    for kind, n in runs:
        results = [r[kind, n] for r in held if "seconds" in r.get((kind, n), {})]
        if not results:
            continue
        pairs = [
            statistics.median(r["devices", 1]["seconds"]) / statistics.median(r[kind, n]["seconds"])
            for r in held
            if "seconds" in r.get((kind, n), {}) and "seconds" in r.get(("devices", 1), {})
        ]
        seconds = rounds.spread([statistics.median(r["seconds"]) for r in results])
        row = {
            "kind": kind,
            "n": n,
            "seconds": seconds,
            "efficiency": rounds.spread(pairs) if pairs else None,
        }
        rows.append(row | {"bytes_sent": round(ring_bytes(results[0]["bytes"], n))})
    return rows


def table(rows: list[dict]) -> str:
    """The rows as text."""
    out = [f"{'':10} {'n':>2} {'seconds a step':>22} {'efficiency':>18} {'MB sent by each':>16}"]
    for row in rows:
        s, e = row["seconds"], row["efficiency"]
        took = f"{s['median']:.2f} ({s['low']:.2f}-{s['high']:.2f})"
        share = f"{e['median']:.2f} ({e['low']:.2f}-{e['high']:.2f})" if e else ""
        out.append(f"{row['kind']:10} {row['n']:>2} {took:>22} {share:>18} {row['bytes_sent'] / 1e6:>16.1f}")
    return "\n".join(out)


def main() -> None:
    """Runs the rounds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--devices", default="1,2,4,8")
    parser.add_argument("--processes", default="2,4")
    parser.add_argument("--out", type=pathlib.Path, default=RESULTS)
    parser.add_argument("--child", nargs=3, type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args.batch, *args.child)
        return
    runs = [("devices", int(n)) for n in args.devices.split(",")]
    runs += [("processes", int(n)) for n in args.processes.split(",") if n]

    def contestant(kind: str, n: int):
        return lambda: spawn(args.batch, *((n, 1) if kind == "devices" else (1, n)))

    named = {run: contestant(*run) for run in runs}
    found = rounds.run(args.rounds, named, lambda run: f"{run[0]} {run[1]}")
    rows = summarise(found["rounds"], runs)
    rounds.tell(found, rows, table(rows), args.out)


if __name__ == "__main__":
    main()
