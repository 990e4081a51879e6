"""Checks of the host: each has a name, a finding and, where something is wrong, a remedy."""

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from mlperf_docker.contract.devices import Device
from mlperf_docker.engine.client import connect
from mlperf_docker.engine.facts import EngineFacts, facts
from mlperf_docker.errors import EngineError, FolderError
from mlperf_docker.host import energy
from mlperf_docker.host.tree import Tree
from mlperf_docker.recipe.host_settings import dockers_host, taken_over
from mlperf_docker.registry.logins import absent_helpers, damaged_logins
from mlperf_docker.system import docker_config, paths
from mlperf_docker.system.ca_bundles import CA_VARIABLES
from mlperf_docker.system.pip_config import pip_files
from mlperf_docker.system.redaction import hidden

_GIB = 2**30
_DISK_NEEDED = 5 * _GIB  # one cpu image with its build cache, and the synthetic data
_MEMORY_NEEDED = 4 * _GIB
_NETWORK_VARIABLES = (
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "FTP_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_PROXY",
    "PIP_TRUSTED_HOST",
    "PIP_NO_INDEX",
    "PIP_FIND_LINKS",
    *CA_VARIABLES,
)


class Severity(StrEnum):
    """Severity of a finding: with `fail` nothing can run."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Check:
    """Finding, with its remedy."""

    name: str
    level: Severity
    finding: str
    remedy: str | None = None
    """None if nothing is wrong."""

    def without_secrets(self, environment: Mapping[str, str]) -> "Check":
        """Return it without what is a secret in *environment* or on this host."""
        remedy = None if self.remedy is None else hidden(hidden(self.remedy), environment)
        return replace(self, finding=hidden(hidden(self.finding), environment), remedy=remedy)


def check_all() -> list[Check]:
    """Look at this host and its engine. No finding has a secret in it."""
    try:
        found = [*engine_checks(facts(connect()))]
    except EngineError as error:
        found = [Check("engine", Severity.FAIL, str(error), error.hint)]
    return [each.without_secrets(os.environ) for each in (*found, *_docker_config())] + [*host_checks(os.environ)]


def engine_checks(engine: EngineFacts) -> Iterator[Check]:
    """Judge what the engine says of itself. Pure."""
    yield Check(
        "engine", Severity.OK, f"{engine.name} {engine.version}, API {engine.api_version}, {engine.storage_driver}"
    )
    yield from _users(engine.security)
    if engine.builder:
        yield Check("builder", Severity.OK, f"the engine builds with {engine.builder}")
    else:
        remedy = "Use Docker Engine 20.10 or later, or run prebuilt images: mlperf-docker run --pull always"
        yield Check("builder", Severity.FAIL, "the engine cannot build with BuildKit", remedy)
    yield from _accelerators(engine.devices)
    yield _space("engine disk", engine.data_root, "Free some: docker system df, docker builder prune.")


def _accelerators(devices: frozenset[Device]) -> Iterator[Check]:
    """Judge which of the devices that need a runtime the engine can hand to containers."""
    needy = {device: runtime for device in Device if (runtime := device.profile.runtime) is not None}
    if found := [device for device in needy if device in devices]:
        said = "the engine can give containers a GPU"
        yield Check("gpu", Severity.OK, said if len(needy) == 1 else f"{said} ({', '.join(found)})")
        return
    ways = (f"for --device {each} install {each.profile.requirement} and {needy[each].package}" for each in needy)
    remedy = "; ".join((*ways, "cpu needs neither."))
    yield Check("gpu", Severity.WARN, "the engine has no GPU runtime", remedy[0].upper() + remedy[1:])


def _users(security: frozenset[str]) -> Iterator[Check]:
    if "rootless" in security:
        said = "the engine is rootless; a container's root is the caller, without the caller's other groups"
        yield Check("users", Severity.OK, said)
    elif "userns" in security:
        said = "the engine maps users (userns-remap); containers of ours are the caller all the same (--userns=host)"
        yield Check("users", Severity.OK, said)


def host_checks(environment: Mapping[str, str]) -> Iterator[Check]:
    """Judge this host's disk, memory, tools and network settings."""
    return (each.without_secrets(environment) for each in _host_checks(environment))


def _host_checks(environment: Mapping[str, str]) -> Iterator[Check]:
    yield _cache()
    yield _memory()
    if shutil.which("mmdebstrap"):
        yield Check("bootstrap", Severity.OK, "mmdebstrap is there, for --bootstrap-base")
    else:
        remedy = "Only needed where no registry can be reached: apt-get install mmdebstrap"
        yield Check("bootstrap", Severity.WARN, "mmdebstrap is not installed", remedy)
    yield energy_check(Tree())
    yield _network(environment)
    yield from _bundle(environment)


def _cache() -> Check:
    """Judge the disk of the cache by the folder that it would be made in, where it is not there yet."""
    try:
        place = paths.cache_place()
    except FolderError as error:
        return Check("cache disk", Severity.WARN, str(error), error.hint or "")
    there = next(folder for folder in (place, *place.parents) if folder.is_dir())
    if not os.access(there, os.W_OK | os.X_OK):
        remedy = "Set XDG_CACHE_HOME to a folder that you can write to."
        return Check("cache disk", Severity.WARN, f"{place} cannot be written", remedy)
    return _space("cache disk", there, "Point XDG_CACHE_HOME at a larger disk.")


def _space(name: str, path: Path | None, remedy: str) -> Check:
    if path is None or not path.exists():
        return Check(
            name, Severity.WARN, f"{path or 'its folder'} cannot be looked at from here", "Is the engine remote?"
        )
    free = shutil.disk_usage(path).free
    finding = f"{free / _GIB:.1f} GiB free at {path}"
    return Check(name, Severity.OK, finding) if free >= _DISK_NEEDED else Check(name, Severity.WARN, finding, remedy)


def _memory() -> Check:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    finding = f"{total / _GIB:.1f} GiB"
    if total >= _MEMORY_NEEDED:
        return Check("memory", Severity.OK, finding)
    return Check("memory", Severity.WARN, finding, "Use --samples to keep fewer samples in memory.")


def energy_check(files: Tree) -> Check:
    """Tell whether results will have an energy."""
    if energy.is_closed(files):
        remedy = "Where this host is yours alone: sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj"
        return Check("energy", Severity.WARN, "only root can read the RAPL counters: results have no energy", remedy)
    found = len(energy.packages(files))
    said = (
        f"RAPL counters ({found} package{'s' if found > 1 else ''})"
        if found
        else "no RAPL counters here: results have no energy"
    )
    return Check("energy", Severity.OK, said)


def _network(environment: Mapping[str, str]) -> Check:
    """Name what builds will take over from this host, with logins left out."""
    found = [f"{name}={value}" for name, value in _network_settings(environment)]
    return Check("network", Severity.OK, ", ".join(found) or "no proxy, index or CA settings: builds use none")


def _network_settings(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the variables that count, in either case, then what pip's files and docker's configuration say besides."""
    config = docker_config.load()
    own = {name: environment.get(name) or environment.get(name.lower(), "") for name in _NETWORK_VARIABLES}
    places = {
        "": own,
        " of pip's configuration": pip_files(environment),
        f" of {config.path}": config.proxies(dockers_host(environment)),
    }
    told = set()
    for place, settings in places.items():
        for name in _NETWORK_VARIABLES:
            kind = "CA" if name in CA_VARIABLES else name  # the first bundle counts
            value = taken_over(name, settings.get(name, ""))
            if value and kind not in told:
                told.add(kind)
                yield f"{name}{place}", value


def _docker_config() -> Iterator[Check]:
    """Tell what of docker's configuration cannot be read, which matters once a registry wants a login."""
    config = docker_config.load()
    damaged = [f"the login for {registry} in auths cannot be read" for registry in damaged_logins(config)]
    absent = [f"the credential helper {program} is not in PATH" for program in absent_helpers(config)]
    if found := [*config.problems, *damaged, *absent]:
        remedy = "Correct it, or log in again (docker login REGISTRY), where a pull or push needs it."
        yield Check("docker config", Severity.WARN, f"{config.path}: {'; '.join(found)}", remedy)


def _bundle(environment: Mapping[str, str]) -> Iterator[Check]:
    for name in CA_VARIABLES:
        path = environment.get(name)
        if path and not (os.path.isfile(path) and os.access(path, os.R_OK)):  # noqa: PTH113  # never raises
            finding = f"{name} names {path}, which is no file that can be read"
            yield Check("ca bundle", Severity.WARN, finding, f"Correct or unset {name}.")
