"""From the config's `data` to an experiment's parts: read, divided, mapped, thinned, checked for leaks."""

import importlib
import importlib.util
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from data_pipelines import BadInput, divide, exported, leaks, prepared, saliency_input
from data_pipelines.manifest import table
from data_pipelines.split import Parts, Split, blank, clips, hash_rows, resize, shuffle_labels, stratified

__all__ = ["DEFAULTS", "Parts", "Split", "data_set", "load_parts", "names", "print_check", "write_manifest"]

log = logging.getLogger(__name__)


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
    "saliency": {},  # maps laid over the pictures; see saliency_input.DEFAULTS
}
"""What `load_parts` takes where the config does not say."""


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
        saliency: what is laid over the pictures at the end, see `saliency_input`.

      need: the parts that must have images; a set that is only reported may lack the others. Maps of saliency
        are laid over these parts alone.

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
    sequences = clips
    if data["name"] == "npz":
        parts = exported.read(data["dir"])
    else:
        module, options = data_set(data)
        splits = prepared.load_splits(module, options, data["cache_dir"])
        tell = getattr(module, "findings", None)
        found = tuple(tell(options, splits)) if tell else ()
        sequences = getattr(module, "sequences", clips)
        own = getattr(module, "parts", _train_validation_test)
        divided = own(options, splits)
        parts = Parts(**divided) if isinstance(divided, Mapping) else Parts(*divided)
        published = parts.published or getattr(module, "PUBLISHED", "")
        parts = parts._replace(findings=found + parts.findings, published=published)
    if data["kfolds"]:
        parts = divide.by_fold(parts, int(data["kfolds"]), int(data["kfold"]), sequences)
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
    return saliency_input.weighted(parts._replace(**done), data["saliency"], need)


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


def look_as(data, shape: tuple[int, int, int]) -> None:
    """Makes a config's `data` give the pictures that a network takes: their size, and colour or grey.

    Args:
      data: a ConfigDict; of a set that has no choice of colours only the size is changed.
      shape: [h, w, c] of the network's input; c = 2 or 4 is grey or colour with a map beside.
    """
    data.image_size = shape[0]
    if data.name != "npz" and "colour" in data_set({"name": data.name})[0].OPTIONS:
        data.options.colour = shape[2] >= 3


def names() -> list[str]:
    """The data sets: folders of data_pipelines with a builder (SALICON, without labels, has none)."""
    return sorted(path.parent.name for path in Path(__file__).parent.glob("*/builder.py"))


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


def write_manifest(
    name: str, folder: str, out: str = "", force: bool = False, given: Sequence[str] = ()
) -> str:
    """Writes a set that has a `listing` as a manifest, which a user can read, mend and add to.

    Args:
      name: of the set, such as "casme2".
      folder: the user's files.
      out: the CSV; "" is manifest.csv in the folder.
      force: whether a file that is there is overwritten.
      given: options of the set, "tree=raw".
    Returns:
      One line: what was written, and how it is read.
    Raises:
      BadInput: no such set or option, files that cannot be read, or a CSV that is there.
    """
    module = None if name == "npz" else data_set({"name": name})[0]
    if not hasattr(module, "listing"):
        can = [n for n in names() if hasattr(importlib.import_module(f"data_pipelines.{n}"), "listing")]
        raise BadInput(f"data manifest {name}: only {', '.join(can)} can be written as a manifest")
    options = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals:
            raise BadInput(f"--option {text}: write NAME=VALUE, as in tree=raw")
        options[key] = value
    _, options = data_set({"name": name, "dir": folder, "options": options})
    path = Path(out or Path(folder, table.NAME)).expanduser()
    if path.is_dir():
        path /= table.NAME
    found = module.listing(options)
    if path.exists() and not force:
        raise BadInput(f"{path} is there already; name another by --out, or overwrite it by --force")
    table.write(found, path)
    crop = module.crop(options)
    return (
        f"{len(found.rows)} frames of {len(found.phases)} clips are in {path}; data.name=manifest, "
        f"data.dir={path}, data.options.crop={crop} reads them; ferjax data check {name} tells what was left "
        "out"
    )


def _train_validation_test(options: Mapping, splits: Mapping[str, Split]) -> tuple:
    """The division of a set that has train, validation and test and no rule of its own."""
    del options
    return splits["train"], splits["validation"], splits["test"], "validation"


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
