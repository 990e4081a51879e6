"""Network settings of this host for builds: proxies, pip's index, a CA bundle, a wheelhouse.

Everything but the proxies travels in the build context and is only mounted, so that no layer and no history line keeps
it. Proxies are build arguments of the names that BuildKit leaves out of the history by itself.
"""

import configparser
import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mlperf_docker.catalog.requirement_names import canonical
from mlperf_docker.errors import UsageError
from mlperf_docker.recipe.layout import LAYOUT
from mlperf_docker.system import docker_config
from mlperf_docker.system.ca_bundles import ca_bundle
from mlperf_docker.system.pip_config import pip_files

_SETTINGS = {
    "PIP_INDEX_URL": "index-url",
    "PIP_EXTRA_INDEX_URL": "extra-index-url",
    "PIP_TRUSTED_HOST": "trusted-host",
    "PIP_NO_INDEX": "no-index",
    "PIP_PROXY": "proxy",
    "PIP_DEFAULT_TIMEOUT": "timeout",
}
_INDEXES = ("index-url", "extra-index-url")
_NOT_ADDRESSES = ("NO_PROXY", "no_proxy")
_SOCKET = "unix:///var/run/docker.sock"
_LOOPBACK = re.compile(r"localhost|127\.[0-9.]+|::1")


@dataclass(frozen=True)
class HostSettings:
    """The host's own settings."""

    build_args: tuple[tuple[str, str], ...] = ()
    pip_settings: tuple[tuple[str, str], ...] = ()
    ca_bundle: bytes | None = None
    """PEM, or None."""
    wheelhouses: tuple[Path, ...] = ()
    """Local folders that pip looks into."""
    find_links: tuple[str, ...] = ()
    """Pages elsewhere where it does."""

    @classmethod
    def from_environ(cls, environment: Mapping[str, str] | None = None) -> "HostSettings":
        """Read what pip and curl users expect to count.

        Without *environment*, this host's, with pip's own files, and docker's proxies where no variable sets one.
        Raises UsageError where a CA bundle cannot be read.
        """
        if environment is None:
            environment = {**_dockers_proxies(os.environ), **pip_files(os.environ), **os.environ}
        return cls(
            build_args=tuple(_proxies(environment)),
            pip_settings=tuple(_pip_settings(environment)),
            ca_bundle=_ca_bundle(environment),
            wheelhouses=tuple(_folders(environment.get("PIP_FIND_LINKS", ""))),
            find_links=tuple(link for link in environment.get("PIP_FIND_LINKS", "").split() if _is_remote(link)),
        )

    @property
    def needs_host_network(self) -> bool:
        """Whether a proxy or an index is on the loopback address, which the network of a build does not reach."""
        proxies = (value for name, value in self.build_args if name not in _NOT_ADDRESSES)
        addresses = " ".join((*proxies, *(value for _, value in self.pip_settings), *self.find_links)).split()
        return any(_is_loopback(address) for address in addresses)

    def pip_conf(self, indexes: Sequence[str] = ()) -> str:
        """Return the pip.conf of a layer, with *indexes* besides the host's own.

        pip's config is INI with no interpolation; a list goes on over lines.
        """
        config = configparser.ConfigParser(interpolation=None)
        config["global"] = {key: "\n".join(value.split()) for key, value in self.pip_settings}
        if indexes:
            known = config["global"].get("extra-index-url", "").split()
            config["global"]["extra-index-url"] = "\n".join((*known, *indexes))
        config["global"]["find-links"] = "\n".join((f"{LAYOUT.layer}/wheels", *self.find_links))
        if self.ca_bundle is not None:
            config["global"]["cert"] = f"{LAYOUT.layer}/ca.crt"
        text = io.StringIO()
        config.write(text)
        return text.getvalue()

    def wheels(self, pins: Mapping[str, str]) -> list[Path]:
        """Return the wheels of the wheelhouses that *pins*, project → version, name; of one file name, the first."""
        wanted = {(canonical(name), version) for name, version in pins.items()}
        found: dict[str, Path] = {}
        for wheel in (each for folder in self.wheelhouses for each in sorted(folder.glob("*.whl"))):
            if _identity(wheel) in wanted:
                found.setdefault(wheel.name, wheel)
        return list(found.values())

    def lacks_local_versions(self, pins: Mapping[str, str], python: str) -> bool:
        """Whether *pins* have a local version (`2.13.0+cpu`) that no wheelhouse has a wheel of for *python*.

        The public index takes no local versions, so such a wheel is in a folder or in an index of its maker's.
        Source: packaging.python.org, "Version specifiers", local version identifiers.
        """
        local = {(canonical(name), version) for name, version in pins.items() if "+" in version}
        return bool(local - {_identity(wheel) for wheel in self.wheels(pins) if _fits(wheel, python)})


def _identity(wheel: Path) -> tuple[str, str]:
    """Return project and version out of a wheel's file name."""
    name, _, rest = wheel.name.partition("-")
    return canonical(name), rest.partition("-")[0]


def _fits(wheel: Path, python: str) -> bool:
    """Tell from its name whether a wheel is for *python*, "3.11": for it alone, for any, or by the stable ABI."""
    *_, interpreters, abi, _platform = ("", "", *wheel.stem.split("-"))
    return bool({f"cp{python.replace('.', '')}", "py3"} & set(interpreters.split("."))) or abi == "abi3"


def _pip_settings(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield pip's keys and values. An index in a local folder stays out: a build cannot see it."""
    for name, key in _SETTINGS.items():
        value = taken_over(name, environment.get(name, ""))
        if value:
            yield key, value


def taken_over(name: str, value: str) -> str:
    """Return what a build takes over of the variable *name*."""
    if _SETTINGS.get(name) in _INDEXES:
        return " ".join(link for link in value.split() if _is_remote(link))
    return value


def _proxies(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield both spellings of each proxy that is set; programs disagree on which one they read."""
    for name in docker_config.PROXIES.values():
        value = environment.get(name) or environment.get(name.lower())
        if value:
            yield from ((name, value), (name.lower(), value))


def dockers_host(environment: Mapping[str, str]) -> str:
    """Return the engine's address by which docker's configuration may have proxies for it."""
    return environment.get("DOCKER_HOST") or _SOCKET


def _dockers_proxies(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what `docker build` would use, of the proxies that no variable of *environment* sets."""
    known = docker_config.load().proxies(dockers_host(environment))
    return {name: value for name, value in known.items() if not environment.get(name.lower())}


def _ca_bundle(environment: Mapping[str, str]) -> bytes | None:
    found = ca_bundle(environment)
    if found is None:
        return None
    name, path = found
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{name} names {path}, which cannot be read: {error.strerror}.", hint=f"Correct or unset {name}."
        ) from error


def _folders(find_links: str) -> Iterator[Path]:
    for link in find_links.split():
        path = unquote(urlsplit(link).path) if link.startswith("file:") else link
        folder = Path(os.path.expanduser(path))  # noqa: PTH111  # as pip does, which takes an unknown user as a name
        if folder.is_dir():
            yield folder


def _is_remote(link: str) -> bool:
    return "://" in link and not link.startswith("file:")


def _is_loopback(address: str) -> bool:
    """Tell whether *address*, a URL or `host:port` as proxies may be written, is on this host."""
    try:
        host = urlsplit(address if "://" in address else f"//{address}").hostname
    except ValueError:
        return False
    return host is not None and _LOOPBACK.fullmatch(host) is not None
