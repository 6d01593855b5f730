"""What a user should know about a copy of CK+: counts beside the published ones, and what was passed over."""

from collections.abc import Mapping, Sequence

import numpy as np

from data_pipelines import faces, labels
from data_pipelines.ck_plus import layout, source, tables
from data_pipelines.split import Split


def counts(tree: layout.Tree) -> list[tuple[str, int, int | None]]:
    """(what, found, published) rows; published is None where nothing was, or nothing is sure."""
    emotion = {s.name: tables.read_emotion(s.emotion[1]) for s in tree.sequences if s.emotion}
    emotion = {name: found for name, found in emotion.items() if found is not None}
    facs = [tables.read_facs(s.facs[1]) for s in tree.sequences if s.facs]
    facs = [listed for listed in facs if listed is not None]
    found = {
        "sequences": len(tree.sequences),
        "subjects": len({s.subject for s in tree.sequences}),
        "sequences with an emotion": len(emotion),
        "subjects with an emotion": len({name.partition("/")[0] for name in emotion}),
        "sequences with FACS codes": len(facs),
    }
    rows = [(what, n, tables.PUBLISHED[what]) for what, n in found.items()]
    for name in source.CLASSES:
        n, published = sum(shown == name for shown in emotion.values()), tables.PUBLISHED_EMOTIONS.get(name)
        if n or published:
            rows.append((name, n, published))
    rows.append(("frames", sum(len(s.frames) for s in tree.sequences), None))
    rows.append(("sequences without landmarks", sum(not s.landmarks for s in tree.sequences), None))
    for unit in sorted({unit for listed in facs for unit in listed}):
        rows.append(
            (f"last frames with {labels.au_name(unit)}", sum(unit in listed for listed in facs), None)
        )
    return rows


def findings(options: Mapping, split: Split) -> list[str]:
    """A line for each count that is not the published one, and for each kind of thing passed over or amended.

    Args:
      options: all of `ck_plus.OPTIONS`.
      split: the rows read.
    """
    tree = layout.scan(options["dir"])
    found = []
    differ = [row for row in counts(tree) if row[2] is not None and row[1] != row[2]]
    found += [
        f"ck_plus: {n} {what}, published {told}" for what, n, told in differ if what in tables.PUBLISHED
    ]
    emotions = [f"{what} {n}, published {told}" for what, n, told in differ if what in source.CLASSES]
    if emotions:
        found.append(f"ck_plus: sequences of an emotion: {'; '.join(emotions)}")
    return found + passed_over(tree, options) + _of_faces(tree, options, split)


def passed_over(tree: layout.Tree, options: Mapping) -> list[str]:
    """A line for each kind of file or label that is missing, junk, or not used as is; decodes no frame."""
    found: list[str] = []
    for role, without in (("emotion", "nothing has a label"), ("facs", "no action unit is known")):
        if role not in tree.roles:
            found.append(f"ck_plus: no {layout.ROLES[role][0]} files here; {without}")
    if tree.junk:
        found.append(f"ck_plus: {tree.junk} junk files passed over (.DS_Store and the like)")
    found += _tell("files of other names, passed over", tree.strange)
    found += _tell("sequences with labels, codes or landmarks and no frame, left out", tree.without_frames)
    return found + _of_labels(tree, options)


def _tell(what: str, names: Sequence[str]) -> list[str]:
    """One line with the first three names; none where there are none."""
    more = ", ..." if len(names) > 3 else ""
    return [f"ck_plus: {what}: {len(names)} ({', '.join(names[:3])}{more})"] if names else []


def _of_labels(tree: layout.Tree, options: Mapping) -> list[str]:
    """What is odd about labels and codes."""
    empty, early, other, short = [], [], {}, []
    for s in tree.sequences:
        last = s.frames[-1][0]
        for file, read in ((s.emotion, tables.read_emotion), (s.facs, tables.read_facs)):
            if file and read(file[1]) is None:
                empty.append(file[1].name)
            if file and file[0] != last:
                early.append(file[1].name)
        for unit in (s.facs and tables.read_facs(s.facs[1])) or ():
            if labels.au_name(unit) not in tables.AU_NAMES:
                other.setdefault(labels.au_name(unit), []).append(s.name)
        labelled = s.emotion and tables.read_emotion(s.emotion[1]) is not None
        if labelled and len(s.frames) < options["last_frames"] + bool(options["first_neutral"]):
            short.append(s.name)
    found = _tell("empty files of emotions or codes, taken as not there", empty)
    found += _tell(
        "files of emotions or codes of another frame than the last on disk, used for that one", early
    )
    for name, where in sorted(other.items()):
        found += _tell(f"sequences with {name}, which has no column and is left out", where)
    return found + _tell(
        "sequences with an emotion and fewer frames than asked for, which give what they have", short
    )


def _of_faces(tree: layout.Tree, options: Mapping, split: Split) -> list[str]:
    """How faces were found where a frame has no landmarks.

    A crop tells by its pixels whether it is the square in the middle: what was read may come from the cache.
    """
    rows = source.choose(tree, options)
    found = _tell(
        "frames without landmarks, placed by those of the nearest frame",
        [r.id for r in rows if r.sequence.landmarks and r.frame not in r.sequence.landmarks],
    )
    last = {r.sequence.name: r for r in rows if not r.sequence.landmarks}
    found += _tell("sequences without landmarks, whose faces the detector looked for", list(last))
    place = {name: row for row, name in enumerate(split.id.tolist())}
    middle = []
    for name, row in last.items():
        picture = faces.read_grey(row.path)
        size = split.image.shape[1]
        crop = faces.warp(picture, faces.centred(*picture.shape, size), size)
        if row.id in place and np.array_equal(crop, split.image[place[row.id], :, :, 0]):
            middle.append(name)
    return found + _tell("sequences in which no face was found, cut from the middle of the frame", middle)
