"""Whether accuracy is the same with ferjax's own convolutions and with XLA's: trainings of both, in pairs.

    python -m benchmarks.fast_path --config experiments/demo.py --workdir runs/fast_path/demo --seeds 1,2
    python -m benchmarks.fast_path --config experiments/fer2013_quick.py --workdir runs/fast_path/fer2013 \\
        --seeds 1,2,3,4 --config.data.dir=D --config.data.limit=2500 --config.input.batch_size=64 \\
        --config.train.epochs=4 --config.evaluate.views=1

For each seed and method (`model.conv`) one training, scored on the test part, in WORKDIR/<method>-<seed>;
what is finished is kept, what is cut short goes on. The two answers to each picture are paired. "xla" is
several times slower on CPU, and takes whole batches where "auto" takes microbatches, which is part of what is
compared. Prints a table, writes benchmarks/results/fast_path/<name of the config>.json.
"""

import argparse
import pathlib
import statistics

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
    from ferjax import results
    from ferjax.weighted import differences

    folders = {seed: [workdir / "results" for workdir in pair] for seed, pair in runs.items()}
    told = {seed: [results.read_result(f / "test.json") for f in pair] for seed, pair in folders.items()}
    files = [(seed, *(f / "test_predictions.csv" for f in pair)) for seed, pair in folders.items()]
    e = differences.of_predictions(files, next(iter(told.values()))[0]["classes"])
    seeds = {seed: [one["metrics"]["accuracy"]["value"] for one in pair] for seed, pair in told.items()}
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
    rounds.write(args.out or RESULTS / f"{pathlib.Path(args.config).stem}.json", about | found)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
