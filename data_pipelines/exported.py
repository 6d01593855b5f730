"""Parts that travel: to a machine without TensorFlow, or without the source files."""

import json
import os
from pathlib import Path

from data_pipelines import BadInput, disk, no_folder
from data_pipelines.split import Parts, Split


def write(parts: Parts, folder: str | os.PathLike) -> None:
    """Writes train.npz, select.npz, test.npz and parts.json; `data.name = npz` reads them from `data.dir`."""
    folder = Path(folder)
    for part in ("train", "select", "test"):
        getattr(parts, part).save(folder / f"{part}.npz")
    disk.write(
        folder / "parts.json",
        json.dumps(
            {"selection": parts.selection, "findings": parts.findings, "published": parts.published}, indent=1
        ),
    )


def read(folder: str) -> Parts:
    """Reads what `write` wrote."""
    path = Path(folder).expanduser()
    if not folder or not path.is_dir():
        raise no_folder(folder, "train.npz, select.npz and test.npz")
    said = {"selection": "select.npz", "findings": (), "published": ""}
    if (path / "parts.json").exists():
        try:
            said |= json.loads((path / "parts.json").read_text())
        except (ValueError, TypeError) as error:
            raise BadInput(f"{path / 'parts.json'}: not readable ({error}); export the parts again") from None
    parts = [Split.load(path / f"{part}.npz") for part in ("train", "select", "test")]
    for part in parts[1:]:
        if (part.classes, part.au_names) != (parts[0].classes, parts[0].au_names):
            raise BadInput(f"{path}: {part.name} and {parts[0].name} name different classes or action units")
    return Parts(*parts, str(said["selection"]), tuple(said["findings"]), str(said["published"]))
