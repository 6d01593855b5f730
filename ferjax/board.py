"""TensorBoard events."""

import os
import pathlib
import socket
import struct
import sys
import time

from ferjax import files

# tensorboardX looks for PyTorch, which it does not need here, and where that is installed its import costs
# every command three seconds and 120 MB
_kept = sys.modules.get("torch", False)
if not _kept:
    sys.modules["torch"] = None
try:
    from tensorboardX.proto.event_pb2 import Event, SessionLog
    from tensorboardX.record_writer import masked_crc32c
    from tensorboardX.summary import scalar
finally:
    if not _kept:
        del sys.modules["torch"]


class Board:
    """TensorBoard scalars, written at once: tensorboardX's own writer has a thread that hangs on a full disk.

    Args:
      folder: for the event files, one per start.
      purge_step: TensorBoard hides what earlier starts wrote from this step on.
    """

    def __init__(self, folder: pathlib.Path, purge_step: int):
        name = f"events.out.tfevents.{time.time():.0f}.{socket.gethostname()}.{os.getpid()}"
        self.file = files.Appended(folder / name)
        self._write(file_version="brain.Event:2")
        self._write(step=purge_step, session_log=SessionLog(status=SessionLog.START))

    def write(self, values: dict[str, float], step: int) -> None:
        """A point of each curve."""
        for name, value in values.items():
            self._write(step=step, summary=scalar(name, value))

    def close(self) -> None:
        """No more will come."""
        self.file.close()

    def _write(self, **fields) -> None:
        data = Event(wall_time=time.time(), **fields).SerializeToString()
        size = struct.pack("<Q", len(data))
        parts = size, struct.pack("<I", masked_crc32c(size)), data, struct.pack("<I", masked_crc32c(data))
        self.file.write(b"".join(parts))
