"""Every label fact, by name: emotions, action units, and the data sets' code tables, with sources.

Numbers differ from set to set (3 is happiness in FER2013, disgust in CK+, fear in an alphabetical list), so
nothing outside this file maps a number to an emotion, and labels travel between sets by name.
"""

import re
from collections.abc import Sequence

import numpy as np

from data_pipelines import BadInput

EMOTIONS = ("anger", "contempt", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
"""The names used everywhere, in alphabetical order: Ekman's six, contempt, and neutral."""

MICRO = ("others", "repression", "negative", "positive")
"""What sets of micro-expressions have beside these: CASME II's others and repression (Yan et al. 2014), and
the
classes of the composite of CASME II, SMIC and SAMM (See et al. 2019, MEGC), whose third is surprise."""

CLASSES = (*EMOTIONS, *MICRO)
"""Every name a label can have."""

# Goodfellow et al. 2013, "Challenges in representation learning: a report on three machine learning
# contests"; Kaggle's data page: "(0=Angry, 1=Disgust, 2=Fear, 3=Happy, 4=Sad, 5=Surprise, 6=Neutral)".
FER2013_CODES = {
    0: "anger",
    1: "disgust",
    2: "fear",
    3: "happiness",
    4: "sadness",
    5: "surprise",
    6: "neutral",
}
FER2013_CLASSES = tuple(FER2013_CODES[code] for code in sorted(FER2013_CODES))

# Barsoum et al. 2016, "Training deep networks for facial expression recognition with crowd-sourced label
# distribution": the column order of fer2013new.csv, which "unknown" and "NF" (not a face) follow.
FERPLUS_CLASSES = (
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
)

# Lucey et al. 2010, "The Extended Cohn-Kanade Dataset (CK+)", and its ReadMe.
CKPLUS_CODES = {
    0: "neutral",
    1: "anger",
    2: "contempt",
    3: "disgust",
    4: "fear",
    5: "happiness",
    6: "sadness",
    7: "surprise",
}

SYNONYMS = {
    "anger": ("angry", "an"),
    "contempt": ("contemptuous", "co"),
    "disgust": ("disgusted", "di"),
    "fear": ("fearful", "afraid", "scared", "fe"),
    "happiness": ("happy", "joy", "ha"),
    "neutral": ("ne",),
    "sadness": ("sad", "sa"),
    "surprise": ("surprised", "su"),
}
"""What folders and tables call each emotion, beside its own name; case does not count."""

_NAMES = {word: name for name, words in SYNONYMS.items() for word in (name, *words)}

AU_UNKNOWN = -1  # not coded
AU_ABSENT = 0
AU_INTENSITY = {"A": 1, "B": 2, "C": 3, "D": 4, "E": 5}  # trace, slight, marked, extreme, maximum
AU_PRESENT = 9  # present, intensity not graded (CK+ writes 0 for it: convert when reading)
AU_CODES = (AU_UNKNOWN, AU_ABSENT, 1, 2, 3, 4, 5, AU_PRESENT)

# Ekman, Friesen & Hager 2002, Facial Action Coding System.
FACS_NAMES = {
    "AU01": "inner brow raiser",
    "AU02": "outer brow raiser",
    "AU04": "brow lowerer",
    "AU05": "upper lid raiser",
    "AU06": "cheek raiser",
    "AU07": "lid tightener",
    "AU08": "lips toward each other",
    "AU09": "nose wrinkler",
    "AU10": "upper lip raiser",
    "AU11": "nasolabial furrow deepener",
    "AU12": "lip corner puller",
    "AU13": "sharp lip puller",
    "AU14": "dimpler",
    "AU15": "lip corner depressor",
    "AU16": "lower lip depressor",
    "AU17": "chin raiser",
    "AU18": "lip pucker",
    "AU19": "tongue show",
    "AU20": "lip stretcher",
    "AU21": "neck tightener",
    "AU22": "lip funneler",
    "AU23": "lip tightener",
    "AU24": "lip pressor",
    "AU25": "lips part",
    "AU26": "jaw drop",
    "AU27": "mouth stretch",
    "AU28": "lip suck",
    "AU29": "jaw thrust",
    "AU30": "jaw sideways",
    "AU31": "jaw clencher",
    "AU32": "lip bite",
    "AU33": "cheek blow",
    "AU34": "cheek puff",
    "AU35": "cheek suck",
    "AU36": "tongue bulge",
    "AU37": "lip wipe",
    "AU38": "nostril dilator",
    "AU39": "nostril compressor",
    "AU41": "lid droop",
    "AU42": "slit",
    "AU43": "eyes closed",
    "AU44": "squint",
    "AU45": "blink",
    "AU46": "wink",
    "AU51": "head turn left",
    "AU52": "head turn right",
    "AU53": "head up",
    "AU54": "head down",
    "AU55": "head tilt left",
    "AU56": "head tilt right",
    "AU57": "head forward",
    "AU58": "head back",
    "AU61": "eyes turn left",
    "AU62": "eyes turn right",
    "AU63": "eyes up",
    "AU64": "eyes down",
}


def emotion(word: str) -> str:
    """The emotion's name in EMOTIONS for what a folder, file name or table calls it.

    Args:
      word: such as "Angry", "happy" or "sadness"; surrounding blanks and case do not count.

    Returns:
      One of EMOTIONS.

    Raises:
      BadInput: nothing known goes by that word. Numbers never do: they mean something else in every set.
    """
    try:
        return _NAMES[word.strip().lower()]
    except KeyError:
        raise BadInput(f"{word!r} is no known emotion; known: {', '.join(EMOTIONS)}") from None


def class_name(word: str) -> str:
    """As `emotion`, for sets that also have the classes of micro-expressions.

    Raises:
      BadInput: none of CLASSES goes by that word.
    """
    plain = word.strip().lower()
    if plain in MICRO:
        return plain
    try:
        return emotion(word)
    except BadInput:
        raise BadInput(f"{word!r} is no known emotion; known: {', '.join(CLASSES)}") from None


def au_name(number: int) -> str:
    """The spelling of an action unit: 1 -> "AU01"."""
    return f"AU{int(number):02d}"


def au_number(name: str) -> int:
    """The number of an action unit: "AU01", "au_1" (LibreFace) or "AU01_r" (OpenFace) -> 1.

    Raises:
      BadInput: no action unit's name.
    """
    match = re.fullmatch(r"(?i)\s*au_?0*(\d{1,2})(?:_[rc]|_intensity)?\s*", name)
    if not match:
        raise BadInput(f"{name!r} is no action unit's name; write it like AU01")
    return int(match[1])


def au_scale(name: str) -> str:
    """What the numbers of an action unit's column mean, by how it is spelled.

    Returns:
      "presence": 0 or 1 ("AU01_c" of OpenFace, "au_1" of LibreFace); "graded": an intensity 0 to 5 that need
      not be whole ("AU01_r", "au_1_intensity"); "code": one of AU_CODES ("AU01").
    """
    word = name.strip().lower()
    if word.endswith("_c") or re.fullmatch(r"au_\d+", word):
        return "presence"
    return "graded" if word.endswith(("_r", "_intensity")) else "code"


def facs_name(name: str) -> str:
    """The FACS name of an action unit, "AU12" -> "lip corner puller"; "" where FACS_NAMES has none."""
    return FACS_NAMES.get(au_name(au_number(name)), "")


def au_present(aus: np.ndarray, threshold: int = 1) -> np.ndarray:
    """AU codes -> presence at an intensity threshold.

    Args:
      aus: int8 [..., u] codes (AU_CODES).
      threshold: least intensity that counts as present, 1 (trace) to 5. Above 1, AU_PRESENT becomes unknown,
        since it may lie on either side.

    Returns:
      int8 [..., u]: 1 present, 0 absent, -1 unknown.

    Raises:
      ValueError: threshold out of range.
    """
    if not 1 <= threshold <= 5:
        raise ValueError(f"threshold must be 1 to 5, got {threshold}")
    aus = np.asarray(aus, np.int8)
    present = (aus >= threshold).astype(np.int8)
    present[aus == AU_UNKNOWN] = AU_UNKNOWN
    if threshold > 1:
        present[aus == AU_PRESENT] = AU_UNKNOWN
    return present


def map_labels(label: np.ndarray, classes: Sequence[str], to: Sequence[str]) -> np.ndarray:
    """Labels of one list of classes as labels of another, by name.

    Args:
      label: int [n] indices into `classes`; -1 unknown.
      classes: names the labels index now.
      to: names they shall index.

    Returns:
      int32 [n]; -1 where the label was unknown or its name is not in `to`.
    """
    index = {name: number for number, name in enumerate(to)}
    table = np.array([*(index.get(name, -1) for name in classes), -1], np.int32)  # -1 reads the last entry
    return table[np.asarray(label, np.int64)]


LABEL_MAPS = {
    "contempt_to_disgust": {"contempt": "disgust"},  # as sets of seven classes are often compared
    "without_contempt": {"contempt": ""},
    "ferplus_to_fer2013": {"contempt": ""},  # FER2013 has no contempt; the other seven are the same words
    "without_neutral": {"neutral": ""},
    "basic": {"contempt": "", "neutral": ""},  # Ekman's six
    "casme2_5": {"sadness": "", "fear": ""},  # CASME II's usual five classes
    # See et al. 2019, "MEGC 2019": the composite of CASME II, SMIC and SAMM in three classes
    "composite_3": {
        "happiness": "positive",
        **dict.fromkeys(("disgust", "repression", "anger", "contempt", "fear", "sadness"), "negative"),
        "others": "",
    },
}
"""Maps between lists of emotions by name; "" leaves the images of a class out."""


def own_name(word: str, classes: Sequence[str]) -> str:
    """As `class_name`, for a set whose classes are `classes`: what it calls one of them is itself."""
    plain = word.strip().lower()
    return plain if plain in classes else class_name(word)


def label_map(text: str, classes: Sequence[str] = ()) -> dict[str, str]:
    """A map by its name, or written out: "contempt=disgust,neutral=".

    Args:
      text: the map.
      classes: of the set, which may have names beside CLASSES.
    Returns:
      Emotion -> emotion, or "" where its images are left out.
    Raises:
      BadInput: no such map, no such emotion, or an emotion twice.
    """
    if text in LABEL_MAPS:
        return dict(LABEL_MAPS[text])
    out = {}
    for word in filter(None, (part.strip() for part in text.split(","))):
        old, equals, new = (piece.strip() for piece in word.partition("="))
        if not equals:
            raise BadInput(
                f"data.map: {word!r} is no map; write old=new, old= to leave out, or one of "
                f"{', '.join(LABEL_MAPS)}"
            )
        old, new = own_name(old, classes), own_name(new, classes) if new else ""
        if old in out:
            raise BadInput(f"data.map: {old} is mapped twice")
        out[old] = new
    return out


def then(first: str, second: str) -> str:
    """Two maps, one after the other, as one that is written out; an empty one changes nothing."""
    if not first or not second:
        return first or second
    one, other = label_map(first), label_map(second)
    both = other | {old: other.get(new, new) for old, new in one.items()}
    return ",".join(f"{old}={new}" for old, new in both.items())


def mapped_classes(classes: Sequence[str], mapping: dict[str, str]) -> tuple[str, ...]:
    """The classes after a map, in their order, each once."""
    return tuple(dict.fromkeys(new for new in (mapping.get(name, name) for name in classes) if new))


def meet(*lists: Sequence[str]) -> tuple[str, ...]:
    """The emotions that all lists have, in the order of the first.

    Raises:
      BadInput: fewer than two.
    """
    common = tuple(name for name in lists[0] if all(name in other for other in lists[1:]))
    if len(common) < 2:
        told = "; ".join(", ".join(names) for names in lists)
        raise BadInput(f"the sets have {len(common)} emotions in common ({told}); map some with data.map")
    return common
