"""Matrix of a campaign for the report: a row for each benchmark and scenario, a column for each kind of run."""

from collections import defaultdict

from mlperf_docker.campaigns.plan import CampaignPlan, PlannedRun, State
from mlperf_docker.campaigns.text import summary
from mlperf_docker.report.matrix import Matrix, MatrixEntry, MatrixMark, MatrixRow
from mlperf_docker.results.text import figure

_MARKS = {
    State.FINISHED: MatrixMark.DONE,
    State.INVALID: MatrixMark.FAILED,
    State.FAILED: MatrixMark.FAILED,
    State.STALE: MatrixMark.OLD,
}


def matrix(plan: CampaignPlan) -> Matrix:
    """Return what *plan* has of each slot."""
    rows: defaultdict[str, dict[str, MatrixEntry]] = defaultdict(dict)
    for run in plan.runs:
        for slot in run.slots:
            rows[f"{slot.benchmark} {slot.scenario}{_harness(run)}"][slot.kind] = _entry(run)
    campaign = plan.campaign
    title = f"{campaign.submitter}: {campaign.round.name}, {campaign.division}, {campaign.suite}"
    note = " ".join((summary(plan), *(f"{note}." for note in plan.notes)))
    return Matrix(title, tuple(MatrixRow(name, entries) for name, entries in rows.items()), note)


def _harness(run: PlannedRun) -> str:
    """The harness where it is another than ours."""
    return f" ({run.cell.harness})" if run.cell.is_reference else ""


def _entry(run: PlannedRun) -> MatrixEntry:
    shown = run.result or run.unfit
    return MatrixEntry(
        state=run.state,
        mark=_MARKS.get(run.state, MatrixMark.OPEN),
        figure=figure(shown) if shown else "",
        run=shown.name if shown else None,
    )
