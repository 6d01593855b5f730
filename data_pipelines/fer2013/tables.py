"""FER2013's csv and FER+'s votes. No TensorFlow here."""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from data_pipelines import BadInput, labels
from data_pipelines.disk import progress

SIDE = 48  # pixels
USAGES = {"Training": "train", "PublicTest": "public_test", "PrivateTest": "private_test"}
VOTES_NAME = "fer2013new.csv"

_GREY = {str(value): value for value in range(256)}


def csv_rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, list[str]]]:
    """Yields (data row from 1, the named columns' fields, stripped)."""
    try:
        with open(path, encoding="utf-8-sig", errors="replace", newline="") as file:
            reader = csv.reader(file)
            header = [field.strip() for field in next(reader, [])]
            missing = [name for name in columns if name not in header]
            if missing:
                raise BadInput(
                    f"{path}: the header is {','.join(header)[:80]!r} and lacks {', '.join(missing)}; "
                    f"expected the columns {', '.join(columns)}"
                )
            places = [header.index(name) for name in columns]
            for row, fields in enumerate(filter(None, reader), 1):
                if len(fields) != len(header):
                    raise BadInput(
                        f"{path} row {row}: {len(fields)} fields where the header has {len(header)}; the "
                        "file may be cut off there: unpack or download it again"
                    )
                yield row, [fields[place].strip() for place in places]
    except csv.Error as error:
        raise BadInput(f"{path}: not a csv file ({error}); unpack or download it again") from None
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror})") from None


def read_csv(path: Path) -> tuple[np.ndarray, ...]:
    """Returns image, label, part and id, in the file's order."""
    image, label, part, ids = [], [], [], []
    for row, (emotion, pixels, usage) in progress(
        csv_rows(path, ("emotion", "pixels", "Usage")), path.name, 35887
    ):
        if emotion not in _GREY or _GREY[emotion] not in labels.FER2013_CODES:
            raise BadInput(f"{path} row {row}: emotion is {emotion[:20]!r}; FER2013's codes are 0 to 6")
        if usage not in USAGES:
            raise BadInput(f"{path} row {row}: Usage is {usage[:20]!r}; expected {', '.join(USAGES)}")
        values = pixels.split()
        if len(values) != SIDE * SIDE:
            raise BadInput(
                f"{path} row {row}: {len(values)} pixels, {SIDE * SIDE} (48x48) expected; the row is "
                "damaged: unpack or download the file again"
            )
        try:
            image.append(bytes(map(_GREY.__getitem__, values)))
        except KeyError as error:
            column = next(number for number, value in enumerate(values, 1) if value not in _GREY)
            raise BadInput(
                f"{path} row {row}: pixel {column} is {str(error.args[0])[:20]!r}; grey values are 0 to 255"
            ) from None
        label.append(_GREY[emotion])
        part.append(USAGES[usage])
        ids.append(f"{path.name}:{row:05d}")
    if not image:
        raise BadInput(f"{path}: no rows; unpack or download the file again")
    images = np.frombuffer(b"".join(image), np.uint8).reshape(-1, SIDE, SIDE, 1)
    return images, np.array(label, np.int32), np.array(part), np.array(ids)


def ferplus_majority(votes: np.ndarray) -> np.ndarray:
    """Labels from votes, by the "majority" mode of FER+'s own code.

    Votes of one are outliers and count nothing. A class wins with more than half of the votes that remain,
    those for "unknown" and "NF" among them.

    Args:
      votes: int [n, 10], columns as in fer2013new.csv: FERPLUS_CLASSES, unknown, NF.

    Returns:
      int32 [n], index into FERPLUS_CLASSES; -1 without a majority or where unknown or NF wins.
    Source: Barsoum et al. 2016, and github.com/Microsoft/FERPlus, src/ferplus.py.
    """
    votes = np.where(votes <= 1, 0, votes)
    top = votes.argmax(axis=1)
    wins = (2 * votes.max(axis=1) > votes.sum(axis=1)) & (top < len(labels.FERPLUS_CLASSES))
    return np.where(wins, top, -1).astype(np.int32)


def read_votes(csv_path: Path, part: np.ndarray) -> np.ndarray:
    """Returns FER+ labels, int32 [n], for the rows of the csv."""
    path = csv_path.with_name(VOTES_NAME)
    if not path.is_file():
        raise BadInput(
            f"{path}: no such file; data.labels = ferplus needs FER+'s {VOTES_NAME} beside {csv_path.name}"
        )
    columns = ("Usage", *labels.FERPLUS_CLASSES, "unknown", "NF")
    rows = list(csv_rows(path, columns))
    if len(rows) != len(part):
        raise BadInput(
            f"{path}: {len(rows)} rows where {csv_path.name} has {len(part)}; they are joined by row: take "
            "both whole"
        )
    votes = []
    for row, (usage, *fields) in rows:
        if USAGES.get(usage) != part[row - 1]:
            raise BadInput(
                f"{path} row {row}: Usage is {usage[:20]!r} where {csv_path.name} has another; the two files "
                "are joined by row and must have the same order"
            )
        if not all(field.isdecimal() for field in fields):
            raise BadInput(f"{path} row {row}: a vote is not a whole number: {','.join(fields)[:60]}")
        votes.append([int(field) for field in fields])
    return ferplus_majority(np.array(votes))
