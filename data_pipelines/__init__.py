"""Data sets, from the user's files to batches. Imports nothing of ferjax."""


class BadInput(ValueError):
    """Something the user can mend: one line that names the culprit and says what to do."""
