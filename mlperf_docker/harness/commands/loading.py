"""Model file chosen, model loaded on each instance, memory checked before."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlperf_docker.contract.events import Phase
from mlperf_docker.contract.words import ModelFormat, Scenario
from mlperf_docker.harness.api.backend import Backend, Predictor
from mlperf_docker.harness.api.benchmark import Benchmark
from mlperf_docker.harness.api.errors import UsageError
from mlperf_docker.harness.api.events import Events
from mlperf_docker.harness.api.model import Model, Surroundings, Whole
from mlperf_docker.harness.api.samples import Allocate, Dataset, Samples
from mlperf_docker.harness.api.scores import SyntheticSet
from mlperf_docker.harness.api.tables import Tabled
from mlperf_docker.harness.backends import registry as backends
from mlperf_docker.harness.commands import limits
from mlperf_docker.harness.commands.options import LoadgenRun
from mlperf_docker.harness.models.opening import Loading, blaming, load_parts, open_model, trying
from mlperf_docker.harness.system.resources import cores, free_memory
from mlperf_docker.harness.weights import model_files
from mlperf_docker.harness.weights.model_files import UsedModelFile


@dataclass(frozen=True, slots=True)
class Prepared:
    """The data set of a run, preprocessed. synthetic: what is known about it, if it is synthetic."""

    dataset: Dataset
    samples: Samples
    synthetic: SyntheticSet | None


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """The model of a run: its file, one predictor for each instance, and the proof of the device.

    whole: what made the predictors, where the model's own take parts of samples.
    """

    file: UsedModelFile | None
    model: Model
    predictors: tuple[Predictor, ...]
    threads: int
    proof: Mapping[str, Any]
    whole: Whole | None = None


def answering(backend: Backend) -> Backend:
    """The backend that decides what synthetic samples show: *backend*, unless it computes nothing."""
    return backend if backend.computes else backends.load(backends.REFERENCE)


def choose_model(
    options: LoadgenRun, benchmark: Benchmark, backend: Backend, synthetic: SyntheticSet | None, events: Events
) -> tuple[UsedModelFile | None, Model]:
    """The model of the run and its file, None for a backend that computes nothing. Raises ModelFileError.

    Whether a model that may be larger than memory fits, and how, is settled and said before its file is read.
    """
    if not backend.computes:
        return None, benchmark.native(Path(), ModelFormat.ONNX)
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


def load(
    options: LoadgenRun, backend: Backend, file: UsedModelFile | None, model: Model, prepared: Prepared, events: Events
) -> LoadedModel:
    """Load the model once for each instance and prove where it runs. Raises ModelFileError or DeviceError."""
    events.phase(Phase.LOAD_MODEL)
    threads = options.threads_per_instance or operator_threads(options, cores())
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
    return LoadedModel(file, model, predictors, threads, proof, whole)


def shares(instances: int, devices: int) -> tuple[int, ...]:
    """How many instances each device has: they are dealt out in turn, and devices without one are left out."""
    return tuple(len(range(number, instances, devices)) for number in range(min(instances, devices)))


def allocator(options: LoadgenRun, backend: Backend) -> Allocate:
    """Memory for samples on their way to the device of the run."""
    return lambda shape, dtype: backend.allocate(shape, dtype, options.cell.device)


def check_memory(options: LoadgenRun, model: Model, prepared: Prepared, events: Events) -> None:
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


def operator_threads(options: LoadgenRun, processors: int) -> int:
    """Threads for the operators of each instance, by default.

    In Server the thread that issues queries spins to keep LoadGen's schedule. Operators that are split evenly over all
    processors would wait for the part that shares one with it: p99 of a small network on two cores falls by half.
    """
    if options.scenario is Scenario.SERVER and not options.cell.device.profile.is_accelerator:
        processors -= 1
    return max(1, processors // options.copies)


def model_file(options: LoadgenRun, synthetic: SyntheticSet | None) -> UsedModelFile:
    """The file named, the synthetic weights, or the official file, in this order."""
    official = options.cell.official(options.precision)
    if synthetic and options.model_file is None:
        return model_files.identify(synthetic.weights, None)
    return model_files.find(options.folders.models, options.model_file, official)
