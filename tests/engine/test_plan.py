"""The docker command of a run, compared as a list."""

import csv
import io
import os
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from mlperf_docker.display.printable import has_bytes
from mlperf_docker.engine.container import configuration
from mlperf_docker.engine.plan import BindMount, ContainerUser, Limits, RunPlan, run_argv, run_command
from mlperf_docker.errors import UsageError

PLAN = RunPlan(
    image="registry.example:5000/mlperf/resnet50:onnxruntime-cpu-0123456789ab",
    arguments=("run", "--scenario=Offline"),
    mounts=(
        BindMount(Path("/a b/data"), "/data", read_only=True),
        BindMount(Path("/r,s"), "/results", read_only=False),
    ),
    surroundings=ContainerUser("1000:1001", (44, 12399), "host", processes=4352, tmp_bytes=4 << 30),
    limits=Limits(cpus=1.5, cpuset="0-1", memory="512m", gpus="all"),
)


def test_argv_is_the_container_contract() -> None:
    assert run_argv(PLAN) == [
        "docker",
        "run",
        "--rm",
        "--init",
        "--user=1000:1001",
        "--group-add=44",
        "--group-add=12399",
        "--userns=host",
        "--pids-limit=4352",
        "--network=none",
        "--read-only",
        "--tmpfs=/tmp:size=4294967296",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        "--label=org.mlperf-docker=container",
        "--cpus=1.5",
        "--cpuset-cpus=0-1",
        "--memory=512m",
        "--gpus=all",
        "--mount=type=bind,src=/a b/data,dst=/data,readonly",
        '--mount=type=bind,"src=/r,s",dst=/results',
        "registry.example:5000/mlperf/resnet50:onnxruntime-cpu-0123456789ab",
        "run",
        "--scenario=Offline",
    ]


def test_command_survives_a_shell() -> None:
    assert shlex.split(run_command(PLAN)) == run_argv(PLAN)


ODD_NAMES = [
    "line\nend",
    "return\rin it",
    "both\r\nof them",
    "\x1b]0;title\x07\x1b[31mred",
    "100%d \\x41 '$(id)' `id` \"!\" \x01",
    "caf\u00e9 \x9b\u202e",
    "bytes \udcff\udc9b",
    "ends in one\n",
    'comma, "quotes" and\ttab',
    "-dash *;&|<>~#=[]{}?",
]


@pytest.mark.parametrize("name", ODD_NAMES, ids=ascii)
@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_odd_names_survive_a_shell_and_reach_no_terminal(name: str, shell: str) -> None:
    mounts = (BindMount(Path("/data") / name.replace("\udcff\udc9b", ""), "/data", read_only=True),)
    plan = RunPlan("image", ("run", f"--model-file=/models/{name}", name), mounts, surroundings=ContainerUser("1:1"))
    line = run_command(plan)
    assert not set(line) & set("\x1b\x07\x01\x9b\u202e\r")
    script = f"docker() {{ printf '%s\\0' docker \"$@\"; }}\n{line}"
    done = subprocess.run([shell, "-c", script.encode(errors="surrogateescape")], capture_output=True, check=True)
    assert [os.fsdecode(word) for word in done.stdout.split(b"\0")[:-1]] == run_argv(plan)


def test_a_name_that_the_engine_cannot_be_told_is_refused() -> None:
    with pytest.raises(UsageError, match="in UTF-8 only"):
        BindMount(Path("/data/\udcff"), "/data", read_only=True)


@pytest.mark.parametrize("name", [name for name in ODD_NAMES if not has_bytes(name)], ids=ascii)
def test_docker_reads_the_mount_of_an_odd_name(name: str) -> None:
    plan = RunPlan(
        "image", (), (BindMount(Path("/data") / name, "/data", read_only=True),), surroundings=ContainerUser("1:1")
    )
    (option,) = [word for word in run_argv(plan) if word.startswith(("--mount", "--volume"))]
    kind, _, value = option.partition("=")
    if kind == "--volume":
        assert value == f"/data/{name}:/data:ro"
        return
    (fields,) = csv.reader(io.StringIO(value, newline=""))
    assert fields == ["type=bind", f"src=/data/{name}", "dst=/data", "readonly"]


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("", None),
        ("512m", 512 << 20),
        ("8g", 8 << 30),
        ("2G", 2 << 30),
        ("1.5g", 1610612736),
        ("8GiB", 8 << 30),
        ("1t", 1 << 40),
        ("512 MB", 512 << 20),
        ("1e9", 10**9),
        (".5G", 1 << 29),
        ("99999kb", 99999 << 10),
        ("8000000b", 8_000_000),
        ("0", None),
    ],
)
def test_memory_is_read_as_docker_reads_it(text: str, size: int | None) -> None:
    assert Limits(memory=text).memory_bytes == size


@pytest.mark.parametrize(
    "text", ["lots", "8q", "-1g", "8gi", "8ibg", "1  g", "inf", "nan", "1e30", "0x10", "8bb", "g", "٣g"]
)
def test_memory_that_is_no_size_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="is not a size"):
        _ = Limits(memory=text).memory_bytes


@pytest.mark.parametrize("limits", [Limits(memory="5m"), Limits(memory="77")])
def test_less_memory_than_docker_takes(limits: Limits) -> None:
    with pytest.raises(UsageError, match="no less than 6m"):
        limits.check()


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("all", "all"),
        ("2", "2"),
        ("count=2", "2"),
        ("device=0", "device=0"),
        ("device=0,1", '"device=0,1"'),
        ('"device=0,1"', '"device=0,1"'),
        ("device=GPU-3a23c669-1f69-c64e,MIG-1:0", '"device=GPU-3a23c669-1f69-c64e,MIG-1:0"'),
        ("all,capabilities=utility", "all,capabilities=utility"),
        ('device=1,0,"capabilities=compute,utility"', '"device=1,0","capabilities=compute,utility"'),
        ("driver=nvidia,count=all", "all,driver=nvidia"),
    ],
)
def test_gpus_are_printed_as_docker_reads_them(text: str, printed: str) -> None:
    assert f"--gpus={printed}" in run_argv(replace(PLAN, limits=Limits(gpus=text)))
    assert Limits(gpus=printed).gpu_request == Limits(gpus=text).gpu_request


@pytest.mark.parametrize(
    "limits",
    [
        *(
            Limits(gpus=text)
            for text in ("some", "-1", "device=", "device=0,", "0,device=1", "2,2", "x=1", '"all', "a\nb")
        ),
        *(Limits(cpuset=text) for text in ("a", "0-", "3-1", "0,,1", "-1", "0-3-5", "٣")),
        *(Limits(cpus=number) for number in (-1.0, 0.001, float("nan"), float("inf"))),
    ],
    ids=str,
)
def test_limits_that_docker_refuses_are_a_usage_error(limits: Limits) -> None:
    with pytest.raises(UsageError):
        limits.check()


def test_nothing_is_no_limit() -> None:
    Limits(cpus=0.0, memory="0").check()
    assert not [word for word in run_argv(replace(PLAN, limits=Limits(cpus=0.0))) if "cpus" in word]


def test_another_program_than_the_images_own_is_named_before_the_image() -> None:
    words = run_argv(replace(PLAN, entrypoint="timeout"))
    assert words[words.index(PLAN.image) - 1] == "--entrypoint=timeout"
    assert configuration(replace(PLAN, entrypoint="timeout"))["Entrypoint"] == ["timeout"]
    assert "Entrypoint" not in configuration(PLAN)
