"""Facts of hosts and energies as people read them."""

from pathlib import Path

from mlperf_docker.contract import json_values
from mlperf_docker.host.energy import Energy
from mlperf_docker.host.facts import Gpu, HostFacts, MemoryModule
from mlperf_docker.host.probing import probe
from mlperf_docker.host.tree import Tree
from mlperf_docker.results import host_text
from mlperf_docker.results.comparison import Comparison
from mlperf_docker.results.text import comparison_text, result_text
from tests.host import trees
from tests.results.run_results import ENERGY, HOST, run_result


def server(root: Path) -> HostFacts:
    return probe(Tree(trees.write(root, trees.TWO_SOCKETS)), lambda: "NVIDIA L4, 23034, 72.00, 580.95.05\n" * 2)


def test_a_summary_has_processors_memory_gpus_and_system(tmp_path: Path) -> None:
    assert host_text.summary(server(tmp_path)) == (
        "Big CPU (2 sockets, 8 cores, 16 threads), 503.5 GiB of memory, "
        "2 x NVIDIA L4 (22.49 GiB, 72 W, driver 580.95.05), Debian GNU/Linux 12 (bookworm)"
    )
    assert host_text.summary(HostFacts()) == "not known"


def test_lines_of_a_host_have_every_kind_in_its_lists(tmp_path: Path) -> None:
    lines = list(host_text.host_lines(server(tmp_path)))
    assert ("Caches", "8 x L1d 32 KiB") in lines
    assert ("", "2 x L3 32 MiB") in lines
    assert ("Network", "1 x 1 Gbit/s ethernet (igb)") in lines
    assert ("", "1 x 100 Gbit/s ethernet, 2 ports (mlx5_core)") in lines
    assert ("Disks", "2 x 1.92 TB nvme (SAMSUNG MZQL21T9HCJR-00A07)") in lines
    assert ("Modules", "8 x 64 GiB Registered-DDR5") in lines
    assert ("Frequency", "base 2 GHz, up to 3.7 GHz") in lines


def test_a_table_of_a_host_has_lists_in_one_line_and_nothing_unknown(tmp_path: Path) -> None:
    table = host_text.host_table(server(tmp_path))
    assert table["Caches"] == "8 x L1d 32 KiB; 8 x L1i 32 KiB; 8 x L2 1 MiB; 2 x L3 32 MiB"
    assert table["GPUs"] == "2 x NVIDIA L4 (22.49 GiB, 72 W, driver 580.95.05)"
    assert "Engine" not in table
    assert host_text.host_table(HostFacts()) == {}


def test_lines_of_an_unknown_host_say_so_in_each() -> None:
    assert {text for _, text in host_text.host_lines(HostFacts())} == {"not known"}


def test_parts_of_a_host_that_are_not_known_are_left_out() -> None:
    assert host_text.gpu_text(Gpu("Odd", None, None, None, 1)) == "1 x Odd"
    assert host_text.module_text(MemoryModule(16 << 30, "DDR5", 4400, 3)) == "3 x 16 GiB DDR5-4400"


def test_a_result_shows_its_host_and_energy(tmp_path: Path) -> None:
    shown = result_text(run_result(host=json_values.fields(server(tmp_path)), energy=ENERGY))
    assert "Host:        Big CPU (2 sockets" in shown
    assert "Energy:      128.0 J in 10.0 s (12.8 W, RAPL packages)" in shown
    for other in (None, {"processor": "of another version"}):
        assert "Host:" not in result_text(run_result(host=other))


def test_a_comparison_has_energy_as_a_figure_and_hosts_as_facts(tmp_path: Path) -> None:
    host = json_values.fields(server(tmp_path))
    other = {**host, "processor": {**host["processor"], "governor": "performance"}}
    compared = comparison_text(
        Comparison((run_result(host=host, energy=ENERGY), run_result(host=other, energy={**ENERGY, "joules": 64.0})))
    )
    assert "2 J/sample" in compared
    assert "1 J/sample (0.5 x)" in compared
    assert "host.processor.governor" in compared
    assert "joules" not in compared


def test_facts_that_no_host_has_are_not_shown() -> None:
    for size in (10**400, -(10**30)):
        odd = {**HOST, "memory": {"size_bytes": size}}
        assert "Host:" not in result_text(run_result(host=odd))


def test_an_energy_for_each_of_an_odd_count_of_samples_is_none() -> None:
    assert run_result(energy=ENERGY).joules_per_sample == 2.0
    for samples in (0, -1, 10**400):
        assert run_result(energy=ENERGY, samples=samples).joules_per_sample is None
    assert run_result().joules_per_sample is None


def test_an_energy_of_a_result_is_read_back() -> None:
    energy = run_result(energy=ENERGY).energy
    assert energy is not None
    assert Energy(energy.source, energy.joules, energy.seconds, energy.watts) == Energy(**ENERGY)  # type: ignore[arg-type]
