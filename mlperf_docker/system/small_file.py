"""Reader of small files that others may have written; refuses pipes, devices and files over a size."""

import os
import stat
from pathlib import Path

LARGEST_BYTES = 50_000_000
"""For files of our own that name many others; nobody's list of files is longer."""


class UnfitError(ValueError):
    """File that is no regular file, or too large. The message says which, without the path."""


def read(path: Path, largest_bytes: int = LARGEST_BYTES) -> bytes:
    """Return what is in *path*, without waiting for a writer. Raises UnfitError, and OSError as open does."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:  # noqa: PTH123  # a descriptor has no path
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UnfitError("it is not a regular file")
        content = file.read(largest_bytes + 1)
    if len(content) > largest_bytes:
        raise UnfitError(f"it has more than {largest_bytes:,} bytes")
    return content
