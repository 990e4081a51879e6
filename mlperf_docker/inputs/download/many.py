"""Downloads of many files, several at a time over kept connections, in the pool of `system.threads`."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from queue import SimpleQueue

from mlperf_docker.display.progress import Display
from mlperf_docker.errors import Interrupted, MlperfDockerError
from mlperf_docker.inputs.download.address import new_session
from mlperf_docker.inputs.download.one import fetch
from mlperf_docker.inputs.download.wanted import Fetched, FetchError, Wanted
from mlperf_docker.system import threads

_ENOUGH = 10  # files that cannot be had: then it is not the files
_SHOWN_FROM_BYTES = 10_000_000  # smaller ones are here before anybody could read their bar


@dataclass(frozen=True)
class FetchTotals:
    """Totals of many files, all of them in their places."""

    here: int
    new: int
    """Of these, files that were not there before."""
    size_bytes: int


def fetch_each(name: str, files: Sequence[Wanted], display: Display, *, jobs: int) -> FetchTotals:
    """Bring every file to its place, *jobs* at a time. name: what they are, for messages.

    One that cannot be had does not keep the others back, unless there are many of them. Raises FetchError that names
    them, DownloadError where nothing can be written, and Interrupted on Ctrl-C; the next call takes up all of it.
    """
    waiting = [file for file in files if file.checksum is not None or not file.target.is_file()]
    here = len(files) - len(waiting)
    if waiting:
        display.phase(f"fetch {name}")
    work = _Work(waiting, display, here=here)
    try:
        threads.work(work.run, min(jobs, len(waiting)), work.stopped)
    except KeyboardInterrupt as error:  # what is written is safe at any moment
        raise Interrupted(
            f"Interrupted while fetching {name}: {work.here} of {work.total} files are here. The same command goes on"
            " from there."
        ) from error
    if work.failures:
        raise _failed(name, work.failures, len(files))
    new = sum(fetched.url is not None or fetched.resumed_bytes > 0 for fetched in work.fetched)
    return FetchTotals(len(files), new, sum(file.target.stat().st_size for file in files))


class _Work:
    """State shared by the threads. here: files in their places, of *total*."""

    def __init__(self, files: Sequence[Wanted], display: Display, *, here: int) -> None:
        self._display = display
        self._lock = threading.Lock()
        self._waiting: SimpleQueue[Wanted] = SimpleQueue()
        for file in files:
            self._waiting.put(file)
        self.here, self.total = here, here + len(files)
        self.fetched: list[Fetched] = []
        self.failures: list[FetchError] = []
        self.stopped = threading.Event()

    def run(self) -> None:
        """Take files until none waits: then queue.Empty is raised."""
        with new_session() as session:
            while not self.stopped.is_set():
                wanted = self._waiting.get_nowait()
                try:
                    self._arrived(fetch(wanted, _Watched(self._display, wanted.name, self.stopped), session))
                except FetchError as error:
                    self._failed(error)
                finally:
                    self._display.part_over(wanted.name)

    def _arrived(self, fetched: Fetched) -> None:
        with self._lock:
            self.fetched.append(fetched)
            self.here += 1
            self._display.progress(self.here, self.total, "files")

    def _failed(self, error: FetchError) -> None:
        with self._lock:
            self.failures.append(error)
            if len(self.failures) >= _ENOUGH:
                self.stopped.set()


class _Watched:
    """The display of one file among many: bars for large ones, and the moment at which its thread is told to stop."""

    def __init__(self, display: Display, name: str, stopped: threading.Event) -> None:
        self._display, self._name, self._stopped = display, name, stopped

    def say(self, text: str) -> None:
        """Say which file it is, too."""
        self._check()
        self._display.say(f"{self._name}: {text}")

    def phase(self, name: str) -> None:
        """Say nothing: the phase is that of all files."""

    def progress(self, done: int, total: int | None, unit: str) -> None:
        """Move the file's own bar."""
        self._check()
        if unit == "bytes" and total is not None and total >= _SHOWN_FROM_BYTES:
            self._display.part(self._name, done, total)

    def part(self, name: str, done: int, total: int | None) -> None:
        """A file has no parts."""

    def part_over(self, name: str) -> None:
        """A file has no parts."""

    def _check(self) -> None:
        if self._stopped.is_set():
            raise Interrupted("Interrupted.")


def _failed(name: str, failures: Sequence[FetchError], total: int) -> MlperfDockerError:
    if len(failures) == 1:
        return failures[0]
    count = f"{len(failures)} of {total}" if len(failures) < _ENOUGH else f"At least {len(failures)} of {total}"
    first = failures[0]
    return FetchError(
        "\n".join((f"{count} files of {name} could not be fetched; the first ones:", *map(str, failures[:3]))),
        hint="Try again later: what is here is not fetched a second time. Or name a mirror of your own with --url URL.",
        exit_code=first.exit_code,
    )
