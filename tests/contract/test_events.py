"""The harness's JSON lines, and what is none of them."""

import pytest

from mlperf_docker.contract import events


def test_phase_and_progress() -> None:
    assert events.parse('{"event": "phase", "name": "loadgen", "time": 12.5}') == events.PhaseEvent(
        events.Phase.LOADGEN, 12.5
    )
    progress = events.parse('{"event": "progress", "phase": "preprocess", "done": 3, "total": 9, "unit": "images"}')
    assert isinstance(progress, events.ProgressEvent)
    assert (progress.done, progress.total, progress.unit) == (3, 9, "images")


def test_result_keeps_every_key_but_its_own() -> None:
    result = events.parse('{"event": "result", "valid": true, "metric": null}')
    assert isinstance(result, events.ResultEvent)
    assert result.fields == {"valid": True, "metric": None}


@pytest.mark.parametrize(
    "line",
    [
        "",
        "Warning: a library talks",
        "{not json",
        '{"event": "unheard of"}',
        '{"no": "event"}',
        '{"event": "phase"}',
        '{"event": "phase", "name": "unheard of", "time": 1.0}',
        '{"event": "progress", "phase": "score", "done": "3"}',
        '{"event": []}',
    ],
)
def test_chatter_is_no_event(line: str) -> None:
    assert events.parse(line) is None
