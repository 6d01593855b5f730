"""Files are whole or not there."""

import contextlib
import json
import os
import resource

import pytest

from data_pipelines import BadInput
from ferjax import files


@contextlib.contextmanager
def small_disk():
    """No file may grow beyond 1,000 bytes. Not a fixture: pytest's own log would meet the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_all_or_none(tmp_path):
    names = [tmp_path / name for name in ("a.csv", "b.png", "c.json")]
    files.write_together({path: b"old" for path in names})
    refused = pytest.raises(BadInput, match=r"b.png: cannot be written: File too large; free some space")
    with small_disk(), refused:
        files.write_together(dict(zip(names, (b"new", b"x" * 2000, b"new"), strict=True)))
    assert [path.read_bytes() for path in names] == [b"old"] * 3
    assert sorted(tmp_path.iterdir()) == names


def test_a_folder_in_the_way(tmp_path):
    """Found before anything changes, not by the rename half-way."""
    names = [tmp_path / name for name in ("a.csv", "b.png", "c.json")]
    files.write_together({path: b"old" for path in names})
    names[1].unlink()
    names[1].mkdir()
    with pytest.raises(BadInput, match=r"b.png: cannot be written: a folder has this name"):
        files.write_together({path: b"new" for path in names})
    assert [names[0].read_bytes(), names[2].read_bytes()] == [b"old", b"old"]
    assert sorted(tmp_path.iterdir()) == names


@pytest.mark.parametrize("refused", [0, 1, 2])
def test_a_refused_rename_leaves_none_to_vouch(tmp_path, monkeypatch, refused):
    names = [tmp_path / name for name in ("a.csv", "b.png", "c.json")]
    files.write_together({path: b"old" for path in names})
    replace = type(tmp_path).replace

    def deny(self, target):
        if target == names[refused]:
            raise PermissionError(1, "Operation not permitted")
        replace(self, target)

    monkeypatch.setattr(type(tmp_path), "replace", deny)
    with pytest.raises(BadInput, match=f"{names[refused].name}: cannot be written: Operation not permitted"):
        files.write_together({path: b"new" for path in names})
    assert sorted(tmp_path.iterdir()) == names[:2]
    monkeypatch.undo()
    files.write_together({path: b"new" for path in names})
    assert {path.read_bytes() for path in names} == {b"new"}


def test_the_last_vouches_for_the_others(tmp_path, monkeypatch):
    """Killed at any moment, there is either no last file or the one that belongs to the others."""
    names = [tmp_path / name for name in ("a.csv", "b.png", "c.json")]
    files.write_together({path: b"old" for path in names})
    seen, replace = [], type(tmp_path).replace

    def look(self, target):
        seen.append(names[-1].exists())
        replace(self, target)
        seen.append(names[-1].exists() and {path.read_bytes() for path in names} != {b"new"})

    monkeypatch.setattr(type(tmp_path), "replace", look)
    files.write_together({path: b"new" for path in names})
    assert seen == [False] * 6 and names[-1].read_bytes() == b"new"


def test_appending(tmp_path):
    path = tmp_path / "below" / "lines.jsonl"
    file = files.Appended(path)
    for step in range(100):
        line = json.dumps({"step": step}).encode() + b"\n"
        if path.stat().st_size + len(line) > 1000:
            break
        file.write(line)
        assert path.read_bytes().endswith(line)  # not held back
    with small_disk(), pytest.raises(BadInput, match=r"lines.jsonl: cannot be written: File too large"):
        file.write(line)
    file.close()
    files.cut_back(path, 10**6)
    assert [line["step"] for line in files.read_lines(path)[0]] == list(range(step))


def test_appending_where_nothing_can_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cannot be written"):
        files.Appended(tmp_path / "file" / "lines.jsonl")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ('{"step": 1}\n{"step": 2}\n{"step": 3}\n', '{"step": 1}\n{"step": 2}\n'),
        ('{"step": 1}\n{"step": 2}\n{"st', '{"step": 1}\n{"step": 2}\n'),
        ('{"step": 1}\n{"step": 2}', '{"step": 1}\n'),  # without its newline, it may have been cut short
        ('{"step": 1}\n\x00\x00\x00\n', '{"step": 1}\n'),
        ('{"step": 1}\n[]\n{}\n7\n{"step": "x"}\n{"step": null}\n', '{"step": 1}\n'),
        ("", ""),
    ],
)
def test_cut_back(tmp_path, text, kept):
    path = tmp_path / "lines.jsonl"
    path.write_text(text)
    files.cut_back(path, 2)
    assert path.read_text() == kept
    assert os.listdir(tmp_path) == ["lines.jsonl"]
    files.cut_back(tmp_path / "absent", 2)
    with pytest.raises(BadInput, match="cannot be read"):
        files.cut_back(tmp_path, 2)
