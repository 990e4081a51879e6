"""The contract of a run in a real container, on one cell: what differs from cell to cell is in test_matrix.py."""

import json
import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mlperf_docker.engine.client import DockerEngine
from mlperf_docker.engine.local_images import find
from mlperf_docker.host import facts
from tests.cells.tool import PERFORMED, Tool, containers, wait_for
from tests.fixtures.docker_client import api

pytestmark = pytest.mark.engine
TINY = ("run", "resnet50", "--synthetic", "tiny")


def test_the_dry_run_command_gives_the_same_result(tool: Tool, image: str, results: Path) -> None:
    command = tool(*TINY, "--mode", "accuracy", "--results", str(results), "--dry-run").stdout
    assert not list(results.iterdir())
    by_hand = subprocess.run(shlex.split(command), capture_output=True, text=True, timeout=120, check=False)
    assert by_hand.returncode == 0, by_hand.stderr
    ours = tool.json(*TINY, "--mode", "accuracy", "--results", str(results))
    written = json.loads((results / "result.json").read_text())
    for key in ("accuracy", "samples", "model", "backend", "scenario", "mode", "valid", "versions"):
        assert written[key] == ours[key], key
    events = [json.loads(line)["event"] for line in by_hand.stdout.splitlines()]
    assert events[-1] == "result"


def test_without_a_data_set_it_runs_on_made_up_data_and_says_so(tool: Tool, image: str, results: Path) -> None:
    done = tool("run", "resnet50", "--results", str(results), "--json", expect=PERFORMED)
    result = json.loads(done.stdout)
    assert result["synthetic"] is True
    assert result["valid"] or "duration" in str(result["reasons"])
    (warning,) = [line for line in done.stderr.splitlines() if "Warning" in line]
    assert f"{tool.home}/data/mlperf-docker/data/imagenet2012" in warning
    assert "mlperf-docker data fetch imagenet2012" in tool("run", "resnet50", "--require-dataset", expect=6).stderr


def test_a_run_has_no_network_no_capabilities_and_a_read_only_root(
    tool: Tool, image: str, results: Path, client: DockerEngine
) -> None:
    options = ("--min-duration", "4", "--results", str(results), "--cpus", "1.5", "--cpuset", "0,1", "--memory", "3g")
    running = tool.start(*TINY, *options)
    (container,) = wait_for(lambda: containers(client))
    config = api(client).inspect_container(container)
    out, err = running.communicate(timeout=120)
    assert running.returncode in PERFORMED, err
    assert "VALID" in out
    host: dict[str, Any] = config["HostConfig"]
    assert host["NetworkMode"] == "none"
    assert host["ReadonlyRootfs"] is True
    assert host["AutoRemove"] is True
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert list(host["Tmpfs"]) == ["/tmp"]
    assert "size=" in host["Tmpfs"]["/tmp"]
    assert host["PidsLimit"] >= 4096
    assert (host["NanoCpus"], host["CpusetCpus"], host["Memory"]) == (1_500_000_000, "0,1", 3 << 30)
    assert config["Config"]["User"] == f"{os.getuid()}:{os.getgid()}"
    assert config["Config"]["Labels"]["org.mlperf-docker"] == "container"
    assert {mount["Destination"]: mount["RW"] for mount in config["Mounts"]} == {"/cache": True, "/results": True}


def test_data_and_model_made_of_links(tool: Tool, image: str, results: Path, tmp_path: Path) -> None:
    """A folder of links to the images, and a model as download caches keep it: named by its hash."""
    made = tool.json(*TINY, "--mode", "accuracy", "--results", str(results))
    (synthetic,) = (tool.home / "cache/mlperf-docker/harness/synthetic").glob("resnet50-tiny-*[!k]")
    farm, snapshot = tmp_path / "farm", tmp_path / "hub/snapshots/main"
    farm.mkdir()
    snapshot.mkdir(parents=True)
    for each in (synthetic / "data").iterdir():
        (farm / each.name).symlink_to(each)
    (tmp_path / "hub/blobs").mkdir()
    (tmp_path / "hub/blobs/0123abcd").write_bytes((synthetic / "weights.safetensors").read_bytes())
    (snapshot / "model.safetensors").symlink_to("../../blobs/0123abcd")
    options = ("--dataset", str(farm), "--model-file", str(snapshot / "model.safetensors"), "--results", str(results))
    done = tool.json("run", "resnet50", *options, "--mode", "accuracy")
    assert done["model_file"]["name"] == "model.safetensors"
    assert done["accuracy"]["value"] == made["accuracy"]["value"]
    assert tool.json("data", "verify", "imagenet2012", str(farm))["samples"] == done["samples"]


def test_the_image_helps_without_this_tool(image: str) -> None:
    argv = ["docker", "run", "--rm", "--read-only", "--network=none", "--user=12345:54321", image, "--help"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "run" in done.stdout
    assert "preprocess" in done.stdout


def test_results_are_listed_and_shown(tool: Tool, image: str, results: Path) -> None:
    done = tool.json(*TINY, "--mode", "accuracy", "--results", str(results))
    listed = json.loads(tool("results", "list", "--results", str(results), "--json").stdout)
    assert [each["results_dir"] for each in listed] == [done["results_dir"]]
    shown = tool("results", "show", "last", "--results", str(results)).stdout
    assert shown.startswith("Result:      VALID (synthetic")
    assert done["results_dir"] in shown


def test_a_result_has_the_host_that_its_engine_runs_on(
    tool: Tool, image: str, results: Path, client: DockerEngine
) -> None:
    host = facts.read(tool.json(*TINY, "--mode", "accuracy", "--results", str(results))["host"])
    assert host is not None
    assert (host.engine.version, host.engine.threads) == (client.version()["Version"], client.info()["NCPU"])
    assert host.system.kernel == client.info()["KernelVersion"]
    assert host.processor.threads


def test_a_rebuild_leaves_no_untagged_image(tool: Tool, image: str, client: DockerEngine) -> None:
    old = find(client, image)
    assert old is not None
    assert tool("build", "resnet50", "--no-cache", "--bootstrap-base").stdout.strip() == image
    new = find(client, image)
    assert new is not None
    assert new != old
    left = find(client, old.id)
    assert left is None or left.tags, "somebody else's image may be the same"
