"""`run`: a LoadGen test by the reference implementation, from its options to its result."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlperf_docker.contract import detail_log, json_values
from mlperf_docker.contract.cell import Cell, OfficialFile
from mlperf_docker.contract.events import Phase
from mlperf_docker.contract.result import RunReply
from mlperf_docker.contract.words import Mode
from mlperf_docker.harness.api.backend import FP32, Backend
from mlperf_docker.harness.api.errors import SampleError, UsageError
from mlperf_docker.harness.api.events import Events
from mlperf_docker.harness.api.scores import Accuracy, JudgedScore, SyntheticSet
from mlperf_docker.harness.backends import registry as backends
from mlperf_docker.harness.commands import result
from mlperf_docker.harness.commands import run as own
from mlperf_docker.harness.commands.folders import cache_folder, claimed
from mlperf_docker.harness.commands.options import LoadgenRun, run_of
from mlperf_docker.harness.loadgen import logs, settings
from mlperf_docker.harness.models import registry as models
from mlperf_docker.harness.models.registry import AnyBenchmark
from mlperf_docker.harness.samples import accuracy_log
from mlperf_docker.harness.system import data_files, lifeline, storage
from mlperf_docker.harness.system.files import write_atomically, write_json
from mlperf_docker.harness.system.resources import cores
from mlperf_docker.harness.weights import model_files as official_files
from mlperf_docker.harness.weights.model_files import UsedModelFile
from mlperf_docker.reference_contract.commands import ReferenceRunCommand, refused
from mlperf_docker.reference_contract.reference import ReferenceImplementation
from mlperf_docker.reference_harness import description, expectation, files, model_files, pace, process, scoring
from mlperf_docker.reference_harness.completions import Watched
from mlperf_docker.reference_harness.files import Given
from mlperf_docker.reference_harness.words import filled, filled_variables

USER_CONF = "user.conf"
SEE_LOG = "Its whole output is in the log of the container."
SECOND_RUN = "this is a second run: the first ended before its minimum duration, and told the rate that it reached"
OFFICIAL_DURATION_S = settings.OFFICIAL_DURATION_MS / 1000


@dataclass(frozen=True)
class PreparedFiles:
    """Run whose files are made: what there is, the model file that was taken, and the values of all placeholders."""

    given: Given
    file: UsedModelFile | None
    values: Mapping[str, object]


def execute(command: ReferenceRunCommand, cell: Cell, events: Events) -> RunReply:
    """Do one LoadGen test by the reference, and write its result. Raises HarnessError where there is none."""
    reference, options = description.load(), run_of(command, cell)
    check(options, reference, command)
    with claimed(options.folders.results) as folder, storage.writing(folder), _work_folder() as work:
        benchmark = models.load(cell.model).configured(options.model_options)
        backend = backends.load(cell.backend)
        own.check_precision(options)
        backend.check_device(cell.device)
        prepared = prepare(options, reference, benchmark, backend, command, work, events)
        test = perform(prepared, events)
        scored = score(prepared, events)
        reply = compose(prepared, backend, test, scored)
        if not lifeline.is_held():  # else a kill before the host writes would leave half of it
            write_json(folder / "result.json", json_values.fields(reply))
        return reply


def check(options: LoadgenRun, reference: ReferenceImplementation, command: ReferenceRunCommand) -> None:
    """Raise UsageError for what the reference does not have, or the folders with its code."""
    script = command.checkout / reference.folder / reference.script
    if not script.is_file():
        hint = f"It is in the checkout of commit {reference.commit}."
        raise UsageError(f"the checkout {command.checkout} has no {reference.folder}/{reference.script}", hint=hint)
    missing = [name for name in reference.code_files if not (command.model_code / name).is_file()]
    if missing:
        raise UsageError(f"the model code in {command.model_code} lacks {', '.join(missing)}")
    if reference.scenarios and options.scenario.value not in reference.scenarios:
        there = ", ".join(reference.scenarios)
        raise UsageError(f"the reference of {options.cell.model} has no {options.scenario}; it has {there}")
    for reason in refused(options, reference.precisions):
        raise UsageError(reason)


@contextmanager
def _work_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mlperf-reference-") as folder:
        yield Path(folder)


def prepare(
    options: LoadgenRun,
    reference: ReferenceImplementation,
    benchmark: AnyBenchmark,
    backend: Backend,
    command: ReferenceRunCommand,
    work: Path,
    events: Events,
) -> PreparedFiles:
    """The data set, the model file and what else the reference reads. Raises HarnessError."""
    synthetic = own.synthesize(options, benchmark, backend, events)
    data = synthetic.data if synthetic else options.folders.data
    with data_files.reading(data):
        dataset = benchmark.open_dataset(data, limit=options.samples)
    events.phase(Phase.PREPROCESS)
    cache = _own_cache(options, data)
    file, model = choose_model(options, reference, benchmark, synthetic, cache)
    given = Given(
        options=options,
        reference=reference,
        benchmark=benchmark,
        checkout=command.checkout,
        code=command.model_code if reference.code_files else None,
        data=data,
        dataset=dataset,
        count=dataset.count,
        synthetic=synthetic,
        model=model,
        work=work,
        cache=cache,
    )
    values = {**_values(given), **files.of_model(options.cell.model)(given)}
    return PreparedFiles(given, file, values)


def _own_cache(options: LoadgenRun, data: Path) -> Path:
    """The folder for what the reference makes of *data*: beside a synthetic set, or by the name of the data set."""
    name = data.parent.name if options.synthetic else options.cell.model
    folder = cache_folder(options.folders.cache) / "reference" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def choose_model(
    options: LoadgenRun,
    reference: ReferenceImplementation,
    benchmark: AnyBenchmark,
    synthetic: SyntheticSet | None,
    cache: Path,
) -> tuple[UsedModelFile | None, Path | None]:
    """The model file on record, and the path that the reference is given. Raises ModelFileError."""
    if synthetic and options.model_file is None:
        form = reference.model_format if options.precision == FP32 else None  # others are the model's module's
        path = model_files.written(benchmark, synthetic, form, reference.model_name, cache) if form else None
        recorded = path if path and path.is_file() else synthetic.weights  # a SavedModel is a folder
        return official_files.identify(recorded, None), path
    official = _official(options, reference)
    path = official_files.locate(options.folders.models, options.model_file, official)
    return official_files.read(path, official, must_be=options.model_file is None), path


def _official(options: LoadgenRun, reference: ReferenceImplementation) -> OfficialFile | None:
    """The official file that the reference reads, which need not be the one that our harness takes."""
    fitting = (file for file in options.cell.files if file.format is reference.model_format)
    there = (file for file in fitting if file.precision == options.precision)
    return next(there, options.cell.official(options.precision))


def _values(given: Given) -> dict[str, object]:
    """The placeholders that are always known; see reference_contract/reference.py."""
    options = given.options
    return {
        "accuracy_log": options.folders.results / accuracy_log.NAME,
        "batch_size": options.batch_size,
        "cache": given.cache,
        "checkout": given.checkout,
        "code": given.code,
        "data": given.data,
        "device": options.cell.device.value,
        "mode": options.mode.value,
        "model": given.model,
        "output": options.folders.results,
        "performance_samples": given.count,
        "samples": given.count,
        "scenario": options.scenario.value,
        "threads": cores(),
        "user_conf": options.folders.results / USER_CONF,
        "work": given.work,
    }


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
    script = process.Script(
        given.checkout / reference.folder / reference.script,
        tuple(filled(words, values)),
        filled_variables(reference.environment, values),
        given.work,
        reference.own_venv,
        reference.restored,
        reference.adapted,
        {name: seed for name, seed in options.seeds.items() if seed is not None},
        given.code,
        watched,
    )
    heard = process.run(script, [sign.pattern for sign in reference.signs])
    if heard.code or not (logs_in / detail_log.NAME).is_file():
        why = f"exited with {heard.code}" if heard.code else f"left no {detail_log.NAME}"
        said = [sentence for sentence in map(heard.said, reference.signs) if sentence]
        details = (*said, *heard.tail)
        raise SampleError(f"the reference's {reference.script} {why}", details=details, hint=SEE_LOG)
    return heard


@dataclass(frozen=True)
class ScoredRun:
    """Accuracy of a run, and what is to be known of it."""

    accuracy: Accuracy
    remarks: tuple[str, ...] = ()


def score(prepared: PreparedFiles, events: Events) -> ScoredRun | None:
    """The accuracy by the reference's script, also written to accuracy.txt; None for a performance run."""
    given, options = prepared.given, prepared.given.options
    if options.mode is not Mode.ACCURACY:
        return None
    events.phase(Phase.SCORE)
    folder = options.folders.results
    whole = folder / accuracy_log.NAME
    logs.check_whole(whole)
    log = files.scored_log(options.cell.model)(given, whole)
    scored = _scored(prepared, log)
    remarks = () if log == whole else (given.reference.scoring.whole.format(line=_scored(prepared, whole).line),)
    write_atomically(folder / "accuracy.txt", f"{scored.line}\n".encode())
    return ScoredRun(Accuracy(tuple(_judged(prepared, scored))), remarks)


def _scored(prepared: PreparedFiles, log: Path) -> scoring.ReferenceScores:
    """What the reference's script says of *log*."""
    given, values = prepared.given, {**prepared.values, "accuracy_log": log}
    return scoring.score(given.reference, given.checkout, values, given.work)


def _judged(prepared: PreparedFiles, scored: scoring.ReferenceScores) -> Iterator[JudgedScore]:
    """Each score beside its target: of synthetic data the known one, which the script may have rounded."""
    given, benchmark = prepared.given, prepared.given.benchmark
    known = benchmark.known_scores(given.synthetic, given.count) if given.synthetic else None
    for number, metric in enumerate(benchmark.metrics):
        printed = scored.values.get(metric)
        if printed is not None:
            tolerance = benchmark.tolerance + printed.rounding
            yield own.judged(given.options, tolerance, metric, printed.value, known[number] if known else None)


def compose(prepared: PreparedFiles, backend: Backend, test: PerformedTest, scored: ScoredRun | None) -> RunReply:
    """The result, as our harness gives it, with what is to be known of the reference's."""
    given, options = prepared.given, prepared.given.options
    log = detail_log.read(options.folders.results)
    answered, empty = _answered(log, options)
    findings = result.Findings(
        log=log,
        by_instance=(answered,),
        dataset_count=given.count,
        accuracy=scored.accuracy if scored else None,
        proof={"proved": False, "why": "the reference does not say where it computes"},
        settings=_settings(prepared, log),
        model_file=prepared.file,
        variant="as the reference reads it",
    )
    reply = result.compose(options, backend, findings)
    signs = [each for each in given.reference.signs if each.device in ("", options.cell.device.value)]
    said = [(sign.invalid, sentence) for sign in signs if (sentence := test.heard.said(sign))]
    wrong = [sentence for invalid, sentence in said if invalid]
    if empty and not given.reference.empty_answers:
        wrong.append(f"{empty} samples were answered with nothing")
    noted = [sentence for invalid, sentence in said if not invalid]
    remarks = [*given.reference.remarks, *test.remarks, *(scored.remarks if scored else ()), *noted]
    told = {**reply.settings, "remarks": remarks}
    return replace(reply, valid=reply.valid and not wrong, reasons=(*wrong, *reply.reasons), settings=told)


def _answered(log: detail_log.DetailLog, options: LoadgenRun) -> tuple[int, int]:
    """How many samples were answered, and how many of these with nothing: only an accuracy log tells that."""
    if options.mode is Mode.PERFORMANCE:
        return round(log.number("result_query_count") * log.number("effective_samples_per_query")), 0
    answers = [len(each.data) for each in accuracy_log.answers(options.folders.results / accuracy_log.NAME)]
    return len(answers), answers.count(0)


def _settings(prepared: PreparedFiles, log: detail_log.DetailLog) -> dict[str, Any]:
    given = prepared.given
    keys = ("min_duration_ms", "min_query_count", "performance_sample_count", "target_qps")
    effective = {key: log.values[f"effective_{key}"] for key in keys if f"effective_{key}" in log.values}
    asked = {"batch_size": prepared.values.get("batch_size"), "threads": prepared.values.get("threads")}
    return {
        **effective,
        **{key: value for key, value in asked.items() if value is not None},
        "dataset_samples": given.count,
        "answers": given.reference.answers.value,
        "script": f"{given.reference.folder}/{given.reference.script}",
    }
