"""PyTorch: runs TorchScript as it is, or a network traced and frozen, which needs no compiler in the image."""

import os
import threading
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

# Read when the library is loaded: the profiler of the proof says nothing but errors.
os.environ.setdefault("KINETO_LOG_LEVEL", "6")

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray

from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.words import ModelFormat
from mlperf_docker.harness.api.backend import Arrays, LoadRequest, Predictor, check_precision, memory_error
from mlperf_docker.harness.api.errors import LONGEST_REASON, DeviceError, ModelFileError
from mlperf_docker.harness.api.interface import THROUGH, Interface, Tensor, differences
from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.backends.batches import in_batches_of, one_by_one, zeros
from mlperf_docker.harness.backends.front import fronted
from mlperf_docker.harness.ops.torch import TorchOps
from mlperf_docker.harness.system.resources import cores
from mlperf_docker.harness.weights.numbers import refuse_not_finite
from mlperf_docker.harness.weights.torchscript import held_numbers, open_archive

NAME = "pytorch"
Module = Any
"""A TorchScript module."""
EXAMPLES = 2
"""Samples that a network is traced with: with one, a batch of one might be taken for granted."""
FIXED = (2, 4, 8, 16, 32, 64)
"""Numbers of samples, beside one, that archives are exported for."""
QUICK_S = 3.0
"""How long a sample may take for another two to be tried."""
WARM_UP = 3
"""Calls after which the profiling executor has settled on its kernels."""
WARM_UP_S = 3.0
"""After so long no further one is begun: where a call takes seconds, the kernels' choice is not what counts."""


class _Built(torch.nn.Module):  # type: ignore[misc,unused-ignore]
    """A network as a module, to be traced. A frozen trace holds the weights as constants."""

    def __init__(self, network: Network, outputs: tuple[str, ...], device: torch.device) -> None:
        super().__init__()
        self._network, self._outputs, self._device = network, outputs, device

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self._network.outputs(TorchOps(self._device), inputs, self._outputs)


def _traced(network: Network, interface: Interface, device: torch.device) -> Module:
    """The network as TorchScript; normalisations go into the convolutions before them, on a CPU for oneDNN."""
    examples = tuple(torch.from_numpy(array).to(device) for array in zeros(network.interface, EXAMPLES))
    names = tuple(tensor.name for tensor in interface.outputs)
    with warnings.catch_warnings(), torch.inference_mode(mode=False), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracer warns of sizes that became constants: they are meant to be
        traced = torch.jit.trace(_Built(network, names, device).eval(), examples, check_trace=False)
        if device.type == "cpu":
            return torch.jit.optimize_for_inference(traced)
        return torch.jit.freeze(traced)


def _takes_list(module: Module) -> bool:
    """Whether a scripted detector wants its images as a list of (3, height, width), as torchvision's own do."""
    arguments = module.forward.schema.arguments
    return len(arguments) > 1 and str(arguments[1].type).startswith(("List", "Tensor[]"))


def _by_sample(found: Any, interface: Interface) -> Sequence[Sequence[torch.Tensor]] | None:  # noqa: ANN401
    """Outputs of each sample out of a detector's result: dictionaries, alone, in a list, or after the losses."""
    if isinstance(found, tuple) and len(found) == 2 and isinstance(found[1], list):
        found = found[1]
    if isinstance(found, dict):
        found = [found]
    if isinstance(found, (list, tuple)) and found and isinstance(found[0], dict):
        return [_named(each, interface) for each in found]
    return None


def _named(found: dict[str, torch.Tensor], interface: Interface) -> list[torch.Tensor]:
    """The outputs out of a dictionary, in the order of the interface. Raises ModelFileError if one is not there."""
    missing = [f"output {tensor} is missing" for tensor in interface.outputs if tensor.name not in found]
    if missing:
        there = f"outputs of the file: {', '.join(found)}"
        raise ModelFileError("the TorchScript archive is not this model: other outputs", details=[*missing, there])
    return [found[tensor.name] for tensor in interface.outputs]


def _flat(found: Any, interface: Interface) -> list[torch.Tensor]:  # noqa: ANN401
    """A result as tensors in the order of the interface."""
    if isinstance(found, dict):
        return _named(found, interface)
    tensors = [found] if isinstance(found, torch.Tensor) else list(found)
    if len(tensors) < len(interface.outputs):
        message = f"the TorchScript archive gives {len(tensors)} outputs, not {len(interface.outputs)}"
        raise ModelFileError(message, details=[f"wanted: {tensor}" for tensor in interface.outputs])
    return tensors[: len(interface.outputs)]


def _device(request: LoadRequest) -> torch.device:
    """PyTorch's name of the device: of a GPU with its number."""
    kind = request.device.name_for(NAME)
    return torch.device(kind, request.number) if request.device.profile.is_accelerator else torch.device(kind)


class PyTorchPredictor:
    """A TorchScript module on a device."""

    def __init__(self, request: LoadRequest) -> None:
        self._device = request.device
        self._where = _device(request)
        self._interface = request.interface
        self._threads = request.threads
        self._batch = request.interface.batch
        self._known = threading.local()
        if isinstance(request.source, Network):
            self.module = _traced(request.source, request.interface, self._where)
            self._listed = False
            self._warm_up(request.source.interface)
        else:
            self.module = open_archive(request.source, self._where)
            self._listed = request.interface.ragged and _takes_list(self.module)

    def _warm_up(self, interface: Interface) -> None:
        """The first calls compile: before anything is timed, and on more than one batch size."""
        end = perf_counter() + WARM_UP_S
        for count in (1, EXAMPLES):
            inputs = zeros(interface, count)
            for _ in range(WARM_UP):
                if perf_counter() < end:
                    self.predict(inputs)

    def predict(self, inputs: Arrays) -> Arrays:
        """Outputs of a batch. On the CPU inputs are read in place; pinned ones are copied to a GPU while others run."""
        if not hasattr(self._known, "threads"):
            # Each thread that calls has operator threads of its own, by default as many as there are processors.
            torch.set_num_threads(self._threads)
            self._known.threads = self._threads
        try:
            with torch.inference_mode():
                if self._interface.ragged:
                    return one_by_one(self._detect, inputs)
                return in_batches_of(self._batch, self._run, inputs) if self._batch else self._run(inputs)
        except Exception as error:  # torch.cuda.OutOfMemoryError, RuntimeError on a CPU
            if memory := memory_error(error, len(inputs[0]), self._device):
                raise memory from error
            raise

    def _placed(self, array: NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(array).to(self._where, non_blocking=True)

    def _run(self, inputs: Arrays) -> Arrays:
        found = self.module(*(self._placed(array) for array in inputs))
        return tuple(tensor.cpu().numpy() for tensor in _flat(found, self._interface))

    def _detect(self, inputs: Arrays) -> Arrays:
        """Outputs of one image, of which there may be any number."""
        images = self._placed(inputs[0])
        found = self.module(list(images) if self._listed else images)
        samples = _by_sample(found, self._interface)
        tensors = samples[0] if samples is not None else _flat(found, self._interface)
        return tuple(tensor.cpu().numpy() for tensor in tensors)

    def prove(self, inputs: Arrays) -> Mapping[str, Any]:
        """Run *inputs* under PyTorch's profiler: where the weights are, where operators ran and for how long."""
        self.predict(inputs)
        kinds = [torch.profiler.ProfilerActivity.CPU]
        if self._device.profile.is_accelerator:
            kinds.append(getattr(torch.profiler.ProfilerActivity, self._where.type.upper()))
        with torch.profiler.profile(activities=kinds) as trace:
            self.predict(inputs)
        operators: Counter[str] = Counter()
        for event in trace.events():
            on_gpu = event.device_type != torch.autograd.DeviceType.CPU
            if on_gpu and event.device_index != self._where.index:
                operators[f"{self._where.type}:{event.device_index}"] += 1
            elif on_gpu or event.name.startswith(("aten::", "mkldnn", "prepacked", "quantized::")):
                operators[self._where.type if on_gpu else "cpu"] += 1
        elsewhere = {str(tensor.device) for tensor in self._held() if tensor.device != self._where}
        if elsewhere or not operators[self._where.type]:
            raise DeviceError(
                f"PyTorch did not run the network on {self._where}",
                details=[f"{name}: {count} operators" for name, count in operators.items()] + sorted(elsewhere),
            )
        proof: dict[str, Any] = {"provider": str(self._where), "operators": dict(operators)}
        if not self._device.profile.is_accelerator:
            return proof
        busy = sum(event.device_time_total for event in trace.key_averages())
        framework = torch.get_device_module(self._where)
        return {
            **proof,
            "gpu": framework.get_device_name(self._where),
            "gpu_number": self._where.index,
            "gpu_time_us": round(busy),
            "gpu_memory_bytes": framework.max_memory_allocated(self._where),
            "tf32": False,
        }

    def _held(self) -> list[torch.Tensor]:
        module = self.module
        return [*module.parameters(), *module.buffers()] if isinstance(module, torch.nn.Module) else []


def _tried(predictor: PyTorchPredictor, path: Path, interface: Interface) -> int | None:
    """The number of samples that an archive takes at once, None for any. Raises ModelFileError where there is none."""
    start = perf_counter()
    problem = _refused(predictor, interface, 1)
    if problem is None:
        # What takes seconds would take long to try again; and what has no axis for samples gets one at a time.
        slow = perf_counter() - start > QUICK_S or interface.ragged
        return None if slow or _refused(predictor, interface, EXAMPLES) is None else 1
    sizes = () if interface.ragged else FIXED
    found = next((size for size in sizes if _refused(predictor, interface, size) is None), None)
    if found is None:
        raise ModelFileError(
            f"{path} is not this model, or its batch is fixed to another number than {', '.join(map(str, FIXED))}: "
            f"{problem}",
            hint=THROUGH,
            details=[f"it should take: {tensor}" for tensor in interface.inputs],
        )
    return found


def _refused(predictor: PyTorchPredictor, interface: Interface, count: int) -> str | None:
    """Why *count* samples cannot be run, or do not give outputs like those of *interface*; None if they can."""
    try:
        outputs = predictor.predict(zeros(interface, count))
    except ModelFileError as error:
        return " ".join((str(error), *error.details))
    except Exception as error:  # noqa: BLE001 (scripts raise what they like)
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return (lines or [type(error).__name__])[-1][:LONGEST_REASON]
    found = [
        Tensor(wanted.name, output.dtype.name, output.shape[1:] if interface.ragged else output.shape)
        for wanted, output in zip(interface.outputs, outputs, strict=True)
    ]
    wrong = differences("output", interface.outputs, found, exact=False)
    if not interface.ragged:
        wrong += [f"output {each} is not of {count} samples" for each in found if each.shape[:1] != (count,)]
    return "; ".join(wrong) or None


class PyTorch:
    """The backend."""

    name = NAME
    formats = frozenset({ModelFormat.TORCHSCRIPT})
    computes = True
    writes = frozenset[ModelFormat]()

    def __init__(self) -> None:
        # fp32 means fp32: TF32 would keep ten bits of a factor's mantissa, and no longer agree with other backends.
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = True

    def versions(self) -> Mapping[str, str]:
        """The version of PyTorch, and of what its build for CUDA was made with."""
        found = {"torch": str(torch.__version__)}
        if torch.version.cuda:
            found |= {"cuda": torch.version.cuda, "cudnn": str(torch.backends.cudnn.version())}
        return found

    def check_device(self, device: Device) -> None:
        """Raise DeviceError unless this build is for the device and sees one, where it is an accelerator."""
        if not device.profile.is_accelerator:
            return
        built_for = torch.accelerator.current_accelerator()
        if built_for is None or built_for.type != device.name_for(NAME):
            raise DeviceError(
                f"PyTorch {torch.__version__} is the build for the {built_for.type if built_for else 'CPU'}",
                hint=f"Use the image for this device: mlperf-docker run … --device {device}",
            )
        if not torch.accelerator.is_available():
            hint = f"Start the container with {device.profile.docker_options}."
            raise DeviceError("PyTorch sees no GPU in here", hint=hint)

    def count(self, device: Device) -> int:
        """The GPUs that PyTorch sees."""
        if not device.profile.is_accelerator:
            return 1
        return int(torch.get_device_module(device.name_for(NAME)).device_count())

    def examine(self, path: Path, format: ModelFormat, interface: Interface) -> Interface:  # noqa: A002
        """The interface as the archive has it: it says nothing of that, so it is tried with samples of zeros."""
        request = LoadRequest(path, interface.with_batch(None), Device.CPU, cores(), format)
        predictor = PyTorchPredictor(request)
        refuse_not_finite(str(path), held_numbers(predictor.module))
        return interface.with_batch(_tried(predictor, path, request.interface))

    def load(self, request: LoadRequest) -> Predictor:
        """Load the archive, or trace the network."""
        check_precision(request)
        return fronted(request, PyTorchPredictor(request), self.allocate)

    def allocate(self, shape: tuple[int, ...], dtype: DTypeLike, device: Device) -> NDArray[Any]:
        """Memory that a GPU copies from by itself, where there is one."""
        if not device.profile.is_accelerator:
            return np.empty(shape, dtype=dtype)
        kind: torch.dtype = getattr(torch, np.dtype(dtype).name)
        return np.asarray(torch.empty(shape, dtype=kind, pin_memory=True).numpy())


BACKEND = PyTorch
