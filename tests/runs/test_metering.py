"""Energy of LoadGen's phase, as the events of a harness begin and end it."""

import pytest

from mlperf_docker.contract.events import ErrorEvent, Event, NoticeEvent, Phase, PhaseEvent, ProgressEvent, ResultEvent
from mlperf_docker.host.energy import Energy, Meter
from mlperf_docker.host.tree import Tree
from mlperf_docker.runs.metering import PhaseMeter

BEFORE = (PhaseEvent(Phase.CALIBRATE, 1.0), NoticeEvent("a notice"))
DURING = (PhaseEvent(Phase.LOADGEN, 2.0), ProgressEvent(Phase.LOADGEN, 1), NoticeEvent("another"))
ENERGY = Energy("RAPL packages", 1.0, 1.0, 1.0)


class CountingMeter(Meter):
    """A meter that knows how often it was started and stopped."""

    def __init__(self) -> None:
        super().__init__(Tree())
        self.calls: list[str] = []

    def start(self) -> None:
        self.calls.append("start")

    def stop(self) -> Energy | None:
        self.calls.append("stop")
        return ENERGY


@pytest.mark.parametrize("end", [PhaseEvent(Phase.SCORE, 3.0), ResultEvent({}), ErrorEvent(9, "died")])
def test_loadgens_phase_alone_is_measured(end: Event) -> None:
    meter = CountingMeter()
    with PhaseMeter(meter) as listening:
        for during in (*BEFORE, *DURING):
            listening(during)
        assert (meter.calls, listening.energy) == (["start"], None)
        listening(end)
        listening(ResultEvent({}))
    assert (meter.calls, listening.energy) == (["start", "stop"], ENERGY)


def test_a_container_that_dies_in_the_phase_leaves_no_meter_running() -> None:
    meter = CountingMeter()
    with PhaseMeter(meter) as listening:
        for event in DURING:
            listening(event)
    assert (meter.calls, listening.energy) == (["start", "stop"], None)
