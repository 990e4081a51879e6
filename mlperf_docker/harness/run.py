"""A run from its options to its result, step by step."""

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlperf_loadgen as lg

from mlperf_docker.harness import calibrate, data_files, limits, loadgen, logs, model_files, result, settings, storage
from mlperf_docker.harness.backends import registry as backends
from mlperf_docker.harness.backends.base import FP32, Backend, Predictor
from mlperf_docker.harness.errors import DeviceMemoryError, ExitCode, UsageError
from mlperf_docker.harness.events import Events
from mlperf_docker.harness.files import write_atomically, write_json
from mlperf_docker.harness.model_files import ModelFile
from mlperf_docker.harness.models import registry as models
from mlperf_docker.harness.models.base import (
    Accuracy,
    Allocate,
    Benchmark,
    Dataset,
    Model,
    Samples,
    Surroundings,
    SyntheticSet,
    Tabled,
    Whole,
)
from mlperf_docker.harness.names import Device, Format, Mode, Phase, Scenario
from mlperf_docker.harness.opening import CpuAnswerer, Loading, blaming, load_parts, open_model, trying
from mlperf_docker.harness.options import RunOptions
from mlperf_docker.harness.qsl import Library
from mlperf_docker.harness.resources import cores, free_memory
from mlperf_docker.harness.signals import exit_now
from mlperf_docker.harness.sut import Engine
from mlperf_docker.harness.typical import excess, typical

log = logging.getLogger(__name__)

CUDA_WAIT_S = 0.001
"""On a GPU a larger batch is nearly free, so Server waits this long for more samples; on a CPU waiting only costs."""

SPARE = 1.1
"""By how much more than the best rate measured an Offline query is sized for: one that ends early is INVALID."""

REDUCED_SHARE = 0.9
"""Share of the known accuracy that a synthetic run must reach in another precision than the fp32 it is known for. A
random network decides more narrowly than a trained one; answers that got mixed up would cost most of the accuracy."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """The data set of a run, preprocessed. synthetic: what is known about it, if it is synthetic."""

    dataset: Dataset
    samples: Samples
    synthetic: SyntheticSet | None


@dataclass(frozen=True, slots=True)
class Loaded:
    """The model of a run: its file, one predictor for each instance, and the proof of the device.

    whole: what made the predictors, where the model's own take parts of samples.
    """

    file: ModelFile | None
    model: Model
    predictors: tuple[Predictor, ...]
    threads: int
    proof: Mapping[str, Any]
    whole: Whole | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """What the calibration found. batch: samples in a batch; settings: what was chosen, for the result."""

    batch: int
    hints: settings.Hints
    settings: Mapping[str, Any]


def run(options: RunOptions, events: Events) -> ExitCode:
    """Do one LoadGen test; print and write its result. Raises HarnessError where there is none."""
    with claimed(options.folders.results) as folder, storage.writing(folder):
        benchmark, backend = (
            models.cut(models.load(options.cell.model), options.max_ind_range),
            backends.load(options.cell.backend),
        )
        check_precision(options)
        if options.user_conf is not None:
            options.user_conf.check(benchmark.loadgen_key, options.scenario, options.given)
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
        limits.check_batch(options, model, prepared.samples, benchmark.payload(dataset))
        loaded = load(options, backend, file, model, prepared, events)
        found = test(options, benchmark, backend, prepared, loaded, events)
        value = result.compose(options, backend, found)
        write_json(folder / "result.json", value)
        events.emit("result", value)
        return result.exit_code(value)


def check_precision(options: RunOptions) -> None:
    """Raise UsageError for a precision that the cell does not have."""
    if options.precision not in options.cell.precisions:
        there = ", ".join(options.cell.precisions)
        raise UsageError(f"{options.cell.model} on {options.cell.backend} has no {options.precision}; it has {there}")


@contextmanager
def claimed(folder: Path) -> Iterator[Path]:
    """The results folder, locked against a second run. Raises UsageError if it cannot be written or is in use.

    The lock is on the folder itself: it leaves no file, and the kernel gives it back however the run ends.
    """
    if not folder.is_dir():
        raise UsageError(f"the results folder {folder} is not there")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"the results folder {folder} is not writable for user {os.getuid()}")
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _lock(folder, descriptor)
        yield folder
    finally:
        os.close(descriptor)


def _lock(folder: Path, descriptor: int) -> None:
    try:
        if not storage.lock(descriptor, wait=False):
            log.warning("The file system of %s has no locks: nothing keeps a second run out of it.", folder)
    except BlockingIOError as error:
        message = f"the results folder {folder} is in use by another run"
        raise UsageError(message, hint="Give each run a folder of its own: --results") from error


def cache_folder(cache: Path) -> Path:
    """The cache folder; one that cannot be written may hold all that a run needs. Raises UsageError without one."""
    if not cache.is_dir():
        raise UsageError(f"the cache folder {cache} is not there")
    return cache


def synthesize(options: RunOptions, benchmark: Benchmark, backend: Backend, events: Events) -> SyntheticSet | None:
    """The synthetic set of a synthetic run, made where the cache lacks it."""
    if options.synthetic is None:
        return None
    events.phase(Phase.SYNTHESIZE)
    answerer = CpuAnswerer(answering(backend), cores())
    cache = cache_folder(options.folders.cache)
    return benchmark.synthesize(options.synthetic, cache, answerer, events.reporter(Phase.SYNTHESIZE))


def answering(backend: Backend) -> Backend:
    """The backend that decides what synthetic samples show: *backend*, unless it computes nothing."""
    return backends.load("onnxruntime") if backend.name == "dummy" else backend


def choose_model(
    options: RunOptions, benchmark: Benchmark, backend: Backend, synthetic: SyntheticSet | None, events: Events
) -> tuple[ModelFile | None, Model]:
    """The model of the run and the file that it comes from; the dummy backend needs none. Raises ModelFileError.

    Whether a model that may be larger than memory fits, and how, is settled and said before its file is read.
    """
    if backend.name == "dummy":
        return None, benchmark.native(Path(), Format.ONNX)
    if not isinstance(benchmark, Tabled):
        file = model_file(options, synthetic)
        model = open_model(benchmark, backend, file.path)
        if model.interface.batch:
            said = f"The batch of {file.path.name} is fixed to {model.interface.batch}"
            events.notice(f"{said}: fewer samples at once are filled up, and take as long.")
        return file, model
    given = synthetic.weights if synthetic and options.model_file is None else options.model_file
    path = model_files.locate(options.folders.models, given, options.cell.official(options.precision))
    with blaming(path):
        plan = benchmark.plan(path, options.cell.device, shares(options.copies, backend.count(options.cell.device)))
    for line in plan.lines:
        events.notice(line)
    file = model_file(options, synthetic)
    return file, plan.place(open_model(benchmark, backend, file.path))


def prepare(
    options: RunOptions,
    benchmark: Benchmark,
    model: Model,
    dataset: Dataset,
    synthetic: SyntheticSet | None,
    events: Events,
) -> Prepared:
    """The data set, preprocessed for *model*. Raises DatasetError."""
    events.phase(Phase.PREPROCESS)
    cache, report = cache_folder(options.folders.cache), events.reporter(Phase.PREPROCESS)
    samples = benchmark.preprocess(dataset, model.form, cache, workers=options.workers or cores(), report=report)
    return Prepared(dataset, samples, synthetic)


def load(
    options: RunOptions, backend: Backend, file: ModelFile | None, model: Model, prepared: Prepared, events: Events
) -> Loaded:
    """Load the model once for each instance and prove where it runs. Raises ModelFileError or DeviceError."""
    events.phase(Phase.LOAD_MODEL)
    threads = options.threads or operator_threads(options, cores())
    limits.check_threads(options, threads)
    limits.check_instances(options, model)
    check_memory(options, model, prepared, events)
    count = backend.count(options.cell.device)
    instances = [
        load_parts(backend, model, Loading(options.cell.device, threads, options.precision, number % count))
        for number in range(options.copies)
    ]
    whole, predictors = None, tuple(parts[0] for parts in instances)
    if model.around is not None:
        surroundings = Surroundings(options.cell.device, threads, allocator(options, backend))
        whole = model.around(instances, prepared.samples, surroundings)
        predictors = whole.predictors
    events.phase(Phase.PROVE_DEVICE)
    sample = prepared.samples.load([0])
    with trying(model):
        proofs = [dict(predictor.prove(sample)) for predictor in predictors]
    proof = {**proofs[0], "instances": proofs} if len(proofs) > 1 else proofs[0]
    return Loaded(file, model, predictors, threads, proof, whole)


def shares(instances: int, devices: int) -> tuple[int, ...]:
    """How many instances each device has: they are dealt out in turn, and devices without one are left out."""
    return tuple(len(range(number, instances, devices)) for number in range(min(instances, devices)))


def allocator(options: RunOptions, backend: Backend) -> Allocate:
    """Memory for samples on their way to the device of the run."""
    return lambda shape, dtype: backend.allocate(shape, dtype, options.cell.device)


def check_memory(options: RunOptions, model: Model, prepared: Prepared, events: Events) -> None:
    """Say what memory the samples take, for a model that takes much of it. Raises UsageError if it is not there."""
    if model.memory is None:
        return
    needed, purpose = model.memory(prepared.samples, options.copies)
    free = free_memory()
    events.notice(f"Memory beside the network's own: {purpose}; {free / 1e9:.1f} GB are free.")
    if needed > free:
        raise UsageError(
            f"{needed / 1e9:.1f} GB of memory are needed beside the network's own; {free / 1e9:.1f} GB are free",
            hint="Give the container more with --memory, or use fewer --instances.",
        )


def operator_threads(options: RunOptions, processors: int) -> int:
    """Threads for the operators of each instance, by default.

    In Server the thread that issues queries spins to keep LoadGen's schedule. Operators that are split evenly over all
    processors would wait for the part that shares one with it: p99 of a small network on two cores falls by half.
    """
    if options.scenario is Scenario.SERVER and options.cell.device is Device.CPU:
        processors -= 1
    return max(1, processors // options.copies)


def model_file(options: RunOptions, synthetic: SyntheticSet | None) -> ModelFile:
    """The file named, the synthetic weights, or the official file, in this order."""
    official = options.cell.official(options.precision)
    if synthetic and options.model_file is None:
        return model_files.identify(synthetic.weights, None)
    return model_files.find(options.folders.models, options.model_file, official)


def measure(options: RunOptions, benchmark: Benchmark, prepared: Prepared, loaded: Loaded, events: Events) -> Measured:
    """The batch size to use, and the hints for LoadGen."""
    events.phase(Phase.CALIBRATE)
    tuned = loaded.whole.tune(options.batch_size) if loaded.whole else None
    if tuned is not None:
        # The batch is of parts of a sample: samples come one by one.
        known = settings.hints(rate=options.copies / tuned.sample_s, latency_s=tuned.sample_s)
        return Measured(1, known, {"batch_size": 1, "parts_per_batch": tuned.batch})
    worth = benchmark.batches(options.cell.device, options.scenario)
    sizes = calibrate.candidates(options.scenario, options.batch_size, worth)
    batches = typical(prepared.samples, max(sizes), by_length=options.scenario is Scenario.OFFLINE)
    speeds = calibrate.calibrate_on(batches, loaded.predictors[0], sizes)
    if options.scenario is Scenario.SERVER:
        # A third of the bound: a sample may have to wait for one batch before its own starts.
        bound_s = options.target_latency_ms / 1000 if options.target_latency_ms else benchmark.server_bound_s
        chosen, first = calibrate.fastest_within(speeds, bound_s / 3), speeds[0]
        batch = options.batch_size or chosen.batch
        known = settings.hints(rate=first.batch / first.mean_s * options.copies, latency_s=first.mean_s)
        return Measured(batch, known, {"batch_size": batch})
    best = calibrate.fastest(speeds)
    batch = options.batch_size or best.batch
    longer = excess(prepared.samples, max(sizes)) if options.scenario is Scenario.OFFLINE else 1.0
    rate = SPARE * longer * max(speed.best_rate for speed in speeds) * options.copies
    return Measured(batch, settings.hints(rate=rate, latency_s=best.mean_s), {"batch_size": batch})


def test(
    options: RunOptions, benchmark: Benchmark, backend: Backend, prepared: Prepared, loaded: Loaded, events: Events
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
    largest = max(batch, configured.multi_stream_samples_per_query) if multi(options) else batch
    wait_s = CUDA_WAIT_S if options.cell.device is Device.CUDA else 0.0
    model, payload = loaded.model, benchmark.payload(prepared.dataset)
    postprocess = model.for_samples(prepared.samples) if model.for_samples else model.postprocess
    outputs = (*model.interface.outputs, *model.interface.watched)
    names = () if loaded.whole else tuple(tensor.name for tensor in outputs)
    engine = Engine(loaded.predictors, postprocess, payload, largest, wait_s, names)
    library = Library(prepared.samples, allocator(options, backend))
    events.phase(Phase.LOADGEN)
    planned = loadgen.Test(options.scenario, configured, folder, library, engine)
    try:
        outcome = loadgen.run(planned, watch(options, prepared, events))
    except Exception as error:
        known = limits.failure(options, error)
        if known is error:
            raise
        raise known from error
    by_instance = outcome.by_instance
    fixed = {"fixed_batch": loaded.model.interface.batch} if loaded.model.interface.batch else {}
    found = {**measured.settings, **fixed, "instances": len(by_instance), "threads": loaded.threads}
    found["samples_by_instance"] = list(by_instance)
    if options.user_conf is not None:
        found["user_conf"] = options.user_conf.settings(benchmark.loadgen_key, options.scenario)
    return result.Findings(
        log=logs.read(folder),
        by_instance=by_instance,
        dataset_count=prepared.samples.count,
        loadgen_key=benchmark.loadgen_key,
        not_finite=outcome.not_finite,
        accuracy=None if outcome.not_finite else score(options, benchmark, prepared, events),
        proof=loaded.proof,
        settings={**found, **settings.facts(configured, options.scenario)},
        model_file=loaded.file,
        variant=loaded.model.variant,
    )


def multi(options: RunOptions) -> bool:
    """Whether queries have several samples."""
    return options.scenario is Scenario.MULTI_STREAM


def configure(options: RunOptions, benchmark: Benchmark, prepared: Prepared, hints: settings.Hints) -> lg.TestSettings:
    """TestSettings, after writing the user.conf that they come from."""
    keys = settings.wanted(
        options.scenario,
        hints,
        min_duration_s=options.min_duration_s,
        target_qps=options.target_qps,
        equal_issue=benchmark.loadgen_key in settings.EQUAL_ISSUE,
        bound_ms=options.target_latency_ms,
    )
    keys = {**settings.DROPPED.get((benchmark.loadgen_key, options.scenario), {}), **keys}
    given = options.user_conf.text if options.user_conf else ""
    return settings.test_settings(
        options.folders.results / "user.conf",
        settings.user_conf(benchmark.loadgen_key, options.scenario, keys, given),
        model=benchmark.loadgen_key,
        scenario=options.scenario,
        mode=options.mode,
        samples=prepared.samples.count,
    )


def watch(options: RunOptions, prepared: Prepared, events: Events) -> loadgen.Watch:
    """Progress of the test as events. In accuracy mode the number of samples is known."""
    total = prepared.samples.count if options.mode is Mode.ACCURACY else None

    def stuck(error: BaseException) -> None:
        exit_now(events, limits.failure(options, error))

    progress: Callable[[int], None] = lambda done: events.progress(Phase.LOADGEN, done, total, "samples")  # noqa: E731
    return loadgen.Watch(progress=progress, stuck=stuck)


def score(options: RunOptions, benchmark: Benchmark, prepared: Prepared, events: Events) -> Accuracy | None:
    """The accuracy of an accuracy run, also written to accuracy.txt; None for a performance run."""
    if options.mode is not Mode.ACCURACY:
        return None
    events.phase(Phase.SCORE)
    folder = options.folders.results
    log = folder / "mlperf_log_accuracy.json"
    logs.check_whole(log)
    value, line = benchmark.score(log, prepared.dataset, prepared.samples)
    write_atomically(folder / "accuracy.txt", f"{line}\n".encode())
    synthetic = prepared.synthetic
    known = benchmark.known_accuracy(synthetic, prepared.samples.count) if synthetic else options.cell.target
    exact = synthetic is not None and options.precision == FP32
    if synthetic and known and not exact:
        known *= REDUCED_SHARE
    return Accuracy(benchmark.metric, value, known, exact=exact, line=line, tolerance=benchmark.tolerance)
