"""SUTs by scenario."""

from collections.abc import Callable
from typing import Protocol

from mlperf_docker.contract.words import Scenario
from mlperf_docker.harness.loadgen.inline import InlineSut
from mlperf_docker.harness.loadgen.offline import OfflineSut
from mlperf_docker.harness.loadgen.server import ServerSut
from mlperf_docker.harness.loadgen.worker import Responder, Tally
from mlperf_docker.harness.samples.library import Library


class Sut(Protocol):
    """The callbacks of ConstructFastSUT, and an end."""

    def issue(self, ids: list[int], indices: list[int]) -> None:
        """Take a query."""
        ...

    def flush(self) -> None:
        """LoadGen has issued the last query of a set."""
        ...

    def close(self) -> None:
        """The test is over."""
        ...


SUTS: dict[Scenario, Callable[[Responder, Library, Tally], Sut]] = {
    Scenario.SINGLE_STREAM: InlineSut,
    Scenario.MULTI_STREAM: InlineSut,
    Scenario.OFFLINE: OfflineSut,
    Scenario.SERVER: ServerSut,
}
