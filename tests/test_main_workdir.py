"""What goes wrong with a run's folder and while it runs: one line, status 2, nothing lost."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys

import jax
import pytest
import runs
from cli import cut, files_of, refused, train_words, write_csv

from data_pipelines import arrays
from ferjax import evaluate, parallel, processes, report, train
from ferjax.main import main

SEVERAL = ["train", "--config", "e.py", "--workdir", "w", "--coordinator", "localhost:1234"]


# The workdir.


@pytest.mark.parametrize("folder", ["file/below", "/proc/no"])
def test_a_workdir_that_cannot_be_written(capsys, place, tmp_path, folder):
    (tmp_path / "file").write_text("")
    refused(capsys, train_words(place, tmp_path / folder), f"workdir {tmp_path / folder} cannot be written")


def test_a_workdir_in_use(capsys, place, trained):
    before = files_of(trained)
    with open(trained / ".lock", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        refused(capsys, train_words(place, trained), f"workdir {trained} is in use by another ferjax")
    assert files_of(trained) == before


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (None, ("was begun with another config: optimizer.learning_rate (there 0.02, now 0.5)", "rm -r ")),
        (lambda w: (w / "config.json").write_text('{"seed": '), ("config.json: cannot be read as JSON",)),
        (lambda w: (w / "config.json").write_text("[]"), ("config.json: holds no JSON object",)),
        (lambda w: (w / "config.json").unlink(), ("has checkpoints and no config.json",)),
        (lambda w: (w / "run.json").write_bytes(b"\xff"), ("run.json: cannot be read as JSON",)),
    ],
    ids=["another config", "cut config.json", "odd config.json", "no config.json", "binary run.json"],
)
def test_a_workdir_that_does_not_fit(capsys, place, trained, break_it, words):
    if break_it:
        break_it(trained)
    before = files_of(trained)
    changed = () if break_it else ("--config.optimizer.learning_rate=0.5",)
    refused(capsys, train_words(place, trained, *changed), *words)
    assert files_of(trained) == before


def _data_files(item):
    """The files with the arrays."""
    found = [p for p in item.rglob("*") if p.is_file() and "/d/" in p.as_posix()]
    assert found
    return found


CORRUPT = {
    "no weights": lambda c: shutil.rmtree(c / "params"),
    "weights cut": lambda c: [cut(p) for p in _data_files(c / "params")],
    "weights gone": lambda c: [p.unlink() for p in _data_files(c / "params")],
    "description of weights": lambda c: (c / "params" / "_METADATA").write_text("{"),
    "empty": lambda c: [shutil.rmtree(p) if p.is_dir() else p.unlink() for p in c.iterdir()],
}
MORE = {
    "no optimizer": lambda c: shutil.rmtree(c / "rest"),
    "optimizer cut": lambda c: [cut(p) for p in _data_files(c / "rest")],
    "no progress": lambda c: shutil.rmtree(c / "progress"),
    "progress cut": lambda c: [cut(p) for p in (c / "progress").rglob("*") if p.is_file()],
}


@pytest.mark.parametrize("how", [*CORRUPT, *MORE])
def test_resuming_from_a_corrupt_checkpoint(capsys, place, trained, how):
    broken = trained / "checkpoints" / "3"
    shutil.copytree(broken, trained / "checkpoints" / "2")
    (CORRUPT | MORE)[how](broken)
    before = files_of(trained)
    words = (f"checkpoint {broken} cannot be read: ", "; delete that folder", "will go on from step 2")
    line = refused(capsys, train_words(place, trained, "--config.train.epochs=2"), *words)
    assert len(line) < 800
    assert files_of(trained) == before


@pytest.mark.parametrize("how", CORRUPT)
def test_evaluating_a_corrupt_checkpoint(capsys, trained, how):
    broken = trained / "checkpoints" / "3"
    shutil.copytree(broken, trained / "checkpoints" / "2")
    CORRUPT[how](broken)
    words = (f"checkpoint {broken} cannot be read: ", "; give another --checkpoint: 2")
    refused(capsys, ["evaluate", "--workdir", trained, "--checkpoint", "3"], *words)


def _edit(workdir, group, key, value):
    said = json.loads((workdir / "config.json").read_text())
    said[group][key] = value
    (workdir / "config.json").write_text(json.dumps(said))


@pytest.mark.parametrize(
    ("words", "argv"),
    [
        ("--split dev is unknown; there are train, select and test", ("--split", "dev")),
        ("checkpoint 7 is not there; give --checkpoint last, or one of [3]", ("--checkpoint", "7")),
        ("checkpoint worst is not there", ("--checkpoint", "worst")),
        ("--config.model.dense cannot change after training", ("--config.model.dense=9",)),
        ("config key evaluate.views is 3; it must be one of 1, 2, 10", ("--config.evaluate.views=3",)),
        ("data.dir: 'gone' is no folder", ("--config.data.dir=gone",)),
    ],
)
def test_evaluate(capsys, place, words, argv):
    refused(capsys, ["evaluate", "--workdir", place / "trained", *argv], words)
    assert not (place / "trained" / "results").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("model", "dense", 9), ("checkpoints/3 is of another model: ", "8", "9")),
        (("model", "features", [4, 7]), ("checkpoints/3 is of another model: ",)),
        (("model", "features", [4, 6, 8]), ("checkpoints/3 is of another model: ", "absent")),
        (("model", "dense", "many"), ("config key model.dense is 'many'; it must be of type int",)),
        (("model", "densse", 8), ("unknown config key model.densse; did you mean model.dense",)),
        (("train", "epochs", None), ("config key train.epochs is None",)),
    ],
)
def test_a_checkpoint_of_another_model(capsys, trained, change, words):
    _edit(trained, *change)
    refused(capsys, ["evaluate", "--workdir", trained], *words)


def test_evaluating_where_nothing_is(capsys, trained, tmp_path):
    refused(
        capsys, ["evaluate", "--workdir", tmp_path / "x"], f"{tmp_path / 'x'} has no config.json; give the"
    )
    (tmp_path / "empty").mkdir()
    refused(capsys, ["evaluate", "--workdir", tmp_path / "empty"], "has no config.json")
    shutil.rmtree(trained / "checkpoints")
    refused(capsys, ["evaluate", "--workdir", trained], "checkpoints holds no complete checkpoint")
    assert not (trained / "checkpoints").exists()


def test_the_best_checkpoint_is_gone(capsys, trained):
    shutil.copytree(trained / "checkpoints/3", trained / "checkpoints/6")
    shutil.rmtree(trained / "checkpoints/3")
    refused(capsys, ["evaluate", "--workdir", trained], "checkpoint 3 is not there; give --checkpoint last")


# While it runs.


SAYS = ("unnamed: ", "epoch", "step")  # the lines of a training that has begun


def test_a_loss_that_is_not_finite(capsys, place, tmp_path):
    """Here the very first update overflows; what it made must not be saved, though its loss was finite."""
    words = ("learning_rate=3e38", "weight_decay=10.0")
    words = [f"--config.optimizer.{word}" for word in words] + ["--config.checkpoint.every_steps=1"]
    line = refused(
        capsys, train_words(place, tmp_path, *words), "the weights are not finite after step 1", before=SAYS
    )
    assert "no checkpoint was saved yet" in line and "a lower optimizer.learning_rate (now 3e+38)" in line
    assert not any(p.name.isdigit() for p in (tmp_path / "checkpoints").iterdir())


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.\n  more"),
    ],
    ids=["host", "device"],
)
@pytest.mark.parametrize("verb", ["train", "evaluate", "data export", "report"])
def test_out_of_memory(capsys, place, tmp_path, monkeypatch, verb, error):
    """The advice is of the verb."""

    def full(*_, **__):
        raise error

    for module, name in (
        (train, "train"),
        (evaluate, "evaluate"),
        (arrays, "load_parts"),
        (report, "write_report"),
    ):
        monkeypatch.setattr(module, name, full)
    argv, words = {
        "train": (
            train_words(place, tmp_path),
            "; lower input.batch_size or evaluate.batch_size, or set input.pla",
        ),
        "evaluate": (["evaluate", "--workdir", tmp_path], "; lower --config.evaluate.batch_size"),
        "data export": (
            ["data", "export", place / "experiment.py", "--out", tmp_path],
            "--config.data.limit",
        ),
        "report": (["report", "--workdir", tmp_path], "; free some memory"),
    }[verb]
    refused(capsys, argv, "out of memory: ", words)


@pytest.mark.parametrize(
    ("error", "address"),
    [
        (RuntimeError("DEADLINE_EXCEEDED: nobody\nthere"), "localhost:1234"),
        (ValueError("coordinator_address should be defined."), "auto"),
    ],
)
def test_processes_that_do_not_meet(capsys, place, tmp_path, monkeypatch, error, address):
    def alone(*_):
        raise error

    monkeypatch.setattr(parallel, "connect", alone)
    monkeypatch.setattr(processes, "end_with_parent", lambda: None)
    monkeypatch.setenv(processes.SUPERVISED, "1")  # this process is the one that trains
    words = (f"--coordinator {address}: cannot join the other processes", str(error).splitlines()[0])
    refused(capsys, train_words(place, tmp_path / "w", "--coordinator", address), *words)


def test_help_names_the_keys(capsys):
    for verb, words in (
        (["train"], ("ferjax/schema.py", "--config.KEY=VALUE")),
        (["evaluate"], ("--config.evaluate.views=10", "ferjax/schema.py")),
        (["data", "check"], ("--dir",)),
        (["data", "export"], ("--out",)),
    ):
        with pytest.raises(SystemExit):
            main([*verb, "--help"])
        said = " ".join(capsys.readouterr().out.split())
        assert [word for word in words if word not in said] == []


def test_a_run_from_another_runs_config(capsys, place, tmp_path):
    argv = ["train", "--config", place / "trained" / "config.json", "--workdir", tmp_path / "again"]
    assert main(list(map(str, argv))) == 0
    assert (tmp_path / "again/config.json").read_bytes() == (place / "trained/config.json").read_bytes()
    refused(capsys, [*argv, "--config.train.epochs=0"], "config key train.epochs is 0")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_before_the_first_step(capsys, place, tmp_path, monkeypatch, number):
    handlers = [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)]

    def slow(_):
        os.kill(os.getpid(), number)
        raise AssertionError("not stopped at once")

    monkeypatch.setattr(arrays, "load_parts", slow)
    assert main(train_words(place, tmp_path)) == 128 + number
    line = f"ferjax: stopped by {number.name}; what was saved before is whole\n"
    assert capsys.readouterr().err == line
    assert handlers == [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)]
    monkeypatch.undo()
    assert main(train_words(place, tmp_path, "--config.train.epochs=1")) == 0


FULL = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))  # as if the disk were full
from ferjax.main import main
sys.exit(main(sys.argv[1:]))
"""


def _on_a_full_disk(limit: int, argv) -> subprocess.CompletedProcess:
    env = {**os.environ, "PYTHONPATH": str(runs.ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    env |= {"XLA_FLAGS": "--xla_force_host_platform_device_count=1", "JAX_ENABLE_COMPILATION_CACHE": "false"}
    code = FULL.format(limit=limit)
    return subprocess.run(
        [sys.executable, "-c", code, *argv], env=env, capture_output=True, text=True, timeout=300
    )


def test_a_full_disk_in_training(place, tmp_path):
    """The checkpoint does not fit; the one before stays whole, and the run goes on from it."""
    words = ("--config.model.dense=3000",)
    assert main(train_words(place, tmp_path / "run", *words, "--config.train.epochs=1")) == 0
    kept = {p: p.read_bytes() for p in (tmp_path / "run/checkpoints/3").rglob("*") if p.is_file()}
    done = _on_a_full_disk(200_000, train_words(place, tmp_path / "run", *words))
    lines = done.stderr.splitlines()
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert [line for line in lines[:-1] if not line.startswith(SAYS)] == []
    assert lines[-1].startswith("ferjax: could not write ") and "the last complete one is step 3" in lines[-1]
    assert str(tmp_path / "run/checkpoints") in lines[-1] and "free some space" in lines[-1]
    assert {p: p.read_bytes() for p in kept} == kept
    assert main(train_words(place, tmp_path / "run", *words)) == 0
    assert main(train_words(place, tmp_path / "whole", *words)) == 0
    a, b = (runs.weights(tmp_path / name) for name in ("run", "whole"))
    assert a.keys() == b.keys() and all((a[k] == b[k]).all() for k in a)
    lines = [(tmp_path / name / "metrics.jsonl").read_bytes() for name in ("run", "whole")]
    assert lines[0] == lines[1]


def test_a_full_disk_in_evaluation(trained):
    """The old result and all that belongs to it stay."""
    assert main(["evaluate", "--workdir", str(trained)]) == 0
    before = files_of(trained)
    done = _on_a_full_disk(1000, ["evaluate", "--workdir", str(trained)])
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith("ferjax: ")
    assert "results/" in done.stderr and "cannot be written" in done.stderr
    assert files_of(trained) == before


def test_a_mistake_in_a_process_of_its_own(place, tmp_path):
    """Findings about the data come first, a line each, and nothing of what the libraries tell."""
    write_csv(tmp_path / "set", str)
    words = ("data.name=fer2013", f"data.dir={tmp_path / 'set'}", f"data.cache_dir={tmp_path}")
    argv = train_words(place, tmp_path / "w", *(f"--config.{word}" for word in words))
    done = runs.ferjax(*argv, "--config.parallel.microbatch=3")
    assert done.returncode == 2 and done.stdout == ""
    *found, last = done.stderr.splitlines()
    assert last.startswith("ferjax: ") and "parallel.microbatch is 3" in last
    assert found and [line for line in found if not line.startswith("WARNING: fer2013 ")] == []
