"""What CK+'s text files say, and what was published about the set."""

import math
import re
from pathlib import Path

import numpy as np

from data_pipelines import BadInput, labels

AU_NAMES = tuple(
    labels.au_name(number)
    for number in (
        *(
            1,
            2,
            4,
            5,
            6,
            7,
            9,
            10,
            11,
            12,
            13,
            14,
            15,
            16,
            17,
            18,
            20,
            21,
            22,
            23,
            24,
            25,
            26,
            27,
            28,
            29,
            31,
        ),
        *(34, 38, 39, 43, 45, 54, 61, 62, 63, 64),
    )
)
"""The columns of `aus`, by number. CK+'s list is open: others in a FACS file are told as a finding."""

# Lucey et al. 2010, "The Extended Cohn-Kanade Dataset (CK+)": 593 sequences of 123 subjects, all of them
# coded, 327 with an emotion (of 118 subjects).
PUBLISHED = {
    "sequences": 593,
    "subjects": 123,
    "sequences with an emotion": 327,
    "subjects with an emotion": 118,
    "sequences with FACS codes": 593,
}
PUBLISHED_EMOTIONS = {
    "anger": 45,
    "contempt": 18,
    "disgust": 59,
    "fear": 25,
    "happiness": 69,
    "sadness": 28,
    "surprise": 83,
}


def read_emotion(path: Path) -> str | None:
    """The emotion's name; None if the file is empty.

    Raises:
      BadInput: not one of CK+'s codes.
    """
    lines = _rows(path)
    if not lines:
        return None
    words = [word for _, line in lines for word in line]
    code = _whole(words[0]) if len(words) == 1 else None
    if code is None:
        raise BadInput(
            f"{path}: {' '.join(words)[:40]!r} is not one code of an emotion; expected like 3.0000000e+00"
        )
    if code not in labels.CKPLUS_CODES:
        known = ", ".join(f"{number} {name}" for number, name in labels.CKPLUS_CODES.items())
        raise BadInput(f"{path}: code {code} is no emotion of CK+; it has {known}")
    return labels.CKPLUS_CODES[code]


def read_facs(path: Path) -> dict[int, int] | None:
    """Action unit -> code of `labels.AU_CODES`, of the units listed; None if the file is empty.

    CK+'s intensity 0, present and not graded, becomes `labels.AU_PRESENT`. Of a unit that is listed twice the
    higher grade counts.

    Raises:
      BadInput: names the row.
    """
    found = {}
    for row, words in _rows(path):
        unit, intensity = [_whole(word) for word in words] if len(words) == 2 else (None, None)
        if unit is None or intensity is None or not 1 <= unit <= 99:
            raise BadInput(
                f"{path} row {row}: {' '.join(words)[:60]!r} is not an action unit and its intensity; "
                "expected like 9.0000000e+00 4.0000000e+00"
            )
        if not 0 <= intensity <= 5:
            raise BadInput(
                f"{path} row {row}: intensity {intensity} of AU {unit}; expected 1 to 5 for A to E, or 0 "
                "for not graded"
            )
        found[unit] = max(found.get(unit, 0), intensity)
    return {unit: grade or labels.AU_PRESENT for unit, grade in found.items()} or None


def au_codes(listed: dict[int, int] | None) -> np.ndarray:
    """int8 [u], codes in the order of AU_NAMES: 0 where not listed; -1 throughout for None."""
    if listed is None:
        return np.full(len(AU_NAMES), labels.AU_UNKNOWN, np.int8)
    return np.array([listed.get(labels.au_number(name), labels.AU_ABSENT) for name in AU_NAMES], np.int8)


def read_landmarks(path: Path) -> np.ndarray:
    """float64 [68, 2], x and y in pixels in Multi-PIE order.

    Raises:
      BadInput: names the row, or says how many there are.
    """
    rows = _rows(path)
    points = []
    for row, words in rows:
        point = [_number(word) for word in words]
        if len(point) != 2 or None in point:
            raise BadInput(f"{path} row {row}: {' '.join(words)[:60]!r} is not x and y of a landmark")
        points.append(point)
    if len(points) != 68:
        raise BadInput(
            f"{path}: {len(points)} rows, 68 landmarks expected; unpack the archive again, or delete it"
        )
    return np.array(points)


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """(row number from 1, words) of the rows that are not blank."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); check its permissions") from None
    except UnicodeDecodeError:
        raise BadInput(f"{path}: not a text file; unpack the archive again, or delete it") from None
    rows = ((row, re.split(r"[\s,]+", line.strip())) for row, line in enumerate(text.splitlines(), 1))
    return [(row, words) for row, words in rows if words != [""]]


def _number(word: str) -> float | None:
    """A finite number, or None."""
    try:
        value = float(word)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _whole(word: str) -> int | None:
    """A whole number, however it is written, or None."""
    value = _number(word)
    return int(value) if value is not None and value == int(value) else None
