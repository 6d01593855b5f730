"""What a network's action-unit logits stand on, by gradients and ablation; which pixel methods see weights.

The head is fitted on the choosing half of the subjects; everything here is read on the measuring half, by
inputs on which the head was not fitted and no unit was chosen. Which matches are significant was tested on
the same half.
"""

import dataclasses
from collections.abc import Sequence

import jax
import numpy as np

from ferjax.attribution import ablation, activations, fields, heads, pixels, planted, randomise, truth
from ferjax.attribution.inputs import Inputs
from ferjax.attribution.measure import Measured, of_match
from ferjax.attribution.network import Network
from ferjax.augment import normalise

NEUTRALS = 512  # pictures of faces at rest that a neutral mean is taken over, at most


def normalised(network: Network, images: np.ndarray):
    """[b, h, w, c] floats as the network takes them."""
    return normalise(images, network.normalise)


@dataclasses.dataclass(frozen=True, eq=False)
class Half:
    """Inputs of the measuring half: images uint8 [n, h, w, c], present int8 [n, u], subject str [n]."""

    images: np.ndarray
    present: np.ndarray
    subject: np.ndarray


def measuring_rows(inputs: Inputs, most: int) -> np.ndarray:
    """Rows of at most `most` inputs of the measuring half, spread evenly over its order."""
    rows = np.flatnonzero(~inputs.choose)
    return rows if len(rows) <= most else rows[np.linspace(0, len(rows) - 1, most).round().astype(int)]


def measuring_half(inputs: Inputs, most: int) -> Half:
    """The inputs of `measuring_rows`."""
    rows = measuring_rows(inputs, most)
    return Half(inputs.split.image[rows], inputs.present[rows], inputs.subject[rows])


def fit(features: np.ndarray, inputs: Inputs, bootstrap: int, seed: int) -> dict[str, np.ndarray]:
    """A head on a network's features, and how well it tells each unit on the measuring half.

    Args:
      features: [q, d] of the layer that heads stand on.
      bootstrap: resamples of the subjects; 0 for no intervals.
    Returns:
      {"kernel" [d, u], "bias" [u], "auc", "low", "high" [u]}.
    """
    c = inputs.choose
    head = heads.fit_head(features[c], inputs.present[c], inputs.subject[c], seed=seed)
    logits = heads.head_logits(head, features[~c])
    found = heads.head_auc(logits, inputs.present[~c], inputs.subject[~c], bootstrap, seed)
    return head | {key: np.array([getattr(e, name) for e in found]) for key, name in
                   (("auc", "value"), ("low", "low"), ("high", "high"))}  # fmt: skip


def with_head(network: Network, fitted: dict[str, np.ndarray], inputs: Inputs) -> Network:
    """The network with the fitted head."""
    head = {"kernel": fitted["kernel"], "bias": fitted["bias"]}
    return network.replace(head=head, au_names=inputs.au_names)


def gradients(network: Network, half: Half, layers: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Gradient x activation of every unit's logit: {"present", "absent"} [j, u]; see `heads`."""
    found = heads.gradient_x_activation(network, half.images, half.present, layers)
    return {"present": found.present, "absent": found.absent}


def single_ablations(
    network: Network, half: Half, acts: activations.Activations, neutral: dict[str, np.ndarray]
) -> np.ndarray:
    """Every filter replaced alone by its neutral mean: [j, u] mean drop of each unit's logit where it shows.

    Args:
      network: with a head.
      half: inputs to ablate on.
      acts: of all inputs, for the layers' filters.
      neutral: layer -> [h', w', j'].
    """
    drop = np.full((len(acts.layer), half.present.shape[1]), np.nan)
    for layer in acts.size:
        columns = acts.of(layer)
        masks = np.eye(len(columns), dtype=bool)
        base, ablated = ablation.ablated_logits(network, half.images, layer, masks, neutral[layer])
        drop[columns] = ablation.unit_drops(base, ablated, half.present)
    return drop


@dataclasses.dataclass(frozen=True, eq=False)
class Single:
    """The ablation of every filter alone, beside filters like it.

    Attributes:
      drop: [j] of the matched unit's logit; others: [j] mean of the other units' drops.
      limit, share: [j], see `ablation.single_limits`.
      stronger, comparable: bool [j].
    """

    drop: np.ndarray
    others: np.ndarray
    limit: np.ndarray
    share: np.ndarray

    @property
    def comparable(self) -> np.ndarray:
        """Bool [j]: has a unit that some input shows, and stand-ins that are alike."""
        return np.isfinite(self.drop) & np.isfinite(self.limit)

    @property
    def stronger(self) -> np.ndarray:
        """Bool [j]: lowers its unit's logit more than all of its stand-ins do."""
        return self.comparable & (self.drop > self.limit)

    def counts(self, of: np.ndarray) -> list[int]:
        """[stronger, comparable, all] of some filters, bool [j]."""
        return [int((flag & of).sum()) for flag in (self.stronger, self.comparable, of)]


def compared(drop: np.ndarray, acts: activations.Activations, found: Measured, level: float) -> Single:
    """Drops of single filters beside those of filters like them, layer by layer.

    Args:
      drop: [j, u] of `single_ablations`.
      acts: of all inputs, for the filters' mean activation.
      found: of the same network: its matches, and which are significant at `level`.
    """
    mean, unit = np.asarray(acts.mean).mean(0), found.match.au
    limit, share = np.full(len(drop), np.nan), np.full(len(drop), np.nan)
    follows = found.significant(level)
    for layer in acts.size:
        c = acts.of(layer)
        limit[c], share[c] = ablation.single_limits(drop[c], mean[c], unit[c], found.active[c], follows[c])
    return Single(of_match(drop, unit), ablation.others_drop(drop, unit), limit, share)


def group_ablations(
    network: Network,
    half: Half,
    acts: activations.Activations,
    neutral: np.ndarray,
    layer: str,
    au: np.ndarray,
    significant: np.ndarray,
    active: np.ndarray,
    bootstrap: int,
    seed: int,
) -> list[ablation.Ablation]:
    """All filters of a layer that are matched to a unit replaced together, for each unit that has some.

    Stand-ins are active filters of the layer that are not significantly matched to the same unit:
    there may be none that is matched to nothing.
    """
    columns = acts.of(layer)
    mean = np.asarray(acts.mean)[:, columns].mean(0)
    out = []
    for u in range(half.present.shape[1]):
        filters = np.flatnonzero(significant[columns] & (au[columns] == u))
        if not len(filters):
            continue
        allowed = active[columns].copy()
        allowed[filters] = False
        out += ablation.ablate_units(
            network, half.images, half.present, half.subject, layer, {u: filters.tolist()}, mean, neutral,
            allowed=allowed, draws=50, n_bootstrap=bootstrap, seed=seed,
        )  # fmt: skip
    return out


def randomisation(
    network: Network, inputs: Inputs, n: int, seed: int, bootstrap: int
) -> list[randomise.Randomisation]:
    """The cascading randomisation of every pixel method, of the logit of each input's predicted class.

    Args:
      n: inputs of the measuring half, spread evenly.
    """
    half = measuring_half(inputs, n)
    logits = jax.jit(lambda net, x: net(x)["logits"])(network, normalised(network, half.images))
    return randomise.randomisation_test(
        network, half.images, pixels.METHODS, "logits", np.asarray(logits).argmax(1), half.subject,
        seeds=(seed,), n_bootstrap=bootstrap,
    )  # fmt: skip


def filter_randomisation(
    network: Network,
    inputs: Inputs,
    acts: activations.Activations,
    layer: str,
    n: int,
    seed: int,
    bootstrap: int,
) -> list[randomise.Randomisation]:
    """The same of the pictures of filters, and of the plain gradient beside.

    Of each input the filter that comes nearest to its own maximum is taken.

    The place in the layer's map is the trained network's throughout, and only its receptive field is
    compared, so that what changes is what the weights below make of the same pixels.

    Args:
      acts: of all inputs.
      layer: whose filters.
      n: as for `randomisation`.
    """
    rows, columns = measuring_rows(inputs, n), acts.of(layer)
    maximum = np.asarray(acts.maximum)[:, columns]
    strongest = (maximum[rows] / np.maximum(maximum.max(0), 1e-12)).argmax(1)
    place = np.asarray(acts.position)[rows, columns[strongest]]
    width, images = acts.size[layer][1], inputs.split.image[rows]
    place = np.stack([place // width, place % width], -1)
    size = images.shape[1:3]
    boxes = fields.receptive_field(network.model, layer).box(place, size)
    y, x = np.arange(size[0])[:, None], np.arange(size[1])
    region = np.stack([(y >= t) & (y < b) & (x >= le) & (x < r) for t, le, b, r in boxes])
    methods = {m: pixels.METHODS[m] for m in ("gradient", "guided_backprop", "deconvnet")}
    return randomise.randomisation_test(
        network, images, methods, layer, acts.filter[columns[strongest]],
        inputs.subject[rows], seeds=(seed,), n_bootstrap=bootstrap,
        position=place, region=region,
    )  # fmt: skip


def neutral_means(network: Network, images: np.ndarray, layers: Sequence[str]) -> dict[str, np.ndarray]:
    """layer -> [h', w', j'] mean map over neutral pictures."""
    return {layer: ablation.neutral_mean(network, images, layer) for layer in layers}


def truths(
    network: Network,
    inputs: Inputs,
    fitted: dict[str, np.ndarray],
    features: np.ndarray,
    n: int,
    bootstrap: int,
) -> list[dict]:
    """Every pixel method scored where the answer is known: facsynth's units, and a planted network.

    Args:
      network: with a head.
      inputs: of facsynth; those without an emotion, of the measuring half, are looked at.
      fitted: the head of `fit`.
      features: [q, d] of all inputs: a unit counts where the head has its AUC on the inputs looked at.
      n: inputs a unit.
    Returns:
      A dict a target, reference and method: {"target", "reference", "method", "n", "area"} and for each of
      truth.SCORES [value, low, high, shuffled].
    """
    rows = np.flatnonzero(~inputs.choose & (inputs.emotion < 0))
    images, subject = inputs.split.image[rows], inputs.subject[rows]
    ids = np.char.replace(inputs.split.id[rows], "-independent", "")
    logits = heads.head_logits(fitted, features[rows])
    auc = heads.head_auc(logits, inputs.present[rows], subject, 0)
    found = truth.score_units(
        network, images, ids, subject, inputs.present[rows], auc, pixels.METHODS, "independent", most=n,
        n_bootstrap=bootstrap,
    )  # fmt: skip
    out = []
    for au, references in found.items():
        for reference, scores in references.items():
            out += [_truth_row(f"{au} logit", reference, s) for s in scores]
    some = np.linspace(0, len(rows) - 1, min(n, len(rows))).round().astype(int)
    region = planted.au_region("AU12", images.shape[1])
    scores = truth.score_planted(pixels.METHODS, images[some], subject[some], region, n_bootstrap=bootstrap)
    return out + [_truth_row("planted on AU12's region", "region", s) for s in scores]


def _truth_row(target: str, reference: str, score: truth.Score) -> dict:
    row = {"target": target, "reference": reference, "method": score.method, "n": score.n, "area": score.area}
    return row | {name: [*getattr(score, name), score.shuffled[name]] for name in truth.SCORES}
