"""RetinaNet: the reference reads images of one folder, annotations of just those, and a file that gives detections."""

import importlib
import json
from collections.abc import Mapping
from pathlib import Path

from mlperf_docker.harness.models.retinanet.dataset import ANNOTATIONS
from mlperf_docker.reference_harness.forms import __name__ as forms
from mlperf_docker.reference_harness.forms import model_files
from mlperf_docker.reference_harness.models.files import Given

NAME = "resnext50_32x4d_fpn"
WRITERS: Mapping[str, tuple[str, str]] = {
    "onnxruntime": (f"{NAME}.onnx", "detection_graph"),
    "pytorch": (f"{NAME}.pth", "detection_archive"),
}
"""Backend → name of its file, and the module that writes it."""


def files(given: Given) -> Mapping[str, object]:
    """The folder that file names start from, the annotations of the images that are used, and the synthetic file."""
    short = given.work / Path(ANNOTATIONS).name
    short.write_text(json.dumps(_annotations(given)), encoding="utf-8")
    return {"data": given.dataset.folder, "list": short, "model": given.model or _detector(given)}


def _annotations(given: Given) -> dict[str, object]:
    """The annotations of the first images, all else as it is."""
    found = json.loads((given.data / ANNOTATIONS).read_text(encoding="utf-8"))
    images = found["images"][: given.count]
    known = {image["id"] for image in images}
    mine = [each for each in found["annotations"] if each["image_id"] in known]
    return {**found, "images": images, "annotations": mine}


def _detector(given: Given) -> Path:
    """The synthetic weights as a file that suppresses overlapping boxes itself, as the official ones do."""
    synthetic, benchmark = given.made, given.benchmark
    name, writer = WRITERS[given.options.cell.backend]

    def make(folder: Path) -> None:
        importlib.import_module(f"{forms}.{writer}").write(model_files.network(benchmark, synthetic), folder / name)

    return model_files.kept(synthetic.weights, given.cache / f"model-{writer}", make) / name
