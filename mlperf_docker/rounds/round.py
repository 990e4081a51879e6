"""Round of MLPerf Inference: its seeds, counts, benchmarks, and the files that it asks for."""

from typing import Annotated

from packaging.specifiers import SpecifierSet
from pydantic import Field, computed_field

from mlperf_docker.catalog.fields import Frozen, Name
from mlperf_docker.contract.words import ComplianceTest, Scenario
from mlperf_docker.rounds.words import Division, LayoutName, Suite

Seed = Annotated[int, Field(ge=0, lt=1 << 64)]
Count = Annotated[int, Field(gt=0)]
RoundName = Annotated[str, Field(pattern=r"^v[0-9]+\.[0-9]+$")]
Versions = Annotated[str, Field(pattern=r"^((==|>=|<=)[0-9]+(\.[0-9]+)*(,|$))+$")]

_HIGH = 0.999


class Seeds(Frozen):
    """Seeds of LoadGen's three generators."""

    qsl_rng_seed: Seed
    sample_index_rng_seed: Seed
    schedule_rng_seed: Seed


class AccuracyTarget(Frozen):
    """Score that a closed entry must reach: a part, `level`, of the reference implementation's."""

    metric: str
    """The submission checker's name of the score."""
    score: str
    """Our name of it, in images.yaml and in results."""
    reference: float
    level: Annotated[float, Field(gt=0, le=1)]

    @computed_field  # type: ignore[prop-decorator]  # of a property: https://github.com/python/mypy/issues/1362
    @property
    def value(self) -> float:
        """The least value that passes."""
        return self.reference * self.level


class Scenarios(Frozen):
    """Scenarios of a benchmark on one type of system."""

    required: tuple[Scenario, ...]
    optional: tuple[Scenario, ...] = ()


class RoundBenchmark(Frozen):
    """Benchmark of a round, and what its entries must have."""

    name: str
    """As the submission checker spells it."""
    model: Name | None
    """Our name of it in images.yaml; None if it is none of ours."""
    aliases: tuple[str, ...]
    """Other names of its folders that the checker takes."""
    divisions: tuple[Division, ...]
    """Divisions that take it. A benchmark may have gone from the closed one, and still be known to the checker."""
    suites: dict[Suite, Scenarios]
    """Types of systems → scenarios that a closed entry must have; open entries may have fewer."""
    targets: tuple[AccuracyTarget, ...]
    performance_sample_count: Count
    """Samples that LoadGen must hold in memory during a performance run, at least."""
    dataset_size: Count
    """Samples of an accuracy run."""
    offline_min_samples: Count
    """Samples of Offline's one query in a performance run, at least."""
    server_latency_ms: Count | None
    """Greatest bound on Server's latency; None if the round has none for it."""
    tests: tuple[ComplianceTest, ...]
    """Compliance tests of a closed entry."""
    equal_issue: bool
    """Whether every sample must be issued equally often."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def high(self) -> bool:
        """Whether it asks for 99.9 % of the reference accuracy."""
        return all(target.level >= _HIGH for target in self.targets)

    @property
    def is_closed(self) -> bool:
        """Whether the closed division takes it."""
        return Division.CLOSED in self.divisions

    def required(self, suite: Suite) -> tuple[Scenario, ...]:
        """The scenarios that a closed entry of a *suite* must have; none if it is not accepted there."""
        found = self.suites.get(suite)
        return found.required if found else ()

    @property
    def scenarios(self) -> tuple[Scenario, ...]:
        """The scenarios that some type of system has, required or optional, in LoadGen's order."""
        known = {each for found in self.suites.values() for each in (*found.required, *found.optional)}
        return tuple(each for each in Scenario if each in known)


class TreeLayout(Frozen):
    """Layout of an organisation's tree. Folders are templates of {system}, {benchmark} and {scenario}."""

    name: LayoutName
    source: str
    """The folder of source code: `code`, or `src` from v6.0."""
    measurements: str
    """The folder of a scenario's settings."""
    compliance: str
    """The folder in which those of a scenario's compliance tests are."""
    measurements_file: str
    """The file with the measurement keys, a template of {system}."""
    configuration_files: tuple[str, ...]
    """Further files beside it, none of them empty."""

    @property
    def is_separate(self) -> bool:
        """Whether settings and compliance tests have trees of their own beside results/."""
        return self.name is not LayoutName.SCENARIO


class Round(Frozen):
    """Round of MLPerf Inference, complete."""

    name: RoundName
    layout: TreeLayout
    seeds: Seeds
    test05_seeds: Seeds | None
    """Of TEST05; None if the round has no such test."""
    loadgen: Versions | None
    """Versions of LoadGen that have these seeds built in; None if no wheel has."""
    min_duration_ms: Count
    accuracy_log_limit_bytes: Count
    """The largest mlperf_log_accuracy.json of a tree; longer ones are truncated."""
    measurement_keys: tuple[str, ...]
    """Keys of the measurements file, none of them empty."""
    filled_system_keys: tuple[str, ...]
    """Keys of a system description that may not be empty."""
    other_system_keys: tuple[str, ...]
    """Keys of a system description that may be empty."""
    benchmarks: tuple[RoundBenchmark, ...]

    @property
    def system_keys(self) -> tuple[str, ...]:
        """All keys that a system description must have."""
        return (*self.filled_system_keys, *self.other_system_keys)

    @property
    def models(self) -> tuple[str, ...]:
        """Our models that some division takes, each once."""
        return tuple(dict.fromkeys(each.model for each in self.benchmarks if each.model is not None))

    def seeds_for(self, compliance: ComplianceTest | None) -> Seeds:
        """The seeds of a run, which may be one of a compliance test: TEST05 has its own."""
        own = self.test05_seeds if compliance is ComplianceTest.TEST05 else None
        return own or self.seeds

    def benchmarks_of(self, model: str) -> tuple[RoundBenchmark, ...]:
        """The benchmarks that our *model* can enter; none if the round does not take it."""
        return tuple(each for each in self.benchmarks if each.model == model)

    def benchmark(self, name: str) -> RoundBenchmark | None:
        """The benchmark of that *name*, or of that alias; None if there is none."""
        return next((each for each in self.benchmarks if name in (each.name, *each.aliases)), None)

    def has_loadgen(self, version: str) -> bool:
        """Whether LoadGen of that *version* has the seeds of this round built in."""
        return self.loadgen is not None and SpecifierSet(self.loadgen).contains(version)
