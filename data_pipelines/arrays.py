"""From a user's files to arrays: Split, the three parts of an experiment, and the cache between. No TensorFlow here
unless it is installed, and then only inside functions.
"""

import dataclasses
import functools
import hashlib
import importlib
import importlib.util
import json
import logging
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_pipelines import BadInput

log = logging.getLogger(__name__)

FIELDS = ("image", "label", "aus", "subject", "id")


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """One part of a data set, in memory.

    Attributes:
      name: such as "fer2013/train".
      image: uint8 [n, h, w, c].
      label: int32 [n], index into `classes`; -1 unknown.
      aus: int8 [n, u], codes of `labels.AU_CODES`; u may be 0.
      subject: str [n] (numpy unicode), "" where the set does not say.
      id: str [n] (numpy unicode), unique; names the user's file or row.
      classes: k names.
      au_names: u names, "AU01" and so on.

    Raises:
      ValueError: a shape, type or value is not as above.
    """

    name: str
    image: np.ndarray
    label: np.ndarray
    aus: np.ndarray
    subject: np.ndarray
    id: np.ndarray
    classes: tuple[str, ...]
    au_names: tuple[str, ...]

    def __post_init__(self):
        set_ = functools.partial(object.__setattr__, self)
        set_("classes", tuple(str(name) for name in self.classes))
        set_("au_names", tuple(str(name) for name in self.au_names))
        for field, kind in (("label", np.int32), ("aus", np.int8), ("subject", np.str_), ("id", np.str_)):
            set_(field, np.asarray(getattr(self, field)).astype(kind, copy=False))
        n = len(self.image)
        if self.image.dtype != np.uint8 or self.image.ndim != 4:
            raise ValueError(
                f"{self.name}: image is {self.image.dtype} {self.image.shape}, not uint8 [n, h, w, c]"
            )
        for field, shape in (
            ("label", (n,)),
            ("aus", (n, len(self.au_names))),
            ("subject", (n,)),
            ("id", (n,)),
        ):
            if getattr(self, field).shape != shape:
                raise ValueError(f"{self.name}: {field} is {getattr(self, field).shape}, not {shape}")
        if n and not -1 <= self.label.min() <= self.label.max() < len(self.classes):
            raise ValueError(f"{self.name}: a label is not -1 to {len(self.classes) - 1}")
        if not np.isin(self.aus, (-1, 0, 1, 2, 3, 4, 5, 9)).all():
            raise ValueError(f"{self.name}: an AU code is none of -1, 0 to 5, 9")
        if len(np.unique(self.id)) != n:
            raise ValueError(f"{self.name}: ids repeat")

    def __len__(self) -> int:
        return len(self.image)

    @functools.cached_property
    def hash(self) -> str:
        """Sha256 over ids, labels (with the names they index) and pixels, hex."""
        digest = hashlib.sha256()
        digest.update(json.dumps([self.classes, self.au_names, self.image.shape]).encode())
        digest.update("\n".join(self.id.tolist()).encode())
        for field in (self.label, self.aus, self.image):
            digest.update(np.ascontiguousarray(field).data)
        return digest.hexdigest()

    @functools.cached_property
    def subjects(self) -> tuple[str, ...]:
        """Names of the subjects, sorted; `subject_code` indexes them."""
        return tuple(name for name in np.unique(self.subject).tolist() if name)

    @functools.cached_property
    def subject_code(self) -> np.ndarray:
        """int32 [n]: index into `subjects`; -1 where the set does not say."""
        code = {name: number for number, name in enumerate(self.subjects)}
        return np.array([code.get(name, -1) for name in self.subject.tolist()], np.int32)

    def take(self, rows: np.ndarray, name: str | None = None) -> "Split":
        """The given rows, in that order, as a Split.

        Args:
          rows: int [m] or bool [n].
          name: of the new Split; the same unless given.
        """
        arrays = {field: getattr(self, field)[rows] for field in FIELDS}
        return dataclasses.replace(self, name=self.name if name is None else name, **arrays)

    def save(self, path: str | os.PathLike) -> None:
        """Writes a .npz, whole or not at all (a temporary file beside it, renamed)."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez(
                    file,
                    name=np.str_(self.name),
                    classes=np.array(self.classes, np.str_),
                    au_names=np.array(self.au_names, np.str_),
                    **{field: getattr(self, field) for field in FIELDS},
                )
            os.replace(partial, path)
        except BaseException:
            Path(partial).unlink(missing_ok=True)
            raise

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Split":
        """Reads what `save` wrote; never unpickles.

        Raises:
          BadInput: no such file, damaged, or not written by `save`.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                return cls(
                    name=str(file["name"]),
                    classes=tuple(file["classes"].tolist()),
                    au_names=tuple(file["au_names"].tolist()),
                    **{field: file[field] for field in FIELDS},
                )
        except FileNotFoundError:
            raise BadInput(f"{path}: no such file; write it with data_pipelines.arrays.export") from None
        except (OSError, ValueError, KeyError, EOFError, TypeError, AttributeError) as error:
            raise BadInput(f"{path}: not a readable Split ({error}); delete it and write it again") from None
        except (zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
            raise BadInput(f"{path}: damaged ({error}); delete it and write it again") from None


class Parts(NamedTuple):
    """What an experiment trains on, selects its epoch with, and reports; `findings` is what a user should be told."""

    train: Split
    select: Split
    test: Split
    selection: str
    findings: tuple[str, ...] = ()


DEFAULTS = {
    "name": "facsynth",  # a folder of data_pipelines, or npz
    "dir": "",  # the user's files
    "cache_dir": "",  # "" is ~/.cache/ferjax
    "image_size": 0,  # pixels; 0 keeps the set's own
    "options": {},  # see OPTIONS of data_pipelines/<name>
    "labels": "",  # "" is the set's own
    "select": "auto",
    "exclude_blank": False,  # leave out images of one single grey value
    "exclude_duplicates": "none",  # or across
    "limit": 0,  # images per part; 0 is all
}
"""What `load_parts` takes where the config does not say."""


def load_parts(data: Mapping) -> Parts:
    """Reads a data set and divides it; the second time from the cache.

    Args:
      data: the config's `data`, with any of the keys of DEFAULTS (others are not looked at):
        exclude_blank: leaves out images of one single value, in train and select.
        exclude_duplicates: "across" leaves out of train what is, pixel for pixel, also in select or test, and out of
          select what is also in test. The reported part is never thinned.
        limit: so many images per part, classes in proportion, chosen by the hash of the id.

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
        parts = _read_exported(data["dir"])
    else:
        module, options = data_set(data)
        splits = load_splits(module, options, data["cache_dir"])
        tell = getattr(module, "findings", None)
        found = tuple(tell(options, splits)) if tell else ()
        divide = getattr(module, "parts", _train_validation_test)
        divided = divide(options, splits)
        parts = Parts(**divided) if isinstance(divided, Mapping) else Parts(*divided)
        parts = parts._replace(findings=found + parts.findings)
    parts = _exclude(parts, data["exclude_blank"], data["exclude_duplicates"])
    size, limit = int(data["image_size"]), int(data["limit"])
    done = {}
    for part in ("train", "select", "test"):
        split = getattr(parts, part)
        if limit:
            split = split.take(stratified(split, limit))
        if not len(split):
            raise BadInput(
                f"data: no image is left in {part} ({split.name}); check data.dir and the exclusions"
            )
        done[part] = resize(split, size) if size else split
    for line in parts.findings:
        log.warning("%s", line)
    return parts._replace(**done)


def data_set(data: Mapping) -> tuple:
    """The module of the set named in the config, and its options, filled in and checked.

    Args:
      data: the config's `data`. `data.options.<key>` must be in the set's OPTIONS; `data.dir`, `data.labels` and
        `data.select` become options too, where the set has one of that name.

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
    for key in ("dir", "labels", "select"):
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
      BadInput: the source cannot be read.
    """
    name = module.__name__.rpartition(".")[2]
    cache = Path(cache_dir or "~/.cache/ferjax").expanduser() / name / fingerprint(module, options)
    listing = cache / "splits.json"
    try:
        split_names = json.loads(listing.read_text())
        return {part: Split.load(cache / f"{part}.npz") for part in split_names}
    except FileNotFoundError:
        pass
    except ValueError as error:  # BadInput, or damaged JSON
        log.warning("the cache %s is damaged and is built again (%s)", cache, error)
    classes = module.classes(options) if hasattr(module, "classes") else module.CLASSES
    au_names = tuple(module.AU_NAMES)
    splits = {}
    try:
        tensorflow()
        import tensorflow_datasets  # noqa: F401
    except ImportError as error:
        log.info("reading %s without TensorFlow (%s)", name, error)
        parts = module.arrays(options)
    else:
        parts = _through_tfds(module, options, cache / "tfds")
    for part, arrays in parts.items():
        order = np.argsort(np.asarray(arrays["id"], np.str_), kind="stable")
        arrays = {field: np.asarray(arrays[field])[order] for field in FIELDS}
        splits[part] = Split(name=f"{name}/{part}", classes=classes, au_names=au_names, **arrays)
    try:
        for part, split in splits.items():
            split.save(cache / f"{part}.npz")
        _write(listing, json.dumps(list(splits)))
    except OSError as error:
        raise BadInput(
            f"data.cache_dir: cannot write {cache} ({error.strerror}); name another folder"
        ) from None
    return splits


def fingerprint(module, options: Mapping) -> str:
    """Hex digits that change with the source files (path, size, time), the options, and the code that reads them."""
    digest = hashlib.sha256()
    digest.update(json.dumps({k: v for k, v in options.items() if k != "select"}, sort_keys=True).encode())
    for code in sorted(Path(module.__file__).parent.glob("*.py")):
        digest.update(code.read_bytes())
    digest.update((Path(__file__).parent / "labels.py").read_bytes())
    if options.get("dir"):
        for line in sorted(_listing(Path(options["dir"]).expanduser())):
            digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:16]


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

    builder = importlib.import_module(f"{module.__name__}.builder").Builder(
        data_dir=str(folder), options=options
    )
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=options.get("dir") or None)
    )
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
    return splits["train"], splits["validation"], splits["test"], "validation"


# What becomes of the parts.


def pixel_hashes(split: Split) -> np.ndarray:
    """S32 [n]: 128 bits in hex that are the same for two images just where their pixels are."""
    flat = np.ascontiguousarray(split.image).reshape(len(split), -1)
    return np.array([hashlib.sha256(row.data).digest()[:16].hex() for row in flat], "S32")


def blank(split: Split) -> np.ndarray:
    """bool [n]: images of one single value."""
    flat = split.image.reshape(len(split), -1)
    return (flat == flat[:, :1]).all(axis=1)


def known(split: Split) -> Split:
    """The rows whose label is known."""
    return split if (split.label >= 0).all() else split.take(split.label >= 0)


def split_tenth(split: Split) -> tuple[Split, Split]:
    """Divides a part into nine tenths and a tenth by a hash, the same on every machine and in every run.

    What is hashed is the subject where known, else the pixels: neither a subject nor copies of one image ever come
    to lie on both sides.

    Returns:
      (nine tenths, tenth).
    """
    by_pixels = pixel_hashes(split)
    keys = [
        subject.encode() if subject else pixels
        for subject, pixels in zip(split.subject.tolist(), by_pixels.tolist(), strict=True)
    ]
    digests = [hashlib.sha256(b"ferjax tenth " + key).digest() for key in keys]
    tenth = np.array([int.from_bytes(digest[:8], "big") % 10 == 0 for digest in digests], bool)
    return split.take(~tenth, f"{split.name}[9/10]"), split.take(tenth, f"{split.name}[1/10]")


def stratified(split: Split, n: int) -> np.ndarray:
    """int [min(n, len(split))]: rows of a subset with the classes in proportion, sorted; chosen by the ids' hashes."""
    order = np.array([hashlib.sha256(name.encode()).hexdigest()[:16] for name in split.id.tolist()], "S16")
    place = np.empty(len(split))
    for label in np.unique(split.label):
        rows = np.flatnonzero(split.label == label)
        place[rows[np.argsort(order[rows], kind="stable")]] = (np.arange(len(rows)) + 0.5) / len(rows)
    return np.sort(np.lexsort((order, place))[:n])


def resize(split: Split, size: int) -> Split:
    """Images at size x size pixels: bilinear, with Pillow's antialiasing when shrinking; as they are if they fit."""
    from PIL import Image

    n, h, w, c = split.image.shape
    if (h, w) == (size, size):
        return split
    image = np.empty((n, size, size, c), np.uint8)
    for row in range(n):
        for channel in range(c):
            plane = Image.fromarray(split.image[row, :, :, channel])
            image[row, :, :, channel] = plane.resize((size, size), Image.Resampling.BILINEAR)
    return dataclasses.replace(split, image=image)


def _exclude(parts: Parts, no_blank: bool, duplicates: str) -> Parts:
    """Thins train and select as `load_parts` says, and adds a finding for each kind of exclusion."""
    train, select, found = parts.train, parts.select, list(parts.findings)
    if no_blank:
        drop = {"train": blank(train), "select": blank(select)}
        found += [
            f"excluded {rows.sum()} blank images from {part}" for part, rows in drop.items() if rows.any()
        ]
        train, select = train.take(~drop["train"]), select.take(~drop["select"])
    if duplicates == "across":
        in_select, in_test = pixel_hashes(select), pixel_hashes(parts.test)
        drop = {
            "train": np.isin(pixel_hashes(train), np.concatenate([in_select, in_test])),
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
    """Writes train.npz, select.npz, test.npz and parts.json; `data.name = npz` with `data.dir` reads them back."""
    folder = Path(folder)
    for part in ("train", "select", "test"):
        getattr(parts, part).save(folder / f"{part}.npz")
    _write(
        folder / "parts.json",
        json.dumps({"selection": parts.selection, "findings": parts.findings}, indent=1),
    )


def _read_exported(folder: str) -> Parts:
    """Reads what `export` wrote."""
    path = Path(folder).expanduser()
    if not folder or not path.is_dir():
        raise BadInput(
            f"data.dir: {folder!r} is no folder; name the one with train.npz, select.npz and test.npz"
        )
    said = {"selection": "select.npz", "findings": ()}
    if (path / "parts.json").exists():
        try:
            said |= json.loads((path / "parts.json").read_text())
        except (ValueError, TypeError) as error:
            raise BadInput(f"{path / 'parts.json'}: not readable ({error}); export the parts again") from None
    parts = [Split.load(path / f"{part}.npz") for part in ("train", "select", "test")]
    for part in parts[1:]:
        if (part.classes, part.au_names) != (parts[0].classes, parts[0].au_names):
            raise BadInput(f"{path}: {part.name} and {parts[0].name} name different classes or action units")
    return Parts(*parts, str(said["selection"]), tuple(said["findings"]))
