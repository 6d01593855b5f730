"""How good pixel methods are, where the answer is known: against the renderer, and on planted networks.

Two truths, which say different things:

- On a planted network (`planted.planted`) the region that its outputs depend on is known. What a map shows
  elsewhere is wrong.
- On facsynth's faces the place of a unit's evidence is known: what the unit changes in the picture. That is
  where evidence lies, not what a network uses; it is asked only of units that the head tells well on subjects
  it has not seen (AUC above `LEAST_AUC`), and beside it stands an edge detector, which knows no network.

Axis letters: n inputs, h w image, u action units.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from functools import partial

import jax
import numpy as np

from data_pipelines import BadInput, facsynth
from data_pipelines.facsynth import expressions
from data_pipelines.facsynth.generate import sample_one
from data_pipelines.facsynth.identity import sample_identity, sample_light, sample_pose
from data_pipelines.facsynth.render import au_vector
from ferjax.attribution import ranks
from ferjax.attribution.network import HEAD, Network
from ferjax.attribution.planted import FACES, SHARE, planted, unit_evidence
from ferjax.attribution.randomise import Method, run_method
from ferjax.attribution.subjects import mean_interval, subject_codes
from ferjax.metrics import Estimate

LEAST_AUC = 0.9  # held-out AUC from which on a unit's logit is taken to see the unit
EDGES = "edges (no network)"
SCORES = ("pointing", "mass", "rank")
_NAME = re.compile(r"facsynth-(\d+)-(\d+)-(\d+)")


@dataclasses.dataclass(frozen=True)
class Evidence:
    """Pictures of facsynth, and where each of them shows one action unit.

    Attributes:
      image: uint8 [n, h, w, 1] as `facsynth.generate` draws it, but for one grey level here and there:
        another program rounds otherwise.
      aus: float32 [n, u, 2] intensities (left, right), in the order of facsynth.AU_NAMES.
      shown: float32 [n, h, w] |picture - picture without the unit|, all else the same; 0 where it is absent.
      slope: float32 [n, h, w] |d picture / d intensity| of the unit, on both sides, at these intensities.
    """

    image: np.ndarray
    aus: np.ndarray
    shown: np.ndarray
    slope: np.ndarray


def facsynth_evidence(ids: Sequence[str], au: str, mode: str = "emotion", size: int = 48) -> Evidence:
    """Draws pictures of facsynth again, from their ids, with the evidence for an action unit.

    Args:
      ids: as in the set, "facsynth-<seed>-<subject>-<image>".
      au: one of facsynth.AU_NAMES.
      mode, size: of the set.
    Returns:
      Evidence.
    Raises:
      BadInput: an id that is not facsynth's, an action unit or mode that it does not have.
    """
    if au not in facsynth.AU_NAMES:
        raise BadInput(f"facsynth has no action unit {au!r}; it has {', '.join(facsynth.AU_NAMES)}")
    if mode not in expressions.MODES:
        raise BadInput(f"facsynth: mode is {mode!r}; write {' or '.join(expressions.MODES)}")
    numbers = []
    for name in ids:
        match = _NAME.fullmatch(str(name))
        if not match:
            raise BadInput(f"id {str(name)!r} is no picture of facsynth; only facsynth can be drawn again")
        numbers.append([int(part) for part in match.groups()])
    numbers, parts = np.array(numbers, np.uint32).reshape(-1, 3), []
    for start in range(0, len(numbers), FACES):
        rows = numbers[start : start + FACES]
        filled = np.pad(rows, [(0, FACES - len(rows)), (0, 0)], mode="edge")
        face = _sampled(*filled.T, mode=mode, size=size)
        picture, *maps = unit_evidence(*face, au_vector(**{au: 1.0}), size=size)
        pixels = np.round(np.asarray(picture) * np.float32(255)).astype(np.uint8)
        parts.append([np.asarray(a)[: len(rows)] for a in (pixels, face[1], *maps)])
    if not parts:
        nothing = np.zeros((0, size, size), np.float32)
        aus = np.zeros((0, len(facsynth.AU_NAMES), 2), np.float32)
        return Evidence(np.zeros((0, size, size, 1), np.uint8), aus, nothing, nothing)
    return Evidence(*(np.concatenate(column) for column in zip(*parts, strict=True)))


@partial(jax.jit, static_argnames=("mode", "size"))
def _sampled(seed, subject, image, mode: str, size: int):
    """Identity, aus, pose, light and key of each picture, as `facsynth.generate.sample_one` takes them."""

    def one(seed, subject, image):
        base = jax.random.key(seed)
        aus = sample_one(base, subject, image, mode, size)[2]
        subject_key = jax.random.fold_in(base, subject)
        keys = jax.random.split(jax.random.fold_in(jax.random.fold_in(subject_key, 1), image), 4)
        who = sample_identity(jax.random.fold_in(subject_key, 0))
        return who, aus, sample_pose(keys[1]), sample_light(keys[2]), keys[3]

    return jax.vmap(one)(seed, subject, image)


@dataclasses.dataclass(frozen=True)
class Score:
    """One method against one truth; each of SCORES is (value, low, high), the interval over subjects.

    Attributes:
      method: its name.
      pointing: share of inputs whose map is largest inside of the region (Zhang et al. 2016).
      mass: mean share of the absolute map that lies inside of the region.
      rank: mean Spearman correlation of the absolute map with the evidence, over the pixels.
      area: mean share of the picture that is region: what a map of noise has for pointing and mass; for rank
        it has 0.
      shuffled: {score: value} of the same maps against the evidence of the inputs of other subjects, all of
        them: what knowing where the unit usually shows is worth. NaN where all inputs have the same evidence.
      blank: maps that are 0 throughout; they count as missed: 0 in every score.
      n: inputs.
    """

    method: str
    pointing: tuple[float, float, float]
    mass: tuple[float, float, float]
    rank: tuple[float, float, float]
    area: float
    shuffled: dict[str, float]
    blank: int
    n: int


def score(
    method: str,
    maps: np.ndarray,
    evidence: np.ndarray,
    subject: np.ndarray,
    share: float = SHARE,
    n_bootstrap: int = 2000,
    seed: int = 0,
) -> Score:
    """Scores maps against where the evidence is.

    The region of an input is where its evidence is above `share` of its largest. A map is as large as its
    absolute value; of equal largest pixels the first counts.

    Args:
      method: the name to give it.
      maps: [n, h, w] with signs.
      evidence: [n, h, w] at least 0, or bool: of each input.
      subject: [n] names or codes.
      share: in [0, 1).
      n_bootstrap, seed: of the intervals.
    Returns:
      Score.
    Raises:
      ValueError: shapes differ, no inputs, negative evidence, or none at all in an input.
    """
    maps, evidence = np.asarray(maps, np.float64), np.asarray(evidence, np.float64)
    if maps.shape != evidence.shape or maps.ndim != 3 or not len(maps) or len(subject) != len(maps):
        raise ValueError(
            f"score needs maps and evidence [n, h, w] and n subjects, n > 0; got {maps.shape}, "
            f"{evidence.shape} and {len(subject)}"
        )
    size, true = np.abs(maps).reshape(len(maps), -1), evidence.reshape(len(maps), -1)
    if (true < 0).any() or not true.max(1).all():
        row = int(((true < 0).any(1) | (true.max(1) <= 0)).argmax())
        raise ValueError(f"input {row} has no evidence, or negative evidence: leave it out")
    region = (true > share * true.max(1, keepdims=True)).astype(np.float64)
    largest, total = size.argmax(1), size.sum(1)
    blank = total == 0
    a, b = _unit_ranks(size), _unit_ranks(true)
    with_all = {  # [n, n]: each map against each input's evidence
        "pointing": region[:, largest].T * ~blank[:, None],
        "mass": size @ region.T / np.where(blank, 1, total)[:, None],
        "rank": a @ b.T,
    }
    own = np.stack([np.diagonal(with_all[name]) for name in SCORES], 1)
    found = np.stack(mean_interval(own, subject, n_bootstrap, seed), 1)
    code = subject_codes(subject)
    others = (code[:, None] != code) & (true != true[0]).any()
    shuffled = {k: float(v[others].mean()) if others.any() else np.nan for k, v in with_all.items()}
    values = {name: tuple(map(float, row)) for name, row in zip(SCORES, found, strict=True)}
    return Score(
        method, **values, area=float(region.mean()), shuffled=shuffled, blank=int(blank.sum()), n=len(maps)
    )


def _unit_ranks(rows: np.ndarray) -> np.ndarray:
    """Ranks in each row, centred and of length 1, so that products are Spearman's; 0 for a constant row."""
    centred = ranks.centred_ranks(rows.T).T
    length = np.sqrt((centred * centred).sum(1, keepdims=True))
    return np.divide(centred, length, out=np.zeros(centred.shape), where=length > 0)


def edges(images: np.ndarray) -> np.ndarray:
    """Sobel's gradient magnitude, channels added, the border going on: [n, h, w, c] -> [n, h, w]."""
    x = np.pad(np.asarray(images, np.float64).sum(-1), [(0, 0), (1, 1), (1, 1)], mode="edge")
    across, down = x[:, :, 2:] - x[:, :, :-2], x[:, 2:] - x[:, :-2]
    gx = across[:, :-2] + 2 * across[:, 1:-1] + across[:, 2:]
    gy = down[:, :, :-2] + 2 * down[:, :, 1:-1] + down[:, :, 2:]
    return np.hypot(gx, gy)


def all_maps(
    network: Network,
    images: np.ndarray,
    methods: Mapping[str, Method],
    layer: str,
    index,
    batch_size: int = 32,
) -> dict[str, np.ndarray]:
    """The maps of every method for one target of each input, and of the edge detector: name -> [n, h, w]."""
    maps = {m: run_method(f, network, images, layer, index, None, batch_size) for m, f in methods.items()}
    return maps | {EDGES: edges(images)}


def score_planted(
    methods: Mapping[str, Method],
    images: np.ndarray,
    subject: np.ndarray,
    mask: np.ndarray,
    features: tuple[int, ...] = (8,),
    decoys: int = 32,
    seed: int = 0,
    batch_size: int = 32,
    n_bootstrap: int = 2000,
) -> list[Score]:
    """Every method, and the edge detector, on a planted network that reads the mask alone.

    Explained is one logit of each input, another one from input to input. The truth is the region that the
    network can depend on.

    Args:
      methods: name -> method.
      images: uint8 [n, h, w, 1].
      subject: [n].
      mask: bool [h, w], such as `planted.au_region("AU12")`.
      features, decoys, seed: as for `planted.planted`. Without decoys every backward method scores full marks
        in pointing and mass: it then tells only maps that are not made by following paths.
      batch_size: images a step.
      n_bootstrap: of the intervals.
    Returns:
      One Score a method, EDGES last.
    """
    network, region = planted(mask, features, decoys=decoys, seed=seed)
    index = np.arange(len(images)) % network.model.outputs
    truth = np.broadcast_to(region, (len(images), *region.shape))
    maps = all_maps(network, images, methods, "logits", index, batch_size)
    return [score(name, m, truth, subject, n_bootstrap=n_bootstrap) for name, m in maps.items()]


def score_units(
    network: Network,
    images: np.ndarray,
    ids: np.ndarray,
    subject: np.ndarray,
    present: np.ndarray,
    auc: Sequence[Estimate],
    methods: Mapping[str, Method],
    mode: str = "emotion",
    most: int = 100,
    least: float = LEAST_AUC,
    batch_size: int = 32,
    n_bootstrap: int = 2000,
) -> dict[str, dict[str, list[Score]]]:
    """Every method, and the edge detector, on the units' logits, against both of the renderer's references.

    Args:
      network: with a head of `au_names`.
      images: uint8 [n, h, w, 1] of facsynth, of subjects that the head has not seen.
      ids, subject: [n] of the images.
      present: [n, u] 1 present, 0 absent, -1 unknown, in the order of the head.
      auc: u held-out estimates, see `heads.head_auc`.
      methods: name -> method.
      mode: of the set.
      most: inputs a unit, taken evenly from those that show it.
      least: units with an AUC above it are scored.
      batch_size: images a step.
      n_bootstrap: of the intervals.
    Returns:
      unit -> {"shown": [Score], "slope": [Score]}, EDGES last; only units that facsynth has, told well enough
      and shown by two inputs or more.
    Raises:
      ValueError: shapes that do not fit the head.
      BadInput: pictures that are not those of their ids in this mode.
    """
    present, u, n = np.asarray(present), len(network.au_names), len(images)
    if present.shape != (n, u) or len(auc) != u or len(ids) != n or len(subject) != n:
        raise ValueError(
            f"{n} images, {len(ids)} ids, a head of {u} units, {len(auc)} AUCs and codes {present.shape}"
        )
    out = {}
    for u, au in enumerate(network.au_names):
        rows = np.flatnonzero(present[:, u] == 1)
        if au not in facsynth.AU_NAMES or not auc[u].value > least or len(rows) < 2:
            continue
        if len(rows) > most:
            rows = rows[np.linspace(0, len(rows) - 1, most).round().astype(int)]
        truth = facsynth_evidence([str(ids[row]) for row in rows], au, mode, images.shape[1])
        _check_same(truth.image, images[rows], [str(ids[row]) for row in rows], mode)
        # A faint unit may move no grey value at all.
        seen = (truth.shown.max((1, 2)) > 0) & (truth.slope.max((1, 2)) > 0)
        if seen.sum() < 2:
            continue
        maps = all_maps(network, images[rows[seen]], methods, HEAD, u, batch_size)
        out[au] = {
            name: [
                score(
                    m, a, getattr(truth, name)[seen], np.asarray(subject)[rows[seen]], n_bootstrap=n_bootstrap
                )
                for m, a in maps.items()
            ]
            for name in ("shown", "slope")
        }
    return out


def _check_same(drawn: np.ndarray, given: np.ndarray, ids: list[str], mode: str) -> None:
    """BadInput where a picture is not what facsynth draws for its id: its evidence would be wrong."""
    same = drawn.shape == given.shape
    off = np.abs(drawn.astype(int) - given).reshape(len(ids), -1).max(1) > 1 if same else np.ones(1, bool)
    if off.any():
        raise BadInput(
            f"picture {ids[int(off.argmax())]} is not what facsynth draws for this id in mode {mode!r}; give "
            "the mode (data.options.mode) and the pictures of one and the same set, not resized"
        )
