"""Entries of campaign.yaml as they are written."""

from collections.abc import Hashable
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field

from mlperf_docker.campaigns.kubernetes import KubernetesSettings
from mlperf_docker.catalog.fields import Frozen
from mlperf_docker.contract.words import Precision, Scenario
from mlperf_docker.names import HarnessName, RuntimeName
from mlperf_docker.rounds.words import Division, Suite

_Item = TypeVar("_Item", bound=Hashable)

REQUIRED = "required"
"""The word for the scenarios that a closed entry must have."""
DEFAULT_RESULTS = "results"


class EntryPart(StrEnum):
    """EntryPart of an entry, as `modes` chooses them: runs of one mode, or all compliance tests."""

    ACCURACY = "accuracy"
    PERFORMANCE = "performance"
    COMPLIANCE = "compliance"


def _once(items: tuple[_Item, ...]) -> tuple[_Item, ...]:
    """Refuse an empty list, and one that has something twice."""
    if not items:
        raise ValueError("the list is empty")
    if twice := [each for each in items if items.count(each) > 1]:
        raise ValueError(f"duplicate: {twice[0]} is already in this list")
    return items


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _unless_required(value: object) -> object:
    return None if value == REQUIRED else value


_Scenarios = Annotated[tuple[Scenario, ...], AfterValidator(_once)]
_Text = Annotated[str, Field(min_length=1)]
_Options = Annotated[dict[str, Any], BeforeValidator(lambda value: {} if value is None else value)]


def parts_of(harness: HarnessName) -> tuple[EntryPart, ...]:
    """What *harness* has of each scenario: no reference implementation has compliance tests."""
    is_own = harness is HarnessName.OWN
    return tuple(each for each in EntryPart if is_own or each is not EntryPart.COMPLIANCE)


class CellEntry(Frozen):
    """`cells[…]`: a model on a backend on a device, and how it is run."""

    model: _Text
    backend: _Text | None = None
    """None for the model's default one."""
    device: _Text | None = None
    """None for cpu."""
    precision: Precision = Precision.FP32
    benchmarks: Annotated[tuple[str, ...], AfterValidator(_once)] | None = None
    """The benchmarks of the round that it enters; None for all of its model."""
    dataset: _Text | None = None
    """Folder of the data set; None for its own place."""
    model_file: _Text | None = None
    """None for the official one."""
    user_conf: _Text | None = None
    image: _Text | None = None
    """The image in a registry, by its digest; None for whichever has the hash."""
    profile: Annotated[tuple[_Text, ...], BeforeValidator(_listed), AfterValidator(_once)] | None = None
    """Names or files of tuned profiles, each for the runs of its scenario."""
    scenarios: Annotated[_Scenarios | None, BeforeValidator(_unless_required)] = None
    """None for those that the round requires."""
    modes: Annotated[tuple[EntryPart, ...], AfterValidator(_once)] = tuple(EntryPart)
    harness: HarnessName = HarnessName.OWN
    reference: _Text | None = None
    """Folder of the checkout whose reference implementation runs; None for that of all cells."""
    options: _Options = Field(default_factory=dict)
    scenario_options: dict[Scenario, _Options] = Field(default_factory=dict)
    """Options that only the runs of one scenario have."""
    slurm: _Options = Field(default_factory=dict)
    """Settings of the Slurm jobs of its runs."""


class CampaignEntry(Frozen):
    """The top level of campaign.yaml; its cells are looked at one by one, to find all problems."""

    round: _Text
    division: Division
    suite: Suite
    submitter: _Text
    system: _Text | None = None
    """File of the system's description."""
    results: _Text = DEFAULT_RESULTS
    """Folder of the results, as seen from the file's."""
    bundle: _Text | None = None
    """Folder of the bundle that nodes without an image take it from."""
    runtime: RuntimeName | None = None
    """What runs the containers."""
    reference: _Text | None = None
    """Folder of the checkout for cells with `harness: reference`; None for the one that the environment names."""
    options: _Options = Field(default_factory=dict)
    """Options of all runs."""
    kubernetes: KubernetesSettings = Field(default_factory=KubernetesSettings)
    """What pods need to know of the cluster."""
    slurm: _Options = Field(default_factory=dict)
    """Settings of all Slurm jobs."""
    cells: list[Any] = Field(min_length=1)
