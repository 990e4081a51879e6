"""`tune`: trials asked for by the search, made as ordinary runs, kept, and a profile written of the best."""

import datetime as dt
import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mlperf_docker.contract.words import Scenario
from mlperf_docker.display.progress import Display
from mlperf_docker.errors import ContainerError, Interrupted, UsageError
from mlperf_docker.recipe.render import recipe_of
from mlperf_docker.rounds import loading as rounds
from mlperf_docker.runs import profile as profiles
from mlperf_docker.runs.on_record import options_given, user_conf_digest
from mlperf_docker.runs.profile import Profile, TunedOptions
from mlperf_docker.runs.request import RunRequest
from mlperf_docker.runs.session import check, run, with_data
from mlperf_docker.system import atomic, paths, strict_json
from mlperf_docker.tuning import text
from mlperf_docker.tuning.outcome import TuningOutcome, curve
from mlperf_docker.tuning.peak import ABORT_FACTOR
from mlperf_docker.tuning.search import Asking, TuningPlan, Verdict, search, so_far
from mlperf_docker.tuning.store import TrialStore
from mlperf_docker.tuning.trials import EndedTrial, Purpose, Trial

OFFICIAL_S = 600.0
PLAN_FILE = "plan.json"
_SEARCHED = tuple(TunedOptions.model_fields)
_OPTIONAL = (Purpose.LAYOUT, Purpose.BATCH)
"""Trials whose failure only tells that these options will not do."""


@dataclass(frozen=True)
class TuneRequest:
    """Request of `tune`."""

    run: RunRequest
    """The run to tune; what its options give is not searched."""
    short_s: float = 10.0
    """Length of a short trial, but for Server's rates."""
    start_qps: float | None = None
    most_trials: int | None = None
    """Most trials to make now."""
    budget_s: float | None = None
    """Seconds after which no further trial is begun."""
    name: str | None = None
    """Name of the profile; None for one made of cell, precision and scenario."""
    to: Path | None = None
    """File of the profile; None for the folder of this host's profiles."""


def tune(request: TuneRequest, display: Display) -> TuningOutcome:
    """Search for the best options by *request*, from where an earlier call left off. Raises what a run raises.

    Interrupted: all finished trials are kept, and the same command goes on.
    """
    tuning = _Tuning(_checked(request, display), display)
    with tuning.store.claimed(display.say):
        tuning.describe()
        try:
            return tuning.search()
        except (KeyboardInterrupt, Interrupted) as error:
            message = f"Interrupted. {tuning.finished} finished trials are kept in {tuning.store.folder}."
            raise Interrupted(message, hint="The same command goes on from there.") from error


def shown(request: TuneRequest, display: Display) -> TuningOutcome:
    """Return the trials of *request* so far, and make none."""
    tuning = _Tuning(replace(_checked(request, display), most_trials=0), display)
    if not tuning.store.folder.is_dir():
        raise UsageError(f"There are no trials of this tuning in {tuning.store.folder}.", hint="Leave out --show.")
    return tuning.search()


def _checked(request: TuneRequest, display: Display) -> TuneRequest:
    """Return *request* with its data settled. Raises UsageError for options that a tuning cannot have."""
    options = request.run.options
    if request.start_qps is not None and options.scenario is not Scenario.SERVER:
        raise UsageError(f"--from is for Server: {options.scenario} has no rate to begin with.")
    check(request.run)
    return replace(request, run=with_data(request.run, display.say))


@dataclass
class _Tuning:
    """Tuning at work."""

    request: TuneRequest
    display: Display
    made: int = 0
    """Trials of this call."""
    finished: int = 0
    begun: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        """Tell the plan and the folder of its trials."""
        asked, options = self.request.run, self.request.run.options
        self.plan = TuningPlan(
            scenario=options.scenario,
            full_s=options.min_duration_s or OFFICIAL_S,
            short_s=self.request.short_s,
            fixed=TunedOptions(**{name: getattr(options, name) for name in _SEARCHED}),
            accelerator=asked.spec.device.profile.is_accelerator,
            start_qps=self.request.start_qps,
            bound_s=_bound_s(asked),
        )
        self.name = self.request.name or profiles.default_name(asked.spec, options.precision, options.scenario)
        content = json.dumps(self.description(), sort_keys=True, default=str)
        root = paths.resolved(asked.results_root) if asked.results_root else paths.tunings_place()
        base = profiles.default_name(asked.spec, options.precision, options.scenario)
        self.store = TrialStore(root / f"{base}-{hashlib.sha256(content.encode()).hexdigest()[:8]}")

    def description(self) -> dict[str, Any]:
        """What a trial depends on: another tuning has a folder of its own."""
        asked = self.request.run
        return {
            "cell": str(asked.spec),
            "source": recipe_of(asked.spec).source,
            "options": options_given(asked.options),
            "short_s": self.request.short_s,
            "start_qps": self.request.start_qps,
            "dataset": str(asked.dataset) if asked.dataset else None,
            "model_file": str(asked.model_file) if asked.model_file else None,
            "user_conf": user_conf_digest(asked),
            "round": asked.round.name if asked.round else None,
            "limits": profiles.limits_given(asked.limits),
            "host": profiles.this_host().model_dump(),
        }

    def describe(self) -> None:
        """Write the description beside the trials, for people."""
        atomic.write_text(self.store.folder / PLAN_FILE, strict_json.dumps(self.description()) + "\n")

    def search(self) -> TuningOutcome:
        """Ask, look whether the trial was made, make it if not, and so on to the end or to a limit."""
        asking: Asking = search(self.plan)
        tried: list[EndedTrial] = []
        trial = next(asking)
        while True:
            number = len(tried) + 1
            found = self.store.ended(number, trial)
            if found is None:
                stopped = self._limit()
                if stopped:
                    return self._ended(tried, so_far(self.plan, tried), stopped)
                found = self._made(number, trial)
            else:
                self.store.adopt(number, trial)
            tried.append(found)
            self.finished = len(tried)
            try:
                trial = asking.send(found)
            except StopIteration as end:
                return self._ended(tried, end.value, None)

    def _limit(self) -> str | None:
        most, budget = self.request.most_trials, self.request.budget_s
        if most is not None and self.made >= most:
            return f"{most} trials were made" if most else "no trials were to be made"
        if budget is not None and time.monotonic() - self.begun >= budget:
            return f"{budget:g} s are over"
        return None

    def _made(self, number: int, trial: Trial) -> EndedTrial:
        """Make the trial. Where it fails it is kept if it was of options that only might do, else this is raised."""
        self.made += 1
        self.display.say(f"Trial {number}: {text.trial_text(trial)}")
        self.store.begin(number, trial)
        try:
            result = run(self._request_of(trial), self.display)
        except (UsageError, ContainerError) as error:
            if trial.purpose not in _OPTIONAL:
                raise
            found = self.store.fail(number, trial, str(error))
        else:
            found = self.store.end(number, trial, result)
        self.display.say(f"Trial {number}: {text.outcome_text(found)}")
        return found

    def _request_of(self, trial: Trial) -> RunRequest:
        """Return the trial as a run. Rounds set counts that would prolong a short one."""
        asked = self.request.run
        searched = {name: getattr(trial.options, name) for name in _SEARCHED}
        seconds = asked.options.min_duration_s if trial.full else trial.min_duration_s
        is_rate = trial.purpose is Purpose.RATE
        options = replace(
            asked.options,
            **searched,
            scenario=trial.scenario,
            min_duration_s=seconds,
            most_waiting=ABORT_FACTOR if is_rate else None,
        )
        return replace(
            asked, options=options, results_root=self.store.folder, round=asked.round if trial.full else None
        )

    def _ended(self, tried: Sequence[EndedTrial], verdict: Verdict | None, stopped: str | None) -> TuningOutcome:
        """Return the outcome, with a profile if there is one to write. A call that makes no trials writes none."""
        if verdict is None or verdict.figure is None or self.request.most_trials == 0:
            return TuningOutcome(self.store.folder, self.plan.scenario, tuple(tried), verdict, stopped=stopped)
        profile = self._profile(tried, verdict)
        path = self.request.to or profiles.place() / f"{self.name}{profiles.SUFFIX}"
        profiles.write(profile, path)
        return TuningOutcome(self.store.folder, self.plan.scenario, tuple(tried), verdict, profile, path, stopped)

    def _profile(self, tried: Sequence[EndedTrial], verdict: Verdict) -> Profile:
        asked = self.request.run
        content = json.dumps([each.model_dump(mode="json") for each in tried], sort_keys=True)
        return Profile(
            name=self.name,
            cell=str(asked.spec),
            precision=asked.options.precision,
            scenario=asked.options.scenario,
            options=verdict.options,
            figure=verdict.figure,
            gain=verdict.gain,
            data=profiles.data_of(asked.options),
            source=recipe_of(asked.spec).source,
            host=profiles.this_host(),
            limits=profiles.limits_given(asked.limits),
            bound_ns=next((each.bound_ns for each in tried if each.bound_ns), None),
            curve=curve(tried, verdict),
            trials=len(tried),
            trials_sha256=hashlib.sha256(content.encode()).hexdigest(),
            trials_dir=str(self.store.folder),
            date=dt.datetime.now(dt.UTC),
        )


def _bound_s(asked: RunRequest) -> float | None:
    """Server's bound on latency: the option's, else the longest that any round has for the model."""
    given = asked.options.target_latency_ms
    if given is not None:
        return given / 1000
    known = [
        benchmark.server_latency_ms
        for each in rounds.load().all
        for benchmark in each.benchmarks_of(asked.spec.model.name)
        if benchmark.server_latency_ms is not None
    ]
    return max(known) / 1000 if known and asked.user_conf is None else None
