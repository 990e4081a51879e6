"""End of a job as its log tells it, where neither the queue nor any accounting remembers the job."""

import os
import re
from pathlib import Path

from mlperf_docker.display import printable

_TAIL_BYTES = 16 << 10
_LONGEST = 300
_STOPPED = re.compile(r"\*\*\* (?:JOB|STEP) \S+ ON (\S+) (\w+) AT \S+(?: DUE TO ([A-Z ]+?))?(?:,.*)? \*\*\*")
"""What a node's daemon writes below the output of a job that it stops."""
_CALLED = {"TIME LIMIT": "TIMEOUT", "NODE FAILURE": "NODE_FAIL", "PREEMPTION": "PREEMPTED"}
_ERROR = "Error: "
_SAID_AT_A_SIGNAL = "Interrupted."
INTERRUPTED = "interrupted"
OF_A_SIGNAL = (INTERRUPTED, "CANCELLED")
"""Ends of a job that a signal stopped, where Slurm does not say why."""


def told_by(log: Path) -> str | None:
    """Return how the job with *log* ended, as its last lines tell: stopped by Slurm, or with an error of ours."""
    lines = _tail(log)
    for line in reversed(lines):
        if stopped := _STOPPED.search(line):
            return _CALLED.get(stopped[3] or "", stopped[2])
        if line.startswith(_ERROR):
            return printable.shortened(line.removeprefix(_ERROR), _LONGEST)
        if line == _SAID_AT_A_SIGNAL:
            return INTERRUPTED
    return None


def _tail(log: Path) -> list[str]:
    try:
        with log.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - _TAIL_BYTES))
            return stream.read().decode(errors="replace").splitlines()
    except OSError:
        return []
