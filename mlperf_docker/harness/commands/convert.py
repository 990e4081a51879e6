"""Model files from one form to another: official files to named weights, and weights to an ONNX graph."""

from pathlib import Path
from typing import Any

from mlperf_docker.contract.cell import Cell
from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.words import ModelFormat
from mlperf_docker.harness.api.benchmark import Benchmark
from mlperf_docker.harness.api.errors import UsageError
from mlperf_docker.harness.api.model import Model
from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.api.samples import Named
from mlperf_docker.harness.api.tables import Tabled
from mlperf_docker.harness.backends import registry as backends
from mlperf_docker.harness.backends.batches import zeros
from mlperf_docker.harness.models import registry as models
from mlperf_docker.harness.models.opening import Loading, blaming, load_parts, open_model, trying
from mlperf_docker.harness.system.files import checksum, new_file
from mlperf_docker.harness.system.resources import cores
from mlperf_docker.harness.weights import formats
from mlperf_docker.harness.weights import safetensors as weight_files
from mlperf_docker.harness.weights.model_files import identify


def inspect(cell: Cell, path: Path) -> dict[str, Any]:
    """What *path* is, after loading it on the CPU. Raises ModelFileError if it is not a model of this cell.

    A graph that is run as it is has to take zeros too. fixed_batch: the number of samples that it takes at once, or
    None for any.
    """
    file = identify(path, None)
    backend = backends.load(cell.backend)
    model = open_model(models.load(cell.model), backend, path)
    predictor, *_ = load_parts(backend, model, Loading(Device.CPU, cores()))
    if model.format is not None:
        with trying(model):
            predictor.predict(zeros(model.interface, 1))
    tensors = model.interface.inputs, model.interface.outputs
    inputs, outputs = ([str(tensor) for tensor in side] for side in tensors)
    facts = {"format": formats.detect(path).value, "variant": model.variant, **file.facts}
    as_it_is = {"as_it_is": model.format is not None, "fixed_batch": model.interface.batch}
    return {**facts, **as_it_is, "inputs": inputs, "outputs": outputs}


TABLE_TYPES = {"fp32": "float32", "fp16": "float16"}


def convert(cell: Cell, path: Path, output: Path, tables: str | None = None) -> dict[str, Any]:
    """Write the model in *path* as *output*, whose suffix says how. Raises ModelFileError or UsageError.

    .safetensors: its weights by canonical name, checked against the architecture; .onnx: the network with them.
    tables: fp32 or fp16, the type that tables get; None leaves them.
    """
    if output.suffix not in (".safetensors", ".onnx"):
        raise UsageError(f"{output} is neither a .safetensors nor an .onnx file", hint="Name one with --output.")
    if output.suffix == ".onnx" and ModelFormat.ONNX not in backends.load(cell.backend).writes:
        hint = "Write a .safetensors file, and convert that with a backend that writes them."
        raise UsageError(f"{cell.backend} writes no ONNX files", hint=hint)
    identify(path, None)
    benchmark = models.load(cell.model)
    if tables and not isinstance(benchmark, Tabled):
        raise UsageError(f"{benchmark.name} has no tables that --tables could convert")
    with blaming(path):
        arrays = benchmark.read(path, formats.detect(path))
        model = benchmark.network(arrays, str(path))
    if output.suffix == ".onnx":
        check_one_graph(benchmark, model)
    kinds = _table_types(benchmark, arrays, tables)
    with new_file(output) as partial:
        if output.suffix == ".safetensors":
            weight_files.write(partial, arrays, kinds, str(path))
        elif isinstance(model.source, Network):
            from mlperf_docker.harness.ops.onnx import serialize

            partial.write_bytes(serialize(model.source))
    form = ModelFormat.SAFETENSORS if output.suffix == ".safetensors" else ModelFormat.ONNX
    facts = {"model_file": str(output), "size_bytes": output.stat().st_size, "sha256": checksum(output)}
    return {**facts, "format": form.value, "weights": len(arrays)}


def check_one_graph(benchmark: Benchmark, model: Model) -> None:
    """Raise UsageError for a model that one graph cannot hold."""
    hint = "Name a .safetensors file."
    if model.beside:
        graphs = len({id(part.source) for part in model.parts})  # one may be there for several of its outputs
        raise UsageError(f"{benchmark.name} is {graphs} graphs, and a loop around them", hint=hint)
    if isinstance(model.source, Network) and model.source.front is not None:
        raise UsageError(f"the tables of {benchmark.name} stay outside of every graph", hint=hint)


def _table_types(benchmark: Benchmark, arrays: Named, tables: str | None) -> dict[str, str]:
    """The type that each table gets, by name, where one is asked for."""
    if not tables or not isinstance(benchmark, Tabled):
        return {}
    return {name: TABLE_TYPES[tables] for name in arrays if benchmark.is_table(name)}
