"""Logins as docker keeps them, certificates as the engine trusts them, and what is said where they will not do."""

import base64
import json
import os
from pathlib import Path

import pytest

from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.engine.client import DockerEngine
from mlperf_docker.errors import RegistryError
from mlperf_docker.images import push_pull
from mlperf_docker.images.prebuilt import RegistryState
from mlperf_docker.registry.client import RegistryClient as Asked
from mlperf_docker.registry.logins import Login, engine_header, login_for
from tests.fixtures import cells
from tests.fixtures.registries import PASSWORD, USER, Registries
from tests.images.test_push_pull_transfers import moved, pull, push, refusal

HELPER = """\
#!/bin/sh
# As docker-credential-helpers speak: the registry on stdin, a JSON object on stdout.
read -r host
echo "$1 $host" >> {log}
[ "$1" = get ] || exit 1
if [ "$host" = "{host}" ]; then
  echo '{{"ServerURL": "{host}", "Username": "{user}", "Secret": "{password}"}}'
else
  echo "credentials not found in native keychain"; exit 1
fi
"""


def configure(**settings: object) -> None:
    """Write docker's configuration, where DOCKER_CONFIG says."""
    Path(os.environ["DOCKER_CONFIG"], "config.json").write_text(json.dumps(settings))


def log_in(host: str, password: str = PASSWORD) -> None:
    """Do as `docker login` does without a credential store."""
    configure(auths={host: {"auth": base64.b64encode(f"{USER}:{password}".encode()).decode()}})


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registries: Registries) -> Path:
    """The credential helper `docker-credential-test`, in PATH; returns the log of what it was asked for."""
    log, program = tmp_path / "asked", tmp_path / "bin" / "docker-credential-test"
    program.parent.mkdir()
    program.write_text(HELPER.format(log=log, host=registries.login.host, user=USER, password=PASSWORD))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return log


@pytest.fixture
def name(registries: Registries, name: str) -> str:
    return f"{registries.login.host}/{name.partition('/')[2]}"


@pytest.mark.engine
def test_a_login_of_dockers_is_enough_for_push_and_pull(
    here: DockerEngine, resnet50: ImageSpec, name: str, registries: Registries
) -> None:
    log_in(registries.login.host)
    cells.make(here, resnet50, name, b"harness")
    digest = moved(push(here, name, resnet50)).digest
    assert moved(pull(here, name, resnet50, digest=digest)).state is RegistryState.PRESENT


@pytest.mark.engine
@pytest.mark.parametrize("settings", ["credsStore", "credHelpers"])
def test_with_a_credential_helper(
    here: DockerEngine, resnet50: ImageSpec, name: str, registries: Registries, helper: Path, settings: str
) -> None:
    configure(**{settings: "test" if settings == "credsStore" else {registries.login.host: "test"}})
    cells.make(here, resnet50, name, b"harness")
    digest = moved(push(here, name, resnet50)).digest
    assert moved(pull(here, name, resnet50, digest=digest)).state is RegistryState.PRESENT
    assert set(helper.read_text().splitlines()) == {f"get {registries.login.host}"}


@pytest.mark.engine
def test_push_and_pull_without_a_login_name_the_command_for_it(
    here: DockerEngine, resnet50: ImageSpec, name: str, registries: Registries
) -> None:
    cells.make(here, resnet50, name)
    for done in (push, pull):
        error = refusal(done(here, name, resnet50))
        assert error.exit_code is ExitCode.REGISTRY
        assert f"Docker has no login for {registries.login.host}." in str(error), done
        assert error.hint == f"Log in: docker login {registries.login.host}"


@pytest.mark.engine
def test_with_a_wrong_login(here: DockerEngine, resnet50: ImageSpec, name: str, registries: Registries) -> None:
    log_in(registries.login.host, "wrong horse")
    cells.make(here, resnet50, name)
    for done in (push, pull):
        error = refusal(done(here, name, resnet50))
        assert f"{registries.login.host} does not accept docker's login, or needs one." in str(error), done
        assert error.hint == f"Log in (again): docker login {registries.login.host}"
        assert "wrong horse" not in f"{error} {error.hint}"


def test_a_helper_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    configure(credsStore="nowhere")
    with pytest.raises(RegistryError, match="docker-credential-nowhere") as caught:
        login_for("registry.test")
    assert "credsStore" in (caught.value.hint or "")


def test_a_configuration_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    configure(auths={"registry.test": {"auth": "bm8gY29sb24="}})  # "no colon"
    with pytest.raises(RegistryError, match=r"login for registry\.test cannot be read"):
        login_for("registry.test")


def test_no_configuration_is_no_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert login_for("registry.test") is None


def test_an_identity_token_and_no_secret_in_what_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    configure(auths={"registry.test": {"identitytoken": "hunter2"}})
    login = login_for("registry.test")
    assert login == Login(identity_token="hunter2")  # noqa: S106  # made up
    assert "hunter2" not in repr(login)


def test_the_engine_is_handed_dockers_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Source: https://docs.docker.com/reference/api/engine/version/v1.41/#section/Authentication."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    secret = base64.b64encode(b"me:hunter2").decode()
    configure(auths={"token.test": {"identitytoken": "refresh"}, "password.test": {"auth": secret}})
    told = {
        "token.test": {"identitytoken": "refresh", "serveraddress": "token.test"},
        "password.test": {"username": "me", "password": "hunter2", "serveraddress": "password.test"},
        "other.test": {},
    }
    for host, fields in told.items():
        assert json.loads(base64.urlsafe_b64decode(engine_header(host))) == fields


@pytest.mark.engine
def test_a_registry_of_a_trusted_private_authority_is_used(
    here: DockerEngine, there: DockerEngine, resnet50: ImageSpec, name: str, registries: Registries, trusted: None
) -> None:
    private = name.replace(registries.login.host, registries.private.host)
    cells.make(here, resnet50, private, b"harness")
    digest = moved(push(here, private, resnet50)).digest
    assert moved(pull(there, private, resnet50)).digest == digest


@pytest.mark.engine
def test_a_private_authority_that_nobody_trusts(
    here: DockerEngine, resnet50: ImageSpec, name: str, registries: Registries
) -> None:
    private = name.replace(registries.login.host, registries.private.host)
    cells.make(here, resnet50, private)
    for done in (push, pull):
        error = refusal(done(here, private, resnet50))
        assert "x509" in str(error), done
        assert f"/etc/docker/certs.d/{registries.private.host}/ca.crt" in (error.hint or "")


@pytest.mark.engine
def test_an_untrusted_host_is_asked_without_a_certificate_only_where_the_engine_does(
    here: DockerEngine, registries: Registries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`insecure-registries` of daemon.json: as a network, or as a host."""
    host = registries.private.host
    address = host.partition(":")[0]
    for trust in ({"InsecureRegistryCIDRs": [f"{address}/32"]}, {"IndexConfigs": {host: {"Secure": False}}}):
        assert Asked(trust, "linux/amd64").tags(f"{host}/nothing") == ()
    monkeypatch.setattr("mlperf_docker.registry.refusals.WAITS_S", ())
    with pytest.raises(RegistryError, match="x509"):
        Asked({"IndexConfigs": {host: {"Secure": True}}}, "linux/amd64").tags(f"{host}/nothing")


@pytest.mark.engine
def test_one_registrys_login_goes_to_no_other(
    here: DockerEngine, resnet50: ImageSpec, name: str, registries: Registries, helper: Path
) -> None:
    configure(credsStore="test")
    other = name.replace(registries.login.host, registries.open.host)
    cells.make(here, resnet50, other)
    push_pull.require_all(push(here, other, resnet50), "pushed")
    assert set(helper.read_text().splitlines()) == {f"get {registries.open.host}"}
