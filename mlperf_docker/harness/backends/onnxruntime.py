"""onnxruntime: runs an .onnx file as it is, and proves from its profile where the operators ran."""

import json
import os
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# Since 1.29 the Linux wheels keep a device id in HOME and report to their maker; read when the library is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime as ort

from mlperf_docker.harness.backends.base import Arrays, Interface, LoadRequest, Predictor, Tensor
from mlperf_docker.harness.errors import DeviceError, ModelFileError
from mlperf_docker.harness.names import Device

Session = Any
"""ort.InferenceSession, which comes without types; so do its inputs and outputs."""

PROVIDERS = {Device.CPU: "CPUExecutionProvider", Device.CUDA: "CUDAExecutionProvider"}
TYPES = {"float32": "tensor(float)", "int64": "tensor(int64)", "int32": "tensor(int32)", "uint8": "tensor(uint8)"}
SMALL_SHARE = 0.05
"""Share of a proof run on CUDA that operators on the CPU may take (shape arithmetic lives there)."""


def _described(value: Session) -> Tensor:
    names = {kind: name for name, kind in TYPES.items()}
    shape = tuple(axis if isinstance(axis, int) else None for axis in value.shape)
    return Tensor(value.name, names.get(value.type, value.type), shape)


def _differences(kind: str, wanted: Sequence[Tensor], found: Sequence[Tensor], *, exact: bool) -> list[str]:
    """What keeps *found* from serving as *wanted*, a line each. exact: tensors nobody asked for count too."""
    by_name = {tensor.name: tensor for tensor in found}
    lines = []
    for tensor in wanted:
        other = by_name.pop(tensor.name, None)
        if other is None:
            lines.append(f"{kind} {tensor} is missing")
        elif other.dtype != tensor.dtype or not _fits(tensor.shape, other.shape):
            lines.append(f"{kind} {tensor.name} should be {tensor}, is {other}")
    return lines + [f"{kind} {tensor} is not expected" for tensor in by_name.values() if exact]


def _fits(wanted: Sequence[int | None], found: Sequence[int | None]) -> bool:
    """Whether *found* takes every shape that *wanted* stands for; an axis that found leaves open takes any length."""
    return len(wanted) == len(found) and all(there in (None, here) for here, there in zip(wanted, found, strict=True))


def check_interface(path: Path, session: Session, interface: Interface) -> None:
    """Raise ModelFileError, with every difference, if the file's inputs and outputs are not those of *interface*."""
    inputs = [_described(value) for value in session.get_inputs()]
    outputs = [_described(value) for value in session.get_outputs()]
    lines = _differences("input", interface.inputs, inputs, exact=True)
    # An output that the exporter left without a shape still has a name and a type to go by.
    known = [
        Tensor(t.name, t.dtype, t.shape or w.shape) for t in outputs for w in interface.outputs if w.name == t.name
    ]
    lines += _differences("output", interface.outputs, known, exact=False)
    if lines:
        names = ", ".join(tensor.name for tensor in outputs)
        details = [*lines, f"outputs of the file: {names}"]
        raise ModelFileError(f"{path} is not this model: other inputs or outputs", details=details)


def _session(request: LoadRequest, profile: Path) -> Session:
    options = ort.SessionOptions()
    options.intra_op_num_threads = request.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # The profile of the proof run; `prove` ends it, so that nothing is recorded while LoadGen measures.
    options.enable_profiling = True
    options.profile_file_prefix = str(profile / "proof")
    try:
        return ort.InferenceSession(str(request.path), options, providers=[PROVIDERS[request.device]])
    except Exception as error:  # onnxruntime's exceptions have no common base of their own
        size = request.path.stat().st_size
        reason = str(error).strip().splitlines()[0]
        raise ModelFileError(
            f"onnxruntime cannot load {request.path} ({size} bytes): {reason}",
            hint="It is truncated or not ONNX. Compare its checksum with: mlperf-docker models verify",
        ) from error


def _time_by_provider(profile: Path) -> tuple[Counter[str], Counter[str]]:
    """Operators and microseconds by execution provider, of a profile that onnxruntime wrote."""
    nodes: Counter[str] = Counter()
    times: Counter[str] = Counter()
    for event in json.loads(profile.read_text()):
        provider = event.get("args", {}).get("provider")
        if event.get("cat") == "Node" and provider:
            nodes[provider] += 1
            times[provider] += event["dur"]
    return nodes, times


class OnnxRuntimePredictor:
    """A session and the names that it is fed and asked with."""

    def __init__(self, request: LoadRequest) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="mlperf-proof-")
        self._device = request.device
        self._session = _session(request, Path(self._folder.name))
        check_interface(request.path, self._session, request.interface)
        self._inputs = [tensor.name for tensor in request.interface.inputs]
        self._outputs = [tensor.name for tensor in request.interface.outputs]
        self._run = self._session.run

    def predict(self, inputs: Arrays) -> Arrays:
        """Outputs of a batch. Contiguous inputs are read where they are: on the CPU nothing is copied."""
        return tuple(self._run(self._outputs, dict(zip(self._inputs, inputs, strict=True))))

    def prove(self, inputs: Arrays) -> Mapping[str, Any]:
        """Run *inputs* under onnxruntime's profiler and read which execution provider ran which operators."""
        self.predict(inputs)
        nodes, times = _time_by_provider(Path(self._session.end_profiling()))
        self._folder.cleanup()
        provider = PROVIDERS[self._device]
        share = times[provider] / max(1, times.total())
        if self._session.get_providers()[0] != provider or not nodes or share < 1 - SMALL_SHARE:
            raise DeviceError(
                f"onnxruntime ran {share:.0%} of the network on {self._device}, the rest elsewhere",
                details=[f"{name}: {count} operators" for name, count in nodes.items()],
            )
        return {
            "provider": provider,
            "providers": list(self._session.get_providers()),
            "operators": dict(nodes),
            "time_share": round(share, 4),
        }


class OnnxRuntime:
    """The backend."""

    name = "onnxruntime"

    def versions(self) -> Mapping[str, str]:
        """The version of onnxruntime."""
        return {"onnxruntime": str(ort.__version__)}

    def check_device(self, device: Device) -> None:
        """Raise DeviceError unless this build of onnxruntime has the provider and, for CUDA, a GPU is visible."""
        available = ort.get_available_providers()
        if PROVIDERS[device] not in available:
            raise DeviceError(
                f"onnxruntime here has no {PROVIDERS[device]}; it has {', '.join(available)}",
                hint="Use the image for this device: mlperf-docker run … --device cuda",
            )
        if device is Device.CUDA and not Path("/dev/nvidiactl").exists():
            raise DeviceError("no NVIDIA GPU is visible in here", hint="Start the container with --gpus all.")

    def load(self, request: LoadRequest) -> Predictor:
        """Open a session for the file."""
        return OnnxRuntimePredictor(request)
