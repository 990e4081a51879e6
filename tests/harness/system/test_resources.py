"""Memory and threads that a container may use, by the kernel's files."""

from pathlib import Path

import pytest

from mlperf_docker.harness.system.resources import free_memory, free_threads

GIB = 1 << 30


@pytest.fixture
def host(tmp_path: Path) -> Path:
    path = tmp_path / "meminfo"
    path.write_text(f"MemTotal:       {16 << 20} kB\nMemFree:  1 kB\nMemAvailable:   {8 << 20} kB\n")
    return path


def test_without_a_limit_the_host_decides(tmp_path: Path, host: Path) -> None:
    assert free_memory(tmp_path / "none", host) == 8 * GIB
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("123\n")
    assert free_memory(tmp_path, host) == 8 * GIB


def test_a_limit_counts_and_cached_files_do_not(tmp_path: Path, host: Path) -> None:
    (tmp_path / "memory.max").write_text(f"{4 * GIB}\n")
    (tmp_path / "memory.current").write_text(f"{3 * GIB}\n")
    assert free_memory(tmp_path, host) == GIB
    (tmp_path / "memory.stat").write_text(f"anon {GIB}\ninactive_file {2 * GIB}\nactive_file 7\n")
    assert free_memory(tmp_path, host) == 3 * GIB
    (tmp_path / "memory.current").write_text(f"{9 * GIB}\n")
    assert free_memory(tmp_path, host) == 0


def test_limits_are_read_from_the_first_version_of_cgroups(tmp_path: Path, host: Path) -> None:
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory/memory.limit_in_bytes").write_text(f"{2 * GIB}\n")
    (tmp_path / "memory/memory.usage_in_bytes").write_text(f"{GIB}\n")
    (tmp_path / "memory/memory.stat").write_text(f"inactive_file 1\ntotal_inactive_file {GIB // 2}\n")
    assert free_memory(tmp_path, host) == GIB + GIB // 2


def test_threads_are_the_kernels_limit_cut_to_the_cgroups(tmp_path: Path) -> None:
    (tmp_path / "threads-max").write_text("50\n")
    assert free_threads(tmp_path / "none", tmp_path) == 50
    (tmp_path / "pids.max").write_text("40\n")
    (tmp_path / "pids.current").write_text("30\n")
    assert free_threads(tmp_path, tmp_path) == 10
    (tmp_path / "pids.max").write_text("max\n")
    assert free_threads(tmp_path, tmp_path) == 50
    (tmp_path / "pids").mkdir()
    (tmp_path / "pids/pids.max").write_text("20\n")
    (tmp_path / "pids/pids.current").write_text("21\n")
    assert free_threads(tmp_path, tmp_path) == 0
