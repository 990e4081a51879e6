"""`rounds list`, `rounds show` and `show MODEL --round`: text for people, JSON for programs, refusals."""

import json
import math

import pytest

from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.rounds.loading import load
from mlperf_docker.rounds.round import Round

from .test_cli import tool

ROUNDS = load()
each_round = pytest.mark.parametrize("round_", ROUNDS.all, ids=lambda each: each.name)


def test_rounds_are_listed_with_their_models() -> None:
    lines = tool("rounds", "list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["round", *ROUNDS.names]
    assert "rnnt" in lines[1]
    assert [each["name"] for each in json.loads(tool("rounds", "list", "--json").stdout)] == [*ROUNDS.names]


def test_a_round_is_shown_and_the_newest_by_default() -> None:
    text = tool("rounds", "show").stdout
    assert text.startswith("Round:       v6.1\n")
    assert all(each.name in text for each in ROUNDS.newest.benchmarks)
    assert json.loads(tool("rounds", "show", "6.0", "--json").stdout)["layout"]["source"] == "src"


@each_round
def test_a_models_json_has_all_that_the_round_asks_of_it(round_: Round) -> None:
    for model in round_.models[:2]:
        shown = json.loads(tool("show", model, "--round", round_.name, "--json").stdout)
        asked = shown["round"]
        assert shown["model"]["name"] == model
        assert asked["seeds"] == round_.seeds.model_dump()
        for found, known in zip(asked["benchmarks"], round_.benchmarks_of(model), strict=True):
            assert found == known.model_dump(mode="json")
            assert math.isclose(found["targets"][0]["value"], known.targets[0].value)


def test_show_adds_what_the_round_asks() -> None:
    plain, with_round = tool("show", "bert").stdout, tool("show", "bert", "--round", "v6.1").stdout
    assert with_round.startswith(plain)
    assert "F1 90.783126" in with_round[len(plain) :]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("rounds", "show", "v6.2"), "Did you mean v6."),
        (("show", "bert", "--round", "v9"), "Unknown round 'v9'. Known: v4.0, "),
        (("show", "dlrm", "--round", "v6.1"), "Its last round was v3.0"),
        (("run", "rnnt", "--round", "v6.1"), "Its last round was v4.0"),
        (("show", "bert", "--round", "v6.1", "--dockerfile"), "leave out --dockerfile"),
    ],
)
def test_a_round_that_does_not_fit_is_refused(words: tuple[str, ...], message: str) -> None:
    done = tool(*words, expect=ExitCode.USAGE)
    assert message in done.stderr
    assert done.stdout == ""
