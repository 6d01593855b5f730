"""Sets of clips: frames in order, with onset, apex and offset; cut, sampled in time, and as single frames.

A data set that has clips names its frames "<clip>/<frame number, six digits or more>", labels every frame
with its clip's emotion, codes its apex with the clip's action units, and has, beside what docs/data.md asks
of any set,

    phases(options) -> {clip: (onset, apex, offset)}   # frame numbers; apex -1 where unknown
    FPS                                                # frames a second, or fps(options)

Axis letters: n clips, m frames of all clips, t time, h w c image, u action units.
"""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping, Sequence

import numpy as np

from data_pipelines import BadInput, arrays, labels, prepared
from data_pipelines.split import Split, join

SAMPLINGS = ("resample", "interpolate", "pad")


@dataclasses.dataclass(frozen=True, eq=False)
class Clips:
    """Clips in memory.

    Attributes:
      name: such as "casme2".
      image: uint8 [m, h, w, c], the frames of all clips, one clip after the other, in order.
      number: int32 [m], frame numbers as in the files' names.
      start: int64 [n + 1]; the frames of clip i are start[i] to start[i + 1].
      label: int32 [n], index into `classes`.
      aus: int8 [n, u], codes of `labels.AU_CODES`, at the apex.
      subject: str [n].
      id: str [n], unique.
      onset: int32 [n], place within the clip's frames, from 0.
      apex: int32 [n]; -1 unknown.
      offset: int32 [n]; the last frame of the expression.
      fps: frames a second.
      classes: k names.
      au_names: u names.
    """

    name: str
    image: np.ndarray
    number: np.ndarray
    start: np.ndarray
    label: np.ndarray
    aus: np.ndarray
    subject: np.ndarray
    id: np.ndarray
    onset: np.ndarray
    apex: np.ndarray
    offset: np.ndarray
    fps: float
    classes: tuple[str, ...]
    au_names: tuple[str, ...]

    def __len__(self) -> int:  # noqa: D105
        return len(self.label)

    def frames(self, i: int) -> np.ndarray:
        """uint8 [t, h, w, c] of clip i."""
        return self.image[self.start[i] : self.start[i + 1]]

    @property
    def subjects(self) -> tuple[str, ...]:
        """Names of the subjects, sorted."""
        return tuple(np.unique(self.subject).tolist())

    @functools.cached_property
    def hash(self) -> str:
        """Sha256 over everything but the name, hex."""
        digest = hashlib.sha256()
        said = [
            self.classes,
            self.au_names,
            self.image.shape,
            self.fps,
            self.id.tolist(),
            self.subject.tolist(),
        ]
        digest.update(json.dumps(said).encode())
        for field in ("start", "number", "label", "aus", "onset", "apex", "offset", "image"):
            digest.update(np.ascontiguousarray(getattr(self, field)).data)
        return digest.hexdigest()

    def take(self, rows) -> "Clips":
        """Some clips, int [r] or bool [n], in that order."""
        rows = np.arange(len(self))[rows]
        spans = [np.arange(self.start[i], self.start[i + 1]) for i in rows]
        of = np.concatenate([np.zeros(0, np.int64), *spans]).astype(np.int64)
        length = [len(span) for span in spans]
        each = {f: getattr(self, f)[rows] for f in PER_CLIP}
        return dataclasses.replace(
            self, image=self.image[of], number=self.number[of], start=np.cumsum([0, *length]), **each
        )


PER_CLIP = ("label", "aus", "subject", "id", "onset", "apex", "offset")


def load(data: Mapping) -> tuple[Clips, tuple[str, ...]]:
    """Reads a set of clips, through the same cache as its single frames.

    Args:
      data: a config's `data`; `name`, `dir`, `options`, `cache_dir`, `image_size`, `map` and `classes` are
        looked at.
    Returns:
      the clips with a known label, sorted by id; findings, a line each.
    Raises:
      BadInput: a set without clips, or files that cannot be read.
    """
    data = {**arrays.DEFAULTS, **data}
    module, options = arrays.data_set(data)
    if not hasattr(module, "phases"):
        raise BadInput(f"data.name: {data['name']} has single pictures and no clips")
    splits = prepared.load_splits(module, options, data["cache_dir"])
    whole = join(str(data["name"]), list(splits.values()))
    fps = module.fps(options) if hasattr(module, "fps") else module.FPS
    clips = of_frames(whole, module.phases(options), fps)
    tell = getattr(module, "findings", None)
    found = tuple(tell(options, splits)) if tell else ()
    if (clips.label < 0).any():
        found += (f"{clips.name}: clips without a known emotion, left out: {int((clips.label < 0).sum())}",)
        clips = clips.take(clips.label >= 0)
    clips, told = relabel(clips, data["map"], data["classes"])
    if not len(clips):
        raise BadInput(f"{clips.name}: no clip is left; check data.dir, data.map and data.classes")
    return clips, found + told


def of_frames(split: Split, phases: Mapping[str, tuple[int, int, int]], fps: float) -> Clips:
    """Frames whose ids are "<clip>/<number>", as clips.

    Frames outside any clip (single pictures of a manifest) are left out. A clip without phases begins with
    its first frame and ends with its last, and its apex is unknown.

    Args:
      split: the frames.
      phases: clip -> frame numbers of onset, apex and offset; -1 unknown.
      fps: frames a second.
    Raises:
      BadInput: frames of one clip with several subjects or emotions, an apex or onset that is not among its
        frames.
    """
    names = split.id.tolist()
    parts = [name.rpartition("/") for name in names]
    inside = [
        row for row, (clip, _, number) in enumerate(parts) if clip and len(number) >= 6 and number.isdecimal()
    ]
    inside.sort(key=lambda row: (parts[row][0], int(parts[row][2])))
    number = np.array([int(parts[row][2]) for row in inside], np.int32)
    clip = [parts[row][0] for row in inside]
    first = [i for i, name in enumerate(clip) if i == 0 or clip[i - 1] != name]
    start = np.array([*first, len(clip)], np.int64)
    rows = np.array(inside, int)
    ids = [clip[i] for i in first]
    label, subject, place, aus = [], [], [], []
    for i, name in enumerate(ids):
        at = rows[start[i] : start[i + 1]]
        for what, value in (("subjects", split.subject[at]), ("emotions", split.label[at])):
            if len(np.unique(value)) > 1:
                raise BadInput(f"{split.name}: clip {name} has frames of several {what}; name clips apart")
        label.append(split.label[at[0]])
        subject.append(split.subject[at[0]])
        where = _places(split.name, name, number[start[i] : start[i + 1]], phases.get(name, (-1, -1, -1)))
        place.append(where)
        known = (split.aus[at] != labels.AU_UNKNOWN).any(1)
        coded = at[where[1]] if where[1] >= 0 else at[int(known.argmax())]
        aus.append(split.aus[coded])
    onset, apex, offset = np.array(place, np.int32).reshape(-1, 3).T
    return Clips(
        name=split.name,
        image=split.image[rows],
        number=number,
        start=start,
        label=np.array(label, np.int32),
        aus=np.array(aus, np.int8).reshape(len(ids), len(split.au_names)),
        subject=np.array(subject, np.str_),
        id=np.array(ids, np.str_),
        onset=onset,
        apex=apex,
        offset=offset,
        fps=float(fps),
        classes=split.classes,
        au_names=split.au_names,
    )


def _places(what: str, clip: str, number: np.ndarray, phase: tuple[int, int, int]) -> tuple[int, int, int]:
    """Frame numbers as places among a clip's frames."""
    at = {n: place for place, n in enumerate(number.tolist())}
    onset, apex, offset = phase
    onset, offset = (onset if onset >= 0 else number[0]), (offset if offset >= 0 else number[-1])
    for name, n in (("onset", onset), ("apex", apex), ("offset", offset)):
        if n >= 0 and int(n) not in at:
            gaps = "" if len(number) == number[-1] - number[0] + 1 else ", with gaps"
            raise BadInput(
                f"{what}: clip {clip}: its {name} is frame {n}, and its frames are {number[0]} to "
                f"{number[-1]}{gaps}; mend the table or the folder"
            )
    if offset < onset or (apex >= 0 and not onset <= apex <= offset):
        raise BadInput(f"{what}: clip {clip}: onset {onset}, apex {apex}, offset {offset} are not in order")
    return at[int(onset)], at[int(apex)] if apex >= 0 else -1, at[int(offset)]


def relabel(clips: Clips, mapping: str, classes: str) -> tuple[Clips, tuple[str, ...]]:
    """Clips with their emotions mapped by name, and only some of them kept; see `divide.relabel`."""
    if not mapping and not classes:
        return clips, ()
    table = labels.label_map(mapping)
    have = labels.mapped_classes(clips.classes, table)
    wanted = tuple(labels.class_name(word) for word in classes.split(",") if word.strip()) or have
    absent = [name for name in wanted if name not in have]
    if absent or len(set(wanted)) < len(wanted):
        raise BadInput(
            f"data.classes: {absent[0] if absent else classes} is not among {', '.join(have)}, each once"
        )
    label = labels.map_labels(clips.label, [table.get(name, name) for name in clips.classes], wanted)
    gone = [f"{n} clips of {name}" for name, n in _counts(clips, label < 0).items()]
    renamed = [f"{old} as {new}" for old, new in table.items() if new and old in clips.classes]
    words = [", ".join(renamed) or "none renamed", f"left out: {', '.join(gone) or 'nothing'}"]
    told = f"{clips.name}: emotions by name: {'; '.join(words)}"
    kept = dataclasses.replace(clips, label=label, classes=wanted).take(label >= 0)
    return kept, (told,)


def _counts(clips: Clips, rows: np.ndarray) -> dict[str, int]:
    """How many of the given clips are of each class that occurs in them."""
    n = np.bincount(clips.label[rows], minlength=len(clips.classes))
    return {name: int(k) for name, k in zip(clips.classes, n, strict=True) if k}


def joined(name: str, sets: Mapping[str, Clips]) -> Clips:
    """Several sets as one; subjects and clips begin with their set's name, once.

    The classes are those that occur in any set, in the order of `labels.CLASSES`; action units those of all
    sets, unknown where a set does not code them.

    Raises:
      BadInput: sets of different frame sizes.
    """
    shapes = {key: c.image.shape[1:] for key, c in sets.items()}
    if len(set(shapes.values())) > 1:
        raise BadInput(f"{name}: frames differ in size, {shapes}; set data.image_size alike")
    classes = tuple(k for k in labels.CLASSES if any(k in c.classes for c in sets.values()))
    units = sorted({u for c in sets.values() for u in c.au_names})
    out = {"image": [], "number": [], **{f: [] for f in PER_CLIP}}
    length = []
    for key, c in sets.items():
        column = {u: j for j, u in enumerate(c.au_names)}
        aus = np.full((len(c), len(units)), labels.AU_UNKNOWN, np.int8)
        for j, u in enumerate(units):
            if u in column:
                aus[:, j] = c.aus[:, column[u]]
        values = {f: getattr(c, f) for f in ("image", "number", "onset", "apex", "offset")}
        values |= {"label": labels.map_labels(c.label, c.classes, classes), "aus": aus}
        values["id"] = np.char.add(f"{key}-", c.id)
        named = np.char.startswith(c.subject, f"{key}-")  # so that a subject has one name, joined or not
        values["subject"] = np.where(named, c.subject, np.char.add(f"{key}-", c.subject))
        for f, value in values.items():
            out[f].append(value)
        length += np.diff(c.start).tolist()
    whole = {f: np.concatenate(v) for f, v in out.items()}
    fps = min(c.fps for c in sets.values())
    return Clips(
        name=name, start=np.cumsum([0, *length]), fps=fps, classes=classes, au_names=tuple(units), **whole
    )


def positions(clips: Clips, sampling: str, length: int, stride: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Which frames of each clip, from its onset to its offset, make a sequence of fixed length.

    Args:
      clips: n of them.
      sampling: "resample": `length` frames, evenly spaced, both ends among them, each the nearest one;
        "interpolate": at the same places, between two frames their mixture (as Pfister et al. 2011
        interpolate in time, linearly here); "pad": every stride-th frame as it is, the rest masked.
      length: t.
      stride: of "pad".
    Returns:
      (place float64 [n, t], within the clip's frames; mask bool [n, t], False where there is none).
    Raises:
      BadInput: an unknown sampling, or with "pad" a clip that is longer.
    """
    if sampling not in SAMPLINGS:
        raise BadInput(f"clip.sampling is {sampling!r}; write {', '.join(SAMPLINGS)}")
    place, mask = np.zeros((len(clips), length)), np.ones((len(clips), length), bool)
    for i, (a, b) in enumerate(zip(clips.onset.tolist(), clips.offset.tolist(), strict=True)):
        if sampling == "pad":
            at = np.arange(a, b + 1, stride)
            if len(at) > length:
                raise BadInput(
                    f"{clips.name}: clip {clips.id[i]} has {len(at)} frames from onset to offset at a "
                    f"stride of {stride}; "
                    f"clip.length is {length}: raise it, or clip.stride"
                )
            place[i, : len(at)], mask[i, len(at) :] = at, False
            place[i, len(at) :] = at[-1]
        else:
            at = np.linspace(a, b, length)
            place[i] = np.rint(at) if sampling == "resample" else at
    return place, mask


def frames_at(frames: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Frames [t, h, w, c] uint8 at places [s], between two frames their mixture: uint8 [s, h, w, c]."""
    low = np.floor(place).astype(int)
    share = (place - low)[:, None, None, None]
    if not share.any():
        return frames[low]
    high = np.minimum(low + 1, len(frames) - 1)
    mixed = (1 - share) * frames[low] + share * frames[high]
    return np.rint(mixed).astype(np.uint8)


def key_frames(clips: Clips, near: int = 0, step: int = 1, neutral: str = "neutral") -> Split:
    """What a frame network learns from: the apex shows the emotion, first and last frame are neutral.

    Breuer & Kimmel 2017 train on onset, apex, offset and the clip's first and last frame, the latter as
    neutral. Where the clip is cut at onset and offset these are its first and last frame; in a longer
    recording onset and offset, of which the coder saw the expression begin and end, count as the emotion.

    Args:
      clips: n of them; a clip of unknown apex gives the frame in the middle of onset and offset.
      near: so many frames on either side of the apex show the emotion too (within onset and offset).
      step: between these.
      neutral: the name of the class of first and last frames; "" leaves them out.
    Returns:
      Split with the clips' classes and `neutral`; ids "<clip>/<number>"; units known at the apex alone.
    """
    classes = tuple(dict.fromkeys((*clips.classes, *filter(None, [neutral]))))
    rows, label, coded = [], [], []
    for i in range(len(clips)):
        a, b, last = int(clips.onset[i]), int(clips.offset[i]), len(clips.frames(i)) - 1
        top = int(clips.apex[i]) if clips.apex[i] >= 0 else (a + b) // 2
        around = {top + k * step for k in range(-near, near + 1)} & set(range(a, b + 1))
        ends = {0, last} - {top}
        shown = dict.fromkeys((around | {a, top, b}) - ends, int(clips.label[i]))
        if neutral:
            shown |= dict.fromkeys(ends, classes.index(neutral))
        for place, k in sorted(shown.items()):
            rows.append(int(clips.start[i]) + place)
            label.append(k)
            coded.append(i if place == clips.apex[i] else -1)
    owner = np.searchsorted(clips.start, rows, side="right") - 1
    aus = np.full((len(rows), len(clips.au_names)), labels.AU_UNKNOWN, np.int8)
    for row, i in enumerate(coded):
        if i >= 0:
            aus[row] = clips.aus[i]
    ids = [f"{clips.id[i]}/{clips.number[row]:06d}" for i, row in zip(owner, rows, strict=True)]
    return Split(
        name=f"{clips.name}/key frames",
        image=clips.image[rows],
        label=np.array(label, np.int32),
        aus=aus,
        subject=clips.subject[owner],
        id=np.array(ids, np.str_),
        classes=classes,
        au_names=clips.au_names,
    )


def inner(subjects: Sequence[str], held_out: str, n: int) -> tuple[str, ...]:
    """The subjects that choose an epoch where one is held out, by a hash of both names."""
    rest = [s for s in subjects if s != held_out]
    order = sorted(rest, key=lambda s: hashlib.sha256(f"ferjax inner {held_out} {s}".encode()).hexdigest())
    return tuple(sorted(order[:n]))
