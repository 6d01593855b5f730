"""From a user's files to arrays, once: through the set's TFDS builder, and the cache that keeps them.

TensorFlow is used where it is installed, and imported only inside functions.
"""

import contextlib
import hashlib
import importlib
import io
import json
import logging
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from data_pipelines import BadInput
from data_pipelines.disk import write
from data_pipelines.split import FIELDS, Split

log = logging.getLogger(__name__)

DIVIDING = ("select", "fold", "folds", "rows")
"""Options that say how a set is divided, and not what is read of it: they share one cache."""


def load_splits(module, options: Mapping, cache_dir: str = "") -> dict[str, Split]:
    """All parts of a set as its publisher divides it, from the cache or through its TFDS builder.

    Args:
      module: the set's folder, as docs/data.md describes.
      options: all of the set's options.
      cache_dir: "" for ~/.cache/ferjax. In it, every state of the source files has a folder of its own.

    Returns:
      Part -> Split, sorted by id.

    Raises:
      BadInput: the source cannot be read, or the cache not be written.
    """
    name = module.__name__.rpartition(".")[2]
    cache = Path(cache_dir or "~/.cache/ferjax").expanduser() / name / fingerprint(module, options)
    with contextlib.ExitStack() as stack:
        with _writable(cache):
            cache.mkdir(parents=True, exist_ok=True)
            stack.enter_context(_alone(cache / "lock"))  # processes of one host build it once
            splits = _cached(cache)
        if splits is None:
            with _heard() as said:
                splits = _build(module, name, options, cache / "tfds")
            with _writable(cache):
                for part, split in splits.items():
                    split.save(cache / f"{part}.npz")
                write(cache / "said.json", json.dumps(said))
                write(cache / "splits.json", json.dumps(list(splits)))
    return splits


class _Ear(logging.Handler):
    """Keeps the warnings of the readers."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.said = []

    def emit(self, record):
        """Notes the text."""
        self.said.append(record.getMessage())


@contextlib.contextmanager
def _heard() -> Iterator[list[str]]:
    """What the readers warn of in here: the cache keeps it, to be told again whenever it is read."""
    ear, logger = _Ear(), logging.getLogger("data_pipelines")
    logger.addHandler(ear)
    try:
        yield ear.said
    finally:
        logger.removeHandler(ear)


@contextlib.contextmanager
def _writable(cache: Path) -> Iterator[None]:
    """What the system refuses in here is a matter of the cache's folder, not of the source."""
    try:
        yield
    except OSError as error:
        raise BadInput(f"data.cache_dir: {cache} cannot be used ({error}); name another folder") from None


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Waits until no other process is in here; no waiting where the system has no such locks."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _cached(cache: Path) -> dict[str, Split] | None:
    """What a cache folder holds; None if it is new or damaged."""
    try:
        parts = json.loads((cache / "splits.json").read_text())
        splits = {part: Split.load(cache / f"{part}.npz") for part in parts}
        said = cache / "said.json"
        for line in json.loads(said.read_text()) if said.exists() else ():
            log.warning("%s", line)
        return splits
    except FileNotFoundError:
        return None
    except ValueError as error:  # BadInput, or damaged JSON
        log.warning("the cache is damaged and is built again (%s)", error)
        shutil.rmtree(cache / "tfds", ignore_errors=True)
        return None


def _build(module, name: str, options: Mapping, folder: Path) -> dict[str, Split]:
    """Reads a set's source through its TFDS builder, or without where TensorFlow is not installed.

    What has no source, such as facsynth, is drawn; its TFRecords would take longer than drawing does.
    """
    if not options.get("dir"):  # drawn; or it names what it lacks, where TFDS would look elsewhere
        parts = module.arrays(options)
    else:
        try:
            tensorflow()
            import tensorflow_datasets  # noqa: F401
        except ImportError as error:
            log.info("reading %s without TensorFlow (%s)", name, error)
            parts = module.arrays(options)
        else:
            parts = _through_tfds(module, options, folder)
    classes, au_names = names(module, options)
    splits = {}
    for part, arrays in parts.items():
        order = np.argsort(np.asarray(arrays["id"], np.str_), kind="stable")
        arrays = {field: np.asarray(arrays[field])[order] for field in FIELDS}
        splits[part] = Split(name=f"{name}/{part}", classes=classes, au_names=au_names, **arrays)
    return splits


def names(module, options: Mapping) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """A set's classes and action units, which may depend on its options."""
    classes = module.classes(options) if hasattr(module, "classes") else module.CLASSES
    return classes, module.au_names(options) if hasattr(module, "au_names") else module.AU_NAMES


def fingerprint(module, options: Mapping) -> str:
    """Hex digits that change with the source files (path, size, time), the options, and the reading code.

    The source files are those of the folder `dir` and below it, or what the set's `files(options)` lists.
    """
    digest = hashlib.sha256()
    read = {k: v for k, v in options.items() if k not in DIVIDING}
    digest.update(json.dumps(read, sort_keys=True).encode())
    for reader in (module, *getattr(module, "BUILT_ON", ())):
        whole = Path(reader.__file__)  # a folder's __init__.py, or a single module
        for code in sorted(whole.parent.glob("*.py")) if whole.name == "__init__.py" else [whole]:
            digest.update(code.read_bytes())
    for code in ("labels.py", "faces.py", "resample.py", "pictures.py", "disk.py"):
        digest.update((Path(__file__).parent / code).read_bytes())
    if options.get("dir"):
        if hasattr(module, "files"):
            lines = (_stamp(path) for path in module.files(options))
        else:
            lines = _listing(Path(options["dir"]).expanduser())
        for line in sorted(lines):
            digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:16]


def _stamp(path: Path) -> str:
    """A file's path, size, time."""
    try:
        status = os.stat(path)
    except OSError:
        return f"{path}\n"  # the reader will name it
    return f"{os.path.abspath(path)} {status.st_size} {status.st_mtime_ns}\n"


def _listing(folder: Path) -> Iterator[str]:
    """A line per file: path, size, time."""
    yield f"{folder.resolve()}\n"
    queue = [str(folder)]
    while queue:
        try:
            with os.scandir(queue.pop()) as entries:
                for entry in entries:
                    if entry.is_dir():
                        queue.append(entry.path)
                    else:
                        status = entry.stat()
                        yield f"{entry.path} {status.st_size} {status.st_mtime_ns}\n"
        except OSError:
            continue  # the reader will name it


def tensorflow():
    """TensorFlow, without its log lines and without the accelerator, which belongs to JAX.

    Raises:
      ImportError: it is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    import tensorflow as tf

    try:
        tf.config.set_visible_devices([], "GPU")
    except RuntimeError:  # already in use
        log.debug("TensorFlow has started and keeps its devices")
    return tf


def _through_tfds(module, options: Mapping, folder: Path) -> dict[str, dict]:
    """Prepares the set's TFDS builder in `folder` and decodes all of it once.

    Returns:
      As the set's `arrays(options)`, in TFDS's order.
    """
    import tensorflow_datasets as tfds

    logging.getLogger("absl").setLevel(logging.ERROR)  # TFDS tells of every step there
    builder = importlib.import_module(f"{module.__name__}.builder").Builder(
        data_dir=str(folder), options=options
    )
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    source = tfds.download.DownloadConfig(manual_dir=options.get("dir") or None)
    with contextlib.redirect_stdout(io.StringIO()):  # "Downloading ...", which it does not
        builder.download_and_prepare(download_config=source)
    parts = {}
    for part, info in builder.info.splits.items():
        batches = list(builder.as_dataset(split=part).batch(1024).as_numpy_iterator())
        arrays = {field: np.concatenate([batch[field] for batch in batches]) for field in FIELDS}
        if len(arrays["id"]) != info.num_examples:
            raise BadInput(f"{folder}: {part} is incomplete; delete this folder and try again")
        for field in ("subject", "id"):
            arrays[field] = np.array([value.decode() for value in arrays[field].tolist()], np.str_)
        parts[part] = arrays
    return parts
