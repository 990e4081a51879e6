"""Locks between processes, on a file or a folder, released when the holder ends.

File systems without locks (Lustre without -o flock, some NFS) are no error: then nothing keeps a second process out,
which is for the caller to say. filelock 4.3 locks no folder, leaves its lock files behind, and of the errors that tell
of a file system without locks knows only ENOSYS.
"""

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from mlperf_docker.system import folders

# NFS gives EBADF for a folder, as its locks need a file that is open for writing.
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF, errno.ENOTTY}

_LOCKS = Path("/proc/locks")

_TOLD: set[Path] = set()


@contextmanager
def folder(path: Path) -> Iterator[None]:
    """Hold *path*, an existing folder, against every other process of this host that asks; waits for its turn."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with folders.naming(path):
            lock(descriptor, wait=True)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def file(path: Path) -> Iterator[bool]:
    """Hold the file *path*, made if it is missing, and yield whether the file system has locks.

    Raises BlockingIOError where another process holds it.
    """
    with _opened(path) as descriptor:
        with folders.naming(path):
            locked = lock(descriptor, wait=False)
        yield locked


@contextmanager
def turn(path: Path, held: Callable[[], None]) -> Iterator[bool]:
    """Hold the file *path* as `file` does, but wait for it. held: called first where another process has it."""
    with _opened(path) as descriptor:
        with folders.naming(path):
            try:
                locked = lock(descriptor, wait=False)
            except BlockingIOError:
                held()
                locked = lock(descriptor, wait=True)
        yield locked


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except PermissionError:  # another user's, in a folder that is shared
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def alone(path: Path, held: Exception, second: str, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the file *path*; raises *held* if it is held. Says where nothing keeps *second* out, as "a second run"."""
    with ExitStack() as claim:
        try:
            locked = claim.enter_context(file(path))
        except BlockingIOError as error:
            raise held from error
        if not locked:
            tell_missing(path.parent, second, say)
        yield


def lock(descriptor: int, *, wait: bool) -> bool:
    """Lock what *descriptor* is open on; False where its file system has no locks.

    Raises BlockingIOError where another process holds it and we do not *wait*.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        raise
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return False
    return True


def is_held(path: Path) -> bool:
    """Tell whether a process holds the file *path*, without a lock of our own that would keep another one out.

    False also where the kernel does not tell, as without /proc.
    """
    try:
        inode = path.stat().st_ino
        held = _LOCKS.read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    return any(" FLOCK " in line and " WRITE " in line and f":{inode} " in line for line in held)


def tell_missing(place: Path, second: str, say: Callable[[str], None]) -> None:
    """Say, once for each *place*, that it has no locks. second: what nothing keeps out, as "a second run"."""
    if place not in _TOLD:
        _TOLD.add(place)
        say(f"Note: the file system of {place} has no locks: nothing keeps {second} out.")
