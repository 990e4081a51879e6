"""Progress in a log: few lines, and the right ones."""

import io

from mlperf_docker.engine.protocol import BuildEvent, BuildEventKind
from mlperf_docker.progress import BuildProgress, PlainDisplay


def test_a_phase_is_one_line_and_quick_progress_none() -> None:
    stream = io.StringIO()
    display = PlainDisplay(stream)
    display.phase("preprocess")
    display.progress(1, 10, "images")
    display.say("done")
    first, second = stream.getvalue().splitlines()
    assert first.endswith("s] preprocess")
    assert second == "done"


def test_a_slow_phase_speaks_now_and_then(monkeypatch: object) -> None:
    stream = io.StringIO()
    display = PlainDisplay(stream)
    display.phase("preprocess")
    display._spoke -= 11
    display.progress(5, 10, "images")
    display.progress(6, 10, "images")
    assert stream.getvalue().splitlines()[1].endswith("preprocess: 5 of 10 images")
    assert len(stream.getvalue().splitlines()) == 2


def test_a_build_shows_each_step_once_and_none_of_the_plumbing() -> None:
    stream = io.StringIO()
    progress = BuildProgress(PlainDisplay(stream))
    step = "[backend 1/1] RUN --mount=type=bind   pip install"
    for kind in (BuildEventKind.STARTED, BuildEventKind.LOG, BuildEventKind.DONE):
        progress.show(BuildEvent(kind, step, seconds=1.25))
    progress.show(BuildEvent(BuildEventKind.STARTED, "[internal] load build definition"))
    lines = stream.getvalue().splitlines()
    assert len(lines) == 1
    assert lines[0].endswith("[backend 1/1] RUN pip install")
