"""Docker's configuration as it may be found: what cannot be read is no obstacle to anything that does not need it."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.engine.client import DockerEngine, connect
from mlperf_docker.errors import RegistryError
from mlperf_docker.maintenance import doctor
from mlperf_docker.maintenance.doctor import Check, Severity
from mlperf_docker.recipe.host_settings import HostSettings
from mlperf_docker.registry.logins import login_for
from mlperf_docker.system import docker_config
from tests.fixtures.docker_client import api

GOOD = {"auth": "bWU6aHVudGVyMg=="}  # me:hunter2
PROXY = "http://user:hunter2@127.0.0.1:3128"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Docker's folder, with nothing in it, and a host without proxies."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "DOCKER_CONTEXT", "DOCKER_AUTH_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def configure(folder: Path, content: object) -> None:
    (folder / "config.json").write_text(content if isinstance(content, str) else json.dumps(content))


ODD: dict[str, Any] = {
    "no mapping": [],
    "null": None,
    "a word": '"x"',
    "cut": '{"auths": {',
    "bytes": "\udcff",
    "deep": "[" * 100_000,
    "a login that is no base64": {"auths": {"r.test": {"auth": "!!!"}}},
    "a login without a colon": {"auths": {"r.test": {"auth": "bm8gY29sb24="}}},
    "a number for a login": {"auths": {"r.test": 5}},
    "logins in a list": {"auths": [1]},
    "a number for a store": {"credsStore": 5},
    "helpers in a list": {"credHelpers": ["x"]},
    "a list for a context": {"currentContext": ["x"]},
    "proxies in a list": {"proxies": ["x"]},
    "a list for a proxy": {"proxies": {"default": ["x"]}},
    "a number for a proxy": {"proxies": {"default": {"httpProxy": 5}}},
}


def lay(folder: Path, odd: str) -> None:
    content = ODD[odd]
    if odd == "bytes":
        (folder / "config.json").write_bytes(b"\xff\xfe{")
    else:
        configure(folder, content)


def findings(name: str) -> list[Check]:
    return [check for check in doctor.check_all() if check.name == name]


@pytest.mark.parametrize("odd", ODD)
def test_nothing_in_it_keeps_a_public_image_or_a_build_from_working(folder: Path, odd: str) -> None:
    lay(folder, odd)
    assert login_for("other.test") is None
    assert dict(HostSettings.from_environ().build_args).get("HTTP_PROXY") is None
    told = findings("docker config")
    assert len(told) == ("for a proxy" not in odd)
    assert all(str(folder / "config.json") in check.finding and check.remedy for check in told)


@pytest.mark.engine
@pytest.mark.parametrize("odd", ODD)
def test_nothing_in_it_keeps_the_engine_from_being_used(engine: DockerEngine, folder: Path, odd: str) -> None:
    lay(folder, odd)
    assert api(connect()).ping()
    assert findings("engine")[0].level is Severity.OK


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_an_odd_file_in_place_of_dockers_configuration_is_a_finding(folder: Path, make: Callable[[Path], None]) -> None:
    make(folder / "config.json")
    assert login_for("r.test") is None
    assert "it is no file" in findings("docker config")[0].finding


@pytest.mark.parametrize("entry", [5, {"auth": "!!!"}, {"auth": "bm8gY29sb24="}, {"auth": 5}])
def test_a_damaged_login_matters_to_its_own_registry_alone(folder: Path, entry: object) -> None:
    configure(folder, {"auths": {"https://broken.test/v1/": entry, "good.test": GOOD}})
    good = login_for("good.test")
    assert good is not None
    assert good.password == "hunter2"  # noqa: S105  # made up
    with pytest.raises(RegistryError, match=r"broken\.test cannot be read") as caught:
        login_for("broken.test")
    assert str(folder / "config.json") in str(caught.value)
    assert caught.value.exit_code is ExitCode.REGISTRY
    assert caught.value.hint == "Log in again: docker login broken.test"


HELPERS = {
    "answers nonsense": "echo nonsense",
    "answers a list": "echo []",
    "answers half": """echo '{"Username": "me"}'""",
    "fails": "echo no such vault >&2; exit 3",
}


@pytest.mark.parametrize("helper", HELPERS)
def test_a_helper_that_fails_is_told_where_its_registry_is_needed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, helper: str
) -> None:
    program = folder / "docker-credential-own"
    program.write_text(f"#!/bin/sh\n{HELPERS[helper]}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    configure(folder, {"credHelpers": {"kept.test": "own"}})
    assert login_for("other.test") is None
    with pytest.raises(RegistryError, match=r"kept\.test cannot be read") as caught:
        login_for("kept.test")
    assert str(folder / "config.json") in (caught.value.hint or "")


def test_a_helper_that_is_not_there_is_found_by_doctor(folder: Path) -> None:
    configure(folder, {"credsStore": "nowhere", "credHelpers": {"a.test": "nowhere", "b.test": "gone"}})
    (check,) = findings("docker config")
    assert "docker-credential-nowhere is not in PATH; the credential helper docker-credential-gone" in check.finding


def test_proxies_of_dockers_configuration_are_build_arguments(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(folder, {"proxies": {"default": {"httpProxy": PROXY, "noProxy": "*.test"}, "tcp://far:1": {}}})
    arguments = dict(HostSettings.from_environ().build_args)
    assert arguments == {"HTTP_PROXY": PROXY, "http_proxy": PROXY, "NO_PROXY": "*.test", "no_proxy": "*.test"}
    assert HostSettings.from_environ({}).build_args == ()
    monkeypatch.setenv("http_proxy", "http://own.test:1")
    assert dict(HostSettings.from_environ().build_args)["HTTP_PROXY"] == "http://own.test:1"
    monkeypatch.delenv("http_proxy")
    monkeypatch.setenv("DOCKER_HOST", "tcp://far:1")
    assert HostSettings.from_environ().build_args == (), "this engine has proxies of its own: none"


def test_doctor_names_what_builds_take_over_and_from_where(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(folder, {"proxies": {"default": {"httpProxy": PROXY, "httpsProxy": PROXY}}})
    (folder / "pip.conf").write_text("[global]\nindex-url = https://me:hunter2@index.test/simple\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(folder / "pip.conf"))
    monkeypatch.setenv("https_proxy", "me:hunter2@own.test:1")
    (check,) = findings("network")
    assert "HTTPS_PROXY=***@own.test:1" in check.finding
    assert f"HTTP_PROXY of {folder}/config.json=http://***@127.0.0.1:3128" in check.finding
    assert "PIP_INDEX_URL of pip's configuration=https://***@index.test/simple" in check.finding
    assert check.finding.count("HTTPS_PROXY") == 1
    assert "hunter2" not in str(doctor.check_all())


def test_dockers_configuration_is_read_where_docker_reads_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DOCKER_CONFIG")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".docker").mkdir()
    configure(tmp_path / ".docker", {"auths": {"good.test": GOOD}})
    assert list(docker_config.load().auths) == ["good.test"]


def test_settings_of_another_shape_do_not_count() -> None:
    everything: dict[str, Any] = {"auths": 1, "credHelpers": 1, "credsStore": 1, "proxies": 1, "currentContext": 1}
    configure(docker_config.path().parent, {**everything, "HttpHeaders": 1, "unknown": 1})
    config = docker_config.load()
    assert (config.auths, config.context, config.proxies("x"), config.every_proxy()) == ({}, "", {}, ())
    assert len(config.problems) == len(everything) + 1
