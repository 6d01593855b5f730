"""The inputs that excite each filter most, the part of them it sees, and the pixels responsible."""

import numpy as np
from tqdm import tqdm

from data_pipelines.split import Split
from ferjax.attribution import fields, pixels
from ferjax.attribution.activations import Activations
from ferjax.attribution.network import Network
from ferjax.augment import normalise


def top(network: Network, acts: Activations, split: Split, most: int) -> dict[str, np.ndarray]:
    """The strongest inputs of every filter, and what drives it there: the arrays of top.npz.

    Args:
      network: whose filters they are.
      acts: of the split's images.
      split: the inputs.
      most: inputs a filter.
    Returns:
      As docs/attribution.md says of top.npz.
    """
    top_n = min(most, len(split))
    maximum, position = np.asarray(acts.maximum), np.asarray(acts.position)
    rows = np.argsort(-maximum, axis=0, kind="stable")[:top_n].T  # [j, n]
    value = np.take_along_axis(maximum.T, rows, 1)
    used, index = np.unique(rows, return_inverse=True)
    images = split.image
    h, w = images.shape[1:3]
    box = np.zeros((*rows.shape, 4), np.int16)
    pictures = {m: np.full((*rows.shape, h, w), 128, np.uint8) for m in ("guided", "deconv")}
    methods = {"guided": "guided_backprop", "deconv": "deconvnet"}
    with tqdm(total=rows.size, desc="pictures", leave=False, disable=None) as bar:
        for layer in acts.size:
            columns = acts.of(layer)
            width = acts.size[layer][1]
            seen = fields.receptive_field(network.model, layer)
            place = np.take_along_axis(position.T[columns], rows[columns], 1)
            place = np.stack([place // width, place % width], -1)  # [m, 9, 2]
            box[columns] = seen.box(place, (h, w))
            flat = [
                a.reshape(-1, *a.shape[2:])
                for a in (np.repeat(acts.filter[columns][:, None], top_n, 1), rows[columns], place)
            ]
            done = {m: [] for m in methods}
            for start in range(0, len(flat[0]), pixels.IMAGES):
                j, r, p = (a[start : start + pixels.IMAGES] for a in flat)
                n, missing = len(j), pixels.IMAGES - len(j)
                j, r, p = (
                    np.pad(a, [(0, missing)] + [(0, 0)] * (a.ndim - 1), mode="edge") for a in (j, r, p)
                )
                x = normalise(images[r], network.normalise)
                maps = pixels.both_rectified(network, x, layer, j, position=p)
                for m, method in methods.items():
                    done[m].append(fields.as_picture(maps[method])[:n])
                bar.update(n)
            for m in methods:
                pictures[m][columns] = np.concatenate(done[m]).reshape(len(columns), top_n, h, w)
    return {
        "image": images[used],
        "id": split.id[used],
        "layer": acts.layer,
        "filter": acts.filter,
        "index": np.where(value > 0, index.reshape(rows.shape), -1).astype(np.int32),
        "activation": value,
        "box": box,
        **pictures,
    }
