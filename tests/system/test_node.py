"""Name of a node."""

import socket

import pytest

from mlperf_docker.system import node


@pytest.mark.parametrize(("told", "name"), [("n1", "n1"), ("a/../b c", "a-..-b-c")])
def test_a_node_has_the_name_that_the_cluster_gives_it(told: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURMD_NODENAME", told)
    assert node.name() == name


def test_a_node_without_a_cluster_has_the_name_of_its_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURMD_NODENAME", raising=False)
    assert node.name() == socket.gethostname()
