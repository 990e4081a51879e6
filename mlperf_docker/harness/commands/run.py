"""`run`: a LoadGen test from its options to its result."""

from collections.abc import Callable
from dataclasses import replace

import mlperf_loadgen as lg

from mlperf_docker.contract import detail_log, json_values
from mlperf_docker.contract.cell import Cell
from mlperf_docker.contract.commands import RunCommand
from mlperf_docker.contract.events import Phase
from mlperf_docker.contract.result import RunReply
from mlperf_docker.contract.scores import Sense
from mlperf_docker.contract.words import Mode, Scenario
from mlperf_docker.harness.api.backend import FP32, Backend
from mlperf_docker.harness.api.benchmark import Benchmark
from mlperf_docker.harness.api.errors import DeviceMemoryError, UsageError
from mlperf_docker.harness.api.events import Events
from mlperf_docker.harness.api.model import Model
from mlperf_docker.harness.api.samples import D, F, S
from mlperf_docker.harness.api.scores import Accuracy, JudgedScore, SyntheticKind, SyntheticSet
from mlperf_docker.harness.backends import registry as backends
from mlperf_docker.harness.commands import compliance, limits, result
from mlperf_docker.harness.commands.folders import cache_folder, claimed
from mlperf_docker.harness.commands.loading import LoadedModel, Prepared, allocator, answering, choose_model, load
from mlperf_docker.harness.commands.measuring import ACCELERATOR_WAIT_S, measure
from mlperf_docker.harness.commands.options import LoadgenRun, run_of
from mlperf_docker.harness.loadgen import logs, running, settings
from mlperf_docker.harness.loadgen.worker import Responder
from mlperf_docker.harness.models import registry as models
from mlperf_docker.harness.models.opening import CpuAnswerer, trying
from mlperf_docker.harness.samples.library import Library
from mlperf_docker.harness.system import data_files, lifeline, storage
from mlperf_docker.harness.system.files import write_atomically, write_json
from mlperf_docker.harness.system.resources import cores
from mlperf_docker.harness.system.signals import exit_now

REDUCED_SHARE = 0.9
"""Share of the known accuracy that a synthetic run must reach in another precision than the fp32 it is known for. A
random network decides more narrowly than a trained one; answers that got mixed up would cost most of the accuracy."""


def execute(command: RunCommand, cell: Cell, events: Events) -> RunReply:
    """Do one LoadGen test, and write its result. Raises HarnessError where there is none."""
    options = run_of(command, cell)
    runs = compliance.read_references(options)
    options = runs.applied(options) if runs else options
    with claimed(options.folders.results) as folder, storage.writing(folder):
        benchmark = models.load(cell.model).configured(options.model_options)
        backend = backends.load(cell.backend)
        check_precision(options)
        if options.user_conf is not None:
            options.user_conf.check(options.cell.loadgen_key, options.scenario, options.given)
        backend.check_device(options.cell.device)
        options = options.settled(backend.count(options.cell.device))
        synthetic = synthesize(options, benchmark, backend, events)
        data = synthetic.data if synthetic else options.folders.data
        with data_files.reading(data):
            dataset = benchmark.open_dataset(data, limit=options.samples)
        file, model = choose_model(options, benchmark, backend, synthetic, events)
        prepared = prepare(options, benchmark, model, dataset, synthetic, events)
        if options.samples is not None and options.samples > prepared.samples.count:
            events.notice(f"--samples {options.samples}: there are {prepared.samples.count}, and all are used.")
        if runs:
            runs.check_samples(prepared.samples.count)
        limits.check_batch(options, model, prepared.samples, benchmark.payload(dataset))
        loaded = load(options, backend, file, model, prepared.samples, events)
        found = run_test(options, benchmark, backend, prepared, loaded, events)
        if runs:
            verdict = compliance.verify(options, benchmark, prepared, runs, found.log, events)
            found = replace(found, compliance=verdict)
        reply = result.compose(options, backend, found)
        if not lifeline.is_held():  # else a kill before the host writes would leave half of it
            write_json(folder / "result.json", json_values.fields(reply))
        return reply


def check_precision(options: LoadgenRun) -> None:
    """Raise UsageError for a precision that the cell does not have."""
    if options.precision not in options.cell.precisions:
        there = ", ".join(options.cell.precisions)
        raise UsageError(f"{options.cell.model} on {options.cell.backend} has no {options.precision}; it has {there}")


def synthesize(
    options: LoadgenRun, benchmark: Benchmark[D, F, S], backend: Backend, events: Events
) -> SyntheticSet | None:
    """The synthetic set of a synthetic run, made where the cache lacks it."""
    if options.synthetic is None:
        return None
    events.phase(Phase.SYNTHESIZE)
    answerer = CpuAnswerer(answering(backend), cores())
    cache = cache_folder(options.folders.cache)
    kind = SyntheticKind(options.synthetic, options.synthetic_samples, options.synthetic_labels)
    return benchmark.synthesize(kind, cache, answerer, events.reporter(Phase.SYNTHESIZE))


def prepare(
    options: LoadgenRun,
    benchmark: Benchmark[D, F, S],
    model: Model[F, S],
    dataset: D,
    synthetic: SyntheticSet | None,
    events: Events,
) -> Prepared[D, S]:
    """The data set, preprocessed for *model*. Raises DatasetError."""
    events.phase(Phase.PREPROCESS)
    cache, report = cache_folder(options.folders.cache), events.reporter(Phase.PREPROCESS)
    samples = benchmark.preprocess(dataset, model.form, cache, workers=options.workers or cores(), report=report)
    return Prepared(dataset, samples, synthetic)


def run_test(
    options: LoadgenRun,
    benchmark: Benchmark[D, F, S],
    backend: Backend,
    prepared: Prepared[D, S],
    loaded: LoadedModel[F, S],
    events: Events,
) -> result.Findings:
    """Calibrate, run LoadGen and score."""
    try:
        with trying(loaded.model):
            measured = measure(options, benchmark, prepared, loaded, events)
    except (MemoryError, DeviceMemoryError) as error:
        raise limits.failure(options, error) from error
    folder = options.folders.results
    configured = configure(options, benchmark, prepared, measured.hints)
    batch = measured.batch
    limits.check_queries(options, settings.generated(configured, options.scenario), batch)
    limits.check_loaded(prepared.samples, configured.performance_sample_count_override)
    several = options.scenario is Scenario.MULTI_STREAM
    largest = max(batch, configured.multi_stream_samples_per_query) if several else batch
    wait_s = ACCELERATOR_WAIT_S if options.cell.device.profile.is_accelerator else 0.0
    model, payload = loaded.model, benchmark.payload(prepared.dataset)
    postprocess = model.postprocess_for(prepared.samples)
    outputs = (*model.interface.outputs, *model.interface.watched)
    names = () if loaded.instances.whole else tuple(tensor.name for tensor in outputs)
    responder = Responder(loaded.instances.predictors, postprocess, payload, largest, wait_s, names)
    library = Library(prepared.samples, allocator(backend, options.cell.device))
    events.phase(Phase.LOADGEN)
    audit = compliance.written_audit(options, configured)
    planned = running.LoadGenTest(options.scenario, configured, folder, library, responder, options.trace, audit)
    try:
        tally = running.run(planned, watch(options, prepared, events))
    except Exception as error:
        known = limits.failure(options, error)
        if known is error:
            raise
        raise known from error
    by_instance = tally.by_instance
    fixed = {"fixed_batch": loaded.model.interface.batch} if loaded.model.interface.batch else {}
    found = {**measured.settings, **fixed, "instances": len(by_instance), "threads": loaded.threads}
    found["samples_by_instance"] = list(by_instance)
    found["dataset_samples"] = prepared.samples.count
    if options.synthetic is not None:
        found["synthetic_labels"] = options.synthetic_labels.value
    if options.user_conf is not None:
        found["user_conf"] = options.user_conf.settings(options.cell.loadgen_key, options.scenario)
        found["open_only"] = options.user_conf.open_only(options.cell.loadgen_key, options.scenario)
    return result.Findings(
        log=detail_log.read(folder),
        by_instance=by_instance,
        dataset_count=prepared.samples.count,
        not_finite=tally.not_finite,
        accuracy=None if tally.not_finite else score(options, benchmark, prepared, events),
        proof=loaded.proof,
        settings={**found, **settings.facts(configured, options.scenario)},
        model_file=loaded.file,
        variant=loaded.model.variant,
    )


def configure(
    options: LoadgenRun, benchmark: Benchmark[D, F, S], prepared: Prepared[D, S], hints: settings.Hints
) -> lg.TestSettings:
    """TestSettings, after writing the user.conf that they come from."""
    keys = settings.wanted(
        options.scenario,
        hints,
        min_duration_s=options.min_duration_s,
        target_qps=options.target_qps,
        equal_issue=benchmark.equal_issue,
        bound_ms=options.target_latency_ms,
        min_query_count=options.min_query_count,
    )
    keys = {**benchmark.dropped.get(options.scenario, {}), **keys}
    given = options.user_conf.text if options.user_conf else ""
    own = settings.user_conf(options.cell.loadgen_key, options.scenario, keys, given)
    configured = settings.loadgen_settings(
        options.folders.results / "user.conf",
        own if options.taken_conf is None else options.taken_conf,
        model=options.cell.loadgen_key,
        scenario=options.scenario,
        mode=options.mode,
        samples=prepared.samples.count,
        seeds=options.seeds,
    )
    if options.most_waiting is not None and options.scenario is Scenario.SERVER:
        settings.end_early(configured, options.most_waiting)
    return configured


def watch(options: LoadgenRun, prepared: Prepared[D, S], events: Events) -> running.Watch:
    """Progress of the test as events. In accuracy mode the number of samples is known."""
    total = prepared.samples.count if options.mode is Mode.ACCURACY else None

    def stuck(error: BaseException) -> None:
        exit_now(events, limits.failure(options, error))

    progress: Callable[[int], None] = lambda done: events.progress(Phase.LOADGEN, done, total, "samples")  # noqa: E731
    return running.Watch(progress=progress, stuck=stuck)


def score(
    options: LoadgenRun, benchmark: Benchmark[D, F, S], prepared: Prepared[D, S], events: Events
) -> Accuracy | None:
    """The accuracy of an accuracy run, also written to accuracy.txt; None for a performance run."""
    if options.mode is not Mode.ACCURACY:
        return None
    events.phase(Phase.SCORE)
    folder = options.folders.results
    log = folder / "mlperf_log_accuracy.json"
    logs.check_whole(log)
    scored = benchmark.score(log, prepared.dataset, prepared.samples)
    write_atomically(folder / "accuracy.txt", f"{scored.line}\n".encode())
    synthetic, count = prepared.synthetic, len(benchmark.metrics)
    known = benchmark.known_scores(synthetic, prepared.samples.count) if synthetic else (None,) * count
    named = zip(benchmark.metrics, scored.values, known, strict=True)
    return Accuracy(tuple(judged(options, benchmark.tolerance, *each) for each in named))


def judged(options: LoadgenRun, tolerance: float, metric: str, value: float, known: float | None) -> JudgedScore:
    """A score beside its targets. known: what synthetic data must give in fp32; None for real data."""
    target = options.cell.target(metric)
    unit = target.unit if target else ""
    if known is not None and options.precision == FP32:
        return JudgedScore(metric, value, Sense.EXACTLY, known, unit=unit, tolerance=tolerance)
    if known is not None:
        lower = target is not None and target.sense is Sense.AT_MOST
        bound = known / REDUCED_SHARE if lower else known * REDUCED_SHARE
        return JudgedScore(metric, value, Sense.AT_MOST if lower else Sense.AT_LEAST, bound, unit=unit)
    if target is None:
        return JudgedScore(metric, value)
    return JudgedScore(metric, value, target.sense, target.target, target.high_target, target.reference, unit)
