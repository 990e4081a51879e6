"""Requests of a campaign's runs, in the order in which they are run."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from mlperf_docker.campaigns.campaign import Campaign
from mlperf_docker.campaigns.cells import CampaignCell, CellScenario
from mlperf_docker.campaigns.entries import EntryPart
from mlperf_docker.campaigns.inputs import CellInputs
from mlperf_docker.campaigns.slots import Kind, Slot, run_name
from mlperf_docker.contract.options import RunOptions
from mlperf_docker.contract.words import ComplianceTest, Mode
from mlperf_docker.images.sources import Sources
from mlperf_docker.rounds.options import for_round
from mlperf_docker.rounds.words import Division
from mlperf_docker.runs.request import RunRequest


@dataclass(frozen=True)
class WantedRun:
    """Run that a campaign asks for, whatever its state."""

    cell: CampaignCell
    slots: tuple[Slot, ...]
    request: RunRequest
    needs: tuple[str, ...]
    """Names of the runs that it is held to: performance, and accuracy where answers are compared."""

    @property
    def kind(self) -> Kind:
        """Performance, accuracy, or the compliance test."""
        return self.request.options.compliance or self.request.options.mode

    @property
    def name(self) -> str:
        """What tells it from the others."""
        return run_name(self.cell, self.request.options.scenario, self.kind)

    @property
    def options(self) -> RunOptions:
        """The options that it runs with: those of its profile and of its round, too."""
        request = self.request
        options = request.profile.options.under(request.options) if request.profile else request.options
        return for_round(options, request.spec.model.name, request.round) if request.round else options


def wanted(campaign: Campaign, sources: Sources, inputs: Mapping[str, CellInputs]) -> Iterator[WantedRun]:
    """Yield the runs of *campaign*: cell by cell accuracy first, and compliance tests last, as they need the others.

    inputs: of each cell, by its name.
    """
    for cell in campaign.cells:
        checkout = inputs[str(cell)].checkout
        for kind in (Mode.ACCURACY, Mode.PERFORMANCE, *ComplianceTest):
            for scenario in cell.scenarios:
                slots = tuple(_slots(campaign, cell, scenario, kind))
                if slots:
                    request = replace(_request(campaign, cell, scenario, kind, sources), checkout=checkout)
                    yield WantedRun(cell, slots, request, tuple(_needs(cell, request.options, kind)))


def notes(campaign: Campaign) -> Iterator[str]:
    """Yield which cells cannot make closed entries, as no reference implementation has compliance tests."""
    for cell in campaign.cells:
        tests = sorted({test for benchmark in cell.benchmarks for test in benchmark.tests})
        if cell.is_reference and tests and campaign.division is Division.CLOSED:
            yield (
                f"{cell}: no reference implementation has compliance tests ({', '.join(tests)}), which a closed entry"
                " needs: set `division: open`"
            )


def _slots(campaign: Campaign, cell: CampaignCell, scenario: CellScenario, kind: Kind) -> Iterator[Slot]:
    """Yield the places that such a run fills, none if there is to be no such run."""
    if isinstance(kind, Mode):
        asked = EntryPart(kind.value) in cell.parts
        names = [each.name for each in scenario.benchmarks] if asked else []
    else:
        asked = EntryPart.COMPLIANCE in cell.parts and campaign.division is Division.CLOSED
        names = [each.name for each in scenario.benchmarks if kind in each.tests] if asked else []
    yield from (Slot(name, scenario.scenario, kind) for name in names)


def _request(
    campaign: Campaign, cell: CampaignCell, scenario: CellScenario, kind: Kind, sources: Sources
) -> RunRequest:
    chosen = {"mode": kind} if isinstance(kind, Mode) else {"mode": Mode.PERFORMANCE, "compliance": kind}
    synthetic = scenario.options.synthetic is not None
    return RunRequest(
        spec=cell.spec,
        options=replace(scenario.options, **chosen),
        limits=scenario.limits,
        sources=sources.pinned(cell.image),
        dataset=None if synthetic else cell.dataset,
        require_dataset=not synthetic,
        model_file=None if synthetic else cell.model_file,
        user_conf=cell.user_conf,
        results_root=campaign.results,
        profile=scenario.profile,
        round=campaign.round,
    )


def _needs(cell: CampaignCell, options: RunOptions, kind: Kind) -> Iterator[str]:
    if isinstance(kind, ComplianceTest):
        yield run_name(cell, options.scenario, Mode.PERFORMANCE)
        if kind.compares_answers:
            yield run_name(cell, options.scenario, Mode.ACCURACY)
