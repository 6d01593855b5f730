"""What the sets of micro-expressions have in common: CASME II, SMIC and SAMM, each a `rules.Scan`."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from data_pipelines import BadInput, clips, labels, pictures, rules
from data_pipelines.coding import Coding
from data_pipelines.divide import by_hash
from data_pipelines.manifest import source
from data_pipelines.manifest.table import Table
from data_pipelines.rules import Scan
from data_pipelines.split import Split

CROPS = ("auto", *pictures.CROPS)
TREES = ("auto", "cropped", "raw")


class ClipSet:
    """A set of micro-expressions: the functions that `arrays` and `clips` ask of a data set's folder.

    Such a folder says what is its own and takes the rest from here: `check = _set.check` and so on.

    Args:
      name: of the set.
      scan: checked options -> what is on disk, after the rules.
      defaults: OPTIONS.
      choices: option -> what it may be.
      published: checked options -> what -> how many, as published.
    """

    def __init__(
        self,
        name: str,
        scan: Callable[[Mapping], Scan],
        defaults: Mapping,
        choices: Mapping[str, Sequence[str]],
        published: Callable[[Mapping], Mapping[str, int]],
    ):
        self.name, self.scan, self.defaults, self.choices = name, scan, defaults, choices
        self.published = published

    def checked(self, options: Mapping) -> dict:
        """OPTIONS with the given ones filled in; BadInput where a value makes no sense."""
        return checked(options, self.defaults, self.choices)

    def _scan(self, options: Mapping) -> Scan:
        return self.scan(self.checked(options))

    def classes(self, options: Mapping) -> tuple[str, ...]:
        """Those of CLASSES that occur."""
        return self._scan(options).table.classes

    def au_names(self, options: Mapping) -> tuple[str, ...]:
        """The action units that are coded, by number."""
        return self._scan(options).table.au_names

    def files(self, options: Mapping) -> list:
        """What is read: the sheet, where there is one, and the frames."""
        return files(self._scan(options))

    def listing(self, options: Mapping) -> Table:
        """The set as a manifest's table, for `ferjax data manifest`."""
        return self._scan(options).table

    def crop(self, options: Mapping) -> str:
        """How frames are cut: `crop`, or what its auto comes to."""
        o = self.checked(options)
        return cut(self.scan(o), o)["crop"]

    def coding(self, options: Mapping) -> tuple[Coding, ...]:
        """What is coded of each clip that is read: phases after the rules, units with their sides."""
        return self._scan(options).codings

    def phases(self, options: Mapping) -> dict[str, tuple[int, int, int]]:
        """Clip -> frame numbers of its onset, apex (-1 unknown) and offset."""
        return self._scan(options).table.phases

    def arrays(self, options: Mapping) -> dict[str, dict]:
        """Reads the set.

        Returns:
          {"frames": image uint8 [n, size, size, 1], label int32 [n] (index into `classes(options)`; the
          clip's emotion), aus int8 [n, u] (-1 but at the apex, or where that is unknown at the frame in the
          middle of onset and offset), subject str [n] ("casme2-sub01"), id str [n]
          ("sub01/EP02_01f/000046")}.

        Raises:
          BadInput: an option that makes no sense, or files that cannot be read.
        """
        o = self.checked(options)
        found = self.scan(o)
        return {"frames": source.whole(found.table, cut(found, o))[0]}

    def parts(self, options: Mapping, splits: Mapping[str, Split]) -> tuple:
        """Single frames for `ferjax train`: onset, apex, offset, and neutral ends; see `parts`."""
        return parts(self.name, self._scan(options), splits)

    def findings(self, options: Mapping, splits: Mapping[str, Split]) -> list[str]:
        """What a user should know about the copy read, a line each."""
        o = self.checked(options)
        return findings(self.name, self.scan(o), splits, o, self.published(o))

    def check(self, folder: str) -> list[tuple[str, int, int | None]]:
        """Compares a user's copy with what was published: (what, found, published) rows."""
        o = self.checked({"dir": folder})
        return counts(self.scan(o), o, self.published(o))

    def gaps(self, folder: str) -> list[str]:
        """Every rule that applied to a user's copy, with the clips, a line each."""
        o = self.checked({"dir": folder})
        return gaps(self.name, self.scan(o), o)


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
