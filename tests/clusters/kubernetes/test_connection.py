"""Connection: one clear error where no cluster is known, or the client is not installed."""

import sys
from pathlib import Path

import pytest

from mlperf_docker.campaigns.kubernetes import KubernetesSettings
from mlperf_docker.clusters.kubernetes.connection import connect
from mlperf_docker.errors import UsageError
from tests.clusters.kubernetes.lab import Lab


def refused(settings: KubernetesSettings) -> UsageError:
    with pytest.raises(UsageError) as caught:
        connect(settings)
    return caught.value


def test_the_namespace_is_the_campaigns_or_the_contexts(lab: Lab) -> None:
    assert connect(KubernetesSettings()).namespace == "lab"
    assert connect(KubernetesSettings(namespace="other")).namespace == "other"
    assert connect(KubernetesSettings()).host == lab.api.url


@pytest.mark.parametrize("content", [None, "", "{", "a: [b", "kind: Config\n", "\0"])
def test_a_kubeconfig_that_is_missing_or_damaged_is_one_error(
    content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv("KUBECONFIG", str(path))
    error = refused(KubernetesSettings())
    assert str(error).startswith("No cluster is known: ")
    assert "\n" not in str(error)
    assert "campaign export" in (error.hint or "")


def test_a_context_that_the_kubeconfig_has_not_is_named(lab: Lab) -> None:
    assert "elsewhere" in str(refused(KubernetesSettings(context="elsewhere")))


def test_a_missing_client_is_told_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in sys.modules if each.partition(".")[0] == "kubernetes"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    assert "mlperf-docker[kubernetes]" in (refused(KubernetesSettings()).hint or "")
