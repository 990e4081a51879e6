"""Host and energy in a run's result."""

import os

import pytest

from mlperf_docker.host import facts
from mlperf_docker.host.energy import Energy
from mlperf_docker.runs import session
from tests.results.run_results import run_result
from tests.systems.test_runs_on import ELSEWHERE, ToldEngine

ENERGY = Energy("RAPL packages", 128.0, 10.0, 12.8)


@pytest.mark.parametrize("kernel", [os.uname().release, "5.4.0-elsewhere"])
def test_an_energy_counts_only_where_the_container_ran_on_this_host(
    kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    result = run_result(**session._host_side(ToldEngine({**ELSEWHERE, "KernelVersion": kernel}), ENERGY))
    host = facts.read(result.host)
    assert host is not None
    assert host.system.kernel == kernel
    assert (result.energy is not None) is (kernel == os.uname().release)
