"""A campaign in a cluster: every run once, whatever becomes of the command, the pods and the API."""

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from mlperf_docker.campaigns.cluster_jobs import JobState
from mlperf_docker.campaigns.plan import Planner, State
from mlperf_docker.clusters.joining import joined
from mlperf_docker.clusters.kubernetes import export, kept, submission, watching
from mlperf_docker.clusters.kubernetes.cluster import Cluster
from mlperf_docker.errors import ContainerError, DatasetError, Interrupted, MlperfDockerError, UsageError
from mlperf_docker.results import store
from tests.clusters.kubernetes.lab import Lab
from tests.fakes.engine import FakeDisplay


def started(lab: Lab) -> Counter[str]:
    """How often each run was started, by its arguments."""
    words = (each.arguments if each.command is None else each.arguments[int(each.environment["JOB_COMPLETION_INDEX"])]
             for each in lab.containers.started)  # fmt: skip
    return Counter(str(each) for each in words)


def wait_until_ended(lab: Lab, cluster: Cluster) -> watching.View:
    """Wait until no pod is queued or at work."""
    deadline = time.monotonic() + 60
    while (seen := watching.view(cluster, lab.results)).live and time.monotonic() < deadline:
        time.sleep(0.05)
    return seen


def test_a_campaign_runs_in_jobs_and_its_results_are_those_of_runs_here(lab: Lab) -> None:
    outcome = lab.run()
    assert outcome.errors == {}
    assert outcome.plan.complete
    assert len(lab.containers.started) == outcome.done == len(outcome.plan.runs) == 12
    result = next(run.result for run in outcome.plan.runs if run.name.endswith("Offline TEST01"))
    assert result is not None
    assert result.request is not None
    assert result.request.command[:3] == ("mlperf-docker", "run", "resnet50")
    assert result.host is not None
    assert result.host["system"]["distribution"] == "Test Linux 1"
    assert result.runtime is not None
    assert result.runtime.name == "kubernetes"
    assert result.image is not None
    assert result.image.id == f"sha256:{'a' * 64}"
    assert '"event": "result"' in (lab.results / result.name / store.LOG_FILE).read_text()
    assert not (lab.results / kept.FOLDER).exists()
    assert len(lab.api.state.listed("networkpolicies", "lab")[0]) == 1


def test_alike_runs_of_a_wave_are_one_indexed_job(lab: Lab) -> None:
    lab.run()
    found = lab.api.state.listed("jobs", "lab")[0]
    completions = sorted((each["spec"].get("completions", 1) for each in found), reverse=True)
    assert completions[0] == 6  # accuracy and performance in three scenarios
    assert sum(completions) == 12


@pytest.mark.parametrize("words", [1, 2, 3, 5, 8, 13, 17])
def test_an_interrupted_command_finds_its_pods_again_and_repeats_nothing(words: int, lab: Lab) -> None:
    @dataclass
    class Breaking(FakeDisplay):
        def say(self, text: str) -> None:
            super().say(text)
            if len(self.said) == words:
                raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="Pods that were submitted go on"):
        lab.run(Breaking())
    outcome = lab.run()
    assert (outcome.errors, outcome.plan.complete) == ({}, True)
    assert set(started(lab).values()) == {1}
    assert len(lab.names()) == 12


@pytest.mark.parametrize("step", ["result written", "folder moved"])
def test_a_command_killed_while_it_completes_a_run_loses_nothing(
    step: str, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = kept.moved

    def breaking(folder: Path, results: Path, name: str) -> Path:
        if step == "folder moved":
            moved(folder, results, name)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(kept, "moved", breaking)
        with pytest.raises(Interrupted):
            lab.run()
    assert lab.run().plan.complete
    assert set(started(lab).values()) == {1}
    assert len(lab.names()) == 12


def test_a_run_whose_pod_and_log_are_gone_is_completed_from_what_the_harness_left(lab: Lab) -> None:
    found = lab.planner()
    cluster, plan = lab.cluster(found), found.plan()
    submission.create(
        submission.render(plan, submission.ready(plan), FakeDisplay()),
        cluster,
        plan.campaign.kubernetes,
        lab.results,
    )
    wait_until_ended(lab, cluster)
    for job in lab.api.state.listed("jobs", "lab")[0]:
        cluster.delete_job(job["metadata"]["name"])  # as its time to live does
    assert lab.run().plan.complete
    assert set(started(lab).values()) == {1}


def test_a_run_that_dies_is_told_and_lets_the_others_run(lab: Lab) -> None:
    lab.order(Offline_performance={"dies": True})
    outcome = lab.run()
    (error,) = outcome.errors.values()
    assert isinstance(error, ContainerError)
    assert error.log is not None
    assert error.log.is_file()
    assert {run.state for run in outcome.plan.open} == {State.FAILED, State.WAITING}
    lab.order()
    assert lab.run().plan.complete


def test_an_error_of_the_harness_names_folders_of_this_host(lab: Lab) -> None:
    lab.order(SingleStream_accuracy={"error": True})
    outcome = lab.run()
    (error,) = outcome.errors.values()
    assert isinstance(error, DatasetError)
    assert f"no data in {lab.results}" in str(error)


def test_a_reply_that_the_log_lost_is_taken_from_the_folder(lab: Lab) -> None:
    lab.order(SingleStream_accuracy={"silent": True})
    assert lab.run().plan.complete


def test_stop_submits_nothing_after_a_failure(lab: Lab) -> None:
    lab.order(Offline_performance={"dies": True})
    outcome = lab.run(go_on=False)
    assert len(lab.containers.started) == 6
    assert len([run for run in outcome.plan.runs if run.finished]) == 5


def test_watches_that_break_off_or_begin_too_late_are_begun_again(lab: Lab) -> None:
    lab.api.broken_watches = 2
    lab.order(SingleStream_accuracy={"seconds": 1.0})

    @dataclass
    class Forgetting(FakeDisplay):
        def say(self, text: str) -> None:
            super().say(text)
            lab.api.state.forget()

    assert lab.run(Forgetting()).plan.complete
    assert set(started(lab).values()) == {1}


def test_pods_that_cannot_start_end_the_command_with_one_reason(lab: Lab) -> None:
    lab.containers.images = set()
    display = FakeDisplay()
    outcome = lab.run(display, patience_s=0)
    assert len(outcome.errors) == 6
    assert len([each for each in display.said if each.startswith("Error")]) == 1
    assert "ErrImagePull" in str(next(iter(outcome.errors.values())))
    assert lab.api.state.listed("jobs", "lab")[0] == []
    lab.containers.images = None
    assert lab.run().plan.complete


def test_a_pod_whose_node_goes_away_is_made_again_and_nothing_of_it_is_taken_for_the_run(lab: Lab) -> None:
    lab.order(SingleStream_accuracy={"seconds": 2.0})

    @dataclass
    class Draining(FakeDisplay):
        drained: int = 0

        def say(self, text: str) -> None:
            super().say(text)
            if "running" in text and "SingleStream accuracy" in text and not self.drained:
                self.drained += lab.api.kubelet.disrupt("lab", text.partition("job ")[2].partition(" ")[0])

    display = Draining()
    outcome = lab.run(display)
    assert display.drained == 1
    assert (outcome.errors, outcome.plan.complete) == ({}, True)
    assert sorted(started(lab).values()) == [1] * 11 + [2]
    assert len(lab.names()) == 12


def test_a_run_of_settings_that_have_changed_since_does_not_count(lab: Lab) -> None:
    found = lab.planner("{synthetic: tiny, min_duration: 2}")
    cluster, plan = lab.cluster(found), found.plan()
    runs = [run for run in submission.ready(plan) if run.name.endswith("Offline performance")]
    submission.create(submission.render(plan, runs, FakeDisplay()), cluster, plan.campaign.kubernetes, lab.results)
    seen = wait_until_ended(lab, cluster)
    errors = watching.complete_ended(seen, lab.planner().plan(), cluster, FakeDisplay())
    assert [str(each).rpartition("; ")[2] for each in errors.values()] == ["its run does not count."]
    assert lab.names() == []
    assert not (lab.results / kept.FOLDER).exists()


def exported(lab: Lab, output: Path) -> tuple[Planner, export.Exported]:
    found = lab.planner()
    return found, export.export(found.plan(), output, FakeDisplay())


def test_jobs_that_kubectl_applied_are_found_and_completed(lab: Lab, tmp_path: Path) -> None:
    found, done = exported(lab, tmp_path / "jobs")
    cluster = lab.cluster(found)
    assert watching.view(cluster, lab.results).live == ()
    for path in done.files:
        manifest = yaml.safe_load(path.read_text())
        (cluster.create_job if manifest["kind"] == "Job" else cluster.create_policy)(manifest)
    outcome = lab.run()
    assert outcome.plan.complete
    assert set(started(lab).values()) == {1}


def test_a_status_shows_where_pods_are(lab: Lab) -> None:
    lab.order(**{f"{each}_accuracy": {"seconds": 60} for each in ("SingleStream", "MultiStream", "Offline")})
    found = lab.planner()
    cluster, plan = lab.cluster(found), found.plan()
    runs = [run for run in submission.ready(plan) if run.name.endswith("accuracy")]
    submission.create(submission.render(plan, runs, FakeDisplay()), cluster, plan.campaign.kubernetes, lab.results)
    deadline = time.monotonic() + 60
    while len(list((lab.results / kept.FOLDER).glob("*/*/*.txt"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)  # until two have begun to write
    live = watching.view(cluster, lab.results).live
    assert sorted(job.state for job in live) == [JobState.QUEUED, JobState.RUNNING, JobState.RUNNING]
    states = Counter(run.state for run in joined(found.plan(), live).runs)
    assert (states[State.RUNNING], states[State.QUEUED]) == (2, 1)
    assert watching.cancel(found.plan(), cluster, FakeDisplay()) == 3
    assert lab.api.state.listed("pods", "lab")[0] == []
    assert Counter(run.state for run in found.plan().runs)[State.FAILED] == 2
    assert not (lab.results / kept.FOLDER).exists()


def refusal(lab: Lab) -> MlperfDockerError:
    with pytest.raises(MlperfDockerError) as caught:
        lab.run()
    return caught.value


def test_a_missing_right_is_one_error_with_what_it_is_for(lab: Lab) -> None:
    lab.api.forbidden.add(("create", "jobs"))
    error = refusal(lab)
    assert "refuses to create the Job: jobs is forbidden" in str(error)
    assert "kubectl auth can-i" in (error.hint or "")


def test_a_missing_namespace_is_one_error_that_names_it(lab: Lab) -> None:
    lab.api.state.namespaces.clear()
    error = refusal(lab)
    assert 'namespaces "lab" not found' in str(error)
    assert "kubectl get namespaces" in (error.hint or "")


def test_a_refused_job_leaves_nothing_that_is_taken_for_a_run(lab: Lab) -> None:
    lab.api.forbidden.add(("create", "jobs"))
    refusal(lab)
    assert not (lab.results / kept.FOLDER).exists()
    lab.api.forbidden.clear()
    assert lab.run().plan.complete
    assert set(started(lab).values()) == {1}


def test_a_second_command_does_not_complete_the_same_pods(lab: Lab) -> None:
    said = list[str]()
    with (
        watching.alone(lab.results, said.append),
        pytest.raises(UsageError, match="watches the pods"),
        watching.alone(lab.results, said.append),
    ):
        pass
