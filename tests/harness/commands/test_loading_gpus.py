"""Instances on several GPUs, with stand-ins for the driver and the frameworks' lists, up to the framework's call."""

import ctypes
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mlperf_docker.contract.cell import Cell
from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.words import Mode, ModelFormat, Scenario
from mlperf_docker.harness.api.backend import Arrays, LoadRequest, Predictor
from mlperf_docker.harness.api.errors import DeviceError
from mlperf_docker.harness.api.events import Events
from mlperf_docker.harness.api.interface import Interface, Tensor
from mlperf_docker.harness.api.names import Joined
from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.backends import registry
from mlperf_docker.harness.backends.dummy.backend import Dummy, NullPredictor
from mlperf_docker.harness.backends.onnxruntime import backend as ort_backend
from mlperf_docker.harness.backends.pytorch import backend as torch_backend
from mlperf_docker.harness.commands import loading
from mlperf_docker.harness.commands.options import LoadgenRun
from mlperf_docker.harness.models.dlrm import placement
from mlperf_docker.harness.models.dlrm.benchmark import Dlrm
from mlperf_docker.harness.models.resnet50.benchmark import ResNet50
from mlperf_docker.harness.system import gpu
from mlperf_docker.harness.weights import frameworks

ROWS = Interface((Tensor("rows:0", "float32", (None, 3)),), (Tensor("sums:0", "float32", (None,)),))


def options(scenario: Scenario, instances: int | None = None) -> LoadgenRun:
    return LoadgenRun(
        cell=Cell("resnet50", "dummy", Device.CUDA, "resnet50"),
        scenario=scenario,
        mode=Mode.PERFORMANCE,
        instances=instances,
    )


@pytest.mark.parametrize(
    ("scenario", "given", "devices", "instances"),
    [
        (Scenario.OFFLINE, None, 1, 1),
        (Scenario.OFFLINE, None, 4, 4),
        (Scenario.SERVER, None, 4, 4),
        (Scenario.SINGLE_STREAM, None, 4, 1),
        (Scenario.MULTI_STREAM, None, 4, 1),
        (Scenario.OFFLINE, 3, 2, 3),
        (Scenario.SERVER, 1, 2, 1),
    ],
)
def test_there_is_an_instance_for_each_gpu_unless_told(
    scenario: Scenario, given: int | None, devices: int, instances: int
) -> None:
    assert options(scenario, given).settled(devices).copies == instances


class Proving(NullPredictor):
    """Tells which device it was given."""

    def __init__(self, interface: Interface, number: int) -> None:
        super().__init__(interface)
        self.number = number

    def prove(self, inputs: Arrays) -> Mapping[str, Any]:
        return {"provider": "stand-in", "gpu_number": self.number, "samples": len(inputs[0])}


class TwoGpus(Dummy):
    """Two devices of each kind."""

    def count(self, device: Device) -> int:
        return 2

    def load(self, request: LoadRequest) -> Predictor:
        return Proving(request.interface, request.number)


class Images:
    """Black ones."""

    count = 4
    lengths = None
    joined = Joined.PADDED

    def load(self, indices: Sequence[int]) -> Arrays:
        return (np.zeros((len(indices), 3, 224, 224), dtype=np.float32),)


@pytest.mark.parametrize(("instances", "numbers"), [(None, [0, 1]), (5, [0, 1, 0, 1, 0])])
def test_instances_are_dealt_out_to_the_gpus_and_each_is_proven(
    tmp_path: Path, instances: int | None, numbers: list[int]
) -> None:
    model = ResNet50().native(Path(), ModelFormat.ONNX)
    with (tmp_path / "events").open("w") as stream:
        settled = options(Scenario.OFFLINE, instances).settled(2)
        loaded = loading.load(settled, TwoGpus(), None, model, Images(), Events(stream))
    assert [proof["gpu_number"] for proof in loaded.proof["instances"]] == numbers
    assert loaded.proof["provider"] == "stand-in"
    assert len(loaded.instances.predictors) == len(numbers)


def test_a_single_instance_has_a_single_proof(tmp_path: Path) -> None:
    model = ResNet50().native(Path(), ModelFormat.ONNX)
    with (tmp_path / "events").open("w") as stream:
        settled = options(Scenario.SINGLE_STREAM).settled(2)
        loaded = loading.load(settled, TwoGpus(), None, model, Images(), Events(stream))
    assert loaded.proof == {"provider": "stand-in", "gpu_number": 0, "samples": 1}


@pytest.mark.parametrize(
    ("instances", "devices", "shares"), [(1, 1, (1,)), (2, 2, (1, 1)), (5, 2, (3, 2)), (2, 4, (1, 1)), (3, 1, (3,))]
)
def test_shares_of_the_devices(instances: int, devices: int, shares: tuple[int, ...]) -> None:
    assert loading.shares(instances, devices) == shares


def test_tables_are_placed_by_the_gpu_with_least_for_an_instance(monkeypatch: pytest.MonkeyPatch) -> None:
    free = {0: 90, 1: 40}
    seen: list[int] = []
    monkeypatch.setattr(gpu, "free_bytes", lambda _device, number: free[number])
    monkeypatch.setattr(Dlrm, "read", lambda *_: {})
    monkeypatch.setattr("mlperf_docker.harness.weights.formats.detect", lambda _: ModelFormat.SAFETENSORS)
    monkeypatch.setattr(placement, "plan", lambda *_, device_free, **__: seen.append(device_free))
    for shares in ((1,), (1, 1), (3, 1), (2, 2)):
        Dlrm().plan(Path(), Device.CUDA, shares)
    assert seen == [90, 40, 30, 20]


class Driver:
    """CUDA's driver and NVML for two GPUs, which the two number the other way round."""

    free: ClassVar = {b"0000:01:00.0": 111, b"0000:02:00.0": 222}
    cuda = (b"0000:02:00.0", b"0000:01:00.0")

    def __init__(self, name: str) -> None:
        self.name = name
        self.asked = b""

    def cuInit(self, flags: int) -> int:  # noqa: N802
        return flags

    def cuDeviceGetCount(self, found: Any) -> int:  # noqa: N802
        found._obj.value = len(self.cuda)
        return 0

    def cuDeviceGet(self, device: Any, number: int) -> int:  # noqa: N802
        device._obj.value = number
        return 0 if number < len(self.cuda) else 101

    def cuDeviceGetPCIBusId(self, found: Any, size: int, device: Any) -> int:  # noqa: N802
        found.value = self.cuda[device.value]
        return int(size < 13)

    def nvmlInit_v2(self) -> int:  # noqa: N802
        return 0

    def nvmlDeviceGetHandleByPciBusId_v2(self, bus_id: bytes, handle: Any) -> int:  # noqa: N802
        self.asked = bus_id
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, number: int, handle: Any) -> int:  # noqa: N802
        self.asked = sorted(self.free)[number]
        return 0

    def nvmlDeviceGetMemoryInfo(self, handle: Any, memory: Any) -> int:  # noqa: N802
        memory._obj.free = self.free[self.asked]
        return 0


def test_the_driver_counts_gpus_and_tells_their_memory_by_the_frameworks_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ctypes, "CDLL", Driver)
    assert gpu.count(Device.CUDA) == 2
    assert [gpu.free_bytes(Device.CUDA, number) for number in range(2)] == [222, 111]
    monkeypatch.delattr(Driver, "cuDeviceGetPCIBusId")
    assert [gpu.free_bytes(Device.CUDA, number) for number in range(2)] == [111, 222], "by NVML's own numbers"
    monkeypatch.setattr(Driver, "cuInit", lambda *_: 100)
    with pytest.raises(DeviceError, match="does not tell how many"):
        gpu.count(Device.CUDA)


class Session:
    """Remembers how it was made and what it was bound to; runs nothing."""

    made: list[Any]
    bound: list[tuple[str, int]]

    def __init__(self, model: object, options: object, *, providers: list[Any]) -> None:
        self.made.append(providers[0])

    def get_inputs(self) -> list[Any]:
        return []

    get_outputs = get_inputs

    def run(self, *_: object) -> None: ...

    def io_binding(self) -> "Session":
        return self

    def bind_ortvalue_input(self, name: str, value: tuple[str, int]) -> None:
        self.bound.append(value)

    def bind_output(self, name: str, kind: str, number: int) -> None:
        self.bound.append((kind, number))

    def run_with_iobinding(self, binding: object) -> None: ...

    def copy_outputs_to_cpu(self) -> list[NDArray[Any]]:
        return [np.zeros(1)]

    def get_provider_options(self) -> dict[str, dict[str, str]]:
        return {"CUDAExecutionProvider": {"device_id": "1"}}


def test_onnxruntime_is_given_the_number_and_binds_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    Session.made, Session.bound = [], []
    ort: Any = sys.modules["onnxruntime"]
    monkeypatch.setattr(ort, "InferenceSession", Session)
    monkeypatch.setattr(ort, "preload_dlls", lambda: None, raising=False)
    monkeypatch.setattr(ort.OrtValue, "ortvalue_from_numpy", lambda _array, kind, number: (kind, number))
    monkeypatch.setattr(ort_backend, "check_interface", lambda *_: None)
    request = LoadRequest(Path("model.onnx"), ROWS, Device.CUDA, 1, ModelFormat.ONNX, number=1)
    predictor = ort_backend.OnnxRuntimePredictor(request)
    predictor.predict((np.zeros((1, 3), dtype=np.float32),))
    ((provider, settings),) = Session.made
    assert (provider, settings["device_id"], settings["use_tf32"]) == ("CUDAExecutionProvider", "1", "0")
    assert Session.bound == [("cuda", 1), ("cuda", 1)]
    assert predictor._proven_gpu() == {"gpu_number": 1}
    with pytest.raises(DeviceError, match="took GPU 1, not GPU 0"):
        ort_backend.OnnxRuntimePredictor(
            LoadRequest(Path("m.onnx"), ROWS, Device.CUDA, 1, ModelFormat.ONNX)
        )._proven_gpu()


def test_onnxruntime_counts_what_the_driver_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", Driver)
    assert registry.load("onnxruntime").count(Device.CUDA) == 2
    assert registry.load("onnxruntime").count(Device.CPU) == 1


def test_pytorch_loads_onto_the_gpu_of_that_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    backend = registry.load("pytorch")
    assert (backend.count(Device.CUDA), backend.count(Device.CPU)) == (3, 1)
    seen: list[torch.device] = []

    def opened(path: Path, device: torch.device) -> torch.nn.Module:
        seen.append(device)
        return torch.nn.Identity()

    monkeypatch.setattr(torch_backend, "open_archive", opened)
    for number in range(2):
        request = LoadRequest(Path("m.pt"), ROWS, Device.CUDA, 1, ModelFormat.TORCHSCRIPT, number=number)
        torch_backend.PyTorchPredictor(request)
    assert seen == [torch.device("cuda", 0), torch.device("cuda", 1)]


def test_tensorflow_counts_its_own_list(monkeypatch: pytest.MonkeyPatch) -> None:
    tf = frameworks.load("tensorflow")
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda _kind: ["GPU:0", "GPU:1"])
    assert registry.load("tensorflow").count(Device.CUDA) == 2


@pytest.mark.parametrize("kind", ["network", "frozen graph", "SavedModel"])
def test_tensorflow_runs_a_model_on_the_device_of_that_number(tmp_path: Path, kind: str) -> None:
    """A second CPU, of which TensorFlow may have several, stands for a second GPU."""
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    weight = np.arange(6, dtype=np.float32).reshape(2, 3)
    for number in (0, 1):
        request = _tensorflow_model(kind, tmp_path / f"{number}", weight, number)
        predictor = registry.load("tensorflow").load(request)
        np.testing.assert_allclose(predictor.predict((x,))[0], x @ weight.T)
        proof = predictor.prove((x,))
        assert proof["provider"] == f"/device:CPU:{number}"
        assert proof["operators"][f"/device:CPU:{number}"]


def _tensorflow_model(kind: str, folder: Path, weight: NDArray[np.float32], number: int) -> LoadRequest:
    folder.mkdir()
    interface = Interface((Tensor("rows:0", "float32", (None, 3)),), (Tensor("sums:0", "float32", (None, 2)),))
    if kind == "network":
        network = Network(
            "test", interface, {"w": weight}, lambda ops, w, values: (ops.linear(values[0], w("w", 2, 3)),)
        )
        return LoadRequest(network, interface, Device.CPU, 1, number=number)
    tf = frameworks.load("tensorflow")
    v1 = tf.compat.v1
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        rows = v1.placeholder("float32", (None, 3), "rows")
        held = v1.Variable(weight) if kind == "SavedModel" else tf.constant(weight)
        sums = tf.identity(tf.matmul(rows, held, transpose_b=True), name="sums")
        session.run(v1.global_variables_initializer())
        if kind == "SavedModel":
            v1.saved_model.simple_save(session, str(folder / "model"), {"rows": rows}, {"sums": sums})
            path, format_ = folder / "model/saved_model.pb", ModelFormat.SAVED_MODEL
        else:
            path, format_ = folder / "model.pb", ModelFormat.FROZEN_GRAPH
            path.write_bytes(graph.as_graph_def().SerializeToString())
    return LoadRequest(path, interface, Device.CPU, 1, format_, number=number)
