"""Files that are replaced in one step."""

import os
from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Replace *path*, making its folder, so that an interruption leaves the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
