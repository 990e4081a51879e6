"""The network: weights, anchors, its agreement with a second implementation, and the files that hold it."""

import io
import zipfile
from functools import cache as once
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto

from mlperf_docker.contract.cell import Cell
from mlperf_docker.contract.commands import ConvertCommand
from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.words import ModelFormat
from mlperf_docker.harness.api import named_weights
from mlperf_docker.harness.api.backend import Arrays, LoadRequest
from mlperf_docker.harness.api.errors import ModelFileError
from mlperf_docker.harness.api.events import Events
from mlperf_docker.harness.api.interface import Tensor
from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.architectures.retinanet import DEVIATION, FULL, MEAN, anchors, grids
from mlperf_docker.harness.backends import registry
from mlperf_docker.harness.commands import convert
from mlperf_docker.harness.models.opening import open_model
from mlperf_docker.harness.models.retinanet import detections, official
from mlperf_docker.harness.models.retinanet import network as networks
from mlperf_docker.harness.models.retinanet.benchmark import RetinaNet
from mlperf_docker.harness.models.retinanet.synthetic import TINY, draw_weights
from mlperf_docker.harness.ops.onnx import OnnxOps
from mlperf_docker.harness.weights import formats
from mlperf_docker.harness.weights import safetensors as weight_files
from tests.harness.models.retinanet.reference import Reference

RNG = np.random.default_rng(11)
IMAGES = RNG.random((2, 3, 8, 8), dtype=np.float32).repeat(100, axis=2).repeat(100, axis=3)


@once
def arrays() -> dict[str, NDArray[Any]]:
    """Weights with logits around the least score, so that some thousand candidates exceed it, and some boxes move."""
    made = dict(draw_weights(TINY, 3))
    made["head.classification_head.cls_logits.weight"] *= np.float32(0.3)
    made["head.classification_head.cls_logits.bias"] -= np.float32(5)
    made["head.regression_head.bbox_reg.weight"] *= np.float32(0.1)
    return made


def reference() -> Reference:
    module = Reference((1, 1, 1, 1), 4, 2, 2, 8, 1, 32)
    module.eval()
    module.load_state_dict({name: torch.from_numpy(array) for name, array in arrays().items()}, strict=True)
    return module


@once
def expected() -> list[dict[str, NDArray[Any]]]:
    with torch.inference_mode():
        found = reference()(torch.from_numpy(IMAGES))
    return [{name: tensor.numpy() for name, tensor in image.items()} for image in found]


def rows(payload: NDArray[np.float32]) -> NDArray[np.float32]:
    return payload.reshape(-1, 7)


def agrees(payload: NDArray[np.float32], sample: int, image: dict[str, NDArray[Any]]) -> None:
    """Whether a payload holds just what the reference detects, whatever the order of nearly equal scores."""
    boxes, others = rows(payload), image["boxes"][:, [1, 0, 3, 2]] / 800
    assert len(boxes) == len(others) > 20
    assert (boxes[:, 0] == sample).all()
    np.testing.assert_allclose(boxes[:, 5], image["scores"], rtol=1e-4)
    keys = [
        np.lexsort((part[:, 1].round(3), part[:, 0].round(3), label))
        for part, label in ((boxes[:, 1:5], boxes[:, 6]), (others, image["labels"]))
    ]
    np.testing.assert_array_equal(boxes[keys[0], 6], image["labels"][keys[1]])
    np.testing.assert_allclose(boxes[keys[0], 1:5], others[keys[1]], atol=2e-4)


def payloads(outputs: Arrays, samples: list[int], *, native: bool = False) -> list[NDArray[np.float32]]:
    out = np.full((len(samples), detections.WIDTH), -1, dtype=np.float32)
    make = detections.of_detections if native else detections.of_candidates
    lengths = make(outputs, samples, out)
    return [row[:length] for row, length in zip(out, lengths, strict=True)]


def test_the_full_retinanet_has_the_official_checkpoints_weights() -> None:
    shapes = networks.shapes(FULL)
    assert len(shapes) == 301
    assert shapes["backbone.body.layer4.0.conv2.weight"] == (1024, 32, 3, 3)
    assert shapes["backbone.body.layer1.0.conv1.weight"] == (128, 64, 1, 1)
    assert shapes["backbone.fpn.inner_blocks.2.weight"] == (256, 2048, 1, 1)
    assert shapes["backbone.fpn.extra_blocks.p6.weight"] == (256, 256, 3, 3)
    assert shapes["head.classification_head.conv.6.bias"] == (256,)
    assert shapes["head.classification_head.cls_logits.weight"] == (2376, 256, 3, 3)
    assert shapes["head.regression_head.bbox_reg.bias"] == (36,)


def test_anchors_are_those_of_the_sheet() -> None:
    assert grids() == (100, 50, 25, 13, 7)
    assert sum(len(anchors(level)) for level in range(5)) == 120087
    assert anchors(0)[:4].tolist() == [[-23, -11, 23, 11], [-28, -14, 28, 14], [-35, -18, 35, 18], [-16, -16, 16, 16]]
    assert (anchors(3)[9] - anchors(3)[0]).tolist() == [61, 0, 61, 0]
    assert (anchors(4)[9 * 7] - anchors(4)[0]).tolist() == [0, 114, 0, 114]
    assert anchors(4)[5].tolist() == [-406, -406, 406, 406]


@pytest.mark.parametrize("config", [TINY, FULL], ids=["tiny", "full"])
def test_retinanets_size_is_told_from_its_weights(config: Any) -> None:
    shaped = {name: np.broadcast_to(np.float32(0), shape) for name, shape in networks.shapes(config).items()}
    assert networks.config_of(shaped, "w") == config
    named_weights.check(networks.shapes(config), shaped, "w")


def test_weights_of_another_model_are_no_retinanets() -> None:
    with pytest.raises(ModelFileError, match="does not hold a RetinaNet"):
        networks.checked({"fc.weight": np.zeros((3, 3))}, "w")
    foreign = dict(arrays())
    foreign["head.classification_head.cls_logits.weight"] = np.zeros((91 * 9, 8, 3, 3), dtype=np.float32)
    with pytest.raises(ModelFileError, match="819 values"):
        networks.checked(foreign, "w")


@pytest.mark.parametrize("backend", ["onnxruntime", "tensorflow", "pytorch"])
def test_every_backend_detects_what_the_reference_does(backend: str) -> None:
    network = networks.checked(arrays(), "w")
    predictor = registry.load(backend).load(LoadRequest(network, network.interface, Device.CPU, 2))
    outputs = predictor.predict((IMAGES,))
    assert [output.shape[:2] for output in outputs] == [(2, 5000)] * 3
    for sample, (payload, image) in enumerate(zip(payloads(outputs, [7, 8]), expected(), strict=True)):
        agrees(payload, sample + 7, image)


def save(tmp_path: Path, name: str, state: Any) -> Path:
    torch.save(state, tmp_path / name)
    return tmp_path / name


def state() -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array) for name, array in arrays().items()}


def test_the_checkpoint_is_read_bare_nested_and_zipped(tmp_path: Path) -> None:
    nested = save(tmp_path, "retinanet_model_10.pth", {"model": state(), "epoch": 10})
    with zipfile.ZipFile(tmp_path / "retinanet_model_10.zip", "w") as archive:
        archive.write(nested, nested.name)
    for path in (nested, tmp_path / "retinanet_model_10.zip", save(tmp_path, "bare.pth", state())):
        found = RetinaNet().read(path, formats.detect(path))
        assert found.keys() == arrays().keys()
        np.testing.assert_array_equal(found["backbone.body.conv1.weight"], arrays()["backbone.body.conv1.weight"])


def test_names_of_newer_torchvisions_are_known() -> None:
    older = {
        "backbone.fpn.inner_blocks.0.weight": 1,
        "backbone.fpn.layer_blocks.2.bias": 2,
        "head.regression_head.conv.6.weight": 3,
        "head.classification_head.conv.0.bias": 4,
        "backbone.body.layer1.0.conv1.weight": 5,
    }
    newer = {
        "backbone.fpn.inner_blocks.0.0.weight": 1,
        "backbone.fpn.layer_blocks.2.0.bias": 2,
        "head.regression_head.conv.3.0.weight": 3,
        "head.classification_head.conv.0.0.bias": 4,
        "backbone.body.layer1.0.conv1.weight": 5,
    }
    assert official.renamed(newer) == older  # type: ignore[arg-type]
    assert official.renamed(older) == older  # type: ignore[arg-type]


def test_an_archive_runs_as_it_is_and_gives_its_weights(tmp_path: Path) -> None:
    path = tmp_path / "resnext50_32x4d_fpn.pth"
    torch.jit.script(reference()).save(str(path))
    assert formats.detect(path) is ModelFormat.TORCHSCRIPT
    backend = registry.load("pytorch")
    model = open_model(RetinaNet(), backend, path)
    assert (model.source, model.format) == (path, ModelFormat.TORCHSCRIPT)
    predictor = backend.load(LoadRequest(model.source, model.interface, Device.CPU, 2, model.format))
    found = payloads(predictor.predict((IMAGES,)), [0, 1], native=True)
    for sample, image in enumerate(expected()):
        agrees(found[sample], sample, image)
    read = official.read_archive(path)
    assert read.keys() == arrays().keys()
    other = open_model(RetinaNet(), registry.load("onnxruntime"), path)
    assert isinstance(other.source, Network)


class _Heads(torch.nn.Module):  # type: ignore[misc, unused-ignore]
    def __init__(self, module: Reference) -> None:
        super().__init__()
        self.backbone, self.head = module.backbone, module.head

    def forward(self, x: torch.Tensor) -> Any:
        mean, deviation = (torch.from_numpy(table).view(1, 3, 1, 1) for table in (MEAN, DEVIATION))
        levels = self.backbone((x - mean) / deviation)
        head = self.head
        return [part(level) for level in levels for part in (head.classification_head, head.regression_head)]


@pytest.mark.filterwarnings("ignore")
def test_weights_of_an_exported_graph_are_read_though_its_normalisations_are_folded(tmp_path: Path) -> None:
    module = _Heads(reference()).eval()
    with torch.no_grad():
        for name, buffer in module.named_buffers():
            buffer += 0.1 * torch.rand_like(buffer) if "bn" in name or "downsample" in name else 0
    stream, path = io.BytesIO(), tmp_path / "resnext50_32x4d_fpn.onnx"
    torch.onnx.export(module, (torch.from_numpy(IMAGES[:1]),), stream, opset_version=13, dynamo=False)
    path.write_bytes(stream.getvalue())
    found = official.read_graph(path)
    named_weights.check(networks.shapes(TINY), found, str(path))
    network = networks.level_network(found, TINY)
    run = registry.load("onnxruntime").load(LoadRequest(network, network.interface, Device.CPU, 2)).predict
    with torch.inference_mode():
        for ours, theirs in zip(run((IMAGES[:1],)), module(torch.from_numpy(IMAGES[:1])), strict=True):
            np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-3, rtol=1e-4)
    graph = onnx.load(path)
    del graph.graph.initializer[0]
    onnx.save(graph, path)
    with pytest.raises(ModelFileError):
        RetinaNet().network(RetinaNet().read(path, ModelFormat.ONNX), str(path))


def official_graph(path: Path) -> Path:
    """An .onnx file with the official interface: one image in, boxes, scores and labels of any number out."""
    ops = OnnxOps()
    network = networks.checked(arrays(), "w")
    names = network.outputs(ops, ("images",))
    flat = [ops._emit("Squeeze", (name, ops._table(0))) for name in names]
    boxes, scores, labels = flat
    far = ops.mul(ops._emit("Cast", (labels,), to=TensorProto.FLOAT), ops._scalar(1000.0, "float32"))
    apart = ops.add(boxes, ops._emit("Unsqueeze", (far, ops._table(1))))
    wide = [ops._emit("Unsqueeze", (apart, ops._table(0))), ops._emit("Unsqueeze", (scores, ops._table(0, 1)))]
    limits = [ops._table(300), ops._table(0.5, dtype="float32"), ops._table(0.05, dtype="float32")]
    chosen = ops._emit("NonMaxSuppression", (*wide, *limits))
    last = ops._emit("Gather", (chosen, ops._scalar(2, "int64")), axis=1)
    kept = [ops._emit("Gather", (name, last), axis=0) for name in flat]
    tensors = [
        Tensor("boxes", "float32", (None, 4)),
        Tensor("scores", "float32", (None,)),
        Tensor("labels", "int64", (None,)),
    ]
    model = onnx.load_from_string(
        ops.model("official", [Tensor("images", "float32", (1, 3, 800, 800))], list(zip(kept, tensors, strict=True)))
    )
    onnx.save(model, path)
    return path


def test_a_graph_runs_as_it_is_image_by_image(tmp_path: Path) -> None:
    path = official_graph(tmp_path / "resnext50_32x4d_fpn.onnx")
    backend = registry.load("onnxruntime")
    model = open_model(RetinaNet(), backend, path)
    predictor = backend.load(LoadRequest(model.source, model.interface, Device.CPU, 2, model.format))
    outputs = predictor.predict((IMAGES,))
    assert [output.shape[0] for output in outputs] == [2, 2, 2]
    found = payloads(outputs, [0, 1], native=True)
    for sample, image in enumerate(expected()):
        agrees(found[sample], sample, image)


def test_a_graph_that_convert_wrote_runs_in_batches(tmp_path: Path) -> None:
    weights, path = tmp_path / "w.safetensors", tmp_path / "w.onnx"
    weight_files.write(weights, arrays())
    command = ConvertCommand(model_file=weights, output=path)
    convert.execute(command, Cell("retinanet", "onnxruntime", Device.CPU, "retinanet"), Events(io.StringIO()))
    backend = registry.load("onnxruntime")
    model = open_model(RetinaNet(), backend, path)
    assert (model.format, model.interface.ragged) == (ModelFormat.ONNX, False)
    assert model.variant == "ONNX graph that convert wrote"
    predictor = backend.load(LoadRequest(model.source, model.interface, Device.CPU, 2, model.format))
    found = payloads(predictor.predict((IMAGES,)), [0, 1])
    for sample, image in enumerate(expected()):
        agrees(found[sample], sample, image)


def test_a_graph_without_boxes_is_refused(tmp_path: Path) -> None:
    path = official_graph(tmp_path / "m.onnx")
    graph = onnx.load(path)
    graph.graph.output.pop(0)
    onnx.save(graph, path)
    with pytest.raises(ModelFileError, match="other inputs or outputs") as raised:
        open_model(RetinaNet(), registry.load("onnxruntime"), path)
    assert any("boxes" in line for line in raised.value.details)
