"""The same weights and samples on several backends: what each gives, and how far they are apart."""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mlperf_docker.contract.cell import Cell
from mlperf_docker.contract.events import Phase
from mlperf_docker.contract.words import SyntheticSize
from mlperf_docker.harness.api.backend import LoadRequest
from mlperf_docker.harness.api.errors import ModelFileError, SampleError, UsageError
from mlperf_docker.harness.api.events import Events
from mlperf_docker.harness.api.model import Surroundings
from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.api.samples import Allocate
from mlperf_docker.harness.backends import registry as backends
from mlperf_docker.harness.backends.batches import joined
from mlperf_docker.harness.commands.folders import cache_folder
from mlperf_docker.harness.loadgen.worker import not_finite
from mlperf_docker.harness.models import registry as models
from mlperf_docker.harness.models.opening import CpuAnswerer, Loading, blaming, load_parts, open_model
from mlperf_docker.harness.samples.library import Library
from mlperf_docker.harness.system.files import new_file
from mlperf_docker.harness.system.resources import cores
from mlperf_docker.harness.weights import numbers
from mlperf_docker.harness.weights import safetensors as weight_files

BATCH = 4
"""More than one, so that a mix-up within a batch shows; few, so that the largest network fits into memory."""


def trace(
    cell: Cell, size: SyntheticSize, cache: Path, output: Path, limit: int | None, events: Events
) -> dict[str, Any]:
    """Write the traced outputs of the cell's network for the synthetic samples to *output*; give its facts."""
    benchmark, backend = models.load(cell.model), backends.load(cell.backend)
    backend.check_device(cell.device)
    events.phase(Phase.SYNTHESIZE)
    answerer, report = CpuAnswerer(backend, cores()), events.reporter(Phase.SYNTHESIZE)
    made = benchmark.synthesize(size, cache_folder(cache), answerer, report)
    model = open_model(benchmark, backend, made.weights)
    if not isinstance(model.source, Network):
        raise TypeError(f"{made.weights} was not opened as a network")
    events.phase(Phase.PREPROCESS)
    dataset = benchmark.open_dataset(made.data, limit=limit)
    report = events.reporter(Phase.PREPROCESS)
    samples = benchmark.preprocess(dataset, model.form, cache, workers=cores(), report=report)
    events.phase(Phase.COMPARE)
    report = events.reporter(Phase.COMPARE)
    batch = BATCH
    if model.around is not None:
        allocate: Allocate = lambda shape, dtype: backend.allocate(shape, dtype, cell.device)  # noqa: E731
        parts = load_parts(backend, model, Loading(cell.device, cores()))
        (predictor,) = model.around((parts,), samples, Surroundings(cell.device, cores(), allocate)).predictors
        batch = 1  # whole samples are large
    else:
        interface = model.source.interface.fetching(*benchmark.traced)
        predictor = backend.load(LoadRequest(model.source, interface, cell.device, cores()))
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
    identity = {"backend": cell.backend, "device": cell.device.value, "samples": samples.count}
    return {**identity, "output": str(output), "versions": dict(backend.versions()), "device_proof": dict(proof)}


def _written(path: Path, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """What `outputs` wrote to *path*. Raises ModelFileError where it is no such file, or holds what is not finite."""
    found = weight_files.read(path)
    missing = [f"missing: {name}" for name in names if name not in found]
    if missing:
        hint = "Write such a file with the command `outputs` of this model."
        raise ModelFileError(f"{path} does not hold the outputs of this model", hint=hint, details=missing)
    numbers.refuse_not_finite(str(path), found.items())
    return found


def compare(cell: Cell, files: Sequence[Path]) -> dict[str, Any]:
    """Every pair of *files*, and the worst of all. Raises UsageError where their tensors have other shapes."""
    benchmark = models.load(cell.model)
    found = [(str(path), _written(path, benchmark.traced)) for path in files]
    pairs: list[dict[str, Any]] = []
    for (a, ours), (b, theirs) in combinations(found, 2):
        if {k: v.shape for k, v in ours.items()} != {k: v.shape for k, v in theirs.items()}:
            raise UsageError(f"{a} and {b} hold different tensors", hint="Write both for the same samples and size.")
        with blaming(Path(b)):
            result = benchmark.parity(ours, theirs)
        pairs.append({"a": a, "b": b, "largest_difference": result.largest_difference, "agreement": result.agreement})
    return {
        "pairs": pairs,
        "largest_difference": max(pair["largest_difference"] for pair in pairs),
        "agreement": min(pair["agreement"] for pair in pairs),
    }
