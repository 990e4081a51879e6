"""Files that are replaced in one step."""

import contextlib
import os
from pathlib import Path

from mlperf_docker import folders


def write_text(path: Path, text: str) -> None:
    """Replace *path*, making its folder, so that an interruption leaves the old file or the new one."""
    temporary = path.with_name(f".{path.name[:60]}.{os.getpid()}")  # no longer than names may be
    with folders.naming(path, temporary):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(path)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
