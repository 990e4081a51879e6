"""The logins that docker knows: from its configuration file, its credential store or a registry's own helper."""

import base64
import json
import warnings
from dataclasses import dataclass, field
from typing import Any

from docker import auth
from docker.errors import DockerException

from mlperf_docker.errors import RegistryError


@dataclass(frozen=True)
class Login:
    """What docker has for a registry: a name with a password, or an identity token."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)


def login_for(host: str) -> Login | None:
    """Return docker's login for the registry *host*, or None where it has none.

    DOCKER_CONFIG names docker's folder, as for docker itself. Raises RegistryError where the configuration or a
    credential helper fails: without a word, a pull would go on as nobody and be denied for another reason.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # what it warns of, it raises too
            found = auth.load_config().resolve_authconfig(host)
    except (DockerException, OSError, ValueError) as error:
        raise RegistryError(
            f"Docker's login for {host} cannot be read: {error}",
            hint="See credsStore and credHelpers in ~/.docker/config.json, and whether that program is in PATH.",
        ) from error
    return _login(found) if found else None


def engine_header(host: str) -> str:
    """Return X-Registry-Auth for the engine, which it wants even where there is no login."""
    login = login_for(host)
    if login is None:
        fields = {}
    elif login.identity_token:
        fields = {"identitytoken": login.identity_token, "serveraddress": host}
    else:
        fields = {"username": login.username, "password": login.password, "serveraddress": host}
    return base64.urlsafe_b64encode(json.dumps(fields).encode()).decode()


def _login(found: dict[str, Any]) -> Login | None:
    """Helpers answer in capitals, the configuration file in small letters."""
    fields = {key.lower(): str(value or "") for key, value in found.items()}
    login = Login(fields.get("username", ""), fields.get("password", ""), fields.get("identitytoken", ""))
    return login if login != Login() else None
