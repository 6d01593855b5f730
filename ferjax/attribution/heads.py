"""A linear action-unit head on a frozen network's features, and which filters its logits stand on.

The head is logistic regression, one unit beside the other: it has one optimum, which Newton's method finds to
the last digits, in float64 on the host and so the same everywhere. Only its rows of training are looked at.

Axis letters: n inputs, d features, u action units, j filters.
"""

import dataclasses
import hashlib
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from data_pipelines import BadInput
from ferjax import metrics
from ferjax.attribution.activations import check_layers, map_layers
from ferjax.attribution.network import HEAD, Network
from ferjax.augment import normalise

Array = jax.Array
STRENGTHS = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)  # of L2, the strongest first
FOLDS = 3  # of the training subjects, to choose the strength
_STEPS, _SOLVES = 50, 200  # Newton steps, and conjugate gradients in each; far more than are ever needed
_TOLERANCE = 1e-8  # of the gradient's norm; losses are means, near 1


def fit_head(
    features: np.ndarray,
    present: np.ndarray,
    subject: np.ndarray,
    strength: np.ndarray | float | None = None,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Logistic regression of every action unit on the features.

    Minimises, with features standardised over the rows given, for each unit

        mean over its known rows of  w log(1 + exp(-y z))  +  strength / 2 |kernel|^2,    z = x kernel + bias,

    where y is 1 or -1 and w makes present and absent rows weigh the same (w = known / (2 count)). The bias is
    not shrunk. The result is for features as they are, not standardised. In scikit-learn's terms: C =
    1 / (strength * known), class_weight="balanced".

    Args:
      features: [n, d] of the training rows alone.
      present: [n, u] 1 present, 0 absent, -1 unknown (left out for that unit).
      subject: str [n]; "" is unknown, and the row then a subject of its own.
      strength: of L2, one or [u]; None: `choose_strength` finds it among these rows.
      seed: of the inner split by which it is chosen.
    Returns:
      {"kernel": float32 [d, u], "bias": float32 [u]}, as `Network.head` takes it. A unit that is nowhere
      present, or nowhere absent, cannot be learned: its column is 0.
    Raises:
      ValueError: shapes that do not fit, features that are not finite, codes other than 1, 0, -1, or a
        strength that is not above 0.
      BadInput: only one subject, where the strength is to be chosen.
    """
    features, present, subject = _checked(features, present, subject)
    if strength is None:
        strength = choose_strength(features, present, subject, seed=seed)
    strength = np.broadcast_to(np.asarray(strength, np.float64), present.shape[1:])
    if not (strength > 0).all():
        raise ValueError(f"strength is {strength.min()}; L2 must be above 0")
    basis = _Basis(features)
    return {
        name: a.astype(np.float32) for name, a in basis.unfold(_solve(basis.x, present, strength)).items()
    }


def choose_strength(
    features: np.ndarray,
    present: np.ndarray,
    subject: np.ndarray,
    strengths: tuple[float, ...] = STRENGTHS,
    folds: int = FOLDS,
    seed: int = 0,
) -> np.ndarray:
    """The L2 strength of each unit that does best on subjects left out, folds in turn.

    What counts is the loss of `fit_head` without its L2 term, summed over the rows left out of each fold in
    which the unit is present and absent on both sides. Of equals the stronger is taken; a unit with no such
    fold gets the strongest.

    Args:
      features, present, subject, seed: as for `fit_head`; folds are made by a hash of subject and seed.
      strengths: to choose from.
      folds: at least 2; fewer are made where there are fewer subjects.
    Returns:
      float64 [u].
    Raises:
      BadInput: only one subject.
      ValueError: as `fit_head`, or no strengths, or fewer than two folds.
    """
    features, present, subject = _checked(features, present, subject)
    if folds < 2 or not len(strengths) or min(strengths) <= 0:
        raise ValueError(f"need two folds or more and strengths above 0, got {folds} and {strengths}")
    fold = _folds(subject, folds, seed)
    strengths = sorted(map(float, strengths), reverse=True)
    loss = np.zeros((len(strengths), present.shape[1]))
    for f in range(fold.max() + 1):
        out = fold == f
        told = _both(present[~out]) & _both(present[out])
        basis, weight, start = _Basis(features[~out]), _weights(present[out]), None
        for i, strength in enumerate(strengths):  # each starts where the stronger one ended
            start = _solve(basis.x, present[~out], np.full(present.shape[1], strength), start)
            head = basis.unfold(start)
            z = features[out] @ head["kernel"] + head["bias"]
            loss[i] += np.where(told, _loss(z, present[out], weight).sum(0), 0)
    return np.array(strengths)[loss.argmin(0)]


def head_auc(
    logits: np.ndarray, present: np.ndarray, subject: np.ndarray, n_bootstrap: int = 2000, seed: int = 0
) -> list[metrics.Estimate]:
    """ROC AUC of every unit, intervals over subjects; give it rows of subjects the head has not seen.

    Args:
      logits: [n, u].
      present, subject: as for `fit_head`.
      n_bootstrap: resamples of the subjects.
      seed: of the resampling.
    Returns:
      u Estimates, NaN with a reason where a unit is nowhere present or nowhere absent; n counts the known
      rows that show the unit.
    Raises:
      ValueError: shapes or codes that do not fit.
    """
    logits, present, subject = _checked(logits, present, subject)
    if logits.shape != present.shape:
        raise ValueError(f"logits has shape {logits.shape}, present {present.shape}")
    out = []
    for z, a in zip(logits.T, present.T, strict=True):
        known = a >= 0
        if not known.any():
            out.append(metrics.Estimate(np.nan, np.nan, np.nan, 0, "the unit is known of no input"))
            continue
        # An AUC knows only the order: ranks, as a probability, have it without rounding.
        p = (np.unique(z[known], return_inverse=True)[1] + 0.5) / known.sum()
        scores = metrics.classification(
            a[known], np.stack([1 - p, p], 1), ("absent", "present"), subject[known], n_bootstrap, seed
        )
        out.append(scores.metrics["auc/present"])
    return out


def head_logits(head: dict[str, np.ndarray], features: np.ndarray) -> np.ndarray:
    """[n, d] features -> float32 [n, u] logits."""
    return np.asarray(features, np.float32) @ head["kernel"] + head["bias"]


@dataclasses.dataclass(frozen=True)
class GradientActivation:
    """Gradient times activation of every filter for every unit's logit, as means.

    Attributes:
      present: [j, u] over the inputs that show the unit; NaN where none does.
      absent: [j, u] over those that do not.
      layer: str [j]; filter: int32 [j]: which filter.
    """

    present: np.ndarray
    absent: np.ndarray
    layer: np.ndarray
    filter: np.ndarray


def gradient_x_activation(
    network: Network,
    images: np.ndarray,
    present: np.ndarray,
    layers: tuple[str, ...] | None = None,
    batch_size: int = 32,
    chunk: int = 5,
) -> GradientActivation:
    """What each filter adds to each unit's logit, to first order.

    G[n, j, u] = sum over the map's places of  d logit u / d activation * activation,  reduced to its means
    over inputs with and without the unit. One forward pass a batch serves all layers and units.

    Args:
      network: with a head.
      images: uint8 [n, h, w, c].
      present: [n, u] 1, 0, -1 unknown; of the head's units.
      layers: names of maps; None: the rectified map of every block.
      batch_size: images a step.
      chunk: units whose backward passes run as one; batch_size times chunk maps are held at once.
    Returns:
      GradientActivation.
    Raises:
      ValueError: no head, or shapes that do not fit.
      BadInput: an unknown layer.
    """
    if network.head is None:
        raise ValueError("gradient_x_activation explains the units' logits: the network needs a head")
    u = np.shape(network.head["bias"])[0]
    present = np.asarray(present)
    if present.shape != (len(images), u) or not np.isin(present, (-1, 0, 1)).all():
        raise ValueError(f"present has shape {present.shape}; need codes 1, 0, -1 of {(len(images), u)}")
    layers = check_layers(network, images.shape[1:], layers)
    batch_size = max(1, min(batch_size, len(images)))
    total = None
    for start in range(0, len(images), batch_size):
        batch, codes = images[start : start + batch_size], present[start : start + batch_size]
        missing = batch_size - len(batch)
        batch = np.pad(batch, [(0, missing)] + [(0, 0)] * 3)
        codes = np.pad(codes, [(0, missing), (0, 0)], constant_values=-1)
        sums = _gradient_sums(network, batch, codes, layers=layers, chunk=chunk)
        sums = np.asarray(sums, np.float64)
        total = sums if total is None else total + sums
    counts = np.stack([(present == code).sum(0) for code in (1, 0)])[:, None]
    means = np.divide(total, counts, out=np.full(total.shape, np.nan), where=counts > 0)
    shapes = map_layers(network, images.shape[1:])
    filters = [shapes[name][2] for name in layers]
    return GradientActivation(
        *means,
        layer=np.repeat(np.array(layers), filters),
        filter=np.concatenate([np.arange(m, dtype=np.int32) for m in filters]),
    )


@partial(jax.jit, static_argnames=("layers", "chunk"))
def _gradient_sums(network: Network, images: Array, codes: Array, layers: tuple[str, ...], chunk: int):
    """[2, j, u]: gradient times activation summed over the inputs with (0) and without (1) each unit."""
    x = normalise(images, network.normalise)
    like = jax.eval_shape(network, x)
    zeros = {name: jnp.zeros(like[name].shape, like[name].dtype) for name in layers}

    def forward(added):
        acts = network(x, edit=lambda name, a: a + added[name] if name in added else a)
        return acts[HEAD], {name: acts[name].astype(jnp.float32) for name in layers}

    logits, back, acts = jax.vjp(forward, zeros, has_aux=True)

    def of_unit(direction):
        (gradient,) = back(jnp.broadcast_to(direction, logits.shape))
        each = [(gradient[name].astype(jnp.float32) * acts[name]).sum((1, 2)) for name in layers]
        return jnp.concatenate(each, 1)

    units = jnp.eye(logits.shape[1], dtype=logits.dtype)
    parts = [jax.vmap(of_unit)(units[i : i + chunk]) for i in range(0, len(units), chunk)]
    shown = jnp.stack([codes == 1, codes == 0]).astype(jnp.float32)
    return jnp.einsum("mbu,ubj->mju", shown, jnp.concatenate(parts), precision="highest")


def standard(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(mean [d], scale [d]) by which [n, d] features, (x - mean) * scale, have mean 0 and deviation 1.

    The scale of a feature that is constant here is 0: it tells nothing, and where it varies on other rows no
    weight may rest on that.
    """
    mean, deviation = features.mean(0), features.std(0)
    varies = (deviation > 1e-6 * np.abs(mean)) & (deviation > 0)
    return mean, np.divide(1, deviation, out=np.zeros(len(mean)), where=varies)


class _Basis:
    """Features standardised, and turned to their principal axes: n or d columns, whichever is less.

    An L2 penalty does not change under the turn, and outside these axes the best kernel is 0.
    """

    def __init__(self, features: np.ndarray):
        n, d = features.shape
        self.mean, self.scale = standard(features)
        x = (features - self.mean) * self.scale
        square, axes = np.linalg.eigh((x.T @ x if n >= d else x @ x.T) / n)
        kept = square > 1e-13 * max(square.max(initial=0), 1)
        square, axes = square[kept], axes[:, kept]
        if n < d:
            axes = x.T @ (axes / np.sqrt(n * square))
        self.axes, self.x = axes, x @ axes

    def unfold(self, theta: np.ndarray) -> dict[str, np.ndarray]:
        """Weights on `x` and 1, [r + 1, u] -> kernel and bias for the features as they are."""
        kernel = self.scale[:, None] * (self.axes @ theta[:-1])
        return {"kernel": kernel, "bias": theta[-1] - self.mean @ kernel}


def _solve(x: np.ndarray, present: np.ndarray, strength: np.ndarray, start=None) -> np.ndarray:
    """Newton's method by conjugate gradients, all units side by side: [r + 1, u], the bias last."""
    x = np.concatenate([x, np.ones((len(x), 1))], 1)
    w, target = _weights(present), present == 1
    penalty = np.broadcast_to(strength, (x.shape[1], len(strength))).copy()
    penalty[-1] = 0
    theta = np.zeros(penalty.shape) if start is None else start.copy()
    z, squares = x @ theta, (x * x).mean(0)[:, None]
    for _ in range(_STEPS):
        p = _sigmoid(z)
        slope = x.T @ (w * (p - target)) + penalty * theta
        size = np.linalg.norm(slope, axis=0)
        if (size < _TOLERANCE).all():
            break
        curve = w * p * (1 - p)
        diagonal = np.maximum(squares * curve.sum(0) + penalty, 1e-30)
        hessian = partial(_hessian, x, curve, penalty)
        step = _conjugate(hessian, -slope, diagonal, np.minimum(0.1, np.sqrt(size)))
        t = _line_search(z, x @ step, theta, step, (slope * step).sum(0), present, w, penalty)
        if not t.any():
            break
        theta, z = theta + t * step, z + t * (x @ step)
    return theta


def _hessian(x, curve, penalty, v):
    return x.T @ (curve * (x @ v)) + penalty * v


def _conjugate(hessian, b: np.ndarray, diagonal: np.ndarray, tolerance: np.ndarray) -> np.ndarray:
    """Solves hessian(v) = b, column by column, to the tolerance [u] of its norm."""
    v, r = np.zeros_like(b), b
    p = s = r / diagonal
    rs, wanted = (r * s).sum(0), tolerance * np.linalg.norm(b, axis=0)
    for _ in range(_SOLVES):
        going = np.linalg.norm(r, axis=0) > wanted
        if not going.any():
            break
        q = hessian(p)
        pq = (p * q).sum(0)
        a = np.divide(rs, pq, out=np.zeros_like(rs), where=going & (pq > 0))
        v, r = v + a * p, r - a * q
        s = r / diagonal
        new = (r * s).sum(0)
        p = s + np.divide(new, rs, out=np.zeros_like(rs), where=going & (rs > 0)) * p
        rs = new
    return v


def _line_search(z, dz, theta, step, slope, present, w, penalty) -> np.ndarray:
    """[u]: the first of 1, 1/2, 1/4 ... by which the loss falls enough (Armijo); 0 where none does."""

    def loss(t):
        return _loss(z + t * dz, present, w).sum(0) + 0.5 * (penalty * (theta + t * step) ** 2).sum(0)

    t, before = np.ones(len(slope)), loss(0.0)
    for _ in range(30):
        enough = loss(t) <= before + 1e-4 * t * slope + 1e-14
        if enough.all():
            break
        t = np.where(enough, t, t / 2)
    return np.where(enough, t, 0)


def _sigmoid(z: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * z))


def _loss(z: np.ndarray, present: np.ndarray, w: np.ndarray) -> np.ndarray:
    return w * np.logaddexp(0, np.where(present == 1, -z, z))


def _weights(present: np.ndarray) -> np.ndarray:
    """[n, u]: half for the rows that show the unit, half for those that do not, 0 for unknown ones."""
    w = np.zeros(present.shape)
    for code in (0, 1):
        w += (present == code) / np.maximum(2 * (present == code).sum(0), 1)
    return w * _both(present)


def _both(present: np.ndarray) -> np.ndarray:
    """bool [u]: units that are present in a row and absent in another."""
    return (present == 1).any(0) & (present == 0).any(0)


def _folds(subject: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """int [n]: the fold of each row; as many subjects in each as can be, by a hash of their names."""
    names = [name or f"\0row {i}" for i, name in enumerate(subject.tolist())]
    order = sorted(set(names), key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).hexdigest())
    if len(order) < 2:
        raise BadInput(
            f"all {len(names)} inputs to fit the action-unit head are of one subject, {order[0]!r}: its L2 "
            "strength is chosen on subjects left out; give inputs of two subjects or more"
        )
    number = {name: i % folds for i, name in enumerate(order)}
    return np.array([number[name] for name in names])


def _checked(features, present, subject):
    features, present = np.asarray(features, np.float64), np.asarray(present)
    subject = np.asarray(subject).astype(str)
    n = len(features)
    if features.ndim != 2 or present.ndim != 2 or subject.shape != (n,) or len(present) != n or not n:
        raise ValueError(
            f"need [n, d], [n, u] and [n], n > 0; got {features.shape}, {present.shape} and {subject.shape}"
        )
    if not np.isfinite(features).all():
        raise ValueError(f"row {int((~np.isfinite(features)).any(1).argmax())} is not finite")
    if not np.isin(present, (-1, 0, 1)).all():
        raise ValueError("present holds a code other than 1 present, 0 absent, -1 unknown")
    return features, present, subject
