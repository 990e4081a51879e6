"""Atomic files, synced to the disk; locks between processes; checksums."""

import errno
import hashlib
import json
import os
import shutil
import socket
import stat
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mlperf_docker.harness.api.errors import BadSample, ModelFileError
from mlperf_docker.harness.system import data_files, storage

PARTIAL = ".partial"
BLOCK = 1 << 20


def write_atomically(path: Path, data: bytes) -> None:
    """Write *data* to a file of its own and rename it to *path*, so that a reader never sees half of it."""
    with new_file(path) as partial:
        partial.write_bytes(data)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write *value* as indented JSON, atomically."""
    write_atomically(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())


@contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Hold an exclusive lock on the file *path*, waiting for it; made where it is missing.

    False where the file system has no locks, so that others may do the same meanwhile. The kernel gives the lock back
    when the process dies, however it dies, so there are no stale locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = _lock_file(path)
    if descriptor is None:
        yield False
        return
    try:
        yield storage.lock(descriptor, wait=True)
    finally:
        os.close(descriptor)


def _lock_file(path: Path) -> int | None:
    """The lock file, opened; one of another user may be read only. None where something else stands there."""
    flags = os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        return os.open(path, os.O_RDWR | flags, 0o666)
    except OSError as error:
        if error.errno in (errno.EISDIR, errno.ELOOP):
            return None
        if error.errno not in storage.REFUSED or not path.exists():
            raise
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)


@contextmanager
def new_directory(path: Path, *, alone: bool = True, taken_up: bool = False) -> Iterator[Path]:
    """Give a folder beside *path* to fill; put it in *path*'s place at the end, remove it on an error.

    alone: a lock keeps others from doing the same; what a killed process left is removed first. taken_up: instead, it
    is given to be gone on with, and what an error leaves stays.
    Raises StorageError where it cannot be written.
    """
    partial = partial_of(path, alone=alone)
    with storage.writing(partial.parent):
        # What stands there is damaged, or it would be used. It goes first: later, it may be what another process made.
        remove(path)
        if not taken_up or partial.is_symlink() or not partial.is_dir():
            remove(partial)
            partial.mkdir(parents=True)
        try:
            with storage.writing(partial.parent):
                yield partial
            sync_tree(partial)
            put(partial, path)
        except BaseException:
            if not taken_up:
                shutil.rmtree(partial, ignore_errors=True)
            raise


def partial_of(path: Path, *, alone: bool) -> Path:
    """Where the folder *path* is made: beside it, under a name that others take up; or one's own, without a lock."""
    return path.with_name(f"{path.name}{PARTIAL}" if alone else f"{path.name}.{_own_name()}{PARTIAL}")


def put(partial: Path, path: Path) -> None:
    """Rename the folder *partial* to *path*, where nothing stands, or what another process made of the same."""
    try:
        partial.rename(path)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        # Without locks another process was first.
        shutil.rmtree(partial, ignore_errors=True)
    sync(path.parent)


def remove(path: Path) -> None:
    """Remove what stands at *path*, of whatever kind; under another name first, so that nobody finds half of it."""
    with suppress(FileNotFoundError):
        if not stat.S_ISDIR(path.lstat().st_mode):
            path.unlink()
            return
        old = path.with_name(f".{path.name}.{_own_name()}.old")
        path.rename(old)
        shutil.rmtree(old)


def _own_name() -> str:
    """A name that no other process has, also on another machine."""
    return f"{socket.gethostname()}-{os.getpid()}"


def is_regular(path: Path) -> bool:
    """Whether *path* is a plain file: no link, which may lead anywhere, no pipe or device, which may have no end."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk; some file systems cannot say so of a folder."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.EBADF):
            raise
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Wait until all that is in *folder* is on the disk."""
    for root, _, names in os.walk(folder):
        for name in names:
            sync(Path(root, name))
        sync(Path(root))


def require_file(path: Path) -> None:
    """Raise ModelFileError unless *path* is a regular file, or a link to one, that holds something and can be read.

    A FIFO would block whoever opens it, and a device may never end.
    """
    try:
        size = data_files.status(path).st_size
    except BadSample as problem:
        raise ModelFileError(f"cannot read the model file {path}: {problem}") from problem
    if not size:
        raise ModelFileError(f"the model file {path} is empty")
    if not os.access(path, os.R_OK):
        raise ModelFileError(f"the model file {path} cannot be read by user {os.getuid()}")


def checksum(path: Path, algorithm: str = "sha256") -> str:
    """Hexadecimal digest of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def crc32(path: Path, value: int = 0) -> int:
    """CRC-32 of a file's bytes, behind those that came to *value*: against damage, at the speed of memory."""
    with path.open("rb", buffering=0) as stream:
        while block := stream.read(BLOCK):
            value = zlib.crc32(block, value)
    return value


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Give a path beside *path* to write to; rename it to *path* at the end, remove it on an error.

    Raises StorageError where it cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with storage.writing(path.parent):
        try:
            yield partial
            sync(partial)
            partial.replace(path)
            sync(path.parent)
        finally:
            partial.unlink(missing_ok=True)
