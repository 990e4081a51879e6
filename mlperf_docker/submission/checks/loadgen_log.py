"""Detail log of LoadGen as a check of a tree reads it: a line that is none of LoadGen's is told, never left out.

Of two entries with one key the first counts, as upstream's checker has it: what is added to a log changes nothing.
"""

import io
import json
import math
from dataclasses import dataclass, field
from typing import Any

from mlperf_docker.contract.detail_log import MARK

_LONGEST_SAID = 120
_MOST_KEPT = 100
"""Lines that are kept of each kind: a log may have nothing but such."""


@dataclass(frozen=True)
class LoggedError:
    """Entry of a log that is an error. line: counted from 1."""

    line: int
    said: str


@dataclass(frozen=True)
class LoadgenLog:
    """Entries of a detail log by key; of several with one key the first."""

    values: dict[str, Any] = field(default_factory=dict)
    errors: tuple[LoggedError, ...] = ()
    audited: bool = False
    """Whether LoadGen found an audit.config."""
    broken: tuple[LoggedError, ...] = ()
    """Lines that are none of LoadGen's."""

    def number(self, key: str) -> float | None:
        """The number that *key* has; None where there is none, or it is no finite number."""
        value = self.values.get(key)
        if not isinstance(value, int | float) or isinstance(value, bool):
            return None
        return value if math.isfinite(value) else None

    def text(self, key: str) -> str | None:
        """The text that *key* has; None where there is none."""
        value = self.values.get(key)
        return value if isinstance(value, str) else None


def parse(text: str) -> LoadgenLog:
    """Read the lines of a detail log. Never raises: lines that are none of LoadGen's are told in `broken`."""
    values: dict[str, Any] = {}
    errors: list[LoggedError] = []
    broken: list[LoggedError] = []
    audited = False
    for number, line in enumerate(io.StringIO(text), 1):
        if not line.strip():
            continue
        entry = _entry(line)
        if entry is None:
            broken += [LoggedError(number, line.rstrip()[:_LONGEST_SAID])] if len(broken) < _MOST_KEPT else []
            continue
        key, value = entry["key"], entry.get("value")
        values.setdefault(key, value)
        metadata = entry.get("metadata")
        is_error = isinstance(metadata, dict) and metadata.get("is_error") is not False
        if is_error and len(errors) < _MOST_KEPT:
            errors.append(LoggedError(number, str(value)[:_LONGEST_SAID]))
        audited = audited or (isinstance(value, str) and value.startswith("Found Audit Config"))
    return LoadgenLog(values, tuple(errors), audited, tuple(broken))


def _entry(line: str) -> dict[str, Any] | None:
    """Return the entry on *line*, or None where it is none."""
    if not line.startswith(MARK):
        return None
    try:
        entry = json.loads(line[len(MARK) :], parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) and isinstance(entry.get("key"), str) else None


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no number of JSON")
