"""Leave-one-subject-out as one program: heads of all folds and seeds, on cached features.

A head is one fold's (one subject is held out) and one seed's. `vmap` runs over heads, each of which draws its
own batches from its own fold's rows; heads are padded to a multiple of the devices and shared among them.
After every epoch each head tells the rows that its fold watches: those of the subject held out, and those of
inner subjects where these choose the epoch.

Axis letters: m heads, f folds, n clips, t time, d features, k classes, w rows watched, e epochs.
"""

import hashlib
import io
import math
import pathlib
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from tqdm import tqdm

from data_pipelines import BadInput
from data_pipelines.split import DAMAGED
from ferjax import files, run
from ferjax.micro.folds import NONE, Task, class_weights
from ferjax.models import micro_lstm
from ferjax.parallel import Devices

Array = jax.Array


class Recipe(NamedTuple):
    """How a head is trained.

    Attributes:
      kind: of `micro_lstm.KINDS`.
      hidden: units of the LSTM, or of the hidden layer of a head without time.
      epochs: over the fold's training clips.
      batch: clips a step.
      rate: learning rate of Adam, cosine to 0.
      decay: decoupled weight decay.
      clip: of the gradient's norm; 0: off.
      dropout: share of the features left out.
      recurrent_dropout: share of the LSTM's state left out.
      dropout_out: share left out before the output layer.
      balanced: classes weigh the same, in the loss.
      chunk: epochs between looks at signals; the state is kept on disk then.
    """

    kind: str = "lstm"
    hidden: int = 64
    epochs: int = 40
    batch: int = 32
    rate: float = 1e-3
    decay: float = 1e-2
    clip: float = 1.0
    dropout: float = 0.3
    recurrent_dropout: float = 0.2
    dropout_out: float = 0.3
    balanced: bool = True
    chunk: int = 5


class Fitted(NamedTuple):
    """Trained heads.

    Attributes:
      params: of every head [m, ...]: of its last epoch, or the one that its inner rows chose.
      probability: float32 [e, m, w, k] of the rows watched, after each epoch.
      loss: float32 [steps, m] of the batches.
      chosen: int [m], the epoch of `params`, from 0.
    """

    params: dict
    probability: np.ndarray
    loss: np.ndarray
    chosen: np.ndarray


def fit(
    task: Task,
    recipe: Recipe,
    seeds: Sequence[int],
    devices: Devices | None = None,
    kept: pathlib.Path | None = None,
    looped: bool = False,
    epochs: int = 0,
) -> tuple[Fitted | None, int]:
    """Trains a head for every fold and seed.

    Args:
      task: n clips, f folds.
      recipe: see `Recipe`.
      seeds: s of them; heads are numbered fold by fold, m = f * s.
      devices: None: all of this host.
      kept: a file that holds the state between chunks; a fit that was stopped goes on from it to the same
        end.
      looped: one head after the other, for comparison.
      epochs: stop after so many (the recipe's schedule stays); 0: all.
    Returns:
      (Fitted, 0), or (None, 128 + signal) where a signal stopped it.
    Raises:
      BadInput: a loss that is no number, or a file that cannot be written.
    """
    devices = devices or Devices("pmap", None)
    heads_of = np.array([(f, s) for f in range(len(task.train)) for s in seeds], np.int32).reshape(-1, 2)
    task = task.standardised()
    plan = _Plan(task, recipe)
    m, count = len(heads_of), 1 if looped else devices.count
    filled = heads_of[np.arange(-(-m // count) * count) % m]  # those beyond m are told to nobody
    batch = {"fold": filled[:, 0], "seed": filled[:, 1]}
    state = _State.begin(plan, batch, task, recipe)
    about = hashlib.sha256(f"{task.hash} {recipe} {filled.tolist()}".encode()).hexdigest()
    if kept is not None:
        state = state.read(kept, about)
    resident = devices.put(plan.resident(task))
    program = _program(devices, recipe, task.classes, plan.per_epoch, plan.rows)
    end = epochs or recipe.epochs
    with (
        run.Signals() as signals,
        tqdm(total=end, initial=state.done, unit="epoch", leave=False, disable=None) as bar,
    ):
        signals.defer()
        while state.done < end:
            n = min(recipe.chunk, end - state.done)
            ahead = np.arange(state.done, state.done + n, dtype=np.int32)
            given = {**batch, **state.heads, "epoch": np.tile(ahead, (len(filled), 1))}
            parts = (
                [given]
                if not looped
                else [jax.tree.map(lambda a, i=i: a[i : i + 1], given) for i in range(m)]
            )
            out = [program({}, part, resident) for part in parts]
            state = state.after(jax.tree.map(lambda *a: np.concatenate(a), *out), n)
            if not np.isfinite(state.loss[-1][:m]).all():
                f, s = heads_of[int(np.argmin(np.isfinite(state.loss[-1][:m]).all(0)))]
                raise BadInput(
                    f"the loss of fold {f}, seed {s} is no number in epoch {state.done}; lower head.rate"
                )
            bar.update(n)
            bar.set_postfix_str(f"loss {state.loss[-1][-1, :m].mean():.3f}")
            if kept is not None:
                state.write(kept, about)
            if signals.caught:
                return None, 128 + signals.caught
    return state.fitted(m), 0


@lru_cache(maxsize=8)
def _program(devices: Devices, recipe: Recipe, k: int, per_epoch: int, rows: int):
    """The compiled chunk, once for all fits of one kind on these devices."""
    step = partial(_chunk, recipe=recipe, k=k, per_epoch=per_epoch, rows=rows)
    return devices.compile(lambda _, b, resident: step(b, resident), per_example=True)


class _Plan:
    """What is the same for all heads: rows by fold, class weights, steps an epoch."""

    def __init__(self, task: Task, recipe: Recipe):
        n = task.train.sum(1)
        if not n.all():
            raise BadInput("a fold has nothing to learn from: give more subjects, or fewer inner ones")
        self.per_epoch = math.ceil(int(n.max()) / recipe.batch)
        self.rows = self.per_epoch * recipe.batch
        self.table = np.full((len(task.train), self.rows), NONE, np.int32)
        self.weight = np.ones((len(task.train), task.classes), np.float32)
        for f, mine in enumerate(task.train):
            rows = np.flatnonzero(mine)
            self.table[f, : len(rows)] = rows
            self.weight[f] = class_weights(task.label[rows], task.classes, recipe.balanced)

    def resident(self, task: Task) -> dict:
        """All arrays that heads look rows up in."""
        return {
            "x": task.features,
            "mask": task.mask,
            "apex": task.apex.astype(np.int32),
            "label": task.label.astype(np.int32),
            "rows": self.table,
            "own": self.table[:, 0],
            "weight": self.weight,
            "watch": task.watch.astype(np.int32),
            "choose": task.choose,
        }


def _tx(recipe: Recipe, per_epoch: int) -> optax.GradientTransformation:
    rate = optax.cosine_decay_schedule(recipe.rate, recipe.epochs * per_epoch)
    clip = [optax.clip_by_global_norm(recipe.clip)] if recipe.clip else []
    return optax.chain(*clip, optax.adamw(rate, weight_decay=recipe.decay))


def model(recipe: Recipe, k: int):
    """The head's network, k outputs."""
    return micro_lstm.build(
        recipe.kind, k, recipe.hidden, recipe.dropout, recipe.recurrent_dropout, recipe.dropout_out
    )


def _key(seed: Array, fold: Array) -> Array:
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(0), seed), fold)


def _chunk(given: dict, resident: dict, *, recipe: Recipe, k: int, per_epoch: int, rows: int) -> dict:
    """Some epochs of this device's heads: vmap of scans, over epochs and steps."""
    head_model = model(recipe, k)
    tx = _tx(recipe, per_epoch)

    def loss(params, at, fold, key):
        there = at != NONE
        row = jnp.where(there, at, resident["own"][fold])  # no other subject's, not even with weight 0
        keys = jax.vmap(lambda r: jax.random.fold_in(key, r))(row)
        x = resident["x"][fold, row]
        logits, _ = head_model.apply(
            {"params": params}, x, resident["mask"][row], keys, resident["apex"][row]
        )
        label = resident["label"][row]
        weight = jnp.where(there, resident["weight"][fold, label], 0.0)
        each = optax.softmax_cross_entropy_with_integer_labels(logits, label)
        return jnp.sum(weight * each) / jnp.maximum(weight.sum(), 1e-9)

    def one(head):
        fold = head["fold"]
        key = _key(head["seed"], fold)

        def step(carry, i):
            params, opt, at, epoch = carry
            mine = jax.lax.dynamic_slice_in_dim(at, i * recipe.batch, recipe.batch)
            drop = jax.random.fold_in(jax.random.fold_in(key, 2), epoch * per_epoch + i)
            value, gradient = jax.value_and_grad(loss)(params, mine, fold, drop)
            updates, opt = tx.update(gradient, opt, params)
            return (optax.apply_updates(params, updates), opt, at, epoch), value

        def epoch(carry, e):
            params, opt, best, best_loss, chosen = carry
            order = jax.random.permutation(jax.random.fold_in(jax.random.fold_in(key, 1), e), rows)
            at = resident["rows"][fold][order]
            (params, opt, _, _), values = jax.lax.scan(step, (params, opt, at, e), jnp.arange(per_epoch))
            w = jnp.maximum(resident["watch"][fold], 0)
            at_w = (resident["x"][fold, w], resident["mask"][w], None, resident["apex"][w])
            told, _ = head_model.apply({"params": params}, *at_w)
            each = optax.softmax_cross_entropy_with_integer_labels(told, resident["label"][w])
            inner = jnp.where(resident["choose"][fold], each, 0).sum()
            better = (inner < best_loss) | ~resident["choose"][fold].any()
            best = jax.tree.map(lambda new, old: jnp.where(better, new, old), params, best)
            carry = (params, opt, best, jnp.where(better, inner, best_loss), jnp.where(better, e, chosen))
            return carry, (jax.nn.softmax(told), values)

        begin = tuple(head[name] for name in ("params", "opt", "best", "best_loss", "chosen"))
        done, (probability, values) = jax.lax.scan(epoch, begin, head["epoch"])
        names = ("params", "opt", "best", "best_loss", "chosen")
        return dict(zip(names, done, strict=True)) | {"probability": probability, "loss": values.reshape(-1)}

    return jax.vmap(one)(given)


class _State(NamedTuple):
    """Between chunks, on the host.

    Attributes:
      heads: "params", "opt", "best", "best_loss", "chosen" -> [m, ...] leaves.
      done: epochs.
      probability: [epochs of a chunk, m, w, k] of every chunk.
      loss: [steps of a chunk, m] of every chunk.
    """

    heads: dict
    done: int
    probability: list
    loss: list

    @classmethod
    def begin(cls, plan: _Plan, batch: dict, task: Task, recipe: Recipe) -> "_State":
        """Before the first epoch: weights from the seed and the fold."""
        empty = (jnp.zeros((1, 1, task.features.shape[-1])), jnp.ones((1, 1), bool), None, jnp.zeros(1, int))
        tx = _tx(recipe, plan.per_epoch)

        def make(seed, fold):
            key = jax.random.fold_in(_key(seed, fold), 0)
            params = model(recipe, task.classes).init(key, *empty)["params"]
            return {"params": params, "opt": tx.init(params), "best": params}

        made = jax.jit(jax.vmap(make))(batch["seed"], batch["fold"])
        m = len(batch["seed"])
        rest = {"best_loss": np.full(m, np.inf, np.float32), "chosen": np.zeros(m, np.int32)}
        return cls(jax.tree.map(np.asarray, made) | rest, 0, [], [])

    def after(self, out: dict, n: int) -> "_State":
        """With n more epochs."""
        told, loss = out.pop("probability"), out.pop("loss")
        return _State(
            out, self.done + n, [*self.probability, told.swapaxes(0, 1)], [*self.loss, loss.swapaxes(0, 1)]
        )

    def fitted(self, m: int) -> Fitted:
        """Of the first m heads."""
        params = jax.tree.map(lambda a: a[:m], self.heads["best"])
        told, loss = np.concatenate(self.probability), np.concatenate(self.loss)
        return Fitted(params, told[:, :m], loss[:, :m], self.heads["chosen"][:m])

    def write(self, path: pathlib.Path, about: str) -> None:
        """Keeps all of it in one file."""
        leaves = {f"leaf{i:03d}": a for i, a in enumerate(jax.tree.leaves(self.heads))}
        told = {"probability": np.concatenate(self.probability), "loss": np.concatenate(self.loss)}
        files.write(
            path, files.npz_bytes(leaves | told | {"done": np.int64(self.done), "about": np.str_(about)})
        )

    def read(self, path: pathlib.Path, about: str) -> "_State":
        """What `write` kept of the same fit; where there is nothing (whole) of it, this state."""
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
                if str(file["about"]) != about:
                    return self
                leaves, tree = jax.tree.flatten(self.heads)
                leaves = [file[f"leaf{i:03d}"] for i in range(len(leaves))]
                return _State(
                    jax.tree.unflatten(tree, leaves), int(file["done"]), [file["probability"]], [file["loss"]]
                )
        except FileNotFoundError:
            return self
        except DAMAGED:
            return self  # cut off by a full disk: begun again
