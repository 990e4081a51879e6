"""An engine whose container prints what a test says and ends as it says."""

from collections.abc import Iterator, Mapping
from typing import Any

from mlperf_docker.contract import events
from mlperf_docker.engine.engine import Message, NotOnEngineError, Output
from tests.fakes.engine import FakeEngine


def died(code: int, *before: Message) -> list[Message]:
    """The events of a container that ended with *code*, after those *before*."""
    return [*before, {"Action": "die", "Actor": {"Attributes": {"exitCode": str(code)}}}, {"Action": "destroy"}]


def out_of_memory() -> Message:
    return {"Action": "oom"}


def killed(number: int) -> Message:
    return {"Action": "kill", "Actor": {"Attributes": {"signal": str(number)}}}


class ContainerEngine(FakeEngine):
    """An engine whose containers print *lines* on stdout and *errors* on stderr, and end as *ending* says.

    lines: events of the harness, or any other text.
    """

    def __init__(
        self, *present: str, lines: tuple[events.Event | str, ...] = (), errors: str = "", ending: list[Message]
    ) -> None:
        super().__init__(*present)
        texts = (each if isinstance(each, str) else events.line(each) for each in lines)
        self.output: list[Output] = [("".join(f"{text}\n" for text in texts).encode(), errors.encode())]
        self.ending = ending
        self.configurations: list[Mapping[str, Any]] = []
        self.stopped: list[str] = []

    def create_container(self, name: str, configuration: Mapping[str, Any]) -> None:
        self.configurations.append(configuration)

    def attach(self, container: str) -> Iterator[Output]:
        return iter(self.output)

    def events(self, container: str) -> Iterator[Message]:
        return iter(self.ending)

    def start(self, container: str) -> None:
        pass

    def stop(self, container: str, timeout_s: int) -> None:
        self.stopped.append(container)

    def remove_container(self, container: str, *, force: bool = False) -> None:
        raise NotOnEngineError(f"No such container: {container}")
