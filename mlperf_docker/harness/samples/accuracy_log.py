"""Accuracy log of LoadGen, mlperf_log_accuracy.json, an answer at a time: one of 3D-UNet has gigabytes."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mlperf_docker.harness.api.errors import SampleError

NAME = "mlperf_log_accuracy.json"

_INDEX = re.compile(rb'"qsl_idx"\s*:\s*(\d+)')
_BEFORE_DATA = 200
"""Bytes of a line within which LoadGen names the sample."""
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class LoggedAnswer:
    """An entry of the log."""

    sample: int
    data: bytes


def answers(log: Path) -> Iterator[LoggedAnswer]:
    """The answers in their order; LoadGen writes each on a line of its own. Raises SampleError for what is none."""
    for number, _, line in _lines(log):
        yield _answer(log, number, line)


@dataclass(frozen=True, slots=True)
class IndexedLog:
    """An accuracy log whose answers are found by their samples; what is kept in memory is where they stand."""

    path: Path
    offsets: dict[int, int]
    """Sample → where its first answer begins."""
    entries: int

    def find(self, sample: int) -> bytes | None:
        """The first answer to *sample*, None without one. Raises SampleError."""
        if sample not in self.offsets:
            return None
        return _answer(self.path, sample, self.line(sample)).data

    def line(self, sample: int) -> bytes:
        """The entry of a sample that has one, as it stands in the log."""
        with self.path.open("rb") as stream:
            stream.seek(self.offsets[sample])
            return _entry(stream.readline())


def indexed(log: Path) -> IndexedLog:
    """Find the first answer to each sample. Raises SampleError for a line that is none."""
    offsets: dict[int, int] = {}
    entries = 0
    for number, offset, line in _lines(log):
        found = _INDEX.search(line, 0, _BEFORE_DATA)
        if found is None or not line.endswith(b"}"):
            raise _no_answer(log, number, line)
        entries += 1
        offsets.setdefault(int(found[1]), offset)
    return IndexedLog(log, offsets, entries)


def extract(log: IndexedLog, samples: list[int], output: Path) -> None:
    """Write a log with the answers to *samples* alone."""
    with output.open("wb") as stream:
        stream.write(b"[\n")
        for place, sample in enumerate(samples):
            stream.write(b",\n" if place else b"")
            stream.write(log.line(sample))
        stream.write(b"\n]\n")


def _lines(log: Path) -> Iterator[tuple[int, int, bytes]]:
    """Number, offset and text of each line that holds an entry."""
    offset = 0
    with log.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            entry = _entry(line)
            if entry:
                yield number, offset, entry
            offset += len(line)


def _entry(line: bytes) -> bytes:
    """A line without what ties it to others."""
    return line.strip().removeprefix(b"[").removeprefix(b",").removesuffix(b"]").rstrip().removesuffix(b",").strip()


def _answer(log: Path, number: int, line: bytes) -> LoggedAnswer:
    try:
        entry = json.loads(line)
        return LoggedAnswer(int(entry["qsl_idx"]), bytes.fromhex(entry["data"]))
    except (ValueError, KeyError, TypeError) as error:
        raise _no_answer(log, number, line) from error


def _no_answer(log: Path, number: int, line: bytes) -> SampleError:
    shown = line[:_SHOWN].decode(errors="replace")
    return SampleError(f"{log}, line {number}, is no answer: {shown}{'…' if len(line) > _SHOWN else ''}")
