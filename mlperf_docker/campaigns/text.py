"""Plans and their state as text for people, and as JSON."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from mlperf_docker.campaigns.estimates import Estimate
from mlperf_docker.campaigns.plan import CampaignPlan, PlannedRun, State
from mlperf_docker.campaigns.slots import Slot
from mlperf_docker.contract.words import Scenario
from mlperf_docker.display import shell
from mlperf_docker.display.tables import fitted
from mlperf_docker.results.text import figure

PLAN_HEADER = ("run", "for", "state", "time", "figure", "why")
PLAN_ORDER = ("run", "state", "why", "time", "for", "figure")
"""The same by importance."""
_MINUTE, _HOUR = 60, 3600
_TWO_HOURS = 2 * _HOUR


def plan_text(plan: CampaignPlan, columns: int | None) -> str:
    """Return the runs of *plan*, a line each, and what there is to say of all of them."""
    table = fitted(PLAN_HEADER, map(_line, plan.runs), columns, order=PLAN_ORDER)
    return "\n".join((table, *(f"Note: {note}." for note in plan.notes), summary(plan)))


def status_text(plan: CampaignPlan, columns: int | None) -> str:
    """Return how far *plan* is: counts, the state of each slot, the next command."""
    header = ("benchmark", "scenario", "kind", "state", "result")
    lines = ((slot.benchmark, slot.scenario, slot.kind, run.state, _result(run)) for slot, run in _by_slot(plan))
    table = fitted(header, lines, columns)
    return "\n".join((table, *(f"Note: {note}." for note in plan.notes), summary(plan), f"Next: {next_command(plan)}"))


def summary(plan: CampaignPlan) -> str:
    """Return how many runs have which state, and the time that is left."""
    counts = Counter(run.state for run in plan.runs)
    told = ", ".join(f"{counts[state]} {state}" for state in State if counts[state])
    left = "" if plan.complete else f"; {time_text(plan.time_left)} left"
    return f"{len(plan.runs)} runs: {told}{left}."


def next_command(plan: CampaignPlan) -> str:
    """Return the command that goes on from here."""
    path = str(plan.campaign.path)
    if plan.complete:
        return shell.join(["mlperf-docker", "submission", "create", path, "--to", "submission"])
    jobs = [run.job for run in plan.runs if run.job]
    if any(job.is_live for job in jobs):
        return shell.join(["mlperf-docker", "campaign", "status", path])
    return shell.join(["mlperf-docker", "campaign", "run", path, *(("--on", jobs[-1].cluster) if jobs else ())])


def fields(plan: CampaignPlan) -> dict[str, Any]:
    """Return *plan* for programs."""
    campaign = plan.campaign
    return {
        "campaign": str(campaign.path),
        "round": campaign.round.name,
        "division": campaign.division,
        "suite": campaign.suite,
        "results": str(campaign.results),
        "complete": plan.complete,
        "counts": {state.value: sum(run.state is state for run in plan.runs) for state in State},
        "time_left_s": plan.time_left.seconds,
        "time_left_at_least": plan.time_left.at_least,
        "runs": [_run_fields(run) for run in plan.runs],
        "notes": list(plan.notes),
        "next": next_command(plan),
    }


def time_text(estimate: Estimate) -> str:
    """Return a time for people: `about 41 min`, `at least 2.5 h`, `unknown time`."""
    if estimate.seconds is None:
        return "unknown time"
    return f"{'at least' if estimate.at_least else 'about'} {_duration(estimate.seconds)}"


def _duration(seconds: float) -> str:
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    return f"{seconds / _MINUTE:.0f} min" if seconds < _TWO_HOURS else f"{seconds / _HOUR:.1f} h"


def _line(run: PlannedRun) -> tuple[str, ...]:
    time = "" if run.finished else time_text(run.estimate)
    return (run.name, ", ".join(slot.benchmark for slot in run.slots), run.state, time, _figure(run), _why(run))


def _why(run: PlannedRun) -> str:
    return "; ".join(run.why)


def _figure(run: PlannedRun) -> str:
    return figure(run.result) if run.result else ""


def _result(run: PlannedRun) -> str:
    return run.result.name if run.result else _why(run)


def _by_slot(plan: CampaignPlan) -> Iterator[tuple[Slot, PlannedRun]]:
    """Yield each slot with its run, by benchmark and scenario."""
    pairs = [(slot, run) for run in plan.runs for slot in run.slots]
    benchmarks = list(dict.fromkeys(slot.benchmark for slot, _ in pairs))
    scenarios = list(Scenario)
    yield from sorted(pairs, key=lambda pair: (benchmarks.index(pair[0].benchmark), scenarios.index(pair[0].scenario)))


def _run_fields(run: PlannedRun) -> dict[str, Any]:
    return {
        "name": run.name,
        "cell": str(run.cell.spec),
        "precision": run.cell.precision,
        "harness": run.cell.harness,
        "scenario": run.scenario,
        "kind": run.kind,
        "slots": [{"benchmark": each.benchmark, "scenario": each.scenario, "kind": each.kind} for each in run.slots],
        "state": run.state,
        "why": list(run.why),
        "needs": list(run.needs),
        "job": run.job.id if run.job else None,
        "node": run.job.node if run.job else None,
        "result": run.result.name if run.result else None,
        "estimate_s": run.estimate.seconds,
        "estimate_at_least": run.estimate.at_least,
    }
