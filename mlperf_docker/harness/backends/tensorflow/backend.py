"""TensorFlow: runs a frozen graph or a SavedModel as it is, or a network as a graph of its own, in a session.

A session, not a tf.function: it can have threads of its own, so that instances do not share them; its prepared calls
cost less than half as much, and read aligned inputs in place; and its trace tells which operator ran on which device.
"""

import os
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.words import ModelFormat
from mlperf_docker.harness.api import interface as interfaces
from mlperf_docker.harness.api.backend import Arrays, LoadRequest, Predictor, check_precision, memory_error
from mlperf_docker.harness.api.errors import DeviceError, ModelFileError, damaged, first_ten
from mlperf_docker.harness.api.interface import THROUGH, Interface, Tensor
from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.backends.batches import filled, in_batches_of, one_by_one
from mlperf_docker.harness.backends.front import fronted
from mlperf_docker.harness.system import archives, storage
from mlperf_docker.harness.system.files import require_file
from mlperf_docker.harness.system.resources import cores
from mlperf_docker.harness.weights import frameworks
from mlperf_docker.harness.weights.formats import SAVED_MODEL
from mlperf_docker.harness.weights.numbers import refuse_not_finite

SETTINGS = {
    "TF_CPP_MIN_LOG_LEVEL": "3",  # errors only
    # oneDNN's convolutions; without them a grouped one takes five times as long. The default depends on the CPU.
    "TF_ENABLE_ONEDNN_OPTS": "1",
    # Threads for operators belong to each session. By default the first session of a process decides for all of them.
    "TF_OVERRIDE_GLOBAL_THREADPOOL": "1",
}
"""Read when the library is loaded."""
for _name, _value in SETTINGS.items():
    os.environ.setdefault(_name, _value)
tf: Any = frameworks.load("tensorflow")
v1 = tf.compat.v1

NAME = "tensorflow"
ACCELERATORS = [device.name_for(NAME) for device in Device if device.profile.is_accelerator]
VARIABLES = frozenset({"Variable", "VariableV2", "VarHandleOp"})
ALIGNMENT = 64
"""Bytes; arrays that begin on such an address are fed without a copy."""
HEAVY = frozenset(
    {"Conv2D", "Conv3D", "Conv3DBackpropInputV2", "MatMul", "BatchMatMulV2", "DepthwiseConv2dNative", "CudnnRNNV3"}
    | {"_FusedConv2D", "_FusedMatMul", "_MklFusedConv2D", "_MklNativeConv2D", "_MklNativeFusedConv2D"}
)
"""Operators that must run on the device asked for; shape arithmetic may be elsewhere."""

PLUMBING = frozenset(
    {"Const", "VarHandleOp", "ReadVariableOp", "_Arg", "_Retval", "_Send", "_Recv", "_HostSend", "_HostRecv"}
)
"""Operators that hand on weights, inputs and outputs, and compute nothing."""
CONSTANT_WEIGHTS = "TF_ONEDNN_ASSUME_FROZEN_WEIGHTS"
"""Lets oneDNN lay out a variable's values for its matrix products and convolutions once, as it does with a constant's.

TensorFlow reads it when the first of them is made. It is set only when a network is loaded, whose weights never change:
in a file, somebody's graph may multiply by what it computed, and oneDNN would go on with what it saw first.
"""


def _described(tensor: Any) -> Tensor:  # noqa: ANN401 (TensorFlow comes without types)
    shape = () if tensor.shape.rank is None else tuple(tensor.shape)
    return Tensor(tensor.name, tensor.dtype.name, shape)


def read_graph(path: Path, scope: str | None = None) -> Any:  # noqa: ANN401
    """The graph, a tf.Graph, in a frozen .pb file. Raises ModelFileError if there is none, or one with variables.

    scope: the device that its operators get.
    """
    definition, graph = v1.GraphDef(), tf.Graph()
    require_file(path)
    try:
        definition.ParseFromString(path.read_bytes())
        with graph.as_default(), v1.device(scope):
            tf.import_graph_def(definition, name="")
    except Exception as error:  # protobuf's DecodeError, ValueError for unknown operators, …
        raise damaged(path, "frozen TensorFlow graph", error, hint=_advice(str(error))) from error
    if not definition.node:
        hint = "A frozen graph is one file with its weights; saved_model.pb, for one, is not."
        raise damaged(path, "frozen TensorFlow graph", "it is empty", hint=hint)
    variables = [node.name for node in definition.node if node.op in VARIABLES]
    if variables:
        raise ModelFileError(
            f"{path} is not frozen: its weights are {len(variables)} variables, whose values it does not hold",
            details=first_ten(variables),
        )
    return graph


def _advice(reason: str) -> str | None:
    """What to do about a graph that is whole, but for another TensorFlow; None where it is damaged."""
    if "Op type not registered" in reason or "producer version" in reason:
        return f"It was made with operators that TensorFlow {tf.__version__} lacks. {THROUGH}"
    return None


def _found(graph: Any, name: str) -> Any:  # noqa: ANN401
    """The tensor *name*, or None if the graph has none."""
    try:
        return graph.get_tensor_by_name(name)
    except (KeyError, ValueError):
        return None


def _placeholders(tensors: list[Any]) -> list[Any]:
    """The placeholders that *tensors* depend on; a graph may have others, for what nobody fetches here."""
    waiting, seen, found = [tensor.op for tensor in tensors], set(), []
    while waiting:
        node = waiting.pop()
        if node.name not in seen:
            seen.add(node.name)
            waiting += [tensor.op for tensor in node.inputs]
            found += [node.outputs[0]] if node.type == "Placeholder" else []
    return found


@dataclass(frozen=True, slots=True)
class _Opened:
    """A graph, its inputs and its outputs."""

    graph: Any
    inputs: Sequence[Any]
    outputs: Sequence[Any]
    batch: int | None = None
    """The number of samples that it takes at once, None for any."""


def _frozen(path: Path, interface: Interface, scope: str | None = None) -> _Opened:
    """An official file, whose interface is checked. scope: the device that its operators get."""
    graph = read_graph(path, scope)
    outputs = [_found(graph, tensor.name) for tensor in interface.outputs]
    placeholders = _placeholders([tensor for tensor in outputs if tensor is not None])
    there = [_described(tensor) for tensor in outputs if tensor is not None]
    batch = interfaces.check(str(path), interface, [_described(tensor) for tensor in placeholders], there)
    watched = [_found(graph, tensor.name) for tensor in interface.watched]
    outputs += [tensor for tensor in watched if tensor is not None]
    inputs = [graph.get_tensor_by_name(tensor.name) for tensor in interface.inputs]
    return _Opened(graph, inputs, outputs, batch)


def constants(graph: Any) -> Iterator[tuple[str, NDArray[Any]]]:  # noqa: ANN401
    """Every table of floating-point numbers in a graph and in its functions, by name. Single numbers are settings."""
    definition = graph.as_graph_def()
    for nodes in (definition.node, *(function.node_def for function in definition.library.function)):
        for node in nodes:
            tensor = node.attr["value"].tensor
            if node.op == "Const" and tf.as_dtype(tensor.dtype).is_floating:
                array = np.asarray(tf.make_ndarray(tensor))
                if array.size > 1:
                    yield node.name, array


def _variables(session: Any) -> Iterator[tuple[str, NDArray[Any]]]:  # noqa: ANN401
    """The floating-point variables of a session by name, as far as they have values."""
    graph = session.graph
    for node in [node for node in graph.get_operations() if node.type in VARIABLES]:
        kind = node.get_attr("dtype")
        if kind.is_floating:
            with graph.as_default():
                held = node.outputs[0]
                value = tf.raw_ops.ReadVariableOp(resource=held, dtype=kind) if node.type == "VarHandleOp" else held
            # What nobody restored is an optimiser's.
            with suppress(tf.errors.FailedPreconditionError, tf.errors.NotFoundError):
                yield node.name, np.asarray(session.run(value))


def _built(request: LoadRequest, network: Network) -> _Opened:
    """The graph of a network."""
    from mlperf_docker.harness.ops.tensorflow import TensorFlowOps

    graph = tf.Graph()
    with graph.as_default(), v1.device(_scope(request)):
        inputs = [v1.placeholder(tensor.dtype, tensor.shape) for tensor in network.interface.inputs]
        names = tuple(tensor.name for tensor in request.interface.outputs)
        # An output may be a weight or a convolution still: identity makes a node of its own of each.
        ops = TensorFlowOps()
        outputs = [tf.identity(ops.channels_last(value)) for value in network.outputs(ops, tuple(inputs), names)]
    return _Opened(graph, inputs, outputs)


def _fill(session: Any) -> None:  # noqa: ANN401
    """Give the variables of a network's graph their values, once: a session keeps the memory that it is fed with."""
    from mlperf_docker.harness.ops.tensorflow import HELD

    held = session.graph.get_collection_ref(HELD)
    with session.graph.as_default():
        values = [v1.placeholder(each.values.dtype, each.values.shape) for each in held]
        assigns = [
            tf.raw_ops.AssignVariableOp(resource=each.handle, value=value)
            for each, value in zip(held, values, strict=True)
        ]
    for each, value, assign in zip(held, values, assigns, strict=True):
        session.run(assign, {value: _aligned(each.values)})
    held.clear()


def _aligned(values: NDArray[Any]) -> NDArray[Any]:
    """*values* where TensorFlow can keep them in place: they themselves, or a copy."""
    if values.flags.c_contiguous and values.ctypes.data % ALIGNMENT == 0:
        return values
    space = _room(values.shape, values.dtype)
    space[...] = values
    return space


def _room(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Memory that begins where TensorFlow can read it in place."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    space = np.empty(size + ALIGNMENT, dtype=np.uint8)
    start = -space.__array_interface__["data"][0] % ALIGNMENT
    return space[start : start + size].view(dtype).reshape(shape)


def _device_name(device: Device, number: int) -> str:
    """TensorFlow's name of a device."""
    return f"/device:{device.name_for(NAME)}:{number}"


def _scope(request: LoadRequest) -> str | None:
    """The device that a graph's operators have to be given; None for the first, which they get anyway."""
    return _device_name(request.device, request.number) if request.number else None


def _configuration(request: LoadRequest) -> Any:  # noqa: ANN401
    config = v1.ConfigProto(
        intra_op_parallelism_threads=request.threads,
        inter_op_parallelism_threads=1,
        use_per_session_threads=True,
        # Operators of a graph that is given to another than the first device may have no kernel for it.
        allow_soft_placement=request.number > 0,
        device_count={**dict.fromkeys(ACCELERATORS, 0), request.device.name_for(NAME): request.number + 1},
    )
    config.gpu_options.allow_growth = True
    return config


class _SavedModel:
    """A SavedModel, in a zip or a folder, opened in a session of its own, which holds its variables."""

    def __init__(self, request: LoadRequest, path: Path) -> None:
        require_file(path)
        self.session = v1.Session(graph=tf.Graph(), config=_configuration(request))
        try:
            with _folder_of(path) as folder, self.session.graph.as_default(), v1.device(_scope(request)):
                loaded = v1.saved_model.load(self.session, [tf.saved_model.SERVING], str(folder))
            signature = loaded.signature_def[tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY]
        except (ModelFileError, storage.StorageError):
            raise
        except KeyError as error:
            raise ModelFileError(f"{path} has no signature {error}", hint="It was saved without one.") from error
        except Exception as error:  # OSError, protobuf's DecodeError, TensorFlow's own
            hint = _advice(str(error))
            raise damaged(path, "SavedModel that TensorFlow can load", error, hint=hint) from error
        graph, interface = self.session.graph, request.interface
        inputs = [graph.get_tensor_by_name(info.name) for _, info in sorted(signature.inputs.items())]
        outputs = [graph.get_tensor_by_name(info.name) for _, info in sorted(signature.outputs.items())]
        outputs = outputs[: len(interface.outputs)]
        # A signature's names are the exporter's, and its tensors' are numbered; types and shapes are the model's.
        there = _named(outputs, interface.outputs)
        batch = interfaces.check(str(path), interface, _named(inputs, interface.inputs), there)
        self.opened = _Opened(graph, inputs, outputs, batch)


def _named(tensors: Sequence[Any], wanted: Sequence[Tensor]) -> list[Tensor]:
    """Descriptions of *tensors* under the names of those *wanted*, one for one, as far as there are any."""
    names = [tensor.name for tensor in wanted]
    found = [_described(tensor) for tensor in tensors]
    return [
        Tensor(names[n] if n < len(names) else tensor.name, tensor.dtype, tensor.shape)
        for n, tensor in enumerate(found)
    ]


@contextmanager
def _folder_of(path: Path) -> Iterator[Path]:
    """The folder with saved_model.pb: unpacked from a zip, which may wrap it in folders, or the file's own.

    Raises ModelFileError for a zip with none, or several, or whose names lead out of it.
    """
    if not archives.is_archive(path):
        yield path.parent
        return
    members = archives.look(path).members
    models = [name for name in map(PurePosixPath, members) if name.name == SAVED_MODEL]
    models = [name for name in models if name.parts[0] != "__MACOSX"]
    if len(models) != 1:
        raise ModelFileError(f"{path} does not hold just one SavedModel", details=first_ten(list(map(str, models))))
    below = [name for name in members if PurePosixPath(name).is_relative_to(models[0].parent)]
    with tempfile.TemporaryDirectory(prefix="mlperf-model-") as folder, zipfile.ZipFile(path) as archive:
        with storage.writing(Path(folder).parent):
            archive.extractall(folder, below)
        yield Path(folder) / models[0].parent


class TensorFlowPredictor:
    """A session with a prepared call."""

    def __init__(self, request: LoadRequest) -> None:
        self._device, self._number = request.device, request.number
        if request.format is ModelFormat.SAVED_MODEL and isinstance(request.source, Path):
            saved = _SavedModel(request, request.source)
            self._session, found = saved.session, saved.opened
        else:
            source = request.source
            if isinstance(source, Network):
                found = _built(request, source)
            else:
                found = _frozen(source, request.interface, _scope(request))
            self._session = v1.Session(graph=found.graph, config=_configuration(request))
            if isinstance(source, Network):
                _fill(self._session)
        self._inputs, self._outputs, self._batch = found.inputs, found.outputs, found.batch
        self.call = self._session.make_callable(self._outputs, self._inputs)
        self._ragged = request.interface.ragged

    def predict(self, inputs: Arrays) -> Arrays:
        """Outputs of a batch; aligned inputs are read where they are."""
        if self._ragged:
            return one_by_one(self._predict, inputs)
        return in_batches_of(self._batch, self._predict, inputs) if self._batch else self._predict(inputs)

    def _predict(self, inputs: Arrays) -> Arrays:
        try:
            return tuple(self.call(*inputs))
        except (tf.errors.ResourceExhaustedError, MemoryError) as error:
            raise memory_error(MemoryError(), len(inputs[0]), self._device) or error from error

    def prove(self, inputs: Arrays) -> Mapping[str, Any]:
        """Run *inputs* once under TensorFlow's tracer and read which device ran which operators."""
        size = 1 if self._ragged else self._batch
        once = filled(inputs, size) if size else inputs
        options = v1.RunOptions(trace_level=v1.RunOptions.FULL_TRACE, output_partition_graphs=True)
        trace = v1.RunMetadata()
        feeds = dict(zip(self._inputs, once, strict=True))
        self._session.run(self._outputs, feeds, options=options, run_metadata=trace)
        where = _device_name(self._device, self._number)
        operators, elsewhere, times = _by_device(trace, where)
        if elsewhere or not operators[where]:
            raise DeviceError(
                f"TensorFlow ran operators of the network elsewhere than on {self._device}, number {self._number}",
                details=[f"{name}: {count} operators" for name, count in operators.items()] + elsewhere[:10],
            )
        share = times[where] / max(1, times.total())
        proof = {"provider": where, "operators": dict(operators), "time_share": round(share, 4)}
        return {**proof, **self._gpu()} if self._device.profile.is_accelerator else proof

    def _gpu(self) -> Mapping[str, Any]:
        devices = tf.config.list_physical_devices(self._device.name_for(NAME))
        details = tf.config.experimental.get_device_details(devices[self._number])
        return {"gpu": details.get("device_name", "unknown"), "gpu_number": self._number, "tf32": False}


def _by_device(trace: Any, wanted: str) -> tuple[Counter[str], list[str], Counter[str]]:  # noqa: ANN401
    """Operators by device, the heavy ones among them that are not on *wanted*, and microseconds by device."""
    kinds = {node.name: node.op for graph in trace.partition_graphs for node in graph.node}
    operators: Counter[str] = Counter()
    times: Counter[str] = Counter()
    elsewhere = []
    for device in trace.step_stats.dev_stats:
        name = device.device[device.device.find("/device:") :]
        if name.count(":") > 2:
            continue  # a stream of the GPU: the same work once more, as kernels
        for node in device.node_stats:
            kind = kinds.get(node.node_name, "")
            if not kind or kind in PLUMBING:
                continue
            operators[name] += 1
            times[name] += node.all_end_rel_micros
            if kind in HEAVY and name != wanted:
                elsewhere.append(f"{node.node_name} ({kind}) on {name}")
    return operators, elsewhere, times


class TensorFlow:
    """The backend."""

    name = NAME
    formats = frozenset({ModelFormat.FROZEN_GRAPH, ModelFormat.SAVED_MODEL})
    computes = True
    writes = frozenset[ModelFormat]()

    def __init__(self) -> None:
        # fp32 means fp32: TF32 would keep ten bits of a factor's mantissa, and no longer agree with other backends.
        tf.config.experimental.enable_tensor_float_32_execution(enabled=False)

    def versions(self) -> Mapping[str, str]:
        """The version of TensorFlow, and of what its build for CUDA was made with."""
        build = tf.sysconfig.get_build_info()
        cuda = {"cuda": "cuda_version", "cudnn": "cudnn_version"}
        extra = {key: str(build[name]) for key, name in cuda.items() if tf.test.is_built_with_cuda() and name in build}
        return {"tensorflow": str(tf.__version__), **extra}

    def check_device(self, device: Device) -> None:
        """Raise DeviceError unless this build is for GPUs and sees one, where one is asked for."""
        if not device.profile.is_accelerator:
            return
        if not tf.test.is_built_with_gpu_support():
            raise DeviceError(
                "TensorFlow here is the build for the CPU",
                hint=f"Use the image for this device: mlperf-docker run … --device {device}",
            )
        if not tf.config.list_physical_devices(device.name_for(NAME)):
            hint = f"Start the container with {device.profile.docker_options}."
            raise DeviceError("TensorFlow sees no GPU in here", hint=hint)

    def count(self, device: Device) -> int:
        """The GPUs that TensorFlow sees."""
        return len(tf.config.list_physical_devices(device.name_for(NAME))) if device.profile.is_accelerator else 1

    def examine(self, path: Path, format: ModelFormat, interface: Interface) -> Interface:  # noqa: A002
        """The interface as the graph or the signature has it; all constants and variables are looked at."""
        if format is not ModelFormat.SAVED_MODEL:
            opened = _frozen(path, interface)
            refuse_not_finite(str(path), constants(opened.graph))
            return interface.with_batch(opened.batch)
        saved = _SavedModel(LoadRequest(path, interface, Device.CPU, cores(), format), path)
        with saved.session as session:
            refuse_not_finite(str(path), chain(constants(session.graph), _variables(session)))
        return interface.with_batch(saved.opened.batch)

    def load(self, request: LoadRequest) -> Predictor:
        """Open a session for the file or the network."""
        check_precision(request)
        if isinstance(request.source, Network):
            os.environ.setdefault(CONSTANT_WEIGHTS, "1")
        return fronted(request, TensorFlowPredictor(request), self.allocate)

    def allocate(self, shape: tuple[int, ...], dtype: DTypeLike, device: Device) -> NDArray[Any]:  # noqa: ARG002
        """Memory that begins where TensorFlow can read it in place."""
        return _room(shape, dtype)


BACKEND = TensorFlow
