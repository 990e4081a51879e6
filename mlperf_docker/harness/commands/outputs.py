"""`outputs`: the raw outputs of a network for the synthetic samples."""

from dataclasses import replace

from mlperf_docker.contract.cell import Cell
from mlperf_docker.contract.commands import OutputsCommand, OutputsReply
from mlperf_docker.contract.events import Phase
from mlperf_docker.harness.api.errors import SampleError
from mlperf_docker.harness.api.events import Events
from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.api.scores import SyntheticKind
from mlperf_docker.harness.backends import registry as backends
from mlperf_docker.harness.backends.batches import joined
from mlperf_docker.harness.commands.folders import cache_folder, new_file_path
from mlperf_docker.harness.commands.loading import instances
from mlperf_docker.harness.loadgen.worker import not_finite
from mlperf_docker.harness.models import registry as models
from mlperf_docker.harness.models.opening import CpuAnswerer, Loading, open_model
from mlperf_docker.harness.samples.library import Library
from mlperf_docker.harness.system.files import new_file
from mlperf_docker.harness.system.resources import cores
from mlperf_docker.harness.weights import safetensors as weight_files

BATCH = 4
"""More than one, so that a mix-up within a batch shows; few, so that the largest network fits into memory."""


def execute(command: OutputsCommand, cell: Cell, events: Events) -> OutputsReply:
    """Write the traced outputs of the cell's network for the synthetic samples to --output."""
    kind, cache, output, limit = (
        SyntheticKind(command.synthetic),
        command.cache,
        new_file_path(command.output),
        command.samples,
    )
    benchmark, backend = models.load(cell.model), backends.load(cell.backend)
    backend.check_device(cell.device)
    events.phase(Phase.SYNTHESIZE)
    answerer, report = CpuAnswerer(backend, cores()), events.reporter(Phase.SYNTHESIZE)
    made = benchmark.synthesize(kind, cache_folder(cache), answerer, report)
    model = open_model(benchmark, backend, made.weights)
    if not isinstance(model.source, Network):
        raise TypeError(f"{made.weights} was not opened as a network")
    events.phase(Phase.PREPROCESS)
    dataset = benchmark.open_dataset(made.data, limit=limit)
    report = events.reporter(Phase.PREPROCESS)
    samples = benchmark.preprocess(dataset, model.form, cache, workers=cores(), report=report)
    events.phase(Phase.COMPARE)
    report = events.reporter(Phase.COMPARE)
    if model.splitting is None:
        model = replace(model, interface=model.source.interface.fetching(*benchmark.traced))
    batch = BATCH if model.splitting is None else 1  # whole samples are large
    (predictor,) = instances(backend, model, samples, Loading(cell.device, cores()), 1, events).predictors
    proof = predictor.prove(samples.load([0]))
    batches = []
    for start in range(0, samples.count, batch):
        indices = list(range(start, min(start + batch, samples.count)))
        library = Library(samples)
        library.load(indices)
        found = predictor.predict(library.gather(library.find(indices), library.buffers(len(indices))))
        if said := not_finite(found, benchmark.traced, indices):
            raise SampleError(f"{said}: there is nothing to compare")
        batches.append(found)
        report(indices[-1] + 1, samples.count, "samples")
    whole = [joined(parts) for parts in zip(*batches, strict=True)]
    with new_file(output) as partial:
        weight_files.write(partial, dict(zip(benchmark.traced, whole, strict=True)))
    return OutputsReply(cell.backend, cell.device.value, samples.count, output, dict(backend.versions()), dict(proof))
