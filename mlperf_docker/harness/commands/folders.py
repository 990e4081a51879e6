"""Folders of a command: the results folder held by one run, the cache folder."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlperf_docker.harness.api.errors import UsageError
from mlperf_docker.harness.system import storage

_log = logging.getLogger(__name__)


@contextmanager
def claimed(folder: Path) -> Iterator[Path]:
    """The results folder, locked against a second run. Raises UsageError if it cannot be written or is in use.

    The lock is on the folder itself: it leaves no file, and the kernel gives it back however the run ends.
    """
    if not folder.is_dir():
        raise UsageError(f"the results folder {folder} is not there")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"the results folder {folder} is not writable for user {os.getuid()}")
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _lock(folder, descriptor)
        yield folder
    finally:
        os.close(descriptor)


def _lock(folder: Path, descriptor: int) -> None:
    try:
        if not storage.lock(descriptor, wait=False):
            _log.warning("The file system of %s has no locks: nothing keeps a second run out of it.", folder)
    except BlockingIOError as error:
        message = f"the results folder {folder} is in use by another run"
        raise UsageError(message, hint="Give each run a folder of its own: --results") from error


def cache_folder(cache: Path) -> Path:
    """The cache folder; one that cannot be written may hold all that a run needs. Raises UsageError without one."""
    if not cache.is_dir():
        raise UsageError(f"the cache folder {cache} is not there")
    return cache


def new_file_path(path: Path) -> Path:
    """*path*, if a file can be written there. Raises UsageError where its folder is missing, or it is a folder."""
    try:
        if path.is_dir():
            raise UsageError(f"{path} is a folder: name a file in it")
        if not path.parent.is_dir():
            raise UsageError(f"there is no folder {path.parent}: make it, or name another")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
    return path
