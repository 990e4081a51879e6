"""Slots of a submission tree: what one run can fill."""

from dataclasses import dataclass

from mlperf_docker.contract.words import ComplianceTest, Mode, Scenario

Kind = Mode | ComplianceTest
"""Kind of a run: performance, accuracy, or the compliance test that it is for."""


@dataclass(frozen=True)
class Slot:
    """Place of a submission tree that one run fills."""

    benchmark: str
    """Name in the round, as `bert-99`."""
    scenario: Scenario
    kind: Kind

    def __str__(self) -> str:
        return f"{self.benchmark} {self.scenario} {self.kind}"


def run_name(cell: object, scenario: Scenario, kind: Kind) -> str:
    """Return what a run is called; no two runs of a campaign share it."""
    return f"{cell} {scenario} {kind}"
