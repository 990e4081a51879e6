"""Docker's configuration file. A damaged one is a finding of `doctor`, never an error by itself."""

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_FILE = "config.json"
_TEXTS = ("credsStore", "currentContext")
_TABLES = ("auths", "credHelpers", "proxies", "HttpHeaders")
# Key of the configuration → variable. Source: https://docs.docker.com/engine/cli/proxy/
PROXIES = {
    "httpProxy": "HTTP_PROXY",
    "httpsProxy": "HTTPS_PROXY",
    "noProxy": "NO_PROXY",
    "ftpProxy": "FTP_PROXY",
    "allProxy": "ALL_PROXY",
}
_DEFAULT = "default"


@dataclass(frozen=True)
class DockerConfig:
    """Content of docker's configuration file."""

    path: Path
    entries: Mapping[str, Any] = field(default_factory=dict)
    """Entries of the expected type."""
    problems: tuple[str, ...] = ()
    """Problems of the file."""

    @property
    def auths(self) -> dict[str, Any]:
        """Registry → its entry, which may still be damaged."""
        return dict(self.entries.get("auths", {}))

    @property
    def context(self) -> str:
        """The name of the current context, or an empty one."""
        return str(self.entries.get("currentContext", ""))

    def proxies(self, host: str) -> dict[str, str]:
        """Return variable → proxy that builds on the engine at *host* use: its own, else those for all engines."""
        known = self.entries.get("proxies", {})
        chosen = known.get(host, known.get(_DEFAULT))
        pairs = chosen.items() if isinstance(chosen, dict) else ()
        return {PROXIES[key]: value for key, value in pairs if key in PROXIES and isinstance(value, str) and value}

    def every_proxy(self) -> tuple[str, ...]:
        """Return the proxies of all engines."""
        return tuple(each for host in self.entries.get("proxies", {}) for each in self.proxies(host).values())


def path() -> Path:
    """Return docker's configuration file, below DOCKER_CONFIG or else the user's home; it need not be there."""
    folder = os.environ.get("DOCKER_CONFIG") or f"{os.path.expanduser('~')}/.docker"  # noqa: PTH111  # Path's own raises
    return Path(folder) / _FILE


def load() -> DockerConfig:
    """Return docker's configuration; where there is none, or it cannot be read, it has no entries."""
    file = path()
    try:
        if not stat.S_ISREG(file.stat().st_mode):  # reading what has no end would have none
            return DockerConfig(file, problems=("it is no file",))
        data = json.loads(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError):  # DOCKER_CONFIG=/dev/null is how some say that there is none
        return DockerConfig(file)
    except OSError as error:
        return DockerConfig(file, problems=(str(error.strerror).lower(),))
    except (ValueError, RecursionError):
        return DockerConfig(file, problems=("it is not JSON",))
    if not isinstance(data, dict):
        return DockerConfig(file, problems=("it is not a mapping",))
    shapes: dict[str, type] = {**dict.fromkeys(_TEXTS, str), **dict.fromkeys(_TABLES, dict)}
    wrong = [key for key, shape in shapes.items() if data.get(key) is not None and not isinstance(data[key], shape)]
    entries = {key: value for key, value in data.items() if value is not None and key not in wrong}
    return DockerConfig(file, entries, tuple(f"{key} has another shape" for key in wrong))
