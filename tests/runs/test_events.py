"""The harness's JSON lines, and what is none of them."""

import pytest

from mlperf_docker.runs import events


def test_phase_and_progress() -> None:
    assert events.parse('{"event": "phase", "name": "loadgen", "time": 12.5}') == events.Phase(
        event="phase", name="loadgen", time=12.5
    )
    progress = events.parse('{"event": "progress", "phase": "preprocess", "done": 3, "total": 9, "unit": "images"}')
    assert isinstance(progress, events.Progress)
    assert (progress.done, progress.total, progress.unit) == (3, 9, "images")


def test_result_keeps_every_key_but_its_own() -> None:
    result = events.parse('{"event": "result", "valid": true, "metric": null}')
    assert isinstance(result, events.Finished)
    assert result.fields == {"valid": True, "metric": None}


@pytest.mark.parametrize(
    "line",
    ["", "Warning: a library talks", "{not json", '{"event": "unheard of"}', '{"no": "event"}', '{"event": "phase"}'],
)
def test_chatter_is_no_event(line: str) -> None:
    assert events.parse(line) is None
