"""What the host makes of the harness's words."""

from pathlib import Path

import pytest

from mlperf_docker.engine.plan import BindMount, ContainerUser, RunPlan
from mlperf_docker.runs.runner import on_host

PLAN = RunPlan(
    image="i",
    arguments=("run",),
    mounts=(
        BindMount(Path("/home/me/image net"), "/data", read_only=True),
        BindMount(Path("/srv/data/models"), "/models", read_only=True),
    ),
    surroundings=ContainerUser("1:1"),
)


@pytest.mark.parametrize(
    ("inside", "outside"),
    [
        ("3 images are missing in /data", "3 images are missing in /home/me/image net"),
        ("/models/m.onnx: truncated", "/srv/data/models/m.onnx: truncated"),
        ("'/data/val_map.txt', line 2", "'/home/me/image net/val_map.txt', line 2"),
        ("/database /data-old a/data /dev/data stay", "/database /data-old a/data /dev/data stay"),
    ],
)
def test_folders_are_told_by_the_names_that_the_user_knows(inside: str, outside: str) -> None:
    assert on_host(inside, PLAN) == outside
