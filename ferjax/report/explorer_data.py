"""What an attribution left in W/attribution/<data>/ (docs/attribution.md), as far as it can be read.

A number is a finite float or None; a text is "" where there is none. What is missing or broken is said in
words under `problems`, and the rest is still there.
"""

import csv
import dataclasses
import io
import math
import pathlib
from collections.abc import Mapping

import numpy as np

from data_pipelines import BadInput, labels
from data_pipelines.split import DAMAGED
from ferjax import files

SCHEMA = "ferjax/attribution/2"
SURVIVES = "AU filter"
VERDICTS = (
    SURVIVES,
    "unclear",
    "emotion filter",
    "as in random networks",
    "no match",
    "inactive",
)  # best first

_SECTIONS = {
    **dict.fromkeys(("counts", "settings", "headline", "paper", "versions"), dict),
    **dict.fromkeys(("aus", "left_out", "layers", "controls", "randomisation"), list),
    **dict.fromkeys(("truth", "planted", "heads", "ablation"), list),
    "notes": list,
}
_TEXTS = ("au", "together", "implied", "au_top_n", "emotion", "verdict", "words")
_NUMBERS = (
    *("active", "p_top_n", "rejected", "auc_choose", "auc", "auc_low", "auc_high", "d", "ap"),
    *("present", "absent", "p", "q", "p_max", "auc_within", "within_low", "within_high"),
    *("within_present", "within_absent", "auc_outside", "outside_low", "outside_high"),
    *("outside_present", "outside_absent", "random_95", "random_95_within", "random_95_outside"),
    *("emotion_auc", "grad_present", "grad_absent"),
    *("ablation_drop", "ablation_limit", "ablation_share", "ablation_others"),
)
PAIR_NUMBERS = (
    *("present", "p_top_n", "auc", "auc_low", "auc_high", "ap", "p", "q", "auc_within", "auc_outside"),
    *("grad_present", "grad_absent"),
)


@dataclasses.dataclass
class Top:
    """top.npz: the inputs that excite each filter most, j filters of it, n inputs a filter.

    Attributes:
      place: "block3/relu:17" -> row of the arrays.
      image: uint8 [m, h, w, c].
      id: [m] names of the inputs.
      index: [j, n] into image, -1: none.
      activation: [j, n].
      box: [j, n, 4] receptive field: top, left, bottom, right in pixels.
      guided: uint8 [j, n, h, w], 128 is zero.
      deconv: the same.
    """

    place: dict[str, int]
    image: np.ndarray
    id: list[str]
    index: np.ndarray
    activation: np.ndarray
    box: np.ndarray
    guided: np.ndarray
    deconv: np.ndarray


@dataclasses.dataclass
class Attribution:
    """One folder of W/attribution.

    Attributes:
      name: of the folder.
      summary: summary.json, every section there and of its type, entries of lists objects.
      filters: rows of filters.csv with "key" ("block3/relu:17"), texts and numbers.
      pairs: key -> {"AU12": numbers of pairs.csv}.
      aus: name -> {"name", "facs", "present", "known", "together_with", "comes_with"}; those of the summary
        come first.
      top: pictures, or None.
      problems: file -> what is wrong with it, in words.
    """

    name: str
    summary: dict
    filters: list[dict]
    pairs: dict[str, dict[str, dict]]
    aus: dict[str, dict]
    top: Top | None
    problems: dict[str, str]


def read(folder: pathlib.Path) -> Attribution:
    """Everything that can be read of W/attribution/<data>.

    Raises:
      BadInput: no such folder, or a summary.json that is missing or cannot be read.
    """
    if not folder.is_dir():
        raise BadInput(f"{folder}: no such attribution; write it with ferjax attribute --data {folder.name}")
    problems: dict[str, str] = {}
    summary = _summary(folder / "summary.json", problems)
    rows = _table(folder / "filters.csv", ("layer", "filter", *_TEXTS, *_NUMBERS), problems)
    filters = {row["key"]: _filter(row) for row in reversed(rows)}  # of two rows of one name the first
    if len(filters) < len(rows):
        problems.setdefault("filters.csv", "names a filter twice; the first row is shown")
    pairs: dict[str, dict[str, dict]] = {}
    for row in _table(folder / "pairs.csv", ("layer", "filter", "au", *PAIR_NUMBERS), problems):
        values = {name: number(row.get(name)) for name in PAIR_NUMBERS}
        pairs.setdefault(row["key"], {}).setdefault(row.get("au") or "", values)
    top = _top(folder / "top.npz", problems)
    found = list(reversed(filters.values()))
    if not found:  # the names at least, where another file has them
        found = [_filter({"key": key}) for key in pairs or (top.place if top else ())]
    matched = [row["au"] for row in found] + [au for of in pairs.values() for au in of]
    return Attribution(folder.name, summary, found, pairs, _aus(summary, matched), top, problems)


def number(value) -> float | None:
    """A finite number of JSON or CSV; None for everything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        value = float(value)
    except (ValueError, OverflowError):
        return None
    return value if math.isfinite(value) else None


def triple(value) -> tuple[float | None, float | None, float | None]:
    """[value, low, high] as the controls write it; a bare number has no interval."""
    if isinstance(value, list | tuple):
        return tuple(number(v) for v in (*value, None, None, None)[:3])
    return number(value), None, None


def texts(value) -> list[str]:
    """A list of texts; [] for everything else."""
    return [str(v) for v in value] if isinstance(value, list) else []


def _summary(path: pathlib.Path, problems: dict[str, str]) -> dict:
    summary = files.read_json(path)
    if summary.get("schema") != SCHEMA:
        raise BadInput(
            f"{path}: schema is {summary.get('schema')!r:.60}, this ferjax reads {SCHEMA}; run ferjax "
            "attribute again"
        )
    wrong = []
    for key, kind in _SECTIONS.items():
        value = summary.get(key)
        if not isinstance(value, kind):
            wrong.append(key)
            value = kind()
        if kind is list and key != "notes":
            value = [entry for entry in value if isinstance(entry, dict)]
        summary[key] = value
    if wrong:
        problems["summary.json"] = f"no {', '.join(wrong)} in it, or not as expected"
    return summary


def _table(path: pathlib.Path, columns: tuple[str, ...], problems: dict[str, str]) -> list[dict]:
    """Rows of a CSV file with "key" added; unreadable ones are left out and counted."""
    name = path.name
    try:
        reader = csv.DictReader(io.StringIO(path.read_text("utf-8"), newline=""))
        found, rows = reader.fieldnames or [], list(reader)
    except FileNotFoundError:
        problems[name] = "missing"
        return []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        problems[name] = f"cannot be read: {error}"
        return []
    missing = [column for column in columns if column not in found]
    if missing:
        problems[name] = f"has no column {', '.join(missing)}"
    good = [row for row in rows if row.get("layer") and (row.get("filter") or "").strip().isdigit()]
    if len(good) < len(rows) and not {"layer", "filter"} & set(missing):
        problems.setdefault(name, f"left out {len(rows) - len(good)} rows that name no layer and filter")
    for row in good:
        row["key"] = f"{row['layer']}:{int(row['filter'])}"
    return good


def _filter(row: Mapping) -> dict:
    layer, _, place = row["key"].rpartition(":")
    out = {"key": row["key"], "layer": layer, "filter": int(place)}
    out |= {name: (row.get(name) or "").strip() for name in _TEXTS}
    return out | {name: number(row.get(name)) for name in _NUMBERS}


def _aus(summary: dict, matched: list[str]) -> dict[str, dict]:
    out = {}
    for entry in summary["aus"]:
        name = str(entry.get("name") or "")
        out[name] = {
            "name": name,
            "facs": str(entry.get("facs") or labels.FACS_NAMES.get(name, "")),
            "present": number(entry.get("present")),
            "known": number(entry.get("known")),
            "together_with": texts(entry.get("together_with")),
            "comes_with": texts(entry.get("comes_with")),
        }
    for name in sorted(set(matched) - set(out)):
        facs = labels.FACS_NAMES.get(name, "")
        out[name] = {"name": name, "facs": facs, "present": None, "known": None}
        out[name] |= {"together_with": [], "comes_with": []}
    out.pop("", None)
    return out


def _top(path: pathlib.Path, problems: dict[str, str]) -> Top | None:
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            a = {k: file[k] for k in ("image", "id", "layer", "filter", "index", "activation", "box")}
            a |= {k: file[k] for k in ("guided", "deconv")}
        return _checked(a)
    except FileNotFoundError:
        problems[path.name] = "missing"
    except DAMAGED as error:
        problems[path.name] = f"cannot be shown: {str(error).strip(chr(39) + chr(34))}"
    return None


def _checked(a: Mapping[str, np.ndarray]) -> Top:
    """Arrays of top.npz, whole and fitting each other; ValueError in words otherwise."""
    image, index = a["image"], a["index"]
    if image.dtype != np.uint8 or image.ndim != 4 or image.shape[-1] not in (1, 3) or not image.size:
        raise ValueError(f"image is {image.dtype} {image.shape}, not uint8 [m, h, w, 1 or 3]")
    if index.dtype.kind not in "iu" or index.ndim != 2 or not index.shape[1]:
        raise ValueError(f"index is {index.dtype} {index.shape}, not whole numbers [j, n]")
    (m, h, w, _), (j, n) = image.shape, index.shape
    shapes = {"id": (m,), "layer": (j,), "filter": (j,), "activation": (j, n), "box": (j, n, 4)}
    shapes |= {"guided": (j, n, h, w), "deconv": (j, n, h, w)}
    for name, shape in shapes.items():
        if a[name].shape != shape:
            raise ValueError(f"{name} has shape {a[name].shape}, not {shape}")
    for name, kinds in {"filter": "iu", "box": "iu", "activation": "f", "guided": "u", "deconv": "u"}.items():
        if a[name].dtype.kind not in kinds:
            raise ValueError(f"{name} is {a[name].dtype}")
    if a["guided"].dtype != np.uint8 or a["deconv"].dtype != np.uint8:
        raise ValueError("guided and deconv must be uint8")
    if j and not -1 <= index.min() <= index.max() < m:
        raise ValueError(f"index names image {index.max()} of {m}")
    box = a["box"].astype(int)
    top, left, bottom, right = np.moveaxis(box, -1, 0)
    bad = (top < 0) | (left < 0) | (bottom > h) | (right > w) | (top >= bottom) | (left >= right)
    bad &= index >= 0
    if bad.any():
        row = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(f"box {box[row].tolist()} of row {row[0]} is no part of a {h}x{w} picture")
    place = {f"{layer}:{int(f)}": i for i, (layer, f) in enumerate(zip(a["layer"], a["filter"], strict=True))}
    ids = [str(i) for i in a["id"]]
    return Top(place, image, ids, index, a["activation"], box, a["guided"], a["deconv"])
