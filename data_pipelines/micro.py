"""What the sets of micro-expressions have in common: CASME II, SMIC and SAMM, each a `rules.Scan`."""

from collections import Counter
from collections.abc import Mapping, Sequence

from data_pipelines import BadInput, clips, labels, pictures, rules
from data_pipelines.divide import by_hash
from data_pipelines.manifest import source
from data_pipelines.rules import Scan
from data_pipelines.split import Split

CROPS = ("auto", *pictures.CROPS)
TREES = ("auto", "cropped", "raw")


def checked(options: Mapping, defaults: Mapping, choices: Mapping[str, Sequence[str]]) -> dict:
    """The options of such a set, filled in.

    Args:
      options: as given.
      defaults: all of the set's.
      choices: option -> what it may be.
    Raises:
      BadInput: a value that makes no sense.
    """
    o = source.checked(options, defaults, CROPS)
    for key, words in choices.items():
        if o[key] not in words:
            raise BadInput(f"data.options.{key}: {o[key]!r} is not known; write {', '.join(words)}")
    return o


def cut(scan: Scan, options: Mapping) -> dict:
    """The options with `crop` decided: auto is none for a tree of crops, and detect for others."""
    crop = options["crop"]
    auto = "none" if scan.cropped else "detect"
    return {**options, "crop": auto if crop == "auto" else crop}


def arrays(scan: Scan, options: Mapping) -> dict[str, dict]:
    """Reads all frames as one part, "frames"; see `manifest.source.whole`.

    Every frame has its clip's emotion; action units are known at the apex alone, or where that is unknown
    at the frame in the middle of onset and offset.
    """
    return {"frames": source.whole(scan.table, cut(scan, options))[0]}


def parts(name: str, scan: Scan, splits: Mapping[str, Split]) -> tuple:
    """The single frames that train, select and are reported; subjects are divided by hash.

    From each clip onset, apex and offset show its emotion, and the first and the last frame are neutral; see
    `clips.key_frames`. "neutral" is the last of the classes. A manifest of the same set divides its subjects
    alike.

    Returns:
      (train, select, test, selection), the last in words.
    Raises:
      BadInput: fewer than three subjects.
    """
    made = clips.of_frames(splits["frames"], scan.table.phases, scan.table.fps)
    keys = clips.key_frames(made, near=0)
    keys = keys.take((keys.label >= 0) | (keys.aus != labels.AU_UNKNOWN).any(1))
    try:
        part = by_hash([f"subject {who}" for who in keys.subject.tolist()])
    except ValueError:
        raise BadInput(
            f"{scan.table.source}: {len(keys.subjects)} subjects cannot be divided into train, validation "
            "and test; give more, or report on each subject in turn"
        ) from None
    sides = [keys.take(part == p, f"{name}/key frames[{p}]") for p in ("train", "validation", "test")]
    return *sides, "validation, divided by hash of the subject"


# What a user is told.


def findings(
    name: str, scan: Scan, splits: Mapping[str, Split], options: Mapping, published: Mapping[str, int]
) -> list[str]:
    """A line for each count that is not the published one, and for each rule that applied.

    Args:
      name: of the set.
      scan: of the copy.
      splits: what was read of it.
      options: of the set.
      published: what -> how many.
    """
    found = _counted(scan)
    off = {what: n for what, n in published.items() if found.get(what, 0) != n}
    differ = [f"{found.get(what, 0)} {what}, published {n}" for what, n in off.items()]
    lines = [f"{name}: {'; '.join(differ)}"] if differ else []
    lines += told(name, scan)
    return [*lines, *source.left_out(scan.table, splits, cut(scan, options), name)]


def told(name: str, scan: Scan, most: int = source.LISTED) -> list[str]:
    """A line for each rule that applied, naming the clips, and one for what was passed over."""
    lines = []
    for rule, words in rules.RULES.items():
        met = [f"{t.clip}: {t.words}" if t.words else t.clip for t in scan.told if t.rule == rule]
        if met:
            lines.append(f"{name}: {rule} ({words}): {len(met)} ({source.listed(met, most)})")
    if scan.junk:
        lines.append(f"{name}: {scan.junk} junk files passed over (.DS_Store and the like)")
    if scan.strange:
        shown = source.listed(scan.strange, most)
        lines.append(f"{name}: files that are no frames, passed over: {len(scan.strange)} ({shown})")
    return lines


def _counted(scan: Scan) -> dict[str, int]:
    """What -> how many, of the clips that are kept."""
    emotions = Counter(row.emotion for row in scan.codings)
    return {
        "clips": len(scan.codings),
        "subjects": len({row.subject for row in scan.codings}),
        **{name: emotions[name] for name in labels.CLASSES if emotions[name]},
    }


def counts(scan: Scan, options: Mapping, published: Mapping[str, int]) -> list[tuple[str, int, int | None]]:
    """(what, found, published) rows for `ferjax data check`; decodes at most three frames of a clip."""
    found = _counted(scan)
    what = dict.fromkeys([*published, *found])
    out = [(name, found.get(name, 0), published.get(name)) for name in what]
    out += [("rows of the sheet", scan.rows, None), ("frames", len(scan.table.rows), None)]
    for name in scan.table.au_names:
        number = labels.au_number(name)
        shown = (any(u.number == number and not u.either for u in row.units or ()) for row in scan.codings)
        out.append((f"clips with {name}", sum(shown), None))
    if scan.table.au_names:
        one_sided = (any(u.side for u in row.units or ()) for row in scan.codings)
        out.append(("clips with a one-sided unit", sum(one_sided), None))
    crop = cut(scan, options)["crop"]
    placed = source.clip_places(scan.table, crop)
    if crop == "detect":
        out += [("clips without a face", sum(p.found is None for p in placed.values()), None)]
    return out


def gaps(name: str, scan: Scan, options: Mapping) -> list[str]:
    """Lines for `ferjax data check`: every rule that applied with every clip, and clips without a face."""
    lines = [f"{name}: looked at {scan.tree}", *told(name, scan, len(scan.told) + len(scan.strange))]
    crop = cut(scan, options)["crop"]
    if crop == "detect":
        placed = source.clip_places(scan.table, crop)
        lost = [clip for clip, place in placed.items() if place.found is None]
        lines += [f"{name}: clips without a face: {len(lost)} ({', '.join(lost)})"] if lost else []
    return lines


def files(scan: Scan) -> list:
    """What is read: the sheet, where there is one, and the frames."""
    first = [scan.table.source] if scan.table.source.is_file() else []
    return [*first, *(row.path for row in scan.table.rows)]
