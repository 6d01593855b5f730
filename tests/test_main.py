"""What users get wrong in words and data, by the command line: one line naming the culprit, status 2."""

import logging
import shutil
import sys

import numpy as np
import pytest
from cli import cut, refused, train_words, write_csv
from PIL import Image

from ferjax import main

SEVERAL = ["train", "--config", "e.py", "--workdir", "w", "--coordinator", "localhost:1234"]


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
    refused(capsys, train_words(place, tmp_path / "w", f"--config.{override}"), words)
    assert not (tmp_path / "w" / "checkpoints").exists()


def test_an_override_may_stand_apart(capsys, place, tmp_path):
    refused(capsys, train_words(place, tmp_path, "--config.seed", "-1"), "config key seed is -1")
    refused(
        capsys, train_words(place, tmp_path, "--config.seed", "--config.name=x"), "--config.seed has no value"
    )


# Data.


def _folders(folder, damage):
    for part in ("train", "test"):
        for name in ("angry", "happy"):
            (folder / part / name).mkdir(parents=True)
            for i in range(2):
                noise = np.random.default_rng(i).integers(0, 255, (48, 48), np.uint8)
                Image.fromarray(noise).save(folder / part / name / f"Training_{i}.jpg")
    damage(folder / "train" / "happy")


DATA = {
    "truncated row": (write_csv, lambda text: text[:-3000], ("fer2013.csv row 60", "fields")),
    "wrong header": (write_csv, lambda text: text.replace("pixels", "pix"), ("fer2013.csv", "lacks pixels")),
    "47x48 pixels": (
        write_csv,
        lambda text: text.replace(" 7" * 48, "", 1),
        ("row 1", "2256 pixels, 2304 (48x48)"),
    ),
    "no number": (write_csv, lambda text: text.replace(" 7", " x", 1), ("row 1", "pixel 2 is 'x'")),
    "no rows": (write_csv, lambda text: text.partition("\n")[0], ("fer2013.csv: no rows",)),
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
        lambda f: cut(f / "Training_0.jpg"),
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
    refused(capsys, train_words(place, tmp_path / "w", *name, cache), *words)
    assert list(tmp_path.glob("cache/**/*.npz")) == []


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda f: cut(f / "select.npz"), ("select.npz: ", "write it again")),
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
    refused(capsys, train_words(place, tmp_path / "w", f"--config.data.dir={tmp_path / 'set'}"), *words)


def test_a_cache_that_cannot_be_written(capsys, place, tmp_path):
    _folders(tmp_path / "set", lambda folder: None)
    (tmp_path / "file").write_text("")
    words = ("--config.data.name=fer2013", f"--config.data.dir={tmp_path / 'set'}")
    cache = f"--config.data.cache_dir={tmp_path / 'file' / 'cache'}"
    refused(
        capsys, train_words(place, tmp_path / "w", *words, cache), "data.cache_dir", "name another folder"
    )


def test_host_placement_without_tensorflow(capsys, place, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    words = ("input.placement = host needs TensorFlow", "set input.placement to device")
    argv = train_words(place, tmp_path, "--config.input.placement=host")
    refused(capsys, argv, *words, before=("unnamed: ", "epoch selected"))


def test_a_warning_is_said_once():
    once = main.Once()
    records = [
        logging.LogRecord("data_pipelines", logging.WARNING, "", 0, "%d odd", (n,), None) for n in (1, 1, 2)
    ]
    assert [once.filter(record) for record in records] == [True, False, True]
