"""What a run's network has learned from: its own parts, and those of every training that it began from.

W/learned.npz keeps it, so that neither the data nor the trainings it began from are needed to tell whether
a part may be reported.
"""

import io
import logging
import pathlib

import numpy as np
from ml_collections import ConfigDict

from data_pipelines import BadInput, arrays, leaks
from data_pipelines.leaks import Learned, Side
from data_pipelines.split import DAMAGED
from ferjax import config, files, results

log = logging.getLogger(__name__)
NAME = "learned.npz"


def write(workdir, learned: Learned) -> None:
    """Writes W/learned.npz.

    Raises:
      BadInput: it cannot be written.
    """
    out = {key: np.array(getattr(learned, key)) for key in ("image_shape", "sets", "unknown")}
    for name in ("trained", "selected"):
        side = getattr(learned, name)
        # ids as bytes: a quarter of the size
        out |= {
            f"{name}/{key}": value
            for key, value in side._replace(id=np.char.encode(side.id))._asdict().items()
        }
    files.write(pathlib.Path(workdir) / NAME, files.npz_bytes(out))


def read(workdir) -> Learned | None:
    """What `write` wrote; None where a training, of an earlier version, has none.

    Raises:
      BadInput: it is damaged.
    """
    path = pathlib.Path(workdir) / NAME
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            sides = []
            for name in ("trained", "selected"):
                side = Side(*(file[f"{name}/{key}"] for key in Side._fields))
                sides.append(side._replace(id=np.char.decode(side.id)))
            shape = tuple(int(v) for v in file["image_shape"])
            words = (tuple(str(v) for v in file[key]) for key in ("sets", "unknown"))
            return Learned(*sides, shape, *words)
    except FileNotFoundError:
        return None
    except DAMAGED as e:
        raise BadInput(
            f"{path} cannot be read ({e}); put it back, or delete it to look at the data again"
        ) from e


def of_run(workdir, image_shape: tuple[int, int, int], parts: arrays.Parts | None = None) -> Learned:
    """What a run's network has learned from: as its learned.npz says, else from the data on disk.

    Args:
      workdir: of a training.
      image_shape: [h, w, c] of the images to compare with.
      parts: the run's, where they are loaded already.
    Raises:
      BadInput: it has no learned.npz, and its data are not on disk, or have changed.
    """
    kept, shape = read(workdir), tuple(image_shape)
    if kept and kept.image_shape == shape:
        return kept
    try:
        return _from_data(workdir, shape, parts)
    except BadInput as e:
        if not kept:
            raise
        log.warning("%s: what it learned from cannot be read at another image size: %s", workdir, e)
        return kept.without_images(shape, _uncompared(workdir))


def of_source(workdir, image_shape: tuple[int, int, int]) -> Learned:
    """As `of_run`, of a training that another began from: where nothing is known of it, that is said.

    The sentence is one of `Learned.unknown`, which go into run.json, and into the notes of results.
    """
    try:
        return of_run(workdir, image_shape)
    except BadInput as e:
        said = (
            f"The data of {workdir}, where this network's weights began, are not on disk as they were: "
            "whether it saw the part that is reported is not known."
        )
        log.warning("%s (%s)", said, e)
        return Learned.nothing(image_shape, said)


def _uncompared(workdir) -> str:
    return (
        f"{workdir}, where this network's weights began, learned from images of another size, and its data "
        "are not on disk as they were: no person reported was seen there; whether an image was is not "
        "known."
    )


def _from_data(workdir, shape: tuple[int, int, int], parts: arrays.Parts | None) -> Learned:
    """As `of_run`, from the data of the run and of all that it began from."""
    saved = results.read_workdir(workdir)
    if not saved["config"]:
        raise BadInput(f"{workdir} has no config.json; give the folder of a training")
    data, need = config.from_json(saved["config"]).data, ("train", "select")
    parts = parts or arrays.load_parts(data, need)
    begun = saved["run"].get("split_hashes", {})
    changed = [p for p in need if begun.get(p, getattr(parts, p).hash) != getattr(parts, p).hash]
    if changed:
        raise BadInput(f"{workdir} was trained on other data: {' and '.join(changed)} changed since")
    learned = Learned.of(parts)
    if learned.image_shape != shape:
        data = ConfigDict(data.to_dict())
        arrays.look_as(data, shape)
        resized = Learned.of(arrays.load_parts(data, need))
        learned = (
            resized if resized.image_shape == shape else learned.without_images(shape, _uncompared(workdir))
        )
    source = saved["run"].get("started_from", {}).get("workdir")
    return learned | of_source(source, shape) if source else learned


def check_start(theirs: Learned, parts: arrays.Parts, workdir) -> list[str]:
    """What a reader should know of a training on these parts that begins from another one's network.

    Args:
      theirs: what that network has learned from.
      parts: of the training that begins.
      workdir: of that network.
    Returns:
      sentences: what is not known, and what of the selecting part it was trained on. That does not touch the
      part reported, but a choice on it is partial to what was seen.
    Raises:
      BadInput: it was trained or selected on people or images of the part that is to be reported.
    """
    leaks.refuse_learned(theirs, parts, parts.test, f"the network of {workdir}")
    people = set(theirs.trained.subject.tolist()) & set(parts.select.subjects)
    images = int(theirs.seen(parts.select, selected=False).sum())
    notes = list(theirs.unknown)
    if people or images:
        n = f"{len(people)} people" if people else f"{images} images"
        notes.append(
            f"{n} of the part that selects were trained on by {workdir}, where this network's weights "
            "began: the selection is partial to them; what is reported is not among them."
        )
    return notes


def counts(learned: Learned) -> dict:
    """{"trained", "selected"} -> how many subjects and images, for run.json."""
    sides = {"trained": learned.trained, "selected": learned.selected}
    return {name: {"subjects": len(s.subject), "images": len(s.image)} for name, s in sides.items()}
