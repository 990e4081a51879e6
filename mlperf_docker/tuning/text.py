"""Tunings as text for people: trials, the curve of rate against p99, the verdict."""

from collections.abc import Iterable, Iterator, Sequence

from mlperf_docker.contract.words import Scenario
from mlperf_docker.display.tables import fact_lines, fitted
from mlperf_docker.results.text import milliseconds
from mlperf_docker.runs.profile import CurvePoint, TunedOptions
from mlperf_docker.tuning.outcome import TuningOutcome, curve
from mlperf_docker.tuning.trials import EndedTrial, Trial

TRIAL_HEADER = ("trial", "purpose", "scenario", "options", "length", "figure", "p99", "verdict", "folder")
TRIAL_ORDER = ("trial", "purpose", "options", "figure", "verdict", "p99", "scenario", "length", "folder")
"""The same by importance."""
_COLUMNS = 40
_BOUND_COLUMN = 30
"""The column of the curve in which latency reaches its bound."""


def options_text(options: TunedOptions) -> str:
    """The options as on a command line."""
    words = (
        f"--{name.replace('_', '-').removesuffix('-ms')} {_number(value)}" for name, value in options.given().items()
    )
    return " ".join(words) or "default options"


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.5g}"


def trial_text(trial: Trial) -> str:
    """What a trial is, in a line."""
    return f"{trial.purpose}, {trial.scenario}, {options_text(trial.options)}, {_length(trial)}"


def outcome_text(done: EndedTrial) -> str:
    """What it came to, in a line."""
    parts = [_verdict(done), _figure(done)]
    if done.trial.scenario is Scenario.SERVER and done.p99_ns is not None:
        bound = f" of {milliseconds(done.bound_ns)}" if done.bound_ns else ""
        parts.append(f"p99 {milliseconds(done.p99_ns)}{bound}")
    parts.append(done.problem or "")
    return ", ".join(part for part in parts if part and part != "-")


def trial_line(number: int, done: EndedTrial) -> tuple[str, ...]:
    """A row of the table of trials."""
    trial = done.trial
    p99 = milliseconds(done.p99_ns) if trial.scenario is Scenario.SERVER and done.p99_ns is not None else "-"
    words = (str(number), trial.purpose, trial.scenario, options_text(trial.options), _length(trial))
    return (*words, _figure(done), p99, _verdict(done), done.folder or "-")


def figure_text(figure: float, scenario: Scenario) -> str:
    """The scenario's figure with its unit."""
    return f"{figure:.5g} samples/s" if scenario.higher_is_better else milliseconds(figure)


def _figure(done: EndedTrial) -> str:
    return figure_text(done.figure, done.trial.scenario) if done.figure is not None else "-"


def _verdict(done: EndedTrial) -> str:
    return "drowned" if done.drowned else "VALID" if done.valid else "INVALID" if done.folder else "failed"


def _length(trial: Trial) -> str:
    return "full length" if trial.min_duration_s is None else f"{trial.min_duration_s:.3g} s"


def curve_lines(points: Sequence[CurvePoint], bound_ns: float | None) -> Iterator[str]:
    """Rate against p99: a bar for each trial, to its share of the bound, which is a line. Full trials are filled."""
    if not points or not bound_ns:
        return
    yield f"rate against p99 (| is the bound of {milliseconds(bound_ns)}; # full length, = short, x drowned or failed)"
    for point in points:
        yield f"{point.target_qps:10.5g}/s  {_bar(point, bound_ns)}  {_p99(point)}"


def _p99(point: CurvePoint) -> str:
    return milliseconds(point.p99_ns) if point.p99_ns is not None else "-"


def _bar(point: CurvePoint, bound_ns: float) -> str:
    share = (point.p99_ns or 0.0) / bound_ns
    length = min(_COLUMNS, round(share * _BOUND_COLUMN)) if point.p99_ns else _COLUMNS
    sign = ("#" if point.full else "=") if point.valid or share <= 1 else "x"
    bar = list((sign * length).ljust(_COLUMNS))
    bar[_BOUND_COLUMN] = "|"
    return "".join(bar)


def tuned_text(tuned: TuningOutcome, columns: int | None) -> str:
    """What `tune` prints: the verdict, the curve of a Server tuning, and all trials. columns: the terminal's width."""
    points = curve(tuned.tried, tuned.verdict)
    bound_ns = next((each.bound_ns for each in tuned.tried if each.bound_ns), None)
    rows = [trial_line(number, each) for number, each in enumerate(tuned.tried, 1)]
    parts = (
        fact_lines(_facts(tuned), 10),
        "\n".join(curve_lines(points, bound_ns)),
        fitted(TRIAL_HEADER, rows, columns, order=TRIAL_ORDER) if rows else "",
    )
    return "\n\n".join(part for part in parts if part)


def _facts(tuned: TuningOutcome) -> Iterable[tuple[str, str]]:
    verdict = tuned.verdict
    if verdict is None or verdict.figure is None:
        yield "Result", "nothing is confirmed"
    else:
        yield "Result", options_text(verdict.options)
        yield "Figure", figure_text(verdict.figure, tuned.scenario)
        yield "Gain", f"{verdict.gain:.3g} x the default run" if verdict.gain else "the default run is INVALID"
    if verdict is not None and verdict.why:
        yield "Why", verdict.why
    if tuned.stopped:
        yield "Stopped", f"{tuned.stopped}; the same command goes on"
    if tuned.profile is not None:
        yield "Profile", str(tuned.profile_path)
    yield "Trials", str(tuned.folder)
