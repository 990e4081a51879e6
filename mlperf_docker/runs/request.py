"""Request of a run: everything that decides what it measures, with names already resolved."""

from dataclasses import dataclass
from pathlib import Path

from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.contract.options import RunOptions
from mlperf_docker.engine.plan import Limits
from mlperf_docker.images.sources import Sources
from mlperf_docker.names import HarnessName
from mlperf_docker.recipe.recipe import Recipe
from mlperf_docker.recipe.reference_layer import recipe_with
from mlperf_docker.reference.checkout import ReferenceCheckout
from mlperf_docker.rounds.round import Round
from mlperf_docker.runs.profile import Profile
from mlperf_docker.system import paths


@dataclass(frozen=True)
class RunRequest:
    """Request of `run`, with names already resolved."""

    spec: ImageSpec
    options: RunOptions
    limits: Limits
    sources: Sources
    dataset: Path | None = None
    """Folder of the data set; None for its own place, or synthetic data if nothing is there."""
    require_dataset: bool = False
    model_file: Path | None = None
    user_conf: Path | None = None
    results_root: Path | None = None
    """Results folder; None for the user's own."""
    profile: Profile | None = None
    """Values for options that are left open."""
    performance_run: str | None = None
    """The run that a compliance run is held to, by its folder or its name; None for the newest that matches."""
    accuracy_run: str | None = None
    """The same, for a test that compares answers."""
    checkout: ReferenceCheckout | None = None
    """The checkout whose reference implementation runs; None for our own harness."""
    round: Round | None = None
    """The round that it is for; None for any, and then it is judged as for the newest."""

    @property
    def root(self) -> Path:
        """The absolute folder below which this run's own folder is made."""
        return paths.resolved(self.results_root or paths.results_dir())

    @property
    def title(self) -> str:
        """What the run's folder is named after."""
        kind = self.options.compliance or self.options.mode
        harness = "" if self.checkout is None else "-reference"
        return f"{self.spec.model.name}-{self.spec.variant}{harness}-{self.options.scenario}-{kind}"

    @property
    def harness_name(self) -> HarnessName:
        """Whose code runs."""
        return HarnessName.OWN if self.checkout is None else HarnessName.REFERENCE

    @property
    def recipe(self) -> Recipe:
        """What its image is made from. Raises UsageError where the reference cannot run."""
        return recipe_with(self.spec, self.harness_name)
