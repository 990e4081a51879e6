"""A cluster for the tests of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clusters.kubernetes.lab import Lab, program
from tests.fakes.kubelet import Kubelet
from tests.fakes.kubernetes_api import serving
from tests.fakes.pod_containers import Processes


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A campaign, and a cluster of two nodes that it knows."""
    folder, logs = tmp_path / "campaign", tmp_path / "logs"
    folder.mkdir()
    logs.mkdir()
    containers = Processes(program(tmp_path / "image"))
    with serving(Kubelet(containers, logs)) as api:
        monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig(tmp_path)))
        yield Lab(folder, api, containers)
