"""Progress in a log: few lines, and the right ones."""

import io
from dataclasses import dataclass

import pytest

from mlperf_docker.display.progress import LiveDisplay, PlainDisplay
from mlperf_docker.engine.transfer import LayerEvent
from mlperf_docker.images.building.builder import BuildEvent, BuildEventKind
from mlperf_docker.images.progress import BuildProgress, TransferProgress


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_phase_is_one_line_and_quick_progress_none() -> None:
    stream = io.StringIO()
    display = PlainDisplay(stream)
    display.phase("preprocess")
    display.progress(1, 10, "images")
    display.say("done")
    first, second = stream.getvalue().splitlines()
    assert first.endswith("s] preprocess")
    assert second == "done"


def test_a_slow_phase_speaks_now_and_then(clock: Clock) -> None:
    stream = io.StringIO()
    display = PlainDisplay(stream, clock)
    display.phase("preprocess")
    clock.now += 11
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


def test_layers_that_move_are_told_now_and_then(clock: Clock) -> None:
    stream = io.StringIO()
    display = PlainDisplay(stream, clock)
    progress = TransferProgress(display, "bert:onnxruntime-cpu")
    progress.show(LayerEvent("0123456789ab", "Downloading", 1, 10))
    assert stream.getvalue() == ""
    clock.now += 11
    progress.show(LayerEvent("0123456789ab", "Downloading", 2_000_000, 10_000_000))
    progress.show(LayerEvent("0123456789ab", "Download complete"))
    assert stream.getvalue().endswith("s] bert:onnxruntime-cpu  0123456789ab  downloading: 2 MB of 10 MB\n")


def test_on_a_terminal_each_layer_that_moves_has_a_bar() -> None:
    with LiveDisplay() as display:
        progress = TransferProgress(display, "bert:onnxruntime-cpu")

        def bars() -> list[tuple[str, float, float | None]]:
            return [(task.description, task.completed, task.total) for task in display._bars.tasks]

        progress.show(LayerEvent("aaa", "Downloading", 1, 10))
        progress.show(LayerEvent("bbb", "Downloading", 2, 0))
        progress.show(LayerEvent("ccc", "Waiting"))
        assert bars() == [
            ("bert:onnxruntime-cpu  aaa  downloading", 1, 10),
            ("bert:onnxruntime-cpu  bbb  downloading", 2, None),
        ]
        progress.show(LayerEvent("aaa", "Extracting", 3, 30))
        progress.show(LayerEvent("bbb", "Pull complete"))
        assert bars() == [("bert:onnxruntime-cpu  aaa  extracting", 3, 30)]
        progress.show(LayerEvent("aaa", "Pull complete"))
        assert bars() == []
