"""Reader of the memory: its size, and its modules where the firmware's tables or EDAC tell."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

from mlperf_docker.host import smbios
from mlperf_docker.host.facts import Memory, MemoryModule
from mlperf_docker.host.tree import Tree, whole

_EDAC = "/sys/devices/system/edac/mc"
_MIB = 1 << 20


def read(files: Tree) -> Memory:
    """Return what the tree tells of the memory. The firmware's tables know more than EDAC, but are often root's."""
    tables = smbios.tables(files)
    modules = list(smbios.modules(tables)) or list(_edac(files))
    return Memory(size_bytes=_size(files), modules=tuple(_grouped(modules)), ecc=smbios.ecc(tables, _edac_ecc(files)))


def _size(files: Tree) -> int | None:
    for line in (files.text("/proc/meminfo") or "").splitlines():
        name, _, value = line.partition(":")
        if name == "MemTotal" and (size_kib := whole(value.removesuffix("kB").strip())):
            return size_kib << 10
    return None


def _grouped(modules: Iterable[MemoryModule]) -> Iterator[MemoryModule]:
    for module, count in Counter(modules).items():
        yield replace(module, count=count)


def _dimms(files: Tree) -> Iterator[str]:
    """Yield the folders of the modules, or of the ranks where a driver knows no modules."""
    for controller in files.names(_EDAC):
        for name in files.names(f"{_EDAC}/{controller}"):
            if name.startswith(("dimm", "rank")) and files.number(f"{_EDAC}/{controller}/{name}/size"):
                yield f"{_EDAC}/{controller}/{name}"


def _edac(files: Tree) -> Iterator[MemoryModule]:
    for folder in _dimms(files):
        size = files.number(f"{folder}/size") or 0
        yield MemoryModule(size * _MIB, files.text(f"{folder}/dimm_mem_type"), None, 1)


def _edac_ecc(files: Tree) -> bool | None:
    modes = {mode for folder in _dimms(files) if (mode := files.text(f"{folder}/dimm_edac_mode"))} - {"Unknown"}
    return modes != {"None"} if modes else None
