"""Events of the harness: JSON lines on its stdout, one object a line, which the host reads."""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mlperf_docker.contract import json_values


class Phase(StrEnum):
    """The steps of a command."""

    SYNTHESIZE = "synthesize"
    PREPROCESS = "preprocess"
    LOAD_MODEL = "load-model"
    PROVE_DEVICE = "prove-device"
    CALIBRATE = "calibrate"
    LOADGEN = "loadgen"
    SCORE = "score"
    VERIFY = "verify"
    CONVERT = "convert"
    COMPARE = "compare"


@dataclass(frozen=True)
class PhaseEvent:
    """A command enters a step."""

    name: Phase
    time: float
    """Seconds since the epoch."""


@dataclass(frozen=True)
class ProgressEvent:
    """Progress of a step."""

    phase: Phase
    done: int
    total: int | None = None
    """None if unknown."""
    unit: str = "samples"


@dataclass(frozen=True)
class NoticeEvent:
    """Line that the user should see."""

    message: str


@dataclass(frozen=True)
class ErrorEvent:
    """Why a command ends without a reply."""

    exit_code: int
    """The code that the harness exits with."""
    message: str
    hint: str | None = None
    details: tuple[str, ...] = ()


@dataclass(frozen=True)
class ResultEvent:
    """The reply of a command."""

    fields: dict[str, Any] = json_values.spread()
    """The fields of the command's reply."""


Event = PhaseEvent | ProgressEvent | NoticeEvent | ErrorEvent | ResultEvent

KINDS: dict[str, type[Event]] = {
    "phase": PhaseEvent,
    "progress": ProgressEvent,
    "notice": NoticeEvent,
    "error": ErrorEvent,
    "result": ResultEvent,
}
"""Events by the word in their key `event`; the other keys are their fields."""
_WORDS = {kind: word for word, kind in KINDS.items()}


def line(event: Event) -> str:
    """The JSON line of *event*, without its end."""
    return json.dumps({"event": _WORDS[type(event)], **json_values.fields(event)}, ensure_ascii=False)


def parse(text: str) -> Event | None:
    """The event on a line, or None if it is none, as when a library prints something."""
    if not text.startswith("{"):
        return None
    try:
        found = json.loads(text)
        word = found.pop("event", None)
        kind = KINDS.get(word) if isinstance(word, str) else None
        return json_values.read(kind, found) if kind else None
    except ValueError:
        return None
