"""Errors of file systems as one kind: no space, no permission, no locks."""

import errno
import fcntl
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mlperf_docker.harness.api.errors import HarnessError, SampleError, UsageError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
REFUSED = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP})
NEARLY_FULL = 64 << 10
"""Bytes free on a full file system, at most: a library that writes in blocks leaves the rest of one."""

_TOLD = re.compile(r"os error (\d+)|errno (\d+)", re.IGNORECASE)


class StorageError(UsageError):
    """A folder of ours has no space left, or cannot be written."""


def no_space(folder: Path, wanted: str = "") -> StorageError:
    """The error for a full file system. wanted: what did not fit."""
    hint = f"Free some space there, or name a folder elsewhere: {_choices(folder)}."
    return StorageError(f"no space left in {folder}{f' for {wanted}' if wanted else ''}", hint=hint)


def not_writable(folder: Path, reason: str) -> StorageError:
    """The error for a folder that does not take what is written."""
    hint = f"Make it writable for user {os.getuid()}, or name a folder elsewhere: {_choices(folder)}."
    return StorageError(f"cannot write to {folder}: {reason}", hint=hint)


def _choices(folder: Path) -> str:
    return {"cache": "XDG_CACHE_HOME", "results": "--results"}.get(folder.name, "--results, or XDG_CACHE_HOME")


def is_full(folder: Path) -> bool:
    """Whether the file system of *folder* has no space left for this user."""
    try:
        status = os.statvfs(folder)
    except OSError:
        return False
    return status.f_blocks > 0 and status.f_bavail * status.f_frsize < NEARLY_FULL


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn what a refusing file system makes of work that writes to *folder* into StorageError, however it is told."""
    try:
        yield
    except StorageError:
        raise
    except Exception as error:
        refused = refusal(error, [folder], default=folder)
        if refused is None:
            raise
        raise refused from error


def refusal(error: BaseException, folders: Sequence[Path], *, default: Path | None = None) -> StorageError | None:
    """The StorageError that *error* comes to where one of *folders* refused something; None if it is another matter.

    default: the folder that is meant where an error for a full file system names none.
    """
    number, path = _cause(error)
    inside = next((folder for folder in folders if path is not None and path.is_relative_to(folder)), None)
    if number in FULL:
        folder = inside or next(filter(is_full, folders), default)
        return no_space(folder) if folder else None
    if number in REFUSED and inside:
        return not_writable(inside, os.strerror(number))
    untold = not number and (isinstance(error, SampleError) or not isinstance(error, HarnessError))
    return no_space(default) if untold and default is not None and is_full(default) else None


def _cause(error: BaseException | None) -> tuple[int, Path | None]:
    """The error number at the root of *error*, and the path that comes with it; 0 where none does."""
    while error is not None:
        if isinstance(error, OSError) and error.errno:
            return error.errno, Path(os.fsdecode(error.filename)) if _is_path(error.filename) else None
        if found := _TOLD.search(str(error)):
            return int(found[1] or found[2]), None
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return 0, None


def _is_path(name: object) -> bool:
    return isinstance(name, str | bytes)


def lock(descriptor: int, *, wait: bool) -> bool:
    """Take an exclusive lock, which the kernel gives back when the process dies; False where there are no locks.

    Raises BlockingIOError if another process holds it and this one does not *wait*.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        return False
    return True
