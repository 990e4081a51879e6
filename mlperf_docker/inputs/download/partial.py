"""Partial file of a download: `<name>.partial`, always a beginning of the file, locked by whoever works on it.

`<name>.partial.json` beside it says which answer the bytes came from.
"""

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlperf_docker.display.progress import Display
from mlperf_docker.display.sizes import readable
from mlperf_docker.inputs.download.wanted import Wanted
from mlperf_docker.system import exclusive, small_file

_LOCK_POLL_S = 0.2
_READ_BYTES = 2**20


class Partial:
    """The beginning of the file that has come so far, with its running checksum; the lock is its holder's."""

    def __init__(self, descriptor: int, wanted: Wanted) -> None:
        self._descriptor = descriptor
        self._path = wanted.partial
        self._note = wanted.partial.with_name(f"{wanted.partial.name}.json")
        self.folder = wanted.partial.parent
        self._checksum = wanted.checksum
        self._hash = wanted.checksum.new() if wanted.checksum else None
        self.size = 0
        self.resumed = 0
        """How many of its bytes came with an earlier answer than the last one."""

    def read(self, display: Display) -> None:
        """Take up what an earlier time left."""
        size = os.fstat(self._descriptor).st_size
        if size:
            display.phase(f"take up the {readable(size)} that are here")
        while chunk := os.read(self._descriptor, _READ_BYTES):
            self._count(chunk)
            display.progress(self.size, size, "bytes")

    def append(self, chunk: bytes) -> None:
        """Add *chunk*, unbuffered: what was counted is there even if the process is killed."""
        view = memoryview(chunk)
        while view:
            written = os.write(self._descriptor, view)
            self._count(view[:written])
            view = view[written:]

    def restart(self) -> None:
        """Forget everything."""
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        self._note.unlink(missing_ok=True)
        self._hash = self._checksum.new() if self._checksum else None
        self.size = 0

    def is_right(self) -> bool:
        """Tell whether this is the whole file, as far as a checksum was published."""
        return self._checksum is not None and self.digest() == self._checksum.value

    def digest(self) -> str | None:
        """Return the checksum of what is here; None if none was published."""
        return self._hash.hexdigest() if self._hash else None

    def note(self, origin: dict[str, Any]) -> None:
        """Write down which answer the bytes come from. Torn by a kill, it reads as nothing, and that is safe."""
        self._note.write_text(json.dumps(origin), encoding="utf-8")

    def origin(self) -> dict[str, Any]:
        """Return what was noted, or nothing."""
        with contextlib.suppress(OSError, ValueError, TypeError, RecursionError):
            return dict(json.loads(small_file.read(self._note)))
        return {}

    def finish(self, target: Path) -> None:
        """Give the file its name. The note goes first: without the file it would mean another one."""
        os.fsync(self._descriptor)
        self._note.unlink(missing_ok=True)
        self._path.replace(target)

    def leave(self) -> None:
        """Leave nothing empty behind, and no note of nothing."""
        with contextlib.suppress(OSError):
            there = self._path.stat()
            if there.st_ino == os.fstat(self._descriptor).st_ino and not there.st_size:
                self._path.unlink()
        if not self._path.exists():
            self._note.unlink(missing_ok=True)

    def _count(self, chunk: bytes | memoryview) -> None:
        self.size += len(chunk)
        if self._hash:
            self._hash.update(chunk)


@contextlib.contextmanager
def claimed(wanted: Wanted, display: Display) -> Iterator[Partial]:
    """Hold the partial file alone and yield it. Whoever is second waits, and finds the file in its place then.

    The lock is on the file itself, so it is gone with its holder, and there is no lock file to leave behind.
    """
    descriptor = _lock(wanted, display)
    try:
        partial = Partial(descriptor, wanted)
        try:
            yield partial
        finally:
            partial.leave()
    finally:
        os.close(descriptor)


def _lock(wanted: Wanted, display: Display) -> int:
    path, told = wanted.partial, False
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            if not exclusive.lock(descriptor, wait=False):
                exclusive.tell_missing(path.parent, "a second download", display.say)
                return descriptor
            with contextlib.suppress(FileNotFoundError):
                if os.fstat(descriptor).st_ino == path.stat().st_ino:
                    return descriptor
        except BlockingIOError:
            if not told:
                display.say(f"Another process fetches {wanted.name}; waiting for it.")
                told = True
            time.sleep(_LOCK_POLL_S)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
