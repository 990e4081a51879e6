"""ONNX file of a detection network: its candidates, then the suppression of overlapping boxes, for one image."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.architectures.retinanet import ANCHORS
from mlperf_docker.harness.models.retinanet.detections import LEAST_SCORE, LIMIT, OVERLAP
from mlperf_docker.harness.ops.onnx import serialize

_LOGITS = "head.classification_head.cls_logits.weight"
_CANDIDATES = ("boxes", "scores", "labels")


def write(network: Network, path: Path) -> None:
    """Write *network*, which gives candidates, as *path*, which gives detections: boxes, labels and scores."""
    model = onnx.load_from_string(serialize(network))
    _rename(model.graph)
    classes = network.arrays[_LOGITS].shape[0] // ANCHORS
    kept = int(model.graph.output[0].type.tensor_type.shape.dim[1].dim_value)
    _suppress(model.graph, classes, kept)
    onnx.save(model, str(path))


def _rename(graph: onnx.GraphProto) -> None:
    """Call the candidates by other names than the detections."""
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [f"candidates.{name}" if name in _CANDIDATES else name for name in names]


def _suppress(graph: onnx.GraphProto, classes: int, candidates: int) -> None:
    """Have *graph* choose detections of its candidates: those of each class that no better one of it overlaps."""

    def constant(name: str, value: NDArray[Any]) -> str:
        graph.initializer.append(numpy_helper.from_array(value, f"detections.{name}"))
        return f"detections.{name}"

    def node(operator: str, *inputs: str, to: str, **attributes: Any) -> str:  # noqa: ANN401
        graph.node.append(helper.make_node(operator, list(inputs), to.split(), **attributes))
        return to.split()[-1]

    whole = np.int64
    first, middle = constant("first", np.array([0], whole)), constant("middle", np.array([1], whole))
    boxes, scores, labels = (
        node("Squeeze", f"candidates.{name}", first, to=f"detections.{name}") for name in _CANDIDATES
    )
    depth, values = constant("depth", np.array(classes, whole)), constant("values", np.array([0, 1], np.float32))
    hot = node("OneHot", "candidates.labels", depth, values, to="detections.hot", axis=1)
    row = node("Unsqueeze", "candidates.scores", middle, to="detections.row")
    by_class = node("Mul", hot, row, to="detections.by_class")
    bounds = (
        constant("most", np.array([candidates], whole)),
        constant("overlap", np.array([OVERLAP], np.float32)),
        constant("least", np.array([LEAST_SCORE], np.float32)),
    )
    chosen = node("NonMaxSuppression", "candidates.boxes", by_class, *bounds, to="detections.chosen")
    number = node("Gather", chosen, constant("box", np.array(2, whole)), to="detections.number", axis=1)
    found = node("Gather", scores, number, to="detections.found")
    count = node("Min", node("Shape", found, to="detections.there"), constant("limit", np.array([LIMIT], whole)),
                 to="detections.count")  # fmt: skip
    order = node("TopK", found, count, to="scores detections.order")
    best = node("Gather", number, order, to="detections.best")
    node("Gather", boxes, best, to="boxes")
    node("Gather", labels, best, to="labels")
    del graph.output[:]
    shapes: dict[str, tuple[int, list[str | int | None]]] = {
        "boxes": (onnx.TensorProto.FLOAT, ["M", 4]),
        "labels": (onnx.TensorProto.INT64, ["M"]),
        "scores": (onnx.TensorProto.FLOAT, ["M"]),
    }
    for name, (kind, shape) in shapes.items():
        graph.output.append(helper.make_tensor_value_info(name, kind, shape))
