"""Atomic replacement of files; pipes and devices are written in place.

atomicwrites 1.4 does this, but it replaces a pipe by a file, too, and makes no folder.
"""

import contextlib
import os
from pathlib import Path

from mlperf_docker.system import folders


def write_text(path: Path, text: str) -> None:
    """Replace *path*, making its folder, so that an interruption leaves the old file or the new one.

    What is no file, as /dev/null and /dev/stdout, is written to and stays: nobody could do without it.
    """
    if path.exists() and not path.is_file():
        with folders.naming(path):
            path.write_text(text, encoding="utf-8")
        return
    temporary = path.with_name(f".{path.name[:60]}.{os.getpid()}")  # no longer than names may be
    with folders.naming(path, temporary):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(path)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
