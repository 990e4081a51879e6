"""Real photographs, freely licensed and shipped by PyPI packages, laid out as ImageNet, through the whole pipeline.

The model file is made here in the official file's format (names, layout, 1001 classes); what it should answer to each
photograph is computed by a plain loop in this process, with OpenCV and ONNX Runtime only.
"""

import json
import struct
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import skimage.data
import sklearn.datasets
from numpy.typing import NDArray
from PIL import Image

from tests.cells.tool import Tool

pytestmark = pytest.mark.engine
Pixels = NDArray[np.uint8]


def photographs() -> Iterator[tuple[str, Image.Image, dict[str, object]]]:
    """Yield name, picture and how to save it: every kind of file that ImageNet's validation set is known to have."""
    colour: dict[str, Pixels] = {
        "astronaut": skimage.data.astronaut(),
        "coffee": skimage.data.coffee(),
        "cat": skimage.data.chelsea(),
        "rocket": skimage.data.rocket(),
        "china": sklearn.datasets.load_sample_image("china.jpg"),
        "flower": sklearn.datasets.load_sample_image("flower.jpg"),
    }
    for name, pixels in colour.items():
        yield name, Image.fromarray(pixels), {}
    rotated = Image.Exif()
    for orientation in (3, 6, 8):
        rotated[0x0112] = orientation
        yield f"rotated{orientation}", Image.fromarray(colour["cat"]), {"exif": rotated.tobytes()}
    yield "grey", Image.fromarray(skimage.data.camera()), {}
    yield "cmyk", Image.fromarray(colour["coffee"]).convert("CMYK"), {}
    yield "progressive", Image.fromarray(colour["flower"]), {"progressive": True}
    yield "narrow", Image.fromarray(colour["china"]).crop((0, 0, 61, 427)), {}
    yield "flat", Image.fromarray(colour["china"]).crop((0, 0, 640, 33)), {}
    yield "small", Image.fromarray(colour["cat"]).resize((101, 87)), {}
    yield "large", Image.fromarray(colour["astronaut"]).resize((3001, 2003)), {}


def plain_preprocess(path: Path) -> NDArray[np.float32]:
    """Decode, resize, crop and centre as the benchmark's sheet says, one step a line. Returns (3, 224, 224)."""
    image = cv2.cvtColor(np.asarray(cv2.imread(str(path))), cv2.COLOR_BGR2RGB)
    height, width = image.shape[:2]
    size = (256, int(256 * height / width)) if height > width else (int(256 * width / height), 256)
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    height, width = image.shape[:2]
    left, top = int((width - 224) / 2), int((height - 224) / 2)
    crop = image[top : top + 224, left : left + 224].astype(np.float32)
    crop -= np.array([123.68, 116.78, 103.94], np.float32)
    return np.ascontiguousarray(crop.transpose(2, 0, 1))


def small_official_model(path: Path) -> None:
    """Write a small network with the official file's interface: names, NCHW float32, 1001 classes, both outputs."""
    weights = np.random.default_rng(7).normal(size=(3 * 7 * 7, 1001)).astype(np.float32)
    nodes = [
        onnx.helper.make_node("AveragePool", ["input_tensor:0"], ["pooled"], kernel_shape=[32, 32], strides=[32, 32]),
        onnx.helper.make_node("Flatten", ["pooled"], ["flat"]),
        onnx.helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
        onnx.helper.make_node("Softmax", ["logits"], ["softmax_tensor:0"]),
        onnx.helper.make_node("ArgMax", ["logits"], ["ArgMax:0"], axis=1, keepdims=0),
    ]
    info = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes,
        "small",
        [info("input_tensor:0", onnx.TensorProto.FLOAT, ["unk__1", 3, 224, 224])],
        [
            info("ArgMax:0", onnx.TensorProto.INT64, ["unk__2"]),
            info("softmax_tensor:0", onnx.TensorProto.FLOAT, ["unk__3", 1001]),
        ],
        [onnx.numpy_helper.from_array(weights, "weights")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 11)], ir_version=6)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def plain_answers(model: Path, dataset: Path) -> list[int]:
    """The label that the model gives each line of val_map.txt, one photograph at a time."""
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    files = [dataset / line.split()[0] for line in (dataset / "val_map.txt").read_text().splitlines()]
    inputs = (plain_preprocess(file)[np.newaxis] for file in files)
    return [int(session.run(["ArgMax:0"], {"input_tensor:0": each})[0][0]) - 1 for each in inputs]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "resnet50_v1.onnx"
    small_official_model(path)
    return path


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    """The photographs, labelled with what the model says, but for the last two."""
    folder = tmp_path_factory.mktemp("imagenet")
    (folder / "val").mkdir()
    names = []
    for name, picture, options in photographs():
        picture.save(folder / "val" / f"{name}.JPEG", format="JPEG", quality=92, **options)
        names.append(f"val/{name}.JPEG")
    val_map = folder / "val_map.txt"
    val_map.write_text("".join(f"{name} 0\n" for name in names))
    labels = plain_answers(model, folder)
    labels[-2:] = [(label + 1) % 1000 for label in labels[-2:]]
    val_map.write_text("".join(f"{name} {label}\n" for name, label in zip(names, labels, strict=True)))
    return folder


def test_photographs_are_answered_as_by_a_plain_loop(
    tool: Tool, image: str, model: Path, dataset: Path, results: Path
) -> None:
    options = ("--dataset", str(dataset), "--model-file", str(model), "--results", str(results))
    result = tool.json("run", "resnet50", *options, "--mode", "accuracy")
    answers = plain_answers(model, dataset)
    log = json.loads((Path(result["results_dir"]) / "mlperf_log_accuracy.json").read_text())
    logged = {entry["qsl_idx"]: struct.unpack("<f", bytes.fromhex(entry["data"]))[0] for entry in log}
    assert logged == dict(enumerate(map(float, answers)))
    assert len(set(answers)) > len(answers) // 2, "answers that are all the same would show no mistake"
    accuracy = result["accuracy"]
    assert accuracy["value"] == pytest.approx(100 * (len(answers) - 2) / len(answers))
    assert result["synthetic"] is False
    assert result["valid"] is (accuracy["value"] >= 75.6954)


def test_photographs_in_a_timed_run(tool: Tool, image: str, model: Path, dataset: Path, results: Path) -> None:
    options = ("--dataset", str(dataset), "--model-file", str(model), "--results", str(results))
    result = tool.timed("run", "resnet50", *options, "--scenario", "SingleStream", "--min-duration", "2")
    assert result["valid"], result["reasons"]
    assert result["model_file"]["official"] is False
