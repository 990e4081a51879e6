"""Loading of the model on each instance, after a check of memory."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic

from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.events import Phase
from mlperf_docker.contract.words import ModelFormat, Scenario
from mlperf_docker.harness.api.backend import Backend, Predictor
from mlperf_docker.harness.api.benchmark import Benchmark
from mlperf_docker.harness.api.errors import UsageError
from mlperf_docker.harness.api.events import Events
from mlperf_docker.harness.api.model import Model, Surroundings, Whole
from mlperf_docker.harness.api.samples import Allocate, D, F, S
from mlperf_docker.harness.api.scores import SyntheticSet
from mlperf_docker.harness.backends import registry as backends
from mlperf_docker.harness.commands import limits
from mlperf_docker.harness.commands.options import LoadgenRun
from mlperf_docker.harness.models.opening import Loading, blaming, load_parts, open_model, trying
from mlperf_docker.harness.system.resources import cores, free_memory
from mlperf_docker.harness.weights import model_files
from mlperf_docker.harness.weights.model_files import UsedModelFile


@dataclass(frozen=True, slots=True)
class Prepared(Generic[D, S]):
    """The data set of a run, preprocessed."""

    dataset: D
    samples: S
    synthetic: SyntheticSet | None
    """What is known about it, if it is synthetic."""


@dataclass(frozen=True, slots=True)
class Instances:
    """The instances of a model: a predictor of samples for each."""

    predictors: tuple[Predictor, ...]
    whole: Whole | None = None
    """What made the predictors, where the model's own take parts of samples."""


@dataclass(frozen=True, slots=True)
class LoadedModel(Generic[F, S]):
    """The model of a run: its file, its instances, and the proof of the device."""

    file: UsedModelFile | None
    model: Model[F, S]
    instances: Instances
    threads: int
    proof: Mapping[str, Any]


def answering(backend: Backend) -> Backend:
    """The backend that decides what synthetic samples show: *backend*, unless it computes nothing."""
    return backend if backend.computes else backends.load(backends.REFERENCE)


def choose_model(
    options: LoadgenRun,
    benchmark: Benchmark[D, F, S],
    backend: Backend,
    synthetic: SyntheticSet | None,
    events: Events,
) -> tuple[UsedModelFile | None, Model[F, S]]:
    """The model of the run and its file, None for a backend that computes nothing. Raises ModelFileError.

    Whether a model that may be larger than memory fits, and how, is settled and said before its file is read.
    """
    if not backend.computes:
        return None, benchmark.native(Path(), ModelFormat.ONNX)
    made_up = synthetic is not None and options.model_file is None
    given = synthetic.weights if synthetic and made_up else options.model_file
    official = None if made_up else options.cell.official(options.precision)
    path = model_files.locate(options.folders.models, given, official)
    with blaming(path):
        plan = benchmark.plan(path, options.cell.device, shares(options.copies, backend.count(options.cell.device)))
    for line in plan.lines if plan else ():
        events.notice(line)
    file = model_files.read(path, official, must_be=given is None)
    model = open_model(benchmark, backend, path)
    if model.interface.batch:
        said = f"The batch of {path.name} is fixed to {model.interface.batch}"
        events.notice(f"{said}: fewer samples at once are filled up, and take as long.")
    return file, plan.place(model) if plan else model


def load(
    options: LoadgenRun,
    backend: Backend,
    file: UsedModelFile | None,
    model: Model[F, S],
    samples: S,
    events: Events,
) -> LoadedModel[F, S]:
    """Load the model once for each instance and prove where it runs. Raises ModelFileError or DeviceError."""
    events.phase(Phase.LOAD_MODEL)
    threads = options.threads_per_instance or operator_threads(options, cores())
    limits.check_threads(options, threads)
    limits.check_instances(options, model)
    loading = Loading(options.cell.device, threads, options.precision)
    made = instances(backend, model, samples, loading, options.copies, events)
    events.phase(Phase.PROVE_DEVICE)
    sample = samples.load([0])
    with trying(model):
        proofs = [dict(predictor.prove(sample)) for predictor in made.predictors]
    proof = {**proofs[0], "instances": proofs} if len(proofs) > 1 else proofs[0]
    return LoadedModel(file, model, made, threads, proof)


def instances(
    backend: Backend, model: Model[F, S], samples: S, loading: Loading, count: int, events: Events
) -> Instances:
    """Load *model* so many times, on each of the backend's devices in turn, to predict *samples*.

    Raises ModelFileError, and UsageError where the memory that samples take is not there.
    """
    check_memory(model, samples, count, events)
    devices = backend.count(loading.device)
    loaded = [load_parts(backend, model, replace(loading, number=number % devices)) for number in range(count)]
    if model.splitting is None:
        return Instances(tuple(parts[0] for parts in loaded))
    surroundings = Surroundings(loading.device, loading.threads, allocator(backend, loading.device))
    whole = model.splitting.whole(loaded, samples, surroundings)
    return Instances(whole.predictors, whole)


def shares(instances: int, devices: int) -> tuple[int, ...]:
    """How many instances each device has: they are dealt out in turn, and devices without one are left out."""
    return tuple(len(range(number, instances, devices)) for number in range(min(instances, devices)))


def allocator(backend: Backend, device: Device) -> Allocate:
    """Memory for samples on their way to *device*."""
    return lambda shape, dtype: backend.allocate(shape, dtype, device)


def check_memory(model: Model[F, S], samples: S, count: int, events: Events) -> None:
    """Say what memory the samples take, for a model that takes much of it. Raises UsageError if it is not there."""
    wanted = model.splitting.memory(samples, count) if model.splitting else None
    if wanted is None:
        return
    needed, purpose = wanted
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
