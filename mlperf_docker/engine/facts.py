"""Properties of an engine: version, builder, devices, security; and the requirements made of it."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlperf_docker.contract.devices import Device, EngineRuntime
from mlperf_docker.engine.address import engine_host, is_local
from mlperf_docker.engine.engine import Engine, EngineRefusedError
from mlperf_docker.engine.surroundings import security_modes
from mlperf_docker.errors import DeviceError, EngineError

_ANOTHER_ENGINE = "Point DOCKER_HOST at a Docker engine, and see whether a proxy stands before it."


@dataclass(frozen=True)
class EngineHost:
    """Host of an engine, as the engine reports it; None where it does not."""

    architecture: str | None = None
    threads: int | None = None
    """Those that the engine may use."""
    memory_bytes: int | None = None
    kernel: str | None = None
    distribution: str | None = None


@dataclass(frozen=True)
class EngineFacts:
    """Properties of an engine, as it reports them."""

    name: str
    """Docker or Podman."""
    version: str
    api_version: str
    storage_driver: str
    builder: str | None
    """None if it has none that serves us."""
    devices: frozenset[Device]
    """Those that it can hand to containers."""
    data_root: Path | None
    """None where it is not on this host."""
    security: frozenset[str] = frozenset()
    """What it does about users, as `security_modes` says."""
    runtimes: tuple[str, ...] = ()
    host: EngineHost = field(default_factory=EngineHost)


def facts(client: Engine) -> EngineFacts:
    """Ask the engine about itself. Raises EngineError where it cannot be asked."""
    try:
        return _facts(client.version(), client.info())
    except EngineRefusedError as error:
        raise EngineError(
            f"The Docker engine does not tell about itself: {error.reason}", hint=_ANOTHER_ENGINE
        ) from error
    except (TypeError, ValueError, KeyError, AttributeError) as error:  # anything may listen at an address
        raise EngineError(
            f"What answers at {engine_host()} does not speak as a Docker engine does: {error}", hint=_ANOTHER_ENGINE
        ) from error


def _facts(version: dict[str, Any], info: dict[str, Any]) -> EngineFacts:
    return EngineFacts(
        name="Podman" if _is_podman(version) else "Docker",
        version=version.get("Version", "unknown"),
        api_version=version.get("ApiVersion", "unknown"),
        storage_driver=info.get("Driver", "unknown"),
        builder="BuildKit" if _has_buildkit(version) else "Buildah" if _is_podman(version) else None,
        devices=frozenset(device for device in Device if _can_hand_over(device, info)),
        data_root=Path(info["DockerRootDir"]) if is_local(engine_host()) and info.get("DockerRootDir") else None,
        security=frozenset(security_modes(info)),
        runtimes=tuple(sorted(info.get("Runtimes") or ())),
        host=_host(info),
    )


def _host(info: dict[str, Any]) -> EngineHost:
    return EngineHost(
        architecture=info.get("Architecture") or None,
        threads=info.get("NCPU") or None,
        memory_bytes=info.get("MemTotal") or None,
        kernel=info.get("KernelVersion") or None,
        distribution=info.get("OperatingSystem") or None,
    )


def require_buildkit(client: Engine) -> None:
    """Raise EngineError unless the engine can build with BuildKit."""
    version = client.version()
    if not _has_buildkit(version):
        raise EngineError(
            f"The engine ({version.get('Version', 'unknown')}) cannot build with BuildKit.",
            hint="Use Docker Engine 20.10 or later, or run prebuilt images: mlperf-docker run --pull always",
        )


def is_podman(client: Engine) -> bool:
    """Tell whether Podman answers: to the same API, with a builder of its own."""
    return _is_podman(client.version())


def require_device(client: Engine, device: Device) -> None:
    """Raise DeviceError unless the engine can hand *device* to a container, as far as can be told beforehand."""
    profile = device.profile
    if profile.runtime is not None and not _has_runtime(profile.runtime, client.info()):
        raise DeviceError(
            f"--device {device} needs a GPU, and this engine has no GPU runtime.",
            hint=f"Install {profile.runtime.package} and restart the engine; or run with --device cpu.",
        )
    if is_local(engine_host()):
        require_here(device)


def require_here(device: Device) -> None:
    """Raise DeviceError unless this host has *device*."""
    profile = device.profile
    if profile.signs and not any(Path(sign).exists() for sign in profile.signs):
        raise DeviceError(
            f"--device {device} needs a GPU, and this host has none (no {profile.signs[0]}).",
            hint=f"Install {profile.requirement}, or run with --device cpu.",
        )


def _has_buildkit(version: dict[str, Any]) -> bool:
    return version.get("Os", "linux") == "linux" and not _is_podman(version)


def _is_podman(version: dict[str, Any]) -> bool:
    names = {component.get("Name", "") for component in version.get("Components") or ()}
    return any("podman" in name.lower() for name in names)


def _can_hand_over(device: Device, info: dict[str, Any]) -> bool:
    runtime = device.profile.runtime
    return runtime is None or _has_runtime(runtime, info)


def _has_runtime(runtime: EngineRuntime, info: dict[str, Any]) -> bool:
    """Whether the engine knows *runtime* or its CDI devices; the hook alone shows only on this host."""
    devices = (str(device.get("ID", "")) for device in info.get("DiscoveredDevices") or ())
    return (
        runtime.name in (info.get("Runtimes") or {})
        or any(device.startswith(runtime.cdi) for device in devices)
        or (is_local(engine_host()) and shutil.which(runtime.hook) is not None)
    )
