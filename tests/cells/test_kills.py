"""Signals at random moments of a run: what it leaves, how it ends, and whether the next command is right.

A few moments here; `make kills` has many.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mlperf_docker.engine.client import DockerEngine
from mlperf_docker.engine.container import OWNER_LABEL
from mlperf_docker.engine.plan import CONTAINER_LABEL
from tests.cells.tool import PERFORMED, Tool
from tests.fixtures.docker_client import api

pytestmark = pytest.mark.engine
COUNT, SEED = int(os.environ.get("MLPERF_TEST_KILLS", "5")), int(os.environ.get("MLPERF_TEST_SEED", "11"))
SIGNALS = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_RUN = ("run", "resnet50", "--synthetic", "tiny", "--min-duration", "1")
_AGAIN = ("run", "resnet50", "--synthetic", "tiny", "--mode", "accuracy")
_SETTLED_S = 10.0
_PATIENCE_S = 120.0


@dataclass
class Figures:
    """Figures of all kills. early: signals that came while Python itself began; each of the others names its points."""

    points: int = 0
    early: int = 0
    codes: Counter[int] = field(default_factory=Counter)
    left: list[str] = field(default_factory=list)
    wrong_codes: list[str] = field(default_factory=list)
    wrong_next: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> list[str]:
        """All that is not as it should be."""
        return [*self.left, *self.wrong_codes, *self.wrong_next]

    def __str__(self) -> str:
        return (
            f"{self.points} points ({self.early} before Python ran a line of ours): containers left after"
            f" {_SETTLED_S:g} s {len(self.left)}, wrong exit codes {len(self.wrong_codes)}, next command wrong"
            f" {len(self.wrong_next)}; exit codes {dict(self.codes)}"
        )


def points(seed: int, count: int) -> Iterator[tuple[float, signal.Signals]]:
    """Yield shares of a run's time, and signals: each as often as the others."""
    source = random.Random(seed)  # noqa: S311  # moments, not secrets
    for index in range(count):
        yield source.random(), SIGNALS[index % len(SIGNALS)]


def kill(tool: Tool, client: DockerEngine, results: Path, seed: int, count: int) -> Figures:
    """Try *count* points. The image and what is made up for the run are there already."""
    run, again = ((*each, "--results", str(results)) for each in (_RUN, _AGAIN))
    start = time.monotonic()
    tool(*run, expect=PERFORMED)
    duration_s, figures = time.monotonic() - start, Figures()
    for share, number in points(seed, count):
        point = f"{number.name} after {share * duration_s:.2f} s"
        running = tool.start(*run)
        time.sleep(share * duration_s)
        early = not _is_heeded(running.pid, number)
        running.send_signal(number)
        sent = time.monotonic()
        out, err = running.communicate(timeout=_PATIENCE_S)
        figures.points += 1
        figures.early += early
        figures.codes[running.returncode] += 1
        if not _is_right(running, number, early=early, ended=out != ""):
            figures.wrong_codes.append(f"{point}: {running.returncode}: {err[-300:]}")
        while (left := _containers_of(client, running.pid)) and time.monotonic() < sent + _SETTLED_S:
            time.sleep(0.1)
        figures.left += [f"{point}: {each}" for each in left]
        done = tool(*again, expect=tuple(range(256)))
        if done.returncode != 0:
            figures.wrong_next.append(f"{point}: then {done.returncode}: {done.stderr[-300:]}")
    return figures


def _is_right(running: subprocess.Popen[str], number: signal.Signals, *, early: bool, ended: bool) -> bool:
    """Tell whether the exit code is the signal's, or that of a run which had printed its result."""
    if number is signal.SIGKILL or early:
        return running.returncode in (-number, 130) or ended
    return running.returncode == 130 or (ended and running.returncode in PERFORMED)


def _is_heeded(pid: int, number: signal.Signals) -> bool:
    """Tell whether the process does something about the signal: it has begun, or ended; SIGKILL needs nothing."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return True
    words = dict(line.split(":", 1) for line in status.splitlines())
    heeded = int(words["SigCgt"], 16) | int(words["SigIgn"], 16)
    return number is signal.SIGKILL or bool(heeded >> (number - 1) & 1)


def _containers_of(client: DockerEngine, pid: int) -> list[str]:
    found = api(client).containers(all=True, filters={"label": CONTAINER_LABEL})
    return [
        f"{each['Names'][0]} {each['Status']}" for each in found if f":{pid}:" in each["Labels"].get(OWNER_LABEL, "")
    ]


def test_signals_at_random_moments(tool: Tool, image: str, results: Path, client: DockerEngine) -> None:
    figures = kill(tool, client, results, SEED, COUNT)
    sys.stdout.write(f"{figures}\n")
    assert not figures.wrong, "\n".join((*figures.wrong, str(figures)))
    assert figures.points == COUNT
