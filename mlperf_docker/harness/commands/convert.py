"""`convert`: an official model file to named weights, or weights to an ONNX graph."""

from mlperf_docker.contract.cell import Cell
from mlperf_docker.contract.commands import ConvertCommand, ConvertReply
from mlperf_docker.contract.events import Phase
from mlperf_docker.contract.words import ModelFormat
from mlperf_docker.harness.api.benchmark import Benchmark
from mlperf_docker.harness.api.errors import UsageError
from mlperf_docker.harness.api.events import Events
from mlperf_docker.harness.api.model import Model
from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.api.samples import D, F, S
from mlperf_docker.harness.backends import registry as backends
from mlperf_docker.harness.commands.folders import new_file_path
from mlperf_docker.harness.models import registry as models
from mlperf_docker.harness.models.opening import blaming
from mlperf_docker.harness.system.files import checksum, new_file
from mlperf_docker.harness.weights import formats
from mlperf_docker.harness.weights import safetensors as weight_files
from mlperf_docker.harness.weights.model_files import identify


def execute(command: ConvertCommand, cell: Cell, events: Events) -> ConvertReply:
    """Write the model as --output, whose suffix says how. Raises ModelFileError or UsageError.

    .safetensors: its weights by canonical name, checked against the architecture; .onnx: the network with them.
    """
    path, output = command.model_file, new_file_path(command.output)
    events.phase(Phase.CONVERT)
    if output.suffix not in (".safetensors", ".onnx"):
        raise UsageError(f"{output} is neither a .safetensors nor an .onnx file", hint="Name one with --output.")
    if output.suffix == ".onnx" and ModelFormat.ONNX not in backends.load(cell.backend).writes:
        hint = "Write a .safetensors file, and convert that with a backend that writes them."
        raise UsageError(f"{cell.backend} writes no ONNX files", hint=hint)
    identify(path, None)
    benchmark = models.load(cell.model).configured(command.model_options)
    with blaming(path):
        arrays = benchmark.read(path, formats.detect(path))
        model = benchmark.network(arrays, str(path))
    if output.suffix == ".onnx":
        check_one_graph(benchmark, model)
    kinds = benchmark.stored_types(arrays)
    with new_file(output) as partial:
        if output.suffix == ".safetensors":
            weight_files.write(partial, arrays, kinds, str(path))
        elif isinstance(model.source, Network):
            from mlperf_docker.harness.ops.onnx import serialize

            partial.write_bytes(serialize(model.source))
    form = ModelFormat.SAFETENSORS if output.suffix == ".safetensors" else ModelFormat.ONNX
    return ConvertReply(output, output.stat().st_size, checksum(output), form.value, len(arrays))


def check_one_graph(benchmark: Benchmark[D, F, S], model: Model[F, S]) -> None:
    """Raise UsageError for a model that one graph cannot hold."""
    hint = "Name a .safetensors file."
    if model.beside:
        graphs = len({id(part.source) for part in model.parts})  # one may be there for several of its outputs
        raise UsageError(f"{benchmark.name} is {graphs} graphs, and a loop around them", hint=hint)
    if isinstance(model.source, Network) and model.source.front is not None:
        raise UsageError(f"parts of {benchmark.name} stay outside of every graph", hint=hint)
