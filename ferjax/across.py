"""A trained network on another set as it is: classes meet by name, what it learned from is not scored."""

import csv
import dataclasses
import io
import pathlib
import re
import time

import numpy as np
from ml_collections import ConfigDict

from data_pipelines import BadInput, arrays, labels, leaks, saliency_input
from data_pipelines.split import Split
from ferjax import config as config_lib
from ferjax import evaluate, human, human_table, learned, metrics, models, results
from ferjax.augment import input_shape
from ferjax.ops.memory import keep_freed_memory
from ferjax.parallel import Devices


def across(
    workdir,
    data: ConfigDict,
    split: str = "test",
    which: str = "best",
    views: int = 0,
    name: str = "",
    into=None,
    people: str | None = None,
) -> list[pathlib.Path]:
    """Scores a training's network on a part of another set; writes W/results/<split>_on_<set>.json and so on.

    A result of another set of that name (two manifests, say) is not replaced, see `_name`.

    The emotions that both have are scored: images of others are left out, and the network's probabilities are
    divided by their sum over these. Which, and how many images were left out, is in the result's notes.

    Args:
      workdir: of a training.
      data: a config's `data`, of the other set; its image_size and colour are made the network's.
      split: train, select or test of that set.
      which: best (by validation), last, or a step.
      views: test-time views; 0 takes the training's.
      name: of the result, which replaces one of that name; "" for <split>_on_<set>.
      into: folder below which results/ is written; None for the training's.
      people: a CSV of human confusions to compare with; "" for none, None for the training's evaluate.human.
    Returns:
      the paths of the JSON files: all images; where a published division shares images with what the network
      learned from, another without these.
    Raises:
      BadInput: no training there, fewer than two emotions in common, or an image or subject of the part was
        trained or selected on, see `leaks.refuse_learned`.
    """
    keep_freed_memory()
    if split not in ("train", "select", "test"):
        raise BadInput(f"--split {split} is unknown; there are train, select and test")
    started, workdir = time.monotonic(), pathlib.Path(workdir)
    saved = results.read_workdir(workdir)
    if not saved.get("config"):
        raise BadInput(f"{workdir} has no config.json; give the --workdir of a training")
    c = config_lib.from_json(saved["config"])
    if c.task != "emotion":
        raise BadInput(f"{workdir} was trained on action units; --data scores a network of emotions")
    classes, shape = (tuple(saved["run"].get(key) or ()) for key in ("classes", "image_shape"))
    if not classes or not shape:
        raise BadInput(
            f"{workdir}/run.json does not name the network's classes; train again with this version"
        )
    people = c.evaluate.human if people is None else people
    people = human_table.read(people) if people else None
    data = ConfigDict(data.to_dict())
    arrays.look_as(data, shape)
    data.saliency = saliency_input.as_trained(data.get("saliency", {}), c.data.saliency)
    parts = arrays.load_parts(data, (split,))
    part = getattr(parts, split)
    if part.image.shape[1:] != shape:
        here, there = ("x".join(map(str, s)) for s in (part.image.shape[1:], shape))
        raise BadInput(
            f"data.name: {data.name} has pictures of {here} values, and the network of {workdir} takes "
            f"{there}; train one on pictures as this set has them"
        )
    known = learned.of_run(workdir, part.picture_shape)
    leaks.refuse_learned(known, parts, part)
    devices = Devices(c.parallel.mode, None, c.parallel.devices)
    model = models.build(c.model, len(classes))
    params, step = evaluate.load_weights(workdir, which, model, input_shape(c, part.image.shape[1:]))
    views = views or c.evaluate.views
    probability = evaluate.Predictor(c, model, devices, views)(devices.put(params), part)
    scored, probability, note = on_common(part, probability, classes)
    name = name or _name(into or workdir, split, which, data, scored.hash)
    maps = evaluate.made_of(data, parts.findings)
    mapped = evaluate.made_of(c.data, saved["run"].get("findings", ()))
    maps += [f"What the network learned from: {line}" for line in mapped]
    notes = [note, *maps, *known.unknown]
    fresh = ~known.seen(scored)
    copies = int((~fresh).sum())
    said = [f"{copies} of these images are also, pixel for pixel, in a part trained or selected on"]
    jobs = [(name, scored, probability, notes + said * bool(copies))]
    if copies and fresh.any():
        told = [*notes, f"{copies} images are left out that are also in a part trained or selected on"]
        jobs.append((f"{name}_without_duplicates", scored.take(fresh), probability[fresh], told))
    paths = []
    for name, rows, p, notes in jobs:
        table = results.predictions(rows.id, rows.subject, rows.label, p, rows.classes)
        scores = metrics.classification(
            rows.label, p, rows.classes, rows.subject, c.evaluate.bootstrap, c.seed
        )
        alike = None
        if people:
            told, often = p.argmax(1), c.evaluate.bootstrap
            alike = human.compare(rows.label, told, rows.classes, people, rows.subject, often, c.seed)
        paths.append(
            results.write_result(
                into or workdir,
                name,
                scores,
                split=rows.name,
                split_hash=rows.hash,
                config={"trained": saved["config"], "on": config_lib.to_json(data)},
                selected_on=f"{c.train.select_by} on {saved['run'].get('selection', 'its selecting part')}",
                checkpoint_step=step,
                seed=c.seed,
                wall_time_s=time.monotonic() - started,
                device=devices.describe(),
                views=views,
                notes=notes,
                companions={"_predictions.csv": table},
                human=alike,
            )
        )
    return paths


def _name(workdir: pathlib.Path, split: str, which: str, data: ConfigDict, split_hash: str) -> str:
    """<split>_on_<set>; where a result of that name is of other images, the folder's name is added.

    Where that one is of other images too, the beginning of the split's hash is.
    """
    place = pathlib.Path(data.dir).expanduser()
    folder = place.parent.name if place.stem == "manifest" else place.stem if place.is_file() else place.name
    base = f"{split}_on_{data.name}" + ("" if which == "best" else f"_{which}")
    named = f"{base}_{re.sub(r'[^A-Za-z0-9.-]+', '-', folder)}".rstrip("_")
    for name in (base, named):
        path = workdir / "results" / f"{name}.json"
        if not path.exists() or results.read_result(path)["split_hash"] == split_hash:
            return name
    return f"{named}_{split_hash[:8]}"


def of_set(name: str, folder: str, overrides=()) -> ConfigDict:
    """The `data` of another set: its defaults, with "data.<key>=value" overrides.

    Raises:
      BadInput: an override of something else, or an unknown set or option.
    """
    for text in overrides:
        if not text.startswith("data."):
            raise BadInput(f"--config.{text.partition('=')[0]} cannot change here; with --data only data can")
    c = config_lib.default()
    c.data.name, c.data.dir = name, folder
    config_lib.apply_overrides(c, overrides)
    config_lib.check(c)
    return c.data


def on_common(
    part: Split, probability: np.ndarray, classes: tuple[str, ...]
) -> tuple[Split, np.ndarray, str]:
    """A split and a network's probabilities on the emotions that both have.

    Args:
      part: n images with classes of its own.
      probability: [n, k] of the network's classes.
      classes: the network's, k names.
    Returns:
      (the images whose known label is among them, with those classes; their probabilities, rows sum to 1; a
      sentence on what was left out).
    Raises:
      BadInput: fewer than two emotions in common, or no image shows one.
    """
    common = labels.meet(classes, part.classes)
    label = labels.map_labels(part.label, part.classes, common)
    rows = np.flatnonzero(label >= 0)
    if not len(rows):
        raise BadInput(
            f"{part.name}: no image shows {', '.join(common)}, which is what the network knows of it"
        )
    kept = dataclasses.replace(part.take(rows), label=label[rows], classes=common)
    p = probability[rows][:, [classes.index(name) for name in common]].astype(np.float64)
    total = p.sum(1, keepdims=True)
    p = np.where(total > 0, p / np.where(total > 0, total, 1), 1 / len(common))
    missing = {
        name: int((part.label == k).sum()) for k, name in enumerate(part.classes) if name not in common
    }
    gone = ", ".join(f"{count} images of {name}" for name, count in missing.items() if count) or "no image"
    unsaid = [name for name in classes if name not in common]
    note = (
        f"Emotions met by name: {', '.join(common)}; left out: {gone}"
        + (f"; the network's {', '.join(unsaid)} not counted" if unsaid else "")
        + "."
    )
    return kept, p, note


def read_predictions(path: pathlib.Path, classes) -> tuple[np.ndarray, ...]:
    """(id, subject, label, probability) of a result's _predictions.csv, as `results.predictions` wrote it."""
    rows = list(csv.DictReader(io.StringIO(path.read_text("utf-8"))))
    at = {name: k for k, name in enumerate(classes)}
    p = np.array([[float(r[f"p({name})"]) for name in classes] for r in rows])
    return (
        np.array([r["id"] for r in rows], np.str_),
        np.array([r["subject"] for r in rows], np.str_),
        np.array([at.get(r["label"], -1) for r in rows], np.int32),
        p / p.sum(1, keepdims=True),  # the file has six digits
    )
