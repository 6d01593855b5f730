"""Files and folders on disk: what is junk, what is written whole, threads that read many, progress."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

JUNK = (".ds_store", "thumbs.db", "desktop.ini", "__macosx")


def junk(name: str) -> bool:
    """Whether a file or folder of that name is what systems and archivers leave behind."""
    return name.lower() in JUNK or name.startswith(".") or name.lower().endswith(".lnk")


def folders(place: Path) -> list[Path]:
    """Subfolders that are not junk, sorted; none of a folder that may not be opened."""
    try:
        return [path for path in sorted(place.iterdir()) if path.is_dir() and not junk(path.name)]
    except PermissionError:
        return []


def write(path: Path, text: str) -> None:
    """Writes a small file, whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(text, "utf-8")
    os.replace(partial, path)


def readers() -> ThreadPoolExecutor:
    """Threads that read and decode files: two a core, since the disk is waited for, too; eight at most."""
    return ThreadPoolExecutor(min(8, (os.cpu_count() or 1) * 2))


def progress(items, what: str, total: int):
    """The items, with a progress bar where someone watches and tqdm is there."""
    try:
        from tqdm import tqdm
    except ImportError:
        return items
    return tqdm(items, desc=f"reading {what}", total=total, unit="images", disable=None, leave=False, delay=2)
