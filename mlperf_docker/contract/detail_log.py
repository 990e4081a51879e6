"""Detail log of LoadGen, mlperf_log_detail.txt: its entries."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NAME = "mlperf_log_detail.txt"
MARK = ":::MLLOG "
"""The beginning of a line that is an entry."""


@dataclass(frozen=True, slots=True)
class DetailLog:
    """Entries of a detail log: the last value of each key, and what was logged as an error or a warning."""

    values: Mapping[str, Any]
    errors: tuple[str, ...] = ()
    """Each as `key: value`."""
    warnings: tuple[str, ...] = ()
    lines: Mapping[str, int] = field(default_factory=dict)
    """Line number of the last entry of each key, from 1."""

    def number(self, key: str) -> float:
        """A value as a number, 0 where it is absent or none."""
        value = self.values.get(key, 0)
        try:
            return float(value) if isinstance(value, int | float | str) else 0.0
        except ValueError:
            return 0.0

    def says_yes(self, key: str) -> bool:
        """Whether a check was met; one that this scenario does not have counts as met."""
        return bool(self.values.get(key, True))


def read(folder: Path) -> DetailLog:
    """Read the detail log in *folder*; empty if LoadGen wrote none."""
    try:
        return parse((folder / NAME).read_text(encoding="utf-8", errors="replace"))
    except FileNotFoundError:
        return DetailLog({})


def parse(text: str) -> DetailLog:
    """Read a detail log. A line that is no entry, as the last one where the process was killed, is left out."""
    values: dict[str, Any] = {}
    lines: dict[str, int] = {}
    errors, warnings = [], []
    for number, entry in _entries(text):
        values[entry["key"]], lines[entry["key"]] = entry["value"], number
        metadata = entry.get("metadata")
        marks = metadata if isinstance(metadata, dict) else {}
        said = f"{entry['key']}: {entry['value']}"
        errors += [said] if marks.get("is_error") else []
        warnings += [said] if marks.get("is_warning") else []
    return DetailLog(values, tuple(errors), tuple(warnings), lines)


def _entries(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each entry with its line number."""
    for number, line in enumerate(text.splitlines(), 1):
        if not line.startswith(MARK):
            continue
        try:
            entry = json.loads(line[len(MARK) :])
        except (ValueError, RecursionError):
            continue
        if isinstance(entry, dict) and isinstance(entry.get("key"), str) and "value" in entry:
            yield number, entry
