"""evidence.json: one entry for each cell and precision, written by commands only.

Every finding carries the hash of the source that it was found with, so that an old one can be told from a current one.
"""

import datetime as dt
import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.words import Precision, Scenario
from mlperf_docker.errors import FolderError, UsageError
from mlperf_docker.names import cell_name
from mlperf_docker.results.values import AccuracyScore
from mlperf_docker.system import atomic, exclusive, field_problems, folders, paths, small_file

FILE = "evidence.json"
_PROBLEMS_SHOWN = 20
LARGEST_DIFFERENCE = 1e-4
LEAST_AGREEMENT = 0.999
"""What counts as parity of two backends in fp32: outputs this near relative to the largest, decisions this alike."""

Source = Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
Data = Literal["tiny", "full", "real"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Finding(_Record):
    """Result of one check of a cell."""

    source: Source
    """Hash of Dockerfile, locks and harness."""
    date: dt.datetime
    """Time of the check, UTC."""


class BuildFinding(Finding):
    """Result of a build."""

    image: str
    """Name of the image, without the registry."""
    size_bytes: int = Field(gt=0)
    base: str
    """Base of the image."""

    @property
    def passed(self) -> bool:
        """It is there."""
        return True


class RunFinding(Finding):
    """Result of a run."""

    data: Data
    """Size of the synthetic data set, or `real`."""
    samples: int = Field(gt=0)
    versions: dict[str, str] = Field(min_length=1)
    gpu: str | None = None
    """Name of the GPU; None on the CPU."""
    in_container: bool = True
    """False if the harness ran without a container."""


class PerformanceFinding(RunFinding):
    """Result of a performance run."""

    scenario: Scenario
    metric: str
    value: float
    unit: str
    valid: bool
    """Verdict of LoadGen."""

    @property
    def passed(self) -> bool:
        """LoadGen called it valid."""
        return self.valid


class AccuracyFinding(RunFinding):
    """An accuracy run and its scores. Of synthetic data a score's target is the known value, which it must be."""

    scores: tuple[AccuracyScore, ...] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _lists_its_scores(cls, value: Any) -> Any:  # noqa: ANN401  # whatever the file holds
        """Read the one score of a record that was written when there was no list of them."""
        if not isinstance(value, dict) or "scores" in value:
            return value
        one = {key: value[key] for key in ("metric", "value", "target", "passed") if key in value}
        return {**{key: each for key, each in value.items() if key not in one}, "scores": [one]}

    @property
    def passed(self) -> bool:
        """Every score reached its target."""
        return all(score.passed for score in self.scores)


class Peer(_Record):
    """Another cell's outputs on the same weights and samples: `<backend>-<device>`, and how near they are."""

    cell: str
    largest_difference: float = Field(ge=0)
    agreement: float = Field(ge=0, le=1)


class ParityFinding(RunFinding):
    """The raw outputs beside those of other backends."""

    against: tuple[Peer, ...] = Field(min_length=1)

    @property
    def largest_difference(self) -> float:
        """Of all peers, relative."""
        return max(peer.largest_difference for peer in self.against)

    @property
    def passed(self) -> bool:
        """Near enough to each of the others."""
        alike = min(peer.agreement for peer in self.against) >= LEAST_AGREEMENT
        return alike and self.largest_difference <= LARGEST_DIFFERENCE


AnyFinding = BuildFinding | PerformanceFinding | AccuracyFinding | ParityFinding


class Entry(_Record):
    """Evidence of one cell in one precision."""

    model: str
    backend: str
    device: Device
    precision: Precision
    built: BuildFinding | None = None
    performance: PerformanceFinding | None = None
    accuracy: AccuracyFinding | None = None
    parity: ParityFinding | None = None

    @property
    def key(self) -> tuple[str, str, Device, Precision]:
        """What makes it the only one of its kind."""
        return self.model, self.backend, self.device, self.precision

    @property
    def cell(self) -> str:
        """The name of its ImageSpec."""
        return cell_name(self.model, self.backend, self.device)

    def findings(self) -> dict[str, AnyFinding]:
        """Name → finding, of those that there are."""
        named = {
            "built": self.built,
            "performance": self.performance,
            "accuracy": self.accuracy,
            "parity": self.parity,
        }
        return {name: each for name, each in named.items() if each is not None}

    @property
    def gpu(self) -> str | None:
        """The GPU that it ran on, or None."""
        return next((each.gpu for each in self.findings().values() if isinstance(each, RunFinding) and each.gpu), None)


class Record(_Record):
    """Content of evidence.json."""

    format: Literal[1] = 1
    entries: tuple[Entry, ...] = ()
    """Entries in any order, each key once."""

    @model_validator(mode="after")
    def _once(self) -> Self:
        keys = [entry.key for entry in self.entries]
        for key in dict.fromkeys(keys):
            if keys.count(key) > 1:
                raise ValueError(f"{' '.join(key)} is there {keys.count(key)} times")
        return self

    def of(self, spec: ImageSpec) -> tuple[Entry, ...]:
        """The entries of a cell, in the order of its precisions."""
        found = {entry.precision: entry for entry in self.entries if entry.cell == str(spec)}
        return tuple(found[precision] for precision in spec.precisions if precision in found)

    def updated(self, entries: Iterable[Entry]) -> "Record":
        """Return the record with *entries* in place of those of the same keys; all others stay."""
        merged = {entry.key: entry for entry in (*self.entries, *entries)}
        return Record(entries=tuple(entry for _, entry in sorted(merged.items()) if entry.findings()))


def read(path: Path) -> Record:
    """Read the record; an absent file is an empty one. Raises UsageError that names everything that is wrong."""
    try:
        return Record.model_validate_json(small_file.read(path))
    except FileNotFoundError:
        return Record()
    except ValidationError as error:
        lines = [f"  {each}" for each in field_problems.told(error, whole="the file")[:_PROBLEMS_SHOWN]]
        raise UsageError(
            "\n".join((f"{path} is no record of evidence:", *lines)),
            hint="It is written by `mlperf-docker evidence` only; restore it, or remove it and run that again.",
        ) from error
    except small_file.UnfitError as error:
        raise UsageError(f"The record of evidence {path} cannot be read: {error}.") from error
    except OSError as error:
        raise UsageError(f"The record of evidence {path} cannot be read: {error.strerror}.") from error


def known() -> Record:
    """Return what is on record: the project's own, with what was run here with an installed tool on top of it."""
    record = read(paths.assets() / FILE)
    return record if paths.checkout() else record.updated(_own().entries)


def _own() -> Record:
    """Return what the user's own record has; one that is not there, or not for us to read, has nothing."""
    try:
        path = paths.own_evidence()
    except FolderError:  # no home
        return Record()
    return read(path) if os.access(path, os.R_OK) else Record()


def place() -> Path:
    """Return the file that new evidence goes to: the checkout's own, or the user's for an installed tool."""
    root = paths.checkout()
    return root / FILE if root else paths.own_evidence()


def write(change: Callable[[Record], Record], path: Path) -> None:
    """Replace the record with what *change* makes of it, in one step and alone. Raises UsageError where it is none."""
    with folders.naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with exclusive.folder(path.parent):
            record = change(read(path))
            fields = record.model_dump(mode="json", exclude_none=True)
            atomic.write_text(path, json.dumps(fields, indent=2) + "\n")


def now() -> dt.datetime:
    """Return the time of a finding, to the second."""
    return dt.datetime.now(dt.UTC).replace(microsecond=0)


def shown(entries: Sequence[Entry], source: str | None) -> str:
    """Say in words what is shown of a cell; *source* tells whether it is of an older source. Empty for nothing."""
    parts = []
    for entry in entries:
        words = [name if each.passed else f"{name} failed" for name, each in entry.findings().items()]
        words += ["gpu"] if entry.gpu else []
        parts.append(f"{f'{entry.precision}: ' if len(entries) > 1 else ''}{', '.join(words)}")
    return "; ".join(parts) + ("" if not parts or is_current(entries, source) else " (older)")


def is_current(entries: Sequence[Entry], source: str | None) -> bool | None:
    """Tell whether everything was found with the source as it is now; None where nothing was, or nobody knows."""
    sources = {each.source for entry in entries for each in entry.findings().values()}
    return None if not sources or source is None else sources == {source}


def fields(entries: Sequence[Entry], source: str | None) -> dict[str, Any]:
    """The same for programs."""
    dumped = [entry.model_dump(mode="json", exclude={"model", "backend", "device"}) for entry in entries]
    return {
        "shown": sorted({name for entry in entries for name, each in entry.findings().items() if each.passed}),
        "gpu": next((entry.gpu for entry in entries if entry.gpu), None),
        "current": is_current(entries, source),
        "entries": dumped,
    }
