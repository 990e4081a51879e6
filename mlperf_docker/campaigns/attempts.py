"""Attempts of a run that left no result: what became of the newest."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mlperf_docker.contract import events
from mlperf_docker.display import printable
from mlperf_docker.results import store
from mlperf_docker.results.values import RunResult
from mlperf_docker.runs.request import RunRequest

_TAIL_BYTES = 64 << 10
_LONGEST_REASON = 300


@dataclass(frozen=True)
class Attempt:
    """Folder of a run without a result."""

    folder: Path

    @property
    def reason(self) -> str:
        """Return what its log says of its end."""
        message = _last_error(self.folder / store.LOG_FILE)
        return printable.shortened(printable.one_line(message), _LONGEST_REASON) if message else "it was interrupted"


def newest(request: RunRequest, folders: Iterable[Path], results: Iterable[RunResult]) -> Attempt | None:
    """Return the newest of *folders* of such a request, unless one of its *results* is newer."""
    own = [path for path in folders if path.name.partition("-")[2] == request.title]
    newer = [path for path in own if all(path.name > result.name for result in results)]
    return Attempt(newer[-1]) if newer else None


def _last_error(log: Path) -> str | None:
    """Return the message of the harness's last error in *log*, or None where it told of none."""
    try:
        with log.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - _TAIL_BYTES))
            lines = stream.read().decode(errors="replace").splitlines()
    except OSError:
        return None
    found = (events.parse(line) for line in reversed(lines))
    return next((each.message for each in found if isinstance(each, events.ErrorEvent)), None)
