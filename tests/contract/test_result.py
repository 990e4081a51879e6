"""What the harness says of real runs, read by the host: it knows every key of the result, and misses none."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from mlperf_docker.contract import events
from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.contract.words import Mode, Scenario
from mlperf_docker.results import store, values
from tests.harness.process import Finished, of_model

HOST_SIDE = {"image", "results_dir", "duration_s"}
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


def unknown(value: object, path: str = "") -> Iterator[str]:
    """The keys that a value has and its class does not, in what it holds too."""
    if isinstance(value, BaseModel):
        yield from (f"{path}{key}" for key in value.model_extra or ())
        for key in type(value).model_fields:
            yield from unknown(getattr(value, key), f"{path}{key}.")


def test_the_host_knows_every_key(done: tuple[Finished, Path]) -> None:
    made = values.RunResult.model_validate(fields_of(done[0]))
    assert list(unknown(made)) == []


def test_the_harness_writes_every_key(done: tuple[Finished, Path]) -> None:
    made = values.RunResult.model_validate(fields_of(done[0]))
    assert made.model_fields_set == values.RunResult.model_fields.keys() - HOST_SIDE


def test_no_value_is_changed_on_the_way(done: tuple[Finished, Path]) -> None:
    fields = fields_of(done[0])
    made = values.RunResult.model_validate(fields)
    assert json.loads(made.to_json()) == {**fields, "image": None, "results_dir": "", "duration_s": None}


def test_its_file_is_read_too(done: tuple[Finished, Path]) -> None:
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


def test_a_key_without_a_place_would_be_seen(done: tuple[Finished, Path]) -> None:
    fields = fields_of(done[0])
    fields["new"] = 1
    fields["submission"] = {**fields["submission"], "division": "open"}
    assert list(unknown(values.RunResult.model_validate(fields))) == ["new", "submission.division"]
