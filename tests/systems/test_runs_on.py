"""Host of the containers: this one, or another that only its engine tells of."""

import os

import pytest

from mlperf_docker.engine.engine import EngineGoneError, Message
from mlperf_docker.host.facts import ContainerEngine, HostSystem, Memory, Processor
from mlperf_docker.host.probing import probe
from mlperf_docker.systems.runs_on import container_host
from tests.fakes.engine import FakeEngine

ELSEWHERE = {
    "KernelVersion": "5.4.0-elsewhere",
    "OperatingSystem": "Alpine Linux v3.20",
    "Architecture": "aarch64",
    "NCPU": 12,
    "MemTotal": 8 << 30,
    "Runtimes": {"runc": {}, "nvidia": {}},
    "Name": "my-host-name",
}


class ToldEngine(FakeEngine):
    """An engine that says *about* of itself."""

    def __init__(self, about: Message | None) -> None:
        super().__init__()
        self.told = about

    def info(self) -> Message:
        if self.told is None:
            raise EngineGoneError("gone")
        return self.told


@pytest.fixture(autouse=True)
def local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")


def test_an_engine_of_this_host_adds_itself_to_the_hosts_facts() -> None:
    host = container_host(ToldEngine({**ELSEWHERE, "KernelVersion": os.uname().release}))
    assert host.is_here
    assert host.facts.engine == ContainerEngine("Docker", "20.10.24", ("nvidia", "runc"), 12)
    assert (host.facts.processor, host.facts.system) == (probe().processor, probe().system)


def test_an_engine_in_a_virtual_machine_tells_of_that_machine() -> None:
    """As Docker Desktop's, behind a socket of this host."""
    host = container_host(ToldEngine(ELSEWHERE))
    assert not host.is_here
    assert host.facts.processor == Processor(architecture="aarch64", threads=12)
    assert host.facts.memory == Memory(size_bytes=8 << 30)
    assert host.facts.system == HostSystem(kernel="5.4.0-elsewhere", distribution="Alpine Linux v3.20")
    assert host.facts.disks is None


def test_an_engine_over_the_network_is_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2376")
    assert not container_host(ToldEngine({"KernelVersion": os.uname().release})).is_here


def test_an_engine_that_went_away_costs_no_result() -> None:
    assert container_host(ToldEngine(None)).facts == probe()
