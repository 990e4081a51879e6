"""Files that are either complete or not there, locks between processes, and checksums."""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def write_atomically(path: Path, data: bytes) -> None:
    """Write *data* to a file of its own and rename it to *path*, so that a reader never sees half of it."""
    with new_file(path) as partial:
        partial.write_bytes(data)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write *value* as indented JSON, atomically."""
    write_atomically(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on the file *path*, waiting for it; made where it is missing.

    The kernel gives the lock back when the process dies, however it dies, so there are no stale locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


@contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """Give a folder beside *path* to fill; rename it to *path* at the end, remove it on an error.

    Call it under a lock: what a killed process left in the folder is removed first.
    """
    partial = path.with_name(f"{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        partial.replace(path)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def checksum(path: Path, algorithm: str = "sha256") -> str:
    """Hexadecimal digest of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Give a path beside *path* to write to; rename it to *path* at the end, remove it on an error."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
