"""`compare-harness`: our harness and the reference implementation on the same samples and weights, in turns."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from mlperf_docker.contract.words import Mode
from mlperf_docker.display.progress import Display
from mlperf_docker.results.harnesses import SideBySide, side_by_side
from mlperf_docker.results.values import RunResult
from mlperf_docker.runs import session
from mlperf_docker.runs.request import RunRequest


@dataclass(frozen=True)
class HarnessComparison:
    """Request of `compare-harness`."""

    run: RunRequest
    """With the checkout; our own harness gets the same without it."""
    rounds: int
    """Performance runs of each harness; 0 for accuracy runs alone."""


def compare(asked: HarnessComparison, display: Display) -> SideBySide:
    """Run both harnesses and compare what they came to: accuracy first, then performance, interleaved."""
    runs = [_run(asked.run, each, display) for each in _turns(asked)]
    (found,) = side_by_side(runs)
    return found


def _run(request: RunRequest, turn: "_Turn", display: Display) -> RunResult:
    display.say(f"{turn.mode}: {'the reference' if turn.reference else 'our own harness'}")
    options = replace(request.options, mode=turn.mode)
    if turn.mode is Mode.ACCURACY:
        options = replace(options, min_duration_s=None)
    checkout = request.checkout if turn.reference else None
    return session.run(replace(request, options=options, checkout=checkout), display)


@dataclass(frozen=True)
class _Turn:
    """Run of one harness in one mode."""

    mode: Mode
    reference: bool


def _turns(asked: HarnessComparison) -> Iterator[_Turn]:
    """Accuracy runs, then pairs; every other pair begins with the reference, so that neither is always the warm one."""
    yield from (_Turn(Mode.ACCURACY, reference) for reference in (False, True))
    for number in range(asked.rounds):
        first = number % 2 == 1
        yield from (_Turn(Mode.PERFORMANCE, reference) for reference in (first, not first))
