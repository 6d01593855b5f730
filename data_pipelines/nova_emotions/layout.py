"""Finds the pictures of NovaEmotions, in folders named by emotions, or its manifest. Decodes nothing."""

from pathlib import Path

from data_pipelines import BadInput, disk, labels, no_folder, pictures
from data_pipelines.manifest import table

DEPTH = 3  # folders below the given one in which the set is looked for


def scan(place: str) -> table.Table:
    """The pictures.

    Args:
      place: the folder that holds NovaEmotions/<emotion>/*.png, or up to three above the emotions' folders;
        or one with a manifest.csv, or that CSV.
    Returns:
      Table, with no subjects and no parts unless a manifest gives them.
    Raises:
      BadInput: no such folder, nothing of the set in it, or an emotion's folder without a picture.
    """
    top = Path(place).expanduser()
    if place and top.is_file():
        return table.read(top)
    if not place or not top.is_dir():
        raise no_folder(place, "NovaEmotions/<emotion>/*.png, or a manifest.csv,")
    level = [top]
    for _ in range(DEPTH + 1):
        for folder in level:
            if (folder / table.NAME).is_file():
                return table.read(folder / table.NAME)
        for folder in level:
            if any(_emotion(path) for path in disk.folders(folder)):
                return _of_folders(top, folder)
        level = [path for folder in level for path in disk.folders(folder)]
    raise BadInput(
        f"{top}: no NovaEmotions here or up to {DEPTH} folders below; expected folders named by emotions "
        f"(anger, happiness, ...) with pictures, or {table.NAME}"
    )


def _emotion(folder: Path) -> str:
    """The emotion that a folder is named by, or ""."""
    try:
        return labels.emotion(folder.name)
    except BadInput:
        return ""


def _of_folders(top: Path, place: Path) -> table.Table:
    """A row for each picture; what is not named by an emotion goes to `unknown`."""
    rows, unknown = [], []
    for folder in disk.folders(place):
        found, other = pictures.below(folder)
        emotion = _emotion(folder)
        if not emotion:
            unknown.append(f"{folder.name} ({len(found)} pictures)")
            continue
        if not found:
            raise BadInput(f"{folder}: an emotion's folder without a picture; unpack the archive again")
        unknown += [path.relative_to(top).as_posix() for path in other]
        for path in found:
            rows.append(
                table.Row(len(rows) + 1, str(path), path.relative_to(top).as_posix(), emotion, "", "")
            )
    return table.Table(place, tuple(rows), (), tuple(unknown))
