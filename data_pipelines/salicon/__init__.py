"""SALICON: pictures of MS COCO, and where people moved a mouse that uncovers them (Jiang et al. 2015).

    dir/images/{train,val}/*.jpg      10,000 and 5,000 pictures, 640x480 pixels
    dir/maps/{train,val}/*.png        how much each place was looked at, blurred
    dir/fixations/{train,val}/*.mat   MATLAB version 5: `gaze`, a cell or struct an observer, with
                                      `fixations`, columns and rows from 1; `resolution`, rows and columns

Its test part has no published maps; its val part is reported here, and a hashed tenth of train selects.
Source: Jiang, Huang, Duan & Zhao 2015, SALICON: saliency in context; salicon.net. Not a set of faces: its
pictures have no labels, and it makes no `Split`.
"""

from pathlib import Path

import numpy as np

from data_pipelines import BadInput, disk, faces, letterbox, no_folder
from data_pipelines.gaze import Gaze
from data_pipelines.letterbox import Box

OPTIONS = {}
PUBLISHED = {"train": 10_000, "val": 5_000}
NAMED = 3  # files named of many
SUFFIXES = {"images": (".jpg", ".jpeg"), "maps": (".png",), "fixations": (".mat",)}


def gaze(folder: str, frame: tuple[int, int], options: dict) -> dict:
    """The parts train and test (which is SALICON's val).

    Args:
      folder: the user's files.
      frame: height and width that pictures are brought to.
      options: none.
    Returns:
      {"train": Gaze, "test": Gaze, "findings": lines}: pictures that lack their map or their fixations are
      left out and named.
    Raises:
      BadInput: no such folder, or a part without a single whole triple.
    """
    del options
    root = Path(folder).expanduser()
    if not folder or not root.is_dir():
        raise no_folder(folder, "SALICON's images, maps and fixations")
    out, findings = {}, []
    for name, part in (("train", "train"), ("test", "val")):
        names, files, lines = _triples(root, part)
        findings += lines
        if len(names) != PUBLISHED[part]:
            findings.append(f"SALICON {part}: {len(names):,} pictures for the {PUBLISHED[part]:,} published")
        out[name] = _part(f"salicon/{part}", names, files, frame)
    return out | {"findings": findings}


def _triples(root: Path, part: str) -> tuple[list[str], dict[str, dict[str, Path]], list[str]]:
    """(names of which all three files are there, sorted; kind -> name -> file; what is missing, in lines)."""
    files = {}
    for kind, suffixes in SUFFIXES.items():
        place = root / kind / part
        if not place.is_dir():
            raise BadInput(
                f"{place} is no folder; SALICON is images, maps and fixations, each with train and val"
            )
        files[kind] = {
            path.stem: path
            for path in sorted(place.iterdir())
            if path.suffix.lower() in suffixes and not disk.junk(path.name)
        }
    every = sorted(set().union(*files.values()))
    whole = [name for name in every if all(name in found for found in files.values())]
    lines = []
    for kind, found in files.items():
        lacking = [name for name in every if name not in found]
        if lacking:
            shown = ", ".join(lacking[:NAMED]) + (", ..." if len(lacking) > NAMED else "")
            lines.append(f"SALICON {part}: left out, not in {kind}/{part}: {len(lacking)} ({shown})")
    if not whole:
        told = f" ({'; '.join(lines)})" if lines else ""
        raise BadInput(f"{root}: no picture of {part} has a map and fixations of its name{told}")
    return whole, files, lines


def _part(name: str, names: list[str], files: dict[str, dict[str, Path]], frame: tuple[int, int]) -> Gaze:
    def picture(one: str) -> np.ndarray:
        return letterbox.pad(faces.read_rgb(files["images"][one]), frame)

    def density(one: str, frame: tuple[int, int]) -> np.ndarray:
        return letterbox.pad(faces.read_grey(files["maps"][one]), frame)

    def box(one: str) -> Box:
        return letterbox.place(*faces.read_grey(files["images"][one]).shape, frame)

    def fixations(one: str) -> np.ndarray:
        points, (h, w) = read_fixations(files["fixations"][one])
        return _in_frame(points, h, w, box(one))

    def stamp(one: str) -> str:
        return " ".join(str(found[one].stat().st_size) for found in files.values())

    return Gaze(name, np.array(names), frame, picture, density, fixations, box, stamp)


def _in_frame(points: np.ndarray, h: int, w: int, box: Box) -> np.ndarray:
    """int [m, 2]: columns and rows from 1 of a picture of h by w -> rows and columns in the frame."""
    x, y = points[:, 0] - 0.5, points[:, 1] - 0.5  # the middle of the first pixel is at 0.5
    inside = (x >= 0) & (x < w) & (y >= 0) & (y < h)
    row = box.top + np.floor(y[inside] * box.height / h)
    column = box.left + np.floor(x[inside] * box.width / w)
    return np.stack([row, column], 1).astype(int)


def read_fixations(path: Path) -> tuple[np.ndarray, tuple[int, int]]:
    """(float [m, 2] columns and rows from 1 of all observers, (rows, columns) of the picture).

    Raises:
      BadInput: no MATLAB file of version 5, or one that holds no gaze.
    """
    from scipy.io import loadmat

    try:
        held = loadmat(str(path))
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file of fixations") from None
    except Exception as error:  # whatever SciPy's reader raises on a damaged file
        line = " ".join(str(error).split())[:150] or type(error).__name__
        raise BadInput(f"{path}: cannot be read as MATLAB 5 ({line}); unpack the archive again") from None
    try:
        points = [_of_observer(one) for one in np.ravel(held["gaze"])]
        h, w = (int(n) for n in np.ravel(held["resolution"]))
    except (KeyError, ValueError, TypeError, IndexError):
        raise BadInput(
            f"{path}: has no gaze with fixations and no resolution, as SALICON's files do; it is another file"
        ) from None
    return np.concatenate([np.zeros((0, 2)), *points]), (h, w)


def _of_observer(one) -> np.ndarray:
    """float [m, 2] of a struct, or of a cell that holds one."""
    while isinstance(one, np.ndarray) and one.dtype.names is None:
        (one,) = one.ravel()
    points = np.asarray(one["fixations"])
    while points.dtype == object:
        points = np.asarray(points.ravel()[0])
    return points.astype(float).reshape(-1, 2)
