"""Maps of any pictures, as PNGs: what `ferjax saliency` does.

O/<id>.png is uint8, as large as its picture; O/maps.json says by which method and with which weights, and
nothing that differs between two runs; O/look.png shows some beside their pictures. The same command goes on
where it was stopped.
"""

import collections
import io
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from data_pipelines import BadInput, arrays, faces, letterbox, pictures, saliency_input, saliency_maps
from data_pipelines.disk import readers
from ferjax import config as config_lib
from ferjax import files

SCHEMA = "ferjax/saliency_maps/1"
METHODS = ("ml_net", "spectral", "centre")
BATCH = 8  # pictures of which ML-Net makes maps at once
AHEAD = 4  # batches decoded before they are asked for
SHOWN, THUMB = 24, 96  # pictures in look.png, and their longer side, pixels
NAMED = 3  # pictures named of many


class Source(NamedTuple):
    """A picture to make a map of.

    Attributes:
      id: its map is O/<id>.png.
      read: gives uint8 [h, w, 3]; raises BadInput.
      changed: when its file was, seconds; 0 where it has none.
      hash: of the picture as a network gets it, kept in the map; "" where it is a file of its own.
    """

    id: str
    read: Callable[[], np.ndarray]
    changed: float = 0.0
    hash: str = ""


def write(out: str, method: str, sources: Sequence[Source], weights: str = "", workdir: str = "") -> dict:
    """Writes the maps of pictures that are not there yet, maps.json and look.png.

    Args:
      out: O.
      method: ml_net, spectral or centre.
      sources: of `below` or `of_experiment`.
      weights: ml_net: a published file, see `models.keras1`.
      workdir: ml_net: of a training instead.
    Returns:
      {"made": maps made now, "kept": that were there, "unreadable": id -> why}.
    Raises:
      BadInput: an unknown method, no weights, maps by something else in O, or O cannot be written.
    """
    folder = pathlib.Path(out).expanduser()
    for source in sources:
        if not _inside(source.id):
            raise BadInput(f"--out {out}: the map of {source.id!r} would lie outside; rename that picture")
    map_all, settings = _method(method, weights, workdir)
    _same_or_refuse(folder, settings)
    left = [source for source in sources if not _there(folder, source)]
    bad, shown = {}, _evenly(sources)
    bar = tqdm(total=len(sources), initial=len(sources) - len(left), unit="maps", disable=None)
    with bar:
        for source, found in map_all(_decoded(left, bad)):
            files.write(folder / f"{source.id}.png", _png(found, source.hash))
            bar.update()
    _look(folder, [s for s in shown if s.id not in bad])
    files.write(folder / "maps.json", files.json_bytes({**settings, "sizes": _sizes(folder, sources, bad)}))
    return {"made": len(left) - len(bad), "kept": len(sources) - len(left), "unreadable": bad}


def words(told: Mapping, out: str) -> str:
    """What `write` returned in a line for the terminal."""
    said = f"{told['made']} maps written to {out}"
    said += f", {told['kept']} were there" if told["kept"] else ""
    bad = told["unreadable"]
    if bad:
        names = "; ".join(list(bad.values())[:NAMED]) + ("; ..." if len(bad) > NAMED else "")
        said += f"; {len(bad)} of no readable picture: {names}"
    return said


def below(images: str, out: str) -> list[Source]:
    """The pictures in a folder and below it; the id is the path from there on, with its suffix.

    Args:
      images: the folder.
      out: where the maps go, which may not be in it.
    Raises:
      BadInput: no such folder, no picture in it, or maps that would lie among them.
    """
    place = pathlib.Path(images).expanduser()
    if pathlib.Path(out).expanduser().resolve().is_relative_to(place.resolve()):
        raise BadInput(f"--out {out} lies in --images {images}: its maps would be taken for pictures")
    if not place.is_dir():
        raise BadInput(f"--images {images}: no such folder; name one with pictures")
    found = pictures.below(place)[0]
    if not found:
        raise BadInput(f"--images {images}: no picture in this folder or below it (.jpg, .png, ...)")
    return [
        Source(
            path.relative_to(place).as_posix(), lambda path=path: faces.read_rgb(path), path.stat().st_mtime
        )
        for path in found
    ]


def of_experiment(path: str, overrides: Sequence[str] = ()) -> list[Source]:
    """The prepared images of a training's set, as its network gets them, by their ids in all three parts.

    Args:
      path: of a config file.
      overrides: "data.dir=..." and the like.
    Raises:
      BadInput: a config that cannot be, a set that cannot be read, or one id for two different images.
    """
    config = config_lib.load(path, overrides)
    data = {key: value for key, value in config.data.items() if key != "saliency"}
    parts, held = arrays.load_parts(data), {}
    for split in (parts.train, parts.select, parts.test):
        for name, image in zip(split.id.tolist(), split.image, strict=True):
            if name in held and not np.array_equal(held[name], image):
                raise BadInput(
                    f"{split.name}: two different images are called {name!r}; maps need one of a name"
                )
            held[name] = image
    return [
        Source(name, lambda image=image: _rgb(image), hash=saliency_input.picture_hash(image))
        for name, image in held.items()
    ]


def _rgb(image: np.ndarray) -> np.ndarray:
    """uint8 [h, w, 3] of [h, w, c]: grey in all three."""
    return image if image.shape[2] == 3 else np.repeat(image[..., :1], 3, 2)


def _decoded(sources: Sequence[Source], bad: dict) -> Iterator[tuple[Source, np.ndarray]]:
    """(source, picture), read in threads, some ahead; those that cannot be read go to `bad`."""
    waiting = collections.deque()
    with readers() as pool:
        try:
            for source in [*sources, *[None] * (AHEAD * BATCH)]:
                waiting.append((source, source and pool.submit(source.read)))
                if len(waiting) <= AHEAD * BATCH:
                    continue
                first, future = waiting.popleft()
                if first is None:
                    return
                try:
                    yield first, future.result()
                except BadInput as error:
                    bad[first.id] = str(error)
        finally:
            pool.shutdown(cancel_futures=True)


def _method(method: str, weights: str, workdir: str) -> tuple[Callable, dict]:
    """((source, picture) pairs -> (source, map) pairs, what decides the maps, for maps.json)."""
    if method not in METHODS:
        raise BadInput(f"--method {method} is unknown; write {', '.join(METHODS)}")
    if method != "ml_net":
        if weights or workdir:
            raise BadInput(f"--method {method} has no weights; leave --weights and --workdir away")
        alone = saliency_maps.spectral_residual if method == "spectral" else _centre
        options = (
            {"size": saliency_maps.SIZE, "blur": saliency_maps.BLUR}
            if method == "spectral"
            else {"share": saliency_maps.SHARE}
        )
        return lambda pairs: ((s, alone(p)) for s, p in pairs), _settings(method, "", options)
    if bool(weights) == bool(workdir):
        raise BadInput(
            "--method ml_net needs --weights FILE (mlnet_salicon_weights.pkl) or --workdir W (of a training)"
        )
    from ferjax.saliency import network

    model, params, frame, digest = network.from_file(weights) if weights else network.from_workdir(workdir)
    return _ml_net(model, params, frame), _settings(method, digest, {"frame": list(frame)})


def _centre(picture: np.ndarray) -> np.ndarray:
    return saliency_maps.centre(*picture.shape[:2])


def _settings(method: str, digest: str, options: dict) -> dict:
    return {"schema": SCHEMA, "method": method, "weights_sha256": digest, "options": options}


def _ml_net(model, params, frame: tuple[int, int]) -> Callable:
    """Maps by ML-Net, each divided by its largest value in the picture, as the published code does."""
    from ferjax.ops.memory import keep_freed_memory
    from ferjax.parallel import Devices
    from ferjax.saliency.network import Predictor

    def run(pairs):
        keep_freed_memory()
        devices = Devices("pmap", None, 1)
        predictor, held = Predictor(model, devices, BATCH), []
        placed = devices.put(params)

        def told():
            found = predictor(placed, np.stack([letterbox.pad(p, frame) for _, p in held]))
            for (source, picture), one in zip(held, found, strict=True):
                h, w = picture.shape[:2]
                one = letterbox.unpad(one, letterbox.place(h, w, frame), frame, h, w)
                yield source, np.clip(one / max(float(one.max()), 1e-7), 0, 1)

        for pair in pairs:
            held.append(pair)
            if len(held) == BATCH:
                yield from told()
                held = []
        if held:
            yield from told()

    return run


def _same_or_refuse(folder: pathlib.Path, settings: dict) -> None:
    """Writes maps.json; BadInput where the folder holds maps by something else."""
    path = folder / "maps.json"
    if path.exists():
        said = files.read_json(path)
        for key, value in settings.items():
            if said.get(key) != value:
                raise BadInput(
                    f"{folder} holds maps by another {key} ({said.get(key)!r}, and now {value!r}); name "
                    "another --out, or delete that folder"
                )
    else:
        if next(folder.rglob("*.png"), None) is not None:
            raise BadInput(f"{folder} holds pictures and no maps.json; name a new folder for --out")
        files.write(path, files.json_bytes(settings))


def _sizes(folder: pathlib.Path, sources: Sequence[Source], bad: Mapping) -> dict[str, int]:
    """ "480x640" (height, width) -> how many of the maps are of it."""
    from PIL import Image

    found = collections.Counter()
    for source in sources:
        if source.id not in bad:
            with Image.open(folder / f"{source.id}.png") as file:
                found[f"{file.height}x{file.width}"] += 1
    return dict(sorted(found.items()))


def _there(folder: pathlib.Path, source: Source) -> bool:
    """Whether a map is there, of this very picture, or no older than its file."""
    path = folder / f"{source.id}.png"
    if not path.is_file():
        return False
    return _of(path) == source.hash if source.hash else path.stat().st_mtime >= source.changed


def _of(path: pathlib.Path) -> str:
    """The hash of what a map is of; "" where it does not say."""
    from PIL import Image

    try:
        with Image.open(path) as file:
            return file.info.get(saliency_input.MAP_OF, "")
    except (OSError, SyntaxError):
        return ""


def _inside(name: str) -> bool:
    path = pathlib.PurePosixPath(name)
    return bool(name) and not path.is_absolute() and ".." not in path.parts


def _png(found: np.ndarray, of: str) -> bytes:
    from PIL import Image, PngImagePlugin

    data, said = io.BytesIO(), PngImagePlugin.PngInfo()
    if of:
        said.add_text(saliency_input.MAP_OF, of)
    Image.fromarray(np.round(255 * found).astype(np.uint8)).save(data, "PNG", pnginfo=said)
    return data.getvalue()


def _evenly(sources: Sequence[Source]) -> list[Source]:
    """A few, spread over all."""
    rows = np.unique(np.linspace(0, len(sources) - 1, min(len(sources), SHOWN)).astype(int))
    return [sources[row] for row in rows]


def _look(folder: pathlib.Path, shown: Sequence[Source]) -> None:
    """look.png: pictures beside their maps, four pairs a row."""
    from PIL import Image

    cells = []
    for source in shown:
        try:
            pair = [source.read(), np.repeat(faces.read_grey(folder / f"{source.id}.png")[..., None], 3, 2)]
        except BadInput:
            continue
        cells.append(
            np.concatenate([letterbox.pad(np.ascontiguousarray(p), (THUMB, THUMB)) for p in pair], 1)
        )
    if not cells:
        return
    cells += [np.zeros_like(cells[0])] * (-len(cells) % 4)
    rows = [np.concatenate(cells[i : i + 4], 1) for i in range(0, len(cells), 4)]
    data = io.BytesIO()
    Image.fromarray(np.concatenate(rows)).save(data, "PNG")
    files.write(folder / "look.png", data.getvalue())
