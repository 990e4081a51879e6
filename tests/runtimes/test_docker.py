"""The Docker engine as a runtime: it is asked when it is needed, and what a killed tool left is removed and said."""

from pathlib import Path

import pytest

from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.engine.container import OWNER_LABEL
from mlperf_docker.engine.engine import Message
from mlperf_docker.engine.plan import Limits, RunPlan, run_argv
from mlperf_docker.errors import EngineError
from mlperf_docker.images.sources import Sources
from mlperf_docker.names import RuntimeName
from mlperf_docker.recipe.render import recipe_of
from mlperf_docker.runtimes.choice import runtime_of
from mlperf_docker.runtimes.docker import DockerRuntime
from mlperf_docker.system import owner
from tests.fakes.engine import FakeEngine

_OF_A_DEAD_PROCESS = f"{owner.current().partition(':')[0]}:4194305:1"


class _WithOrphan(FakeEngine):
    """An engine with a container of a tool that is gone."""

    def __init__(self) -> None:
        super().__init__()
        self.removed: list[str] = []

    def containers(self, *, label: str | None = None, sizes: bool = False) -> list[Message]:
        return [{"Id": "1", "Names": ["/left"], "Labels": {OWNER_LABEL: _OF_A_DEAD_PROCESS}}]

    def remove_container(self, container: str, *, force: bool = False) -> None:
        self.removed.append(container)


def test_a_dry_run_through_docker_needs_no_engine(
    resnet50: ImageSpec, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    runtime = runtime_of(RuntimeName.DOCKER)
    image = runtime.foreseen(recipe_of(resnet50), Sources("host.example"))
    assert image.startswith("host.example/resnet50:onnxruntime-cpu-")
    plan = RunPlan(image, ("run",), (), runtime.user())
    assert runtime.argv(plan) == run_argv(plan)
    with pytest.raises(EngineError):
        runtime.require(resnet50.device, Limits())


def test_a_container_that_a_killed_tool_left_is_removed_and_said() -> None:
    engine, said = _WithOrphan(), list[str]()
    DockerRuntime(engine).tidy(said.append)
    assert engine.removed == ["1"]
    assert said == ["Removed container left: the tool that started it was killed."]
