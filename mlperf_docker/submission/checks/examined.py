"""Tree with its parts by name: organisations, systems and entries, as far as they are where the layout has them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from mlperf_docker.contract.words import Scenario
from mlperf_docker.rounds.round import Round, RoundBenchmark
from mlperf_docker.rounds.words import Division, Suite
from mlperf_docker.submission.checks.documents import Documents
from mlperf_docker.submission.checks.tree import SubmissionTree
from mlperf_docker.submission.layout import EntryPlace, Organisation

SUITES = {
    "edge": Suite.EDGE,
    "datacenter": Suite.DATACENTER,
    "datacenter,edge": Suite.BOTH,
    "edge,datacenter": Suite.BOTH,
}
"""Values of system_type, as the checkers take them."""
SCENARIOS = {scenario.value: scenario for scenario in Scenario}
"""Scenarios as LoadGen spells them."""


@dataclass(frozen=True)
class ExaminedSystem:
    """System with results. description: its JSON; None where there is none that can be read."""

    organisation: Organisation
    name: str
    description: dict[str, Any] | None

    @property
    def suite(self) -> Suite | None:
        """What it is for; None where its description does not say."""
        said = (self.description or {}).get("system_type")
        return SUITES.get(said) if isinstance(said, str) else None

    @property
    def is_edge(self) -> bool:
        """Whether it is one of the edge, and may infer scenarios; also where that is not known."""
        return self.suite is not Suite.DATACENTER

    @property
    def results(self) -> PurePosixPath:
        """The folder of its results."""
        return self.organisation.results / self.name


@dataclass(frozen=True)
class ExaminedBenchmark:
    """Folder of a benchmark's results on a system. benchmark: None where the round has none of that name."""

    system: ExaminedSystem
    name: str
    benchmark: RoundBenchmark | None

    @property
    def path(self) -> PurePosixPath:
        """The folder with one folder for each scenario."""
        return self.system.results / self.name

    @property
    def is_closed(self) -> bool:
        """Whether the rules of the closed division hold."""
        return self.system.organisation.division is Division.CLOSED


@dataclass(frozen=True)
class ExaminedEntry:
    """Scenario of a benchmark on a system, with a folder of results."""

    part: ExaminedBenchmark
    entry: EntryPlace

    @property
    def benchmark(self) -> RoundBenchmark | None:
        """What the round says of it."""
        return self.part.benchmark

    @property
    def is_closed(self) -> bool:
        """Whether the rules of the closed division hold."""
        return self.part.is_closed


@dataclass(frozen=True)
class ExaminedTree:
    """Tree that is checked against a round."""

    tree: SubmissionTree
    round: Round
    documents: Documents

    @cached_property
    def organisations(self) -> tuple[Organisation, ...]:
        """Submitters in divisions."""
        return tuple(
            Organisation(self.round.layout, division, submitter)
            for division in Division
            for submitter in self.tree.folders_in(division)
        )

    @cached_property
    def systems(self) -> tuple[ExaminedSystem, ...]:
        """Systems that have results."""
        return tuple(
            ExaminedSystem(organisation, name, self.documents.json(organisation.system(name)))
            for organisation in self.organisations
            for name in self.tree.folders_in(str(organisation.results))
        )

    @cached_property
    def benchmarks(self) -> tuple[ExaminedBenchmark, ...]:
        """Benchmarks that have results on a system."""
        return tuple(
            ExaminedBenchmark(system, name, self._benchmark(system.organisation, name))
            for system in self.systems
            for name in self.tree.folders_in(str(system.results))
        )

    @cached_property
    def entries(self) -> tuple[ExaminedEntry, ...]:
        """Scenarios that have a folder, by LoadGen's own spelling."""
        return tuple(self._entries())

    def _entries(self) -> Iterator[ExaminedEntry]:
        for part in self.benchmarks:
            for name in self.tree.folders_in(str(part.path)):
                if scenario := SCENARIOS.get(name):
                    system = part.system
                    yield ExaminedEntry(part, system.organisation.entry(system.name, part.name, scenario))

    def _benchmark(self, organisation: Organisation, name: str) -> RoundBenchmark | None:
        """The round's benchmark of that name; in the open division also by the submitter's own names."""
        mapping = self.documents.json(organisation.model_mapping) if organisation.division is Division.OPEN else None
        mapped = (mapping or {}).get(name, name)
        return self.round.benchmark(mapped) if isinstance(mapped, str) else None
