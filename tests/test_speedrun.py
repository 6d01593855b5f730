"""Time to an accuracy, worked by hand from the files of a training."""

import json
import pathlib

import pytest

from benchmarks import scanned, speedrun
from ferjax import config

EXPERIMENTS = pathlib.Path(__file__).parent.parent / "experiments"


def written(folder, accuracies, times):
    folder.mkdir()
    steps = range(10, 10 * len(accuracies) + 1, 10)
    selected = [
        {"step": s, "epoch": i, "split": part, "accuracy": a if part == "select" else 0.99}
        for i, (s, a) in enumerate(zip(steps, accuracies, strict=True), 1)
        for part in ("train", "select")
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in selected))
    timed = [{"step": 3, "images_per_s": 7.0, "time": 101.0}]
    timed += [{"step": s, "time": t, "compiling_s": 4.5} for s, t in zip(steps, times, strict=True)]
    (folder / "timing.jsonl").write_text("".join(json.dumps(line) + "\n" for line in timed))
    return folder


def test_a_goal_is_reached_at_the_first_epoch_that_is_at_it(tmp_path):
    a = speedrun.reached(
        written(tmp_path / "a", [0.5, 0.66, 0.6, 0.7], [110, 120, 130, 140]), [0.66, 0.72], 100
    )
    assert a["goals"]["0.66"] == {"epoch": 2, "seconds": 20, "compiling_s": 4.5}
    assert a["goals"]["0.72"] is None and a["best"] == 0.7
    b = speedrun.reached(written(tmp_path / "b", [0.7, 0.73], [112, 124]), [0.66, 0.72], 100)
    lines = speedrun.table([a, b]).splitlines()
    assert lines[1].split() == ["0.66", "2", "of", "2", "16.0", "(12.0-20.0)", "4.5", "2"]
    assert lines[2].split() == ["0.72", "1", "of", "2", "24.0", "(24.0-24.0)", "4.5", "2"]


def test_the_speedruns_config_can_be():
    c = config.load(str(EXPERIMENTS / "fer2013_speedrun.py"), ["data.dir=/nowhere"])
    assert c.input.placement == "device" and c.parallel.steps_per_call > 1


@pytest.mark.parametrize("method", ["explicit", "banded", "winograd"])
def test_a_scan_computes_what_the_calls_do_and_nothing_of_it_beforehand(method):
    import jax
    import numpy as np

    one, scan = scanned.programs(method)
    x, w, g = (
        jax.random.normal(jax.random.key(i), s)
        for i, s in enumerate([(3, 2, 8, 8, 2), (5, 5, 2, 4), (3, 2, 8, 8, 4)])
    )
    now, sums = w, []
    for i in range(3):
        now, total = one(now, i, x, g)
        sums.append(total)
    after, totals = scan(w, x, g)
    np.testing.assert_allclose(after, now, rtol=1e-5)
    np.testing.assert_allclose(totals, sums, rtol=1e-4, atol=1e-4)
    before, _, entry = scan.lower(w, x, g).compile().as_text().partition("ENTRY")
    assert any(product in before for product in (" convolution(", " dot("))
    assert " convolution(" not in entry and " dot(" not in entry
