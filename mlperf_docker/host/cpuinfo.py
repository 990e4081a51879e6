"""Fields of /proc/cpuinfo, whose names differ between architectures, and names of Arm cores by their numbers."""

from collections.abc import Iterator, Mapping

from mlperf_docker.host.tree import Tree, whole

_PATH = "/proc/cpuinfo"
_MOST_BYTES = 1 << 20

# The kernel's names: arch/arm64/include/asm/cputype.h. Servers, and single-board computers on which MLPerf is run.
_ARM = {
    ("0x41", "0xd03"): "Arm Cortex-A53",
    ("0x41", "0xd05"): "Arm Cortex-A55",
    ("0x41", "0xd08"): "Arm Cortex-A72",
    ("0x41", "0xd0b"): "Arm Cortex-A76",
    ("0x41", "0xd41"): "Arm Cortex-A78",
    ("0x41", "0xd42"): "Arm Cortex-A78AE",
    ("0x41", "0xd44"): "Arm Cortex-X1",
    ("0x41", "0xd0c"): "Arm Neoverse N1",
    ("0x41", "0xd40"): "Arm Neoverse V1",
    ("0x41", "0xd49"): "Arm Neoverse N2",
    ("0x41", "0xd4f"): "Arm Neoverse V2",
    ("0x41", "0xd83"): "Arm Neoverse V3AE",
    ("0x41", "0xd84"): "Arm Neoverse V3",
    ("0x41", "0xd8e"): "Arm Neoverse N3",
    ("0x43", "0x0af"): "Cavium ThunderX2",
    ("0x46", "0x001"): "Fujitsu A64FX",
    ("0x48", "0xd01"): "HiSilicon Kunpeng 920",
    ("0x4e", "0x004"): "NVIDIA Carmel",
    ("0x6d", "0xd49"): "Microsoft Azure Cobalt 100",
    ("0xc0", "0xac3"): "Ampere-1",
    ("0xc0", "0xac4"): "Ampere-1a",
}

Fields = Mapping[str, str]


def blocks(tree: Tree, most: int = _MOST_BYTES) -> list[Fields]:
    """Return the fields of each processor, their names in lower case, as far as *most* bytes go."""
    text = (tree.data(_PATH, most) or b"").decode(errors="replace")
    return [found for block in text.split("\n\n") if (found := dict(_fields(block)))]


def _fields(block: str) -> Iterator[tuple[str, str]]:
    for line in block.splitlines():
        name, colon, value = line.partition(":")
        if colon and value.strip():
            yield name.strip().lower(), value.strip()


def number(fields: Fields) -> int | None:
    """Return the number of a thread."""
    return whole(fields.get("processor"))


def model(fields: Fields) -> str | None:
    """Return the model of a processor: of an Arm core by its number, as most kernels give no name."""
    arm = _ARM.get((fields.get("cpu implementer", ""), fields.get("cpu part", "")))
    found = arm or fields.get("model name") or fields.get("cpu") or fields.get("uarch")
    return " ".join(found.split()) if found else None
