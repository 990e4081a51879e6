"""Earlier runs that a compliance run is held to: the newest valid ones that match, or those that the user names."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from mlperf_docker.contract import places
from mlperf_docker.contract.compliance import contradictions
from mlperf_docker.contract.options import RunOptions
from mlperf_docker.contract.words import Mode
from mlperf_docker.display import shell
from mlperf_docker.engine.plan import BindMount
from mlperf_docker.errors import UsageError
from mlperf_docker.results import store
from mlperf_docker.results.values import RunResult
from mlperf_docker.runs import on_record
from mlperf_docker.runs.request import RunRequest
from mlperf_docker.system import paths

_OPTIONS: Mapping[Mode, str] = {Mode.PERFORMANCE: "--performance-run", Mode.ACCURACY: "--accuracy-run"}
"""The option that names the run of a mode."""


@dataclass(frozen=True)
class ComplianceRequest:
    """A compliance run, whose earlier runs are looked for."""

    request: RunRequest

    @cached_property
    def newest_first(self) -> tuple[RunResult, ...]:
        """The runs of its results folder, which are read once."""
        return store.read_all(self.request.root).results[::-1]

    @property
    def options(self) -> RunOptions:
        """Its options."""
        return self.request.options

    def options_of(self, mode: Mode) -> RunOptions:
        """What an earlier run of *mode* was asked for; an accuracy run has no say in time."""
        if mode is Mode.PERFORMANCE:
            return replace(self.options, compliance=None)
        return replace(
            self.options,
            compliance=None,
            mode=mode,
            min_duration_s=None,
            target_qps=None,
            target_latency_ms=None,
            batch_size=None,
            instances=None,
            threads_per_instance=None,
        )

    def command(self, mode: Mode) -> str:
        """The command that makes such a run."""
        earlier = replace(self.request, options=self.options_of(mode), performance_run=None, accuracy_run=None)
        return shell.join(on_record.command(earlier))

    def title(self, mode: Mode) -> str:
        """Such a run in words."""
        data = f"synthetic {self.options.synthetic}" if self.options.synthetic else "real data"
        return f"{mode} run of {self.request.spec} in {self.options.scenario}, {self.options.precision}, {data}"

    def differences(self, run: RunResult, mode: Mode) -> list[str]:
        """Why *run* is another benchmark, or has no valid result."""
        wanted = {
            "cell": str(self.request.spec),
            "harness_name": self.request.harness_name,
            "precision": self.options.precision,
            "scenario": self.options.scenario,
            "kind": mode,
            "data": f"synthetic {self.options.synthetic}" if self.options.synthetic else "real",
        }
        found = ((key, getattr(run, key), value) for key, value in wanted.items())
        told = [f"its {key.removesuffix('_name')} is {was}, not {value}" for key, was, value in found if was != value]
        return told if run.valid else [*told, "it is INVALID"]

    def other_settings(self, run: RunResult, mode: Mode, beside: RunResult | None) -> list[str]:
        """Which settings of *run* are others, than asked for or than those of the run *beside* it."""
        found = [*contradictions(self.options_of(mode), run.settings), *self._other_data(run)]
        if beside is not None:
            ours, theirs = _data_facts(run), _data_facts(beside)
            found += [
                f"its {key} is {ours[key]}, and {beside.name} has {theirs[key]}"
                for key in ours
                if key in theirs and ours[key] != theirs[key]
            ]
        return found

    def _other_data(self, run: RunResult) -> Iterator[str]:
        """Which options that decide on the data *run* had otherwise; a result of an earlier version does not tell."""
        if run.request is None:
            return
        ours, theirs = on_record.options_given(self.options), run.request.options
        of_model = (option.name for option in self.request.spec.model.options_of("run"))
        for name in ("samples", "synthetic_samples", "synthetic_labels", *of_model):
            if ours.get(name) != theirs.get(name):
                yield f"its {name} is {theirs.get(name)}, not {ours.get(name)}"


@dataclass(frozen=True)
class References:
    """The runs that a compliance run is held to."""

    performance: RunResult
    accuracy: RunResult | None
    """None for a test that compares no answers."""

    @property
    def mounts(self) -> tuple[BindMount, ...]:
        """Their folders in the container."""
        found = {places.PERFORMANCE_RUN: self.performance, places.ACCURACY_RUN: self.accuracy}
        return tuple(
            BindMount(paths.resolved(Path(run.results_dir)), place, read_only=True)
            for place, run in found.items()
            if run is not None
        )

    @property
    def names(self) -> dict[str, Any]:
        """Their folders' names, as the result has them."""
        return {
            "performance_run": self.performance.name,
            "accuracy_run": self.accuracy.name if self.accuracy else None,
        }


def of_request(request: RunRequest) -> References | None:
    """The runs that *request* is held to; None where it is no compliance run.

    Raises UsageError with every run that is missing, or does not match, and the command that makes it.
    """
    test = request.options.compliance
    named = {Mode.PERFORMANCE: request.performance_run, Mode.ACCURACY: request.accuracy_run}
    wanted = ComplianceRequest(request)
    if test is None:
        _refuse_names(named)
        return None
    problems: list[_Missing] = []
    performance = _one(wanted, Mode.PERFORMANCE, named, None, problems)
    accuracy = _one(wanted, Mode.ACCURACY, named, performance, problems) if test.compares_answers else None
    if problems or performance is None:
        texts = " ".join(each.text for each in problems)
        hints = "\n       ".join(each.hint for each in problems)
        raise UsageError(f"{test} compares with earlier runs. {texts}", hint=hints)
    return References(performance, accuracy)


def _refuse_names(named: Mapping[Mode, str | None]) -> None:
    for mode, run in named.items():
        if run is not None:
            raise UsageError(f"{_OPTIONS[mode]} is for a compliance run.", hint="Say which: --compliance TEST01")


@dataclass(frozen=True)
class _Missing:
    """A run that is not there."""

    text: str
    hint: str


def _one(
    wanted: ComplianceRequest,
    mode: Mode,
    named: Mapping[Mode, str | None],
    beside: RunResult | None,
    problems: list[_Missing],
) -> RunResult | None:
    """The run of *mode*; None, and a problem more, where there is none."""
    name = named.get(mode)
    if name is not None:
        run = store.find(name, wanted.request.root)
        differences = [*wanted.differences(run, mode), *wanted.other_settings(run, mode, beside)]
        if not differences:
            return run
        text = f"{_OPTIONS[mode]} {run.name} does not match: {'; '.join(differences)}."
    else:
        candidates = [run for run in wanted.newest_first if not wanted.differences(run, mode)]
        others = {run.name: wanted.other_settings(run, mode, beside) for run in candidates}
        for run in candidates:
            if not others[run.name]:
                return run
        text = f"There is no valid {wanted.title(mode)}{_nearest(others)} in {wanted.request.root}."
    problems.append(_Missing(text, f"Make it: {wanted.command(mode)}"))
    return None


def _nearest(others: Mapping[str, list[str]]) -> str:
    """The newest run that has other settings, in words."""
    name, differences = next(iter(others.items()), ("", []))
    return f" with these settings ({name}: {'; '.join(differences)})" if differences else ""


def _data_facts(run: RunResult) -> dict[str, Any]:
    """What two runs of the same data and weights share, as far as they tell."""
    file = run.model_file or {}
    facts = {
        "dataset_samples": run.settings.get("dataset_samples"),
        "model file": file.get("sha256") or file.get("md5"),
    }
    return {key: value for key, value in facts.items() if value is not None}
