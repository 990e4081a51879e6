"""A campaign as Kubernetes Jobs whose pods are containers of a real engine, by the whole command; and its kill."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mlperf_docker.clusters.kubernetes import kept
from mlperf_docker.engine.client import DockerEngine
from mlperf_docker.results import store
from tests.cells.tool import PATIENCE_S, PERFORMED, Tool, wait_for
from tests.fakes.kubelet import Kubelet
from tests.fakes.kubernetes_api import Api, serving
from tests.fakes.pod_containers import EngineContainers
from tests.fixtures.docker_client import api as docker_api
from tests.fixtures.engine import MARK, TEST_LABEL
from tests.fixtures.reference_checkout import git, made

pytestmark = pytest.mark.engine
FOUR = """\
round: v4.1
division: open
suite: edge
submitter: Example
options: {synthetic: tiny, min_duration: 1}
cells: [{model: resnet50, scenarios: [SingleStream, Offline]}]
"""


@dataclass
class Site:
    """A campaign, the command, and the cluster that it knows."""

    tool: Tool
    path: Path
    api: Api
    containers: EngineContainers
    kubeconfig: Path

    def __call__(self, *arguments: str, expect: int | tuple[int, ...] = 0) -> str:
        """Run a command of `campaign` and return what it prints."""
        words = ("campaign", *arguments, str(self.path), "--pull", "never")
        return self.tool(*words, expect=expect, KUBECONFIG=str(self.kubeconfig)).stdout

    def started(self) -> Counter[str]:
        """How often each run was started, by the arguments of its container."""
        found = Counter[str]()
        for each in self.containers.inspected:
            words, variables = each["Config"]["Cmd"], dict(word.split("=", 1) for word in each["Config"]["Env"])
            found[words[int(variables["JOB_COMPLETION_INDEX"])]] += 1
        return found


@pytest.fixture
def site(tool: Tool, image: str, client: DockerEngine, clean: DockerEngine, tmp_path: Path) -> Iterator[Site]:
    path, logs = tmp_path / "campaign.yaml", tmp_path / "logs"
    cache = tool.home / "cache" / "mlperf-docker" / "harness"
    shared = f"volumes: [{{path: ., host_path: {tmp_path}}}], cache: {{host_path: {cache}}}"
    path.write_text(f"{FOUR}kubernetes: {{{shared}}}\n")
    logs.mkdir()
    cache.mkdir(parents=True, exist_ok=True)
    containers = EngineContainers(docker_api(client), TEST_LABEL, MARK)
    with serving(Kubelet(containers, logs, nodes=("n1",))) as api:
        yield Site(tool, path, api, containers, api.kubeconfig(tmp_path))


def runs_of(told: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(told)["runs"]
    return found


def test_a_campaign_in_pods_gives_results_as_here_in_containers_as_confined(site: Site, image: str) -> None:
    told = runs_of(site("run", "--on", "kubernetes", "--json", expect=PERFORMED))
    assert len(told) == 4
    results = [store.read(site.path.parent / "results" / each["result"]) for each in told if each["result"]]
    assert len(results) >= 3  # a busy machine may make one INVALID
    for result in results:
        assert result.image is not None
        assert result.image.tag == image
        assert result.request is not None
        assert result.settings["dataset_samples"] > 0
        assert (Path(result.results_dir) / "mlperf_log_summary.txt").is_file()
        assert (Path(result.results_dir) / store.LOG_FILE).stat().st_size
    assert len(site.containers.inspected) == 4
    for each in site.containers.inspected:
        host = each["HostConfig"]
        assert (host["ReadonlyRootfs"], host["CapDrop"], host["NetworkMode"]) == (True, ["ALL"], "none")
        assert host["SecurityOpt"] == ["no-new-privileges"]
        assert not each["Config"]["OpenStdin"]
    assert not (site.path.parent / "results" / kept.FOLDER).exists()


def test_a_command_that_is_killed_is_gone_on_with_by_the_next(site: Site) -> None:
    tool = Tool({**site.tool.environment, "KUBECONFIG": str(site.kubeconfig)}, site.tool.home)
    running = tool.start("campaign", "run", str(site.path), "--pull", "never", "--on", "kubernetes")
    try:
        wait_for(lambda: len(site.containers.inspected) > 1, seconds=PATIENCE_S)
    finally:
        running.kill()
        running.communicate(timeout=60)
    states = Counter(each["state"] for each in runs_of(site("status", "--json")))
    assert states["running"] + states["queued"] + states["finished"] + states["INVALID"] == 4, states
    site("run", "--on", "kubernetes", expect=PERFORMED)
    again = [count for count in site.started().values() if count > 1]
    invalid = [each for each in store.read_all(site.path.parent / "results").results if not each.valid]
    assert len(again) <= len(invalid)
    assert len(site.started()) == 4


def test_pods_run_the_reference_out_of_a_checkout_in_a_volume(site: Site, image: str) -> None:
    folder = site.path.parent
    checkout = made(folder / "inference")
    cell = "{model: resnet50, harness: reference, reference: inference, scenarios: [SingleStream, Offline]"
    site.path.write_text(site.path.read_text().replace(FOUR.splitlines()[-1], f"cells: [{cell}, modes: [accuracy]}}]"))
    (folder / "own").mkdir()
    here = ("run", "resnet50", "--synthetic", "tiny", "--mode", "accuracy", "--bootstrap-base")
    site.tool(*here, "--harness", "reference", "--reference", str(checkout), "--results", str(folder / "own"))
    told = runs_of(site("run", "--on", "kubernetes", "--json"))
    assert [each["state"] for each in told] == ["finished"] * 2
    assert set(site.started().values()) == {1}
    for each in told:
        result = store.read(folder / "results" / each["result"])
        assert result.harness is not None
        assert result.harness.commit == git(checkout, "rev-parse", "HEAD")
        assert result.image is not None
        assert "-reference-" in result.image.tag
