"""Facts of a host as text for people, and the energy that its processors took."""

from collections.abc import Iterable, Iterator

from mlperf_docker.display.sizes import readable
from mlperf_docker.host.energy import Energy
from mlperf_docker.host.facts import Cache, Disk, Gpu, HostFacts, HostSystem, MemoryModule, NetworkCard, Processor

_GIB = 1 << 30
_UNKNOWN = "not known"


def summary(host: HostFacts) -> str:
    """A host in one line: processors, memory, GPUs, system."""
    parts = (
        processor_text(host.processor),
        f"{gib(host.memory.size_bytes)} of memory" if host.memory.size_bytes else None,
        "; ".join(map(gpu_text, host.gpus or ())) or None,
        host.system.distribution,
        virtual_text(host.system) if host.system.virtual else None,
    )
    return ", ".join(filter(None, parts)) or _UNKNOWN


def energy_text(energy: Energy) -> str:
    """Energy of a run in one line."""
    return f"{energy.joules:,.1f} J in {energy.seconds:.1f} s ({energy.watts:.1f} W, {energy.source})"


def host_lines(host: HostFacts) -> Iterator[tuple[str, str]]:
    """All facts of a host, a line each; lists have a line for each kind in them."""
    processor, memory, system, engine = host.processor, host.memory, host.system, host.engine
    yield "Machine", " ".join(filter(None, (system.vendor, system.product))) or _UNKNOWN
    yield "Virtual", virtual_text(system)
    yield "Processor", processor_text(processor) or _UNKNOWN
    yield from _several("Cores", (f"{each.cores} {each.name}" for each in processor.core_kinds))
    yield "NUMA nodes", _said(processor.numa_nodes)
    yield from _several("Caches", map(cache_text, processor.caches), _UNKNOWN)
    yield "Frequency", frequency_text(processor) or _UNKNOWN
    yield "Governor", processor.governor or _UNKNOWN
    yield "Memory", gib(memory.size_bytes) if memory.size_bytes else _UNKNOWN
    yield from _several("Modules", map(module_text, memory.modules), _UNKNOWN)
    yield "ECC", _said(memory.ecc)
    yield from _several("Network", map(network_text, host.network or ()), _none_or_unknown(host.network))
    yield from _several("Disks", map(disk_text, host.disks or ()), _none_or_unknown(host.disks))
    yield from _several("GPUs", map(gpu_text, host.gpus or ()), _none_or_unknown(host.gpus))
    yield "System", system.distribution or _UNKNOWN
    yield "Kernel", system.kernel or _UNKNOWN
    yield "Engine", " ".join(filter(None, (engine.name, engine.version, ", ".join(engine.runtimes)))) or _UNKNOWN


def host_table(host: HostFacts) -> dict[str, str]:
    """The same by title, lists in one line; what is not known is left out."""
    found: dict[str, list[str]] = {}
    for title, said in host_lines(host):
        if said != _UNKNOWN:
            found.setdefault(title or next(reversed(found)), []).append(said)
    return {title: "; ".join(texts) for title, texts in found.items()}


def processor_text(processor: Processor) -> str:
    """Model and counts."""
    counts = {"socket": processor.sockets, "core": processor.cores, "thread": processor.threads}
    said = ", ".join(f"{count} {name}{'s' if count > 1 else ''}" for name, count in counts.items() if count)
    return f"{processor.model} ({said})" if processor.model and said else processor.model or said


def frequency_text(processor: Processor) -> str:
    """Base and greatest frequency, as far as they are known."""
    known = {"base": processor.base_mhz, "up to": processor.max_mhz}
    return ", ".join(f"{name} {mhz / 1000:.4g} GHz" for name, mhz in known.items() if mhz)


def cache_text(cache: Cache, sockets: int = 1) -> str:
    """Count, level, kind and size; the count in one of so many *sockets*."""
    letter = {"data": "d", "instruction": "i"}.get(cache.kind, "")
    mib, rest = divmod(cache.size_bytes, 1 << 20)
    size = f"{mib} MiB" if not rest else f"{cache.size_bytes >> 10} KiB"
    return f"{max(1, cache.count // sockets)} x L{cache.level}{letter} {size}"


def module_text(module: MemoryModule) -> str:
    """Count, size, kind and speed."""
    kind = "-".join(map(str, filter(None, (module.kind, module.speed_mts))))
    return f"{module.count} x {gib(module.size_bytes)} {kind}".rstrip()


def network_text(card: NetworkCard) -> str:
    """Count, speed, kind, ports and driver."""
    speed = f"{card.speed_mbit / 1000:g} Gbit/s " if card.speed_mbit else ""
    ports = f", {card.ports} ports" if card.ports > 1 else ""
    driver = f" ({card.driver})" if card.driver else ""
    return f"{card.count} x {speed}{card.kind}{ports}{driver}"


def disk_text(disk: Disk) -> str:
    """Count, size, kind and model."""
    model = f" ({disk.model})" if disk.model else ""
    return f"{disk.count} x {readable(disk.size_bytes)} {disk.kind}{model}"


def gpu_text(gpu: Gpu) -> str:
    """Count, name, memory, power limit and driver."""
    memory = f"{gib(gpu.memory_bytes)}" if gpu.memory_bytes else None
    power = f"{gpu.power_limit_w:g} W" if gpu.power_limit_w else None
    driver = f"driver {gpu.driver}" if gpu.driver else None
    known = ", ".join(filter(None, (memory, power, driver)))
    return f"{gpu.count} x {gpu.name}{f' ({known})' if known else ''}"


def virtual_text(system: HostSystem) -> str:
    """Whether it is a virtual machine, and whose."""
    if system.virtual is None:
        return _UNKNOWN
    return f"virtual machine{f' ({system.hypervisor})' if system.hypervisor else ''}" if system.virtual else "no"


def gib(size_bytes: int) -> str:
    """Size of memory, which is counted in powers of two."""
    return f"{size_bytes / _GIB:.4g} GiB"


def _several(title: str, texts: Iterable[str], otherwise: str | None = None) -> Iterator[tuple[str, str]]:
    found = list(texts) or ([otherwise] if otherwise else [])
    yield from ((title if number == 0 else "", text) for number, text in enumerate(found))


def _none_or_unknown(found: tuple[object, ...] | None) -> str:
    return _UNKNOWN if found is None else "none"


def _said(value: object) -> str:
    if value is None:
        return _UNKNOWN
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)
