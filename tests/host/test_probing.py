"""Facts of hosts of several shapes: what is told is right, what is unknown is None, and nothing raises."""

import json
import os
import random
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mlperf_docker.contract import json_values
from mlperf_docker.host import facts
from mlperf_docker.host.facts import (
    Cache,
    CoreKind,
    Disk,
    DiskKind,
    Gpu,
    HostFacts,
    HostSystem,
    Memory,
    MemoryModule,
    NetworkCard,
    Processor,
)
from mlperf_docker.host.probing import probe
from mlperf_docker.host.tree import Tree
from tests.host import trees
from tests.tries import in_time

MOST_S = 0.020
NO_SMI: Callable[[], str | None] = lambda: None  # noqa: E731


def of(root: Path, files: trees.Files, smi: str | None = None) -> HostFacts:
    return probe(Tree(trees.write(root, files)), lambda: smi)


def test_a_server_of_two_sockets_is_told_in_full(tmp_path: Path) -> None:
    found = of(tmp_path, trees.TWO_SOCKETS)
    assert found.processor == Processor(
        model="Big CPU",
        architecture="x86_64",
        sockets=2,
        cores=8,
        threads=16,
        usable_threads=16,
        numa_nodes=2,
        caches=(
            Cache(1, "data", 32 << 10, 8),
            Cache(1, "instruction", 32 << 10, 8),
            Cache(2, "unified", 1 << 20, 8),
            Cache(3, "unified", 32 << 20, 2),
        ),
        frequency_driver="intel_pstate",
        governor="performance,powersave",
        min_mhz=800.0,
        base_mhz=2000.0,
        max_mhz=3700.0,
        boost=True,
    )
    assert found.memory == Memory(528_000_000 << 10, (MemoryModule(64 << 30, "Registered-DDR5", None, 8),), ecc=True)
    assert found.system == HostSystem(
        "Dell Inc.", "PowerEdge R750", False, None, "6.1.0-18-amd64", "Debian GNU/Linux 12 (bookworm)"
    )
    assert found.network == (
        NetworkCard("ethernet", "igb", 1000, 1, 1),
        NetworkCard("ethernet", "mlx5_core", 100_000, 2, 1),
    )
    assert found.disks == (
        Disk(DiskKind.NVME, "SAMSUNG MZQL21T9HCJR-00A07", 1_920_383_410_176, 2),
        Disk(DiskKind.HDD, "ST4000NM0035-1V4", 4_000_787_030_016, 1),
        Disk(DiskKind.SSD, "MTFDDAK480TDT", 480_103_981_056, 1),
    )
    assert found.gpus == (Gpu("NVIDIA L4", None, None, "580.95.05", 2),)


def test_nvidia_smi_tells_more_of_gpus_than_the_driver(tmp_path: Path) -> None:
    lines = "NVIDIA L4, 23034, 72.00, 580.95.05\nNVIDIA L4, 23034, 72.00, 580.95.05\nOdd, [N/A], [N/A], 1\nbroken\n"
    assert of(tmp_path, trees.TWO_SOCKETS, lines).gpus == (
        Gpu("NVIDIA L4", 23034 << 20, 72.0, "580.95.05", 2),
        Gpu("Odd", None, None, "1", 1),
    )


def test_nvidia_smi_is_not_asked_without_a_driver(tmp_path: Path) -> None:
    def asked() -> str:
        raise AssertionError("asked")

    assert probe(Tree(trees.write(tmp_path, trees.BARE_PROC)), asked).gpus == ()


def test_an_arm_board_is_known_by_its_cores_number(tmp_path: Path) -> None:
    found = of(tmp_path, trees.ARM)
    assert (found.processor.model, found.processor.architecture) == ("Arm Neoverse N1", "aarch64")
    assert (found.processor.sockets, found.processor.cores, found.processor.core_kinds) == (1, 4, ())
    assert found.system == HostSystem(None, "Some Board", False, None, "6.8.0-arm64", "Ubuntu 24.04")
    assert found.disks == (Disk(DiskKind.MMC, "SD", 62_333_952 * 512, 1),)


def test_a_virtual_arm_machine_is_known_by_its_firmware(tmp_path: Path) -> None:
    ec2 = {"/sys/class/dmi/id/sys_vendor": "Amazon EC2\n", "/sys/class/dmi/id/product_name": "m7g.large\n"}
    assert of(tmp_path / "small", {**trees.ARM, **ec2}).system.hypervisor == "kvm"
    ec2["/sys/class/dmi/id/product_name"] = "m7g.metal\n"
    assert of(tmp_path / "whole", {**trees.ARM, **ec2}).system.virtual is False


def test_arm_cores_of_two_kinds_are_counted_apart(tmp_path: Path) -> None:
    kinds = of(tmp_path, trees.BIG_LITTLE).processor.core_kinds
    assert kinds == (CoreKind("Arm Cortex-A53", 2), CoreKind("Arm Cortex-A72", 2))


def test_hybrid_cores_have_their_own_counts_and_caches(tmp_path: Path) -> None:
    found = of(tmp_path, trees.HYBRID).processor
    assert (found.cores, found.threads, found.max_mhz) == (6, 8, 4900.0)
    assert found.core_kinds == (CoreKind("performance", 2), CoreKind("efficiency", 4))
    assert found.caches == (
        Cache(1, "data", 32 << 10, 4),
        Cache(1, "data", 48 << 10, 2),
        Cache(2, "unified", 1280 << 10, 2),
        Cache(2, "unified", 2 << 20, 1),
        Cache(3, "unified", 12 << 20, 1),
    )


def test_a_machine_with_only_proc_is_told_from_cpuinfo(tmp_path: Path) -> None:
    found = of(tmp_path, trees.BARE_PROC)
    assert found.processor == Processor(
        model="Intel(R) Xeon(R) CPU @ 2.20GHz", sockets=1, cores=2, threads=4, usable_threads=None
    )
    assert (found.system.virtual, found.system.hypervisor) == (True, None)
    assert (found.network, found.disks, found.gpus) == (None, None, ())


def test_wsl_is_a_virtual_machine_with_virtual_disks(tmp_path: Path) -> None:
    found = of(tmp_path, trees.WSL)
    assert (found.system.virtual, found.system.hypervisor) == (True, "wsl")
    assert found.disks == (Disk(DiskKind.VIRTUAL, "Virtual Disk", 2_000_000 * 512, 1),)
    assert found.network == (NetworkCard("ethernet", None, 10_000, 1, 1),)


def test_offline_threads_do_not_count(tmp_path: Path) -> None:
    """Socket 1 is off, and the second thread of core 0."""
    found = of(tmp_path, {**trees.TWO_SOCKETS, f"{trees.CPU}/online": "0-3,9-11\n"}).processor
    assert (found.sockets, found.cores, found.threads) == (1, 4, 7)
    assert found.caches[-1].count == 1


def test_a_cpuset_leaves_fewer_usable_threads(tmp_path: Path) -> None:
    status = {"/proc/self/status": "Cpus_allowed_list:\t2-5,40\n"}
    found = of(tmp_path, {**trees.TWO_SOCKETS, **status}).processor
    assert (found.threads, found.usable_threads) == (16, 4)


def test_a_host_of_which_nothing_can_be_read_has_no_facts(tmp_path: Path) -> None:
    assert of(tmp_path, {}) == HostFacts()


ODD: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_text(""),
    "folder": lambda path: path.mkdir(),
    "binary": lambda path: path.write_bytes(bytes(range(256))),
    "huge number": lambda path: path.write_text("9" * 5000),
    "backward list": lambda path: path.write_text("9-1,4-\n"),
    "endless list": lambda path: path.write_text("0-99999999999\n"),
    "colons": lambda path: path.write_text(":::\n" * 50),
    "fifo": os.mkfifo,
    "nowhere": lambda path: path.symlink_to("nowhere"),
    "circle": lambda path: path.symlink_to(path.name),
    "gone": lambda _: None,
}


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("shape", [shape for shape in trees.SHAPES if shape != "nothing"])
def test_no_odd_file_makes_a_probe_raise(tmp_path: Path, shape: str, kind: str) -> None:
    """Each file in turn is odd, of many alike the first; then a third of all."""
    files = trees.SHAPES[shape]
    root = trees.write(tmp_path, files)
    spoilt = [path for path in map(root.joinpath, (each.lstrip("/") for each in files)) if path.is_file()]
    alone = {"".join(letter for letter in str(path) if not letter.isdigit()): path for path in reversed(spoilt)}
    for path in alone.values():
        whole = path.read_bytes()
        spoil(path, kind)
        assert facts.read(json.loads(json.dumps(json_values.fields(probe(Tree(root), NO_SMI)))))
        restore(path, whole)
    for path in random.Random(kind).sample(spoilt, len(spoilt) // 3):  # noqa: S311  # no secret
        spoil(path, kind)
    assert probe(Tree(root), NO_SMI)


def spoil(path: Path, kind: str) -> None:
    path.unlink()
    ODD[kind](path)


def restore(path: Path, content: bytes) -> None:
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)
    path.write_bytes(content)


@pytest.mark.parametrize("shape", trees.SHAPES)
def test_facts_of_a_result_are_read_back_as_they_were(tmp_path: Path, shape: str) -> None:
    found = of(tmp_path, trees.SHAPES[shape])
    fields = json.loads(json.dumps(json_values.fields(found)))
    assert facts.read({**fields, "a key of tomorrow": 1}) == found


@pytest.mark.parametrize("found", [None, {}, {"processor": 1}, {"disks": [{"kind": "tape"}]}, {"gpus": "many"}])
def test_facts_of_another_version_are_none(found: dict[str, object] | None) -> None:
    assert facts.read(found) is None


def test_no_fact_names_the_machine(tmp_path: Path) -> None:
    told = json.dumps(json_values.fields(of(tmp_path, trees.TWO_SOCKETS)))
    assert [secret for secret in trees.SECRETS if secret in told] == []


def test_this_host_is_probed_without_a_root() -> None:
    found = probe()
    assert found.processor.threads == os.sysconf("SC_NPROCESSORS_ONLN")
    assert found.processor.usable_threads in (len(os.sched_getaffinity(0)), None)
    assert found.system.kernel == os.uname().release
    assert found.memory.size_bytes == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert os.uname().nodename not in json.dumps(json_values.fields(replace(found, system=HostSystem()))).split('"')


def test_a_probe_of_64_cores_takes_no_20_ms(tmp_path: Path) -> None:
    files = Tree(trees.write(tmp_path, {**trees.TWO_SOCKETS, **trees.many(2, 32)}))

    def taken() -> float:
        start = time.thread_time()
        probe(files, NO_SMI)
        return time.thread_time() - start

    assert in_time(taken, lambda seconds: seconds < MOST_S) < MOST_S
