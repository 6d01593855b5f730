"""Faces weighted by where people look: saliency as an input of a network, and the controls beside it.

A config's `data.saliency` says how. Maps are of the pictures as the network gets them: cropped, at its size.

    product   the picture times its map: Mavani, Raman & Miyapuram 2017
    blend     the picture times (1 - share + share * map): what is not salient is dimmed, not black
    channel   the map as a further channel of the picture

The controls take the maps' numbers and leave their meaning out: `shuffled` gives each picture another
person's map of the same part, `inverted` one minus the map; method = centre is a map that knows no picture.
"""

import collections
import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from data_pipelines import BadInput, saliency_maps
from data_pipelines.disk import readers
from data_pipelines.split import Parts, Split

MODES = ("none", "product", "blend", "channel")
METHODS = ("spectral", "centre", "maps")
CONTROLS = ("none", "shuffled", "inverted")
KEPT = 24  # splits whose spectral maps are kept, since a study asks for them again and again
MAP_OF = "picture"  # of a map's PNG: the hash of what it is the map of
_drawn: dict[str, np.ndarray] = {}
DEFAULTS = {"mode": "none", "method": "spectral", "control": "none", "maps": "", "share": 0.5, "sigma": 0.25}


def weighted(parts: Parts, how: Mapping, need: Sequence[str] = ("train", "select", "test")) -> Parts:
    """The needed parts with saliency as `how`, a config's data.saliency, says; see `weigh`."""
    if how.get("mode", "none") == "none":
        return parts
    return parts._replace(**{name: weigh(getattr(parts, name), how) for name in need})


def weigh(split: Split, how: Mapping) -> Split:
    """A split's pictures with their maps laid over them, or beside them.

    Args:
      split: images uint8 [n, h, w, c].
      how: keys of DEFAULTS.
    Returns:
      images of the same shape, or with mode=channel [n, h, w, c + 1]. What they were stays known:
      `Split.pixels` are those of the pictures without a map, so that leaks are found as ever.
    Raises:
      BadInput: an unknown mode, method or control; pictures that are weighted already; a map that is missing.
    """
    o = checked(how)
    if o["mode"] == "none" or not len(split):
        return split
    if split.plain is not None:
        raise BadInput(
            f"{split.name}: its pictures are weighted by saliency already (as exported); set "
            "data.saliency.mode=none"
        )
    maps = maps_of(split, o)
    if o["control"] == "shuffled":
        maps = maps[others(split.id, split.subject)]
    elif o["control"] == "inverted":
        maps = 255 - maps
    return split.overlaid(_laid_over(split.image, maps, o["mode"], o["share"]))


def checked(how: Mapping) -> dict:
    """DEFAULTS with the given ones filled in; BadInput where a value makes no sense."""
    o = {**DEFAULTS, **{key: how[key] for key in DEFAULTS if key in how}}
    for key, words in (("mode", MODES), ("method", METHODS), ("control", CONTROLS)):
        if o[key] not in words:
            raise BadInput(f"data.saliency.{key}: {o[key]!r} is not known; write {', '.join(words)}")
    if not 0 < o["share"] <= 1:
        raise BadInput(f"data.saliency.share: {o['share']} is not above 0 and at most 1")
    if not o["sigma"] > 0:
        raise BadInput(f"data.saliency.sigma: {o['sigma']} is not above 0, in shares of the side")
    if o["mode"] != "none" and o["method"] == "maps" and not o["maps"]:
        raise BadInput("data.saliency.maps is empty; name the folder that ferjax saliency --out wrote")
    if o["method"] == "centre" and o["control"] == "shuffled":
        raise BadInput("data.saliency.control=shuffled changes nothing where method=centre: all maps are one")
    return o


def as_trained(given: Mapping, trained: Mapping) -> dict:
    """How another set's pictures are weighted for a network: as those it was trained on, by its own maps.

    Args:
      given: data.saliency of the other set, whose `maps` may name its folder of maps.
      trained: of the training.
    """
    o = checked(trained)
    return {**o, "maps": given.get("maps", "")} if o["maps"] else o


def maps_of(split: Split, how: Mapping) -> np.ndarray:
    """The maps of a split's pictures, before any control.

    Returns:
      uint8 [n, h, w], 255 is most salient.
    """
    n, h, w, _ = split.image.shape
    if how["method"] == "centre":
        one = np.round(255 * saliency_maps.centre(h, w, how["sigma"])).astype(np.uint8)
        return np.broadcast_to(one, (n, h, w))
    if how["method"] == "maps":
        return _read(split, Path(how["maps"]).expanduser())
    if split.hash not in _drawn:
        while len(_drawn) >= KEPT:
            del _drawn[next(iter(_drawn))]
        maps = [saliency_maps.spectral_residual(one) for one in split.image]
        _drawn[split.hash] = np.round(255 * np.stack(maps)).astype(np.uint8)
    return _drawn[split.hash]


def others(ids: np.ndarray, subject: np.ndarray) -> np.ndarray:
    """int [n]: for each picture one of another person, the same on every machine; each is taken once.

    The pictures lie in a circle, person beside person, in the order of hashes; each takes the one that lies
    as many places before it as the person with most pictures has. Where one person has more than half of
    all, that cannot be, and each takes the one before it in a circle of pictures alone. A picture of an
    unknown person ("") is a person.

    Raises:
      BadInput: a single picture.
    """
    if len(ids) < 2:
        raise BadInput("data.saliency.control=shuffled needs two pictures or more in every part")

    def digest(name):
        return hashlib.sha256(b"ferjax shuffled map " + name.encode()).digest()

    pictures = [digest(name) for name in ids.tolist()]
    people = [digest(who) if who else own for who, own in zip(subject.tolist(), pictures, strict=True)]
    most = max(collections.Counter(people).values())
    apart = 2 * most <= len(ids)
    keys = list(zip(people, pictures, strict=True)) if apart else pictures
    order = np.array(sorted(range(len(ids)), key=keys.__getitem__))
    out = np.empty(len(ids), int)
    out[order] = np.roll(order, most if apart else 1)
    return out


def picture_hash(image: np.ndarray) -> str:
    """sha256, hex, of a picture [h, w, c] as a network gets it, which its map is of."""
    return hashlib.sha256(str(image.shape).encode() + np.ascontiguousarray(image).tobytes()).hexdigest()


def _laid_over(image: np.ndarray, maps: np.ndarray, mode: str, share: float) -> np.ndarray:
    """uint8 [n, h, w, c] or, with mode=channel, [n, h, w, c + 1]."""
    if mode == "channel":
        return np.concatenate([image, maps[..., None]], -1)
    keep = 0.0 if mode == "product" else 1 - share
    gain = np.float32(keep) + np.float32((1 - keep) / 255) * maps[..., None]
    return np.round(image * gain).astype(np.uint8)


def _read(split: Split, folder: Path) -> np.ndarray:
    """The maps that `ferjax saliency` wrote for these pictures, resized where they are of another size.

    Raises:
      BadInput: no such folder, or a picture without a readable map.
    """
    from PIL import Image

    _, h, w, _ = split.image.shape
    if not (folder / "maps.json").is_file():
        raise BadInput(
            f"data.saliency.maps: {folder} holds no maps.json; write the maps with ferjax saliency --config "
            f"CONFIG --out {folder}"
        )

    def read(name: str, image: np.ndarray) -> np.ndarray:
        path = folder / f"{name}.png"
        try:
            with Image.open(io.BytesIO(path.read_bytes())) as file:
                of = file.info.get(MAP_OF, "")
                if of and of != picture_hash(image):
                    raise BadInput(
                        f"{path}: the map of another picture than {split.name} has by that name (cut "
                        "otherwise, of another size or colour); run ferjax saliency --config with this "
                        "config's data"
                    )
                grey = file.convert("L")
                same = grey.size == (w, h)
                return np.asarray(grey if same else grey.resize((w, h), Image.Resampling.BILINEAR))
        except FileNotFoundError:
            raise BadInput(
                f"{path}: no map of this picture ({split.name}); run the ferjax saliency command again, "
                "which adds what is missing"
            ) from None
        except BadInput:
            raise
        except (OSError, ValueError, SyntaxError) as error:
            raise BadInput(f"{path}: not a readable map ({error}); delete it and write it again") from None

    out = np.empty(split.image.shape[:3], np.uint8)
    with readers() as pool:
        for i, found in enumerate(pool.map(read, split.id.tolist(), split.image)):
            out[i] = found
    return out


def described(how: Mapping) -> str:
    """In words, what the pictures are; "" where no map is laid over them."""
    o = checked(how)
    if o["mode"] == "none":
        return ""
    by = {"spectral": "spectral residual", "centre": "a centre Gaussian"}
    by = by.get(o["method"], f"the maps in {Path(o['maps']).name}")
    control = {"none": "", "shuffled": ", each of another picture", "inverted": ", inverted"}[o["control"]]
    mode = {"product": "times", "blend": f"dimmed by a share of {o['share']:g} by", "channel": "beside"}
    return f"pictures {mode[o['mode']]} {by}{control}"
