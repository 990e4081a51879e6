"""Entries of rounds.yaml, completed, as they are written."""

from typing import Annotated, Any

from pydantic import Field

from mlperf_docker.catalog.fields import Frozen, Name
from mlperf_docker.contract.words import ComplianceTest, Scenario
from mlperf_docker.rounds.round import AccuracyTarget, Count, RoundName, Seeds, Versions
from mlperf_docker.rounds.words import Division, LayoutName, Suite

BenchmarkName = Annotated[str, Field(pattern=r"^[a-z0-9]+([.-][a-z0-9]+)*$")]
Words = Annotated[tuple[str, ...], Field(min_length=1)]
Listed = Annotated[tuple[Scenario, ...], Field(min_length=1)]


class RoundsOutline(Frozen):
    """The top level of rounds.yaml; entries are looked at one by one, to find all problems."""

    last_rounds: dict[Name, RoundName]
    layouts: dict[LayoutName, Any]
    benchmarks: dict[BenchmarkName, Any]
    rounds: Annotated[dict[RoundName, Any], Field(min_length=1)]


class LayoutEntry(Frozen):
    """`layouts.<layout>`."""

    source: str
    measurements: str
    compliance: str
    measurements_file: str
    configuration_files: Words


class BenchmarkEntry(Frozen):
    """`rounds.<round>.benchmarks.<benchmark>`, completed by `benchmarks.<benchmark>`."""

    model: Name | None = None
    aliases: tuple[str, ...] = ()
    divisions: Annotated[tuple[Division, ...], Field(min_length=1)] = tuple(Division)
    datacenter: Listed | None = None
    edge: Listed | None = None
    both: Listed | None = None
    """None: those of datacenter and of edge."""
    optional: dict[Suite, Listed] = Field(default_factory=dict)
    targets: Annotated[tuple[AccuracyTarget, ...], Field(min_length=1)]
    performance_sample_count: Count
    dataset_size: Count
    offline_min_samples: Count
    server_latency_ms: Count | None = None
    tests: tuple[ComplianceTest, ...]
    equal_issue: bool = False

    def required(self, suite: Suite) -> tuple[Scenario, ...]:
        """The scenarios that a system of that type must have; none if it is not accepted."""
        edge, datacenter = self.edge or (), self.datacenter or ()
        both = self.both or tuple(dict.fromkeys((*edge, *datacenter)))
        return {Suite.EDGE: edge, Suite.DATACENTER: datacenter, Suite.BOTH: both}[suite]


class RoundEntry(Frozen):
    """`rounds.<round>`; its benchmarks are looked at one by one."""

    layout: LayoutName
    seeds: Seeds
    test05_seeds: Seeds | None = None
    loadgen: Versions | None = None
    min_duration_ms: Count
    accuracy_log_limit_bytes: Count
    further_tests: tuple[ComplianceTest, ...] = ()
    """Tests of every benchmark, besides its own."""
    measurement_keys: Words
    filled_system_keys: Words
    other_system_keys: Words
    benchmarks: Annotated[dict[BenchmarkName, Any], Field(min_length=1)]
