"""Energy of the processors while something runs, by the counters of RAPL, which AMD's processors have too.

GPUs are left out: their counters need NVIDIA's library, and nvidia-smi tells a power of the moment.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from mlperf_docker.host.tree import Tree

_POWERCAP = "/sys/class/powercap"
_PACKAGE = "package"
_DRIVER = "intel-rapl:"  # of AMD's, too; `intel-rapl-mmio:` has the same counter once more
_UJ = 1e-6
SOURCE = "RAPL packages"
EVERY_S = 20.0
"""Seconds between two readings: the smallest counters, of 65 kJ, take 160 s at 400 W to begin anew."""


@dataclass(frozen=True)
class Energy:
    """Energy of all processors of the host, whatever ran on them."""

    source: str
    joules: float
    seconds: float
    watts: float


def packages(files: Tree) -> list[str]:
    """Return the folders of the counters, one a package; those of parts, and of the whole platform, are left out."""
    folders = [f"{_POWERCAP}/{name}" for name in files.names(_POWERCAP) if name.startswith(_DRIVER)]
    return [folder for folder in folders if (files.text(f"{folder}/name") or "").startswith(_PACKAGE)]


def is_closed(files: Tree) -> bool:
    """Tell whether there are counters that we must not read: since Linux 5.10 they are root's."""
    return any(files.number(f"{folder}/energy_uj") is None for folder in packages(files))


class Meter:
    """Meter of one stretch of time. Reads the counters now and then, so that none begins anew twice unseen."""

    def __init__(self, files: Tree | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._files, self._clock = files or Tree(), clock
        self._packages = packages(self._files)
        self._ended = threading.Event()
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begin to measure."""
        self._ended = threading.Event()
        self._last, self._joules = self._read(), 0.0
        self._began = self._clock()
        if self._last is not None:
            threading.Thread(target=self._watch, daemon=True).start()

    def stop(self) -> Energy | None:
        """Return what was measured; None where there are no counters, or they cannot be read."""
        self._ended.set()
        self.sample()
        seconds = self._clock() - self._began
        if self._last is None or seconds <= 0:
            return None
        return Energy(SOURCE, round(self._joules, 3), round(seconds, 3), round(self._joules / seconds, 3))

    def sample(self) -> None:
        """Read the counters once and add what they grew by."""
        with self._lock:
            now = self._read()
            if self._last is None or now is None:
                self._last = None
                return
            pairs = zip(self._packages, self._last, now, strict=True)
            self._joules += sum(self._grown(*pair) for pair in pairs) * _UJ
            self._last = now

    def _watch(self) -> None:
        ended = self._ended
        while not ended.wait(EVERY_S):
            self.sample()

    def _read(self) -> list[int] | None:
        found = [self._files.number(f"{folder}/energy_uj") for folder in self._packages]
        known = [each for each in found if each is not None]
        return known if found and len(known) == len(found) else None

    def _grown(self, folder: str, before: int, now: int) -> int:
        """Return what a counter grew by, which begins anew after its range; of an unknown range since it began."""
        if now >= before:
            return now - before
        return now - before + (self._files.number(f"{folder}/max_energy_range_uj") or before)
