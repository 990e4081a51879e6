"""Messages of upstream's checkers as findings of ours, and what a traceback comes from."""

import os
from pathlib import Path

import pytest

from mlperf_docker.rounds.loading import Rounds
from mlperf_docker.submission.checks.faults import Fault
from mlperf_docker.submission.official import checkout, running
from mlperf_docker.submission.official.messages import read
from tests.fixtures.submission_trees import TreeRecipe, Trees
from tests.rounds import upstream
from tests.submission.spoilt_trees import SPOILT, Base, Spoilt

_CHECKOUT = os.environ.get(upstream.VARIABLE, "")
_OFFLINE = "closed/Acme/results/box/resnet/Offline"
_TRACEBACK = ("Traceback (most recent call last):", '  File "main.py", line 1, in <module>', "    main()")


def said(*messages: str, level: str = "ERROR") -> list[str]:
    return [f"[2026-01-01 10:00:00,000 some_check.py:1 {level}] {each}" for each in messages]


def test_a_message_becomes_the_finding_that_our_check_has() -> None:
    lines = said(f"/tree/{_OFFLINE}/performance/run_1/mlperf_log_detail.txt qsl_rng_seed is wrong, expected=1, found=2")
    (finding,) = read(lines, "/tree", accepted=False)
    assert (finding.fault, finding.key) == (Fault.LOG_SEEDS, "qsl_rng_seed")
    assert finding.path == f"{_OFFLINE}/performance/run_1/mlperf_log_detail.txt"
    assert finding.what == "qsl_rng_seed is wrong, expected=1, found=2"


def test_a_message_of_an_older_format_is_read_too() -> None:
    (finding,) = read(["ERROR:main:closed/Acme contains files with spaces in their names: ['a b']"], "", accepted=False)
    assert (finding.fault, finding.path) == (Fault.NAME_BLANK, "closed/Acme")


def test_an_unknown_message_is_handed_on_in_its_own_words() -> None:
    (finding,) = read(said(f"the moon over /tree/{_OFFLINE} is full"), "/tree", accepted=False)
    assert (finding.fault, finding.path) == (Fault.UPSTREAM, _OFFLINE)
    assert finding.what == f"the moon over {_OFFLINE} is full"


def test_remarks_on_an_accepted_tree_are_no_errors() -> None:
    (finding,) = read(said("closed/Acme accuracy not met: expected=1", level="WARNING"), "", accepted=True)
    assert (finding.fault, finding.is_error) == (Fault.UPSTREAM_NOTE, False)


def test_a_message_about_a_consequence_counts_only_where_nothing_else_is_said() -> None:
    consequence = f"Some accuracy checks Checks failed for: /tree/{_OFFLINE}"
    known = f"/tree/{_OFFLINE}/accuracy/mlperf_log_accuracy.json is not truncated"
    assert [each.fault for each in read(said(consequence), "/tree", accepted=False)] == [Fault.UPSTREAM]
    found = read(said(known, consequence, "SUMMARY: submission has errors"), "/tree", accepted=False)
    assert [each.fault for each in found] == [Fault.ACCURACY_LOG_LARGE]


def test_a_run_at_fault_without_a_reason_is_an_invalid_one() -> None:
    (finding,) = read(said(f"{_OFFLINE}/performance/run_1 has issues"), "", accepted=False)
    assert finding.fault is Fault.LOG_INVALID


@pytest.mark.parametrize(
    ("notes", "frame", "last", "path", "cause"),
    [
        (
            [
                f"Could not load Performance log from /tree/{_OFFLINE}/run_1/d.txt, path does not exist",
                f"Could not load Performance log from /tree/{_OFFLINE}/TEST04/d.txt, path does not exist",
            ],
            "performance_check.py",
            "TypeError: 'NoneType' object is not subscriptable",
            f"{_OFFLINE}/run_1/d.txt",
            "this file is missing",
        ),
        (
            ["Could not load System log from /tree/closed/Acme/systems/box.json, path does not exist"],
            "loader.py",
            "AttributeError: 'NoneType' object has no attribute 'get'",
            "closed/Acme/systems/box.json",
            "this file is missing",
        ),
        (
            [f"Loading Measurements log from /tree/{_OFFLINE}/measurements.json"],
            "loader.py",
            "json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)",
            f"{_OFFLINE}/measurements.json",
            "not as it should be",
        ),
        ([], "check_scenarios", "TypeError: 'NoneType' object is not iterable", ".", "does not know"),
        ([], "results.py", "ValueError: invalid literal for int() with base 10: 'N/A'", ".", "no whole number"),
        ([], "elsewhere.py", "KeyError: 'x'", ".", "KeyError: 'x'"),
    ],
)
def test_a_traceback_is_one_finding_that_names_the_likely_cause(
    notes: list[str], frame: str, last: str, path: str, cause: str
) -> None:
    lines = [*said(*notes, level="INFO"), *_TRACEBACK, f'  File "{frame}", line 2, in {frame}', "    x", last]
    (finding,) = read(lines, "/tree", accepted=False)
    assert (finding.fault, finding.path) == (Fault.UPSTREAM_CRASH, path)
    assert cause in finding.what


def test_a_slip_of_upstreams_logging_is_the_message_that_it_was_to_print() -> None:
    lines = [
        "--- Logging error ---",
        *_TRACEBACK,
        "TypeError: not all arguments converted during string formatting",
        "Message: 'Root contains files outside division folder %s. You can'",
        "Arguments: ('closed', ['notes.txt'])",
    ]
    (finding,) = read(lines, "", accepted=False)
    assert finding.fault is Fault.STRAY


@pytest.mark.skipif(not _CHECKOUT, reason="MLPERF_INFERENCE names no checkout of upstream's checker")
@pytest.mark.parametrize(
    "spoilt", [each for each in SPOILT if each.upstream or each.upstream_old], ids=lambda each: each.name
)
def test_upstreams_words_on_a_spoilt_tree_name_the_same_fault(
    trees: Trees, rounds: Rounds, tmp_path: Path, spoilt: Spoilt
) -> None:
    recipe = TreeRecipe(rounds.find("v6.1"))
    base = Base(trees.build(tmp_path / "tree", recipe), recipe)
    spoilt.spoil(base)
    found = checkout.find(Path(_CHECKOUT))
    own_words = {Fault.UPSTREAM, Fault.UPSTREAM_CRASH}
    verdicts = running.verdicts(found, recipe.round, running.on_host(found, base.root, recipe.round))
    for verdict in verdicts:
        faults = {each.fault for each in verdict.findings if each.is_error}
        known = {spoilt.fault, spoilt.said} | own_words
        assert bool(faults & known) is (verdict.accepts is False), (verdict.checker, verdict.findings)
