"""LoadGen test by the entry script: the rate to expect, its settings, and a second try of a run that ended early."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlperf_docker.contract import detail_log
from mlperf_docker.contract.events import Phase
from mlperf_docker.contract.words import Mode
from mlperf_docker.harness.api.errors import SampleError
from mlperf_docker.harness.api.events import Events
from mlperf_docker.harness.loadgen import settings
from mlperf_docker.harness.system.files import write_atomically
from mlperf_docker.reference_harness.rates import expectation, pace
from mlperf_docker.reference_harness.runs.preparation import USER_CONF, PreparedFiles
from mlperf_docker.reference_harness.script import process
from mlperf_docker.reference_harness.script.completions import Watched

SEE_LOG = "Its whole output is in the log of the container."
SECOND_RUN = "this is a second run: the first ended before its minimum duration, and told the rate that it reached"
OFFICIAL_DURATION_S = settings.OFFICIAL_DURATION_MS / 1000


@dataclass(frozen=True)
class PerformedTest:
    """LoadGen test: what the script said, and what is to be known of how it came about."""

    heard: process.Heard
    remarks: tuple[str, ...] = ()


def perform(prepared: PreparedFiles, events: Events) -> PerformedTest:
    """The test; a performance run that ended early a second time, with the rate that it reached."""
    options = prepared.given.options
    folder = options.folders.results
    hints = None if options.mode is Mode.ACCURACY else expected(prepared, events)
    text = user_conf(prepared, hints)
    heard = _loadgen(prepared, text, events)
    log = detail_log.read(folder)
    reached = expectation.of_log(log, options.scenario) if hints and expectation.ended_early(log) else None
    again = user_conf(prepared, reached) if reached else text
    if again == text:  # the user says the rate
        return PerformedTest(heard)
    events.notice("The run ended before its minimum duration; once more, with the rate that it reached.")
    return PerformedTest(_loadgen(prepared, again, events), (SECOND_RUN,))


def _loadgen(prepared: PreparedFiles, text: str, events: Events) -> process.Heard:
    """Start the script with the user.conf *text*."""
    folder = prepared.given.options.folders.results
    write_atomically(folder / USER_CONF, text.encode())
    events.phase(Phase.LOADGEN)
    return start(prepared, folder)


def expected(prepared: PreparedFiles, events: Events) -> settings.Hints:
    """The rate and latency to tell LoadGen: what the user says, else what a short run of the reference reaches.

    Raises SampleError where that completes no sample.
    """
    options = prepared.given.options
    if options.target_qps is not None and options.scenario.higher_is_better:
        return settings.hints(rate=options.target_qps, latency_s=1 / options.target_qps)
    events.phase(Phase.CALIBRATE)
    folder = prepared.given.work / "short-run"
    folder.mkdir()
    short = _short_run(prepared, folder)
    watched = Watched(str(folder / "completions.json"), 2 * (options.min_duration_s or OFFICIAL_DURATION_S))
    start(short, folder, watched)
    found = pace.read(Path(watched.file))
    if found is None:
        raise SampleError("the reference completed no sample of a short run", hint=SEE_LOG)
    samples_per_query = detail_log.read(folder).number("effective_samples_per_query")
    equal_issue = prepared.given.benchmark.equal_issue
    return expectation.of_pace(
        found, options.scenario, samples_per_query=samples_per_query or 1, equal_issue=equal_issue
    )


def _short_run(prepared: PreparedFiles, folder: Path) -> PreparedFiles:
    """The run that tells the rate, with its logs in *folder*."""
    options = prepared.given.options
    measured = replace(options, scenario=expectation.MEASURED_IN.get(options.scenario, options.scenario))
    text = settings.user_conf(options.cell.loadgen_key, measured.scenario, expectation.SHORT_RUN)
    write_atomically(folder / USER_CONF, text.encode())
    values = {"output": folder, "user_conf": folder / USER_CONF, "scenario": measured.scenario.value}
    return replace(prepared, given=replace(prepared.given, options=measured), values={**prepared.values, **values})


def user_conf(prepared: PreparedFiles, hints: settings.Hints | None) -> str:
    """The settings of the run for LoadGen; an accuracy run needs none but the user's own."""
    given, options = prepared.given, prepared.given.options
    keys: Mapping[str, Any] = {}
    if hints is not None:
        keys = settings.wanted(
            options.scenario,
            hints,
            min_duration_s=options.min_duration_s,
            target_qps=options.target_qps,
            equal_issue=given.benchmark.equal_issue,
            bound_ms=options.target_latency_ms,
            min_query_count=options.min_query_count,
        )
        keys = {**given.benchmark.dropped.get(options.scenario, {}), **keys}
    own_text = options.user_conf.text if options.user_conf else ""
    return settings.user_conf(options.cell.loadgen_key, options.scenario, keys, own_text)


def start(prepared: PreparedFiles, logs_in: Path, watched: Watched | None = None) -> process.Heard:
    """Run the entry script. Raises SampleError where it fails, or leaves no log of LoadGen's in *logs_in*."""
    given, values = prepared.given, prepared.values
    reference, options = given.reference, given.options
    words = (
        *reference.arguments,
        *reference.precisions[options.precision],
        *reference.scenarios.get(options.scenario.value, ()),
        *reference.modes.get(options.mode.value, ()),
    )
    path = given.checkout / reference.folder / reference.script
    script = replace(
        process.script_of(reference, path, words, values, given.work),
        seeds={name: seed for name, seed in options.seeds.items() if seed is not None},
        code=given.code,
        watched=watched,
    )
    heard = process.run(script, [sign.pattern for sign in reference.signs])
    if heard.code or not (logs_in / detail_log.NAME).is_file():
        why = f"exited with {heard.code}" if heard.code else f"left no {detail_log.NAME}"
        said = [sentence for sentence in map(heard.said, reference.signs) if sentence]
        details = (*said, *heard.tail)
        raise SampleError(f"the reference's {reference.script} {why}", details=details, hint=SEE_LOG)
    return heard
