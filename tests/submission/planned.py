"""Finished plans of campaigns whose runs are LoadGen's own logs of short tests, for tests of the trees of them."""

import shutil
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlperf_docker.campaigns import campaign as campaigns
from mlperf_docker.campaigns.campaign import Campaign
from mlperf_docker.campaigns.cells import CampaignCell, CellScenario
from mlperf_docker.campaigns.plan import CampaignPlan, PlannedRun, State
from mlperf_docker.campaigns.slots import Kind, Slot
from mlperf_docker.contract.words import ComplianceTest, Mode
from mlperf_docker.images.sources import Sources
from mlperf_docker.results import store
from mlperf_docker.results.values import RunResult
from mlperf_docker.rounds.round import Round, RoundBenchmark
from mlperf_docker.rounds.words import Division
from mlperf_docker.runs.request import RunRequest
from mlperf_docker.submission import layout
from mlperf_docker.systems.keys import KEYS
from tests.fixtures.submission_trees import LoadgenLogs, edit_log, score_line, values_of
from tests.results.run_results import run_result

DURATION = "effective_min_duration_ms"
HARNESS = {"name": "reference", "commit": "c0ffee" + "0" * 34, "changed": False, "content": None}
"""Of runs by a cell of the reference implementation."""
COUNTS = ("effective_performance_sample_count", "effective_samples_per_query")


def system_file(path: Path, suite: str) -> None:
    """Write a complete description of a system called box to *path*."""
    values = {key.name: "N/A" for key in KEYS} | {
        "name": "box", "division": "", "submitter": "", "status": "available", "system_type": suite, "framework": "",
        "other_software_stack": "", "number_of_nodes": "1", "host_processors_per_node": "1",
        "host_processor_core_count": "2", "accelerators_per_node": "0",
    }  # fmt: skip
    path.write_text("".join(f"{key}: {value!r}\n" for key, value in values.items()))


@dataclass(frozen=True)
class Planner:
    """Maker of finished plans in a folder. edited: keys of the logs that get the round's values; None for all."""

    logs: LoadgenLogs
    folder: Path
    synthetic: bool = False
    left_short: tuple[str, ...] = ()
    """Keys of logs that stay as short tests have them."""

    def campaign(self, cells: str, **head: str) -> Campaign:
        """The campaign of *cells*, with a description of its system."""
        keys = {
            "round": "v6.1",
            "division": "closed",
            "suite": "edge",
            "submitter": "Acme",
            "system": "box.yaml",
            **head,
        }
        system_file(self.folder / "box.yaml", keys["suite"])
        text = "".join(f"{key}: {value}\n" for key, value in keys.items() if value)
        path = self.folder / "campaign.yaml"
        path.write_text(f"{text}cells:\n{textwrap.indent(textwrap.dedent(cells).strip(), '  ')}\n")
        return campaigns.load(path)

    def plan(self, campaign: Campaign) -> CampaignPlan:
        """The plan of *campaign*, with a result for each run."""
        return CampaignPlan(campaign, tuple(self._runs(campaign)))

    def _runs(self, campaign: Campaign) -> Iterator[PlannedRun]:
        for cell in campaign.cells:
            for each in cell.scenarios:
                tests = {test for benchmark in each.benchmarks for test in benchmark.tests}
                tested = campaign.division is Division.CLOSED and not cell.is_reference
                for kind in (*Mode, *(sorted(tests) if tested else ())):
                    yield self._run(campaign, cell, each, kind)

    def _run(self, campaign: Campaign, cell: CampaignCell, of: CellScenario, kind: Kind) -> PlannedRun:
        compliance = kind if isinstance(kind, ComplianceTest) else None
        mode = kind if isinstance(kind, Mode) else Mode.PERFORMANCE
        options = replace(of.options, mode=mode, compliance=compliance)
        return PlannedRun(
            cell=cell,
            slots=tuple(Slot(each.name, of.scenario, kind) for each in of.benchmarks),
            request=RunRequest(cell.spec, options, of.limits, Sources("r")),
            needs=(),
            state=State.FINISHED,
            result=self._result(campaign.round, cell, of, kind),
        )

    def _result(self, round_: Round, cell: CampaignCell, of: CellScenario, kind: Kind) -> RunResult:
        folder = self.folder / "results" / f"{cell.spec.model.name}-{of.scenario}-{kind}"
        shutil.copytree(self.logs.of(of.scenario, kind), folder)
        benchmark = of.benchmarks[-1]
        values = values_of(round_, benchmark, of.scenario, kind)
        edit_log(folder, {key: value for key, value in values.items() if key not in self.left_short})
        (folder / layout.USER_CONF).write_text(f"{cell.spec.model.loadgen_key}.{of.scenario}.min_duration = 1000\n")
        self._verdicts(folder, benchmark, kind)
        spec = cell.spec
        changes: dict[str, Any] = {
            "model": spec.model.name, "backend": spec.backend, "device": spec.device, "precision": cell.precision,
            "scenario": of.scenario, "mode": Mode.ACCURACY if kind is Mode.ACCURACY else Mode.PERFORMANCE,
            "synthetic": self.synthetic, "synthetic_size": "tiny" if self.synthetic else None,
            "model_file": {"name": spec.model.files[0].name, "sha256": "0" * 64, "official": not self.synthetic},
            "compliance": _passed(kind) if isinstance(kind, ComplianceTest) else None,
            "harness": HARNESS if cell.is_reference else None,
        }  # fmt: skip
        result = run_result(results_dir=str(folder), **changes)
        store.write(result, folder)
        return result

    def _verdicts(self, folder: Path, benchmark: RoundBenchmark, kind: Kind) -> None:
        if kind is Mode.ACCURACY:
            lines = [score_line(each.metric, each.value * 1.001) for each in benchmark.targets]
            (folder / layout.ACCURACY).write_text("".join(f"{line}\n" for line in lines))
        if isinstance(kind, ComplianceTest):
            (folder / layout.VERIFIED_PERFORMANCE).write_text("TEST PASS\n")
            if kind.compares_answers:
                (folder / layout.VERIFIED_ACCURACY).write_text("TEST PASS\n")


def _passed(test: ComplianceTest) -> dict[str, Any]:
    figures = {"reference": 1.0, "value": 1.0, "ratio": 1.0, "least": 0.9, "most": 1.1}
    return {"test": test, "passed": True, "reasons": [], "accuracy": None, "performance": figures}


def changed(plan: CampaignPlan, slot: str, change: Callable[[PlannedRun], PlannedRun | None]) -> CampaignPlan:
    """The *plan* with the run that fills *slot* changed, or left out where *change* returns None."""
    runs = (change(run) if slot in map(str, run.slots) else run for run in plan.runs)
    return replace(plan, runs=tuple(run for run in runs if run is not None))
