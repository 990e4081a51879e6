"""Parser of BuildKit's progress messages. Pure.

The engine sends them as base64 in the `aux` of messages with id `moby.buildkit.trace`: a `StatusResponse` of BuildKit's
control API. Only the fields used here are declared; protobuf skips the others.
Source: moby/buildkit, api/services/control/control.proto.
"""

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from mlperf_docker.images.building.builder import BuildEvent, BuildEventKind

TRACE_ID = "moby.buildkit.trace"
_PACKAGE = "moby.buildkit.v1"
_Field = descriptor_pb2.FieldDescriptorProto
_TYPES = {
    "string": _Field.TYPE_STRING,
    "bytes": _Field.TYPE_BYTES,
    "bool": _Field.TYPE_BOOL,
    "int64": _Field.TYPE_INT64,
    "int32": _Field.TYPE_INT32,
}
# message → (field, number, type); a type that is none of the above is another message; "*" repeats.
_MESSAGES = {
    "Timestamp": [("seconds", 1, "int64"), ("nanos", 2, "int32")],
    "Vertex": [
        ("digest", 1, "string"),
        ("name", 3, "string"),
        ("cached", 4, "bool"),
        ("started", 5, "Timestamp"),
        ("completed", 6, "Timestamp"),
        ("error", 7, "string"),
    ],
    "VertexStatus": [("ID", 1, "string"), ("vertex", 2, "string"), ("current", 4, "int64"), ("total", 5, "int64")],
    "VertexLog": [("vertex", 1, "string"), ("stream", 3, "int64"), ("msg", 4, "bytes")],
    "StatusResponse": [("vertexes", 1, "*Vertex"), ("statuses", 2, "*VertexStatus"), ("logs", 3, "*VertexLog")],
}


@cache
def status_response() -> Any:  # noqa: ANN401  # protobuf makes the class at run time
    """Return the message class of `StatusResponse`."""
    file = descriptor_pb2.FileDescriptorProto(name="control.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field_name, number, kind in fields:
            plain = kind.removeprefix("*")
            added = message.field.add(name=field_name, number=number)
            added.label = _Field.LABEL_REPEATED if kind.startswith("*") else _Field.LABEL_OPTIONAL
            added.type = _TYPES.get(plain, _Field.TYPE_MESSAGE)
            if plain not in _TYPES:
                added.type_name = f".{_PACKAGE}.{plain}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.StatusResponse"))


@dataclass
class Trace:
    """Follows one build: BuildKit repeats a step's state in every message, and names it only by digest in its logs."""

    _names: dict[str, str] = field(default_factory=dict)
    _started: set[str] = field(default_factory=set)
    _ended: set[str] = field(default_factory=set)
    _rests: dict[tuple[str, int], bytes] = field(default_factory=dict)  # of stdout and of stderr

    def feed(self, aux: str) -> Iterator[BuildEvent]:
        """Yield what the base64 text *aux* tells that earlier messages did not."""
        response = status_response().FromString(base64.b64decode(aux))
        for vertex in response.vertexes:
            self._names[vertex.digest] = vertex.name
            yield from self._start(vertex)
        for log in response.logs:
            yield from self._log(log)
        for status in response.statuses:
            if status.total or status.current:
                step = self._names.get(status.vertex, "")
                yield BuildEvent(BuildEventKind.PROGRESS, step, status.ID, status.current, status.total)
        for vertex in response.vertexes:  # after the logs, so that a step's last lines come before its end
            yield from self._end(vertex)

    def _start(self, vertex: Any) -> Iterator[BuildEvent]:  # noqa: ANN401
        if vertex.HasField("started") and not vertex.cached and vertex.digest not in self._started:
            self._started.add(vertex.digest)
            yield BuildEvent(BuildEventKind.STARTED, vertex.name)

    def _end(self, vertex: Any) -> Iterator[BuildEvent]:  # noqa: ANN401
        if vertex.digest in self._ended or not (vertex.cached or vertex.HasField("completed")):
            return
        self._ended.add(vertex.digest)
        for stream in sorted(number for digest, number in self._rests if digest == vertex.digest):
            rest = self._rests.pop((vertex.digest, stream))
            if not rest:
                continue
            yield BuildEvent(BuildEventKind.LOG, vertex.name, _line(rest))
        if vertex.error:
            yield BuildEvent(BuildEventKind.FAILED, vertex.name, vertex.error)
        elif vertex.cached:
            yield BuildEvent(BuildEventKind.CACHED, vertex.name)
        else:
            seconds = _seconds(vertex.completed) - _seconds(vertex.started)
            yield BuildEvent(BuildEventKind.DONE, vertex.name, seconds=seconds)

    def _log(self, log: Any) -> Iterator[BuildEvent]:  # noqa: ANN401
        """Cut output into lines. A chunk may end within one, or a character, and one of the other stream follow."""
        key = (log.vertex, log.stream)
        *lines, self._rests[key] = (self._rests.get(key, b"") + log.msg).split(b"\n")
        for line in lines:
            yield BuildEvent(BuildEventKind.LOG, self._names.get(log.vertex, ""), _line(line))


def _line(raw: bytes) -> str:
    """Return what a terminal would show in the end: a progress bar rewrites its line with carriage returns."""
    return raw.decode(errors="replace").rstrip("\r").rpartition("\r")[2]


def _seconds(stamp: Any) -> float:  # noqa: ANN401
    return float(stamp.seconds) + float(stamp.nanos) * 1e-9
