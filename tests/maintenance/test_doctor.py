"""`doctor`: what it finds of an engine and a host, how bad that is, and the remedy."""

from dataclasses import replace
from pathlib import Path

import pytest

from mlperf_docker.contract.devices import Device
from mlperf_docker.engine.facts import EngineFacts
from mlperf_docker.host.tree import Tree
from mlperf_docker.maintenance.doctor import Check, Severity, energy_check, engine_checks, host_checks

ENGINE = EngineFacts("Docker", "27.1", "1.46", "overlay2", "BuildKit", frozenset({Device.CPU}), Path("/"))


def found(engine: EngineFacts) -> dict[str, Check]:
    return {each.name: each for each in engine_checks(engine)}


def test_an_engine_is_named_with_its_version_and_builder() -> None:
    checks = found(ENGINE)
    assert checks["engine"].finding == "Docker 27.1, API 1.46, overlay2"
    assert checks["builder"] == Check("builder", Severity.OK, "the engine builds with BuildKit")
    assert "users" not in checks


def test_an_engine_without_a_builder_is_a_failure_with_the_way_around_it() -> None:
    check = found(replace(ENGINE, builder=None))["builder"]
    assert check.level is Severity.FAIL
    assert "run --pull always" in (check.remedy or "")


def test_a_missing_gpu_runtime_is_a_warning_that_tells_what_to_install() -> None:
    check = found(ENGINE)["gpu"]
    assert check.level is Severity.WARN
    assert "--device cuda" in (check.remedy or "")
    assert found(replace(ENGINE, devices=frozenset(Device)))["gpu"].level is Severity.OK


@pytest.mark.parametrize(("option", "said"), [("rootless", "rootless"), ("userns", "userns-remap")])
def test_an_engine_that_maps_users_says_whose_containers_are(option: str, said: str) -> None:
    check = found(replace(ENGINE, security=frozenset({option, "seccomp"})))["users"]
    assert (check.level, said in check.finding) == (Severity.OK, True)


@pytest.mark.parametrize("root", [None, Path("/nowhere/at/all")])
def test_a_disk_that_cannot_be_seen_from_here_is_a_warning(root: Path | None) -> None:
    check = found(replace(ENGINE, data_root=root))["engine disk"]
    assert (check.level, check.remedy) == (Severity.WARN, "Is the engine remote?")


def test_the_hosts_network_settings_are_named_without_logins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    environment = {"HTTPS_PROXY": "http://me:hunter2@proxy.example:3128", "PIP_CONFIG_FILE": "/dev/null"}
    checks = {each.name: each for each in host_checks(environment)}
    assert "HTTPS_PROXY" in checks["network"].finding
    assert "proxy.example:3128" in checks["network"].finding
    assert "hunter2" not in str(checks)
    quiet = {each.name: each for each in host_checks({"PIP_CONFIG_FILE": "/dev/null"})}
    assert quiet["network"].finding == "no proxy, index or CA settings: builds use none"


def test_a_ca_bundle_that_is_not_there_is_a_finding(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    checks = list(host_checks({"SSL_CERT_FILE": str(tmp_path / "missing.pem"), "PIP_CONFIG_FILE": "/dev/null"}))
    assert any("missing.pem" in each.finding and each.level is not Severity.OK for each in checks)


def test_counters_of_energy_that_only_root_can_read_are_a_warning(tmp_path: Path) -> None:
    assert energy_check(Tree(tmp_path)) == Check("energy", Severity.OK, "no RAPL counters here: results have no energy")
    zone = tmp_path / "sys/class/powercap/intel-rapl:0"
    zone.mkdir(parents=True)
    (zone / "name").write_text("package-0\n")
    check = energy_check(Tree(tmp_path))
    assert (check.level, "chmod" in (check.remedy or "")) == (Severity.WARN, True)
    (zone / "energy_uj").write_text("1\n")
    assert energy_check(Tree(tmp_path)).finding == "RAPL counters (1 package)"
