"""Cells of a campaign: what is run, with which settings, for which benchmarks."""

from dataclasses import dataclass, field
from pathlib import Path

from mlperf_docker.campaigns.entries import EntryPart
from mlperf_docker.campaigns.slurm import SlurmSettings
from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.contract.options import RunOptions
from mlperf_docker.contract.words import Precision, Scenario
from mlperf_docker.engine.plan import Limits
from mlperf_docker.images.sources import PinnedImage
from mlperf_docker.rounds.round import RoundBenchmark
from mlperf_docker.runs.profile import Profile


@dataclass(frozen=True)
class CellScenario:
    """Scenario of a cell of a campaign: the benchmarks that its runs are for, and their settings."""

    scenario: Scenario
    benchmarks: tuple[RoundBenchmark, ...]
    """Benchmarks of the round that have this scenario, such as bert-99 and bert-99.9."""
    options: RunOptions
    """Options of all of its runs; those of the round are not among them yet."""
    limits: Limits
    profile: Profile | None = None


@dataclass(frozen=True)
class CampaignCell:
    """Cell of a campaign: what is run, on which data."""

    spec: ImageSpec
    precision: Precision
    scenarios: tuple[CellScenario, ...]
    parts: tuple[EntryPart, ...]
    dataset: Path | None = None
    """Folder of the data set; None for its own place, or for synthetic data."""
    model_file: Path | None = None
    """None for the official one, or for synthetic weights."""
    user_conf: Path | None = None
    image: PinnedImage | None = None
    """The only image that will do; None for any that has the hash."""
    slurm: SlurmSettings = field(default_factory=SlurmSettings)
    """Settings of the Slurm jobs of its runs."""

    @property
    def benchmarks(self) -> tuple[RoundBenchmark, ...]:
        """The benchmarks of the round that it enters."""
        named = {each.name: each for scenario in self.scenarios for each in scenario.benchmarks}
        return tuple(named.values())

    def __str__(self) -> str:
        return f"{self.spec} {self.precision}"
