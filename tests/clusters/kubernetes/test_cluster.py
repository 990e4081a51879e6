"""A namespace behind the API: requests by the real client over HTTP, and what goes wrong with them."""

import socket
from pathlib import Path

import pytest
import yaml

from mlperf_docker.campaigns.kubernetes import KubernetesSettings
from mlperf_docker.clusters.kubernetes import jobs
from mlperf_docker.clusters.kubernetes.cluster import ApiRefusalError, Cluster
from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.errors import ClusterError, UsageError
from tests.clusters.kubernetes.lab import Lab
from tests.clusters.kubernetes.test_jobs import SETTINGS, job


@pytest.fixture
def cluster(lab: Lab) -> Cluster:
    return Cluster(SETTINGS)


def test_an_object_that_is_there_already_is_told_from_other_refusals(cluster: Cluster, lab: Lab) -> None:
    cluster.create_policy(jobs.policy(SETTINGS))
    cluster.create_policy(jobs.policy(SETTINGS))
    assert lab.api.posted("networkpolicies") == 2
    lab.api.forbidden.add(("create", "networkpolicies"))
    with pytest.raises(ApiRefusalError, match="refuses to create the NetworkPolicy: networkpolicies is forbidden"):
        cluster.create_policy(jobs.policy(SETTINGS))


def test_a_job_that_is_gone_is_deleted_without_a_word(cluster: Cluster) -> None:
    cluster.delete_job("mlperf-1")


def test_a_toleration_that_is_none_is_told_before_it_is_sent(cluster: Cluster, lab: Lab) -> None:
    settings = SETTINGS.model_copy(update={"tolerations": ({"key": 1},)})
    with pytest.raises(UsageError, match=r"refuses to create the Job: .*tolerations.*key"):
        cluster.create_job(jobs.manifest(job(), settings))
    assert lab.api.posted("jobs") == 0


def test_a_job_that_the_api_refuses_is_told_in_its_words(cluster: Cluster) -> None:
    manifest = jobs.manifest(job(), SETTINGS)
    manifest["kind"] = "CronJob"
    with pytest.raises(ApiRefusalError, match="refuses to create the Job: Job is invalid"):
        cluster.create_job(manifest)


def test_a_watch_from_a_version_that_is_forgotten_says_so(cluster: Cluster, lab: Lab) -> None:
    version = cluster.pods("c0ffee").version
    lab.api.state.forget()
    with pytest.raises(ApiRefusalError) as caught:
        next(cluster.changes("c0ffee", version))
    assert caught.value.is_gone


def test_a_log_that_is_gone_is_missing(cluster: Cluster) -> None:
    with pytest.raises(ApiRefusalError) as caught:
        b"".join(cluster.log("nobody"))
    assert caught.value.is_missing


def test_a_node_that_may_not_be_seen_is_none(cluster: Cluster) -> None:
    assert cluster.node("nowhere") is None
    node = cluster.node("n1")
    assert node is not None
    assert node["metadata"]["name"] == "n1"


def test_credentials_that_are_not_valid_are_one_error(lab: Lab, tmp_path: Path) -> None:
    lab.api.kubeconfig(tmp_path, token="old")  # noqa: S106  # what the server does not know
    with pytest.raises(ClusterError, match="Unauthorized") as caught:
        Cluster(KubernetesSettings()).jobs("c0ffee")
    assert "log in again" in (caught.value.hint or "")
    assert caught.value.exit_code is ExitCode.ENGINE


def test_a_cluster_that_does_not_answer_is_named_with_its_address(lab: Lab, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
    path = lab.api.kubeconfig(tmp_path)
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text().replace(lab.api.url, address))))
    with pytest.raises(ClusterError, match=f"{address} does not answer, asked to list pods") as caught:
        Cluster(KubernetesSettings()).pods("c0ffee")
    assert "\n" not in str(caught.value)
