"""A plan joined with the jobs of its runs: a live job has the run, an ended one tells why there is no result."""

import json
from pathlib import Path

import pytest

from mlperf_docker.campaigns.cluster_jobs import ClusterJob, JobState
from mlperf_docker.campaigns.plan import CampaignPlan, PlannedRun, State
from mlperf_docker.campaigns.text import fields, next_command, plan_text
from mlperf_docker.clusters.joining import joined
from mlperf_docker.names import ClusterName
from tests.campaigns.files import HEAD, campaign
from tests.campaigns.finishing import attempt, finish, named, plans

TINY = f"{HEAD}options: {{synthetic: tiny, min_duration: 1}}\n"
RUN = "Offline performance"


@pytest.fixture
def plan(tmp_path: Path) -> CampaignPlan:
    return plans(campaign(tmp_path, "- {model: resnet50, scenarios: [Offline]}", TINY)).plan()


def job(plan: CampaignPlan, state: JobState, why: str | None = None, node: str | None = None) -> ClusterJob:
    return ClusterJob(ClusterName.SLURM, named(plan, RUN).name, "12_3", state, node, why)


def seen(plan: CampaignPlan, *jobs: ClusterJob) -> PlannedRun:
    return named(joined(plan, jobs), RUN)


def test_a_job_that_waits_makes_its_run_queued(plan: CampaignPlan) -> None:
    run = seen(plan, job(plan, JobState.QUEUED, "Resources"))
    assert (run.state, run.why) == (State.QUEUED, ("job 12_3: Resources",))


def test_a_job_at_work_shows_its_node(plan: CampaignPlan) -> None:
    whole = joined(plan, [job(plan, JobState.RUNNING, node="n1")])
    assert (named(whole, RUN).state, named(whole, RUN).why) == (State.RUNNING, ("job 12_3 on n1",))
    (told,) = (each for each in json.loads(json.dumps(fields(whole)))["runs"] if each["job"])
    assert (told["job"], told["node"], told["state"]) == ("12_3", "n1", "running")
    assert next_command(whole).endswith(f"campaign status {plan.campaign.path}")
    assert "job 12_3 on n1" in plan_text(whole, None)


@pytest.mark.parametrize("end", ["TIMEOUT", "CANCELLED", "NODE_FAIL"])
def test_a_job_that_was_ended_tells_why_there_is_no_result(end: str, plan: CampaignPlan) -> None:
    run = seen(plan, job(plan, JobState.ENDED, end, "n2"))
    assert (run.state, run.why) == (State.FAILED, (f"job 12_3 on n2: {end}",))
    ended = joined(plan, [job(plan, JobState.ENDED, end)])
    assert next_command(ended).endswith(f"campaign run {plan.campaign.path} --on slurm")
    folder = attempt(named(plan, RUN))
    again = plans(plan.campaign).plan()
    told = seen(again, job(plan, JobState.ENDED, end, "n2"))
    assert told.why == (f"job 12_3 on n2: {end}", "it was interrupted", f"see {folder}")


def test_a_job_that_ended_by_itself_says_no_more_than_the_results(plan: CampaignPlan) -> None:
    assert seen(plan, job(plan, JobState.ENDED)) == named(plan, RUN)


def test_a_finished_run_is_finished_whatever_its_job_says(plan: CampaignPlan) -> None:
    maker = plans(plan.campaign)
    finish(named(plan, RUN), maker)
    for state in JobState:
        assert seen(maker.plan(), job(plan, state, "NODE_FAIL")).state is State.FINISHED


def test_the_newest_job_of_a_run_counts(plan: CampaignPlan) -> None:
    found = seen(plan, job(plan, JobState.ENDED, "TIMEOUT"), job(plan, JobState.QUEUED))
    assert (found.state, found.why) == (State.QUEUED, ("job 12_3",))
