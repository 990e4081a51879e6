"""A job's container has what the profile of its device says, and what the user asks for besides."""

from dataclasses import replace
from pathlib import Path

import pytest

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.selector import find
from mlperf_docker.contract import devices
from mlperf_docker.contract.commands import VerifyCommand
from mlperf_docker.contract.devices import Device
from mlperf_docker.engine.container import configuration
from mlperf_docker.engine.plan import ContainerUser, Limits, RunPlan, run_argv
from mlperf_docker.errors import ContainerError
from mlperf_docker.images.sources import Sources
from mlperf_docker.names import DEBUG_VARIABLE
from mlperf_docker.recipe.render import recipe_of
from mlperf_docker.runs.job import HarnessJob, read_reply


def plan(catalog: Catalog, device: Device, gpus: str | None = None) -> RunPlan:
    spec = find(catalog, "resnet50", None, device)
    return HarnessJob(recipe_of(spec), Sources("r"), VerifyCommand(), (), Limits(gpus=gpus)).plan(
        "image", ContainerUser("1:1")
    )


@pytest.mark.parametrize(
    ("device", "asked", "given"),
    [("cpu", None, None), ("cuda", None, "all"), ("cuda", "2", "2"), ("cpu", "all", "all")],
)
def test_the_device_is_asked_for_unless_the_user_says_more(
    catalog: Catalog, device: str, asked: str | None, given: str | None
) -> None:
    assert plan(catalog, Device(device), asked).limits.gpus == given


def test_the_debug_switch_is_handed_to_the_harness(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DEBUG_VARIABLE, raising=False)
    assert plan(catalog, Device.CPU).environment == ()
    monkeypatch.setenv(DEBUG_VARIABLE, "1")
    made = plan(catalog, Device.CPU)
    assert "--env=MLPERF_DEBUG=1" in run_argv(made)
    assert "MLPERF_DEBUG=1" in configuration(made)["Env"]


def test_a_reply_that_cannot_be_read_is_the_containers_fault_and_names_the_log(tmp_path: Path) -> None:
    with pytest.raises(ContainerError, match="reply to verify cannot be read: the key dataset is missing") as caught:
        read_reply(VerifyCommand(), {"samples": 3}, tmp_path / "log")
    assert caught.value.log == tmp_path / "log"


def test_device_files_are_handed_over(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    profile = replace(Device.CUDA.profile, gpus="", nodes=("/dev/kfd", "/dev/dri"))
    monkeypatch.setattr(devices, "PROFILES", {**devices.PROFILES, Device.CUDA: profile})
    made = plan(catalog, Device.CUDA)
    argv = run_argv(made)
    assert [each for each in argv if each.startswith(("--device", "--gpus"))] == [
        "--device=/dev/kfd",
        "--device=/dev/dri",
    ]
    host = configuration(made)["HostConfig"]
    assert [each["PathInContainer"] for each in host["Devices"]] == ["/dev/kfd", "/dev/dri"]
    assert {each["CgroupPermissions"] for each in host["Devices"]} == {"rwm"}
    assert host["DeviceRequests"] == []
