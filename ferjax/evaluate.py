"""Checkpoint and split -> probabilities, metrics with intervals, and the files that tell them."""

import pathlib
import time
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from data_pipelines import BadInput, arrays, divide, input, leaks, saliency_input
from ferjax import (
    au_metrics,
    checkpoint,
    files,
    human,
    human_table,
    learned,
    metrics,
    microbatch,
    models,
    results,
    run,
    tasks,
)
from ferjax import config as config_lib
from ferjax.augment import input_shape, middle, normalise
from ferjax.ops.memory import keep_freed_memory
from ferjax.parallel import Devices

WORST = 24  # mistakes shown in the report
SHIFT = 2 / 48  # of the side: how far the shifted views move


def views_of(images: jax.Array, views: int, crop: int = 0) -> list[jax.Array]:
    """Test-time views of [b, h, w, c]: as it is, mirrored, shifted by `SHIFT` to four sides and both.

    With a crop: the middle square of that side, mirrored, and the four corners and both (Krizhevsky et al.
    2012, section 4.1).
    """
    if crop:
        return _squares(images, views, crop)
    if views == 1:
        return [images]
    step = max(1, round(SHIFT * images.shape[1]))
    shifts = [(0, 0)] if views == 2 else [(0, 0), (step, 0), (-step, 0), (0, step), (0, -step)]
    out = []
    for dy, dx in shifts:
        moved = _shift(_shift(images, dy, 1), dx, 2)
        out += [moved, moved[:, :, ::-1]]
    return out


def _squares(images: jax.Array, views: int, side: int) -> list[jax.Array]:
    h, w = images.shape[1:3]
    corners = [images[:, y : y + side, x : x + side] for y in (0, h - side) for x in (0, w - side)]
    squares = [middle(images, side), *(corners if views == 10 else [])]
    return [v for s in squares for v in (s, s[:, :, ::-1])][: max(views, 1)]


def _shift(images: jax.Array, by: int, axis: int) -> jax.Array:
    """Moves along an axis; the border goes on."""
    n = images.shape[axis]
    return jnp.take(images, jnp.clip(jnp.arange(n) - by, 0, n - 1), axis=axis)


class Predictor:
    """Probabilities of every example of a split, each counted once.

    Args:
      config: the run's.
      model: as `models.build` gives it.
      devices: where to run.
      views: test-time views whose probabilities are averaged: 1, 2 or 10.
    """

    def __init__(self, config: ConfigDict, model, devices: Devices, views: int):
        def forward(params, batch, resident):
            at_once = microbatch.inference(config, jax.default_backend(), len(batch["mask"]))
            return microbatch.mapped(lambda part: some(params, part, resident), batch, at_once)

        def some(params, batch, resident):
            images = input.gather(resident, batch)["image"]
            squash = jax.nn.sigmoid if config.task == "aus" else jax.nn.softmax
            each = [
                squash(model.apply({"params": params}, normalise(v, config.model.normalise))[0])
                for v in views_of(images, views, config.augment.crop)
            ]
            return sum(each) / len(each)

        self.devices = devices
        self.batch_size = -(-config.evaluate.batch_size // devices.count) * devices.count
        self.forward = devices.compile(forward, per_example=True)

    def __call__(self, params, split: arrays.Split) -> np.ndarray:
        """[n, k] float32, in the split's order."""
        resident = self.devices.put(input.resident(split))
        steps = input.steps_per_epoch(len(split), self.batch_size)
        batches = input.row_batches(
            len(split),
            self.batch_size,
            0,
            last_step=steps,
            process_index=self.devices.process,
            process_count=self.devices.processes,
            shuffle=False,
        )
        return np.concatenate([self.forward(params, batch, resident) for batch in batches])[: len(split)]


def evaluate(workdir: str, split: str, which: str = "best", overrides=()) -> list[pathlib.Path]:
    """Evaluates a run's checkpoint on one part of its data and writes W/results/<split>.json, .csv, .png.

    Where some of its images stand in an earlier part too, as in FER2013's published split, or in what a
    network learned from that this one began from, the numbers without them are written as well, as
    <split>_without_duplicates. Checkpoints other than the best have results of their own name, <split>_last
    or <split>_step<n>; a second evaluation replaces the first.

    Args:
      workdir: of a training.
      split: train, select or test.
      which: best (by validation), last, or a step.
      overrides: "evaluate.views=10" and the like; only keys of data, evaluate and parallel may change.
    Returns:
      the paths of the JSON files.
    Raises:
      BadInput: nothing to evaluate there, no such split or step, or people or images of test that the network
        was trained or selected on, see `leaks.refuse_learned`.
    """
    keep_freed_memory()
    started = time.monotonic()
    workdir = pathlib.Path(workdir)
    saved = results.read_workdir(workdir)
    if not saved.get("config"):
        raise BadInput(f"{workdir} has no config.json; give the --workdir of a training")
    if split not in ("train", "select", "test"):
        raise BadInput(f"--split {split} is unknown; there are train, select and test")
    config = _with_overrides(config_lib.from_json(saved["config"]), overrides)
    people = human_table.read(config.evaluate.human) if config.evaluate.human else None
    parts = arrays.load_parts(config.data)
    chosen = getattr(parts, split)
    notes = _same_data(workdir, saved["run"].get("split_hashes", {}), run.split_hashes(parts), split)
    seen, told = _seen(workdir, saved["run"], parts, split)
    task = tasks.of(config, parts.train)
    task.check(chosen)
    devices = Devices(config.parallel.mode, None, config.parallel.devices)
    model = models.build(config.model, len(task.names))
    params, step = load_weights(workdir, which, model, input_shape(config, chosen.image.shape[1:]))
    predictor = Predictor(config, model, devices, config.evaluate.views)
    params = devices.put(params)
    probability = predictor(params, chosen)
    notes += told + made_of(config.data, parts.findings)
    if task.kind == "aus":
        threshold = au_metrics.best_thresholds(task.present(parts.select), predictor(params, parts.select))
        notes += task.notes()
    selection = saved["run"].get("selection", parts.selection)
    selected = {"best": f"{config.train.select_by} on {selection}", "last": "nothing: the last step"}

    def write(name: str, rows: np.ndarray, notes=(), companions=None) -> pathlib.Path:
        part = chosen if len(rows) == len(chosen) else chosen.take(rows)
        if task.kind == "aus":
            code, p = task.present(part), probability[rows]
            often = config.evaluate.bootstrap
            scores = au_metrics.detection(code, p, task.names, threshold, part.subject, often, config.seed)
        else:
            scores = metrics.classification(
                part.label,
                probability[rows],
                part.classes,
                part.subject,
                config.evaluate.bootstrap,
                config.seed,
            )
        alike = None
        if people:
            often, told = config.evaluate.bootstrap, probability[rows].argmax(1)
            alike = human.compare(part.label, told, part.classes, people, part.subject, often, config.seed)
        return results.write_result(
            workdir,
            name,
            scores,
            split=part.name,
            split_hash=part.hash,
            config=config_lib.to_json(config),
            selected_on=selected.get(which, "nothing: a step asked for"),
            checkpoint_step=step,
            seed=config.seed,
            wall_time_s=time.monotonic() - started,
            device=devices.describe(),
            views=config.evaluate.views,
            notes=notes,
            companions=companions,
            human=alike,
        )

    if task.kind == "aus":
        beside = {"_predictions.csv": au_rows(chosen, task, probability)}
    else:
        rows = results.predictions(chosen.id, chosen.subject, chosen.label, probability, chosen.classes)
        beside = {"_predictions.csv": rows, "_worst.npz": files.npz_bytes(_worst(chosen, probability))}
    name = split if which == "best" else f"{split}_last" if which == "last" else f"{split}_step{step}"
    fresh = np.flatnonzero(~seen)
    if seen.any():
        share = "every one" if not len(fresh) else f"{seen.sum()} of {len(seen)}"
        notes.append(f"{share} of these images is also, pixel for pixel, in a part trained or selected on")
    paths = [write(name, np.arange(len(chosen)), notes, beside)]
    without = f"{name}_without_duplicates"
    if 0 < len(fresh) < len(chosen):
        note = f"{seen.sum()} images are left out that are also in a part trained or selected on"
        paths.append(write(without, fresh, [note, *told, *made_of(config.data, parts.findings)]))
    else:
        for stale in (workdir / "results").glob(f"{without}.*"):
            stale.unlink()
    return paths


def au_rows(split: arrays.Split, task: tasks.Aus, probability: np.ndarray) -> bytes:
    """A csv of id, subject, and of each unit its presence ("" unknown) and p(unit)."""
    head = ["id", "subject", *task.names, *(f"p({name})" for name in task.names)]
    rows = [
        [name, who, *("" if c < 0 else int(c) for c in code), *(f"{v:.6g}" for v in p)]
        for name, who, code, p in zip(split.id, split.subject, task.present(split), probability, strict=True)
    ]
    return files.csv_bytes([head, *rows])


def made_of(data: ConfigDict, findings: Sequence[str]) -> list[str]:
    """Notes on what was made of a set: maps laid over its pictures; emotions named anew, and those left out.

    Args:
      data: of a config.
      findings: of its parts, or of a run's run.json.
    """
    laid = saliency_input.described(data.get("saliency", {}))
    told = [f"Input: {laid}."] if laid else []
    if not (data.map or data.classes):
        return told
    did = divide.mapped(findings)
    return [
        *told,
        f"Emotions by name: map {data.map or 'none'}; kept {data.classes or 'all'}; all parts: {did}.",
    ]


def load_weights(workdir, which: str, model, image_shape: tuple[int, int, int]) -> tuple[dict, int]:
    """The weights of a run's checkpoint, on the host, and its step.

    Args:
      workdir: of a training.
      which: best (by validation), last, or a step.
      model: the network that is to take them.
      image_shape: [h, w, c] of its input, see `augment.input_shape`.
    Raises:
      BadInput: no such checkpoint, or one of another network.
    """
    checkpoints = checkpoint.Checkpoints(workdir, read_only=True)
    try:
        step = _step(checkpoints, which)
        shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, *image_shape)))["params"]
        return checkpoints.weights(step, shapes), step
    finally:
        checkpoints.close()


def checkpoint_step(workdir, which: str) -> int:
    """The step of a run's checkpoint: best (by validation), last, or a step; BadInput where there is none."""
    checkpoints = checkpoint.Checkpoints(workdir, read_only=True)
    try:
        return _step(checkpoints, which)
    finally:
        checkpoints.close()


def _same_data(workdir, begun: dict, now: dict, split: str) -> list[str]:
    """Notes on what changed; BadInput where it is the data that the weights were trained or selected on."""
    changed = [part for part in ("train", "select") if begun.get(part, now[part]) != now[part]]
    if changed:
        raise BadInput(
            f"{workdir} was trained on other data: {' and '.join(changed)} changed since, so that what is "
            "tested cannot be told from what was trained on; give data.dir and the other keys of data as in "
            "training"
        )
    if begun.get(split, now[split]) != now[split]:
        return [f"the {split} part is not the one that was on disk when training began"]
    return []


def seen_before(parts: arrays.Parts, part: str) -> np.ndarray:
    """bool [n]: images of select or test that also stand, pixel for pixel, in a part used before it."""
    before = {"train": [], "select": [parts.train], "test": [parts.train, parts.select]}[part]
    return leaks.seen(getattr(parts, part), *before)


def _seen(workdir, said: dict, parts: arrays.Parts, part: str) -> tuple[np.ndarray, list[str]]:
    """As `seen_before`, of a run, which may have begun from another's weights; and notes on that one."""
    seen, begun = seen_before(parts, part), said.get("started_from")
    if not begun or part == "train":
        return seen, []
    chosen = getattr(parts, part)
    known = learned.of_run(workdir, chosen.picture_shape, parts)
    if part == "test":
        leaks.refuse_learned(known, parts, chosen)
    return seen | known.seen(chosen, selected=part == "test"), list(begun.get("notes", known.unknown))


def _with_overrides(config: ConfigDict, overrides) -> ConfigDict:
    overrides = list(overrides)
    for text in overrides:
        if not text.startswith(("data.", "evaluate.", "parallel.")):
            key = text.partition("=")[0]
            raise BadInput(
                f"--config.{key} cannot change after training; only data, evaluate and parallel can"
            )
    with config.unlocked():
        config_lib.apply_overrides(config, overrides)
    config_lib.check(config)
    return config


def _step(checkpoints: checkpoint.Checkpoints, which: str) -> int:
    last = checkpoints.last()
    if last is None:
        raise BadInput(
            f"{checkpoints.folder} holds no complete checkpoint; train first, or wait for the first one"
        )
    if which == "last":
        return last
    if which == "best":
        best = checkpoints.progress(last)["best_step"]
        which = str(last if best is None else best)
    steps = checkpoints.steps()
    if not which.isdigit() or int(which) not in steps:
        raise BadInput(f"checkpoint {which} is not there; give --checkpoint last, or one of {steps}")
    return int(which)


def _worst(split: arrays.Split, probability: np.ndarray) -> dict[str, np.ndarray]:
    """The surest mistakes, as pictures for the report."""
    predicted = probability.argmax(1)
    wrong = np.flatnonzero((predicted != split.label) & (split.label >= 0))
    sure = probability[wrong, predicted[wrong]]
    rows = wrong[np.argsort(-sure, kind="stable")][:WORST]
    return {
        "image": split.image[rows],
        "label": split.label[rows],
        "predicted": predicted[rows],
        "confidence": probability[rows, predicted[rows]],
        "id": split.id[rows],
    }
