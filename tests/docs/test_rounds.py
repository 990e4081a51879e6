"""docs/rounds.md against rounds.yaml, and the keys that its entries may have."""

import re

import pytest
from pydantic import BaseModel

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.rounds.entries import BenchmarkEntry, LayoutEntry, RoundEntry
from mlperf_docker.rounds.loading import load
from mlperf_docker.rounds.round import Round
from mlperf_docker.rounds.words import Suite
from tests.docs.markdown import ROOT, rows, section

PAGE = ROOT / "docs/rounds.md"
ROUNDS = load()
LETTERS = {Suite.DATACENTER: "D", Suite.EDGE: "E"}


def accepted(round_: Round, model: str) -> str:
    """The cell of a model and a round: the types of system, and those of the 99.9 % level where they are others."""
    found = {
        each.high: " ".join(letter for suite, letter in LETTERS.items() if each.required(suite))
        if each.is_closed
        else "open"
        for each in round_.benchmarks_of(model)
    }
    usual, high = found.get(False, "-"), found.get(True)
    return usual if high in (None, usual) else f"{usual} (99.9: {high})"


def test_the_table_of_models_and_rounds_is_rounds_yamls() -> None:
    table = {row[0]: row[2:] for row in rows(section(PAGE, "Which models a round takes"))}
    names = [model.name for model in Catalog.load().models]
    assert table == {name: [accepted(each, name) for each in ROUNDS.all] for name in names}


@pytest.mark.parametrize(("number", "kind"), [*enumerate((RoundEntry, BenchmarkEntry, LayoutEntry))])
def test_every_key_of_rounds_yaml_is_explained(number: int, kind: type[BaseModel]) -> None:
    tables = re.split(r"^Of a \w+[:,].*$", section(PAGE, "Keys"), flags=re.MULTILINE)[1:]
    explained = [name for row in rows(tables[number]) for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(explained) == sorted(kind.model_fields)
