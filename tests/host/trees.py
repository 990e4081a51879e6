"""Trees of /proc and /sys as machines of several shapes have them, made up."""

from collections.abc import Mapping
from pathlib import Path

Files = Mapping[str, str]
"""Path → text; one that begins with `->` is a link to the rest."""

CPU = "/sys/devices/system/cpu"
SECRETS = ("SERIAL-7", "00:11:22:33:44:55", "10.1.2.3", "my-host-name", "enx001122334455", "GPU-uuid-9")
"""What names a machine, and stands in the trees."""


def write(root: Path, files: Files) -> Path:
    """Write *files* below *root*."""
    for name, text in files.items():
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        if text.startswith("->"):
            path.symlink_to(text[2:])
        else:
            path.write_text(text)
    return root


def listed(numbers: range | list[int]) -> str:
    return ",".join(map(str, numbers)) + "\n"


def cpuinfo(threads: int, **fields: str) -> str:
    """Return /proc/cpuinfo; fields have `_` for a blank and may count: `{cpu}`."""
    lines = {name.replace("_", " "): text for name, text in fields.items()}
    return "".join(
        "".join(f"{name}\t: {text.format(cpu=cpu)}\n" for name, text in {"processor": "{cpu}", **lines}.items()) + "\n"
        for cpu in range(threads)
    )


def caches(cpu: int, shared: Mapping[tuple[int, str, str], list[int]]) -> dict[str, str]:
    """Return the files of a thread's caches: (level, type, size) → the threads that share it."""
    found: dict[str, str] = {}
    for index, ((level, kind, size), threads) in enumerate(shared.items()):
        folder = f"{CPU}/cpu{cpu}/cache/index{index}"
        found |= {f"{folder}/level": f"{level}\n", f"{folder}/type": f"{kind}\n", f"{folder}/size": f"{size}\n"}
        found[f"{folder}/shared_cpu_list"] = listed(threads)
    return found


def thread(cpu: int, package: int, siblings: list[int]) -> dict[str, str]:
    folder = f"{CPU}/cpu{cpu}/topology"
    return {f"{folder}/physical_package_id": f"{package}\n", f"{folder}/thread_siblings_list": listed(siblings)}


def policy(cpu: int, greatest: int, governor: str = "powersave") -> dict[str, str]:
    folder = f"{CPU}/cpufreq/policy{cpu}"
    return {
        f"{folder}/scaling_governor": f"{governor}\n",
        f"{folder}/scaling_driver": "intel_pstate\n",
        f"{folder}/cpuinfo_min_freq": "800000\n",
        f"{folder}/cpuinfo_max_freq": f"{greatest}\n",
        f"{folder}/base_frequency": "2000000\n",
    }


def port(name: str, card: str, speed: str, driver: str = "mlx5_core") -> dict[str, str]:
    """Return a network port in the PCI slot *card*."""
    device = f"/sys/devices/pci0000:00/{card}"
    folder = f"{device}/net/{name}"
    return {
        f"/sys/class/net/{name}": f"->../../devices/pci0000:00/{card}/net/{name}",
        f"{folder}/device": f"->../../../{card}",
        f"{folder}/type": "1\n",
        f"{folder}/speed": speed,
        f"{folder}/address": "00:11:22:33:44:55\n",
        f"{device}/driver": f"->../../../bus/pci/drivers/{driver}",
    }


def disk(name: str, sectors: int, model: str, rotational: int = 0, **others: str) -> dict[str, str]:
    folder = f"/sys/block/{name}"
    found = {"size": f"{sectors}\n", "device/model": f"{model}\n", "queue/rotational": f"{rotational}\n"}
    found |= {"device/serial": "SERIAL-7\n", "removable": "0\n", **others}
    return {f"{folder}/{path}": text for path, text in found.items()}


def many(sockets: int, cores: int) -> dict[str, str]:
    """Return a machine of many cores with two threads each, and a policy for every thread."""
    half = sockets * cores
    found = {
        f"{CPU}/online": f"0-{2 * half - 1}\n",
        "/proc/cpuinfo": cpuinfo(2 * half, model_name="Big CPU", flags="fpu avx512f"),
        "/proc/self/status": f"Name:\tpython\nCpus_allowed_list:\t0-{2 * half - 1}\n",
        "/sys/devices/system/node/online": f"0-{sockets - 1}\n",
    }
    for cpu in range(2 * half):
        core = cpu % half
        own = [core, core + half]
        package = core // cores
        chiplet = range(core // 4 * 4, core // 4 * 4 + 4)
        found |= thread(cpu, package, own) | policy(cpu, 3_700_000)
        found |= caches(
            cpu,
            {
                (1, "Data", "32K"): own,
                (1, "Instruction", "32K"): own,
                (2, "Unified", "1024K"): own,
                (3, "Unified", "32768K"): [*chiplet, *(each + half for each in chiplet)],
            },
        )
    return found


TWO_SOCKETS: Files = {
    **many(2, 4),
    **policy(3, 3_700_000, "performance"),
    "/proc/meminfo": "MemTotal:       528000000 kB\nMemFree: 1 kB\n",
    "/proc/version": "Linux\n",
    "/proc/sys/kernel/osrelease": "6.1.0-18-amd64\n",
    "/proc/sys/kernel/arch": "x86_64\n",
    "/proc/sys/kernel/hostname": "my-host-name\n",
    "/etc/hostname": "my-host-name\n",
    "/etc/os-release": 'ID=debian\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
    f"{CPU}/intel_pstate/no_turbo": "0\n",
    "/sys/class/dmi/id/sys_vendor": "Dell Inc.\n",
    "/sys/class/dmi/id/product_name": "PowerEdge R750\n",
    "/sys/class/dmi/id/product_serial": "SERIAL-7\n",
    **{f"/sys/devices/system/edac/mc/mc{mc}/dimm{dimm}/{name}": text
       for mc in range(2) for dimm in range(4)
       for name, text in {"size": "65536\n", "dimm_mem_type": "Registered-DDR5\n",
                          "dimm_edac_mode": "SECDED\n"}.items()},
    "/sys/devices/system/edac/mc/mc0/dimm4/size": "0\n",
    **port("ens1f0np0", "0000:3b:00.0", "100000\n"),
    **port("enx001122334455", "0000:3b:00.1", "-1\n"),
    **port("eno1", "0000:04:00.0", "1000\n", "igb"),
    **port("ens1f0v0", "0000:3b:00.2", "100000\n"),
    "/sys/devices/pci0000:00/0000:3b:00.2/physfn": "->../0000:3b:00.0",
    "/sys/class/net/docker0/type": "1\n",
    "/sys/class/net/docker0/address": "00:11:22:33:44:55\n",
    "/sys/class/net/lo/type": "772\n",
    **disk("nvme0n1", 3_750_748_848, "SAMSUNG MZQL21T9HCJR-00A07"),
    **disk("nvme1n1", 3_750_748_848, "SAMSUNG MZQL21T9HCJR-00A07"),
    **disk("nvme0c0n1", 3_750_748_848, "path", hidden="1\n"),
    **disk("sda", 7_814_037_168, "ST4000NM0035-1V4", 1),
    **disk("sdb", 937_703_088, "MTFDDAK480TDT"),
    **disk("sdc", 60_000_000, "USB stick", removable="1\n"),
    **disk("sdd", 0, "empty card reader"),
    **disk("loop0", 8, "none"),
    **disk("dm-0", 8, "none"),
    "/proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.95.05  Tue Sep 23\n",
    "/proc/driver/nvidia/gpus/0000:17:00.0/information": "Model: \t\t NVIDIA L4\nGPU UUID: \t GPU-uuid-9\n",
    "/proc/driver/nvidia/gpus/0000:65:00.0/information": "Model: \t\t NVIDIA L4\nGPU UUID: \t GPU-uuid-9\n",
}  # fmt: skip
"""A server: two sockets of four cores with two threads, one governor of another kind."""

ARM: Files = {
    "/proc/cpuinfo": cpuinfo(4, CPU_implementer="0x41", CPU_part="0xd0c", Features="fp asimd"),
    "/proc/sys/kernel/arch": "aarch64\n",
    "/proc/sys/kernel/osrelease": "6.8.0-arm64\n",
    "/proc/meminfo": "MemTotal: 16000000 kB\n",
    "/etc/os-release": "PRETTY_NAME=Ubuntu\\ 24.04\n",
    "/proc/device-tree/model": "Some Board\0",
    f"{CPU}/online": "0-3\n",
    f"{CPU}/cpu0/cpu_capacity": "1024\n",
    **{path: text for cpu in range(4) for path, text in thread(cpu, 0, [cpu]).items()},
    **disk("mmcblk0", 62_333_952, "SD"),
}
"""A board with a device tree, all of its cores alike."""

BIG_LITTLE: Files = {
    **ARM,
    "/proc/cpuinfo": cpuinfo(2, CPU_implementer="0x41", CPU_part="0xd03")
    + cpuinfo(4, CPU_implementer="0x41", CPU_part="0xd08").partition("processor\t: 2")[1]
    + cpuinfo(4, CPU_implementer="0x41", CPU_part="0xd08").partition("processor\t: 2")[2],
}
"""The same with cores of two kinds."""

BARE_PROC: Files = {
    "/proc/cpuinfo": "".join(
        cpuinfo(4, model_name="Intel(R)  Xeon(R) CPU @ 2.20GHz", flags="fpu hypervisor", physical_id="0", core_id=core)
        .split("\n\n")[cpu] + "\n\n"
        for cpu, core in enumerate(("0", "0", "1", "1"))
    ),
    "/proc/meminfo": "MemTotal: 8000000 kB\n",
    "/proc/sys/kernel/osrelease": "4.4.0\n",
    "/proc/version": "Linux version 4.4.0\n",
}  # fmt: skip
"""A virtual machine, or a sandbox, with nothing in /sys."""

WSL: Files = {
    f"{CPU}/online": "0-1\n",
    **thread(0, 0, [0, 1]),
    **thread(1, 0, [0, 1]),
    "/proc/cpuinfo": cpuinfo(2, model_name="AMD Ryzen 7", flags="fpu hypervisor"),
    "/proc/sys/kernel/osrelease": "5.15.153.1-microsoft-standard-WSL2\n",
    "/proc/version": "Linux\n",
    "/dev/dxg": "",
    "/proc/meminfo": "MemTotal: 16000000 kB\n",
    "/etc/os-release": "PRETTY_NAME=Ubuntu\n",
    **disk("sda", 2_000_000, "Virtual Disk", 1, **{"device/vendor": "Msft\n"}),
    "/sys/class/net/eth0/type": "1\n",
    "/sys/class/net/eth0/device/x": "",
    "/sys/class/net/eth0/speed": "10000\n",
}

HYBRID: Files = {
    f"{CPU}/online": "0-7\n",
    "/sys/devices/cpu_core/cpus": "0-3\n",
    "/sys/devices/cpu_atom/cpus": "4-7\n",
    "/proc/cpuinfo": cpuinfo(8, model_name="Core i5", flags="fpu"),
    **{path: text for cpu in range(4) for path, text in thread(cpu, 0, [cpu & 2, (cpu & 2) + 1]).items()},
    **{path: text for cpu in range(4, 8) for path, text in thread(cpu, 0, [cpu]).items()},
    **{path: text for cpu in range(4) for path, text in caches(cpu, {
        (1, "Data", "48K"): [cpu & 2, (cpu & 2) + 1],
        (2, "Unified", "1280K"): [cpu & 2, (cpu & 2) + 1],
        (3, "Unified", "12M"): [*range(8)]}).items()},
    **{path: text for cpu in range(4, 8) for path, text in caches(cpu, {
        (1, "Data", "32K"): [cpu],
        (2, "Unified", "2048K"): [4, 5, 6, 7],
        (3, "Unified", "12M"): [*range(8)]}).items()},
    **policy(0, 4_900_000),
    **policy(4, 3_600_000),
}  # fmt: skip
"""Two cores of two threads, and four efficient ones that share a cache."""

SHAPES: dict[str, Files] = {
    "two sockets": TWO_SOCKETS,
    "arm": ARM,
    "big and little": BIG_LITTLE,
    "only /proc": BARE_PROC,
    "wsl": WSL,
    "hybrid": HYBRID,
    "nothing": {},
}
