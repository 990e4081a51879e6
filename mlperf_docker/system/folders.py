"""Folders of the user: created or checked before something is written, with an error that names the variable."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from mlperf_docker.errors import FolderError, UsageError
from mlperf_docker.system import paths

_FULL = {errno.ENOSPC: "no space is left", errno.EDQUOT: "the disk quota is used up"}
_CLOSED = {
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "the operation is not permitted",
}
_OTHERS = {
    errno.EIO: ("the disk reports an error", "See the kernel's log: dmesg"),
    errno.ESTALE: ("the network file system has lost the folder", "Mount it again."),
    errno.ENAMETOOLONG: ("the name is too long", "Use a shorter one."),
    errno.ENOTDIR: ("a part of this path is a file, not a folder", "Name another place."),
    errno.EISDIR: ("it is a folder, not a file", "Name another place."),
    errno.ELOOP: ("its links lead in a circle", "Correct the links."),
    errno.EFBIG: ("the file would be larger than is allowed", "See the limit: ulimit -f"),
    errno.EMFILE: ("too many files are open", "Raise the limit: ulimit -n"),
    errno.ENFILE: ("too many files are open on this host", "End what holds them."),
    errno.ENXIO: ("nobody reads this pipe, or the device is not there", "Name a file."),
    errno.ENOTSUP: ("the file system cannot do this", "Name a place on another one."),
}


def refused(error: OSError) -> FolderError | None:
    """Return what a file system refused, as an error that names the place; None for an error of another kind."""
    path = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else None
    if path is None and error.errno == errno.ENOENT and "temporary directory" in (error.strerror or ""):
        return FolderError(f"{error.strerror}.", hint="Free some space there, or set TMPDIR to another folder.")
    if path is None and error.errno not in _FULL | _CLOSED | _OTHERS:
        return None
    variable = paths.variable_of(path) if path else ""
    elsewhere = f", or set {variable} to another folder" if variable else ""
    if error.errno in _FULL:
        where = f" in {path if path.is_dir() else path.parent}: {path.name} cannot be written" if path else ""
        return FolderError(f"{_FULL[error.errno].capitalize()}{where}.", hint=f"Free some space there{elsewhere}.")
    if error.errno in _CLOSED:
        reason, hint = _CLOSED[error.errno], f"Check the permissions there{elsewhere}."
    else:
        reason, hint = _OTHERS.get(error.errno or 0, ((error.strerror or str(error)).lower(), ""))
    about = f"{path} cannot be used: {reason}" if path else f"The file system refuses: {reason}"
    return FolderError(f"{about}.", hint=hint or (f"Set {variable} to another folder." if variable else None))


@contextlib.contextmanager
def naming(path: Path, aside: Path | None = None) -> Iterator[None]:
    """See to it that an error of writing to *path* names it, which those of a full disk do not by themselves.

    aside: the file that is written first and gets the name of *path* afterwards.
    """
    try:
        yield
    except OSError as error:
        unnamed = error.filename is None and error.errno in _FULL | _CLOSED | _OTHERS  # and not of the network
        if unnamed or (aside and error.filename == str(aside)):
            error.filename = str(path)
        raise


def make(folder: Path, how: str) -> None:
    """Make *folder* where it is missing. Raises UsageError. how: another one is named, as "with --to DIR"."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"The folder {folder} cannot be made: {error.strerror}.", hint=f"Name another one {how}."
        ) from error


def require(folder: Path, kind: str, *, missing: str, other: str) -> None:
    """Raise UsageError unless *folder* is one. missing: the hint where nothing is there; other: where a file is."""
    if folder.is_dir():
        return
    if os.path.lexists(folder):
        raise UsageError(f"The {kind} {folder} is not a folder.", hint=other)
    raise UsageError(f"The {kind} {folder} does not exist.", hint=missing)


def require_writable(folder: Path, how: str, kind: str = "folder") -> None:
    """Raise UsageError unless *folder* is there and we may write to it.

    how: another one is named, as "with --to DIR"; kind: what it is called.
    """
    require(folder, kind, missing=f"Make it: mkdir -p {folder}", other=f"Name another one {how}.")
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise UsageError(f"The {kind} {folder} is not writable.", hint=f"Name another one {how}.")
