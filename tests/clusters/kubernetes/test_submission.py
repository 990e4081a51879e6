"""Submission: many runs in a moment, each Job with folders for its runs."""

import time
from dataclasses import replace

from mlperf_docker.clusters.kubernetes import kept, submission
from tests.clusters.kubernetes.lab import Lab
from tests.fakes.engine import FakeDisplay
from tests.tries import in_time


def submitted(lab: Lab) -> tuple[float, str]:
    """Submit 200 runs, and return the seconds that it took, and the Job's name."""
    found = lab.planner()
    cluster, plan = lab.cluster(found), found.plan()
    ready = submission.ready(plan)
    many = tuple(replace(ready[n % len(ready)], needs=()) for n in range(200))
    start = time.monotonic()
    rendered = submission.render(plan, many, FakeDisplay())
    submission.create(rendered, cluster, plan.campaign.kubernetes, lab.results)
    return time.monotonic() - start, rendered[0].name


def test_two_hundred_runs_are_submitted_in_five_seconds_as_one_job(lab: Lab) -> None:
    lab.api.kubelet.nodes = ()
    seconds, name = in_time(lambda: submitted(lab), lambda done: done[0] <= 5)
    assert seconds <= 5
    assert lab.api.state.get("jobs", "lab", name)["spec"]["completions"] == 200
    assert len(lab.api.state.listed("pods", "lab", f"job-name={name}")[0]) == 200
    assert sum(1 for _ in kept.folder_of(lab.results, name).glob("[0-9]*")) == 200
