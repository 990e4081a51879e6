"""Whole runs without an engine: an ordinary user, rootless podman or Charliecloud, an image out of a bundle."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlperf_docker.engine.client import DockerEngine
from tests.cells.tool import Tool
from tests.fixtures.ordinary_user import OrdinaryUser

pytestmark = pytest.mark.engine
TINY = ("run", "resnet50", "--synthetic", "tiny", "--mode", "accuracy")
EQUAL = ("valid", "accuracy", "samples", "versions", "device_proof", "model_file", "seeds")
"""Keys of a result that do not depend on what ran the container."""


@pytest.fixture(scope="module")
def bundle(tool: Tool, image: str, ordinary_user: OrdinaryUser) -> Iterator[Path]:
    """A bundle that everybody may read, as in a shared folder."""
    folder = ordinary_user.home / "bundle"
    tool("bundle", "resnet50", "--models", "none", "--to", str(folder))
    subprocess.run(["chmod", "--recursive", "a+rX", folder], check=True, timeout=60)
    yield folder
    subprocess.run(["rm", "--recursive", "--force", folder], check=True, timeout=60)


def run_as(user: OrdinaryUser, runtime: str, bundle: Path) -> dict[str, Any]:
    """The result of the run, by the command itself."""
    words = (*TINY, "--runtime", runtime, "--bundle", str(bundle), "--results", str(user.home / "results"), "--json")
    told = user.run(user.python, "-c", "from mlperf_docker.cli.entry import main; main()", *words)
    found: dict[str, Any] = json.loads(told)
    return found


@pytest.mark.parametrize("runtime", ["podman", "charliecloud"])
def test_a_user_without_an_engine_comes_to_what_an_engine_does(
    runtime: str, tool: Tool, bundle: Path, ordinary_user: OrdinaryUser, client: DockerEngine
) -> None:
    here, there = tool.json(*TINY), run_as(ordinary_user, runtime, bundle)
    assert {key: there[key] for key in EQUAL} == {key: here[key] for key in EQUAL}
    assert there["image"]["id"] == here["image"]["id"]
    assert (there["runtime"]["name"], here["runtime"]["name"]) == (runtime, "docker")
    assert there["runtime"]["unconfined"]
    folder = Path(there["results_dir"])
    assert {"result.json", "mlperf_log_accuracy.json", "harness.log"} <= {path.name for path in folder.iterdir()}
    made = [path for path in ordinary_user.home.rglob("*") if bundle not in (path, *path.parents)]
    strange = [path for path in made if _is_of_another(path, ordinary_user)]
    assert strange == []


def _is_of_another(path: Path, user: OrdinaryUser) -> bool:
    """Tell whether *path* is not the user's; podman's layers belong to the users that are subordinate to him."""
    status = path.lstat()
    return ".local" not in path.parts and (status.st_uid, status.st_gid) != (user.uid, user.gid)
