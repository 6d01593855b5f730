"""Files that are whole or not there: JSON, CSV, lines that are appended, files that belong together.

NaN is null in JSON and empty in CSV. What cannot be written or read is a BadInput that names the file.
"""

from __future__ import annotations

import csv
import errno
import io
import json
import math
import os
import pathlib
import re
from collections.abc import Iterable, Mapping

import numpy as np

from data_pipelines import BadInput


def write(path: pathlib.Path, data: bytes) -> None:
    """Writes the whole file or nothing.

    Raises:
      BadInput: it cannot be written.
    """
    write_together({path: data})


def write_together(contents: Mapping[pathlib.Path, bytes]) -> None:
    """Writes files that belong together.

    The last one vouches for the others: it is away while they change, so that whoever finds it finds what
    belongs to it, even where the writer was killed half-way.

    Raises:
      BadInput: one of them cannot be written (a full disk, a folder in its place): all stay as they were.
        Or the system refuses to rename what was written in full: then the last one is away, until all are
        written again.
    """
    parts = {path: path.with_name(f".{path.name}.{os.getpid()}.part") for path in contents}
    path = None
    try:
        for path, data in contents.items():
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, "a folder has this name")
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(parts[path], "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        if len(contents) > 1:
            path.unlink(missing_ok=True)
        for path, part in parts.items():
            part.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from None
    finally:
        for part in parts.values():
            try:
                part.unlink(missing_ok=True)
            except OSError:  # its folder is no folder
                continue


class Appended:
    """A file that grows by whole pieces; nothing is held back in memory.

    Args:
      path: made if need be.
    Raises:
      BadInput: it cannot be written.
    """

    def __init__(self, path: pathlib.Path):
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.file = open(path, "ab", buffering=0)  # noqa: SIM115 (closed by `close`)
        except OSError as error:
            raise _unwritable(path, error) from None

    def write(self, data: bytes) -> None:
        """Appends; BadInput where the disk is full."""
        try:
            while data:
                data = data[self.file.write(data) :]
        except OSError as error:
            raise _unwritable(self.path, error) from None

    def close(self) -> None:
        """Lets go of the file."""
        self.file.close()


def cut_back(path: pathlib.Path, step: int) -> None:
    """Removes lines of later steps, and what a crash left unreadable, from a file of JSON lines.

    Raises:
      BadInput: the file cannot be read or written.
    """
    if not path.exists():
        return
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}; mend its rights") from None
    kept = [line for line in lines if line.endswith(b"\n") and _step_of(line) <= step]
    if kept != lines:
        write(path, b"".join(kept))


def _step_of(line: bytes) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf


def read_lines(path) -> tuple[list[dict], str]:
    """JSON lines of a file, and "" or what is wrong; broken lines (a killed writer's last) are left out."""
    path = pathlib.Path(path)
    if not path.exists():
        return [], "missing"
    try:
        texts = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        return [], f"cannot be read: {error}"
    lines, broken = [], []
    for number, text in enumerate(texts, 1):
        try:
            line = json.loads(text) if text.strip() else None
        except json.JSONDecodeError:
            line = text
        if isinstance(line, dict):
            lines.append(line)
        elif line is not None:
            broken.append(number)
    many = f"s, the first is line {broken[0]}" if len(broken) > 1 else f", line {broken[0]}" if broken else ""
    return lines, f"left out {len(broken)} unreadable line{many}" if broken else ""


def read_json(path: pathlib.Path) -> dict:
    """The JSON object in a file; BadInput where there is none."""
    try:
        value = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise BadInput(f"{path}: missing") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise BadInput(f"{path}: cannot be read as JSON: {error}") from None
    if not isinstance(value, dict):
        raise BadInput(f"{path}: holds no JSON object")
    return value


def json_bytes(value) -> bytes:
    """Indented JSON; a list or object of plain values, if short, stays on one line."""

    def one_line(match: re.Match) -> str:
        line = match[1] + re.sub(r"\n\s+", " ", match[2]) + match[3]
        return line if len(line) <= 120 else match[0]

    text = json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False)
    return (re.sub(r"([\[{])\n\s+([^\[\]{}]*?)\n\s*([\]}])", one_line, text) + "\n").encode()


def csv_bytes(rows: Iterable[Iterable]) -> bytes:
    """Rows as CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def npz_bytes(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Arrays as a .npz."""
    data = io.BytesIO()
    np.savez(data, **arrays)
    return data.getvalue()


def plain(value):
    """NumPy scalars and arrays, tuples and paths as what JSON knows; NaN and infinities as None."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(v) for v in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, os.PathLike) else value


def _unwritable(path, error: OSError) -> BadInput:
    reason = error.strerror or error
    return BadInput(f"{path}: cannot be written: {reason}; free some space there or choose another folder")
