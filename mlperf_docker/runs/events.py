"""The harness's JSON lines, read into typed events. The harness writes them, one object a line, on its stdout."""

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")


class Phase(_Event):
    """The harness entered a phase. time: seconds since the epoch."""

    event: Literal["phase"]
    name: str
    time: float


class Progress(_Event):
    """How far a phase has come. total is None where it cannot be known."""

    event: Literal["progress"]
    phase: str
    done: int
    total: int | None = None
    unit: str = "samples"


class Notice(_Event):
    """One line that the user should see."""

    event: Literal["notice"]
    message: str


class Failure(_Event):
    """Why the harness gives up; it exits with exit_code next."""

    event: Literal["error"]
    exit_code: int
    message: str
    hint: str | None = None
    details: tuple[str, ...] = ()


class Finished(_Event):
    """The result; its other keys are those of `results.RunResult`."""

    event: Literal["result"]

    @property
    def fields(self) -> dict[str, Any]:
        """The result's keys, without the event's own."""
        return dict(self.model_extra or {})


Event = Annotated[Phase | Progress | Notice | Failure | Finished, Field(discriminator="event")]
_EVENT: TypeAdapter[Phase | Progress | Notice | Failure | Finished] = TypeAdapter(Event)


def parse(line: str) -> Phase | Progress | Notice | Failure | Finished | None:
    """Return the event on *line*, or None where it is not one of ours (a library's chatter)."""
    if not line.startswith("{"):
        return None
    try:
        return _EVENT.validate_python(json.loads(line))
    except (json.JSONDecodeError, ValidationError):
        return None
