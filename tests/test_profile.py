"""A training that is traced: the files open, hold the steps asked for, and change nothing that is learned."""

import gzip
import json

import pytest
import runs

from ferjax import profile, train


def _steps(path):
    """The events "train" of a trace: step -> microseconds."""
    events = json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]
    return {int(e["args"]["step_num"]): e["dur"] for e in events if e.get("name") == "train"}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """24 steps of 3 an epoch on eight devices, not traced."""
    folder = tmp_path_factory.mktemp("plain")
    c = runs.tiny_config(runs.write_set(folder / "set"), train__epochs=8, parallel__devices=8)
    assert train.train(c, str(folder / "w")) == 0
    return c, folder / "w"


def test_traced_steps_open_and_change_nothing(plain, tmp_path, capsys):
    c, untraced = plain
    assert train.train(c, str(tmp_path), profiled=3) == 0
    said = capsys.readouterr().err
    path = profile.perfetto(tmp_path / "profile")
    assert f"profile of steps 11 to 13: open {path} in " in said
    found = _steps(path)
    assert list(found) == [11, 12, 13] and min(found.values()) > 0
    assert list(path.parent.glob("*.xplane.pb"))  # TensorBoard's
    assert (tmp_path / "metrics.jsonl").read_bytes() == (untraced / "metrics.jsonl").read_bytes()


def test_the_last_steps_of_a_short_run_and_none_of_a_finished_one(plain, tmp_path, capsys):
    c = plain[0]
    with c.unlocked():
        c.train.epochs = 3
    assert train.train(c, str(tmp_path), profiled=4) == 0
    assert list(_steps(profile.perfetto(tmp_path / "profile"))) == [6, 7, 8, 9]
    assert train.train(c, str(tmp_path), profiled=1) == 0
    assert "no profile: all steps are done" in capsys.readouterr().err
