"""Entries of a tree with the runs that fill them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.contract.words import ComplianceTest, Mode, Scenario
from mlperf_docker.results.values import RunResult
from mlperf_docker.submission import implementation
from mlperf_docker.submission.layout import EntryPlace, Kind


@dataclass(frozen=True)
class EntryRuns:
    """Runs that fill one entry of a tree."""

    place: EntryPlace
    spec: ImageSpec
    performance: RunResult
    accuracy: RunResult
    tests: Mapping[ComplianceTest, RunResult]
    """Compliance tests; empty in the open division."""
    measured_as: str
    """Name of the benchmark that the runs were made for: the entry's own, or the one that it is inferred from."""

    @property
    def by_kind(self) -> dict[Kind, RunResult]:
        """All of its runs, in the order in which a reader repeats them."""
        return dict(((Mode.ACCURACY, self.accuracy), (Mode.PERFORMANCE, self.performance), *self.tests.items()))

    @property
    def runs(self) -> tuple[RunResult, ...]:
        """All of its runs."""
        return tuple(self.by_kind.values())

    @property
    def scenario(self) -> Scenario:
        """The scenario that was measured, which another one may be inferred from."""
        return self.performance.scenario

    @property
    def inferred_from(self) -> str | None:
        """Benchmark and scenario that it is inferred from; None where it was measured itself."""
        measured = (self.measured_as, self.scenario)
        return None if measured == (self.place.benchmark, self.place.scenario) else " ".join(measured)

    @property
    def implementations(self) -> list[str]:
        """Whose code made its runs, each once: one for all, or they make no entry."""
        return implementation.all_of(self.runs)

    def at(self, place: EntryPlace) -> "EntryRuns":
        """The same runs for the entry at *place*, which is inferred from them."""
        return replace(self, place=place)

    @property
    def synthetic(self) -> bool:
        """Whether some run is on synthetic data."""
        return any(each.synthetic for each in self.runs)
