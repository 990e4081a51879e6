"""Limits of the machine, checked without a run."""

import mlperf_loadgen as lg
import pytest

from mlperf_docker.contract.cell import Cell
from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.contract.words import Mode, Scenario
from mlperf_docker.harness.api.backend import memory_error
from mlperf_docker.harness.api.errors import DeviceMemoryError, ModelFileError
from mlperf_docker.harness.commands import limits
from mlperf_docker.harness.commands.options import LoadgenRun
from mlperf_docker.harness.loadgen import settings


@pytest.mark.parametrize(
    ("scenario", "queries", "samples"),
    [
        (Scenario.OFFLINE, 1, 1.1 * 20 * 50),
        (Scenario.SERVER, 20 * 50, 1000),
        (Scenario.SINGLE_STREAM, 2 * 20 / 0.01, 4000),
        (Scenario.MULTI_STREAM, 2 * 20 / 0.05, 800 * 8),
    ],
)
def test_queries_are_those_that_loadgen_makes(scenario: Scenario, queries: float, samples: float) -> None:
    given = lg.TestSettings()
    given.min_duration_ms, given.min_query_count = 20_000, 10
    given.offline_expected_qps = given.server_target_qps = 50
    given.single_stream_expected_latency_ns, given.multi_stream_expected_latency_ns = 10_000_000, 50_000_000
    found = settings.generated(given, scenario)
    assert (found.queries, found.samples) == pytest.approx((queries, samples))
    given.min_query_count = 1 << 40
    assert settings.generated(given, scenario).samples >= 1 << 40


@pytest.mark.parametrize(
    "said",
    [
        "std::bad_alloc",
        "Failed to allocate memory for requested buffer of size 99",
        "DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes",
        "Unable to allocate 561. GiB for an array",
        "CUDA out of memory. Tried to allocate 20.00 MiB",
    ],
)
def test_frameworks_without_memory_are_understood(said: str) -> None:
    found = memory_error(RuntimeError(said), 7, Device.CUDA)
    assert str(found) == "7 samples do not fit into the GPU's memory"
    assert memory_error(RuntimeError("no such operator"), 7, Device.CPU) is None


@pytest.mark.parametrize(
    ("error", "device", "code"),
    [
        (MemoryError("no room"), Device.CPU, ExitCode.USAGE),
        (DeviceMemoryError("7 samples do not fit into memory"), Device.CPU, ExitCode.USAGE),
        (DeviceMemoryError("7 samples do not fit into the GPU's memory"), Device.CUDA, ExitCode.DEVICE),
        (ModelFileError("wrong"), Device.CPU, ExitCode.MODEL_FILE),
        (ValueError("no luck"), Device.CPU, ExitCode.CONTAINER),
    ],
)
def test_a_failure_on_a_sample_says_what_to_do(error: Exception, device: Device, code: ExitCode) -> None:
    options = LoadgenRun(
        cell=Cell("resnet50", "pytorch", device, "resnet50"), scenario=Scenario.OFFLINE, mode=Mode.PERFORMANCE
    )
    found = limits.failure(options, error)
    assert found.exit_code == code
    assert str(error) in str(found)
