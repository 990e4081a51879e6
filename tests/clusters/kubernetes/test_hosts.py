"""Facts of a node, and of one that may not be seen."""

from mlperf_docker.clusters.kubernetes.hosts import host_of, runtime_of
from mlperf_docker.clusters.kubernetes.jobs import UNCONFINED
from mlperf_docker.host.facts import HostFacts

NODE = {
    "status": {
        "nodeInfo": {
            "architecture": "arm64",
            "kernelVersion": "6.1",
            "osImage": "Debian GNU/Linux 12 (bookworm)",
            "containerRuntimeVersion": "containerd://1.7.2",
            "kubeletVersion": "v1.33.1",
        },
        "capacity": {"cpu": "64", "memory": "263Gi"},
    }
}


def test_a_node_tells_processors_memory_system_and_engine() -> None:
    facts = host_of(NODE).facts
    assert (facts.processor.architecture, facts.processor.threads) == ("aarch64", 64)
    assert facts.memory.size_bytes == 263 << 30
    assert (facts.system.kernel, facts.system.distribution) == ("6.1", "Debian GNU/Linux 12 (bookworm)")
    assert (facts.engine.name, facts.engine.version) == ("containerd", "1.7.2")
    assert runtime_of(NODE).version == "v1.33.1"
    assert runtime_of(NODE).unconfined == UNCONFINED


def test_nothing_is_made_up_of_a_node_that_may_not_be_seen() -> None:
    assert host_of(None).facts == HostFacts()
    assert not host_of(None).is_here
    assert runtime_of(None).version == "unknown"
