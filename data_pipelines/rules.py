"""Codings and folders of frames -> a manifest's Table, by rules that all have a name.

Copies of CASME II, SMIC and SAMM hold rows and files that do not fit. Nothing of that is dropped or changed
silently: every rule of RULES that applies to a clip is told, by its name, with the clip.
"""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from data_pipelines import BadInput, coding, labels
from data_pipelines.coding import Coding
from data_pipelines.manifest.table import Row, Table
from data_pipelines.recordings import Folder, Found

RULES = {
    "no_onset": "no onset is coded: the first frame is taken",
    "no_apex": "no apex is coded: it is unknown",
    "no_offset": "no offset is coded: the last frame is taken",
    "apex_in_middle": "the set codes no apex: the frame in the middle is taken",
    "apex_at_onset": "the apex is the onset frame: kept",
    "apex_outside": "the apex is not between onset and offset: it is unknown",
    "onset_before_start": "the onset is before the first frame on disk, which is taken",
    "offset_past_end": "the offset is past the last frame on disk, which is taken",
    "offset_before_onset": "the offset is before the onset: the last frame on disk is taken",
    "elsewhere": "none of the frames from onset to offset is on disk: left out",
    "gap": "frames are missing in the middle: kept; an onset, apex or offset there is the nearest on disk",
    "one_frame": "fewer than two frames from onset to offset: left out",
    "missing_folder": "a row of the sheet without a folder: left out",
    "folder_without_row": "a folder that no row of the sheet is of: left out",
    "repeated_row": "a second row of one clip: left out",
    "odd_name": "a name unlike the set's others: its folder is found as written",
    "no_units": "no action units are coded: all are unknown",
    "uncertain_au": "a unit with a question mark counts as present; of alternatives all are unknown",
    "unread_au": "not an action unit: passed over",
    "no_emotion": "no emotion is coded: the label is unknown",
    "one_clip": "a subject with a single clip",
}
"""Rule -> what it finds, and what is done."""


class Told(NamedTuple):
    """A rule that applied.

    Attributes:
      rule: one of RULES.
      clip: "sub01/EP02_01f", or the subject.
      words: what exactly; may be empty.
    """

    rule: str
    clip: str
    words: str = ""


class Scan(NamedTuple):
    """A set of clips as it lies on disk, after the rules.

    Attributes:
      table: every frame of the clips that are kept.
      codings: of these, as used, in the order of their names.
      told: every rule that applied.
      tree: the folder of subjects.
      cropped: whether its pictures are crops of faces.
      junk: number of junk files passed over.
      strange: files that are no frames.
      rows: of the sheet.
    """

    table: Table
    codings: tuple[Coding, ...]
    told: tuple[Told, ...]
    tree: Path
    cropped: bool
    junk: int
    strange: tuple[str, ...]
    rows: int


def settle(row: Coding, numbers: Sequence[int]) -> tuple[Coding | None, list[Told]]:
    """A clip's onset, apex and offset among the frames on disk.

    Args:
      row: as coded.
      numbers: of the frames on disk, in order.
    Returns:
      (the coding with onset, apex and offset that are on disk and in order, the apex perhaps -1, or None
      where the clip is left out; the rules that applied).
    """
    told = []

    def tell(rule: str, words: str = ""):
        told.append(Told(rule, row.clip, words))

    if len(numbers) < 2:
        tell("one_frame", f"{len(numbers)} on disk")
        return None, told
    first, last = numbers[0], numbers[-1]
    onset, apex, offset = row.onset, row.apex, row.offset
    if onset < 0:
        tell("no_onset")
        onset = first
    if offset < 0:
        tell("no_offset")
        offset = last
    elif offset < onset:
        tell("offset_before_onset", f"{offset} before {onset}")
        offset = last
    if onset > last or offset < first:
        tell("elsewhere", f"{onset} to {offset}; on disk {first} to {last}")
        return None, told
    if onset < first:
        tell("onset_before_start", f"{onset}; the first is {first}")
        onset = first
    if offset > last:
        tell("offset_past_end", f"{offset}; the last is {last}")
        offset = last
    if apex < 0:
        tell("no_apex")
    elif not onset <= apex <= offset:
        tell("apex_outside", f"{apex}; {onset} to {offset}")
        apex = -1
    elif apex == onset:
        tell("apex_at_onset", f"{apex}")
    absent = sorted(set(range(first, last + 1)) - set(numbers))
    if absent:
        near = {n: min(numbers, key=lambda k: (abs(k - n), k)) for n in (onset, apex, offset) if n >= 0}
        moved = (
            (name, n) for name, n in (("onset", onset), ("apex", apex), ("offset", offset)) if n in absent
        )
        words = "".join(f"; {name} {n} is now {near[n]}" for name, n in moved)
        tell("gap", _runs(absent) + words)
        onset, offset = near[onset], near[offset]
        apex = near[apex] if apex >= 0 else -1
    if onset == offset:
        tell("one_frame", f"onset and offset are both {onset}")
        return None, told
    return row._replace(onset=onset, apex=apex, offset=offset), told


def _runs(numbers: Sequence[int]) -> str:
    """Numbers in words: "4, 7-9"."""
    runs = []
    for n in numbers:
        if runs and runs[-1][1] == n - 1:
            runs[-1][1] = n
        else:
            runs.append([n, n])
    return ", ".join(f"{a}-{b}" if b > a else f"{a}" for a, b in runs)


def assemble(
    source: Path,
    rows: Sequence[Coding],
    found: Found,
    *,
    tree: Path,
    prefix: str,
    fps: float,
    cropped: bool,
    usual: str = ".*",
    told: Sequence[Told] = (),
) -> Scan:
    """The table of a set: the rows of its sheet, and their frames on disk.

    Args:
      source: the sheet, or the folder, which errors name.
      rows: as coded.
      found: the clips on disk.
      tree: their folder.
      prefix: of subjects' names, such as "casme2-".
      fps: frames a second.
      cropped: whether the frames are crops of faces.
      usual: what a clip's name looks like, without its subject, a regular expression.
      told: rules that applied before.
    Raises:
      BadInput: no clip is left.
    """
    told, kept = list(told), {}
    without = set(found.clips)
    numbers = sorted({unit.number for row in rows for unit in row.units or ()})
    for row in rows:
        if row.clip not in found.clips:
            told.append(Told("missing_folder", row.clip, f"row {row.row}"))
            continue
        if row.clip not in without:
            told.append(Told("repeated_row", row.clip, f"row {row.row}"))
            continue
        without.discard(row.clip)
        if not re.fullmatch(usual, row.clip.partition("/")[2]):
            told.append(Told("odd_name", row.clip))
        settled, more = settle(row, [n for n, _ in found.clips[row.clip].frames])
        told += more
        if settled:
            kept[row.clip] = settled
            told += _of_labels(row, bool(numbers))
    if not kept:
        said = ", ".join(sorted({t.rule for t in told})) or "no row"
        example = f"; the first: {told[0].clip} {told[0].words}".rstrip() if told else ""
        raise BadInput(f"{source}: no clip is left of {len(rows)}, with frames in {tree} ({said}{example})")
    told += [Told("folder_without_row", name) for name in sorted(without)]
    people = Counter(row.subject for row in kept.values())
    told += [Told("one_clip", who) for who, n in sorted(people.items()) if n == 1]
    settled = tuple(kept[name] for name in sorted(kept))
    lines = [line for row in settled for line in _lines(row, found.clips[row.clip], prefix, numbers)]
    names = tuple(labels.au_name(n) for n in numbers)
    table = Table(source, tuple(lines), names, (), float(fps))
    return Scan(table, settled, tuple(told), tree, cropped, found.junk, found.strange, len(rows))


def _of_labels(row: Coding, coded: bool) -> list[Told]:
    """What is odd about a clip's action units and emotion."""
    told = [] if row.units or not coded else [Told("no_units", row.clip)]
    doubted = [unit.text for unit in row.units or () if not unit.certain and not unit.either]
    choice = [unit.text for unit in row.units or () if unit.either]
    words = [f"{', '.join(doubted)} present"] if doubted else []
    words += [f"{' or '.join(choice)} unknown"] if choice else []
    if words:
        told.append(Told("uncertain_au", row.clip, "; ".join(words)))
    if row.unread:
        told.append(Told("unread_au", row.clip, ", ".join(map(repr, row.unread))))
    return told if row.emotion else [*told, Told("no_emotion", row.clip)]


def coded_frame(row: Coding, numbers: Sequence[int]) -> int:
    """The frame that has a clip's action units: its apex, or where that is unknown the one in the middle."""
    if row.apex >= 0:
        return row.apex
    inside = [n for n in numbers if row.onset <= n <= row.offset]
    return inside[(len(inside) - 1) // 2]


def _lines(row: Coding, clip: Folder, prefix: str, numbers: Sequence[int]) -> list[Row]:
    """A manifest's rows for a clip's frames."""
    at = coded_frame(row, [n for n, _ in clip.frames])
    units, unknown = coding.codes(row.units, numbers), coding.codes(None, numbers)
    phase, subject = (row.onset, row.apex, row.offset), prefix + row.subject
    return [
        Row(
            row.row,
            path,
            f"{row.clip}/{n:06d}",
            row.emotion,
            subject,
            "",
            row.clip,
            units if n == at else unknown,
            phase,
        )
        for n, path in clip.frames
    ]
