"""Split, one part of a data set in memory, and what can be done to one: files, subsets, hashes, sizes."""

import dataclasses
import functools
import hashlib
import json
import math
import os
import re
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_pipelines import BadInput, labels

FIELDS = ("image", "label", "aus", "subject", "id")
DAMAGED = (
    *(OSError, ValueError, KeyError, EOFError, TypeError, AttributeError, zipfile.BadZipFile, zlib.error),
    RuntimeError,  # of zipfile: a damaged header that names a compression, or an encryption, it does not know
)
"""What reading an npz file can raise that is cut off, damaged or not what it should be."""


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
      plain: S32 [n], `hash_rows` of the pictures before a saliency map was laid over them; None where `image`
        holds the pictures themselves.
      beside: so many of the last channels are maps and not picture.

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
    plain: np.ndarray | None = None
    beside: int = 0

    def __post_init__(self):  # noqa: D105
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
        if self.plain is not None and self.plain.shape != (n,):
            raise ValueError(f"{self.name}: plain is {self.plain.shape}, not {(n,)}")
        if n and not -1 <= self.label.min() <= self.label.max() < len(self.classes):
            raise ValueError(f"{self.name}: a label is not -1 to {len(self.classes) - 1}")
        if not np.isin(self.aus, labels.AU_CODES).all():
            raise ValueError(f"{self.name}: an AU code is none of -1, 0 to 5, 9")
        if len(np.unique(self.id)) != n:
            raise ValueError(f"{self.name}: ids repeat")

    def __len__(self) -> int:  # noqa: D105
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
    def pixels(self) -> np.ndarray:
        """S32 [n], see `hash_rows`: of the pictures, without what was laid over them."""
        return hash_rows(self.image) if self.plain is None else self.plain

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
        plain = None if self.plain is None else self.plain[rows]
        return dataclasses.replace(self, name=self.name if name is None else name, plain=plain, **arrays)

    def overlaid(self, image: np.ndarray) -> "Split":
        """The same rows with maps laid over their pictures, or beside them as further channels.

        Args:
          image: uint8 [n, h, w, c], with more channels where maps stand beside.
        """
        beside = image.shape[-1] - self.image.shape[-1]
        return dataclasses.replace(self, image=image, plain=self.pixels, beside=beside)

    @property
    def picture_shape(self) -> tuple[int, int, int]:
        """(h, w, c) of the pictures that `pixels` tells apart."""
        h, w, c = self.image.shape[1:]
        return h, w, c - self.beside

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
                    **({} if self.plain is None else {"plain": self.plain, "beside": self.beside}),
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
            with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
                return cls(
                    name=str(file["name"]),
                    classes=tuple(file["classes"].tolist()),
                    au_names=tuple(file["au_names"].tolist()),
                    **{field: file[field] for field in FIELDS},
                    plain=file.get("plain"),
                    beside=int(file["beside"]) if "beside" in file else 0,
                )
        except FileNotFoundError:
            raise BadInput(f"{path}: no such file; write it with ferjax data export") from None
        except DAMAGED as error:
            raise BadInput(f"{path}: not a readable Split ({error}); delete it and write it again") from None


class Parts(NamedTuple):
    """What an experiment trains on, selects its epoch with, and reports.

    Attributes:
      train: the network is fitted to these.
      select: the epoch, and every threshold, is chosen on these.
      test: reported, and seen by nothing that chooses.
      selection: what selects, in words: "PublicTest".
      findings: what a user should be told, a line each; `arrays.load_parts` logs them as warnings.
      published: names the division where its publisher made it; "" where it is ours.
    """

    train: Split
    select: Split
    test: Split
    selection: str
    findings: tuple[str, ...] = ()
    published: str = ""


def hash_rows(image: np.ndarray) -> np.ndarray:
    """S32 [n]: 128 bits in hex, the same for two images of [n, ...] just where their pixels are."""
    flat = np.ascontiguousarray(image).reshape(len(image), math.prod(image.shape[1:]))
    return np.array([hashlib.sha256(row.data).hexdigest()[:32] for row in flat], "S32")


def blank(image: np.ndarray) -> np.ndarray:
    """bool [n]: images, of [n, ...], that are one single value throughout."""
    flat = image.reshape(len(image), math.prod(image.shape[1:]))
    return (flat == flat[:, :1]).all(axis=1)


def known(split: Split) -> Split:
    """The rows whose label is known."""
    return split if (split.label >= 0).all() else split.take(split.label >= 0)


def join(name: str, splits: Sequence[Split]) -> Split:
    """Splits of one set, one after the other.

    Raises:
      ValueError: classes, action units or sizes differ, or an id is in two of them.
    """
    first = splits[0]
    for other in splits[1:]:
        same = [(s.classes, s.au_names, s.image.shape[1:]) for s in (first, other)]
        if same[0] != same[1]:
            raise ValueError(f"{other.name} and {first.name} differ in classes, action units or size")
    arrays = {field: np.concatenate([getattr(s, field) for s in splits]) for field in FIELDS}
    laid = any(s.plain is not None for s in splits)
    plain = np.concatenate([s.pixels for s in splits]) if laid else None
    return dataclasses.replace(first, name=name, plain=plain, **arrays)


def shuffle_labels(split: Split, seed: int) -> Split:
    """The known labels permuted among their images: the classes' counts stay, what they mean goes."""
    rows = np.flatnonzero(split.label >= 0)
    label = split.label.copy()
    label[rows] = np.random.default_rng(seed).permutation(label[rows])
    return dataclasses.replace(split, label=label)


def clips(ids: Sequence[str] | np.ndarray) -> np.ndarray:
    """The clip of each frame, str [n], "smile1" of "smile1/000012"; of what is no such frame, its own id."""
    return np.array([re.sub(r"/\d{6,}$", "", str(name)) for name in ids], np.str_)


def together(split: Split, sequences: Callable = clips) -> list[bytes]:
    """What must not be torn apart, a key a row: the subject where known, else the clip, else the pixels.

    Args:
      split: n rows.
      sequences: ids -> clips, as a data set's `sequences`; an id that is its own clip (or "") is of none.
    Returns:
      [n]; a clip's and an image's key begin with a zero byte, so that no subject can be named alike.
    """
    pixels = split.pixels.tolist()
    of = sequences(split.id).tolist()
    keys = []
    for who, clip, name, same in zip(split.subject.tolist(), of, split.id.tolist(), pixels, strict=True):
        other = b"\0clip " + clip.encode() if clip not in ("", name) else b"\0" + same
        keys.append(who.encode() if who else other)
    return keys


def split_tenth(split: Split) -> tuple[Split, Split]:
    """Divides a part into nine tenths and a tenth by a hash, the same on every machine and in every run.

    What is hashed is the subject where known, else the clip ("<clip>/<frame number of six digits or more>"),
    else the pixels: neither a subject nor a clip nor copies of one image ever come to lie on both sides.

    Returns:
      (nine tenths, tenth).
    """
    keys = [key.removeprefix(b"\0") for key in together(split)]
    digests = [hashlib.sha256(b"ferjax tenth " + key).digest() for key in keys]
    tenth = np.array([int.from_bytes(digest[:8], "big") % 10 == 0 for digest in digests], bool)
    return split.take(~tenth, f"{split.name}[9/10]"), split.take(tenth, f"{split.name}[1/10]")


def stratified(split: Split, n: int) -> np.ndarray:
    """Rows of a subset that has the classes in proportion, chosen by the hashes of the ids.

    Returns:
      int [min(n, len(split))], sorted.
    """
    order = np.array([hashlib.sha256(name.encode()).hexdigest()[:16] for name in split.id.tolist()], "S16")
    place = np.empty(len(split))
    for label in np.unique(split.label):
        rows = np.flatnonzero(split.label == label)
        place[rows[np.argsort(order[rows], kind="stable")]] = (np.arange(len(rows)) + 0.5) / len(rows)
    return np.sort(np.lexsort((order, place))[:n])


def resize(split: Split, size: int) -> Split:
    """Images at size x size by Pillow's bilinear filter, which antialiases; as they are if they fit."""
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


def duplicates(splits: Mapping[str, Mapping]) -> dict:
    """Counts groups of images that are the same pixel for pixel.

    Args:
      splits: part -> {"image": uint8 [n, ...], "label": int [n], ...}.

    Returns:
      {"groups": groups of two or more, "conflicting": those with several labels, "rows": images in groups,
      "across": {(part, part): groups that lie in both}}.
    """
    names = list(splits)
    hashes = np.concatenate([hash_rows(splits[name]["image"]) for name in names])
    label = np.concatenate([splits[name]["label"] for name in names])
    part = np.concatenate([np.full(len(splits[name]["label"]), 1 << i) for i, name in enumerate(names)])
    _, group, size = np.unique(hashes, return_inverse=True, return_counts=True)
    lowest, highest = np.full(len(size), np.iinfo(np.int64).max), np.full(len(size), -1)
    np.minimum.at(lowest, group, label)
    np.maximum.at(highest, group, label)
    where = np.zeros(len(size), np.int64)
    np.bitwise_or.at(where, group, part)
    pairs = [(i, j) for i in range(len(names)) for j in range(i + 1, len(names))]
    return {
        "groups": int((size > 1).sum()),
        "conflicting": int(((size > 1) & (lowest != highest)).sum()),
        "rows": int(size[size > 1].sum()),
        "across": {
            (names[i], names[j]): int(((where & (1 << i) > 0) & (where & (1 << j) > 0)).sum())
            for i, j in pairs
        },
    }
