"""Which way the faces of each of RaFD's cameras look: what most of them do, the others do too.

The detector takes a tenth of heads turned by 45 degrees for heads turned the other way, and cuts them off.
All faces of a camera are turned alike, so some of its pictures tell how.
"""

import functools
from collections import Counter

from data_pipelines import faces, pictures
from data_pipelines.manifest.table import Table
from data_pipelines.rafd import layout

ASKED = 24  # pictures of a camera that are looked at, evenly among all
ENOUGH = 6  # of which so many must be found in profile,
SHARE = 2 / 3  # and so many of these turned alike


@functools.lru_cache(maxsize=2)
def turned(table: Table) -> Table:
    """The same rows, with `facing` where their camera's is clear; that of the camera in front is not asked.

    Args:
      table: of `layout.scan`.
    """
    facing = {}
    for camera in layout.CAMERAS:
        paths = [row.path for row in table.rows if layout.camera(row) == camera]
        if camera != layout.FRONT and len(paths) >= ENOUGH:
            facing[camera] = _vote(paths, f"camera {camera}")
    rows = (row._replace(facing=facing.get(layout.camera(row), "")) for row in table.rows)
    return table._replace(rows=tuple(rows))


def _vote(paths: list[str], what: str) -> str:
    """One of faces.PROFILES, or "" where no way is clear; pictures that cannot be read have no vote."""
    asked = paths[:: -(-len(paths) // ASKED)]
    how = Counter(seen.how for seen in pictures.look_at_all(asked, "detect", 8, what))
    votes = {side: how[side] for side in faces.PROFILES}
    most = max(votes, key=votes.get)
    clear = sum(votes.values()) >= ENOUGH and votes[most] >= SHARE * sum(votes.values())
    return most if clear else ""
