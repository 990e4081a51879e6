"""ResNet-50: the reference reads ImageNet's official layout; a part of it is a shorter list.

On PyTorch it takes a TorchScript archive whose result is a tuple, which no official file has: one is written here.
"""

import importlib
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

from mlperf_docker.contract.words import ModelFormat
from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.models.resnet50.dataset import MAP
from mlperf_docker.harness.models.resnet50.network import LABEL, LOGITS
from mlperf_docker.harness.weights import formats
from mlperf_docker.reference_harness.forms import __name__ as forms
from mlperf_docker.reference_harness.forms import model_files
from mlperf_docker.reference_harness.models.files import Given

ARCHIVE = "resnet50.pt"
TENSORFLOWS, TORCHVISIONS = ("imagenet", LABEL.name), ("imagenet_pytorch", LOGITS)
"""The script's name of what it does around the network, and the output that it takes, by origin of weights."""


def files(given: Given) -> Mapping[str, object]:
    """The list of the images that are used; where images.yaml names no form of the model file, the archive too."""
    short = given.work / MAP
    with (given.data / MAP).open(encoding="utf-8") as lines:
        short.write_text("".join(islice((line for line in lines if line.strip()), given.count)), encoding="utf-8")
    return {"list": short, **({} if given.reference.model_format else _archive(given))}


def _archive(given: Given) -> Mapping[str, object]:
    """The weights as an archive, and the name of their data set in the script; an archive of the user's as it is."""
    weights, benchmark = given.weights, given.benchmark
    form = formats.detect(weights)
    if form is ModelFormat.TORCHSCRIPT:
        return {}
    model = benchmark.network(benchmark.read(weights, form), str(weights))
    dataset, output = TORCHVISIONS if model.form.torchvision else TENSORFLOWS

    def make(folder: Path) -> None:
        if isinstance(model.source, Network):
            writer = importlib.import_module(f"{forms}.torchscript")
            writer.traced(model.source, writer.EXAMPLES, (output,), as_tuple=True).save(str(folder / ARCHIVE))

    kept = model_files.kept(weights, given.cache / "model-archive", make, output=output)
    return {"model": kept / ARCHIVE, "dataset": dataset}
