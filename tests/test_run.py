"""The lines of progress: how fast, and whether the input holds the devices up."""

import json
import time

import numpy as np
import pytest
import runs

from data_pipelines import BadInput, input
from ferjax import run, train
from ferjax.parallel import InFlight


class _Clock:
    """A time that goes on only where something takes some."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(run.time, "monotonic", lambda: self.now)

    def slow(self, n, seconds):
        """n batches that take so long each."""
        for i in range(n):
            self.now += seconds
            yield i


def _looped(folder, clock, input_s, step_s, idle, capsys):
    """(lines of timing.jsonl, what was said) of 21 steps, told every 10."""
    queue = InFlight()
    queue.idle = lambda: idle
    with run.Log(folder, 0, 21, 100) as log:
        for step, _ in enumerate(log.timed(clock.slow(21, input_s), queue, "fetch ahead"), 1):
            clock.now += step_s
            log.step(step, 0.5, 10, 4)
    lines = [json.loads(line) for line in (folder / "timing.jsonl").read_text().splitlines()]
    return lines, capsys.readouterr().err


def test_the_line_says_what_share_of_the_time_input_took(tmp_path, monkeypatch, capsys):
    lines, said = _looped(tmp_path, _Clock(monkeypatch), 3.0, 1.0, True, capsys)
    assert [line["input_wait"] for line in lines] == [0.75, 0.75]
    assert [line["images_per_s"] for line in lines] == [1.0, 1.0]
    assert said.count("input 75 % of the time: fetch ahead") == 2


def test_a_short_wait_and_one_while_the_devices_work_are_not_told(tmp_path, monkeypatch, capsys):
    lines, said = _looped(tmp_path / "short", _Clock(monkeypatch), 1.0, 19.0, True, capsys)
    assert [line["input_wait"] for line in lines] == [0.05, 0.05] and "input" not in said
    lines, said = _looped(tmp_path / "hidden", _Clock(monkeypatch), 3.0, 1.0, False, capsys)
    assert [line["input_wait"] for line in lines] == [0.0, 0.0] and "input" not in said


def test_training_says_that_its_input_is_slow(tmp_path, monkeypatch, capsys):
    def slow(split, *words, prefetch, **further):
        for batch in input.row_batches(len(split), *words, **further):
            time.sleep(0.1)
            yield batch | {key: array[batch["id"]] for key, array in input.resident(split).items()}

    monkeypatch.setattr(input, "host_batches", slow)
    changes = {
        "input__placement": "host",
        "train__epochs": 4,
        "train__log_every": 1,
        "train__select_every": 4,
    }
    c = runs.tiny_config(runs.write_set(tmp_path / "set"), parallel__devices=1, **changes)
    assert train.train(c, str(tmp_path / "w")) == 0
    assert "% of the time: set input.placement=device, or raise input.prefetch" in capsys.readouterr().err
    lines = [json.loads(line) for line in (tmp_path / "w/timing.jsonl").read_text().splitlines()]
    assert np.median([line["input_wait"] for line in lines if "input_wait" in line]) > 0.3


def test_an_object_store_is_refused_and_nothing_is_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match="gs://bucket/run is an object store's"):
        run.open_workdir("gs://bucket/run")
    assert not list(tmp_path.iterdir())
