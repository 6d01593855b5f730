"""Data sets, from the user's files to batches. Imports nothing of ferjax."""

import os


class BadInput(ValueError):
    """Something the user can mend: one line that names the culprit and says what to do."""


def no_folder(folder: str, wanted: str) -> BadInput:
    """The error for a `data.dir` that is no folder.

    Args:
      folder: as the user gave it.
      wanted: what it should hold.
    """
    below = f" in {os.getcwd()}" if folder and not os.path.isabs(os.path.expanduser(folder)) else ""
    return BadInput(
        f"data.dir: {folder!r} is no folder{below}; name the one with {wanted} in the config file or by "
        "--config.data.dir=FOLDER"
    )


def filled(name: str, options, defaults) -> dict:
    """A set's options with its defaults for those not given; BadInput for one that it does not have."""
    options = dict(options or {})
    unknown = sorted(set(options) - set(defaults))
    if unknown:
        raise BadInput(f"{name} has no option {unknown[0]!r}; it has {', '.join(defaults)}")
    return {**defaults, **options}
