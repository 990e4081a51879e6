"""Energy of LoadGen's phase, begun and ended by the harness's events."""

from typing import Self

from mlperf_docker.contract.events import ErrorEvent, Event, Phase, PhaseEvent, ResultEvent
from mlperf_docker.host.energy import Energy, Meter


class PhaseMeter:
    """Listener that measures from the beginning of LoadGen's phase to the next one, or to the end."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._running = False
        self.energy: Energy | None = None
        """What LoadGen's phase took; None before its end, and where there are no counters."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._running:
            self._meter.stop()

    def __call__(self, event: Event) -> None:
        """Begin or end at *event*, if it is a step of the run."""
        if self._running and isinstance(event, PhaseEvent | ResultEvent | ErrorEvent):
            self._running, self.energy = False, self._meter.stop()
        if isinstance(event, PhaseEvent) and event.name is Phase.LOADGEN:
            self._meter.start()
            self._running = True
