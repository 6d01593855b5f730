"""A run that is killed or stopped, however often and wherever, ends in the bits of one that was not."""

import contextlib
import json
import os
import pathlib
import random
import signal
import time

import jax
import numpy as np
import pytest
import runs

from ferjax import checkpoint, train

PASS = 13  # steps of 16 images, a last one of 8
SLOW = ("--config.data.image_size=48", "--config.model.features=(8,8)")  # a few hundredths of a second a step
ADAM = (
    *(
        "--config.optimizer.name=adam",
        "--config.optimizer.learning_rate=1e-5",
        "--config.optimizer.ema_decay=0.9",
    ),
    *("--config.optimizer.clip_norm=1.0", "--config.schedule.name=plateau", "--config.schedule.patience=1"),
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Data and config. The many starts are short because compiled steps are kept, see conftest."""
    folder = tmp_path_factory.mktemp("resume")
    runs.write_config(folder / "experiment.py", runs.write_set(folder / "set", n_train=200))
    return folder


class Run:
    """The same command again and again in one workdir."""

    def __init__(self, place, name, passes, *words, devices=1, cache=True):
        self.workdir, self.steps = place / name, passes * PASS
        command = ("train", "--config", place / "experiment.py", "--workdir", self.workdir)
        self.words = (*command, f"--config.train.epochs={passes}", *SLOW, *words)
        self.env = {"devices": devices}
        if not cache:
            self.env["JAX_ENABLE_COMPILATION_CACHE"] = "false"

    def start(self):
        return runs.ferjax(*self.words, wait=False, **self.env)

    def finish(self) -> "Run":
        process = self.start()
        said = process.communicate(timeout=300)[0]
        assert process.returncode == 0, said
        assert f"done: {self.steps} steps" in said
        return self

    def saved(self) -> list[int]:
        """Steps of complete checkpoints."""
        return sorted(int(p.name) for p in self.folder.glob("*") if p.name.isdigit())

    @property
    def folder(self) -> pathlib.Path:
        return self.workdir / "checkpoints"

    def unfinished(self) -> list[str]:
        """Checkpoints that are just being written."""
        return [p.name for p in self.folder.glob("*.orbax-checkpoint-tmp*")]

    def size_of_metrics(self) -> int:
        with contextlib.suppress(FileNotFoundError):
            return os.path.getsize(self.workdir / "metrics.jsonl")
        return 0

    def bits(self) -> dict:
        """Everything that must be the same: all arrays of all checkpoints, and metrics.jsonl."""
        out = {"metrics": (self.workdir / "metrics.jsonl").read_bytes(), "steps": self.saved()}
        opened = checkpoint.Checkpoints(self.workdir, read_only=True)
        try:
            for step in self.saved():
                items = dict(opened.manager.restore(step).items())
                out[step, "progress"] = items.pop("progress")
                assert {"params", "rest"} <= items.keys()
                for path, leaf in jax.tree_util.tree_leaves_with_path(items):
                    leaf = np.asarray(leaf)
                    out[step, jax.tree_util.keystr(path)] = (leaf.dtype, leaf.shape, leaf.tobytes())
        finally:
            opened.close()
        return out


def wait_until(process, what, seconds=120.0):
    """Looks a thousand times a second; False where the process ended before."""
    end = time.monotonic() + seconds
    while not what():
        if process.poll() is not None:
            return False
        assert time.monotonic() < end, "the run does not get on"
        time.sleep(0.001)
    return True


def kill(run: Run, kind: str, rng: random.Random) -> str:
    """Starts the run and kills it -9; says what it left behind."""
    process = run.start()
    before = run.saved()[-1:] or [0]
    lines = run.size_of_metrics()
    goal = before[0] + rng.randint(1, 3)
    if kind == "start":
        time.sleep(rng.uniform(1, 4))
    elif kind == "save":  # a checkpoint is being written
        wait_until(process, lambda: run.saved()[-1:] >= [goal] and run.unfinished())
    elif kind == "lines":  # metrics are written of a step that is not saved yet
        wait_until(process, lambda: run.size_of_metrics() > lines)
    else:
        wait_until(process, lambda: run.saved()[-1:] >= [goal])
        time.sleep(rng.uniform(0, 0.2))
    process.send_signal(signal.SIGKILL)
    said = process.communicate()[0]
    assert process.returncode in (-signal.SIGKILL, 0), said
    assert "Traceback" not in said
    return ("unfinished " if run.unfinished() else "") + ("old " if any(run.folder.glob("old/*")) else "")


@pytest.mark.parametrize(
    ("devices", "words"),
    [(1, ("--config.checkpoint.every_steps=1",)), (8, (*ADAM, "--config.checkpoint.every_steps=2"))],
    ids=["one device, sgd", "eight devices, adam, average, plateau"],
)
def test_killed_ten_times(place, devices, words):
    whole = Run(place, f"whole{devices}", 6, *words, devices=devices).finish().bits()
    run = Run(place, f"killed{devices}", 6, *words, devices=devices)
    rng = random.Random(devices)
    kinds = ["save"] * 4 + ["any"] * 3 + ["lines"] * 2
    rng.shuffle(kinds)
    left = [kill(run, kind, rng) for kind in ["start", *kinds]]
    assert sum("unfinished" in what for what in left) >= 2, left
    assert run.saved()[-1] < run.steps, "not all ten kills fell into the run"
    run.finish()
    bits = run.bits()
    assert bits.keys() == whole.keys()
    assert [name for name in whole if bits[name] != whole[name]] == []
    assert sorted(p.name for p in run.folder.iterdir()) == sorted(map(str, bits["steps"]))
    timed = [json.loads(line)["step"] for line in (run.workdir / "timing.jsonl").read_text().splitlines()]
    assert timed == sorted(set(timed))
    rates = {json.loads(line).get("learning_rate") for line in whole["metrics"].splitlines()} - {None}
    assert (len(rates) > 2) == (devices == 8), "the plateau rule's counters were saved and used"


@pytest.mark.parametrize(
    ("number", "devices"),
    [(signal.SIGTERM, 1), (signal.SIGTERM, 8), (signal.SIGINT, 8)],
    ids=["SIGTERM", "SIGTERM, eight devices", "SIGINT, eight devices"],
)
def test_stopped_by_a_signal(place, number, devices):
    """Saved at once, wherever in a pass; and compiled anew for the rest."""
    words = ("--config.train.log_every=1",)
    whole = Run(place, f"whole{number}-{devices}", 3, *words, devices=devices, cache=False).finish()
    run = Run(place, f"stopped{number}-{devices}", 3, *words, devices=devices, cache=False)
    process = run.start()
    assert wait_until(process, lambda: run.saved())
    before = len((run.workdir / "timing.jsonl").read_text().splitlines())
    assert wait_until(
        process, lambda: len((run.workdir / "timing.jsonl").read_text().splitlines()) > before + 2
    )
    process.send_signal(number)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 128 + number, said
    step = run.saved()[-1]
    assert PASS < step < run.steps  # in the middle of a pass, but for one signal in thirteen
    assert f"stopped by {number.name} at step {step} of {run.steps}; saved in {run.folder}" in said
    assert "the same command goes on from there" in said and "Traceback" not in said
    assert run.finish().bits() == whole.bits()


def test_going_on_with_other_devices(place, tmp_path):
    """The number of devices, and how they are driven, may change between starts."""

    def go(name, passes, devices, mode="pmap"):
        changes = {"train__epochs": passes, "parallel__devices": devices, "parallel__mode": mode}
        train.train(runs.tiny_config(str(place / "set"), **changes), str(tmp_path / name))
        return runs.weights(tmp_path / name)

    go("run", 1, 8)
    go("run", 2, 2, "shard_map")
    a, b = go("run", 3, 1), go("whole", 3, 1)
    for name in b:
        np.testing.assert_allclose(a[name], b[name], rtol=2e-4, atol=2e-6, err_msg=name)
