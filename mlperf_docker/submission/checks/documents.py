"""Documents of a tree: each read and parsed once, with a finding for what cannot be read."""

import json
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any, TypeVar

from mlperf_docker.display import printable
from mlperf_docker.submission.checks import loadgen_log
from mlperf_docker.submission.checks.faults import Fault
from mlperf_docker.submission.checks.findings import TreeFinding
from mlperf_docker.submission.checks.loadgen_log import LoadgenLog
from mlperf_docker.submission.checks.tree import LARGEST_BYTES, SubmissionTree
from mlperf_docker.system import small_file

_LARGEST_TEXT = 2_000_000
_LONGEST_REASON = 160
_BROKEN_TOLD = 3
T = TypeVar("T")


class Documents:
    """Files of a tree by their paths. What is absent is None, which other checks tell; what is broken is told here."""

    def __init__(self, tree: SubmissionTree) -> None:
        self._tree = tree
        self._known: dict[tuple[str, str], Any] = {}
        self.findings: list[TreeFinding] = []

    def text(self, path: PurePosixPath) -> str | None:
        """Return a text of UTF-8, such as accuracy.txt."""
        return self._once("text", str(path), lambda: self._text(str(path), _LARGEST_TEXT, Fault.TEXT_BROKEN))

    def json(self, path: PurePosixPath) -> dict[str, Any] | None:
        """Return a JSON object."""
        return self._once("json", str(path), lambda: self._object(str(path)))

    def log(self, path: PurePosixPath) -> LoadgenLog | None:
        """Return a detail log; None also for one that has no line of LoadGen's."""
        return self._once("log", str(path), lambda: self._log(str(path)))

    def content(self, path: PurePosixPath) -> bytes | None:
        """Return all bytes of a file."""
        return self._once("bytes", str(path), lambda: self._bytes(str(path), LARGEST_BYTES, Fault.UNREADABLE))

    def _once(self, kind: str, path: str, read: Callable[[], T]) -> T:
        if (kind, path) not in self._known:
            self._known[kind, path] = read()
        known: T = self._known[kind, path]
        return known

    def _bytes(self, path: str, largest: int, fault: Fault) -> bytes | None:
        if not self._tree.has_file(path):
            return None
        try:
            return self._tree.read(path, largest)
        except small_file.UnfitError as error:
            self._tell(fault, path, str(error))
        except OSError as error:
            self._tell(Fault.UNREADABLE, path, (error.strerror or str(error)).lower())
        return None

    def _text(self, path: str, largest: int, fault: Fault) -> str | None:
        content = self._bytes(path, largest, fault)
        try:
            return content.decode() if content is not None else None
        except UnicodeDecodeError as error:
            self._tell(fault, path, f"byte {error.start} is not UTF-8")
        return None

    def _object(self, path: str) -> dict[str, Any] | None:
        text = self._text(path, _LARGEST_TEXT, Fault.JSON_BROKEN)
        if text is None:
            return None
        try:
            value = json.loads(text, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            self._tell(Fault.JSON_BROKEN, path, str(error))
            return None
        if not isinstance(value, dict):
            self._tell(Fault.JSON_BROKEN, path, "it is no object")
            return None
        return value

    def _log(self, path: str) -> LoadgenLog | None:
        text = self._text(path, LARGEST_BYTES, Fault.LOG_BROKEN)
        if text is None:
            return None
        log = loadgen_log.parse(text)
        for line in log.broken[:_BROKEN_TOLD]:
            self._tell(Fault.LOG_BROKEN, path, line.said, f"line {line.line}")
        if not log.values and not log.broken:
            self._tell(Fault.LOG_BROKEN, path, "it is empty")
        return log if log.values else None

    def _tell(self, fault: Fault, path: str, what: str, key: str = "") -> None:
        self.findings.append(TreeFinding(fault, path, printable.shortened(what, _LONGEST_REASON), key))


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no number of JSON")
