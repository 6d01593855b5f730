"""The frame network and the LSTM trained on together, from where both had come alone.

A sequence's frames go through the frame network one by one, its features through the LSTM, and the gradient
back through both. A cell for each fold and seed: convolutions of several networks do not gain by `vmap` on a
CPU.
"""

import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
from tqdm import tqdm

from data_pipelines import BadInput
from ferjax import files, run
from ferjax.augment import normalise
from ferjax.micro import folds, loso
from ferjax.protocols import Cell

Array = jax.Array


def cells(study, kind: str, need: tuple[str, ...], speed: dict | None) -> list[Cell]:
    """A cell for each fold and seed, after the heads."""
    o = study.c.end_to_end
    out = []
    for f, who in enumerate(study.subjects):
        for seed in range(o.seeds):
            seconds = 0.0
            if speed:
                seconds = o.epochs * study.mask.sum() / speed[kind]["train"] + 40.0
            about = {"options": o.to_dict(), "data": study.data(), "frames": study.about_frames()}
            about |= {
                "recipe": study.recipe["lstm"]._asdict(),
                "fold": who,
                "seed": seed,
                "seeds": study.c.seeds,
                "rule": study.c.epoch_rule,
            }

            def fit(folder: pathlib.Path, f=f, seed=seed) -> tuple[dict | None, int]:
                return _fit(study, kind, f, seed, folder)

            needs = (*need, f"heads/{kind}/lstm")
            out.append(Cell(f"end_to_end/{kind}/{who}/seed{seed}", about, fit, needs, float(seconds)))
    return out


def _fit(study, kind: str, f: int, seed: int, folder: pathlib.Path) -> tuple[dict | None, int]:
    """Trains on the fold's clips; keeps the probabilities of those held out after every epoch."""
    o, recipe = study.c.end_to_end, study.recipe["lstm"]
    task, x = study.task(kind), study.inputs_as(kind)
    who = study.subjects[f]
    network, head = study.network(study.fold_of(who), kind), study.head(kind, "lstm", who, seed)
    mean, by = (jnp.asarray(a, jnp.float32) for a in task.scale(f))
    model = loso.model(recipe, task.classes)
    params = {"frames": network.params, "head": jax.tree.map(jnp.asarray, head)}
    weight = folds.class_weights(task.label[task.train[f]], task.classes, recipe.balanced)

    def forward(params, x, mask, keys=None):
        b, t = mask.shape
        image = normalise(x.reshape(b * t, *x.shape[2:]), network.normalise)
        z = network.replace(params=params["frames"])(image)[study.c.layer].reshape(b, t, -1)
        return model.apply({"params": params["head"]}, (z - mean) * by, mask, keys)[0]

    def loss(params, x, mask, label, there, keys):
        each = optax.softmax_cross_entropy_with_integer_labels(forward(params, x, mask, keys), label)
        w = jnp.asarray(weight)[label] * there
        return (w * each).sum() / jnp.maximum(w.sum(), 1e-9)

    rows = np.flatnonzero(task.train[f])
    held = task.watch[f][(task.watch[f] >= 0) & ~task.choose[f]]
    steps = -(-len(rows) // o.batch)
    tx = optax.adamw(optax.cosine_decay_schedule(o.rate, o.epochs * steps), weight_decay=recipe.decay)
    tx = optax.chain(optax.clip_by_global_norm(recipe.clip), tx) if recipe.clip else tx

    @jax.jit
    def step(params, opt, x, mask, label, there, keys):
        value, gradient = jax.value_and_grad(loss)(params, x, mask, label, there, keys)
        updates, opt = tx.update(gradient, opt, params)
        return optax.apply_updates(params, updates), opt, value

    told_of = jax.jit(lambda p, x, m: jax.nn.softmax(forward(p, x, m)))
    opt, told = tx.init(params), []
    with (
        run.Signals() as signals,
        tqdm(total=o.epochs * steps, unit="step", leave=False, disable=None) as bar,
    ):
        signals.defer()
        for epoch in range(o.epochs):
            order = np.random.default_rng([seed, f, epoch]).permutation(rows)
            for i in range(steps):
                at = order[i * o.batch : (i + 1) * o.batch]
                fill = np.concatenate([at, np.repeat(at[:1], o.batch - len(at))])
                keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), epoch * steps + i), o.batch)
                there = (np.arange(o.batch) < len(at)).astype(np.float32)
                given = (x[fill], study.mask[fill], task.label[fill], there, keys)
                params, opt, value = step(params, opt, *given)
                if not np.isfinite(value):
                    raise BadInput(
                        f"end to end, {who} held out: the loss is no number; lower end_to_end.rate"
                    )
                bar.update(1)
                if signals.caught:
                    return None, 128 + signals.caught
            told.append(np.concatenate([told_of(params, x[[i]], study.mask[[i]]) for i in held]))
    files.write(folder / "told.npz", files.npz_bytes({"probability": np.stack(told), "rows": held}))
    return {
        "files": [os.path.relpath(folder / "told.npz", study.workdir)],
        "device": str(jax.devices()[0]),
    }, 0
