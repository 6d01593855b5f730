"""How long a training takes to reach an accuracy on the part that selects, from a cold start.

    python -m benchmarks.speedrun --config experiments/fer2013_speedrun.py --workdir W \
        [--goals 0.66,0.70,0.72] [--runs 3] [--config.KEY=VALUE ...]

The clock runs from the start of the command, with imports, reading and compiling; what compiling took of it
stands beside. Nothing compiled or decoded before is used. A goal counts at the first epoch after which the
selecting part is at it, which is named (of FER2013 PublicTest, where PrivateTest is there to test on); that
part chooses, so these are times, not results. W/run0, W/run1, ...
have seeds of their own.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

from benchmarks import rounds

RESULTS = pathlib.Path(__file__).parent / "results" / "speedrun.json"


def lines(path: pathlib.Path) -> list[dict]:
    """A file of JSON lines; none where it is not there."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def reached(workdir: pathlib.Path, goals: list[float], begun: float) -> dict:
    """When a training was at each goal.

    Args:
      workdir: of the training.
      goals: accuracies of the selecting part, shares.
      begun: when the command was started, seconds since 1970.
    Returns:
      {"goals": {goal: {"epoch", "seconds", "compiling_s"} or None}, "best": accuracy}.
    """
    looked = [line for line in lines(workdir / "metrics.jsonl") if line["split"] == "select"]
    when = {line["step"]: line for line in lines(workdir / "timing.jsonl") if "compiling_s" in line}
    out = {}
    for goal in goals:
        first = next((line for line in looked if line["accuracy"] >= goal), None)
        out[f"{goal:g}"] = first and {
            "epoch": first["epoch"],
            "seconds": round(when[first["step"]]["time"] - begun, 1),
            "compiling_s": when[first["step"]]["compiling_s"],
        }
    return {"goals": out, "best": max((line["accuracy"] for line in looked), default=0.0)}


def table(found: list[dict]) -> str:
    """Rows of goals: in how many runs it was reached, median seconds, of which compiling."""
    out = [f"{'goal':>6} {'reached':>8} {'seconds':>22} {'of that compiling':>18} {'epoch':>6}"]
    for goal in found[0]["goals"]:
        at = [run["goals"][goal] for run in found if run["goals"][goal]]
        if not at:
            out.append(f"{goal:>6} {0:>3} of {len(found)}")
            continue
        seconds = [a["seconds"] for a in at]
        span = f"{statistics.median(seconds):.1f} ({min(seconds):.1f}-{max(seconds):.1f})"
        compiling, epoch = (statistics.median(a[key] for a in at) for key in ("compiling_s", "epoch"))
        out.append(f"{goal:>6} {len(at):>3} of {len(found)} {span:>22} {compiling:>18.1f} {epoch:>6.0f}")
    return "\n".join(out)


def main() -> None:
    """Runs the trainings one after the other."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", required=True)
    parser.add_argument("--workdir", type=pathlib.Path, required=True)
    parser.add_argument("--goals", default="0.66,0.70,0.72")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--out", type=pathlib.Path, default=RESULTS)
    args, keys = parser.parse_known_args()
    goals = [float(goal) for goal in args.goals.split(",")]
    found = []
    for i in range(args.runs):
        workdir = args.workdir / f"run{i}"
        if workdir.exists():
            parser.error(f"{workdir} is there already; a cold start needs a new --workdir")
        words = ["train", "--config", args.config, "--workdir", str(workdir), f"--config.seed={i}", *keys]
        words.append(f"--config.data.cache_dir={workdir}-cache")
        begun = time.time()
        done = subprocess.run(
            [sys.executable, "-m", "ferjax.main", *words],
            env={**os.environ, "JAX_ENABLE_COMPILATION_CACHE": "0"},
        )
        if done.returncode:
            sys.exit(done.returncode)
        found.append(reached(workdir, goals, begun))
    run = json.loads((args.workdir / "run0/run.json").read_text())
    about = {"machine": rounds.machine(), "device": run["device"], "selection": run["selection"]}
    print(f"{run['device']}, {about['machine']['cpu']}; goals of {run['selection']}\n{table(found)}")
    rounds.write(args.out, about | {"runs": found})


if __name__ == "__main__":
    main()
