"""Several processes that are one training: equal weights, one step where all stop, a word on those gone."""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import runs

from ferjax import mirror, processes, train


def _two(data_dir, tmp_path, *words, devices=2):
    """Starts two processes of one run on this machine."""
    with socket.socket() as s:
        s.bind(("localhost", 0))
        port = s.getsockname()[1]
    config = runs.write_config(tmp_path / "experiment.py", data_dir)
    return [
        runs.ferjax(
            *("train", "--config", config, "--workdir", tmp_path / "w", *words),
            *("--coordinator", f"localhost:{port}", "--processes", 2, "--process", i),
            devices=devices,
            wait=False,
        )
        for i in range(2)
    ]


def _ended(processes, status, seconds=200):
    said = [p.communicate(timeout=seconds)[0] for p in processes]
    assert [p.returncode for p in processes] == [status, status], said
    return said


@pytest.mark.parametrize(("mode", "steps"), [("pmap", 2), ("shard_map", 0)])
def test_two_processes_give_the_one_device_weights(data_dir, one_device, tmp_path, mode, steps):
    how = (f"--config.parallel.mode={mode}", f"--config.parallel.steps_per_call={steps}")
    both = _two(data_dir, tmp_path, "--config.train.epochs=7", *how)
    _ended(both, 0)
    runs.close(runs.weights(tmp_path / "w"), runs.weights(one_device))
    # predictions gathered from both processes are in the examples' order
    np.testing.assert_allclose(runs.selected(tmp_path / "w"), runs.selected(one_device), rtol=1e-4)


def test_a_signal_to_one_process_stops_both_at_the_same_step(data_dir, tmp_path):
    copy = f"file://{tmp_path}/copy"
    both = _two(data_dir, tmp_path, "--config.train.epochs=100000", "--mirror", copy, devices=1)
    metrics = tmp_path / "w/metrics.jsonl"
    for _ in range(1200):
        if metrics.is_file() and metrics.read_text().count("\n") > 4:
            break
        time.sleep(0.1)
    both[1].terminate()
    said = _ended(both, 143)
    step = runs.last_step(tmp_path / "w")
    assert f"stopped by SIGTERM at step {step} " in said[0], said
    assert mirror.Mirror(tmp_path / "w", copy).step() == step


def test_pmap_over_processes_takes_whole_hosts(data_dir, tmp_path):
    said = _ended(_two(data_dir, tmp_path, "--config.parallel.devices=1"), 2)
    assert "parallel.mode is pmap" in said[0] and "Traceback" not in said[0], said


LONG = 40  # epochs of 3 steps


@pytest.fixture(scope="module")
def long_run(data_dir, tmp_path_factory):
    """Weights of LONG epochs on one device, uninterrupted."""
    workdir = tmp_path_factory.mktemp("long")
    assert train.train(runs.tiny_config(data_dir, train__epochs=LONG, parallel__devices=1), str(workdir)) == 0
    return runs.weights(workdir)


def _saved(workdir, ended, seconds=120):
    """Waits for a checkpoint; fails where the training ends before."""
    end = time.monotonic() + seconds
    while not any(p.name.isdigit() for p in (workdir / "checkpoints").glob("*")):  # others are unfinished
        assert not ended() and time.monotonic() < end
        time.sleep(0.005)


def _beneath(process) -> int:
    """The process that trains, of the one that looks after it."""
    return int(pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text())


@pytest.mark.parametrize("victim", [0, 1])
def test_a_process_that_dies_ends_the_other_with_a_word_and_one_process_goes_on(
    data_dir, long_run, tmp_path, victim
):
    """Two processes of four devices, one killed; what they saved goes on on one device."""
    words = (f"--config.train.epochs={LONG}",)
    both = _two(data_dir, tmp_path, *words, devices=4)
    workdir = tmp_path / "w"
    _saved(workdir, lambda: any(p.poll() is not None for p in both))
    os.kill(_beneath(both[victim]), signal.SIGKILL)
    said = both[1 - victim].communicate(timeout=60)[0]
    assert both[1 - victim].returncode == processes.TRY_AGAIN, said
    last = said.strip().splitlines()[-1]
    assert last.startswith("ferjax: another process of this run ended") and f"is saved in {workdir}" in last
    both[victim].communicate(timeout=60)
    assert both[victim].returncode == 128 + signal.SIGKILL
    assert runs.last_step(workdir) < 3 * LONG
    done = runs.ferjax("train", "--config", tmp_path / "experiment.py", "--workdir", workdir, *words)
    assert done.returncode == 0 and "going on at step" in done.stderr, done.stderr
    runs.close(runs.weights(workdir), long_run)


def test_what_eight_devices_saved_goes_on_on_two_processes_of_four(data_dir, long_run, tmp_path):
    words = (f"--config.train.epochs={LONG}", "--config.parallel.mode=shard_map")
    config, workdir = runs.write_config(tmp_path / "experiment.py", data_dir), tmp_path / "w"
    first = runs.ferjax("train", "--config", config, "--workdir", workdir, *words, devices=8, wait=False)
    _saved(workdir, lambda: first.poll() is not None)
    first.terminate()
    first.communicate(timeout=60)
    assert first.returncode == 143
    assert runs.last_step(workdir) < 3 * LONG
    said = _ended(_two(data_dir, tmp_path, *words, devices=4), 0)
    assert "going on at step" in said[0]
    runs.close(runs.weights(workdir), long_run)


def test_a_signal_told_twice_at_once_is_one(tmp_path):
    """A cluster signals every process of a job, and so does the one that looks after the training."""
    code = (
        "import os, signal, time\nfrom ferjax import run\n"
        "with run.Signals() as s:\n"
        "    s.defer()\n"
        "    for _ in range(2):\n        os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print('caught', s.caught, flush=True)\n"
        "    s.since -= run.SAME_SIGNAL\n"
        "    time.sleep(0.01)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print('still here')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=runs.ROOT)
    assert done.stdout == "caught 15\n" and done.returncode == -signal.SIGTERM
