"""Did it help? Two kinds of networks on the same pictures: the difference of their accuracies.

Axis letters: n answers, one for each picture and network.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from ferjax import across
from ferjax.metrics import LEVEL, Estimate


def paired(
    right: np.ndarray,
    baseline: np.ndarray,
    subject: np.ndarray,
    network: np.ndarray,
    bootstrap: int = 2000,
    seed: int = 0,
) -> Estimate:
    """Accuracy of one kind of networks minus another's, with an interval over people and seeds at once.

    Each answer is paired with the baseline's answer to the same picture, by the network of the same fold and
    seed. Subjects and networks are resampled with replacement, independently of each other (a two-way
    bootstrap; Owen 2007). Of a handful of seeds no resampling can tell much: where seeds matter, two give
    intervals that are too narrow (they hold in some 88 of 100 cases, not 95, where trainings differ by 5
    points and there are 14 people), and so do two or three people.

    Args:
      right: bool [n].
      baseline: bool [n].
      subject: str [n].
      network: [n], names the seed.
      bootstrap: resamples; 0 for no interval.
      seed: of the resampling.
    Returns:
      Estimate from -1 to 1; n is the number of answers.
    """
    change = np.asarray(right, np.float64) - np.asarray(baseline, np.float64)
    n = len(change)
    if not n:
        return Estimate(np.nan, np.nan, np.nan, 0, "no picture")
    people, who = np.unique(subject, return_inverse=True)
    seeds, which = np.unique(network, return_inverse=True)
    value = float(change.mean())
    if len(people) < 2 or not bootstrap:
        why = "a single subject" if bootstrap else "no interval was asked for"
        return Estimate(value, np.nan, np.nan, n, why)
    # all that matters of an answer is its subject and its network
    total = np.zeros((len(people), len(seeds)))
    count = np.zeros_like(total)
    np.add.at(total, (who, which), change)
    np.add.at(count, (who, which), 1)
    rng = np.random.default_rng(seed)
    a = rng.multinomial(len(people), np.full(len(people), 1 / len(people)), bootstrap)
    b = rng.multinomial(len(seeds), np.full(len(seeds), 1 / len(seeds)), bootstrap)
    top = np.einsum("rp,ps,rs->r", a, total, b, optimize=True)
    bottom = np.einsum("rp,ps,rs->r", a, count, b, optimize=True)
    low, high = np.quantile((top / np.maximum(bottom, 1))[bottom > 0], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value, float(low), float(high), n)


def of_predictions(pairs: Iterable[tuple], classes, bootstrap: int = 2000) -> Estimate:
    """`paired`, of files of predictions: network by network and picture by picture.

    Args:
      pairs: (network, _predictions.csv, the baseline's) of each.
      classes: emotions in the files' order.
      bootstrap: resamples.
    Raises:
      ValueError: the two files of a pair are of different pictures.
    """
    right, base, subject, network = [], [], [], []
    for name, path, other in pairs:
        a, b = across.read_predictions(path, classes), across.read_predictions(other, classes)
        rows = matched(a, b)
        right.append(a[3].argmax(1) == a[2])
        base.append((b[3].argmax(1) == b[2])[rows])
        subject.append(np.where(a[1] == "", np.char.add("image ", a[0]), a[1]))
        network.append(np.full(len(rows), name))
    return paired(*(np.concatenate(v) for v in (right, base, subject, network)), bootstrap)


def sentence(name: str, e: Estimate, than: str = "no map") -> str:
    """What the difference says, in words: "product: -3.1 points [-6.0, -0.4]; worse than no map"."""
    said = f"{name}: {100 * e.value:+.1f} points [{100 * e.low:+.1f}, {100 * e.high:+.1f}]"
    if not np.isfinite(e.low):
        return f"{name}: {100 * e.value:+.1f} points, without interval ({e.reason})"
    if e.low > 0:
        return f"{said}; better than {than}"
    return f"{said}; {f'worse than {than}' if e.high < 0 else 'no difference shown'}"


def matched(a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> np.ndarray:
    """Rows of b that are the pictures of a, in a's order; both (id, ...) of one part.

    Raises:
      ValueError: they are not of the same pictures.
    """
    place = {name: i for i, name in enumerate(b[0].tolist())}
    if set(place) != set(a[0].tolist()):
        raise ValueError("predictions of different pictures cannot be paired")
    return np.array([place[name] for name in a[0].tolist()])
