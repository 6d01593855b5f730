"""What a clip's answer rests on: the LSTM's after every frame, and its frames and pixels.

Axis letters: q clips shown, t time, p frames of a strip, h w image, k classes.
"""

import hashlib
import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from data_pipelines import clips
from ferjax import files
from ferjax.augment import normalise
from ferjax.micro import loso
from ferjax.protocols import Cell

SHOWN = 3  # clips of each class
STRIP = 9  # frames of a film strip


def chosen(of: clips.Clips, per_class: int = SHOWN) -> np.ndarray:
    """int [q]: some clips of each class, of different subjects where it can be, whatever was told."""
    order = sorted(
        range(len(of)), key=lambda i: hashlib.sha256(f"ferjax shown {of.id[i]}".encode()).hexdigest()
    )
    out = []
    for k in range(len(of.classes)):
        mine = [i for i in order if of.label[i] == k]
        first = list({of.subject[i]: i for i in reversed(mine)}.values())
        rest = [i for i in mine if i not in first]
        out += sorted((sorted(first, key=mine.index) + rest)[:per_class])
    return np.array(out, int)


def of_clip(
    network, params: dict, recipe: loso.Recipe, k: int, layer: str, x: np.ndarray, mask: np.ndarray, scale
):
    """The answer over time, and what it stands on, of one clip.

    Args:
      network: `attribution.network.Network` of the frames.
      params: of an LSTM head.
      recipe: the head's.
      k: classes.
      layer: whose features the head takes.
      x: uint8 [t, h, w, c].
      mask: bool [t].
      scale: (mean [d], scale [d]) of the features.
    Returns:
      (probability float32 [t, k] after each frame; weight float32 [t]: of each frame, its features times the
      gradient of the last logit of the class told (so that, to first order, they sum to what the frames add
      to it);
      pixels float32 [t, h, w]: size of that logit's gradient in each pixel, over channels).
    """
    model = loso.model(recipe, k)
    mean, by = (jnp.asarray(a, jnp.float32) for a in scale)

    @jax.jit
    def run(image):
        def features(image):
            return (network(image)[layer].reshape(len(image), -1) - mean) * by

        def head(z):
            logits, acts = model.apply({"params": params}, z[None], jnp.asarray(mask)[None])
            return logits[0].max(), acts["logits/time"][0]

        z, back = jax.vjp(features, image)
        slope, over_time = jax.grad(head, has_aux=True)(z)
        (pixels,) = back(slope)
        return jax.nn.softmax(over_time), (slope * z).sum(-1), jnp.abs(pixels).sum(-1)

    return [np.asarray(a) for a in run(normalise(jnp.asarray(x), network.normalise))]


def cell(study, kind: str, need: tuple[str, ...]) -> Cell:
    """The evidence of some clips of every class, each told by the head of seed 0 that never saw its subject.

    It keeps W/cells/evidence/<kind>/evidence.npz: id, subject, label, predicted, apex (a step), mask [q, t],
    probability [q, t, k], weight [q, t], step [q, p] of the strip, frames uint8 [q, p, h, w] (grey),
    pixels float32 [q, p, h, w] (1 is the clip's largest).
    """
    heads = f"heads/{kind}/lstm"

    def run(folder: pathlib.Path) -> tuple[dict | None, int]:
        rows = chosen(study.clips)
        task, recipe = study.task(kind), study.recipe["lstm"]
        out = {"probability": [], "weight": [], "pixels": [], "frames": [], "step": []}
        for i in rows:
            who = str(study.clips.subject[i])
            params = study.head(kind, "lstm", who, 0)
            network = study.network(study.fold_of(who), kind)
            x = study.inputs_as(kind)[i]
            scale = task.scale(study.subjects.index(who))
            p, w, pixels = of_clip(
                network, params, recipe, task.classes, study.c.layer, x, study.mask[i], scale
            )
            step = np.rint(np.linspace(0, study.mask[i].sum() - 1, STRIP)).astype(int)
            frames = clips.frames_at(study.clips.frames(i), study.place[i, step])
            found = (p, w, pixels[step] / max(pixels.max(), 1e-12), frames.mean(-1).astype(np.uint8), step)
            for name, value in zip(out, found, strict=True):
                out[name].append(value)
        told = {name: np.stack(value) for name, value in out.items()}
        told |= {"label": study.clips.label[rows], "apex": study.apex[rows], "mask": study.mask[rows]}
        told |= {"id": study.clips.id[rows], "subject": study.clips.subject[rows]}
        told |= {"predicted": told["probability"][:, -1].argmax(-1), "classes": np.array(study.clips.classes)}
        told |= {"known": study.clips.apex[rows] >= 0}
        files.write(folder / "evidence.npz", files.npz_bytes(told))
        return {"files": [os.path.relpath(folder / "evidence.npz", study.workdir)]}, 0

    about = {"data": study.data(), "frames": study.about_frames(), "recipe": study.recipe["lstm"]._asdict()}
    about |= {"rule": study.c.epoch_rule, "seeds": study.c.seeds, "inner": study.c.inner}
    return Cell(f"evidence/{kind}", about, run, (*need, heads), 40.0)
