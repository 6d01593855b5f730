"""Finds CFEE's pictures and the sheet that names their categories; decodes nothing.

    CFEE_Database_230/01-04/Images1/01_126_3963.jpg    code of the category, person, serial number
    AU_annotation_all_subjects.xls                     worksheet summary: code, name of the category

Codes have gaps, and there are pictures of codes that the sheet does not name.
"""

import contextlib
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from data_pipelines import BadInput, coding, labels, no_folder, photos, recordings
from data_pipelines.manifest.table import Row, Table

CATEGORIES = ("basic", "all")
PREFIX = "cfee-"  # of a subject's name, so that it is no other set's
EXAMPLE = "CFEE_Database_230/01-04/Images1/01_126_3963.jpg"
SHEET = "AU_annotation_all_subjects.xls"
SUMMARY = "summary"

# Du, Tao & Martinez 2014, "Compound facial expressions of emotion".
PUBLISHED = {"people": 230, "categories": 22}

_NAME = re.compile(r"(\d{2})_(\d{3})_(\d+)")


def scan(options: Mapping) -> photos.Photos:
    """The pictures of a copy.

    Args:
      options: of `cfee.OPTIONS`: dir, sheet, categories.
    Raises:
      BadInput: no such folder, nothing of CFEE in it, no sheet or one that cannot be read, one picture twice,
        or no picture of a category that is asked for.
    """
    place = options["dir"]
    top = Path(place).expanduser()
    if not place or not top.is_dir():
        raise no_folder(place, f"{EXAMPLE}, and {SHEET},")
    paths, other = photos.below(top, 3)
    found = [(path, _NAME.fullmatch(path.stem)) for path in paths]
    known = [(path, int(match[1]), match[2]) for path, match in found if match]
    if not known:
        raise BadInput(
            f"{top}: no CFEE here or up to {photos.DEPTH} folders below; expected pictures like {EXAMPLE}"
        )
    _each_once(path for path, _, _ in known)
    books = [path for path in other if path.suffix.lower() in (".xls", ".xlsx") and path.name[:2] != "~$"]
    sheet = recordings.one_sheet(top, books, r"AU_annotation", SHEET, options["sheet"])
    names = read(sheet)
    basic = {code: name for code, name in names.items() if name in labels.EMOTIONS}
    taken = names if options["categories"] == "all" else basic
    rows = []
    for path, code, person in known:
        if code in taken:
            rows.append(Row(len(rows) + 1, str(path), path.stem, taken[code], PREFIX + person, ""))
    if not rows:
        there = ", ".join(sorted({path.stem[:2] for path, _, _ in known}))
        raise BadInput(
            f"{top}: no picture of a category that {sheet} names ({', '.join(taken.values())}); there are "
            f"codes {there}: is it this copy's sheet?"
        )
    per_code = Counter(code for _, code, _ in known)
    return photos.Photos(
        Table(top, tuple(rows)),
        {
            "pictures": len(known),
            "people": len({person for _, _, person in known}),
            "categories": sum(code in per_code for code in names),
            **{f"pictures of {name}": per_code[code] for code, name in sorted(names.items())},
        },
        {
            "pictures of codes that the sheet does not name, left out": tuple(
                f"{code:02d}: {n} pictures" for code, n in sorted(per_code.items()) if code not in names
            ),
            "categories left out, being neither a basic emotion nor neutral": tuple(
                f"{names[code]}: {n} pictures"
                for code, n in sorted(per_code.items())
                if code in names and code not in taken
            ),
            "categories of the sheet without a picture": tuple(
                f"{code:02d} {name}" for code, name in sorted(names.items()) if code not in per_code
            ),
            "pictures whose names are not like CFEE's, passed over": photos.relative(
                [path for path, match in found if not match], top
            ),
            "other files, passed over": photos.relative([path for path in other if path != sheet], top),
        },
        (sheet,),
    )


def read(path: Path) -> dict[int, str]:
    """The categories that a sheet names: code -> name, in the sheet's order.

    What the first column has beside whole numbers is a heading or a note. A basic emotion and neutral have
    their name in labels.EMOTIONS, others are as the sheet has them, in lower case.

    Raises:
      BadInput: no workbook, no worksheet summary, a code twice or without a name, or no basic emotion.
    """
    found: dict[int, str] = {}
    for number, row in enumerate(coding.cells(path, SUMMARY), 1):
        code, name = ([coding.text(cell) for cell in row[:2]] + ["", ""])[:2]
        if not (code.isascii() and code.isdecimal()):
            continue
        name = " ".join(name.lower().split())
        if not re.search(r"[^\W\d]", name) or "," in name or "=" in name:
            raise BadInput(
                f"{path}, worksheet {SUMMARY}, row {number}: code {code} has the name {name!r}, which is no "
                "category's; write one in the second column"
            )
        with contextlib.suppress(BadInput):
            name = labels.emotion(name)
        if int(code) in found or name in found.values():
            raise BadInput(
                f"{path}, worksheet {SUMMARY}, row {number}: code {code} or {name} is there twice; keep one "
                "of the rows"
            )
        found[int(code)] = name
    if not set(found.values()) & set(labels.EMOTIONS):
        said = f"it names {', '.join(found.values())}" if found else "it has no row like 2, happy"
        raise BadInput(
            f"{path}, worksheet {SUMMARY}: no basic emotion; {said}: codes in the first column, names in the "
            "second"
        )
    return found


def _each_once(paths) -> None:
    """Raises BadInput where two files have one name."""
    seen: dict[str, Path] = {}
    for path in paths:
        if path.stem in seen:
            raise BadInput(f"{seen[path.stem]} and {path}: one picture twice; keep one of them")
        seen[path.stem] = path
