"""What users get wrong, by the command line: one line that names the culprit, status 2, nothing lost."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest
import runs
from PIL import Image

from data_pipelines import arrays
from ferjax import evaluate, parallel, report, train
from ferjax.main import main

ONE = "--config.parallel.devices=1"
SEVERAL = ["train", "--config", "e.py", "--workdir", "w", "--coordinator", "localhost:1234"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """experiment.py, its data in set/, and a run of one epoch (steps 1 to 3) in trained/."""
    folder = tmp_path_factory.mktemp("main")
    runs.write_config(folder / "experiment.py", runs.write_set(folder / "set"))
    assert main([*_train(folder, folder / "trained"), "--config.train.epochs=1"]) == 0
    return folder


@pytest.fixture
def trained(place, tmp_path):
    """A copy of the run, to break."""
    return shutil.copytree(place / "trained", tmp_path / "trained")


def _train(place, workdir, *words):
    return ["train", "--config", str(place / "experiment.py"), "--workdir", str(workdir), ONE, *words]


def _files(folder) -> dict:
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != ".lock"}


def refused(capsys, argv, *words, before=()) -> str:
    """Runs the command line; its last line is the only one about a mistake, the others are `before`."""
    capsys.readouterr()
    status = main(list(map(str, argv)))
    lines = capsys.readouterr().err.splitlines()
    assert status == 2, lines
    assert [line for line in lines[:-1] if not line.startswith(tuple(before))] == []
    assert lines[-1].startswith("ferjax: ")
    for word in words:
        assert str(word) in lines[-1], lines[-1]
    return lines[-1]


# The command line and the config.


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ([], "required: VERB; see ferjax --help"),
        (["trian"], "invalid choice: 'trian'"),
        (["train", "--config", "e.py"], "required: --workdir; see ferjax train --help"),
        (["train", "--config", "e.py", "--workdir", "w", "--epochs=3"], "unknown argument --epochs=3"),
        (["train", "--config", "no_such.py", "--workdir", "w"], "no_such.py does not exist"),
        (["train", "--config", "e.py", "--workdir", "w", "--processes", "two"], "invalid int value: 'two'"),
        (["report", "--workdir", "no_such"], "no_such: no such workdir"),
        (["report", "--workdir", "w", "--config.seed=1"], "unknown argument --config.seed=1"),
        (["train", "--config", "e.py", "--workdir", "w", "--processes", "2"], "--processes needs --coordin"),
        (["train", "--config", "e.py", "--workdir", "w", "--process", "0"], "--process needs --coordinator"),
        (
            [*SEVERAL, "--processes", "2", "--process", "2"],
            "--process is 2; with --processes 2 it must be 0 to 1",
        ),
        ([*SEVERAL, "--processes", "2", "--process", "-1"], "--process is -1"),
        ([*SEVERAL, "--process", "1"], "--process is 1; with --processes 1"),
        ([*SEVERAL, "--processes", "0"], "--processes is 0; it must be at least 1"),
        (["data"], "required: ACTION; see ferjax data --help"),
        (["data", "look"], "invalid choice: 'look'"),
        (["data", "check", "no_such", "--dir", "."], "no data set 'no_such'"),
        (["data", "check", "npz", "--dir", "."], "data check npz: npz is exported parts"),
        (["data", "check", "fer2013"], "required: --dir; see ferjax data check --help"),
        (["data", "check", "fer2013", "--dir", "gone"], "data check fer2013: --dir 'gone' is no folder"),
        (
            ["data", "check", "fer2013", "--dir", ".", "--out", "o"],
            "unknown argument --out; see ferjax data check",
        ),
        (["data", "check", "fer2013", "--dir", ".", "--config.seed=1"], "unknown argument --config.seed=1"),
        (["data", "export", "no_such.py", "--out", "o"], "no_such.py does not exist"),
        (["data", "export", "no_such.py"], "required: --out; see ferjax data export --help"),
        (
            ["data", "export", "e.py", "--out", "o", "--dir", "."],
            "unknown argument --dir; see ferjax data export",
        ),
        (["evaluate", "--workdir", "no_such"], "no_such has no config.json"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else None,
)
def test_arguments(capsys, tmp_path, monkeypatch, argv, words):
    monkeypatch.chdir(tmp_path)
    refused(capsys, argv, words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("override", "words"),
    [
        (
            "optimizer.learning_rat=1",
            "unknown config key optimizer.learning_rat; did you mean optimizer.learn",
        ),
        ("optimizer.learning_rate=-1", "config key optimizer.learning_rate is -1.0; it must be above 0"),
        ("train.epochs=many", "config key train.epochs is 'many'; it must be of type int"),
        ("parallel.devices=3", "config key input.batch_size is 16; it must be a multiple of 3 devices"),
        ("parallel.devices=99", "config key parallel.devices is 99; this host has"),
        ("data.dir=no/such/folder", "data.dir: 'no/such/folder' is no folder"),
    ],
)
def test_config(capsys, place, tmp_path, override, words):
    refused(capsys, _train(place, tmp_path / "w", f"--config.{override}"), words)
    assert not (tmp_path / "w" / "checkpoints").exists()


def test_an_override_may_stand_apart(capsys, place, tmp_path):
    refused(capsys, _train(place, tmp_path, "--config.seed", "-1"), "config key seed is -1")
    refused(capsys, _train(place, tmp_path, "--config.seed", "--config.name=x"), "--config.seed has no value")


# Data.


def _csv(folder, change):
    folder.mkdir()
    line = "0," + " ".join(["7"] * 48 * 48) + ","
    text = "emotion,pixels,Usage\n" + "".join(
        f"{line}{u}\n" for u in ("Training", "PublicTest", "PrivateTest") * 20
    )
    (folder / "fer2013.csv").write_text(change(text))


def _folders(folder, damage):
    for part in ("train", "test"):
        for name in ("angry", "happy"):
            (folder / part / name).mkdir(parents=True)
            for i in range(2):
                noise = np.random.default_rng(i).integers(0, 255, (48, 48), np.uint8)
                Image.fromarray(noise).save(folder / part / name / f"Training_{i}.jpg")
    damage(folder / "train" / "happy")


def _cut(path, share=0.5):
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


DATA = {
    "truncated row": (_csv, lambda text: text[:-3000], ("fer2013.csv row 60", "fields")),
    "wrong header": (_csv, lambda text: text.replace("pixels", "pix"), ("fer2013.csv", "lacks pixels")),
    "47x48 pixels": (
        _csv,
        lambda text: text.replace(" 7" * 48, "", 1),
        ("row 1", "2256 pixels, 2304 (48x48)"),
    ),
    "no number": (_csv, lambda text: text.replace(" 7", " x", 1), ("row 1", "pixel 2 is 'x'")),
    "no rows": (_csv, lambda text: text.partition("\n")[0], ("fer2013.csv: no rows",)),
    "47x48 jpg": (
        _folders,
        lambda f: Image.new("L", (47, 48)).save(f / "Training_1.jpg"),
        ("happy/Training_1.jpg: 47x48 pixels",),
    ),
    "unreadable jpg": (
        _folders,
        lambda f: (f / "Training_1.jpg").write_text("<html>"),
        ("happy/Training_1.jpg: cannot be read (not an image file)",),
    ),
    "truncated jpg": (
        _folders,
        lambda f: _cut(f / "Training_0.jpg"),
        ("happy/Training_0.jpg: cannot be read (truncated)",),
    ),
    "empty class folder": (
        _folders,
        lambda f: [p.unlink() for p in f.iterdir()],
        ("train/happy: an empty class folder",),
    ),
    "unknown class folder": (
        _folders,
        lambda f: f.rename(f.parent / "hapy"),
        ("train/hapy: 'hapy' is no class",),
    ),
}


@pytest.mark.parametrize("case", DATA)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of TFDS and its dependencies
def test_data(capsys, place, tmp_path, case):
    make, damage, words = DATA[case]
    make(tmp_path / "set", damage)
    name = ("--config.data.name=fer2013", f"--config.data.dir={tmp_path / 'set'}")
    cache = f"--config.data.cache_dir={tmp_path / 'cache'}"
    refused(capsys, _train(place, tmp_path / "w", *name, cache), *words)
    assert list(tmp_path.glob("cache/**/*.npz")) == []


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda f: _cut(f / "select.npz"), ("select.npz: ", "write it again")),
        (lambda f: (f / "select.npz").unlink(), ("select.npz: no such file",)),
        (lambda f: (f / "parts.json").write_text("{"), ("parts.json: not readable",)),
        (
            lambda f: np.savez(
                f / "test.npz", **{**np.load(f / "test.npz"), "image": np.zeros((13, 16, 16, 1))}
            ),
            ("test.npz: not a readable Split", "image is float64"),
        ),
        (lambda f: np.savez(f / "train.npz", image=np.zeros(3, np.uint8)), ("train.npz", "name")),
    ],
    ids=["truncated", "missing", "parts.json", "wrong type", "foreign"],
)
def test_npz(capsys, place, tmp_path, damage, words):
    damage(shutil.copytree(place / "set", tmp_path / "set") and tmp_path / "set")
    refused(capsys, _train(place, tmp_path / "w", f"--config.data.dir={tmp_path / 'set'}"), *words)


def test_a_cache_that_cannot_be_written(capsys, place, tmp_path):
    _folders(tmp_path / "set", lambda folder: None)
    (tmp_path / "file").write_text("")
    words = ("--config.data.name=fer2013", f"--config.data.dir={tmp_path / 'set'}")
    cache = f"--config.data.cache_dir={tmp_path / 'file' / 'cache'}"
    refused(capsys, _train(place, tmp_path / "w", *words, cache), "data.cache_dir", "name another folder")


def test_host_placement_without_tensorflow(capsys, place, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    words = ("input.placement = host needs TensorFlow", "set input.placement to device")
    argv = _train(place, tmp_path, "--config.input.placement=host")
    refused(capsys, argv, *words, before=("unnamed: ", "epoch selected"))


# The workdir.


@pytest.mark.parametrize("folder", ["file/below", "/proc/no"])
def test_a_workdir_that_cannot_be_written(capsys, place, tmp_path, folder):
    (tmp_path / "file").write_text("")
    refused(capsys, _train(place, tmp_path / folder), f"workdir {tmp_path / folder} cannot be written")


def test_a_workdir_in_use(capsys, place, trained):
    before = _files(trained)
    with open(trained / ".lock", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        refused(capsys, _train(place, trained), f"workdir {trained} is in use by another ferjax")
    assert _files(trained) == before


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
    before = _files(trained)
    changed = () if break_it else ("--config.optimizer.learning_rate=0.5",)
    refused(capsys, _train(place, trained, *changed), *words)
    assert _files(trained) == before


def _data_files(item):
    """The files with the arrays."""
    found = [p for p in item.rglob("*") if p.is_file() and "/d/" in p.as_posix()]
    assert found
    return found


CORRUPT = {
    "no weights": lambda c: shutil.rmtree(c / "params"),
    "weights cut": lambda c: [_cut(p) for p in _data_files(c / "params")],
    "weights gone": lambda c: [p.unlink() for p in _data_files(c / "params")],
    "description of weights": lambda c: (c / "params" / "_METADATA").write_text("{"),
    "empty": lambda c: [shutil.rmtree(p) if p.is_dir() else p.unlink() for p in c.iterdir()],
}
MORE = {
    "no optimizer": lambda c: shutil.rmtree(c / "rest"),
    "optimizer cut": lambda c: [_cut(p) for p in _data_files(c / "rest")],
    "no progress": lambda c: shutil.rmtree(c / "progress"),
    "progress cut": lambda c: [_cut(p) for p in (c / "progress").rglob("*") if p.is_file()],
}


@pytest.mark.parametrize("how", [*CORRUPT, *MORE])
def test_resuming_from_a_corrupt_checkpoint(capsys, place, trained, how):
    broken = trained / "checkpoints" / "3"
    shutil.copytree(broken, trained / "checkpoints" / "2")
    (CORRUPT | MORE)[how](broken)
    before = _files(trained)
    words = (f"checkpoint {broken} cannot be read: ", "; delete that folder", "will go on from step 2")
    line = refused(capsys, _train(place, trained, "--config.train.epochs=2"), *words)
    assert len(line) < 800
    assert _files(trained) == before


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
        capsys, _train(place, tmp_path, *words), "the weights are not finite after step 1", before=SAYS
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
            _train(place, tmp_path),
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
    words = (f"--coordinator {address}: cannot join the other processes", str(error).splitlines()[0])
    refused(capsys, _train(place, tmp_path / "w", "--coordinator", address), *words)


def test_help_names_the_keys(capsys):
    for verb, words in (
        (["train"], ("ferjax/config.py", "--config.KEY=VALUE")),
        (["evaluate"], ("--config.evaluate.views=10", "ferjax/config.py")),
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
    assert main(_train(place, tmp_path)) == 128 + number
    line = f"ferjax: stopped by {number.name}; what was saved before is whole\n"
    assert capsys.readouterr().err == line
    assert handlers == [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)]
    monkeypatch.undo()
    assert main(_train(place, tmp_path, "--config.train.epochs=1")) == 0


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
    assert main(_train(place, tmp_path / "run", *words, "--config.train.epochs=1")) == 0
    kept = {p: p.read_bytes() for p in (tmp_path / "run/checkpoints/3").rglob("*") if p.is_file()}
    done = _on_a_full_disk(200_000, _train(place, tmp_path / "run", *words))
    lines = done.stderr.splitlines()
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert [line for line in lines[:-1] if not line.startswith(SAYS)] == []
    assert lines[-1].startswith("ferjax: could not write ") and "the last complete one is step 3" in lines[-1]
    assert str(tmp_path / "run/checkpoints") in lines[-1] and "free some space" in lines[-1]
    assert {p: p.read_bytes() for p in kept} == kept
    assert main(_train(place, tmp_path / "run", *words)) == 0
    assert main(_train(place, tmp_path / "whole", *words)) == 0
    a, b = (runs.weights(tmp_path / name) for name in ("run", "whole"))
    assert a.keys() == b.keys() and all((a[k] == b[k]).all() for k in a)
    lines = [(tmp_path / name / "metrics.jsonl").read_bytes() for name in ("run", "whole")]
    assert lines[0] == lines[1]


def test_a_full_disk_in_evaluation(trained):
    """The old result and all that belongs to it stay."""
    assert main(["evaluate", "--workdir", str(trained)]) == 0
    before = _files(trained)
    done = _on_a_full_disk(1000, ["evaluate", "--workdir", str(trained)])
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith("ferjax: ")
    assert "results/" in done.stderr and "cannot be written" in done.stderr
    assert _files(trained) == before


def test_a_mistake_in_a_process_of_its_own(place, tmp_path):
    """Findings about the data come first, a line each, and nothing of what the libraries tell."""
    _csv(tmp_path / "set", str)
    words = ("data.name=fer2013", f"data.dir={tmp_path / 'set'}", f"data.cache_dir={tmp_path}")
    argv = _train(place, tmp_path / "w", *(f"--config.{word}" for word in words))
    done = runs.ferjax(*argv, "--config.parallel.devices=3")
    assert done.returncode == 2 and done.stdout == ""
    *found, last = done.stderr.splitlines()
    assert last.startswith("ferjax: ") and "parallel.devices is 3" in last
    assert found and [line for line in found if not line.startswith("WARNING: fer2013 ")] == []
