"""Copies what may be shown of a workdir next to this file: results and curves; no weights, faces or paths.

`ferjax report --workdir docs/results/NAME` makes its page.

python docs/results/collect.py runs/fer2013_best
"""

import json
import pathlib
import shutil
import sys

HERE = pathlib.Path(__file__).parent


def main(workdir: pathlib.Path):
    """Copies config.json, run.json, metrics.jsonl, timing.jsonl, results/, attribution/*/.

    Of an attribution the summary and the table of filters; neither pairs (a megabyte) nor pictures.
    """
    out = HERE / workdir.name
    shutil.rmtree(out, ignore_errors=True)
    (out / "results").mkdir(parents=True)  # git keeps none that is empty
    for name in ("metrics.jsonl", "timing.jsonl"):
        shutil.copy(workdir / name, out / name)
    config = json.loads((workdir / "config.json").read_text())
    config["data"]["dir"] = config["data"]["dir"] and "where the set lies"
    config["data"]["cache_dir"] = ""
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    described = json.loads((workdir / "run.json").read_text())
    for start in (described, *described["resumed"]):
        start.pop("host", None)
    (out / "run.json").write_text(json.dumps(described, indent=2) + "\n")
    for path in (workdir / "results").glob("*"):
        if not path.name.endswith(("_worst.npz", "_predictions.csv")):
            shutil.copy(path, out / "results" / path.name)
    for path in (workdir / "attribution").glob("*/*"):
        if path.name in ("summary.json", "filters.csv"):
            (out / "attribution" / path.parent.name).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, out / "attribution" / path.parent.name / path.name)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
