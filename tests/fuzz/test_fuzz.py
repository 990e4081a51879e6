"""Seeded mutations of all that is read from outside, in a bounded number; `make fuzz` goes on for as long as one likes.

A mutated input is refused with the exit code of its kind and an error, or read: no traceback, no hang, no gigabyte
more than a good one takes. What is judged beyond that, and what cannot be, stands with each target.
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.fuzz.__main__ import SEED, case, targets
from tests.fuzz.mutations import copied
from tests.fuzz.server import Server
from tests.fuzz.targets import Target, every

CASES, AT_LEAST = 40, 3
SHARE_S = 1.5
"""For the cases of one target, all together, on a machine that does nothing else."""

NAMES = [target.name for target in every(Path())]


@pytest.fixture(scope="module")
def made() -> Iterator[tuple[Server, dict[str, Target]]]:
    with targets() as (server, found):
        yield server, {target.name: target for target in found}


@pytest.mark.parametrize("name", NAMES)
def test_mutated_inputs_are_refused_or_read(made: tuple[Server, dict[str, Target]], name: str) -> None:
    server, found = made
    end = time.monotonic() + SHARE_S
    for number in range(CASES):
        did, problems = case(found[name], server, SEED, number)
        again = f"{did}; make it again: python -m tests.fuzz --seed {SEED} --target '{name}' --case {number}"
        assert not problems, "\n".join([again, *map(str, problems)])
        if number + 1 >= AT_LEAST and time.monotonic() > end:
            break


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"code": None}, "does not end"),
        ({"code": 9}, "exit code 9, not one of"),
        ({"code": 1, "stderr": "Traceback (most recent call last):\n"}, "a traceback"),
        ({"peak_bytes": 3 << 30}, "3.2 GB of memory"),
        ({"processor_s": 99.0}, "99 s of processor time"),
        ({"stdout": "x" * 200_000, "stderr": ""}, "200000 characters of output"),
        ({"stderr": "\x1b[2J"}, "the control character"),
    ],
)
def test_fuzzing_finds_a_target_that_misbehaves(
    made: tuple[Server, dict[str, Target]], change: dict[str, Any], reason: str
) -> None:
    target = made[1]["catalog"]
    copied(target.good, target.work)
    (asked,) = target.asked()
    fine = made[0].run(asked.command)
    assert target.problem(asked, fine) is None
    assert str(target.problem(asked, replace(fine, **change))).startswith(reason)


def test_a_mutation_is_the_same_whenever_it_is_made(made: tuple[Server, dict[str, Target]]) -> None:
    server, found = made
    target = found["data set of bert"]
    first = [case(target, server, "7", number)[0] for number in range(3)]
    left = (target.work / "dev-v1.1.json").read_bytes()
    assert [case(target, server, "7", number)[0] for number in range(3)] == first
    assert (target.work / "dev-v1.1.json").read_bytes() == left
