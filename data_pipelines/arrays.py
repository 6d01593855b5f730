"""From a user's files to the three parts of an experiment, and the cache between.

TensorFlow is used where it is installed, and imported only inside functions.
"""

import contextlib
import hashlib
import importlib
import importlib.util
import io
import json
import logging
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_pipelines import BadInput, divide, leaks, no_folder
from data_pipelines.split import FIELDS, Split, blank, hash_rows, resize, shuffle_labels, stratified

__all__ = [
    "DEFAULTS",
    "Parts",
    "Split",
    "data_set",
    "export",
    "load_parts",
    "load_splits",
    "names",
    "print_check",
    "tensorflow",
]

log = logging.getLogger(__name__)


class Parts(NamedTuple):
    """What an experiment trains on, selects its epoch with, and reports.

    Attributes:
      train: the network is fitted to these.
      select: the epoch, and every threshold, is chosen on these.
      test: reported, and seen by nothing that chooses.
      selection: what selects, in words: "PublicTest".
      findings: what a user should be told, a line each; `load_parts` logs them as warnings.
      published: names the division where its publisher made it; "" where it is ours.
    """

    train: Split
    select: Split
    test: Split
    selection: str
    findings: tuple[str, ...] = ()
    published: str = ""


DEFAULTS = {
    "name": "facsynth",  # a folder of data_pipelines, or npz
    "dir": "",  # the user's files
    "cache_dir": "",  # "" is ~/.cache/ferjax
    "image_size": 0,  # pixels; 0 keeps the set's own
    "options": {},  # see OPTIONS of data_pipelines/<name>
    "labels": "",  # "" is the set's own
    "select": "auto",
    "published": "",  # names a division made elsewhere, which may share images between its parts
    "kfolds": 0,  # 0: the set's own parts; else all of it divided by subject
    "kfold": 0,  # the one that is reported; the next one selects
    "map": "",  # emotions by name: of labels.LABEL_MAPS, or "contempt=disgust"; "contempt=" leaves out
    "classes": "",  # emotions kept, comma between, in this order; "" all
    "exclude_blank": False,  # leave out images of one single grey value
    "exclude_duplicates": "none",  # or across
    "limit": 0,  # images per part; 0 is all
    "shuffle_labels": 0,  # 0, or the seed of a permutation
}
"""What `load_parts` takes where the config does not say."""

DIVIDING = ("select", "fold", "folds", "rows")
"""Options that say how a set is divided, and not what is read of it: they share one cache."""


def load_parts(data: Mapping, need: Sequence[str] = ("train", "select", "test")) -> Parts:
    """Reads a data set and divides it; the second time from the cache.

    Args:
      data: the config's `data`, with any of the keys of DEFAULTS (others are not looked at):
        exclude_blank: leaves out images of one single value, in train and select.
        exclude_duplicates: "across" leaves out of train what is, pixel for pixel, also in select or test, and
          out of select what is also in test. The reported part is never thinned.
        limit: so many images per part, classes in proportion, chosen by the hash of the id.
        shuffle_labels: the known labels of train and of select are permuted with this seed, a control: what a
          network learns from them is not about emotions. Test keeps its own.

      need: the parts that must have images; a set that is only reported may lack the others.

    Returns:
      Parts; each Split is sorted by id.

    Raises:
      BadInput: an unknown set or option, or files that cannot be read.
    """
    data = {**DEFAULTS, **{key: data[key] for key in DEFAULTS if key in data}}
    if data["exclude_duplicates"] not in ("none", "across"):
        raise BadInput(
            f"data.exclude_duplicates: {data['exclude_duplicates']!r} is not known; write none or across"
        )
    if data["name"] == "npz":
        parts = read_exported(data["dir"])
    else:
        module, options = data_set(data)
        splits = load_splits(module, options, data["cache_dir"])
        tell = getattr(module, "findings", None)
        found = tuple(tell(options, splits)) if tell else ()
        own = getattr(module, "parts", _train_validation_test)
        divided = own(options, splits)
        parts = Parts(**divided) if isinstance(divided, Mapping) else Parts(*divided)
        published = parts.published or getattr(module, "PUBLISHED", "")
        parts = parts._replace(findings=found + parts.findings, published=published)
    if data["kfolds"]:
        parts = divide.by_fold(parts, int(data["kfolds"]), int(data["kfold"]))._replace(published="")
    parts = parts._replace(published=data["published"] or parts.published)
    parts = divide.relabel(parts, data["map"], data["classes"])
    parts = _exclude(parts, data["exclude_blank"], data["exclude_duplicates"])
    leaks.refuse({"train": parts.train, "select": parts.select, "test": parts.test}, parts.published)
    size, limit = int(data["image_size"]), int(data["limit"])
    done = {}
    for part in ("train", "select", "test"):
        split = getattr(parts, part)
        if limit:
            split = split.take(stratified(split, limit))
        if not len(split) and part in need:
            raise BadInput(
                f"data: no image is left in {part} ({split.name}); check data.dir, the split of its "
                "rows, and the exclusions"
            )
        if data["shuffle_labels"] and part != "test":
            split = shuffle_labels(split, int(data["shuffle_labels"]))
        done[part] = resize(split, size) if size else split
    for line in parts.findings:
        log.warning("%s", line)
    return parts._replace(**done)


def data_set(data: Mapping) -> tuple:
    """The module of the set named in the config, and its options, filled in and checked.

    Args:
      data: the config's `data`. `data.options.<key>` must be in the set's OPTIONS; `data.dir`, `data.labels`,
        `data.select` and `data.image_size` become options too, where the set has one of that name.

    Returns:
      (module, options).

    Raises:
      BadInput: no such set, or it has no such option.
    """
    name = str(data["name"])
    package = f"data_pipelines.{name}"
    if not name.isidentifier() or importlib.util.find_spec(package) is None:
        raise BadInput(f"data.name: no data set {name!r}; there are {', '.join([*names(), 'npz'])}")
    module = importlib.import_module(package)
    if not hasattr(module, "arrays"):
        raise BadInput(f"data.name: no data set {name!r}; there are {', '.join([*names(), 'npz'])}")
    options = dict(module.OPTIONS)
    for key in ("dir", "labels", "select", "image_size"):
        if key in options and data.get(key):
            options[key] = data[key]
    for key, value in dict(data.get("options") or {}).items():
        if key not in options:
            raise BadInput(
                f"data.options.{key}: {name} has no such option; it has {', '.join(options) or 'none'}"
            )
        options[key] = value
    return module, options


def names() -> list[str]:
    """The data sets: the folders of data_pipelines."""
    return sorted(path.parent.name for path in Path(__file__).parent.glob("*/__init__.py"))


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
                _write(cache / "said.json", json.dumps(said))
                _write(cache / "splits.json", json.dumps(list(splits)))
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
    if not options.get(
        "dir"
    ):  # drawn, not read; or its own error says what it needs, where TFDS would look elsewhere
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
    classes = module.classes(options) if hasattr(module, "classes") else module.CLASSES
    au_names = module.au_names(options) if hasattr(module, "au_names") else module.AU_NAMES
    splits = {}
    for part, arrays in parts.items():
        order = np.argsort(np.asarray(arrays["id"], np.str_), kind="stable")
        arrays = {field: np.asarray(arrays[field])[order] for field in FIELDS}
        splits[part] = Split(name=f"{name}/{part}", classes=classes, au_names=au_names, **arrays)
    return splits


def print_check(name: str, folder: str) -> int:
    """Prints what a copy of a set holds, beside what was published, and what was passed over in it.

    Args:
      name: of a data set with a `check`.
      folder: the user's files.

    Returns:
      The exit status: 0, since a copy may well be a part of the set.

    Raises:
      BadInput: no such set, it has nothing to check, or the files cannot be read.
    """
    module = None if name == "npz" else data_set({"name": name})[0]
    if not hasattr(module, "check"):
        kind = "exported parts" if module is None else "made, not read from files"
        raise BadInput(f"data check {name}: {name} is {kind}; nothing was published to compare with")
    there = Path(folder).expanduser()
    if not folder or not (there.is_dir() or (there.is_file() and hasattr(module, "files"))):
        raise BadInput(f"data check {name}: --dir {folder!r} is no folder; name the one with your files")
    rows = module.check(folder)
    width = max(len(what) for what, _, _ in rows)
    print(f"{'':{width}}  {'found':>9}  {'published':>9}")
    for what, found, published in rows:
        differs = "  differs" if published not in (None, found) else ""
        print(
            f"{what:{width}}  {found:>9,}  {'' if published is None else format(published, ','):>9}{differs}"
        )
    gaps = getattr(module, "gaps", None)
    if gaps:
        print(*(gaps(folder) or ["nothing was passed over"]), sep="\n")
    return 0


def fingerprint(module, options: Mapping) -> str:
    """Hex digits that change with the source files (path, size, time), the options, and the reading code.

    The source files are those of the folder `dir` and below it, or what the set's `files(options)` lists.
    """
    digest = hashlib.sha256()
    read = {k: v for k, v in options.items() if k not in DIVIDING}
    digest.update(json.dumps(read, sort_keys=True).encode())
    for reader in (module, *getattr(module, "BUILT_ON", ())):
        for code in sorted(Path(reader.__file__).parent.glob("*.py")):
            digest.update(code.read_bytes())
    for code in ("labels.py", "faces.py", "pictures.py"):
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


def _write(path: Path, text: str) -> None:
    """Writes a small file, whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(text)
    os.replace(partial, path)


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


def _train_validation_test(options: Mapping, splits: Mapping[str, Split]) -> tuple:
    """The division of a set that has train, validation and test and no rule of its own."""
    del options
    any_part = next(iter(splits.values()))
    train, select, test = (
        splits.get(part, any_part.take(np.zeros(0, int), any_part.name.partition("/")[0] + f"/{part}"))
        for part in ("train", "validation", "test")
    )
    return train, select, test, "validation"


def _exclude(parts: Parts, no_blank: bool, duplicates: str) -> Parts:
    """Thins train and select as `load_parts` says, and adds a finding for each kind of exclusion."""
    train, select, found = parts.train, parts.select, list(parts.findings)
    if no_blank:
        drop = {"train": blank(train.image), "select": blank(select.image)}
        found += [
            f"excluded {rows.sum()} blank images from {part}" for part, rows in drop.items() if rows.any()
        ]
        train, select = train.take(~drop["train"]), select.take(~drop["select"])
    if duplicates == "across":
        in_select, in_test = hash_rows(select.image), hash_rows(parts.test.image)
        drop = {
            "train": np.isin(hash_rows(train.image), np.concatenate([in_select, in_test])),
            "select": np.isin(in_select, in_test),
        }
        found += [
            f"excluded {rows.sum()} images from {part} that are also on a later side"
            for part, rows in drop.items()
            if rows.any()
        ]
        train, select = train.take(~drop["train"]), select.take(~drop["select"])
    return parts._replace(train=train, select=select, findings=tuple(found))


# Parts that travel: to a machine without TensorFlow, or without the source files.


def export(parts: Parts, folder: str | os.PathLike) -> None:
    """Writes train.npz, select.npz, test.npz and parts.json; `data.name = npz` reads them from `data.dir`."""
    folder = Path(folder)
    for part in ("train", "select", "test"):
        getattr(parts, part).save(folder / f"{part}.npz")
    _write(
        folder / "parts.json",
        json.dumps(
            {"selection": parts.selection, "findings": parts.findings, "published": parts.published}, indent=1
        ),
    )


def read_exported(folder: str) -> Parts:
    """Reads what `export` wrote."""
    path = Path(folder).expanduser()
    if not folder or not path.is_dir():
        raise no_folder(folder, "train.npz, select.npz and test.npz")
    said = {"selection": "select.npz", "findings": (), "published": ""}
    if (path / "parts.json").exists():
        try:
            said |= json.loads((path / "parts.json").read_text())
        except (ValueError, TypeError) as error:
            raise BadInput(f"{path / 'parts.json'}: not readable ({error}); export the parts again") from None
    parts = [Split.load(path / f"{part}.npz") for part in ("train", "select", "test")]
    for part in parts[1:]:
        if (part.classes, part.au_names) != (parts[0].classes, parts[0].au_names):
            raise BadInput(f"{path}: {part.name} and {parts[0].name} name different classes or action units")
    return Parts(*parts, str(said["selection"]), tuple(said["findings"]), str(said["published"]))
