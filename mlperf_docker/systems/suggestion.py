"""Values of a system description that the facts of a host suggest."""

import re
from collections.abc import Iterable, Iterator

from mlperf_docker.display.sizes import readable
from mlperf_docker.host.facts import Disk, DiskKind, Gpu, HostFacts, NetworkCard, Processor
from mlperf_docker.results import host_text
from mlperf_docker.systems.keys import NOT_APPLICABLE

_DISKS = {
    DiskKind.NVME: "NVMe SSD",
    DiskKind.SSD: "SSD",
    DiskKind.HDD: "HDD",
    DiskKind.MMC: "eMMC or SD card",
    DiskKind.VIRTUAL: "virtual disk",
}
_OF_ACCELERATORS = (
    "accelerator_frequency",
    "accelerator_host_interconnect",
    "accelerator_interconnect",
    "accelerator_interconnect_topology",
    "accelerator_memory_configuration",
    "accelerator_on-chip_memories",
)


def suggested(host: HostFacts) -> dict[str, str]:
    """Return key → value, as far as the facts go, for a system of this one host."""
    found = {"number_of_nodes": "1", "host_networking_topology": NOT_APPLICABLE, "system_name": system_name(host)}
    found |= dict(_processor(host.processor))
    found |= dict(_memory(host))
    found |= dict(_disks(host.disks or ()))
    found |= dict(_network(host.network))
    found |= dict(_accelerators(host.gpus))
    found["operating_system"] = ", ".join(
        filter(None, (host.system.distribution, f"Linux {host.system.kernel}" if host.system.kernel else None))
    )
    if host.system.virtual:
        found["system_type_detail"] = host_text.virtual_text(host.system)
    return {key: value for key, value in found.items() if value}


def system_name(host: HostFacts) -> str:
    """Return machine, processors and accelerators in one line."""
    processors = _times(host.processor.sockets, host.processor.model)
    machine = " ".join(filter(None, (host.system.vendor, host.system.product)))
    gpus = (_times(gpu.count, gpu.name) for gpu in host.gpus or ())
    return ", ".join(filter(None, (machine, processors, *gpus)))


def folder_name(host: HostFacts) -> str:
    """Return a name for systems/<name>.json: the processors, the accelerators and the memory."""
    gpus = (f"{gpu.count}x-{gpu.name}" for gpu in host.gpus or ())
    text = "-".join(filter(None, (f"{host.processor.sockets or 1}x", host.processor.model or "cpu", *gpus)))
    return re.sub(r"[^a-z0-9.]+", "-", re.sub(r"\(\w+\)", "", text).lower()).strip("-.")[:80]


def _times(count: int | None, name: str | None) -> str:
    return f"{count}x {name}" if count and name else name or ""


def _processor(processor: Processor) -> Iterator[tuple[str, str]]:
    sockets = processor.sockets or 1
    yield "host_processor_model_name", processor.model or ""
    yield "host_processors_per_node", str(processor.sockets or "")
    yield "host_processor_core_count", str(processor.cores // sockets) if processor.cores else ""
    yield "host_processor_frequency", host_text.frequency_text(processor)
    yield "host_processor_caches", ", ".join(host_text.cache_text(each, sockets) for each in processor.caches)
    yield "host_processor_interconnect", NOT_APPLICABLE if processor.sockets == 1 else ""


def _memory(host: HostFacts) -> Iterator[tuple[str, str]]:
    installed = sum(each.size_bytes * each.count for each in host.memory.modules)
    size = installed or host.memory.size_bytes
    yield "host_memory_capacity", host_text.gib(size) if size else ""
    yield "host_memory_configuration", ", ".join(map(host_text.module_text, host.memory.modules))


def _disks(disks: Iterable[Disk]) -> Iterator[tuple[str, str]]:
    kinds = dict.fromkeys(_DISKS[each.kind] for each in disks)
    size = sum(each.size_bytes * each.count for each in disks)
    yield "host_storage_capacity", readable(size) if size else ""
    yield "host_storage_type", ", ".join(kinds)


def _network(cards: tuple[NetworkCard, ...] | None) -> Iterator[tuple[str, str]]:
    if cards is None:
        return
    yield "host_networking", ", ".join(dict.fromkeys(map(_network_kind, cards))) or NOT_APPLICABLE
    yield "host_network_card_count", str(sum(each.count for each in cards))


def _network_kind(card: NetworkCard) -> str:
    speed = f"{card.speed_mbit / 1000:g} Gbit/s " if card.speed_mbit else ""
    return f"{speed}{card.kind.capitalize()}"


def _accelerators(gpus: tuple[Gpu, ...] | None) -> Iterator[tuple[str, str]]:
    """Yield the accelerators; of a host without any, that there is nothing to say of them."""
    if gpus is None:
        return
    count = sum(each.count for each in gpus)
    yield "accelerators_per_node", str(count)
    yield "accelerator_model_name", ", ".join(dict.fromkeys(each.name for each in gpus)) or NOT_APPLICABLE
    sizes = dict.fromkeys(host_text.gib(each.memory_bytes) for each in gpus if each.memory_bytes)
    yield "accelerator_memory_capacity", ", ".join(sizes) or ("" if count else NOT_APPLICABLE)
    if count == 0:
        yield from ((key, NOT_APPLICABLE) for key in _OF_ACCELERATORS)
