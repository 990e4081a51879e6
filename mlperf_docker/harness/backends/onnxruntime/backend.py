"""onnxruntime: runs an .onnx file as it is, and proves from its profile where the operators ran."""

import json
import os
import re
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

# Since 1.29 the Linux wheels keep a device id in HOME and report to their maker; read when the library is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime as ort

from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.words import ModelFormat
from mlperf_docker.harness.api import interface as interfaces
from mlperf_docker.harness.api.backend import INT8, Arrays, LoadRequest, Predictor, check_precision, memory_error
from mlperf_docker.harness.api.errors import DeviceError, damaged
from mlperf_docker.harness.api.interface import THROUGH, Interface, Tensor
from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.backends.batches import in_batches_of, one_by_one
from mlperf_docker.harness.backends.front import fronted
from mlperf_docker.harness.system import gpu
from mlperf_docker.harness.weights import onnx_files
from mlperf_docker.harness.weights.numbers import refuse_not_finite

Session = Any
"""ort.InferenceSession, which comes without types; so do its inputs and outputs."""

NAME = "onnxruntime"


@dataclass(frozen=True, slots=True)
class Provider:
    """Settings of an execution provider that differ from the defaults."""

    settings: Mapping[str, str] = field(default_factory=dict)
    memory: str | None = None
    """onnxruntime's name of its memory, where inputs are bound; None to hand it those of the host."""
    is_wheels: bool = False
    """Its libraries are wheels beside onnxruntime, where the loader does not look."""


PROVIDERS = {
    # fp32 means fp32: TF32 would keep ten bits of a factor's mantissa, and no longer agree with other backends.
    "CUDAExecutionProvider": Provider({"use_tf32": "0", "cudnn_conv_algo_search": "EXHAUSTIVE"}, "cuda", is_wheels=True)
}
"""Those that need other than the defaults, by name."""
TYPES = {
    "float32": "tensor(float)",
    "float16": "tensor(float16)",
    "int64": "tensor(int64)",
    "int32": "tensor(int32)",
    "uint8": "tensor(uint8)",
}
SMALL_SHARE = 0.05
"""Share of a proof run on CUDA that operators on the CPU may take (shape arithmetic lives there)."""


_PLACE = re.compile(r"^\S+\.(?:cc|h):\d+ .*?\) ")
"""Where in its source onnxruntime found out."""
_AROUND = re.compile(r"ONNX Runtime only \*guarantees\* .*?versions\. |The operator schemas .*?compatibility\. ")
"""Of a message about opsets: what stands around the numbers, which come last."""


def _described(value: Session) -> Tensor:
    names = {kind: name for name, kind in TYPES.items()}
    shape = tuple(axis if isinstance(axis, int) else None for axis in value.shape)
    return Tensor(value.name, names.get(value.type, value.type), shape)


def _provider(device: Device, number: int) -> tuple[str, dict[str, str]]:
    """The execution provider for a device, and its settings."""
    name = device.name_for(NAME)
    which = {"device_id": str(number)} if device.profile.is_accelerator else {}
    return name, {**PROVIDERS.get(name, Provider()).settings, **which}


def _session(request: LoadRequest, profile: Path) -> Session:
    model: bytes | str
    options = ort.SessionOptions()
    if isinstance(request.source, Network):
        from mlperf_docker.harness.ops import onnx as graphs

        if request.precision == INT8:
            from mlperf_docker.harness.backends.onnxruntime.quantise import quantise

            model = quantise(graphs.serialize(request.source))
        else:
            model, outside = graphs.split(request.source, graphs.SHARED)
            values = [ort.OrtValue.ortvalue_from_numpy(array) for array in outside.values()]
            options.add_external_initializers(list(outside), values)
    else:
        model = str(request.source)
    options.intra_op_num_threads = request.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # The profile of the proof run; `prove` ends it, so that nothing is recorded while LoadGen measures.
    options.enable_profiling = request.provable
    options.profile_file_prefix = str(profile / "proof")
    try:
        provider = _provider(request.device, request.number)
        if PROVIDERS.get(provider[0], Provider()).is_wheels:
            ort.preload_dlls()
        return ort.InferenceSession(model, options, providers=[provider])
    except Exception as error:  # onnxruntime's exceptions have no common base of their own
        if isinstance(request.source, Network):
            raise
        reason = _AROUND.sub("", _PLACE.sub("", str(error).split("failed:", 1)[-1]))
        raise damaged(request.source, "model that onnxruntime can load", reason, hint=_advice(reason)) from error


def _advice(reason: str) -> str | None:
    """What to do about a file that is whole, but for another onnxruntime; None where it is damaged."""
    if re.search(r"\bIR version|opset", reason, re.IGNORECASE):
        return f"It was made for a newer onnxruntime than {ort.__version__}: export it for an older one. {THROUGH}"
    if re.search(r"not a registered function/op|NOT_IMPLEMENTED", reason):
        return f"onnxruntime {ort.__version__} has no such operator. {THROUGH}"
    return None


def _time_by_provider(profile: Path) -> tuple[Counter[str], Counter[str]]:
    """Operators and microseconds by execution provider, of a profile that onnxruntime wrote."""
    nodes: Counter[str] = Counter()
    times: Counter[str] = Counter()
    for event in json.loads(profile.read_text(encoding="utf-8")):
        provider = event.get("args", {}).get("provider")
        if event.get("cat") == "Node" and provider:
            nodes[provider] += 1
            times[provider] += event["dur"]
    return nodes, times


def check_interface(source: str, session: Session, interface: Interface) -> int | None:
    """The number of samples that a file takes at once, None for any. Raises ModelFileError, with every difference."""
    inputs = [_described(value) for value in session.get_inputs()]
    return interfaces.check(source, interface, inputs, [_described(value) for value in session.get_outputs()])


class OnnxRuntimePredictor:
    """A session and the names that it is fed and asked with."""

    def __init__(self, request: LoadRequest) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="mlperf-proof-")
        self._device, self._number = request.device, request.number
        self._session = _session(request, Path(self._folder.name))
        self._batch: int | None = None
        if not isinstance(request.source, Network):
            self._batch = check_interface(str(request.source), self._session, request.interface)
        self._inputs = [tensor.name for tensor in request.interface.inputs]
        self._outputs = [tensor.name for tensor in request.interface.outputs]
        there = {value.name for value in self._session.get_outputs()}
        self._outputs += [tensor.name for tensor in request.interface.watched if tensor.name in there]
        self._run = self._session.run
        self._provider = request.device.name_for(NAME)
        self._memory = PROVIDERS.get(self._provider, Provider()).memory
        self._ragged = request.interface.ragged

    def predict(self, inputs: Arrays) -> Arrays:
        """Outputs of a batch. Contiguous inputs are read where they are: on the CPU nothing is copied."""
        if self._ragged:
            return one_by_one(self._predict, inputs)
        return in_batches_of(self._batch, self._predict, inputs) if self._batch else self._predict(inputs)

    def _predict(self, inputs: Arrays) -> Arrays:
        try:
            if self._memory is not None:
                return self._predict_bound(inputs)
            return tuple(self._run(self._outputs, dict(zip(self._inputs, inputs, strict=True))))
        except Exception as error:
            if memory := memory_error(error, len(inputs[0]), self._device):
                raise memory from error
            raise

    def _predict_bound(self, inputs: Arrays) -> Arrays:
        """The same through an IO binding: inputs go to the device at once, outputs stay there until asked for."""
        binding = self._session.io_binding()
        for name, array in zip(self._inputs, inputs, strict=True):
            binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(array, self._memory, self._number))
        for name in self._outputs:
            binding.bind_output(name, self._memory, self._number)
        self._session.run_with_iobinding(binding)
        return tuple(binding.copy_outputs_to_cpu())

    def prove(self, inputs: Arrays) -> Mapping[str, Any]:
        """Run *inputs* under onnxruntime's profiler and read which execution provider ran which operators."""
        self.predict(inputs)
        nodes, times = _time_by_provider(Path(self._session.end_profiling()))
        self._folder.cleanup()
        provider = self._provider
        share = times[provider] / max(1, times.total())
        if self._session.get_providers()[0] != provider or not nodes or share < 1 - SMALL_SHARE:
            raise DeviceError(
                f"onnxruntime ran {share:.0%} of the network on {self._device}, the rest elsewhere",
                details=[f"{name}: {count} operators" for name, count in nodes.items()],
            )
        which = self._proven_gpu() if self._device.profile.is_accelerator else {}
        return {
            "provider": provider,
            **which,
            "providers": list(self._session.get_providers()),
            "operators": dict(nodes),
            "time_share": round(share, 4),
        }

    def _proven_gpu(self) -> Mapping[str, Any]:
        """The number of the GPU that the session's provider has. Raises DeviceError if it is another's."""
        found = self._session.get_provider_options()[self._provider].get("device_id", "0")
        if found != str(self._number):
            raise DeviceError(f"onnxruntime took GPU {found}, not GPU {self._number}")
        return {"gpu_number": self._number}


class OnnxRuntime:
    """The backend."""

    name = NAME
    formats = frozenset({ModelFormat.ONNX})
    computes = True
    writes = frozenset({ModelFormat.ONNX})

    def versions(self) -> Mapping[str, str]:
        """The version of onnxruntime."""
        return {"onnxruntime": str(ort.__version__)}

    def check_device(self, device: Device) -> None:
        """Raise DeviceError unless this build of onnxruntime has the provider, and the device is visible."""
        available, profile = ort.get_available_providers(), device.profile
        if device.name_for(NAME) not in available:
            raise DeviceError(
                f"onnxruntime here has no {device.name_for(NAME)}; it has {', '.join(available)}",
                hint=f"Use the image for this device: mlperf-docker run … --device {device}",
            )
        if profile.signs and not any(Path(sign).exists() for sign in profile.signs):
            hint = f"Start the container with {profile.docker_options}."
            raise DeviceError(f"no {profile.title} is visible in here", hint=hint)

    def count(self, device: Device) -> int:
        """The devices that their driver shows: onnxruntime does not tell."""
        return gpu.count(device)

    def examine(self, path: Path, format: ModelFormat, interface: Interface) -> Interface:  # noqa: A002, ARG002
        """The interface as the graph has it, all of whose tables are looked at."""
        model = onnx_files.load_model(path)
        found = onnx_files.interface_of(model)
        batch = interfaces.check(str(path), interface, found.inputs, found.outputs)
        refuse_not_finite(str(path), onnx_files.weights(path, model))
        return interface.with_batch(batch)

    def load(self, request: LoadRequest) -> Predictor:
        """Open a session for the file, or for the network, in int8 if asked for."""
        check_precision(request, INT8)
        return fronted(request, OnnxRuntimePredictor(request), self.allocate)

    def allocate(self, shape: tuple[int, ...], dtype: DTypeLike, device: Device) -> NDArray[Any]:  # noqa: ARG002
        """Plain memory: onnxruntime copies from it to the device by itself."""
        return np.empty(shape, dtype=dtype)


BACKEND = OnnxRuntime
