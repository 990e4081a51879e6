"""Dataclasses to JSON and back."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mlperf_docker.contract.json_values import MalformedError, fields, read, spread
from mlperf_docker.contract.words import Mode


@dataclass(frozen=True)
class Inner:
    name: str
    mode: Mode | None = None


@dataclass(frozen=True)
class Outer:
    path: Path
    number: float
    count: int
    flag: bool
    inner: Inner
    several: tuple[Inner, ...] = ()
    facts: dict[str, int] | None = None
    rest: dict[str, Any] = spread()  # noqa: RUF009  # a field


WHOLE = Outer(
    path=Path("/a"),
    number=1.5,
    count=2,
    flag=True,
    inner=Inner("one", Mode.ACCURACY),
    several=(Inner("two"), Inner("three", Mode.PERFORMANCE)),
    facts={"a": 1},
    rest={"more": [1, {"b": None}]},
)


def test_a_value_is_the_same_after_its_way_through_json() -> None:
    assert read(Outer, json.loads(json.dumps(fields(WHOLE)))) == WHOLE


def test_the_keys_of_a_spread_field_stand_beside_the_others() -> None:
    assert fields(WHOLE)["more"] == [1, {"b": None}]
    assert "rest" not in fields(WHOLE)


def test_a_key_with_a_default_may_be_missing() -> None:
    found = {"path": "/a", "number": 1, "count": 2, "flag": False, "inner": {"name": "one"}}
    assert read(Outer, found) == Outer(Path("/a"), 1.0, 2, flag=False, inner=Inner("one"))


def test_a_key_that_the_class_does_not_have_is_passed_over() -> None:
    assert read(Inner, {"name": "one", "colour": "red"}) == Inner("one")


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"path": None}, "path"),
        ({"number": "1"}, "number"),
        ({"number": True}, "number"),
        ({"count": 2.0}, "count"),
        ({"count": True}, "count"),
        ({"flag": 1}, "flag"),
        ({"inner": "one"}, "inner"),
        ({"inner": {}}, "name"),
        ({"inner": {"name": "one", "mode": "speed"}}, "mode"),
        ({"several": {"name": "two"}}, "several"),
        ({"several": [{"name": 2}]}, "name"),
        ({"facts": {"a": "1"}}, r"facts\.a"),
    ],
    ids=str,
)
def test_a_value_of_another_type_is_refused_by_its_key(change: dict[str, Any], key: str) -> None:
    with pytest.raises(MalformedError, match=rf"\b{key}\b"):
        read(Outer, {**fields(WHOLE), **change})


def test_a_missing_key_is_refused_by_its_name() -> None:
    with pytest.raises(MalformedError, match="the key name is missing"):
        read(Inner, {})
