"""A Table of pictures and clips -> arrays; which have no face, and what a user should be told."""

import functools
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from data_pipelines import BadInput, labels, pictures
from data_pipelines.divide import by_hash
from data_pipelines.manifest.table import Row, Table, codes
from data_pipelines.split import Split, hash_rows, split_tenth

log = logging.getLogger(__name__)

LISTED = 20  # names in a finding; `ferjax data check` lists all


def checked(options: Mapping, defaults: Mapping, crops: Sequence[str] = pictures.CROPS) -> dict:
    """The options of a set of pictures, filled in.

    Args:
      options: as given.
      defaults: all of the set's.
      crops: what `crop` may be.
    Raises:
      BadInput: a value that makes no sense.
    """
    o = {**defaults, **options}
    size = o["image_size"]
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or not 8 <= size <= 1024:
        raise BadInput(f"data.options.image_size: {size!r} is not a whole number from 8 to 1024")
    for key, words in (("crop", crops), ("undetected", ("leave_out", "fail"))):
        if o[key] not in words:
            raise BadInput(f"data.options.{key}: {o[key]!r} is not known; write {' or '.join(words)}")
    if not isinstance(o.get("colour", False), bool):
        raise BadInput(f"data.options.colour: {o['colour']!r} is not known; write True or False")
    return o


def read(table: Table, options: Mapping) -> dict[str, dict]:
    """Reads all pictures of a table and divides them into parts.

    Args:
      table: as `table.read` gives it.
      options: crop, image_size, undetected, colour.
    Returns:
      "train", "validation", "test", those that have rows -> as `whole`.
    Raises:
      BadInput: as `whole`; or subjects, clips or pictures too few to be divided.
    """
    arrays, rows = whole(table, options)
    part = _parts(table, rows, arrays["image"])
    return {
        name: {field: values[part == name] for field, values in arrays.items()}
        for name in ("train", "validation", "test")
        if (part == name).any()
    }


def whole(table: Table, options: Mapping) -> tuple[dict[str, np.ndarray], list[Row]]:
    """Reads all pictures of a table; the frames of a clip are cut alike.

    Args:
      table: as `table.read` gives it.
      options: crop, image_size, undetected, and where the set has it colour.
    Returns:
      (image uint8 [n, size, size, c], label int32 [n] (index into table.classes; -1 unknown), aus int8
      [n, u], subject str [n], id str [n]; the rows [n]). Pictures without a face, and clips without one
      in their first, apex or middle, and last frame, are left out; a warning counts how faces were found.
    Raises:
      BadInput: a picture that cannot be read; no face in it, with undetected = "fail"; no face in any; a
        clip with frames of several sizes.
    """
    size, n = options["image_size"], len(table.rows)
    channels = pictures.channels(options)
    image, kept, how = np.empty((n, size, size, channels), np.uint8), [], Counter()
    looked = _look(table, options["crop"], size, channels == 3)
    for place, (row, seen) in enumerate(zip(table.rows, looked, strict=True)):
        if seen.pixels is None and options["undetected"] == "fail":
            what = f"clip {row.clip}, looked for in three frames" if row.clip else row.path
            raise BadInput(
                f"{table.source} row {row.number}: no face is found in {what}; delete the row, or set "
                "data.options.undetected=leave_out, or data.options.crop=none if the pictures are crops "
                "already"
            )
        how[seen.how] += 1
        if seen.pixels is not None:
            image[place] = seen.pixels.reshape(size, size, channels)
            kept.append(place)
    if not kept:
        raise BadInput(
            f"{table.source}: no face is found in any of {n} pictures, such as {table.rows[0].path}; set "
            "data.options.crop=none if they are crops already"
        )
    if options["crop"] == "detect":
        log.warning("%s: %s", table.source, how_found(how))
    keep = np.array(kept)
    rows = [table.rows[place] for place in kept]
    index = {name: number for number, name in enumerate(table.classes)}
    arrays = {
        "image": image[keep] if len(kept) < n else image,
        "label": np.array([index.get(row.label, -1) for row in rows], np.int32),
        "aus": codes(table)[keep],
        "subject": np.array(
            [row.subject and options.get("prefix", "") + row.subject for row in rows], np.str_
        ),
        "id": np.array([row.id for row in rows], np.str_),
    }
    return arrays, rows


def _look(table: Table, crop: str, size: int, colour: bool = False) -> Iterator[pictures.Looked]:
    """What is in each picture, in the rows' order; BadInput where one cannot be read."""
    found = clip_places(table, crop)
    placed = [found.get(row.clip) if row.clip else None for row in table.rows]
    paths, facing = [row.path for row in table.rows], [row.facing for row in table.rows]
    what = table.source.name
    looked = pictures.look_at_all(paths, crop, size, what, placed=placed, colour=colour, facing=facing)
    for row, seen in zip(table.rows, looked, strict=True):
        if seen.problem:
            raise BadInput(f"{table.source} row {row.number}: {seen.problem}")
        yield seen


def clip_places(table: Table, crop: str) -> dict[str, pictures.Placed]:
    """Clip -> where its face is; at most three frames of each are decoded.

    Raises:
      BadInput: one of them cannot be read.
    """
    frames: dict[str, list[Row]] = {}
    for row in table.rows:
        if row.clip:
            frames.setdefault(row.clip, []).append(row)
    clips = []
    for rows in frames.values():
        rows.sort(key=lambda row: row.frame)
        at = {row.frame: place for place, row in enumerate(rows)}
        clips.append(([row.path for row in rows], at.get(rows[0].phase[1], -1)))
    found = pictures.look_at_clips(clips, crop, f"{table.source.name}'s faces")
    placed = dict(zip(frames, found, strict=True))
    for clip, place in placed.items():
        if place.problem:
            raise BadInput(f"{table.source} row {frames[clip][place.at].number}: {place.problem}")
    return placed


def how_found(how: Mapping[str, int]) -> str:
    """In words, how many faces each detector found."""
    ways = [f"{n} {way}" for way, n in sorted(how.items(), key=lambda pair: (-pair[1], pair[0])) if way]
    found = sum(n for way, n in how.items() if way)
    without = f"; {how['']} without a face" if how.get("") else ""
    return f"faces found in {found} of {sum(how.values())} pictures ({', '.join(ways) or 'none'}){without}"


def _parts(table: Table, rows, image: np.ndarray) -> np.ndarray:
    """str [n] the part of each row: as the table says, else by hash of subject, clip, or pixels."""
    if rows[0].split:
        return np.array([row.split for row in rows])
    pixels = iter(hash_rows(image).tolist())
    keys = []
    for row, digest in zip(rows, pixels, strict=True):
        known = f"subject {row.subject}" if row.subject else f"clip {row.clip}" if row.clip else ""
        keys.append(known or digest.decode())
    try:
        return by_hash(keys)
    except ValueError:
        what = "subjects" if rows[0].subject else "different pictures"
        raise BadInput(
            f"{table.source}: {len(set(keys))} {what} cannot be divided into train, validation and test; "
            "fill the column split, or give more"
        ) from None


def parts(table: Table, splits: Mapping[str, Split]) -> tuple:
    """Train, select and test; without rows for validation a hashed tenth of train selects.

    With rows for test alone train and select are empty: a network from elsewhere can report on such a set.

    Rows of which neither the emotion nor an action unit is known are left out.

    Returns:
      (train, select, test, selection), the last in words.
    Raises:
      BadInput: no rows for test.
    """
    if "test" not in splits:
        raise BadInput(
            f"{table.source}: no picture of the part test, so nothing can be reported; fill the column "
            "split, or leave it empty in every row"
        )
    kept = {}
    for name, split in splits.items():
        useful = (split.label >= 0) | (split.aus != labels.AU_UNKNOWN).any(1)
        kept[name] = split if useful.all() else split.take(useful)
    nothing = kept["test"].take(np.zeros(0, int), kept["test"].name.replace("/test", "/train"))
    if "train" not in kept:
        return nothing, kept.get("validation", nothing), kept["test"], "nothing: no rows for train"
    if "validation" in kept:
        how = "validation" if table.rows[0].split else "validation, divided by hash"
        return kept["train"], kept["validation"], kept["test"], how
    train, tenth = split_tenth(kept["train"])
    return train, tenth, kept["test"], "a hashed tenth of train (no rows for validation)"


# What a user is told.


def findings(table: Table, splits: Mapping[str, Split], options: Mapping, name: str) -> list[str]:
    """What a user should know about the pictures read, a line each.

    Args:
      table: of the set.
      splits: what was read of it.
      options: of the set.
      name: of the set.
    """
    return [*of_table(table, name), *left_out(table, splits, options, name)]


def left_out(table: Table, splits: Mapping[str, Split], options: Mapping, name: str) -> list[str]:
    """A line on the pictures and clips that were not read, having no face."""
    read = {key for split in splits.values() for key in split.id.tolist()}
    lost = [row for row in table.rows if row.id not in read]
    if options["crop"] != "detect" or not lost:
        return []
    return [f"{name}: no face found, left out: {len(lost)} of {len(table.rows)} ({listed(_named(lost))})"]


def _named(rows: Sequence[Row]) -> list[str]:
    """Pictures by their ids; of clips how many frames."""
    frames = Counter(row.clip for row in rows if row.clip)
    names = dict.fromkeys(row.clip or row.id for row in rows)
    return [f"{name} ({frames[name]} frames)" if name in frames else name for name in names]


def listed(names: Sequence[str], most: int = LISTED) -> str:
    """Names in a line, the first of them where there are many."""
    more = f", and {len(names) - most} more: ferjax data check lists all" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def of_table(table: Table, name: str) -> list[str]:
    """What the table alone tells."""
    found = []
    if table.unknown:
        found.append(f"{name}: columns that mean nothing here, passed over: {', '.join(table.unknown)}")
    n = len(table.rows)
    found += _of_clips(table, name)
    without = sum(not row.label for row in table.rows)
    if without:
        found.append(f"{name}: {without} of {n} pictures have no emotion")
    nobody = sum(not row.subject for row in table.rows)
    divided = not table.rows[0].split
    if nobody:
        more = ", so one person's may be in several parts" if divided else ""
        found.append(f"{name}: {nobody} of {n} pictures have no subject{more}")
    if divided:
        by = (
            "subject"
            if not nobody
            else "pixels"
            if nobody == n
            else "subject where it is known, else by pixels"
        )
        found.append(
            f"{name}: divided by hash of the {by} into train, validation and test, about 70, 10 and 20 in 100"
        )
    return found


def _of_clips(table: Table, name: str) -> list[str]:
    """What is odd about the phases of a table's clips, and subjects with a single one."""
    frames, owner = {}, {}
    for row in table.rows:
        if row.clip:
            frames.setdefault(row.clip, []).append(row.frame)
            owner[row.clip] = row.subject
    phases = table.phases
    blank = [clip for clip, phase in phases.items() if phase[1] < 0]
    odd = []
    for clip, phase in phases.items():
        known = [n for n in phase if n >= 0]
        if known != sorted(known) or not set(known) <= set(frames[clip]):
            odd.append(clip)
    alone = [who for who, n in sorted(Counter(owner.values()).items()) if n == 1 and who]
    lines = {
        "clips without an apex, which is unknown": blank,
        "clips whose onset, apex or offset is not among their frames or not in order, unusable as clips": odd,
        "subjects with a single clip": alone,
    }
    return [f"{name}: {what}: {len(names)} ({listed(names)})" for what, names in lines.items() if names]


def counts(table: Table, options: Mapping) -> list[tuple[str, int, None]]:
    """(what, found, None) rows for `ferjax data check`; looks for every face if options say so."""
    rows = table.rows
    out = [("pictures", len(rows)), ("subjects", len({row.subject for row in rows} - {""}))]
    out.append(("clips", len({row.clip for row in rows} - {""})))
    out += [(f"{part} pictures", n) for part, n in sorted(Counter(row.split for row in rows).items()) if part]
    out += [(name, sum(row.label == name for row in rows)) for name in table.classes]
    out.append(("pictures without an emotion", sum(not row.label for row in rows)))
    present = (codes(table) > 0).sum(0).tolist()
    out += [(f"pictures with {name}", n) for name, n in zip(table.au_names, present, strict=True)]
    how = Counter(detected(table, options["crop"], options["image_size"]))
    if options["crop"] == "detect":
        out += [(f"faces found: {way}", n) for way, n in sorted(how.items()) if way]
        out.append(("pictures without a face", how[""]))
    return [(what, n, None) for what, n in out]


@functools.lru_cache(maxsize=1)
def detected(table: Table, crop: str, size: int) -> tuple[str, ...]:
    """[n] `Looked.how` of every picture; BadInput where one cannot be read."""
    return tuple(seen.how for seen in _look(table, crop, size))


def gaps(table: Table, options: Mapping, name: str) -> list[str]:
    """Lines for `ferjax data check`: what the table tells, and every picture without a face."""
    how = detected(table, options["crop"], options["image_size"])
    lost = [row for row, way in zip(table.rows, how, strict=True) if not way]
    told = [f"{name}: no face found: {len(lost)} ({listed(_named(lost), len(lost))})"] if lost else []
    return of_table(table, name) + told
