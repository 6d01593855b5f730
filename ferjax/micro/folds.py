"""The folds of leave-one-subject-out: who trains, who is told, on which features. NumPy alone.

Axis letters: f folds, g frame networks, n clips, t time, d features, k classes, w rows watched.
"""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from data_pipelines import BadInput
from ferjax.attribution import heads

NONE = -1  # a row that is not there


class Task(NamedTuple):
    """What all heads look at.

    Attributes:
      features: float32 [g, n, t, d], of g frame networks: one for each fold, or one for all.
      network: int [f], whose features a fold takes.
      mask: bool [n, t].
      apex: int32 [n], step of the apex.
      label: int32 [n].
      train: bool [f, n], the rows a fold learns from.
      watch: int32 [f, w], the rows it tells after each epoch; NONE beyond its own.
      choose: bool [f, w], of these the ones that choose its epoch (of inner subjects); none where the number
        of epochs is fixed.
      classes: k.
    """

    features: np.ndarray
    network: np.ndarray
    mask: np.ndarray
    apex: np.ndarray
    label: np.ndarray
    train: np.ndarray
    watch: np.ndarray
    choose: np.ndarray
    classes: int

    def scale(self, fold: int) -> tuple[np.ndarray, np.ndarray]:
        """(mean [d], scale [d]) of the features over the frames of a fold's training rows."""
        rows = self.train[fold]
        return heads.standard(self.features[self.network[fold]][rows][self.mask[rows]].astype(np.float64))

    def standardised(self) -> "Task":
        """Features with mean 0 and deviation 1 over the frames of each fold's training rows: [f, n, t, d]."""
        out = np.empty((len(self.train), *self.features.shape[1:]), np.float32)
        for f in range(len(self.train)):
            mean, scale = self.scale(f)
            out[f] = (self.features[self.network[f]] - mean) * scale
        return self._replace(features=out, network=np.arange(len(out)))

    def shuffled(self, seed: int = 0) -> "Task":
        """The frames of each clip in a random order, the same for all networks: a control."""
        order = np.tile(np.arange(self.mask.shape[1]), (len(self.mask), 1))
        for i, there in enumerate(self.mask):
            at = np.flatnonzero(there)
            order[i, at] = np.random.default_rng([seed, i]).permutation(at)
        return self._replace(features=np.take_along_axis(self.features, order[None, :, :, None], 2))

    @property
    def hash(self) -> str:
        """Sha256, hex."""
        digest = hashlib.sha256(str((self.features.shape, self.classes)).encode())
        for field in self[:-1]:
            digest.update(np.ascontiguousarray(field).data)
        return digest.hexdigest()


def splits(
    subject: np.ndarray, inner: Sequence[Sequence[str]] = ()
) -> tuple[tuple[str, ...], np.ndarray, ...]:
    """The folds of leave-one-subject-out.

    Args:
      subject: str [n].
      inner: for each fold, in the order of the subjects' names, the subjects that choose its epoch; () for
        none.
    Returns:
      (names of the subjects held out [f], train bool [f, n], watch int32 [f, w], choose bool [f, w]).
    Raises:
      BadInput: fewer than two subjects.
    """
    names = tuple(np.unique(subject).tolist())
    if len(names) < 2:
        raise BadInput(
            f"leave-one-subject-out needs two subjects or more; there is {names[0] if names else 'none'}"
        )
    inner = inner or [()] * len(names)
    held = [np.flatnonzero(subject == name) for name in names]
    within = [np.flatnonzero(np.isin(subject, list(chosen))) for chosen in inner]
    width = max(len(a) + len(b) for a, b in zip(held, within, strict=True))
    train, watch = np.ones((len(names), len(subject)), bool), np.full((len(names), width), NONE, np.int32)
    choose = np.zeros(watch.shape, bool)
    for f, (a, b) in enumerate(zip(held, within, strict=True)):
        train[f, a] = train[f, b] = False
        watch[f, : len(a) + len(b)] = [*a, *b]
        choose[f, len(a) : len(a) + len(b)] = True
    return names, train, watch, choose


def class_weights(label: np.ndarray, k: int, balanced: bool) -> np.ndarray:
    """float32 [k], mean 1 over the rows: all 1, or so that the classes that occur weigh the same."""
    if not balanced:
        return np.ones(k, np.float32)
    count = np.bincount(label, minlength=k)
    return (len(label) / (np.maximum(count, 1) * (count > 0).sum())).astype(np.float32)
