"""What is compiled is kept for the next command, and the time it took is told."""

import json
import os
import pathlib

import runs

from ferjax import compiled


def _seconds(workdir) -> float:
    lines = [json.loads(line) for line in (workdir / "timing.jsonl").read_text().splitlines()]
    return next(line["compiling_s"] for line in lines if "compiling_s" in line)


def test_a_second_training_finds_what_the_first_compiled(tmp_path):
    data = runs.write_set(tmp_path / "set")
    config = runs.write_config(tmp_path / "experiment.py", data)
    env = {"JAX_COMPILATION_CACHE_DIR": "", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1"}
    kept, took = [], []
    for name in "ab":
        said = runs.ferjax(
            "train", "--config", config, "--workdir", tmp_path / name, HOME=str(tmp_path), **env
        )
        assert said.returncode == 0, said.stderr
        (folder,) = (tmp_path / ".cache/ferjax/compiled").iterdir()
        kept.append({path.name for path in folder.glob("*-cache")})
        took.append(_seconds(tmp_path / name))
    assert kept[0] and kept[0] == kept[1] and min(took) > 0
    (a, b) = ((tmp_path / name / "metrics.jsonl").read_bytes() for name in "ab")
    assert a == b


def test_the_environment_decides(monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "somewhere")
    assert compiled.keep() is None


def test_another_processor_has_a_folder_of_its_own(monkeypatch):
    read = pathlib.Path.read_text
    here = compiled._processor()
    monkeypatch.setattr(pathlib.Path, "read_text", lambda self, *a: read(self, *a).replace("avx", "other"))
    assert compiled._processor() != here and os.sep not in here
