"""The inputs of a set whose action units are known: what attribution looks at."""

import functools
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from data_pipelines import BadInput, arrays, exported, labels, prepared, saliency_input
from data_pipelines.split import Split, join, resize, stratified


class Coded(NamedTuple):
    """Inputs with known action units, which attribution looks at.

    Attributes:
      split: rows with at least one known code; label -1 where the input shows no emotion class.
      sequence: str [n], the unit of analysis: inputs of one sequence are near-copies.
      rule: which inputs these are, in words.
    """

    split: Split
    sequence: np.ndarray
    rule: str


def load(data: Mapping) -> Coded:
    """The inputs of a set that attribution looks at.

    A set's folder may say which by `coded(options, load) -> (Split, words)`, where load(options) gives the
    set's parts; else all rows of all parts with a known code are taken. `sequences(ids)` names each input's
    sequence; without it each input is one.

    Args:
      data: as for `arrays.load_parts`; limit, image_size and saliency hold here too.
    Raises:
      BadInput: no input has a known code, or as `arrays.load_parts`.
    """
    data = {**arrays.DEFAULTS, **{key: data[key] for key in arrays.DEFAULTS if key in data}}
    name = str(data["name"])
    if name == "npz":
        module, parts = None, exported.read(data["dir"])
        split, rule = join("npz", [parts.train, parts.select, parts.test]), "train, select and test"
    else:
        module, options = arrays.data_set(data)
        parts_of = functools.partial(prepared.load_splits, module, cache_dir=data["cache_dir"])
        if hasattr(module, "coded"):
            split, rule = module.coded(options, parts_of)
        else:
            splits = parts_of(options)
            split, rule = join(name, list(splits.values())), "all of " + ", ".join(splits)
    if not split.au_names or not (split.aus != labels.AU_UNKNOWN).any():
        raise BadInput(
            f"data {name}: not one input has action-unit labels, so no filter can be matched to one; give a "
            "FACS-coded set such as ck_plus or facsynth"
        )
    split = split.take((split.aus != labels.AU_UNKNOWN).any(1))
    if data["limit"]:
        split = split.take(stratified(split, int(data["limit"])))
    split = resize(split, int(data["image_size"])) if data["image_size"] else split
    split = saliency_input.weigh(split, data["saliency"])
    sequences = getattr(module, "sequences", None)
    return Coded(split, np.asarray(sequences(split.id) if sequences else split.id, np.str_), rule)
