"""Folders that the user names for what is to be written."""

import os
from pathlib import Path

from mlperf_docker.errors import UsageError


def make(folder: Path, how: str) -> None:
    """Make *folder* where it is missing. Raises UsageError. how: another one is named, as "with --to DIR"."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"The folder {folder} cannot be made: {error.strerror}.", hint=f"Name another one {how}."
        ) from error


def require_writable(folder: Path, how: str, kind: str = "folder") -> None:
    """Raise UsageError unless *folder* is there and we may write to it.

    how: another one is named, as "with --to DIR"; kind: what it is called.
    """
    if not folder.is_dir():
        raise UsageError(f"The {kind} {folder} does not exist.", hint=f"Make it: mkdir -p {folder}")
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise UsageError(f"The {kind} {folder} is not writable.", hint=f"Name another one {how}.")
