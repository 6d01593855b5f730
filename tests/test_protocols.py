"""Cells: kept once finished, gone on with when killed, shared, refused when the settings changed."""

import json
import multiprocessing
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest
from runs import ROOT

from data_pipelines import BadInput
from ferjax import protocols
from ferjax.protocols import Cell


def cell(name, log, needs=(), about=None, status=0, wait=0.0, seconds=1.0):
    def run(folder):
        with open(log, "a") as f:
            f.write(f"{name} {os.getpid()}\n")
        time.sleep(wait)
        return {"name": name}, status

    return Cell(name, about or {"seed": 0}, run, tuple(needs), seconds)


def ran(log) -> list[str]:
    path = pathlib.Path(log)
    return [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []


def test_finished_cells_are_kept_and_each_comes_after_what_it_needs(tmp_path):
    log, lines = tmp_path / "log", []
    cells = [cell("b/x", log, needs=["a/x"]), cell("a/x", log)]
    found, status = protocols.run_cells(tmp_path, cells, lines.append)
    assert (status, ran(log)) == (0, ["a/x", "b/x"])
    assert found == {"a/x": {"name": "a/x"}, "b/x": {"name": "b/x"}}
    assert "cell 1 of 2: a/x (about 1 s; all that is left about 2 s)" in lines[0]
    assert protocols.run_cells(tmp_path, cells, lines.append) == (found, 0)
    assert ran(log) == ["a/x", "b/x"]


def test_a_stopped_cell_is_run_again_and_the_others_are_not(tmp_path):
    log = tmp_path / "log"
    stopped = [cell("a", log), cell("b", log, status=143), cell("c", log)]
    assert protocols.run_cells(tmp_path, stopped, print) == ({"a": {"name": "a"}}, 143)
    whole = [cell("a", log), cell("b", log), cell("c", log)]
    assert protocols.run_cells(tmp_path, whole, print)[1] == 0
    assert ran(log) == ["a", "b", "b", "c"]


def test_other_settings_are_refused_naming_what_differs(tmp_path):
    log = tmp_path / "log"
    protocols.run_cells(tmp_path, [cell("a", log, about={"config": {"seed": 0, "rate": 0.1}})], print)
    with pytest.raises(BadInput, match=r"cells/a was begun with other .*config.rate: there '0.1', now '0.2'"):
        protocols.run_cells(tmp_path, [cell("a", log, about={"config": {"seed": 0, "rate": 0.2}})], print)
    assert ran(log) == ["a"]


def test_what_a_stopped_cell_left_is_gone_on_with_by_the_same_settings_alone(tmp_path):
    """Else a clip that moved to another person since would stay where a network half trained on it."""
    log = tmp_path / "log"
    protocols.run_cells(tmp_path, [cell("a", log, about={"data": "x"}, status=143)], print)
    with pytest.raises(
        BadInput, match=r"cells/a was begun with other settings or data .data: there 'x', now 'y'"
    ):
        protocols.run_cells(tmp_path, [cell("a", log, about={"data": "y"})], print)
    assert protocols.run_cells(tmp_path, [cell("a", log, about={"data": "x"})], print)[1] == 0
    assert ran(log) == ["a", "a"]


def test_a_name_given_twice_is_one_cell(tmp_path):
    log = tmp_path / "log"
    assert protocols.run_cells(tmp_path, [cell("a", log), cell("a", log)], print)[1] == 0
    assert ran(log) == ["a"]


def test_a_cell_that_fails_leaves_the_finished_ones_and_no_result(tmp_path):
    log = tmp_path / "log"

    def fails(folder):
        raise BadInput("the disk is full")

    with pytest.raises(BadInput, match="disk is full"):
        protocols.run_cells(tmp_path, [cell("a", log), Cell("b", {}, fails)], print)
    assert (tmp_path / "cells/a/cell.json").exists() and not (tmp_path / "cells/b/cell.json").exists()


def _work(folder, log):
    protocols.run_cells(folder, [cell(f"c{i}", log, wait=0.05) for i in range(12)], lambda line: None)


def test_processes_share_the_cells_and_run_each_once(tmp_path):
    log = str(tmp_path / "log")
    several = multiprocessing.get_context("spawn")  # JAX's threads forbid a fork
    workers = [several.Process(target=_work, args=(tmp_path, log)) for _ in range(3)]
    [w.start() for w in workers]
    [w.join(60) for w in workers]
    assert [w.exitcode for w in workers] == [0, 0, 0]
    assert sorted(ran(log)) == sorted(f"c{i}" for i in range(12))
    assert len({line.split()[1] for line in pathlib.Path(log).read_text().splitlines()}) > 1


def _stay(folder, log):
    protocols.run_cells(folder, [cell("a", log, wait=60)], lambda line: None)


def test_a_killed_process_leaves_its_cell_to_others(tmp_path):
    log = str(tmp_path / "log")
    victim = multiprocessing.get_context("spawn").Process(target=_stay, args=(tmp_path, log))
    victim.start()
    while not ran(log):
        time.sleep(0.02)
    os.kill(victim.pid, signal.SIGKILL)
    victim.join(10)
    assert protocols.run_cells(tmp_path, [cell("a", log)], print)[1] == 0
    assert ran(log) == ["a", "a"]


def test_a_cell_file_of_another_kind_is_refused(tmp_path):
    log = tmp_path / "log"
    (tmp_path / "cells/a").mkdir(parents=True)
    (tmp_path / "cells/a/cell.json").write_text(json.dumps({"schema": "other"}))
    with pytest.raises(BadInput, match="was begun with other settings"):
        protocols.run_cells(tmp_path, [cell("a", log)], print)


def test_a_cell_whose_files_are_gone_is_run_again_and_that_is_told(tmp_path):
    log, lines = tmp_path / "log", []

    def writes(folder):
        (folder / "scores.npz").write_text("x")
        return cell("a", log).run(folder)[0] | {"files": ["cells/a/scores.npz"]}, 0

    cells = [Cell("a", {"seed": 0}, writes), cell("b", log, needs=["a"])]
    protocols.run_cells(tmp_path, cells, print)
    (tmp_path / "cells/a/scores.npz").unlink()
    assert list(protocols.finished(tmp_path, cells, lines.append)) == ["b"]
    assert lines == ["cells/a is made again: cells/a/scores.npz is gone"]
    assert protocols.run_cells(tmp_path, cells, print)[1] == 0 and ran(log) == ["a", "b", "a"]


WORKER = """import os, pathlib, signal, sys, time
got = []
for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(s, lambda number, frame: got.append(signal.Signals(number).name))
pathlib.Path({folder!r}, f"{{os.getpid()}}.up").touch()
end = time.monotonic() + 60
while not got and time.monotonic() < end:
    time.sleep(0.02)
time.sleep(0.5)  # a second signal would come by now
pathlib.Path({folder!r}, f"{{os.getpid()}}.got").write_text(" ".join(got))
sys.exit(130)
"""


@pytest.mark.parametrize(
    ("number", "group", "wanted"),
    [(signal.SIGINT, True, "SIGINT"), (signal.SIGTERM, False, "SIGTERM"), (signal.SIGHUP, True, "SIGTERM")],
)
def test_a_signal_reaches_each_worker_once(tmp_path, number, group, wanted):
    """Ctrl-C goes to the whole group of the terminal; a second one would end a worker that saves."""
    worker = tmp_path / "worker.py"
    worker.write_text(WORKER.format(folder=str(tmp_path)))
    run = f"processes.together([[sys.executable, {str(worker)!r}]] * 2)"
    # a job of the background ignores SIGINT and, under nohup, SIGHUP, and so would this one
    usual = (
        "s = signal.signal; s(signal.SIGINT, signal.default_int_handler); s(signal.SIGHUP, signal.SIG_DFL)"
    )
    code = f"import signal, sys; {usual}; from ferjax import processes; sys.exit({run})"
    job = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, start_new_session=True)
    while len(list(tmp_path.glob("*.up"))) < 2:
        assert job.poll() is None
        time.sleep(0.02)
    os.killpg(job.pid, number) if group else job.send_signal(number)
    assert job.wait(30) == 130
    assert [p.read_text() for p in tmp_path.glob("*.got")] == [wanted] * 2


def test_spans_in_words():
    assert [protocols.span(s) for s in (40, 720, 11520)] == ["40 s", "12 min", "3.2 h"]
