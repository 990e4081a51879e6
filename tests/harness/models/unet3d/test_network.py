"""3D-UNet: its agreement with a second implementation, and the official files."""

import zipfile
from functools import cache as once
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.words import ModelFormat
from mlperf_docker.harness.api.backend import LoadRequest
from mlperf_docker.harness.api.errors import ModelFileError
from mlperf_docker.harness.api.model import Model
from mlperf_docker.harness.architectures.unet3d import FULL, UNetConfig
from mlperf_docker.harness.backends import registry
from mlperf_docker.harness.models.opening import open_model
from mlperf_docker.harness.models.unet3d import network as networks
from mlperf_docker.harness.models.unet3d.benchmark import UNet3D
from mlperf_docker.harness.models.unet3d.official import READERS
from mlperf_docker.harness.models.unet3d.synthetic import draw_weights
from mlperf_docker.harness.ops.onnx import OnnxOps
from mlperf_docker.harness.weights import formats
from mlperf_docker.harness.weights import safetensors as weight_files
from tests.harness.models.unet3d.reference import Reference, save_tensorflow

FILTERS = (2, 3)
CONFIG = UNetConfig(FILTERS)
WINDOW = np.random.default_rng(4).standard_normal((1, 1, 128, 128, 128), dtype=np.float32)


@once
def arrays() -> dict[str, NDArray[Any]]:
    rng = np.random.default_rng(9)
    made = dict(draw_weights(CONFIG, 3))
    for name, array in made.items():
        if array.ndim == 1:
            made[name] = rng.uniform(0.5, 1.5, array.shape).astype(np.float32)
    return made


def reference(*, nested: bool = True) -> Reference:
    module = Reference(*FILTERS, nested=nested)
    state = {name: torch.from_numpy(array) for name, array in arrays().items()}
    if not nested:
        state = {name.replace("output.conv.0.", "output.conv."): tensor for name, tensor in state.items()}
    module.load_state_dict(state, strict=True)
    module.eval()
    return module


@once
def expected() -> NDArray[np.float32]:
    with torch.inference_mode():
        found: NDArray[np.float32] = reference()(torch.from_numpy(WINDOW)).numpy()
    return found


def logits(backend: str, model: Model[Any, Any], windows: NDArray[np.float32] = WINDOW) -> NDArray[np.float32]:
    request = LoadRequest(model.source, model.interface, Device.CPU, 2, model.format)
    (found,) = registry.load(backend).load(request).predict((windows,))
    return np.asarray(found)


def same(found: NDArray[np.float32], tolerance: float = 2e-5) -> None:
    scale = np.abs(expected()).max()
    np.testing.assert_allclose(found / scale, expected() / scale, atol=tolerance)


@pytest.mark.parametrize("backend", ["onnxruntime", "tensorflow", "pytorch"])
def test_every_backend_agrees_with_a_second_implementation(backend: str) -> None:
    same(logits(backend, UNet3D().network(arrays(), "test")))


def test_the_real_network_has_the_official_number_of_weights() -> None:
    shapes = networks.shapes(FULL)
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == 31_190_243
    assert shapes["bottleneck.conv1.0.weight"] == (320, 320, 3, 3, 3)
    assert shapes["upsample.4.upsample_conv.0.weight"] == (64, 32, 2, 2, 2)
    assert shapes["upsample.1.conv1.0.weight"] == (256, 512, 3, 3, 3)


@pytest.mark.parametrize("nested", [True, False], ids=["output.conv.0", "output.conv"])
@pytest.mark.parametrize("key", ["best_model_state_dict", None])
def test_the_pytorch_checkpoint_gives_the_networks_weights(tmp_path: Path, nested: bool, key: str | None) -> None:
    state = reference(nested=nested).state_dict()
    path = tmp_path / "3dunet_kits19_pytorch_checkpoint.pth"
    torch.save({"epoch": 3000, key: state, "optimizer_state_dict": {}} if key else state, path)
    model = open_model(UNet3D(), registry.load("pytorch"), path)
    assert model.variant == "checkpoint's weights"
    found = READERS[ModelFormat.STATE_DICT](path)
    assert found.keys() == arrays().keys()
    assert all(np.array_equal(found[name], array) for name, array in arrays().items())


@pytest.mark.parametrize("nested", [True, False], ids=["output.conv.0", "output.conv"])
def test_a_torchscript_archive_runs_as_it_is_and_its_weights_elsewhere(tmp_path: Path, nested: bool) -> None:
    path = tmp_path / "3dunet_kits19_pytorch.ptc"
    module = reference(nested=nested)
    torch.jit.trace(module, torch.from_numpy(WINDOW[..., :16, :16, :16]), check_trace=False).save(str(path))
    model = open_model(UNet3D(), registry.load("pytorch"), path)
    assert model.variant == "official TorchScript archive"
    if nested:
        same(logits("pytorch", model))
    found = READERS[ModelFormat.TORCHSCRIPT](path)
    assert all(np.array_equal(found[name], array) for name, array in arrays().items())


class OfficialOps(OnnxOps):
    """As the official graph normalises."""

    def instance_norm(self, x: str, scale: str, bias: str, *, epsilon: float = 1e-5) -> str:
        return self._emit("InstanceNormalization", (x, scale, bias), epsilon=epsilon)


def official_onnx(path: Path, *, batch: int | str) -> Path:
    """A graph like the official one: opset 12, outputs that nobody needs, and the batch either open or 1."""
    network = networks.network(arrays(), CONFIG)
    ops = OfficialOps()
    outputs = network.outputs(ops, ("input",))
    tensors = network.interface.inputs, tuple(zip(outputs, network.interface.outputs, strict=True))
    model = onnx.load_from_string(ops.model("official", *tensors))
    model.opset_import[0].version = 12
    for value in (*model.graph.input, *model.graph.output):
        axis = value.type.tensor_type.shape.dim[0]
        axis.Clear()
        if isinstance(batch, int):
            axis.dim_value = batch
        else:
            axis.dim_param = batch
    extra = next(node.output[0] for node in model.graph.node if node.op_type == "Relu")
    model.graph.output.append(onnx.helper.make_empty_tensor_value_info(extra))
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("batch", [1, "batch_size"])
def test_an_onnx_graph_runs_as_it_is_and_its_weights_elsewhere(tmp_path: Path, batch: int | str) -> None:
    path = official_onnx(tmp_path / "3dunet_kits19_128x128x128_dynbatch.onnx", batch=batch)
    model = open_model(UNet3D(), registry.load("onnxruntime"), path)
    assert model.variant == "official ONNX graph"
    found = logits("onnxruntime", model, np.concatenate([WINDOW, -WINDOW]))
    # onnxruntime's InstanceNormalization is not exact.
    same(found[:1], 5e-3)
    assert not np.array_equal(found[0], found[1])
    read = READERS[ModelFormat.ONNX](path)
    assert read.keys() == arrays().keys()
    assert all(np.array_equal(read[name], array) for name, array in arrays().items())


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "3dunet_kits19_128x128x128.tf"
    save_tensorflow(arrays(), folder)
    return folder


def zipped(folder: Path, path: Path, below: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, Path(below) / file.relative_to(folder))
    return path


@pytest.mark.parametrize("below", ["3dunet_kits19_128x128x128.tf", ".", "a/b"])
def test_a_saved_model_in_a_zip_runs_as_it_is(tmp_path: Path, saved: Path, below: str) -> None:
    path = zipped(saved, tmp_path / "3dunet_kits19_128x128x128.tf.zip", below)
    assert formats.detect(path) is ModelFormat.SAVED_MODEL
    model = open_model(UNet3D(), registry.load("tensorflow"), path)
    assert model.variant == "official SavedModel"
    same(logits("tensorflow", model))


def test_an_open_saved_model_is_named_by_its_file_and_proves_its_device(saved: Path) -> None:
    model = open_model(UNet3D(), registry.load("tensorflow"), saved / "saved_model.pb")
    request = LoadRequest(model.source, model.interface, Device.CPU, 2, model.format)
    proof = registry.load("tensorflow").load(request).prove((WINDOW,))
    assert proof["provider"] == "/device:CPU:0"


def load(backend: str, path: Path) -> None:
    model = open_model(UNet3D(), registry.load(backend), path)
    registry.load(backend).load(LoadRequest(model.source, model.interface, Device.CPU, 1, model.format))


def refused(backend: str, path: Path) -> str:
    with pytest.raises(ModelFileError) as raised:
        load(backend, path)
    return "\n".join((str(raised.value), *raised.value.details))


def test_saved_models_that_do_not_fit(tmp_path: Path, saved: Path) -> None:
    two = zipped(saved, tmp_path / "two.zip", "a")
    with zipfile.ZipFile(two, "a") as archive:
        archive.write(saved / "saved_model.pb", "b/saved_model.pb")
    assert "just one SavedModel" in refused("tensorflow", two)
    (tmp_path / "saved_model.pb").write_bytes(b"nothing" * 9)
    assert "is no SavedModel that TensorFlow can load" in refused("tensorflow", tmp_path / "saved_model.pb")
    one = zipped(saved, tmp_path / "one.zip", "a")
    assert "cannot be read from a saved-model" in refused("onnxruntime", one)
    tf: Any = pytest.importorskip("tensorflow")
    other = tf.Module()
    other.f = tf.function(lambda x: {"y": x}, input_signature=[tf.TensorSpec((None, 3), tf.float32)])
    tf.saved_model.save(other, str(tmp_path / "other"), signatures={"serving_default": other.f})
    assert "input input should be" in refused("tensorflow", tmp_path / "other/saved_model.pb")


def test_weights_that_do_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    broken = dict(arrays())
    broken["bottleneck.conv2.1.bias"] = np.zeros(7, dtype=np.float32)
    del broken["output.conv.0.bias"]
    weight_files.write(path, broken)
    text = refused("onnxruntime", path)
    assert "1 missing, 1 misshapen, 0 unused" in text
    weight_files.write(path, {"other": np.zeros(3, dtype=np.float32)})
    assert "does not hold a 3D-UNet" in refused("onnxruntime", path)
