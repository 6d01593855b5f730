"""Take a trained network along: which weights start where, which stay as they are, how fast the others learn.

It may be another training's, or published in a file. Parts are the network's top-level modules: block1_conv,
block2_conv, ..., dense, logits; of AlexNet dense1, dense2. Patterns are of their
names, as in a shell, a comma between: "block*,dense". What is taken, kept and slowed is in config.transfer.
"""

import fnmatch
import hashlib
import logging
import pathlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from data_pipelines import BadInput, leaks
from data_pipelines.split import Parts
from ferjax import checkpoint, config, evaluate, learned, models, results, weights
from ferjax.augment import input_shape
from ferjax.config_rules import part_numbers

Array = jax.Array
FROZEN = "frozen"
log = logging.getLogger(__name__)


def patterns(text: str) -> tuple[str, ...]:
    """ "block*, dense" -> ("block*", "dense")."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def check_names(c: ConfigDict, parts: tuple[str, ...]) -> None:
    """BadInput where a pattern of config.transfer fits no part, or nothing is left to learn."""
    t = c.transfer
    for key in ("take", "freeze", "rates", "unfreeze"):
        for pattern in part_numbers(t[key]) if key in ("rates", "unfreeze") else patterns(t[key]):
            if not fnmatch.filter(parts, pattern):
                raise BadInput(
                    f"config key transfer.{key} names {pattern!r}; this network's parts are "
                    f"{', '.join(parts)}"
                )
    if all(_matches(part, patterns(t.freeze)) for part in parts):
        raise BadInput(
            f"config key transfer.freeze is {t.freeze!r}: nothing is left to learn; name fewer parts"
        )


def _matches(part: str, wanted) -> bool:
    return any(fnmatch.fnmatchcase(part, pattern) for pattern in wanted)


def frozen(c: ConfigDict, part: str) -> bool:
    """Whether a part never learns."""
    return _matches(part, patterns(c.transfer.freeze))


def _number(part: str, text: str, otherwise: float) -> float:
    """The number of the last pattern that fits the part."""
    fits = [value for pattern, value in part_numbers(text).items() if fnmatch.fnmatchcase(part, pattern)]
    return fits[-1] if fits else otherwise


def hold(c: ConfigDict, params: dict) -> dict:
    """The weights with frozen parts cut off from the gradient, whose backward pass then costs nothing."""
    return {name: jax.lax.stop_gradient(p) if frozen(c, name) else p for name, p in params.items()}


def partition(c: ConfigDict, learn: optax.GradientTransformation) -> optax.GradientTransformation:
    """`learn` for the parts that learn, times their factors of the learning rate; nothing for frozen ones.

    Frozen parts have no optimizer state, and neither clipping nor weight decay sees them.
    """
    if not (c.transfer.freeze or c.transfer.rates):
        return learn

    def factors(updates, params=None):
        del params
        rate = {name: _number(name, c.transfer.rates, 1.0) for name in updates}
        return {name: jax.tree.map(lambda u, r=rate[name]: u * r, tree) for name, tree in updates.items()}

    kinds = {"learn": optax.chain(learn, optax.stateless(factors)), FROZEN: optax.set_to_zero()}
    return optax.partition(kinds, lambda params: {n: FROZEN if frozen(c, n) else "learn" for n in params})


def gates(c: ConfigDict, params: dict, step: Array, steps_per_epoch: int) -> dict | None:
    """Gradual unfreezing (Howard & Ruder 2018): part -> 0 before its epoch of transfer.unfreeze, then 1.

    Until then the optimizer's averages are kept, but the weights stay. None where nothing is unfrozen late.
    """
    if not c.transfer.unfreeze:
        return None
    begin = {n: _number(n, c.transfer.unfreeze, 0.0) for n in params}
    return {n: (step >= round(e * steps_per_epoch)).astype(jnp.float32) for n, e in begin.items()}


class _Source(NamedTuple):
    """Where weights come from.

    Attributes:
      name: a training's folder, or a file, for errors.
      params: part -> {"kernel", "bias"}, on the host.
      config: of the training; None of a file.
      shape: [h, w, c] of what the training's network gets; () where that is not known.
      run: the training's run.json; {} of a file.
      told: for the run's description.
    """

    name: str
    params: dict
    config: ConfigDict | None
    shape: tuple[int, ...]
    run: dict
    told: dict


def begin(c: ConfigDict, params: dict, parts: Parts, task) -> tuple[dict, dict, leaks.Learned]:
    """The weights a training starts from: those of another training's or a file's parts, the rest as drawn.

    Convolutions fit any image size. A first convolution of one channel becomes one of three that gives a
    coloured grey picture the same response (a third each), and one of three becomes one (their sum); one
    channel more, a map of saliency, begins at zero. A dense layer belongs to its image size, not AlexNet's.
    Logits of a training go by the names of what they tell, in whatever order these stand; those of a file,
    which names none, as they are where their count fits.

    Args:
      c: config; its `transfer` says from where, and which parts are taken.
      params: freshly drawn, on the host.
      parts: of this training.
      task: of `tasks`; its names are those of the outputs.
    Returns:
      (params, {"workdir", "step", "config_hash" or "file", "sha256", "weights", "taken", "learned", "notes"}
      for the run's description, what the source has learned from).
    Raises:
      BadInput: no such training or file, a part that does not fit, or a source that was trained or selected
        on what is to be reported, see `learned.check_start`.
    """
    t, image_shape = c.transfer, parts.train.image.shape[1:]
    source = _of_file(c) if t.file else _of_training(c)
    theirs, here = source.params, input_shape(c, image_shape)
    out, taken = dict(params), []
    for name in params:
        if not _matches(name, patterns(t.take)):
            continue
        if name not in theirs:
            raise BadInput(
                f"config key transfer.take names {name}, which the network in {source.name} lacks; it has "
                f"{', '.join(theirs)}"
            )
        part = theirs[name]
        if name == "logits" and source.config is not None:
            part = by_name(part, _outputs(source.run), task.names, source.name)
        out[name] = _fitted(name, part, params[name], source, c, here)
        taken.append(name)
    if not taken:
        raise BadInput(
            f"config key transfer.take is {t.take!r}: no part is taken from {source.name}; name some"
        )
    if t.file:
        seen = leaks.Learned.nothing(parts.train.picture_shape, _unknown(t.file))
    else:
        seen = learned.of_source(t.workdir, parts.train.picture_shape)
    notes = learned.check_start(seen, parts, source.name)
    for note in notes:
        log.warning("%s", note)
    begun = source.told | {
        "weights": weights_hash({name: theirs[name] for name in taken}),
        "taken": taken,
        "learned": learned.counts(seen),
        "notes": notes,
    }
    return out, begun, seen


def _of_training(c: ConfigDict) -> _Source:
    t = c.transfer
    saved = results.read_workdir(t.workdir)
    if not saved.get("config"):
        raise BadInput(
            f"config key transfer.workdir is {t.workdir!r}, which holds no training; name its folder"
        )
    source, run = config.from_json(saved["config"]), saved["run"]
    theirs, step = source_weights(t.workdir, t.checkpoint)
    side = source.data.image_size
    shape = tuple(run.get("image_shape") or (side, side, 1))
    shape = input_shape(source, shape) if side or run.get("image_shape") else ()
    told = {"workdir": str(t.workdir), "step": step, "config_hash": results.config_hash(saved["config"])}
    return _Source(str(t.workdir), theirs, source, shape, run, told)


def _of_file(c: ConfigDict) -> _Source:
    """Published weights, see `weights` and the network's `from_torch`."""
    file = c.transfer.file
    arrays, digest = weights.read(file)
    params = models.NETWORKS[c.model.name].from_torch(arrays, file)
    return _Source(file, params, None, (), {}, {"file": file, "sha256": digest})


def _unknown(file: str) -> str:
    return (
        f"This network's weights began as those of {pathlib.Path(file).name}, which does not say what it was "
        "trained on: whether on images reported here is not known."
    )


def _outputs(run: dict) -> tuple[str, ...]:
    """What a run's outputs tell, in their order."""
    return tuple(run.get("au_names" if run.get("task") == "aus" else "classes") or ())


def by_name(part: dict, there: tuple[str, ...], here: tuple[str, ...], workdir) -> dict:
    """A layer of outputs, {"kernel" [n, k], "bias" [k]}, in another order of the same names.

    Args:
      part: weights whose outputs are `there`.
      there, here: k names of emotions or action units.
      workdir: of the source, for the error.
    Raises:
      BadInput: the names are not the same.
    """
    gone = [name for name in there if name not in here]
    new = [name for name in here if name not in there]
    if gone or new:
        lists = [
            f"only {where} {', '.join(names)}" for where, names in (("there", gone), ("here", new)) if names
        ]
        raise BadInput(
            f"logits in {workdir} tell {', '.join(there) or 'what its run.json does not say'}; this training "
            f"is to tell {', '.join(here)} ({'; '.join(lists)}): leave logits out of transfer.take"
        )
    order = [there.index(name) for name in here]
    return {key: np.asarray(value)[..., order] for key, value in part.items()}


def _fitted(name: str, theirs: dict, ours: dict, source: _Source, c: ConfigDict, here) -> dict:
    """One part's weights in the shapes wanted here; BadInput naming the keys that differ where none fits.

    Args:
      here: [h, w, c] of what the network gets.
    """
    was, wanted = theirs["kernel"].shape, ours["kernel"].shape
    out = {key: np.asarray(value) for key, value in theirs.items()}
    if was != wanted and len(was) == 4 == len(wanted) and was[:2] + was[3:] == wanted[:2] + wanted[3:]:
        out["kernel"] = _channels(out["kernel"], wanted[2])
    if out["kernel"].shape != wanted or out["bias"].shape != ours["bias"].shape:
        raise BadInput(
            f"{name} in {source.name} is {was} and here {wanted}: "
            f"{_why(name, source, c, here, was, wanted)}; set the same, or leave {name} out of transfer.take"
        )
    return {key: value.astype(ours[key].dtype) for key, value in out.items()}


def _channels(kernel: np.ndarray, wanted: int) -> np.ndarray:
    """A first convolution [kh, kw, c, o] for other channels, where that is possible; else as it is."""
    channels = kernel.shape[2]
    if (channels, wanted) == (1, 3):
        return np.repeat(kernel, 3, 2) / 3
    if (channels, wanted) == (3, 1):
        return kernel.sum(2, keepdims=True)
    if channels in (1, 3) and wanted == channels + 1:
        return np.concatenate([kernel, np.zeros_like(kernel[:, :, :1])], 2)
    return kernel


def _why(name: str, source: _Source, c: ConfigDict, here, was, wanted) -> str:
    """What makes a part's shapes differ."""
    why = [
        f"model.{key} is {source.config.model[key]} there and {c.model[key]} here"
        for key in ("name", "kernel", "features", "dense", "width")
        if source.config is not None and source.config.model[key] != c.model[key]
    ]
    side = source.shape[:2]
    if name == "dense" and was[:1] != wanted[:1] and side and side != tuple(here[:2]):
        sizes = ["x".join(map(str, one)) for one in (side, here[:2])]
        why.append(
            f"a dense layer belongs to its image size, {sizes[0]} there and {sizes[1]} here "
            "(data.image_size, augment.crop): take the convolutions alone, transfer.take=block*, or train at "
            "that size"
        )
    if not why and name == "logits":
        why = ["another number of outputs"]
    elif not why and source.config is None and c.model.width != 1:
        why = [f"model.width is {c.model.width} here"]
    return "; ".join(why) or "other channels"


def source_weights(workdir, which: str) -> tuple[dict, int]:
    """All weights of a training's checkpoint, on the host: part -> {"kernel", "bias"}, and its step.

    Raises:
      BadInput: no such checkpoint.
    """
    step = evaluate.checkpoint_step(workdir, which)
    checkpoints = checkpoint.Checkpoints(workdir, read_only=True)
    try:
        return checkpoints.all_weights(step), step
    finally:
        checkpoints.close()


def weights_hash(params: dict) -> str:
    """sha256 of all weights, by name."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        digest.update(jax.tree_util.keystr(path).encode())
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()
