"""A run's folder copied to an object store while it grows: gs://, s3://, and others that fsspec knows.

The run itself stays in a folder, which has locks and renames; an object store has neither. So a checkpoint
there is whole by the list alone: `mirror.json`, written after the files that it names, in place of the one
before. Only then are checkpoints deleted that it no longer names; nothing else is ever deleted. A copy cut
short leaves the former list and its checkpoints; other files (metrics, results) may be newer by then, and
training cuts metrics back to its checkpoint.
"""

import contextlib
import json
import logging
import os
import pathlib
import shutil
import threading
import time
import uuid
from collections.abc import Callable

import fsspec

from data_pipelines import BadInput
from ferjax import checkpoint
from ferjax import config as config_lib

LIST, FORMAT = "mirror.json", "ferjax/mirror/1"
EVERY = 10.0  # seconds between looks for a new checkpoint
AGAIN = 60.0  # seconds until the next try after one that failed
LAST = 45.0  # seconds that the last copy may take where a signal stopped the run, or other processes wait
_ASIDE = ".mirror-"  # a checkpoint's files under a second name, so that they stay while they are copied


class Mirror:
    """A folder and its copy.

    Args:
      workdir: the folder.
      address: such as gs://bucket/runs/fer2013.
      writes: try at once whether something can be written there.
    Raises:
      BadInput: nobody can be asked there: no such protocol, its library missing, no rights; or its list is
      none of ours.
    """

    def __init__(self, workdir, address: str, writes: bool = True):
        self.workdir, self.address = pathlib.Path(workdir), address.rstrip("/")
        protocol, _, place = self.address.partition("://")
        if not (protocol and place):
            raise BadInput(f"mirror {address} is no address of an object store, such as gs://bucket/run")
        self.me, self.failed = uuid.uuid4().hex, None
        with self._speaking("reached"):
            options = {"auto_mkdir": True} if protocol == "file" else {}
            self.store, self.root = fsspec.core.url_to_fs(self.address, **options)
            self.known, self.listed = self._read()
        if writes:
            with self._speaking("written"):
                self.store.pipe_file(f"{self.root}/probe-{self.me}", b"")
                self.store.rm_file(f"{self.root}/probe-{self.me}")

    def step(self) -> int | None:
        """The last step whose checkpoint is in the copy."""
        return _last(self.listed)

    def ahead(self, config: dict | None = None) -> bool:
        """Whether the copy is further on than the folder.

        Args:
          config: of the run that is to go on, as `config.to_json` gives it; the folder's own.
        Raises:
          BadInput: the copy is of another config.
        """
        self._same_run(config)
        here = _last(_files(self.workdir))
        return bool(self.listed) and (here is None or here < (self.step() or 0))

    def fetch(self, say: Callable = print, config: dict | None = None) -> None:
        """Brings the copy into the folder where it is further on, else only what the folder lacks.

        A fetch that was killed is begun again. Raises as `ahead`; also where a file cannot be read, or one of
        a checkpoint has another size than the list says.
        """
        ahead, begun, checkpoints = self.ahead(config), time.monotonic(), self.workdir / "checkpoints"
        plain = {name for name in self.listed if _step(name) is None and not (self.workdir / name).exists()}
        wanted = {name: facts for name, facts in self.listed.items() if ahead or name in plain}
        steps = [step for step in sorted(_steps(wanted)) if not (checkpoints / str(step)).exists()]
        for name in sorted(wanted):
            if _step(name) is None:
                aside = (self.workdir / name).with_name(f".fetched-{pathlib.Path(name).name}")
                self._get(name, aside)
                aside.replace(self.workdir / name)
        for step in steps:  # each gets its name when it is whole
            aside = checkpoints / f".fetched-{step}"
            shutil.rmtree(aside, ignore_errors=True)
            for name in wanted:
                if _step(name) == step:
                    self._get(name, aside / name.split("/", 2)[2])
            aside.rename(checkpoints / str(step))
        if wanted:
            say(f"{_told(wanted)} fetched from {self.address}, {time.monotonic() - begun:.0f} s")

    def push(self, say: Callable = print) -> None:
        """Copies what is new or changed, then the list, then deletes checkpoints that it no longer names.

        Raises:
          BadInput: the copy is of another config, further on, or written by someone else; it cannot be
          written; the folder is empty.
        """
        begun, files = time.monotonic(), _files(self.workdir)
        if not files:
            raise BadInput(f"{self.workdir} holds no file that could be copied to {self.address}")
        self._alone()
        self._same_run()
        if (_last(files) or 0) < (self.step() or 0):
            raise BadInput(
                f"mirror {self.address} is at step {self.step()}, {self.workdir} at {_last(files) or 0}; "
                "give another address"
            )
        plain = {name: facts for name, facts in files.items() if _step(name) is None}
        whole = {}
        self._sweep()
        try:
            for step in sorted(_steps(files)):
                whole |= self._aside(step)
            with self._speaking("written"):
                sent = {name: facts for name, facts in plain.items() if self._put(name, name, facts)}
                for name, (path, facts) in whole.items():
                    self._put(path, name, facts)
        finally:
            self._sweep()
        steps = {name: facts for name, (_, facts) in whole.items()}
        if not steps:  # all went away while they were looked at: those of the former list stay
            steps = {name: facts for name, facts in self.listed.items() if _step(name) is not None}
        former = {name: facts for name, facts in self.listed.items() if _step(name) is None}
        files = former | sent | steps
        new = {name: facts for name, facts in files.items() if self.listed.get(name) != facts}
        if not new:
            return
        self._alone()
        with self._speaking("written"):
            known = [self.me, self.known[1] + 1]
            about = {"format": FORMAT, "writer": known, "files": files}
            self.store.pipe_file(f"{self.root}/{LIST}", json.dumps(about, indent=1).encode())
            self.listed, self.known, root = files, known, f"{self.root}/"
            for path in self.store.find(f"{root}checkpoints"):
                if path.startswith(root) and path.removeprefix(root) not in files:
                    with contextlib.suppress(FileNotFoundError):
                        self.store.rm_file(path)
        say(f"{_told(new)} copied to {self.address}, {time.monotonic() - begun:.0f} s")

    @contextlib.contextmanager
    def following(self, say: Callable = print):
        """While inside, each new checkpoint is copied by a thread; on leaving, all that is there.

        Yields a function `end(hurried)`, to be called when the run is over: waits for the last copy, which
        is an error where it fails (BadInput). Hurried, as without a call, after an error, it has `LAST`
        seconds, and its failing is a warning, as is that of earlier ones, which are tried again.
        """
        over, ended = threading.Event(), []
        thread = threading.Thread(target=self._follow, args=(over, say), daemon=True)
        thread.start()

        def end(hurried: bool = True):
            ended.append(True)
            over.set()
            thread.join(LAST if hurried else None)
            if thread.is_alive():
                logging.getLogger(__name__).warning(
                    "mirror %s: the last copy was not done after %.0f s and is left; the former is whole",
                    *(self.address, LAST),
                )
            elif self.failed and not hurried:
                raise self.failed
            elif self.failed:
                logging.getLogger(__name__).warning("%s", self.failed)

        try:
            yield end
        finally:
            if not ended:
                end()

    def _follow(self, over: threading.Event, say: Callable) -> None:
        seen, pause = self.step(), EVERY
        while not over.wait(pause):
            now, pause = _last(_files(self.workdir)), EVERY
            if now != seen:
                self._try(say)
                if self.failed:
                    logging.getLogger(__name__).warning("%s; tried again in %.0f s", self.failed, AGAIN)
                seen, pause = (seen, AGAIN) if self.failed else (now, EVERY)
        self._try(say)

    def _try(self, say: Callable) -> None:
        try:
            self.push(say)
            self.failed = None
        except BadInput as e:
            self.failed = e
        except Exception as e:  # a thread that ends in silence would copy nothing any more
            self.failed = BadInput(f"mirror {self.address}: {type(e).__name__}: {e}")

    def _read(self) -> tuple[list, dict]:
        """(who wrote the list and how often, {name: [bytes, time]}); empty where there is none."""
        try:
            whole = json.loads(self.store.cat_file(f"{self.root}/{LIST}"))
        except FileNotFoundError:
            return ["", 0], {}
        except ValueError:
            whole = {}
        names = whole.get("files", {}) if isinstance(whole, dict) else {}
        if (
            not names
            or whole.get("format") != FORMAT
            or any(".." in n.split("/") or n[0] == "/" for n in names)
        ):
            raise BadInput(
                f"{self.address}/{LIST} is no list of ferjax ({FORMAT}); give another address, or delete it, "
                "so that the folder is copied anew"
            )
        return whole["writer"], names

    def _alone(self) -> None:
        """BadInput where someone else wrote since. Two that write at the same moment are not noticed."""
        with self._speaking("read"):
            known, _ = self._read()
        if known != self.known and known[0] != self.me:
            raise BadInput(
                f"mirror {self.address} was written by another run meanwhile; end one of them, or give "
                "it another address"
            )

    def _aside(self, step: int) -> dict[str, tuple[str, list[int]]]:
        """{name: (where to copy it from, facts)} of a checkpoint; nothing where it went away meanwhile.

        Its files get a second name, so that they outlive the checkpoint. It goes away by a rename: where it
        is still there afterwards, all of it was.
        """
        folder = self.workdir / "checkpoints"
        aside = folder / f"{_ASIDE}{step}"
        try:
            shutil.copytree(folder / str(step), aside, copy_function=_link)
        except (OSError, shutil.Error) as e:
            if (folder / str(step)).exists():
                raise BadInput(f"{aside} cannot be written: {e}; mend that, or go on without --mirror") from e
        if not (folder / str(step)).exists():
            return {}
        found = _facts(aside)
        return {
            f"checkpoints/{step}/{name}": (f"checkpoints/{aside.name}/{name}", facts)
            for name, facts in found.items()
        }

    def _sweep(self) -> None:
        for aside in (self.workdir / "checkpoints").glob(f"{_ASIDE}*"):
            shutil.rmtree(aside, ignore_errors=True)

    def _put(self, path: str, name: str, facts: list[int]) -> bool:
        """Whether the file is there now, or still."""
        if self.listed.get(name) == facts:
            return True
        try:
            self.store.put_file(str(self.workdir / path), f"{self.root}/{name}")
        except FileNotFoundError:
            if (self.workdir / path).exists():
                raise
            return False
        return True

    def _same_run(self, mine: dict | None = None) -> None:
        path = self.workdir / "config.json"
        if "config.json" not in self.listed:
            return
        with self._speaking("read"):
            theirs = json.loads(self.store.cat_file(f"{self.root}/config.json"))
        own = json.loads(path.read_text("utf-8")) if path.is_file() else None
        for here in (mine, own):
            differing = config_lib.differences(theirs, here) if here else []
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
                f"mirror {self.address} cannot be {what}: {words}; check the address, the rights, the "
                "net and the disk"
            ) from e


def _link(source, target) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:  # a file system without second names
        shutil.copy2(source, target)


def _files(workdir: pathlib.Path) -> dict[str, list[int]]:
    """`_facts` of a run's folder, without hidden and unfinished files and checkpoints on their way out."""
    return _facts(workdir, lambda name: name.startswith(".") or checkpoint.UNFINISHED in name)


def _facts(folder: pathlib.Path, scratch: Callable = lambda name: False) -> dict[str, list[int]]:
    """{name: [bytes, time of change in ns]} of all files below.

    Raises:
      BadInput: a folder cannot be listed.
    """

    def unlisted(e: OSError):
        if not isinstance(e, FileNotFoundError):
            raise BadInput(f"{e.filename}: cannot be listed: {e.strerror}; mend its rights") from e

    found = {}
    for now, below, names in os.walk(folder, onerror=unlisted, followlinks=True):
        out = checkpoint.OLD if os.path.basename(now) == "checkpoints" else None
        below[:] = [name for name in below if not (scratch(name) or name == out)]
        for name in names:
            path = pathlib.Path(now, name)
            with contextlib.suppress(FileNotFoundError):
                if not scratch(name):
                    facts = path.stat()
                    found[path.relative_to(folder).as_posix()] = [facts.st_size, facts.st_mtime_ns]
    return found


def _step(name: str) -> int | None:
    """The checkpoint that a file is of."""
    parts = name.split("/")
    return int(parts[1]) if parts[0] == "checkpoints" and len(parts) > 2 and parts[1].isdigit() else None


def _steps(files) -> set[int]:
    return {step for name in files if (step := _step(name)) is not None}


def _last(files) -> int | None:
    return max(_steps(files), default=None)


def _told(files: dict) -> str:
    size = sum(size for size, _ in files.values()) / 1e6
    return f"{len(files)} files, {size:.1f} MB,"
