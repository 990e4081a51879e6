"""Turns of processes at the runs of a campaign: each run has one process at a time, on whatever node."""

import contextlib
import re
from collections.abc import Callable
from pathlib import Path

from mlperf_docker.errors import UsageError
from mlperf_docker.system import exclusive, folders, node

_FOLDER = ".turns"


def alone(results: Path, say: Callable[[str], None]) -> contextlib.AbstractContextManager[None]:
    """Hold this node's place in *results*, made where it is missing. Raises UsageError where `campaign run` has it."""
    held = UsageError(
        f"A campaign is running in {results} already.", hint="See how far it is: mlperf-docker campaign status"
    )
    return exclusive.alone(_node(results), held, "a second `campaign run`", say)


def in_turn(results: Path, say: Callable[[str], None]) -> contextlib.AbstractContextManager[bool]:
    """Hold this node's place in *results*, after whoever has it."""
    told = "Another run of this campaign is on this node: waiting for its end."
    return exclusive.turn(_node(results), lambda: say(told))


def of_run(
    results: Path, run: str, say: Callable[[str], None] | None = None
) -> contextlib.AbstractContextManager[bool]:
    """Hold the run named *run*. say: told of waiting for who has it; without it, that raises BlockingIOError."""
    path = _path(results, run)
    if say is None:
        return exclusive.file(path)
    return exclusive.turn(path, lambda: say(f"Another process is at {run}: waiting for its end."))


def is_taken(results: Path, run: str) -> bool:
    """Tell whether a process of this host holds the run named *run*, as far as the kernel tells."""
    return exclusive.is_held(results / _FOLDER / _file_name(run))


def _node(results: Path) -> Path:
    return _path(results, f"node {node.name()}")


def _path(results: Path, what: str) -> Path:
    folders.make(results, "as `results` in campaign.yaml")
    folders.make(results / _FOLDER, "as `results` in campaign.yaml")
    return results / _FOLDER / _file_name(what)


def _file_name(what: str) -> str:
    return re.sub(r"[^\w.-]", "-", what)
