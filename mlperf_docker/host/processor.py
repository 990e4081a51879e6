"""Reader of the processors: topology, caches, kinds of cores, frequencies."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypedDict

from mlperf_docker.host import cpuinfo, tree
from mlperf_docker.host.facts import Cache, CoreKind, Processor
from mlperf_docker.host.tree import Tree

_CPUS = "/sys/devices/system/cpu"
_HYBRID = {"cpu_core": "performance", "cpu_atom": "efficiency", "cpu_lowpower": "low power"}
_FIRST_BLOCKS_BYTES = 1 << 14  # the kernel makes the file as it is read, which takes long on many processors
_OF_MANY_CORES = 3
"""The cache level from which on caches are read one by one: chiplets may differ."""
_SHIFTS = {"": 0, "K": 10, "M": 20, "G": 30}


class _Frequencies(TypedDict):
    frequency_driver: str | None
    governor: str | None
    min_mhz: float | None
    base_mhz: float | None
    max_mhz: float | None
    boost: bool | None


@dataclass(frozen=True)
class _Topology:
    """Online threads, and what they belong to."""

    online: frozenset[int]
    sockets: int | None
    cores: tuple[frozenset[int], ...]
    """The threads of each core, one of them online."""


def read(files: Tree) -> Processor:
    """Return what the tree tells of the processors."""
    listed = cpuinfo.blocks(files, _FIRST_BLOCKS_BYTES)
    topology = _topology(files) or _listed_topology(files)
    kinds = _kinds(files, topology.online) if topology else {}
    nodes = files.numbers("/sys/devices/system/node/online")
    allowed = _allowed(files)
    return Processor(
        model=next(filter(None, map(cpuinfo.model, listed)), None),
        architecture=_architecture(files),
        sockets=topology.sockets if topology else None,
        cores=len(topology.cores) or None if topology else None,
        threads=len(topology.online) if topology else None,
        usable_threads=len(allowed & topology.online) or None if topology and allowed is not None else None,
        core_kinds=_core_kinds(kinds, topology.cores) if topology else (),
        numa_nodes=len(nodes) if nodes else None,
        caches=tuple(_caches(files, topology.online, kinds)) if topology else (),
        **_frequencies(files),
    )


def _topology(files: Tree) -> _Topology | None:
    """Read /sys: a core's threads are read once, from the first of them."""
    online = files.numbers(f"{_CPUS}/online")
    if not online:
        return None
    cores: list[frozenset[int]] = []
    packages: set[int] = set()
    seen: set[int] = set()
    for cpu in sorted(online):
        if cpu in seen:
            continue
        folder = f"{_CPUS}/cpu{cpu}/topology"
        siblings = (files.numbers(f"{folder}/thread_siblings_list") or frozenset()) | {cpu}
        package = files.number(f"{folder}/physical_package_id")
        seen |= siblings
        if package is not None:
            cores.append(siblings)
            packages.add(package)
    return _Topology(online, len(packages) or None, tuple(cores))


def _listed_topology(files: Tree) -> _Topology | None:
    """Return the same from /proc/cpuinfo, where there is no /sys."""
    listed = {number: each for each in cpuinfo.blocks(files) if (number := cpuinfo.number(each)) is not None}
    cores: dict[tuple[str, str], set[int]] = {}
    for number, each in listed.items():
        if "physical id" in each and "core id" in each:
            cores.setdefault((each["physical id"], each["core id"]), set()).add(number)
    online = frozenset(listed)
    sockets = {package for package, _ in cores}
    return _Topology(online, len(sockets) or None, tuple(map(frozenset, cores.values()))) if online else None


def _allowed(files: Tree) -> frozenset[int] | None:
    """Return the threads that this process may use."""
    for line in (files.text("/proc/self/status") or "").splitlines():
        if line.startswith("Cpus_allowed_list:"):
            return tree.numbers(line.partition(":")[2].strip())
    return None


def _architecture(files: Tree) -> str | None:
    """Return the kernel's word for it; of a tree that is copied the one that its tree has."""
    return files.text("/proc/sys/kernel/arch") or (os.uname().machine if str(files.root) == "/" else None)


def _kinds(files: Tree, online: frozenset[int]) -> dict[str, frozenset[int]]:
    """Return the online threads by the kind of their cores: as Intel's drivers call it, or by Arm's numbers."""
    hybrid = {name: files.numbers(f"/sys/devices/{folder}/cpus") or frozenset() for folder, name in _HYBRID.items()}
    found = {name: threads & online for name, threads in hybrid.items() if threads & online}
    if found:
        return found
    if files.has(f"{_CPUS}/cpu{min(online)}/cpu_capacity"):
        for each in cpuinfo.blocks(files):
            number, model = cpuinfo.number(each), cpuinfo.model(each)
            if number in online and model:
                found[model] = found.get(model, frozenset()) | {number}
    return found


def _core_kinds(kinds: Mapping[str, frozenset[int]], cores: Iterable[frozenset[int]]) -> tuple[CoreKind, ...]:
    if len(kinds) < 2:
        return ()
    return tuple(CoreKind(name, sum(1 for core in cores if core & threads)) for name, threads in kinds.items())


def _caches(files: Tree, online: frozenset[int], kinds: Mapping[str, frozenset[int]]) -> Iterator[Cache]:
    """Yield the caches, the nearest first. Those of a core are read at one core of each kind."""
    counts: Counter[tuple[int, str, int]] = Counter()
    for threads in kinds.values() or [online]:
        for each in _caches_of(files, min(threads), range(_OF_MANY_CORES)):
            counts[each.key] += max(1, len(threads) // len((each.shared & threads) or threads))
    left = set(online)
    while left:
        cpu = min(left)
        found = list(_caches_of(files, cpu, range(_OF_MANY_CORES, _OF_MANY_CORES + 2)))
        counts.update(each.key for each in found)
        left -= {cpu}.union(*(each.shared for each in found))
    for (level, kind, size), count in sorted(counts.items()):
        yield Cache(level, kind, size, count)


@dataclass(frozen=True)
class _SharedCache:
    """Cache, with the threads that share it."""

    key: tuple[int, str, int]
    shared: frozenset[int]


def _caches_of(files: Tree, cpu: int, levels: range) -> Iterator[_SharedCache]:
    folder = f"{_CPUS}/cpu{cpu}/cache"
    for index in files.names(folder):
        level = files.number(f"{folder}/{index}/level")
        if level not in levels:
            continue
        size, kind = _size(files.text(f"{folder}/{index}/size")), files.text(f"{folder}/{index}/type")
        if size and kind and level is not None:
            shared = files.numbers(f"{folder}/{index}/shared_cpu_list") or frozenset({cpu})
            yield _SharedCache((level, kind.lower(), size), shared)


def _size(text: str | None) -> int | None:
    """Return the bytes of a size as `32K`."""
    found = re.fullmatch(r"([0-9]{1,9})([KMG]?)", text or "")
    return int(found[1]) << _SHIFTS[found[2]] if found else None


def _frequencies(files: Tree) -> _Frequencies:
    """Return governor and bounds. Hybrid processors have policies of several bounds: the widest counts."""
    policies = [f"{_CPUS}/cpufreq/{name}" for name in files.names(f"{_CPUS}/cpufreq") if name.startswith("policy")]
    governors = {governor for each in policies if (governor := files.text(f"{each}/scaling_governor"))}
    greatest = [files.number(f"{each}/cpuinfo_max_freq") for each in policies]
    first = policies[0] if policies else f"{_CPUS}/cpu0/cpufreq"
    return _Frequencies(
        frequency_driver=files.text(f"{first}/scaling_driver"),
        governor=",".join(sorted(governors)) or None,
        min_mhz=_mhz(files.number(f"{first}/cpuinfo_min_freq")),
        base_mhz=_mhz(files.number(f"{first}/base_frequency")),
        max_mhz=_mhz(max(filter(None, greatest), default=None)),
        boost=_boost(files),
    )


def _mhz(khz: int | None) -> float | None:
    return khz / 1000 if khz else None


def _boost(files: Tree) -> bool | None:
    no_turbo = files.number(f"{_CPUS}/intel_pstate/no_turbo")
    if no_turbo is not None:
        return not no_turbo
    boost = files.number(f"{_CPUS}/cpufreq/boost")
    return None if boost is None else bool(boost)
