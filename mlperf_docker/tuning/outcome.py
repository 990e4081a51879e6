"""Outcome of a tuning: its verdict, its trials, and the curve that they draw."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlperf_docker.contract.words import Scenario
from mlperf_docker.runs.profile import CurvePoint, Profile, TunedOptions
from mlperf_docker.tuning.search import Verdict
from mlperf_docker.tuning.trials import EndedTrial


@dataclass(frozen=True)
class TuningOutcome:
    """Outcome of `tune`."""

    folder: Path
    """Where the trials are."""
    scenario: Scenario
    tried: tuple[EndedTrial, ...]
    verdict: Verdict | None
    """None where the search was not ended and nothing is confirmed."""
    profile: Profile | None = None
    profile_path: Path | None = None
    stopped: str | None = None
    """Why the search was not ended."""

    def fields(self) -> dict[str, Any]:
        """The outcome as JSON has it."""
        verdict = self.verdict
        return {
            "folder": str(self.folder),
            "found": verdict is not None and verdict.figure is not None,
            "options": verdict.options.given() if verdict else None,
            "figure": verdict.figure if verdict else None,
            "gain": verdict.gain if verdict else None,
            "why": verdict.why if verdict else None,
            "stopped": self.stopped,
            "profile": self.profile.reference() if self.profile else None,
            "profile_file": str(self.profile_path) if self.profile_path else None,
            "curve": [point.model_dump(mode="json") for point in curve(self.tried, verdict)],
            "trials": [each.model_dump(mode="json") for each in self.tried],
        }


def curve(tried: Sequence[EndedTrial], verdict: Verdict | None) -> tuple[CurvePoint, ...]:
    """Points of Server's curve by rate: trials of the layout that *verdict* is about, else of the last one."""
    rated = [each for each in tried if each.trial.scenario is Scenario.SERVER and each.trial.options.target_qps]
    if not rated:
        return ()
    found = verdict.options if verdict is not None and verdict.options.target_qps else rated[-1].trial.options
    points = [_point(each) for each in rated if _layout(each.trial.options) == _layout(found)]
    return tuple(sorted(points, key=lambda point: (point.target_qps, point.full)))


def _layout(options: TunedOptions) -> TunedOptions:
    return options.model_copy(update={"target_qps": None})


def _point(each: EndedTrial) -> CurvePoint:
    return CurvePoint(
        target_qps=each.trial.options.target_qps or 0.0,
        achieved_qps=each.figure,
        p99_ns=each.p99_ns,
        valid=each.valid,
        full=each.trial.full,
    )
