"""Whether accuracy is the same with ferjax's own convolutions and with XLA's: trainings of both, in pairs.

    python -m benchmarks.fast_path --config experiments/demo.py --workdir runs/fast_path/demo --seeds 1,2
    python -m benchmarks.fast_path --config experiments/fer2013_quick.py --workdir runs/fast_path/fer2013 \\
        --seeds 1,2,3 --config.data.dir=D --config.data.limit=2500 --config.train.epochs=4

For each seed and method (`model.conv`) one training, scored on the test part, in WORKDIR/<method>-<seed>;
what is finished is kept, what is cut short goes on. The two answers to each picture are paired. "xla" is
several times slower on CPU, and takes whole batches where "auto" takes microbatches, which is part of what is
compared.
Prints a table, writes benchmarks/results/fast_path/<name of the config>.json.
"""

import argparse
import json
import pathlib
import statistics

import numpy as np

from benchmarks import rounds

RESULTS = pathlib.Path(__file__).parent / "results" / "fast_path"
METHODS = ("auto", "xla")


def finished(workdir: pathlib.Path, words: list[str]) -> int:
    """Trains and scores one run, unless that is done; the exit status."""
    from ferjax.main import main

    if (workdir / "results" / "test.json").is_file():
        return 0
    return main(["train", "--workdir", str(workdir), *words]) or main(["evaluate", "--workdir", str(workdir)])


def compare(runs: dict[int, tuple[pathlib.Path, pathlib.Path]]) -> dict:
    """Accuracies of the pairs of runs, by seed, and the paired difference of all answers (first less second).

    Returns:
      {"seeds": {seed: [accuracy, accuracy]}, "difference", "low", "high", "answers"}; accuracies and the
      difference are shares, the interval is over people (or pictures) and seeds, see `differences.paired`.
    """
    from ferjax import across, results
    from ferjax.weighted import differences

    seeds, right, subject, network = {}, ([], []), [], []
    for seed, pair in runs.items():
        told = [results.read_result(w / "results" / "test.json") for w in pair]
        classes = told[0]["classes"]
        a, b = (across.read_predictions(w / "results" / "test_predictions.csv", classes) for w in pair)
        rows = differences.matched(a, b)
        right[0].append(a[3].argmax(1) == a[2])
        right[1].append((b[3].argmax(1) == b[2])[rows])
        subject.append(np.where(a[1] == "", np.char.add("image ", a[0]), a[1]))
        network.append(np.full(len(rows), seed))
        seeds[seed] = [float(one[-1].mean()) for one in right]
    both, who, which = (np.concatenate(v) for v in (right[0], subject, network))
    e = differences.paired(both, np.concatenate(right[1]), who, which)
    return {"seeds": seeds, "difference": e.value, "low": e.low, "high": e.high, "answers": e.n}


def table(found: dict) -> str:
    """What `compare` found, as text."""
    lines = [f"seed  {METHODS[0]:>6}  {METHODS[1]:>6}"]
    lines += [f"{seed:>4}  {a:6.1%}  {b:6.1%}" for seed, (a, b) in found["seeds"].items()]
    if len(found["seeds"]) > 1:
        spread = [statistics.stdev(values) for values in zip(*found["seeds"].values(), strict=True)]
        lines.append(f"  sd  {spread[0]:6.1%}  {spread[1]:6.1%}   between seeds")
    d, low, high = (100 * found[key] for key in ("difference", "low", "high"))
    lines.append(f"{METHODS[0]} less {METHODS[1]}: {d:+.1f} points [{low:+.1f}, {high:+.1f}]")
    return "\n".join(lines)


def main() -> int:
    """Trains what is missing, compares."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--config", required=True)
    parser.add_argument("--workdir", type=pathlib.Path, required=True)
    parser.add_argument("--seeds", default="1,2")
    parser.add_argument("--out", type=pathlib.Path)
    args, more = parser.parse_known_args()
    runs = {}
    for seed in map(int, args.seeds.split(",")):
        runs[seed] = tuple(args.workdir / f"{method}-{seed}" for method in METHODS)
        for method, workdir in zip(METHODS, runs[seed], strict=True):
            how = [f"--config.model.conv={method}", f"--config.seed={seed}"]
            status = finished(workdir, ["--config", args.config, *more, *how])
            if status:
                return status
    found = compare(runs)
    print(table(found))
    about = {"machine": rounds.machine(), "config": args.config, "changes": more}
    rounds.write(
        args.out or RESULTS / f"{pathlib.Path(args.config).stem}.json", json.loads(json.dumps(about | found))
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
