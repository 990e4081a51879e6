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
from mlperf_docker.names import HarnessName
from mlperf_docker.recipe.recipe import Recipe
from mlperf_docker.recipe.reference_layer import recipe_with
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
    harness: HarnessName = HarnessName.OWN
    reference: Path | None = None
    """Folder of the checkout whose reference implementation runs; None for the one that the environment names."""

    @property
    def benchmarks(self) -> tuple[RoundBenchmark, ...]:
        """The benchmarks of the round that it enters."""
        named = {each.name: each for scenario in self.scenarios for each in scenario.benchmarks}
        return tuple(named.values())

    @property
    def recipe(self) -> Recipe:
        """What its image is made from. Raises UsageError where the reference cannot run."""
        return recipe_with(self.spec, self.harness)

    @property
    def is_reference(self) -> bool:
        """Whether the reference implementation runs."""
        return self.harness is HarnessName.REFERENCE

    def __str__(self) -> str:
        return f"{self.spec} {self.precision}{f' {self.harness}' if self.is_reference else ''}"
