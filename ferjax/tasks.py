"""What a network is trained to tell: one emotion of several, or each action unit's presence.

A task says what the outputs are, which loss is summed, and what the selecting part is judged by.
All else of a training is the same for both.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from data_pipelines import BadInput, labels
from data_pipelines.split import Split
from ferjax import au_metrics, metrics

Array = jax.Array


class Emotion:
    """One class an image: softmax and cross-entropy."""

    kind = "emotion"

    def __init__(self, c: ConfigDict, train: Split):
        self.c, self.names = c, tuple(train.classes)

    def check(self, split: Split) -> None:
        """BadInput where a split has nothing to learn or score."""
        if not (split.label >= 0).any():
            raise BadInput(
                f"{split.name}: no image has a known label, so there is no emotion to learn "
                "(facsynth: set data.options.mode=emotion)"
            )

    def weights(self, split: Split) -> np.ndarray:
        """[k] float32 weight of each class, mean 1 over the examples; loss.class_weights=none gives ones."""
        k = len(self.names)
        counts = np.bincount(split.label[split.label >= 0], minlength=k)
        if self.c.loss.class_weights == "none":
            return np.ones(k, np.float32)
        present = np.maximum(counts, 1)
        return (counts.sum() / (present * np.count_nonzero(counts))).astype(np.float32)

    def sums(self, logits: Array, batch: dict, weights: Array) -> tuple[tuple, tuple]:
        """((loss, weight), (correct, counted)) of [b, k] logits."""
        loss = loss_sums(logits, batch["label"], batch["mask"], weights, self.c.loss.label_smoothing)
        return loss, metrics.accuracy_sums(logits, batch["label"], batch["mask"])

    @staticmethod
    def probability(logits: Array) -> Array:
        """[b, k] -> [b, k]."""
        return jax.nn.softmax(logits)

    def summary(self, split: Split, probability: np.ndarray) -> dict[str, float]:
        """{"loss", "accuracy", "uf1"} of a split, without intervals."""
        known = split.label >= 0
        label, probability = split.label[known], probability[known].astype(np.float64)
        counts = metrics.confusion(label, probability.argmax(1), probability.shape[1])
        loss = -np.log(np.maximum(probability[np.arange(len(label)), label], 1e-12)).mean()
        return {
            "loss": float(loss),
            "accuracy": float(metrics.accuracy(counts)),
            "uf1": float(metrics.uf1(counts)),
        }


class Aus:
    """Every action unit by itself: sigmoids and binary cross-entropy; an unknown code counts nothing."""

    kind = "aus"

    def __init__(self, c: ConfigDict, train: Split):
        self.c, self.left_out = c, []
        asked = [labels.au_name(labels.au_number(w)) for w in c.aus.units.split(",") if w.strip()]
        absent = [name for name in asked if name not in train.au_names]
        if absent:
            have = ", ".join(train.au_names) or "none"
            raise BadInput(f"config key aus.units names {absent[0]}; {train.name} has {have}")
        self.names = tuple(asked or train.au_names)
        code = self.present(train)
        enough = [
            min((code[:, j] == 1).sum(), (code[:, j] == 0).sum()) >= c.aus.least for j in range(code.shape[1])
        ]
        self.left_out = [name for name, ok in zip(self.names, enough, strict=True) if not ok]
        self.names = tuple(name for name, ok in zip(self.names, enough, strict=True) if ok)
        self.place = np.array(self.columns(train), np.int32)  # of the outputs, in a batch's codes
        if not self.names:
            raise BadInput(
                f"{train.name}: no action unit is present in {c.aus.least} images and absent in as many "
                "(aus.least); give a FACS-coded set, or lower it"
            )

    def columns(self, split: Split) -> list[int]:
        """Where the task's units stand in a split's codes."""
        return [split.au_names.index(name) for name in self.names]

    def present(self, split: Split) -> np.ndarray:
        """int8 [n, u] presence at aus.threshold: 1, 0, -1 unknown."""
        return labels.au_present(split.aus[:, self.columns(split)], self.c.aus.threshold)

    def check(self, split: Split) -> None:
        """BadInput where a split has nothing to learn or score."""
        if not (self.present(split) >= 0).any():
            raise BadInput(f"{split.name}: no image has a known code of {', '.join(self.names)}")

    def weights(self, split: Split) -> np.ndarray:
        """[u, 2] float32 weight of absent and present; aus.weights=balanced makes both sums alike."""
        code = self.present(split)
        if self.c.aus.weights == "none":
            return np.ones((len(self.names), 2), np.float32)
        return au_metrics.balance(code)

    def sums(self, logits: Array, batch: dict, weights: Array) -> tuple[tuple, tuple]:
        """((loss, weight), (right at one half, counted)) of [b, u] logits, over known codes."""
        codes = batch["aus"][:, self.place]
        threshold = self.c.aus.threshold
        known = (codes >= 0) & ((codes != labels.AU_PRESENT) | (threshold == 1)) & batch["mask"][:, None]
        present = codes >= threshold
        return au_loss_sums(logits, present, known, weights)

    def notes(self) -> list[str]:
        """What a reader of the numbers should know."""
        least = self.c.aus.threshold
        words = "any" if least == 1 else f"at least {least} (of 5)"
        out = [
            f"A unit counts as present at {words} intensity; F1 at thresholds chosen on the selecting part."
        ]
        if self.left_out:
            out.append(f"Left out, too few training images: {', '.join(self.left_out)}.")
        return out

    @staticmethod
    def probability(logits: Array) -> Array:
        """[b, u] -> [b, u]."""
        return jax.nn.sigmoid(logits)

    def summary(self, split: Split, probability: np.ndarray) -> dict[str, float]:
        """{"loss", "auc", "f1" at one half} of a split, means over units, without intervals."""
        code, p = self.present(split), np.clip(probability.astype(np.float64), 1e-7, 1 - 1e-7)
        loss = -np.where(code == 1, np.log(p), np.log1p(-p))[code >= 0].mean()
        half = np.full(len(self.names), 0.5)
        found = au_metrics.detection(code, p, self.names, half, split.subject, 0, people=1).metrics
        value = {name: found[name].value for name in ("auc", "f1")}
        if any(np.isnan(v) for v in value.values()):
            raise BadInput(
                f"{split.name}: no action unit is both present and absent in it, so nothing can be selected "
                "by its AUC or F1; divide the set otherwise (data.kfolds), or lower aus.threshold"
            )
        return {"loss": float(loss)} | {k: float(v) for k, v in value.items()}


def of(c: ConfigDict, train: Split) -> Emotion | Aus:
    """The task of a config, on a set whose training part this is."""
    return Aus(c, train) if c.task == "aus" else Emotion(c, train)


def loss_sums(
    logits: Array, label: Array, mask: Array, weights: Array, smoothing: float
) -> tuple[Array, Array]:
    """Cross-entropy as (sum, count).

    Args:
      logits: [b, k].
      label: [b], -1 unknown (not counted).
      mask: [b], False is padding.
      weights: [k] of each class.
      smoothing: share of the target spread evenly over all classes (Szegedy et al. 2016).
    Returns:
      sum over examples of weight * loss, and sum of weights.
    """
    k = logits.shape[-1]
    target = jax.nn.one_hot(label, k) * (1 - smoothing) + smoothing / k
    each = optax.softmax_cross_entropy(logits, target)
    weight = jnp.where(mask & (label >= 0), weights[label], 0.0)
    return jnp.sum(weight * each), jnp.sum(weight)


def au_loss_sums(logits: Array, present: Array, known: Array, weights: Array) -> tuple[tuple, tuple]:
    """Binary cross-entropy and agreement, each as (sum, count) over the known codes.

    Args:
      logits: [b, u].
      present: bool [b, u].
      known: bool [b, u]; False counts nothing, whatever `present` says.
      weights: [u, 2] of absent and present.
    Returns:
      ((sum of weight * loss, sum of weights), (right at one half, known)).
    """
    each = optax.sigmoid_binary_cross_entropy(logits, present.astype(logits.dtype))
    weight = jnp.where(known, jnp.where(present, weights[:, 1], weights[:, 0]), 0.0)
    right = known & ((logits > 0) == present)
    loss = jnp.sum(jnp.where(known, weight * each, 0.0)), jnp.sum(weight)
    return loss, (jnp.sum(right).astype(jnp.float32), jnp.sum(known).astype(jnp.float32))
