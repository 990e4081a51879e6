"""RetinaNet: the reference reads images of one folder, annotations of just those, and a graph that gives detections."""

import json
from collections.abc import Mapping
from pathlib import Path

from mlperf_docker.harness.models.retinanet.dataset import ANNOTATIONS
from mlperf_docker.reference_harness import model_files
from mlperf_docker.reference_harness.files import Given

GRAPH = "resnext50_32x4d_fpn.onnx"


def files(given: Given) -> Mapping[str, object]:
    """The folder that file names start from, the annotations of the images that are used, and the synthetic graph."""
    short = given.work / Path(ANNOTATIONS).name
    short.write_text(json.dumps(_annotations(given)), encoding="utf-8")
    return {"data": given.dataset.folder, "list": short, "model": given.model or _graph(given)}


def _annotations(given: Given) -> dict[str, object]:
    """The annotations of the first images, all else as it is."""
    found = json.loads((given.data / ANNOTATIONS).read_text(encoding="utf-8"))
    images = found["images"][: given.count]
    known = {image["id"] for image in images}
    mine = [each for each in found["annotations"] if each["image_id"] in known]
    return {**found, "images": images, "annotations": mine}


def _graph(given: Given) -> Path:
    """The synthetic weights as an ONNX graph that suppresses overlapping boxes itself, as the official one does."""
    synthetic, benchmark = given.synthetic, given.benchmark
    if synthetic is None:
        raise ValueError("real data come with a model file")

    def make(folder: Path) -> None:
        from mlperf_docker.reference_harness import detection_graph

        detection_graph.write(model_files.network(benchmark, synthetic), folder / GRAPH)

    return model_files.kept(synthetic, given.cache / "model-detections", make) / GRAPH
