"""Jobs and pods as the API tells of them: states, reasons, the index, the image."""

from typing import Any

import pytest

from mlperf_docker.clusters.kubernetes import jobs
from mlperf_docker.clusters.kubernetes.pods import job_of, newest, pod_of
from tests.clusters.kubernetes.test_jobs import IMAGE, SETTINGS, job, run


def pod(**status: Any) -> dict[str, Any]:
    metadata = {
        "name": "mlperf-1-2-x",
        "labels": {"batch.kubernetes.io/job-name": "mlperf-1"},
        "annotations": {"batch.kubernetes.io/job-completion-index": "2"},
        "creationTimestamp": "2026-11-29T10:00:00Z",
    }
    return {"metadata": metadata, "spec": {"nodeName": "n1"}, "status": status}


def with_state(phase: str, **state: Any) -> dict[str, Any]:
    return pod(phase=phase, containerStatuses=[{"name": "harness", "imageID": "reg/x@sha256:00ff", "state": state}])


def test_a_job_tells_its_runs_and_its_image() -> None:
    made = jobs.manifest(job(run("a"), run("b")), SETTINGS)
    found = job_of(made)
    assert found is not None
    assert [each.name for each in found.runs] == ["a", "b"]
    assert (found.name, found.image, found.is_over) == ("mlperf-1", IMAGE, False)
    made["status"] = {"conditions": [{"type": "Failed", "status": "True"}]}
    again = job_of(made)
    assert again is not None
    assert again.is_over


@pytest.mark.parametrize("runs", ["", "[1]", '[{"name": "a"}]', "{"])
def test_a_job_of_somebody_else_is_none_of_ours(runs: str) -> None:
    made = jobs.manifest(job(), SETTINGS)
    made["metadata"]["annotations"][jobs.RUNS_ANNOTATION] = runs
    assert job_of(made) is None
    assert job_of({"metadata": {"name": "x"}}) is None


def test_an_ended_pod_tells_its_times_and_how_it_ended() -> None:
    end = {
        "exitCode": 137,
        "reason": "OOMKilled",
        "startedAt": "2026-11-29T10:00:00Z",
        "finishedAt": "2026-11-29T10:00:07Z",
    }
    found = pod_of(with_state("Failed", terminated=end))
    assert (found.job, found.index, found.node, found.image) == ("mlperf-1", 2, "n1", "sha256:00ff")
    assert (found.ended, found.exit_code, found.out_of_memory, found.duration_s) == (True, 137, True, 7.0)


def test_a_pod_that_was_evicted_tells_why() -> None:
    found = pod_of(pod(phase="Failed", reason="Evicted", message="The node was low on memory."))
    assert (found.ended, found.exit_code, found.reason) == (True, None, "Evicted: The node was low on memory.")


@pytest.mark.parametrize(
    ("waiting", "stuck"),
    [("ContainerCreating", False), ("ErrImagePull", True), ("ImagePullBackOff", True), ("InvalidImageName", True)],
)
def test_a_pod_that_cannot_start_is_told_from_one_that_has_not(waiting: str, stuck: bool) -> None:
    found = pod_of(with_state("Pending", waiting={"reason": waiting, "message": "no such image"}))
    assert (found.ended, found.is_stuck, found.waits) == (False, stuck, f"{waiting}: no such image")


def test_a_pod_without_a_node_says_what_it_waits_for() -> None:
    told = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/2 nodes are available"}
    assert pod_of(pod(phase="Pending", conditions=[told])).waits == "Unschedulable: 0/2 nodes are available"


def test_the_successor_of_a_pod_whose_node_went_away_counts() -> None:
    first, second = pod(phase="Failed"), pod(phase="Running")
    second["metadata"] = {**second["metadata"], "name": "mlperf-1-2-y", "creationTimestamp": "2026-11-29T10:05:00Z"}
    assert newest(map(pod_of, [second, first]))["mlperf-1", 2].name == "mlperf-1-2-y"
