"""Benchmarks with tables larger than memory, and those whose data set has to be converted first."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from mlperf_docker.contract.devices import Device
from mlperf_docker.harness.api.benchmark import Benchmark
from mlperf_docker.harness.api.model import Model
from mlperf_docker.harness.api.samples import Report


class Plan(Protocol):
    """Where the parts of a model that may be larger than memory will be."""

    @property
    def lines(self) -> Sequence[str]:
        """The same for people: what is where, and how much."""
        ...

    def place(self, model: Model) -> Model:
        """The model, its parts placed like this."""
        ...


@runtime_checkable
class Tabled(Protocol):
    """A benchmark whose weights are mostly tables that samples look rows up in."""

    def is_table(self, name: str) -> bool:
        """Whether the weight called *name* is a table."""
        ...

    def plan(self, path: Path, device: Device, shares: Sequence[int]) -> Plan:
        """Where the tables in *path* will be. Raises DeviceMemoryError, before they are read, where they do not fit.

        shares: instances on each device, all of which get the same plan.
        """
        ...

    def capped(self, rows: int) -> Benchmark:
        """The benchmark with no more than the first *rows* of each table; ids wrap at that number."""
        ...


@runtime_checkable
class Raw(Protocol):
    """A benchmark whose data set has to be made of other files, once."""

    def convert_data(self, source: Path, output: Path, *, days: int | None, report: Report) -> Mapping[str, Any]:
        """Make it of the files in *source*; give facts for people. Raises DatasetError.

        days: how many of the log; None for all.
        """
        ...
