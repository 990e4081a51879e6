"""Submission: many runs in a moment, each Job with folders for its runs."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from mlperf_docker.clusters.kubernetes import kept, submission
from mlperf_docker.clusters.kubernetes.jobs import RUNS_ANNOTATION
from mlperf_docker.clusters.kubernetes.volumes import NoVolumeError
from tests.clusters.kubernetes.lab import Lab
from tests.fakes.engine import FakeDisplay
from tests.fixtures.reference_checkout import MAIN, commit, made
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


def test_pods_of_the_reference_see_the_checkout_and_start_its_harness(lab: Lab) -> None:
    made(lab.folder / "inference")
    lab.cells = "- {model: resnet50, harness: reference, reference: inference, scenarios: [Offline]}"
    rendered = submission.render(lab.planner().plan(), lab.planner().plan().runs, FakeDisplay())
    (container,) = rendered[0].manifest["spec"]["template"]["spec"]["containers"]
    assert "-reference" in container["image"]
    assert "mlperf_docker.reference_harness.__main__" in container["command"][2]
    (mount,) = [each for each in container["volumeMounts"] if each["mountPath"] == "/reference"]
    assert (mount["subPath"], mount["readOnly"]) == ("inference", True)


def test_a_checkout_that_no_volume_has_is_told(lab: Lab, tmp_path: Path) -> None:
    elsewhere = made(tmp_path / "elsewhere")
    lab.cells = f"- {{model: resnet50, harness: reference, reference: {elsewhere}, scenarios: [Offline]}}"
    plan = lab.planner().plan()
    with pytest.raises(NoVolumeError, match=str(elsewhere)):
        submission.render(plan, plan.runs, FakeDisplay())


def test_a_pod_of_another_commit_is_another_run(lab: Lab) -> None:
    checkout = made(lab.folder / "inference")
    lab.cells = "- {model: resnet50, harness: reference, reference: inference, scenarios: [Offline], modes: [accuracy]}"

    def record() -> object:
        plan = lab.planner().plan()
        return submission.render(plan, plan.runs, FakeDisplay())[0].manifest["metadata"]["annotations"][RUNS_ANNOTATION]

    before = record()
    assert record() == before
    (checkout / MAIN).write_text("pass")
    commit(checkout)
    assert record() != before
