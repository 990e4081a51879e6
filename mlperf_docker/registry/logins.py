"""Logins that docker knows: from its configuration file, its credential store or a registry's own helper.

docker-py reads them, each entry by itself: its own load_config raises ValueError for all where one is damaged.
"""

import shutil
import warnings
from dataclasses import dataclass, field
from typing import Any

from docker import auth
from docker.errors import DockerException

from mlperf_docker.errors import RegistryError
from mlperf_docker.system import docker_config
from mlperf_docker.system.docker_config import DockerConfig

# What the library raises for an entry, or a helper's answer, of another form than it expects.
_FAILURES = (DockerException, OSError, ValueError, KeyError, TypeError, AttributeError)


@dataclass(frozen=True)
class Login:
    """Login of docker's for a registry: a name with a password, or an identity token."""

    username: str | None = None
    password: str | None = field(default=None, repr=False)
    identity_token: str | None = field(default=None, repr=False)

    def pair(self) -> tuple[bytes, bytes]:
        """Return name and password, as HTTP's basic authentication has them."""
        return (self.username or "").encode(), (self.password or "").encode()


def login_for(host: str) -> Login | None:
    """Return docker's login for the registry *host*, or None where it has none.

    DOCKER_CONFIG names docker's folder, as for docker itself; a file that cannot be read has no logins, as for docker.
    Raises RegistryError where the entry of this registry or its credential helper fails: without a word, a pull would
    go on as nobody and be denied for another reason. What is wrong with other registries' is no matter here.
    """
    config = docker_config.load()
    helpers = {key: config.entries[key] for key in ("credsStore", "credHelpers") if key in config.entries}
    try:
        with warnings.catch_warnings(action="ignore"):  # what it warns of, it raises too
            found = auth.AuthConfig({"auths": _readable(config, host), **helpers}).resolve_authconfig(host)
        return _login(found) if found else None
    except _FAILURES as error:
        raise RegistryError(
            f"Docker's login for {host} cannot be read: {error}",
            hint=f"See credsStore and credHelpers in {config.path}, and whether that program is in PATH.",
        ) from error


def _readable(config: DockerConfig, host: str) -> dict[str, Any]:
    """Return the entries that can be read. Raises RegistryError where one is that of *host* and cannot."""
    found: dict[str, Any] = {}
    for registry, entry in config.auths.items():
        try:
            found |= auth.AuthConfig.parse_auth({registry: entry}, raise_on_error=True)
        except _FAILURES as error:
            if auth.resolve_index_name(registry) == auth.resolve_index_name(host):
                raise RegistryError(
                    f"Docker's login for {host} cannot be read: {registry!r} in auths of {config.path} is damaged.",
                    hint=f"Log in again: docker login {host}",
                ) from error
    return found


def damaged_logins(config: DockerConfig) -> list[str]:
    """Return the registries whose entries in docker's configuration cannot be read."""
    found = []
    for registry, entry in config.auths.items():
        try:
            auth.AuthConfig.parse_auth({registry: entry}, raise_on_error=True)
        except _FAILURES:
            found.append(registry)
    return found


def absent_helpers(config: DockerConfig) -> list[str]:
    """Return the programs that docker's configuration names to keep logins, and that are not there."""
    named = (config.entries.get("credsStore"), *config.entries.get("credHelpers", {}).values())
    programs = dict.fromkeys(f"docker-credential-{name}" for name in named if name)
    return [program for program in programs if shutil.which(program) is None]


def engine_header(host: str) -> str:
    """Return X-Registry-Auth for the engine, which it wants even where there is no login."""
    login = login_for(host)
    if login is None:
        fields = {}
    elif login.identity_token is not None:
        fields = {"identitytoken": login.identity_token, "serveraddress": host}
    else:
        fields = {"username": login.username or "", "password": login.password or "", "serveraddress": host}
    return auth.encode_header(fields).decode()


def _login(found: dict[str, Any]) -> Login | None:
    """Helpers answer in capitals, the configuration file in small letters."""
    fields = {key.lower(): str(value) for key, value in found.items() if value}
    login = Login(fields.get("username"), fields.get("password"), fields.get("identitytoken"))
    return login if login != Login() else None
