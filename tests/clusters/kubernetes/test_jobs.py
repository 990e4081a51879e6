"""Manifests: what Kubernetes' own schemas take, confined as a container here, and one Indexed Job of alike runs."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from mlperf_docker.campaigns.kubernetes import KubernetesSettings
from mlperf_docker.clusters.kubernetes import jobs
from mlperf_docker.clusters.kubernetes.jobs import PlannedJob, PodRun
from mlperf_docker.engine.plan import BindMount, ContainerUser, Limits, RunPlan
from mlperf_docker.errors import UsageError
from mlperf_docker.names import PullPolicy
from mlperf_docker.results.values import ImageUsed

SETTINGS = KubernetesSettings.model_validate(
    {"namespace": "lab", "volumes": [{"path": "/shared", "nfs": {"server": "nas", "path": "/export"}}]}
)
MOUNTS = (
    BindMount(Path("/shared/data/imagenet"), "/data", read_only=True),
    BindMount(Path("/shared/models/resnet50.onnx"), "/models/resnet50.onnx", read_only=True),
    BindMount(Path("/home/user/.cache/mlperf-docker/harness"), "/cache", read_only=False),
    BindMount(Path("/shared/campaign/results/.pods/mlperf-1"), "/results", read_only=False),
)
PLAN = RunPlan("reg.example/resnet50@sha256:00", (), MOUNTS, ContainerUser("1000:100", groups=(7,), tmp_bytes=1024))

IMAGE = ImageUsed(tag="reg.example/resnet50:x-0", id="", base="debian (pinned)", digest="sha256:00")


def run(name: str, *arguments: str) -> PodRun:
    return PodRun(name, ("run", *arguments), f"resnet50-{name}", "sha256:11")


def job(*runs: PodRun, plan: RunPlan = PLAN, pull: PullPolicy = PullPolicy.MISSING) -> PlannedJob:
    return PlannedJob("mlperf-1", "c0ffee", runs or (run("one", "--scenario=Offline"),), plan, IMAGE, pull)


def spec(made: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = made["spec"]["template"]["spec"]
    return found


def container(made: dict[str, Any]) -> dict[str, Any]:
    (found,) = spec(made)["containers"]
    assert isinstance(found, dict)
    return found


FULL = SETTINGS.model_copy(
    update={
        "node_selector": {"disk": "nvme"},
        "tolerations": ({"key": "gpu", "operator": "Exists", "effect": "NoSchedule"},),
        "image_pull_secret": "login",
    }
)


@pytest.mark.parametrize("version", ["1.30", "1.37"])
@pytest.mark.parametrize("count", [1, 3])
def test_a_job_is_what_kubernetes_schemas_take(version: str, count: int) -> None:
    limits = Limits(cpus=4, memory="8g", gpus="2")
    planned = job(*(run(f"r{n}", f"--seed={n}") for n in range(count)), plan=replace(PLAN, limits=limits))
    kubernetes_validate.validate(jobs.manifest(planned, FULL), version, strict=True)
    kubernetes_validate.validate(jobs.policy(FULL), version, strict=True)


def test_a_pod_is_confined_as_a_container_here() -> None:
    made = jobs.manifest(job(), SETTINGS)
    assert spec(made)["securityContext"] == {
        "runAsUser": 1000,
        "runAsGroup": 100,
        "runAsNonRoot": True,
        "supplementalGroups": [7],
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container(made)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert spec(made)["automountServiceAccountToken"] is False
    assert {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "1024"}} in spec(made)["volumes"]
    assert "stdin" not in container(made)


def test_the_pods_of_root_are_not_said_to_be_another_users() -> None:
    made = jobs.manifest(job(plan=replace(PLAN, surroundings=ContainerUser("0:0"))), SETTINGS)
    assert spec(made)["securityContext"]["runAsNonRoot"] is False


def test_a_policy_denies_the_pods_of_every_job_the_network() -> None:
    denied = jobs.policy(SETTINGS)["spec"]
    labels = jobs.manifest(job(), SETTINGS)["spec"]["template"]["metadata"]["labels"]
    assert denied["podSelector"]["matchLabels"].items() <= labels.items()
    assert sorted(denied["policyTypes"]) == ["Egress", "Ingress"]
    assert not denied.keys() & {"ingress", "egress"}


def test_a_single_run_is_a_plain_job_with_the_harness_arguments() -> None:
    made = jobs.manifest(job(run("one", "--scenario=Offline", "--user=$HOME $(X)")), SETTINGS)
    assert "completionMode" not in made["spec"]
    assert container(made)["args"] == ["run", "--scenario=Offline", "--user=$$HOME $$(X)"]
    assert "command" not in container(made)
    assert made["spec"]["backoffLimit"] == 0


def test_alike_runs_are_one_indexed_job_whose_failures_are_their_own() -> None:
    made = jobs.manifest(job(run("a", "--scenario=Offline"), run("b", "--scenario=Server")), SETTINGS)
    assert (made["spec"]["completionMode"], made["spec"]["completions"]) == ("Indexed", 2)
    assert (made["spec"]["parallelism"], made["spec"]["backoffLimitPerIndex"]) == (2, 0)
    assert "backoffLimit" not in made["spec"]
    told = json.loads(made["metadata"]["annotations"][jobs.RUNS_ANNOTATION])
    assert [each["name"] for each in told] == ["a", "b"]


def test_a_node_that_goes_away_costs_a_run_nothing() -> None:
    (rule,) = jobs.manifest(job(), SETTINGS)["spec"]["podFailurePolicy"]["rules"]
    assert (rule["action"], rule["onPodConditions"][0]["type"]) == ("Ignore", "DisruptionTarget")


@pytest.mark.parametrize("harness", ["harness", "reference_harness"])
@pytest.mark.parametrize("index", [0, 1])
def test_the_program_of_an_indexed_pod_hands_the_harness_its_arguments(
    index: int, harness: str, tmp_path: Path
) -> None:
    alike = replace(job(run("a", "--x=$(Y) ü"), run("b", "--z=")), module=f"mlperf_docker.{harness}")
    made = container(jobs.manifest(alike, SETTINGS))
    package = tmp_path / "mlperf_docker" / harness
    package.mkdir(parents=True)
    (tmp_path / "mlperf_docker" / "__init__.py").touch()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text("def main(argv):\n    print(argv)\n    return 7\n")
    arguments = [word.replace("$$", "$") for word in made["args"]]
    done = subprocess.run(
        [sys.executable, "-P", *made["command"][1:], *arguments],
        env={"JOB_COMPLETION_INDEX": str(index), "PYTHONPATH": str(tmp_path), "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 7, done.stderr
    assert done.stdout.strip() == str([["run", "--x=$(Y) ü"], ["run", "--z="]][index])


def test_a_node_has_one_run_at_a_time_unless_the_campaign_says_otherwise() -> None:
    (apart,) = spec(jobs.manifest(job(), SETTINGS))["affinity"]["podAntiAffinity"].popitem()[1]
    assert apart["labelSelector"]["matchLabels"] == {"app.kubernetes.io/name": "mlperf-docker"}
    together = SETTINGS.model_copy(update={"exclusive": False})
    assert "affinity" not in spec(jobs.manifest(job(), together))


def test_limits_are_requests_and_limits_alike() -> None:
    plan = replace(PLAN, limits=Limits(cpus=1.5, memory="2g", gpus="4"))
    bounds = container(jobs.manifest(job(plan=plan), SETTINGS))["resources"]
    assert bounds["limits"] == {"cpu": "1500m", "memory": str(2 << 30), "nvidia.com/gpu": "4"}
    assert bounds["requests"] == bounds["limits"]
    assert "resources" not in container(jobs.manifest(job(), SETTINGS))


@pytest.mark.parametrize(
    ("limits", "words"), [(Limits(cpuset="0-3"), "no --cpuset"), (Limits(gpus="all"), "by their number")]
)
def test_a_limit_that_pods_do_not_have_is_an_error(limits: Limits, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        jobs.manifest(job(plan=replace(PLAN, limits=limits)), SETTINGS)


@pytest.mark.parametrize(
    ("pull", "word"),
    [(PullPolicy.ALWAYS, "Always"), (PullPolicy.MISSING, "IfNotPresent"), (PullPolicy.NEVER, "Never")],
)
def test_nodes_pull_as_the_command_says(pull: PullPolicy, word: str) -> None:
    assert container(jobs.manifest(job(pull=pull), SETTINGS))["imagePullPolicy"] == word


def test_frames_of_runs_differ_by_their_inputs_only() -> None:
    other = replace(PLAN, arguments=("run",), mounts=(*MOUNTS[:3], BindMount(Path("/x"), "/results", read_only=False)))
    assert jobs.frame(other) == jobs.frame(PLAN)
    assert jobs.frame(replace(PLAN, mounts=MOUNTS[1:])) != jobs.frame(PLAN)
