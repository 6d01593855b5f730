"""A run's copy in an object store: whole at any time, fetched and gone on with bit for bit."""

import importlib.util
import json
import logging
import pathlib
import shutil

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
    """The folders hold the same files, but for scratch."""
    one, two = mirror._files(a), mirror._files(b)
    assert one.keys() == two.keys() and one
    for name in one:
        assert (a / name).read_bytes() == (b / name).read_bytes(), name


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


def test_checkpoints_are_copied_while_the_run_goes_on(folder, address, monkeypatch):
    monkeypatch.setattr(mirror, "EVERY", 0.01)
    copy, said = mirror.Mirror(folder, address), []
    copy.push()
    with copy.following(said.append):
        shutil.copytree(folder / "checkpoints/3", folder / "checkpoints/.new")
        (folder / "checkpoints/.new").rename(folder / "checkpoints/6")
        for _ in range(1000):
            if said:
                break
            mirror.time.sleep(0.01)
        assert said and mirror.Mirror(folder, address).step() == 6
        (folder / "late.txt").write_text("results")
    assert "late.txt" in there(address)


def test_a_copy_cut_short_leaves_the_one_before(folder, address, tmp_path, caplog, monkeypatch):
    before = tmp_path / "before"
    shutil.copytree(folder, before)
    copy = mirror.Mirror(folder, address)
    copy.push()
    shutil.copytree(folder / "checkpoints/3", folder / "checkpoints/6")
    shutil.rmtree(folder / "checkpoints/3")
    put, left = copy.store.put_file, iter(range(2))

    def fails(*words):
        if next(left, None) is None:
            raise ConnectionError("the net is gone")
        put(*words)

    monkeypatch.setattr(copy.store, "put_file", fails)
    with pytest.raises(ValueError, match="own"), caplog.at_level(logging.WARNING), copy.following():
        raise ValueError("the run's own")
    assert "the net is gone" in caplog.text and "itself is whole" in caplog.text
    with pytest.raises(BadInput, match="the net is gone"), copy.following():
        pass
    fetched = tmp_path / "fetched"
    fetched.mkdir()
    mirror.Mirror(fetched, address).fetch()
    same(fetched, before)
    monkeypatch.undo()
    copy.push()
    assert there(address) == set(listed(address)) and not any("/3/" in name for name in there(address))


def test_a_checkpoint_that_goes_away_meanwhile_is_not_listed(folder, address, monkeypatch):
    shutil.copytree(folder / "checkpoints/3", folder / "checkpoints/6")
    copy = mirror.Mirror(folder, address)
    put = copy.store.put_file

    def meanwhile(path, where):
        if (folder / "checkpoints/3").exists() and "checkpoints" in path:
            (folder / "checkpoints/old").mkdir()
            (folder / "checkpoints/3").rename(folder / "checkpoints/old/3")
        put(path, where)

    monkeypatch.setattr(copy.store, "put_file", meanwhile)
    copy.push()
    assert {name.split("/")[1] for name in listed(address) if "checkpoints" in name} == {"6"}
    assert there(address) == set(listed(address))


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
    shutil.copytree(folder, tmp_path / "behind")
    shutil.rmtree(tmp_path / "behind/checkpoints/3")
    with pytest.raises(BadInput, match=r"is at step 3, .*behind at 0"):
        mirror.Mirror(tmp_path / "behind", address).push()
    with pytest.raises(BadInput, match="is no address"):
        mirror.Mirror(folder, str(tmp_path))
    with pytest.raises(BadInput, match="nosuch"):
        mirror.Mirror(folder, "nosuch://bucket")
    large = next(n for n in sorted(listed(address)) if "checkpoints" in n and listed(address)[n][0] > 100)
    cli.cut(pathlib.Path(address.removeprefix("file://"), large))
    with pytest.raises(BadInput, match="the copy is damaged"):
        mirror.Mirror(empty, address).fetch()


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
