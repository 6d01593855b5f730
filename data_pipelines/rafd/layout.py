"""Finds RaFD's pictures, whose names say all that is known of them; decodes nothing.

A name such as Rafd090_01_Caucasian_female_angry_frontal.jpg has camera, person, group, gender, expression and
gaze.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from data_pipelines import BadInput, labels, no_folder, photos
from data_pipelines.manifest.table import Row, Table

CAMERAS = ("000", "045", "090", "135", "180")
FRONT = "090"
GAZES = ("frontal", "left", "right")
EXPRESSIONS = 8
PREFIX = "rafd-"  # of a subject's name, so that it is no other set's
EXAMPLE = "Rafd090_01_Caucasian_female_angry_frontal.jpg"

# Langner et al. 2010, "Presentation and validation of the Radboud Faces Database": 67 people, eight
# expressions, three gazes, five cameras at once, each with each: 8,040 pictures.
PUBLISHED = {"pictures": 8040, "people": 67} | {f"pictures of camera {name}": 1608 for name in CAMERAS}

_NAME = re.compile(
    rf"(?i)Rafd({'|'.join(CAMERAS)})_(\d{{1,3}})_([a-z]+)_(female|male)_([a-z]+)_({'|'.join(GAZES)})"
)


class Picture(NamedTuple):
    """What a picture's name says.

    Attributes:
      path: its file.
      camera: one of CAMERAS, degrees; 090 is in front.
      person: "01".
      group: "caucasian", "moroccan", "kid".
      gender: "female", "male".
      emotion: one of labels.EMOTIONS.
      gaze: one of GAZES.
    """

    path: Path
    camera: str
    person: str
    group: str
    gender: str
    emotion: str
    gaze: str


def parse(path: Path) -> Picture | None:
    """What the name of a picture says; None where it is named otherwise."""
    match = _NAME.fullmatch(path.stem)
    if not match:
        return None
    camera, person, group, gender, word, gaze = match.groups()
    try:
        emotion = labels.emotion(word)
    except BadInput:
        return None
    said = (group.lower(), gender.lower(), emotion, gaze.lower())
    return Picture(path, camera, f"{int(person):02d}", *said)


def camera(row: Row) -> str:
    """One of CAMERAS."""
    return row.id[4:7]


def chosen(said: str, known: Sequence[str], option: str) -> tuple[str, ...]:
    """What an option of names names, comma between; "all" is all of them.

    Raises:
      BadInput: another name, or none.
    """
    words = [word.strip().lower() for word in str(said).split(",") if word.strip()]
    if words == ["all"]:
        return tuple(known)
    odd = [word for word in words if word not in known]
    if odd or not words:
        raise BadInput(
            f"data.options.{option}: {(odd or [said])[0]!r} is not known; write all, or some of "
            f"{', '.join(known)}, comma between"
        )
    return tuple(name for name in known if name in words)


def scan(options: Mapping) -> photos.Photos:
    """The pictures of a copy.

    Args:
      options: of `rafd.OPTIONS`: dir, cameras, gazes.
    Raises:
      BadInput: no such folder, nothing of RaFD in it or of these cameras and gazes, or one picture twice.
    """
    place = options["dir"]
    top = Path(place).expanduser()
    if not place or not top.is_dir():
        raise no_folder(place, EXAMPLE)
    cameras = chosen(options["cameras"], CAMERAS, "cameras")
    gazes = chosen(options["gazes"], GAZES, "gazes")
    paths, other = photos.below(top, 0)
    found = [(path, parse(path)) for path in paths]
    known = [picture for _, picture in found if picture]
    if not known:
        raise BadInput(
            f"{top}: no RaFD here or up to {photos.DEPTH} folders below; expected pictures like {EXAMPLE}"
        )
    _each_once(known)
    rows, wanted = [], [p for p in known if p.camera in cameras and p.gaze in gazes]
    if not wanted:
        there = Counter(f"camera {p.camera}, gaze {p.gaze}" for p in known)
        said = "; ".join(f"{n} of {what}" for what, n in sorted(there.items()))
        raise BadInput(
            f"{top}: no picture of cameras {', '.join(cameras)} with gaze {', '.join(gazes)}; there are "
            f"{said}: set data.options.cameras and data.options.gazes"
        )
    for p in wanted:
        rows.append(Row(len(rows) + 1, str(p.path), p.path.stem, p.emotion, PREFIX + p.person, ""))
    return photos.Photos(
        Table(top, tuple(rows)),
        counts(known),
        {
            "pictures whose names are not like RaFD's, passed over": photos.relative(
                [path for path, picture in found if not picture], top
            ),
            "other files, passed over": photos.relative(other, top),
            "people with pictures missing": _missing(wanted, len(cameras) * len(gazes) * EXPRESSIONS),
            "people of two groups or genders by their pictures' names": _two_fold(known),
        },
    )


def counts(known: Iterable[Picture]) -> dict[str, int]:
    """What -> how many, of all cameras and gazes."""
    known = list(known)
    people = {p.person: f"{p.group.capitalize()} {p.gender}" for p in known}
    by = {
        "pictures of camera {}": Counter(p.camera for p in known),
        "pictures with gaze {}": Counter(p.gaze for p in known),
        "pictures of {}": Counter(p.emotion for p in known),
        "people: {}": Counter(people.values()),
    }
    out = {"pictures": len(known), "people": len(people)}
    return out | {what.format(key): n[key] for what, n in by.items() for key in sorted(n)}


def _each_once(known: Iterable[Picture]) -> None:
    """Raises BadInput where two files are one picture."""
    seen = {}
    for p in known:
        key = (p.camera, p.person, p.emotion, p.gaze)
        if key in seen:
            raise BadInput(f"{seen[key]} and {p.path}: one picture twice; keep one of them")
        seen[key] = p.path


def _missing(wanted: Iterable[Picture], whole: int) -> tuple[str, ...]:
    """People of whom there are fewer pictures than of the whole set."""
    have = Counter(p.person for p in wanted)
    return tuple(f"{PREFIX}{who}: {n} of {whole}" for who, n in sorted(have.items()) if n < whole)


def _two_fold(known: Iterable[Picture]) -> tuple[str, ...]:
    """People who are named differently in two pictures."""
    said: dict[str, set] = {}
    for p in known:
        said.setdefault(p.person, set()).add(f"{p.group.capitalize()} {p.gender}")
    return tuple(
        f"{PREFIX}{who}: {', '.join(sorted(words))}" for who, words in sorted(said.items()) if len(words) > 1
    )
