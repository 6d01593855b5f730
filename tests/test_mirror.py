"""A run's copy in an object store: whole at any time, fetched and gone on with bit for bit."""

import importlib.util
import json
import logging
import pathlib
import shutil
import threading
import time
import types

import cli
import numpy as np
import pytest
import runs

from data_pipelines import BadInput
from ferjax import config, mirror, train

KEYS = {"parallel__devices": 1, "checkpoint__every_steps": 2}


@pytest.fixture
def address(tmp_path):
    return f"file://{tmp_path}/bucket/run"


@pytest.fixture
def folder(place, tmp_path):
    return shutil.copytree(place / "trained", tmp_path / "w")


def listed(address) -> dict:
    return json.loads(pathlib.Path(address.removeprefix("file://"), mirror.LIST).read_text())["files"]


def there(address) -> set[str]:
    root = pathlib.Path(address.removeprefix("file://"))
    return {p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()} - {mirror.LIST}


def same(a, b) -> None:
    """The folders hold the same files, but for the lock."""
    one, two = ({p.relative_to(f).as_posix(): data for p, data in cli.files_of(f).items()} for f in (a, b))
    assert one.keys() == two.keys() and one
    assert one == two


def test_a_run_goes_on_from_its_copy_alone(data_dir, tmp_path, address, capsys):
    whole, first, second = (tmp_path / name for name in ("whole", "first", "second"))
    assert train.train(runs.tiny_config(data_dir, train__epochs=4, **KEYS), str(whole)) == 0
    assert train.train(runs.tiny_config(data_dir, train__epochs=2, **KEYS), str(first), mirror=address) == 0
    assert there(address) == set(listed(address))
    shutil.rmtree(first)
    longer = runs.tiny_config(data_dir, train__epochs=4, **KEYS)
    assert train.train(longer, str(second), mirror=address) == 0
    said = capsys.readouterr().err
    assert f"fetched from {address}" in said and "going on at step 6 of 12" in said
    for name, array in runs.weights(whole).items():
        np.testing.assert_array_equal(runs.weights(second)[name], array)
    assert (second / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()
    third = tmp_path / "third"
    third.mkdir()
    mirror.Mirror(third, address).fetch()
    same(second, third)


def grow(folder, old, new) -> None:
    """A further checkpoint, by a rename as Orbax makes it; the one before goes away by one."""
    shutil.copytree(folder / f"checkpoints/{old}", folder / "checkpoints/.new")
    (folder / "checkpoints/.new").rename(folder / f"checkpoints/{new}")
    (folder / "checkpoints/old").mkdir(exist_ok=True)
    (folder / f"checkpoints/{old}").rename(folder / f"checkpoints/old/{old}")


def until(true) -> None:
    for _ in range(2000):
        if true():
            return
        time.sleep(0.01)
    raise AssertionError("it did not happen")


def test_checkpoints_are_copied_while_the_run_goes_on(folder, address, monkeypatch):
    monkeypatch.setattr(mirror, "EVERY", 0.01)
    copy = mirror.Mirror(folder, address)
    copy.push()
    with copy.following(lambda line: None) as end:
        grow(folder, 3, 6)
        until(lambda: mirror.Mirror(folder, address, writes=False).step() == 6)
        (folder / "late.txt").write_text("results")
        end(hurried=False)
    assert "late.txt" in there(address) and there(address) == set(listed(address))
    assert not list((folder / "checkpoints").glob(".mirror-*"))


def test_a_copy_cut_short_leaves_the_checkpoint_before(folder, address, tmp_path, monkeypatch):
    before = shutil.copytree(folder, tmp_path / "before")
    copy = mirror.Mirror(folder, address)
    copy.push()
    grow(folder, 3, 6)
    shutil.rmtree(folder / "checkpoints/old")
    (folder / "metrics.jsonl").write_bytes((folder / "metrics.jsonl").read_bytes() + b'{"step": 6}\n')
    put, left = copy.store.put_file, iter(range(20))

    def fails(*words):
        if next(left, None) is None:
            raise ConnectionError("the net is gone")
        put(*words)

    monkeypatch.setattr(copy.store, "put_file", fails)
    with pytest.raises(BadInput, match="the net is gone"):
        copy.push()
    fetched = tmp_path / "fetched"
    fetched.mkdir()
    mirror.Mirror(fetched, address).fetch()
    assert (fetched / "metrics.jsonl").read_bytes() == (folder / "metrics.jsonl").read_bytes()
    (fetched / "metrics.jsonl").write_bytes((before / "metrics.jsonl").read_bytes())  # as training cuts it
    same(fetched, before)
    monkeypatch.undo()
    mirror.Mirror(folder, address).push()  # another process: what the first one left behind goes too
    assert there(address) == set(listed(address)) and not any("/3/" in name for name in there(address))


def test_a_store_that_fails_is_a_warning_until_the_end(folder, address, caplog, monkeypatch):
    monkeypatch.setattr(mirror, "EVERY", 0.01)
    monkeypatch.setattr(mirror, "AGAIN", 0.02)
    copy = mirror.Mirror(folder, address)
    gone = [True]
    put = copy.store.put_file

    def fails(*words):
        if gone[0]:
            raise ConnectionError("the net is gone")
        put(*words)

    monkeypatch.setattr(copy.store, "put_file", fails)
    with caplog.at_level(logging.WARNING), copy.following(lambda line: None) as end:
        until(lambda: "the net is gone" in caplog.text)
        gone[0] = False
        until(lambda: copy.step() == 3)  # tried again without a further checkpoint
        end(hurried=False)
    gone[0] = True
    (folder / "late.txt").write_text("results")
    with pytest.raises(BadInput, match="the net is gone"), copy.following() as end:
        end(hurried=False)
    with copy.following() as end:
        end()  # stopped by a signal: the run's own status counts
    with pytest.raises(ValueError, match="own"), copy.following():
        raise ValueError("the run's own")


def test_a_store_that_hangs_does_not_keep_a_stopped_run(folder, address, caplog, monkeypatch):
    copy, held = mirror.Mirror(folder, address), threading.Event()
    monkeypatch.setattr(copy.store, "put_file", lambda *words: held.wait(60))
    monkeypatch.setattr(mirror, "LAST", 0.1)
    begun = time.monotonic()
    with caplog.at_level(logging.WARNING), copy.following() as end:
        end()
    assert time.monotonic() - begun < 30 and "not done after 0 s" in caplog.text
    held.set()


def test_a_checkpoint_that_goes_away_meanwhile_is_whole_or_not_there(folder, address, tmp_path, monkeypatch):
    shutil.copytree(folder / "checkpoints/3", folder / "checkpoints/6")
    before = shutil.copytree(folder, tmp_path / "before")
    copy = mirror.Mirror(folder, address)
    put, link = copy.store.put_file, mirror._link

    def meanwhile(path, where):  # Orbax lets 3 go while it is copied
        if (folder / "checkpoints/3").exists():
            (folder / "checkpoints/3").rename(folder / "checkpoints/old-3")
            shutil.rmtree(folder / "checkpoints/old-3")
        put(path, where)

    monkeypatch.setattr(copy.store, "put_file", meanwhile)
    copy.push()
    fetched = tmp_path / "fetched"
    fetched.mkdir()
    mirror.Mirror(fetched, address).fetch()
    same(fetched, before)

    def sooner(source, target):  # and 6 while its files get their second names
        if (folder / "checkpoints/6").exists():
            (folder / "checkpoints/6").rename(folder / "checkpoints/.six")
        link(source, target)

    shutil.copytree(folder / "checkpoints/6", folder / "checkpoints/9")
    monkeypatch.setattr(mirror, "_link", sooner)
    copy.push()
    assert mirror._steps(listed(address)) == {9} and there(address) == set(listed(address))


def test_two_runs_at_one_address_are_told(folder, address):
    one, two = mirror.Mirror(folder, address), mirror.Mirror(folder, address)
    one.push()
    with pytest.raises(BadInput, match="written by another run meanwhile"):
        two.push()
    (folder / "more.txt").write_text("results")
    one.push()


def test_nothing_but_checkpoints_is_ever_deleted(folder, address, tmp_path, capsys):
    mirror.Mirror(folder, address).push()
    before = there(address)
    thin = tmp_path / "thin"
    thin.mkdir()
    cli.refused(capsys, ["mirror", "--workdir", thin, "--to", address], thin, "holds no file")
    cli.refused(capsys, ["mirror", "--workdir", tmp_path / "typo", "--to", address], "is no folder")
    shutil.copytree(folder, tmp_path / "other")
    shutil.rmtree(tmp_path / "other/tensorboard")
    (tmp_path / "other/more.txt").write_text("of another machine")
    mirror.Mirror(tmp_path / "other", address).push()
    assert there(address) == before | {"more.txt"} == set(listed(address))
    mirror.Mirror(folder, address).fetch()  # as far as the copy: what it lacks is brought
    assert (folder / "more.txt").read_text() == "of another machine"


def test_a_fetch_killed_half_way_is_begun_again(folder, address, tmp_path, monkeypatch):
    mirror.Mirror(folder, address).push()
    fetched = tmp_path / "fetched"
    fetched.mkdir()
    copy = mirror.Mirror(fetched, address)
    get, left = copy.store.get_file, iter(range(len(copy.listed) - 1))

    def killed(*words):
        if next(left, None) is None:
            raise KeyboardInterrupt
        get(*words)

    monkeypatch.setattr(copy.store, "get_file", killed)
    with pytest.raises(KeyboardInterrupt):
        copy.fetch()
    assert not (fetched / "checkpoints/3").exists()
    monkeypatch.undo()
    mirror.Mirror(fetched, address).fetch()
    same(fetched, folder)


def test_several_processes_do_not_fetch(folder, address, tmp_path):
    mirror.Mirror(folder, address).push()
    c = config.load(str(folder / "config.json"), [])
    two = types.SimpleNamespace(processes=2)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(BadInput, match=f"ferjax mirror --workdir {empty} --from {address}"):
        train._fetched(c, empty, address, two)
    assert train._fetched(c, folder, address, two).step() == 3


def test_a_folder_that_is_further_on_is_kept(folder, address):
    copy = mirror.Mirror(folder, address)
    copy.push()
    before = cli.files_of(folder)
    copy.fetch()
    assert cli.files_of(folder) == before


def test_what_cannot_be_is_refused(folder, address, tmp_path):
    mirror.Mirror(folder, address).push()
    other = config.load(str(folder / "config.json"), ["seed=9"])
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(BadInput, match=r"another config: seed \(there 0, here 9\)"):
        mirror.Mirror(empty, address).fetch(config=config.to_json(other))
    assert not list(empty.iterdir())
    # a folder further back, and of another config than the one asked for
    shutil.copytree(folder, tmp_path / "elsewhere")
    text = (folder / "config.json").read_text().replace('"seed": 0', '"seed": 5')
    (tmp_path / "elsewhere/config.json").write_text(text)
    shutil.rmtree(tmp_path / "elsewhere/checkpoints/3")
    mine = config.to_json(config.load(str(folder / "config.json"), []))
    with pytest.raises(BadInput, match=r"another config: seed \(there 0, here 5\)"):
        mirror.Mirror(tmp_path / "elsewhere", address).fetch(config=mine)
    assert (tmp_path / "elsewhere/config.json").read_text() == text
    shutil.copytree(folder, tmp_path / "behind")
    shutil.rmtree(tmp_path / "behind/checkpoints/3")
    with pytest.raises(BadInput, match=r"is at step 3, .*behind at 0"):
        mirror.Mirror(tmp_path / "behind", address).push()
    with pytest.raises(BadInput, match="is no address"):
        mirror.Mirror(folder, str(tmp_path))
    with pytest.raises(BadInput, match="nosuch"):
        mirror.Mirror(folder, "nosuch://bucket")
    with pytest.raises(BadInput, match="is no address"):
        mirror.Mirror(folder, "gs://")
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cannot be"):
        mirror.Mirror(folder, f"file://{tmp_path}/file/run")  # nothing can be written there
    large = next(n for n in sorted(listed(address)) if "checkpoints" in n and listed(address)[n][0] > 100)
    cli.cut(pathlib.Path(address.removeprefix("file://"), large))
    with pytest.raises(BadInput, match="the copy is damaged"):
        mirror.Mirror(empty, address).fetch()
    pathlib.Path(address.removeprefix("file://"), mirror.LIST).write_text('{"files": {"../a": [1, 1]}}')
    with pytest.raises(BadInput, match="is no list of ferjax"):
        mirror.Mirror(empty, address)


@pytest.mark.skipif(importlib.util.find_spec("gcsfs") is not None, reason="gcsfs is installed")
def test_a_library_that_is_missing_is_named(folder):
    with pytest.raises(BadInput, match=r'pip install "ferjax\[gcs\]"'):
        mirror.Mirror(folder, "gs://bucket/run")


def test_the_command(folder, address, tmp_path, capsys):
    back = tmp_path / "back"
    cli.refused(capsys, ["mirror", "--workdir", folder], "--to ADDRESS or --from ADDRESS")
    cli.refused(capsys, ["mirror", "--workdir", back, "--from", address], "there is no run at", address)
    assert cli.main(["mirror", "--workdir", str(folder), "--to", address]) == 0
    assert cli.main(["mirror", "--workdir", str(back), "--from", address]) == 0
    assert f"step 3: {back} and {address}" in capsys.readouterr().out
    same(folder, back)
    assert cli.main(["evaluate", "--workdir", str(back), "--config.evaluate.bootstrap=100"]) == 0
