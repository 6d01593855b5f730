"""Many trainings as one job: cells, kept once finished, shared by processes, gone on with when killed.

A cell is a training or an evaluation with a name, `head/ck_plus-fer2013/seed0`, and a folder of that name
under W/cells. What it found lies there in cell.json, written whole or not at all. A cell is claimed by a lock
on its folder, which goes with its process however that ends, so that any number of processes, also of several
hosts that share the folder, can work on one job.
"""

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import pathlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from data_pipelines import BadInput
from ferjax import files, results

SCHEMA = "ferjax/cell/1"
WAIT = 2.0  # seconds between looks at cells that others work on


@dataclasses.dataclass(frozen=True)
class Cell:
    """One piece of a job.

    Attributes:
      name: also its folder under W/cells.
      about: all that decides what it finds, as plain facts (configs, hashes of splits): a finished cell is
        kept only where these are the same.
      run: folder -> (found, status): plain facts for JSON, "files" among them naming those below the workdir
        without which it does not count as finished; and 0, or 128 + signal where it was stopped and can be
        gone on with.
      needs: names of cells that must be finished before.
      seconds: estimate of its time.
    """

    name: str
    about: Mapping
    run: Callable[[pathlib.Path], tuple[dict | None, int]]
    needs: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def key(self) -> str:
        """sha256 of `about`."""
        return hashlib.sha256(json.dumps(self.about, sort_keys=True, default=str).encode()).hexdigest()


def folder_of(workdir, cell: Cell | str) -> pathlib.Path:
    """Where a cell's files lie."""
    return pathlib.Path(workdir) / "cells" / (cell if isinstance(cell, str) else cell.name)


def finished(
    workdir, cells: Sequence[Cell], say: Callable[[str], None] = lambda line: None
) -> dict[str, dict]:
    """What the finished cells found, by name; one whose files are gone is not finished.

    Args:
      workdir: W.
      cells: looked at.
      say: takes a line on each whose files are gone.
    Raises:
      BadInput: one was made by another config or of other data.
    """
    done = {}
    for cell in cells:
        path = folder_of(workdir, cell) / "cell.json"
        if not path.exists():
            continue
        said = _same_or_refuse(path, cell)
        gone = [
            name for name in said["found"].get("files", ()) if not (pathlib.Path(workdir) / name).exists()
        ]
        if gone:
            say(f"cells/{cell.name} is made again: {gone[0]} is gone")
        else:
            done[cell.name] = said["found"]
    return done


def _same_or_refuse(path: pathlib.Path, cell: Cell) -> dict:
    """What a cell's file says; BadInput where it is of other settings or data than this cell."""
    said = files.read_json(path)
    if said.get("schema") != SCHEMA or said.get("key") != cell.key:
        differs = differing(said.get("about", {}), _plain(cell.about))
        raise BadInput(
            f"{path.parent} was begun with other settings or data ({differs}); use a new --workdir, or "
            "delete that folder to make it again"
        )
    return said


def _plain(about: Mapping) -> dict:
    """`about` as it reads in a file."""
    return json.loads(json.dumps(about, default=str))


def _begin(workdir, cell: Cell) -> None:
    """Marks a cell as begun, so that what it leaves when stopped is gone on with by the same cell alone.

    Raises:
      BadInput: it was begun with other settings or data.
    """
    path = folder_of(workdir, cell) / "begun.json"
    if path.exists():
        _same_or_refuse(path, cell)
    else:
        said = {"schema": SCHEMA, "key": cell.key, "about": _plain(cell.about)}
        files.write(path, files.json_bytes(files.plain(said)))


def kept(workdir) -> dict[str, dict]:
    """Name -> {"seconds", "created"} of every cell that is finished in a workdir."""
    out = {}
    root = pathlib.Path(workdir) / "cells"
    for path in sorted(root.rglob("cell.json")):
        said = files.read_json(path)
        out[str(path.parent.relative_to(root))] = {k: said[k] for k in ("seconds", "created")}
    return out


def differing(old, new, at: str = "") -> str:
    """The first place where two nests of plain facts differ, in words."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            if old.get(key) != new.get(key):
                return differing(old.get(key), new.get(key), f"{at}.{key}" if at else key)
    return f"{at}: there {str(old)[:60]!r}, now {str(new)[:60]!r}"


def run_cells(workdir, cells: Sequence[Cell], say: Callable[[str], None]) -> tuple[dict[str, dict], int]:
    """Runs every cell that is not finished; those that another process works on are waited for.

    Args:
      workdir: W.
      cells: in the order in which they are to be begun; each after those it needs.
      say: takes a line of progress.
    Returns:
      (name -> found of all cells, 0), or what is finished and 128 + signal where one was stopped.
    Raises:
      BadInput: as `finished`; and whatever a cell raises.
    """
    done = finished(workdir, cells)
    waited = False
    while len(done) < len({cell.name for cell in cells}):
        left = [c for c in cells if c.name not in done]
        ready = [c for c in left if all(name in done for name in c.needs)]
        for cell in ready:
            with _claimed(folder_of(workdir, cell)) as mine:
                if not mine:
                    continue
                done |= finished(workdir, [cell])  # perhaps meanwhile
                if cell.name not in done:
                    seconds = sum(c.seconds for c in left)
                    say(
                        f"cell {len(done) + 1} of {len(cells)}: {cell.name} (about {span(cell.seconds)}; all "
                        f"that is left about {span(seconds)})"
                    )
                    _begin(workdir, cell)
                    begun = time.monotonic()
                    found, status = cell.run(folder_of(workdir, cell))
                    if status:
                        return done, status
                    _keep(workdir, cell, found, time.monotonic() - begun)
                    done |= finished(workdir, [cell])
            waited = False
            break
        else:
            if not waited:
                say("the cells that are left are being worked on by others; waiting for them")
            waited = True
            time.sleep(WAIT)
            done |= finished(workdir, cells)
    return done, 0


def _keep(workdir, cell: Cell, found: dict | None, seconds: float) -> None:
    said = {
        "schema": SCHEMA,
        "name": cell.name,
        "key": cell.key,
        "created": results.now(),
        "git_revision": results.git_revision(),
        "seconds": round(seconds, 1),
        "found": found or {},
        "about": _plain(cell.about),
    }
    files.write(folder_of(workdir, cell) / "cell.json", files.json_bytes(files.plain(said)))


@contextlib.contextmanager
def _claimed(folder: pathlib.Path) -> Iterator[bool]:
    """Whether this process alone works on a cell from here on."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = open(folder / ".claim", "w")  # noqa: SIM115
    except OSError as e:
        raise BadInput(f"{folder} cannot be written: {e.strerror}; choose another --workdir") from e
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def span(seconds: float) -> str:
    """Seconds in words: "40 s", "12 min", "3.2 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
