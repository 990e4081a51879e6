"""Energy by RAPL's counters, in trees as Intel's and AMD's hosts have them."""

from pathlib import Path

import pytest

from mlperf_docker.host import energy
from mlperf_docker.host.energy import Energy, Meter
from mlperf_docker.host.tree import Tree
from tests.host import trees

RANGE_UJ = 262_143_328_850
POWERCAP = "/sys/class/powercap"
ZONES = {
    "intel-rapl:0": "package-0",
    "intel-rapl:0:0": "core",
    "intel-rapl:0:1": "dram",
    "intel-rapl:1": "package-1",
    "intel-rapl:2": "psys",
    "intel-rapl-mmio:0": "package-0",
}


class Host:
    """A host with counters, and a clock of its own."""

    def __init__(self, root: Path, zones: dict[str, str]) -> None:
        self.root, self.now = root, 100.0
        for zone, name in zones.items():
            folder = f"{POWERCAP}/{zone}"
            trees.write(root, {f"{folder}/name": f"{name}\n", f"{folder}/max_energy_range_uj": f"{RANGE_UJ}\n"})
            self.count(zone, 0)
        trees.write(root, {f"{POWERCAP}/intel-rapl/enabled": "1\n"})

    def count(self, zone: str, microjoules: int) -> None:
        (self.root / POWERCAP[1:] / zone / "energy_uj").write_text(f"{microjoules}\n")

    def meter(self) -> Meter:
        return Meter(Tree(self.root), lambda: self.now)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path, ZONES)


def test_packages_are_summed_and_nothing_counts_twice(host: Host) -> None:
    for number, zone in enumerate(ZONES):
        host.count(zone, number * 7)
    meter = host.meter()
    meter.start()
    for zone in ZONES:
        host.count(zone, 50_000_000)
    host.count("intel-rapl:1", 90_000_021)
    host.now += 10
    assert meter.stop() == Energy("RAPL packages", 140.0, 10.0, 14.0)


def test_a_counter_that_begins_anew_goes_on(host: Host) -> None:
    host.count("intel-rapl:0", RANGE_UJ - 1_000_000)
    meter = host.meter()
    meter.start()
    for counted in (2_000_000, RANGE_UJ - 3_000_000, 4_000_000):
        host.count("intel-rapl:0", counted)
        meter.sample()
    host.now += 1
    assert (done := meter.stop()) is not None
    assert done.joules == pytest.approx((RANGE_UJ + 5_000_000) * 1e-6)


def test_samples_are_taken_while_it_runs(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy, "EVERY_S", 0.001)
    seen: list[int] = []
    meter = host.meter()
    sample = meter.sample

    def noticed() -> None:
        seen.append(1)
        sample()

    monkeypatch.setattr(meter, "sample", noticed)
    meter.start()
    for _ in range(2000):
        if len(seen) > 2:
            break
        meter._ended.wait(0.005)
    host.now += 1
    assert meter.stop() is not None
    assert len(seen) > 2


@pytest.mark.parametrize("zones", [{}, {"intel-rapl:0": "psys"}, {"intel-rapl-mmio:0": "package-0"}])
def test_a_host_without_packages_has_no_energy(tmp_path: Path, zones: dict[str, str]) -> None:
    bare = Host(tmp_path, zones)
    meter = bare.meter()
    meter.start()
    bare.now += 1
    assert meter.stop() is None
    assert not energy.is_closed(Tree(tmp_path))


def test_dies_of_a_package_are_summed(tmp_path: Path) -> None:
    host = Host(tmp_path, {"intel-rapl:0": "package-0-die-0", "intel-rapl:1": "package-0-die-1"})
    meter = host.meter()
    meter.start()
    host.count("intel-rapl:0", 1_000_000)
    host.count("intel-rapl:1", 2_000_000)
    host.now += 1
    assert (done := meter.stop()) is not None
    assert done.joules == 3.0


def test_a_counter_that_is_closed_or_vanishes_gives_no_energy(host: Host) -> None:
    """Half of a host's energy would look like all of it."""
    meter = host.meter()
    meter.start()
    path = host.root / POWERCAP[1:] / "intel-rapl:1/energy_uj"
    path.unlink()
    path.mkdir()
    host.now += 1
    assert meter.stop() is None
    assert energy.is_closed(Tree(host.root))


def test_a_meter_can_be_used_again(host: Host) -> None:
    meter = host.meter()
    for expected in (1.0, 2.0):
        meter.start()
        host.count("intel-rapl:0", int(expected * (expected + 1) / 2 * 1e6))
        host.now += 1
        assert (done := meter.stop()) is not None
        assert done.joules == expected
