"""Facts of a host, as they stand under `host` in a result: what is unknown is None, and nothing names a machine."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from mlperf_docker.contract import json_values

_MOST = 1 << 64


class DiskKind(StrEnum):
    """Kind of a disk."""

    NVME = "nvme"
    SSD = "ssd"
    HDD = "hdd"
    MMC = "mmc"
    VIRTUAL = "virtual"


@dataclass(frozen=True)
class CoreKind:
    """Cores of one kind in a processor that has several."""

    name: str
    cores: int


@dataclass(frozen=True)
class Cache:
    """Caches of one level and size."""

    level: int
    kind: str
    """data, instruction or unified."""
    size_bytes: int
    count: int
    """How many of them all online cores have together."""


@dataclass(frozen=True)
class Processor:
    """All processors of the host. Counts are those of online ones."""

    model: str | None = None
    architecture: str | None = None
    sockets: int | None = None
    cores: int | None = None
    threads: int | None = None
    usable_threads: int | None = None
    """Threads that this tool may use, where a cpuset or its affinity leaves fewer."""
    core_kinds: tuple[CoreKind, ...] = ()
    """Empty where all cores are of one kind."""
    numa_nodes: int | None = None
    caches: tuple[Cache, ...] = ()
    frequency_driver: str | None = None
    governor: str | None = None
    """Several are joined by commas."""
    min_mhz: float | None = None
    base_mhz: float | None = None
    max_mhz: float | None = None
    boost: bool | None = None


@dataclass(frozen=True)
class MemoryModule:
    """Memory modules of one kind."""

    size_bytes: int
    kind: str | None
    speed_mts: int | None
    """Million transfers a second, as they are configured."""
    count: int


@dataclass(frozen=True)
class Memory:
    """Memory of the host."""

    size_bytes: int | None = None
    """What the kernel can use, a little less than is installed."""
    modules: tuple[MemoryModule, ...] = ()
    """Empty where neither the firmware's tables nor EDAC can be read."""
    ecc: bool | None = None


@dataclass(frozen=True)
class HostSystem:
    """Machine and operating system."""

    vendor: str | None = None
    product: str | None = None
    virtual: bool | None = None
    hypervisor: str | None = None
    kernel: str | None = None
    distribution: str | None = None


@dataclass(frozen=True)
class NetworkCard:
    """Network cards of one kind."""

    kind: str
    driver: str | None
    speed_mbit: int | None
    """Of the fastest port that has a link."""
    ports: int
    count: int


@dataclass(frozen=True)
class Disk:
    """Disks of one kind."""

    kind: DiskKind
    model: str | None
    size_bytes: int
    count: int


@dataclass(frozen=True)
class Gpu:
    """GPUs of one kind."""

    name: str
    memory_bytes: int | None
    power_limit_w: float | None
    driver: str | None
    count: int


@dataclass(frozen=True)
class ContainerEngine:
    """Engine that runs the containers."""

    name: str | None = None
    version: str | None = None
    runtimes: tuple[str, ...] = ()
    threads: int | None = None
    """Threads that the engine may use."""


@dataclass(frozen=True)
class HostFacts:
    """Facts of the host that runs the containers."""

    processor: Processor = field(default_factory=Processor)
    memory: Memory = field(default_factory=Memory)
    system: HostSystem = field(default_factory=HostSystem)
    network: tuple[NetworkCard, ...] | None = None
    disks: tuple[Disk, ...] | None = None
    gpus: tuple[Gpu, ...] | None = None
    engine: ContainerEngine = field(default_factory=ContainerEngine)


def read(found: Mapping[str, Any] | None) -> HostFacts | None:
    """Return the facts that a result's `host` has; None where it has none, or those of another version."""
    try:
        return json_values.read(HostFacts, found) if found and _is_sane(found) else None
    except json_values.MalformedError:
        return None


def _is_sane(value: object) -> bool:
    """Tell whether all numbers in *value* are such as a kernel counts; others cannot be written as a float."""
    if isinstance(value, Mapping):
        return all(map(_is_sane, value.values()))
    if isinstance(value, list):
        return all(map(_is_sane, value))
    return not isinstance(value, int) or 0 <= value < _MOST
