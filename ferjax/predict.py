"""A training's network on a user's own pictures: one table, as py-feat, OpenFace or LibreFace write theirs.

One face a picture, the largest. What a picture gives does not depend on how many are read at once: the
network always sees `STEP` of them, the last time filled up.
"""

import os
import pathlib
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from data_pipelines import BadInput, arrays, pictures, saliency_input
from data_pipelines.manifest import table as manifest_table
from data_pipelines.split import Split
from ferjax import config as config_lib
from ferjax import evaluate, files, models, predict_formats, results
from ferjax.augment import input_shape
from ferjax.ops.memory import keep_freed_memory
from ferjax.parallel import Devices

SCHEMA = "ferjax/predictions/1"
STEP = 32  # pictures the network sees at once, always
CHANNELS = {1: "grey; of colours their luma", 3: "red, green, blue"}
NAMED = 10  # pictures named on the terminal; the .json has all


class Picture(NamedTuple):
    """One picture of a user.

    Attributes:
      name: below the folder, or as the manifest has it.
      path: its file.
      frame: its place among all, from 0; of a manifest's clip, the frame's own number.
    """

    name: str
    path: str
    frame: int


class Trained(NamedTuple):
    """A network, ready to look.

    Attributes:
      config: of the training, with the keys of evaluate as asked for.
      config_hash: of the training's own.
      task: "emotion", or "aus".
      names: of its outputs: classes, or action units.
      shape: of the pictures, (size, size, 1) grey or (size, size, 3) RGB, before a map is laid over them; it
        may look at the middle of them alone.
      step: of the checkpoint.
      predictor: (params, Split of STEP pictures) -> [STEP, outputs] probabilities.
      params: the weights, on the device.
    """

    config: ConfigDict
    config_hash: str
    task: str
    names: tuple[str, ...]
    shape: tuple[int, int, int]
    step: int
    predictor: evaluate.Predictor
    params: dict


def predict(
    workdir, images: str, out: str, format: str = "py-feat", crop: str = "", which: str = "best", overrides=()
) -> dict:
    """Looks at pictures with a training's network and writes a table, out, and what it rests on, out.json.

    Args:
      workdir: of a training.
      images: a folder, searched with all below it; one picture; or a manifest's CSV.
      out: the CSV to write; columns by format, see docs/predict.md.
      format: py-feat, openface or libreface.
      crop: detect or none; "" for what the training's set does.
      which: checkpoint: best (by validation), last, or a step.
      overrides: "evaluate.views=10", "evaluate.batch_size=8" (pictures read at once; changes no result).
    Returns:
      what out.json holds.
    Raises:
      BadInput: no such workdir, checkpoint or pictures; a format that needs other outputs than the network
        has; out cannot be written.
    """
    keep_freed_memory()
    out = pathlib.Path(out)
    found = find(images)
    if out.is_dir():
        raise BadInput(f"--out {out} is a folder; name a file, such as {out}/predictions.csv")
    if out.resolve() == pathlib.Path(images).expanduser().resolve():
        raise BadInput(f"--out {out} is what --images names; choose another file")
    network = load(workdir, which, overrides)
    predict_formats.check(format, network.task, workdir)
    crop = crop or _crop_of(network.config)
    if crop not in pictures.CROPS:
        raise BadInput(f"--crop {crop} is not known; write {' or '.join(pictures.CROPS)}")
    seen, probability = _look(network, found, crop)
    faces = [
        predict_formats.Face(p.name, p.frame, s.box if s.how else None, s.how)
        for p, s in zip(found, seen, strict=True)
    ]
    rows = predict_formats.rows(format, faces, network.task, network.names, probability)
    facts = {
        "schema": SCHEMA,
        "workdir": os.fspath(workdir),
        "checkpoint": which,
        "checkpoint_step": network.step,
        "config_hash": network.config_hash,
        "task": network.task,
        "outputs": list(network.names),
        "images": os.fspath(images),
        "format": format,
        "crop": crop,
        "size": network.shape[0],
        "channels": CHANNELS[network.shape[2]],
        "views": network.config.evaluate.views,
        "faces": "one a picture, the largest" if crop == "detect" else "each picture is taken for one",
        "n_images": len(found),
        "n_faces": sum(bool(s.how) for s in seen),
        "found_by": dict(sorted(Counter(s.how for s in seen if s.how).items())),
        "further_faces": {p.name: s.further for p, s in zip(found, seen, strict=True) if s.further},
        "no_face": [p.name for p, s in zip(found, seen, strict=True) if not s.how and not s.problem],
        "unreadable": {p.name: s.problem for p, s in zip(found, seen, strict=True) if s.problem},
        "git_revision": results.git_revision(),
        "versions": results.versions(),
        "created": results.now(),
    }
    beside = out.with_name(f"{out.name}.json")
    files.write_together({out: files.csv_bytes(rows), beside: files.json_bytes(files.plain(facts))})
    return facts


def words(facts: dict) -> str:
    """What `predict` returned in a line for the terminal."""
    said = f"{facts['n_images']} pictures, {facts['n_faces']} with a face"
    further = facts["further_faces"]
    if further:
        n, m = sum(further.values()), len(further)
        said += f"; {n} further face{'s' * (n > 1)} in {m} picture{'s' * (m > 1)} "
        said += f"{'were' if n > 1 else 'was'} passed over ({_some(further)})"
    for key, what in (("no_face", "no face found"), ("unreadable", "cannot be read")):
        names = list(facts[key])
        if names:
            said += f"; {what}: {len(names)} ({_some(names)})"
    return said


def _some(names) -> str:
    """The first names of many."""
    names = list(names)
    return ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")


def find(images: str) -> list[Picture]:
    """The pictures that a user names, in order.

    Raises:
      BadInput: nothing there, or no picture in it.
    """
    place = pathlib.Path(images).expanduser()
    if place.is_dir():
        paths = pictures.below(place)[0]
        if not paths:
            raise BadInput(f"--images {images}: no picture in this folder or below it (.jpg, .png, ...)")
        return [Picture(path.relative_to(place).as_posix(), str(path), n) for n, path in enumerate(paths)]
    if not place.is_file():
        raise BadInput(f"--images {images}: no such file or folder; name a folder, a picture, or a manifest")
    if place.suffix.lower() != ".csv":
        return [Picture(place.name, str(place), 0)]
    out = []
    for n, row in enumerate(manifest_table.read(place).rows):
        name = pathlib.Path(os.path.relpath(row.path, place.parent)).as_posix()
        out.append(Picture(name, row.path, int(row.id.rpartition("/")[2]) if row.clip else n))
    return out


def load(workdir, which: str = "best", overrides=()) -> Trained:
    """A training's network from one of its checkpoints, on one device.

    Args:
      workdir: of a training.
      which: best (by validation), last, or a step.
      overrides: of keys of evaluate.
    Raises:
      BadInput: nothing trained there, no such checkpoint, or a network that takes neither grey nor
        coloured pictures.
    """
    workdir = pathlib.Path(workdir)
    saved = results.read_workdir(workdir)
    if not saved.get("config"):
        raise BadInput(f"{workdir} has no config.json; give the --workdir of a training")
    config = config_lib.from_json(saved["config"])
    for text in overrides:
        if not text.startswith("evaluate."):
            key = text.partition("=")[0]
            raise BadInput(f"--config.{key} cannot change what was trained; only keys of evaluate can")
    with config.unlocked():
        config_lib.apply_overrides(config, overrides)
    config_lib.check(config)
    task = config.task
    key = "au_names" if task == "aus" else "classes"
    names = tuple(saved["run"].get(key) or ())
    if not names:
        raise BadInput(f"{workdir}/run.json does not name the network's {key}; train again with this version")
    shape = tuple(saved["run"].get("image_shape") or (_size_of(config),) * 2 + (1,))
    how = saliency_input.checked(config.data.saliency)
    if how["mode"] != "none" and (how["method"] == "maps" or how["control"] == "shuffled"):
        raise BadInput(
            f"{workdir}: the network was trained on {saliency_input.described(how)}, which pictures of yours "
            "do not have; train one with data.saliency.method=spectral"
        )
    picture = (*shape[:2], shape[2] - (how["mode"] == "channel"))
    if shape[0] != shape[1] or picture[2] not in CHANNELS:
        raise BadInput(
            f"{workdir}: the network takes {'x'.join(map(str, shape))} values; only square pictures, grey "
            "or in colour, are read so far"
        )
    model = models.build(config.model, len(names))
    params, step = evaluate.load_weights(workdir, which, model, input_shape(config, shape))
    devices = Devices(config.parallel.mode, None, 1)
    fixed = config.copy_and_resolve_references()
    with fixed.unlocked():
        fixed.evaluate.batch_size = STEP
    predictor = evaluate.Predictor(fixed, model, devices, config.evaluate.views)
    digest = results.config_hash(saved["config"])
    return Trained(config, digest, task, names, picture, step, predictor, devices.put(params))


def _size_of(config: ConfigDict) -> int:
    """Side of the input, for trainings whose run.json does not say."""
    if config.data.image_size or config.data.name == "npz":
        return int(config.data.image_size) or 48
    return int(arrays.data_set({"name": config.data.name})[0].OPTIONS.get("image_size", 48))


def _crop_of(config: ConfigDict) -> str:
    """How the training's set cuts pictures: its option crop; detect for sets that have none."""
    known = {} if config.data.name == "npz" else arrays.data_set({"name": config.data.name})[0].OPTIONS
    return config.data.options.get("crop") or known.get("crop") or "detect"


def _look(network: Trained, found: list[Picture], crop: str) -> tuple[list[pictures.Looked], np.ndarray]:
    """What each of n pictures shows (without pixels), and [n, outputs]; NaN without a face."""
    probability = np.full((len(found), len(network.names)), np.nan, np.float32)
    seen, waiting = [], []
    ahead = network.config.evaluate.batch_size
    paths, (size, _, channels) = [p.path for p in found], network.shape
    looks = pictures.look_at_all(paths, crop, size, "pictures", ahead, colour=channels == 3)
    for row, looked in enumerate(looks):
        seen.append(looked._replace(pixels=None))
        if looked.pixels is not None:
            waiting.append((row, looked.pixels))
        if len(waiting) == STEP:
            for place, values in _step(network, waiting):
                probability[place] = values
            waiting = []
    for place, values in _step(network, waiting) if waiting else ():
        probability[place] = values
    return seen, probability


def _step(network: Trained, waiting: list[tuple[int, np.ndarray]]) -> Iterator[tuple[int, np.ndarray]]:
    """(row, [outputs]) of at most STEP pictures (row, uint8 [size, size] or [size, size, 3])."""
    image = np.zeros((STEP, *network.shape), np.uint8)
    image[: len(waiting)] = [pixels.reshape(network.shape) for _, pixels in waiting]
    split = Split(
        name="pictures",
        image=image,
        label=np.full(STEP, -1),
        aus=np.zeros((STEP, 0), np.int8),
        subject=np.full(STEP, ""),
        id=np.arange(STEP).astype(np.str_),
        classes=network.names,
        au_names=(),
    )
    split = saliency_input.weigh(split, network.config.data.saliency)
    values = network.predictor(network.params, split)
    yield from zip((row for row, _ in waiting), values[: len(waiting)], strict=True)
