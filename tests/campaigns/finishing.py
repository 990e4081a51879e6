"""Results of planned runs, as a run would write them, without running anything."""

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from mlperf_docker.campaigns.campaign import Campaign
from mlperf_docker.campaigns.plan import CampaignPlan, PlannedRun, Planner, planner
from mlperf_docker.contract.words import Mode
from mlperf_docker.images.sources import Sources
from mlperf_docker.results.values import RunResult
from mlperf_docker.runs.on_record import on_record
from mlperf_docker.runs.session import harness_used
from tests.fakes.engine import FakeDisplay
from tests.results.run_results import write_run

SOURCES = Sources("mlperf-docker")
_SECONDS = itertools.count()

SCORE = {
    "metric": "top-1", "value": 87.5, "unit": "%", "sense": "exactly", "target": 87.5, "passed": True,
    "reference": None, "high_target": None, "high": None,
}  # fmt: skip
COMPARED = {
    "compared": 1, "differing": 0, "first_element_differing": 0, "unknown": 0, "largest_difference": None,
    "path": "first element",
}  # fmt: skip
FIGURES = {"reference": 1.0, "value": 1.0, "ratio": 1.0, "least": 0.9, "most": 1.1}


def planned(campaign: Campaign) -> CampaignPlan:
    return plans(campaign).plan()


def plans(campaign: Campaign, sources: Sources = SOURCES) -> Planner:
    return planner(campaign, sources, FakeDisplay())


def named(plan: CampaignPlan, words: str) -> PlannedRun:
    """The run whose name ends with *words*."""
    (found,) = (run for run in plan.runs if run.name.endswith(words))
    return found


def folder_name(run: PlannedRun) -> str:
    """A name for its folder, later than all before it."""
    moment = datetime(2026, 11, 29, tzinfo=UTC) + timedelta(seconds=next(_SECONDS))
    return f"{moment:%Y%m%dT%H%M%S}.000-{run.request.title}"


def finish(run: PlannedRun, planner_: Planner, **changes: Any) -> RunResult:
    """Write the result that *run* would have."""
    root = run.request.root
    root.mkdir(exist_ok=True)
    (wanted,) = (each for each in planner_.wanted if each.name == run.name)
    record = on_record(run.request, FakeDisplay()).model_copy(
        update={"options": _recorded(wanted.options), "command": ("mlperf-docker", "run")}
    )
    options = run.request.options
    fields: dict[str, Any] = {
        "model": run.request.spec.model.name,
        "backend": run.request.spec.backend,
        "precision": options.precision,
        "scenario": options.scenario,
        "mode": options.mode,
        "synthetic": options.synthetic is not None,
        "synthetic_size": options.synthetic,
        "request": record,
        "duration_s": 7.0,
        "accuracy": {**SCORE, "scores": [SCORE]} if options.mode is Mode.ACCURACY else None,
        "compliance": verdict(run) if options.compliance else None,
        "harness": harness_used(run.request),
    }
    return write_run(root, folder_name(run), **{**fields, **changes})


def _recorded(options: Any) -> dict[str, Any]:
    from mlperf_docker.runs.on_record import options_given

    return options_given(options)


def verdict(run: PlannedRun) -> dict[str, Any]:
    """Verdict of the compliance run *run*, which it passes."""
    compares = run.request.options.compliance is not None and run.request.options.compliance.compares_answers
    return {
        "test": run.request.options.compliance,
        "passed": True,
        "reasons": [],
        "accuracy": COMPARED if compares else None,
        "performance": FIGURES,
        "performance_run": run.request.performance_run,
        "accuracy_run": run.request.accuracy_run if compares else None,
    }


def finish_all(campaign: Campaign) -> None:
    """Finish every run of *campaign*, in the plan's order."""
    maker = plans(campaign)
    while open_ := maker.plan().open:
        finish(open_[0], maker)


def attempt(run: PlannedRun, log: str = "") -> Path:
    """A folder of *run* without a result, as one has that died."""
    folder = run.request.root / folder_name(run)
    folder.mkdir(parents=True)
    (folder / "harness.log").write_text(log)
    return folder
