"""Dataclasses to JSON and back, checked against their annotations."""

import contextlib
import dataclasses
import types
import typing
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

_PLAIN = (str, bool, int, float)
_SPREAD = "spread"


class MalformedError(ValueError):
    """JSON that does not describe the value; the message names the key."""


def spread() -> Any:  # noqa: ANN401  # as dataclasses.field
    """A field for the keys that a dataclass does not have itself; in JSON they stand beside its own."""
    return dataclasses.field(default_factory=dict, metadata={_SPREAD: True})


def fields(value: object) -> dict[str, Any]:
    """The fields of a dataclass as JSON has them, those of values in it too."""
    found: dict[str, Any] = {}
    for each in dataclasses.fields(value):  # type: ignore[arg-type]  # a dataclass
        plain = _plain(getattr(value, each.name))
        found |= plain if _SPREAD in each.metadata else {each.name: plain}
    return found


def read(kind: type[T], found: Mapping[str, Any]) -> T:
    """A value of the dataclass *kind* from its fields. Keys that it does not have go into its spread field, if any.

    Raises MalformedError for a key that is missing and has no default, and for a value of another type.
    """
    values: dict[str, Any] = {}
    hints = typing.get_type_hints(kind)
    own = dataclasses.fields(kind)  # type: ignore[arg-type]  # a dataclass
    for each in own:
        if _SPREAD in each.metadata:
            names = {other.name for other in own}
            values[each.name] = {key: value for key, value in found.items() if key not in names}
        elif each.name in found:
            values[each.name] = _value(hints[each.name], found[each.name], each.name)
        elif each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING:
            raise MalformedError(f"the key {each.name} is missing")
    return kind(**values)


def _plain(value: object) -> Any:  # noqa: ANN401  # whatever JSON holds
    if dataclasses.is_dataclass(value):
        return fields(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def _value(annotation: Any, found: Any, key: str) -> Any:  # noqa: ANN401  # whatever JSON holds
    """What *found* is, as *annotation* has it. Raises MalformedError."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is Any:
        return found
    if origin in (typing.Union, types.UnionType):
        return _of_union(inner, found, key)
    if origin is tuple and isinstance(found, list) and (inner[-1] is ... or len(inner) == len(found)):
        return tuple(_value(inner[0], each, key) for each in found)
    if origin in (dict, Mapping) and isinstance(found, dict):
        return {name: _value(inner[1], each, f"{key}.{name}") for name, each in found.items()}
    if isinstance(annotation, type) and origin is None:
        return _of_class(annotation, found, key)
    raise MalformedError(f"{key} is {found!r}")


def _of_union(kinds: tuple[Any, ...], found: object, key: str) -> object:
    if found is None and types.NoneType in kinds:
        return None
    *others, last = (kind for kind in kinds if kind is not types.NoneType)
    for kind in others:
        with contextlib.suppress(MalformedError):
            return _value(kind, found, key)
    return _value(last, found, key)


def _of_class(kind: type, found: object, key: str) -> object:
    if dataclasses.is_dataclass(kind) and isinstance(found, dict):
        return read(kind, found)
    if issubclass(kind, Enum | Path) and isinstance(found, str):
        try:
            return kind(found)
        except ValueError as error:
            raise MalformedError(f"{key} is {found!r}") from error
    if kind is float and type(found) is int:
        return float(found)
    if kind in _PLAIN and type(found) is kind:
        return found
    raise MalformedError(f"{key} is {found!r}")
