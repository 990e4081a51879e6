"""Memory modules of the firmware's tables, which most hosts keep for root."""

import struct
from pathlib import Path

import pytest

from mlperf_docker.host import memory, smbios
from mlperf_docker.host.facts import MemoryModule
from mlperf_docker.host.tree import Tree

DDR5, DDR4, OTHER = 0x22, 0x1A, 0x01


def structure(kind: int, body: bytes, texts: bytes = b"SERIAL-7\0") -> bytes:
    return bytes((kind, len(body) + 4, 0, 0)) + body + texts + b"\0"


def module(size: int, kind: int = DDR5, speed: int = 4800, configured: int = 4400, extended: int = 0) -> bytes:
    body = bytearray(0x54 - 4)
    struct.pack_into("<H", body, 0x0C - 4, size)
    body[0x12 - 4] = kind
    struct.pack_into("<H", body, 0x15 - 4, speed)
    struct.pack_into("<I", body, 0x1C - 4, extended)
    struct.pack_into("<H", body, 0x20 - 4, configured)
    return structure(17, bytes(body))


def array(correction: int) -> bytes:
    return structure(16, bytes((3, 3, correction, 0)))


def test_modules_have_size_kind_and_configured_speed() -> None:
    found = list(smbios.modules(module(16384) + structure(1, b"abc") + module(0) + module(0xFFFF) + module(512, OTHER)))
    assert found == [MemoryModule(16 << 30, "DDR5", 4400, 1), MemoryModule(512 << 20, None, 4400, 1)]


def test_sizes_of_a_module_may_be_extended_or_in_kib() -> None:
    sizes = [each.size_bytes for each in smbios.modules(module(0x7FFF, extended=65536) + module(0x8000 | 512))]
    assert sizes == [64 << 30, 512 << 10]


def test_the_speed_of_a_module_is_its_greatest_where_none_is_configured() -> None:
    found = smbios.modules(module(1024, DDR4, 3200, 0) + module(1024, DDR4, 0xFFFF, 0))
    assert [(each.kind, each.speed_mts) for each in found] == [("DDR4", 3200), ("DDR4", None)]


@pytest.mark.parametrize(
    ("corrections", "told"), [((6, 5), True), ((6, 3), False), ((3,), False), ((2,), None), ((), None)]
)
def test_ecc_is_that_of_all_arrays(corrections: tuple[int, ...], told: bool | None) -> None:
    assert smbios.ecc(b"".join(map(array, corrections)), None) is told


def test_damaged_tables_end_where_they_are_damaged() -> None:
    whole = module(16384) + array(6)
    for length in range(len(whole)):
        assert len(list(smbios.modules(whole[:length]))) <= 1
    assert len(list(smbios.modules(module(16384) + b"\x11\x00" + module(16384)))) == 1


def test_tables_come_before_edac_and_alike_modules_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "sys/firmware/dmi/tables/DMI"
    path.parent.mkdir(parents=True)
    path.write_bytes(array(6) + module(16384) * 3)
    edac = tmp_path / "sys/devices/system/edac/mc/mc0/dimm0"
    edac.mkdir(parents=True)
    (edac / "size").write_text("1\n")
    found = memory.read(Tree(tmp_path))
    assert (found.modules, found.ecc) == ((MemoryModule(16 << 30, "DDR5", 4400, 3),), True)
