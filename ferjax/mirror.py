"""A run's folder copied to an object store while it grows: gs://, s3://, whatever fsspec knows.

The run itself stays in a folder, which has locks and renames; an object store has neither. So what is there
is whole by its list alone: `mirror.json`, written after the files that it names, in place of the one before.
What only the former list names is deleted after that. A copy cut short leaves the former list, and files that
the next copy writes again.
"""

import contextlib
import json
import logging
import os
import pathlib
import shutil
import threading
import time
from collections.abc import Callable

import fsspec

from data_pipelines import BadInput
from ferjax import checkpoint
from ferjax import config as config_lib

LIST, FORMAT = "mirror.json", "ferjax/mirror/1"
EVERY = 10.0  # seconds between looks for a new checkpoint
TRIES = 5  # to copy a folder whose checkpoints change meanwhile


class Mirror:
    """A folder and its copy.

    Args:
      workdir: the folder.
      address: such as gs://bucket/runs/fer2013.
    Raises:
      BadInput: nobody can be asked there: no such protocol, its library missing, no rights.
    """

    def __init__(self, workdir, address: str):
        self.workdir, self.address = pathlib.Path(workdir), address.rstrip("/")
        if "://" not in address:
            raise BadInput(f"mirror {address} is no address of an object store, such as gs://bucket/run")
        with self._speaking("reached"):
            options = {"auto_mkdir": True} if address.startswith("file://") else {}
            self.store, self.root = fsspec.core.url_to_fs(self.address, **options)
            try:
                self.listed = json.loads(self.store.cat_file(f"{self.root}/{LIST}"))["files"]
            except FileNotFoundError:
                self.listed = {}
        self.sent = {}  # what was written since, listed or not yet

    def step(self) -> int | None:
        """The last step whose checkpoint is in the copy."""
        return _last(self.listed)

    def fetch(self, say: Callable = print, config: dict | None = None) -> None:
        """Brings the copy into the folder, unless that is further on; a killed one is begun again.

        Args:
          say: takes a line for the person who watches.
          config: of the run that is to go on, as `config.to_json` gives it; the folder's own.
        Raises:
          BadInput: the copy is of another config than the folder; it cannot be read; a checkpoint's file has
          another size than the list says.
        """
        if not self.listed:
            return
        self._same_run(config)
        here = _last(_files(self.workdir))
        if here is not None and here >= (self.step() or 0):
            return
        begun, checkpoints = time.monotonic(), self.workdir / "checkpoints"
        steps = [step for step in sorted(_steps(self.listed)) if not (checkpoints / str(step)).exists()]
        for name in sorted(self.listed):
            if _step(name) is None:
                self._get(name, self.workdir / name)
        for step in steps:  # each gets its name when it is whole
            aside = checkpoints / f".fetched-{step}"
            shutil.rmtree(aside, ignore_errors=True)
            for name in self.listed:
                if _step(name) == step:
                    self._get(name, aside / name.split("/", 2)[2])
            aside.rename(checkpoints / str(step))
        say(f"{self._told(self.listed)} fetched from {self.address}, {time.monotonic() - begun:.0f} s")

    def push(self, say: Callable = print) -> None:
        """Copies what is new or changed, then the list, then deletes what is no longer there.

        Raises:
          BadInput: the copy is of another config, or further on; it cannot be written; a file went away.
        """
        self._same_run()
        begun, before, files = time.monotonic(), self.listed, _files(self.workdir)
        if (_last(files) or 0) < (self.step() or 0):
            raise BadInput(
                f"mirror {self.address} is at step {self.step()}, {self.workdir} at {_last(files) or 0}; "
                "give another address"
            )
        with self._speaking("written"):
            for _ in range(TRIES):
                self._put(files)
                seen, files = files, _files(self.workdir)
                if {n for n in seen if _step(n) is not None} == {n for n in files if _step(n) is not None}:
                    break
            else:
                raise BadInput(
                    f"{self.workdir}: checkpoints change faster than they are copied to {self.address}; "
                    "raise checkpoint.every_steps"
                )
            files = seen
            whole = {"format": FORMAT, "step": _last(files), "files": files}
            self.store.pipe_file(f"{self.root}/{LIST}", json.dumps(whole, indent=1).encode())
            gone, self.listed = (self.listed.keys() | self.sent.keys()) - files.keys(), files
            for name in gone:
                self.sent.pop(name, None)
                with contextlib.suppress(FileNotFoundError):
                    self.store.rm_file(f"{self.root}/{name}")
        new = {name: facts for name, facts in files.items() if before.get(name) != facts}
        if new:
            say(f"{self._told(new)} copied to {self.address}, {time.monotonic() - begun:.0f} s")

    @contextlib.contextmanager
    def following(self, say: Callable = print):
        """While inside, each new checkpoint is copied by a thread; on leaving, all that is there.

        A copy that fails in between is a warning, and tried again with the next checkpoint. After an error
        inside, the last copy's own is a warning too.
        """
        over = threading.Event()
        thread = threading.Thread(target=self._follow, args=(over, say), daemon=True)
        thread.start()
        failed = True
        try:
            yield
            failed = False
        finally:
            over.set()
            thread.join()
            if failed:
                self._try(say)
        self.push(say)

    def _follow(self, over: threading.Event, say: Callable) -> None:
        seen = self.step()
        while not over.wait(EVERY):
            now = _last(_files(self.workdir))
            if now != seen:
                seen = now
                self._try(say)

    def _try(self, say: Callable) -> None:
        try:
            self.push(say)
        except BadInput as e:
            logging.getLogger(__name__).warning("%s", e)

    def _put(self, files: dict) -> None:
        for name, facts in files.items():
            if self.sent.get(name, self.listed.get(name)) == facts:
                continue
            try:
                self.store.put_file(str(self.workdir / name), f"{self.root}/{name}")
            except FileNotFoundError:
                if (self.workdir / name).exists():
                    raise
                continue  # a checkpoint on its way out
            self.sent[name] = facts

    def _same_run(self, mine: dict | None = None) -> None:
        path = self.workdir / "config.json"
        if "config.json" not in self.listed or not (mine or path.is_file()):
            return
        with self._speaking("read"):
            theirs = json.loads(self.store.cat_file(f"{self.root}/config.json"))
        differing = config_lib.differences(theirs, mine or json.loads(path.read_text("utf-8")))
        if differing:
            keys = ", ".join(f"{key} (there {old!r}, here {new!r})" for key, old, new in differing)
            raise BadInput(f"mirror {self.address} is of another config: {keys}; give another address")

    def _get(self, name: str, path: pathlib.Path) -> None:
        size, when = self.listed[name]
        with self._speaking("read"):
            path.parent.mkdir(parents=True, exist_ok=True)
            self.store.get_file(f"{self.root}/{name}", str(path))
        if _step(name) is not None and path.stat().st_size != size:
            raise BadInput(
                f"{self.address}/{name} has {path.stat().st_size} bytes, not {size} as its {LIST} says; the "
                "copy is damaged: copy the folder again, or give another address"
            )
        os.utime(path, ns=(when, when))

    def _told(self, files: dict) -> str:
        size = sum(size for size, _ in files.values()) / 1e6
        return f"{len(files)} files, {size:.1f} MB,"

    @contextlib.contextmanager
    def _speaking(self, what: str):
        """Whatever a store's library raises (each has its own) as one line."""
        try:
            yield
        except BadInput:
            raise
        except ImportError as e:
            kind = self.address.split("://")[0]
            extra = {"gs": "gcs", "gcs": "gcs", "s3": "s3"}.get(kind)
            how = f'pip install "ferjax[{extra}]"' if extra else "install it"
            raise BadInput(f"mirror {self.address}: {kind}:// needs a library, {e}; {how}") from None
        except Exception as e:
            words = " ".join(str(e).split())[:300] or type(e).__name__
            raise BadInput(
                f"mirror {self.address} cannot be {what}: {words}; check the address, the rights, the net; "
                f"{self.workdir} itself is whole"
            ) from e


def _files(workdir: pathlib.Path) -> dict[str, list[int]]:
    """{name: [bytes, time of change in ns]} of all files that are no one's scratch, in no order."""
    found = {}
    for folder, below, names in os.walk(workdir):
        out = [checkpoint.OLD] if folder == os.path.join(workdir, "checkpoints") else []
        below[:] = [name for name in below if not (_scratch(name) or name in out)]
        for name in names:
            path = pathlib.Path(folder, name)
            with contextlib.suppress(FileNotFoundError):  # a checkpoint on its way out
                if not _scratch(name):
                    facts = path.stat()
                    found[path.relative_to(workdir).as_posix()] = [facts.st_size, facts.st_mtime_ns]
    return found


def _scratch(name: str) -> bool:
    return name.startswith(".") or "orbax-checkpoint-tmp" in name


def _step(name: str) -> int | None:
    """The checkpoint that a file is of."""
    parts = name.split("/")
    return int(parts[1]) if parts[0] == "checkpoints" and len(parts) > 2 and parts[1].isdigit() else None


def _steps(files) -> set[int]:
    return {step for name in files if (step := _step(name)) is not None}


def _last(files) -> int | None:
    return max(_steps(files), default=None)
