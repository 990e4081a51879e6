"""Results of real runs of the harness, read by the host, which knows every key and misses none."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from mlperf_docker.contract import events, json_values
from mlperf_docker.contract.commands import RunCommand
from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.contract.result import RunReply
from mlperf_docker.contract.words import Mode, Scenario
from mlperf_docker.results import store, values
from tests.harness.process import Finished, of_model

HOST_SIDE = {"image", "request", "round", "results_dir", "duration_s", "host", "energy", "runtime", "harness"}
"""Keys that the host adds."""

PERFORMANCE = ("--min-duration", 0.2, "--target-qps", 200)
FEW_QUERIES = "".join(f"*.{each}.min_query_count = 20\n" for each in Scenario if each is not Scenario.OFFLINE)
RUNS: dict[str, tuple[object, ...]] = {
    **{f"{each} {Mode.PERFORMANCE}": ("--scenario", each.value, *PERFORMANCE) for each in Scenario},
    f"{Scenario.OFFLINE} {Mode.ACCURACY}": ("--scenario", Scenario.OFFLINE.value, "--mode", Mode.ACCURACY.value),
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module", params=RUNS.values(), ids=list(RUNS))
def done(
    request: pytest.FixtureRequest, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Finished, Path]:
    """A run that came to a result, valid or not, and its folder."""
    folder = tmp_path_factory.mktemp("run")
    conf = folder / "few.conf"
    conf.write_text(FEW_QUERIES)
    options = ("--synthetic", "tiny", "--user-conf", conf, *request.param)
    return of_model("resnet50", cache, folder, "run", *options, backend="onnxruntime"), folder / "results"


def fields_of(finished: Finished) -> dict[str, Any]:
    """The result's own fields, by way of the host's events."""
    event = events.parse(json.dumps(finished.result))
    assert isinstance(event, events.ResultEvent)
    return event.fields


def test_the_hosts_result_has_the_keys_of_the_reply_and_its_own() -> None:
    reply = {each.name for each in dataclasses.fields(RunReply)}
    assert values.RunResult.model_fields.keys() == reply | HOST_SIDE


def test_a_reply_is_all_that_the_harness_writes(done: tuple[Finished, Path]) -> None:
    found = fields_of(done[0])
    assert json_values.fields(RunCommand().read(found)) == found


def test_no_value_is_changed_on_the_way(done: tuple[Finished, Path]) -> None:
    fields = fields_of(done[0])
    made = values.RunResult.model_validate(fields)
    unknown = {**dict.fromkeys(HOST_SIDE), "results_dir": ""}
    assert json.loads(made.to_json()) == {**fields, **unknown}


def test_result_json_is_read_too(done: tuple[Finished, Path]) -> None:
    finished, folder = done
    assert store.read(folder) == values.RunResult.model_validate(
        {**fields_of(finished), "results_dir": str(folder.absolute())}
    )


def test_the_exit_code_is_the_verdict(done: tuple[Finished, Path]) -> None:
    finished, _ = done
    assert finished.code == (ExitCode.VALID if fields_of(finished)["valid"] else ExitCode.INVALID)


def test_every_line_is_an_event_that_the_host_knows(done: tuple[Finished, Path]) -> None:
    for line in map(json.dumps, done[0].events):
        event = events.parse(line)
        assert event is not None, line
        assert json.loads(events.line(event)) == json.loads(line)


def test_a_run_has_the_figures_of_its_mode(done: tuple[Finished, Path]) -> None:
    """Null would hide the keys below it."""
    fields = fields_of(done[0])
    figures = {key for key in ("metric", "latency_ns", "accuracy") if fields[key] is not None}
    assert figures == ({"accuracy"} if fields["mode"] == Mode.ACCURACY else {"metric", "latency_ns"})
