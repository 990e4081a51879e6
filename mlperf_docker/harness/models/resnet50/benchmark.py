"""The resnet50 benchmark, put together for the harness."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.backends.base import Arrays, Backend, Interface, Tensor
from mlperf_docker.harness.models.base import Payload, Report, Samples, SyntheticSet
from mlperf_docker.harness.models.resnet50 import accuracy, graph, preprocess, synthetic
from mlperf_docker.harness.models.resnet50.dataset import ImageNet, open_imagenet
from mlperf_docker.harness.names import SyntheticSize
from mlperf_docker.harness.preprocess import Job, cached


def images_job(dataset: ImageNet) -> Job:
    """What the cache must hold for *dataset*."""
    return Job(
        identity=dataset.identity,
        version=preprocess.VERSION,
        names=dataset.names,
        sizes=dataset.sizes,
        shape=preprocess.SHAPE,
        dtype="uint8",
        reader=preprocess.ImageReader(dataset.root, dataset.names),
    )


class ResNet50:
    """Image classification: 224 x 224 pixels in, one label out."""

    name = "resnet50"
    loadgen_key = "resnet50"
    metric = "top1"
    server_bound_s = 0.015
    payload = Payload(np.float32, 1)
    interface = Interface(
        inputs=(Tensor("input_tensor:0", "float32", (None, 3, 224, 224)),),
        outputs=(Tensor("ArgMax:0", "int64", (None,)),),
    )

    def open_dataset(self, root: Path, *, limit: int | None) -> ImageNet:
        """ImageNet's validation set at *root*."""
        return open_imagenet(root, limit=limit)

    def preprocess(self, dataset: ImageNet, cache: Path, *, workers: int, report: Report) -> Samples:
        """The cropped images, from the cache where it has them."""
        return preprocess.ImageSamples(cached(images_job(dataset), cache, workers=workers, report=report))

    def postprocess(self, outputs: Arrays, out: NDArray[Any]) -> None:
        """Labels 0..999 as float32: the network's class 0 is the background, which ImageNet's labels do not count."""
        out[:, 0] = outputs[0] - 1

    def score(self, log: Path, dataset: ImageNet) -> tuple[float, str]:
        """Top-1 in percent."""
        top1 = accuracy.score(log, dataset.labels)
        return top1.percent, str(top1)

    def synthesize(
        self, size: SyntheticSize, cache: Path, backend: Backend, *, threads: int, report: Report
    ) -> SyntheticSet:
        """Images and weights that need no download."""
        return synthetic.synthesize(size, cache, backend, threads=threads, report=report)

    def known_accuracy(self, synthetic: SyntheticSet, count: int) -> float:
        """All labels are right but those that were made wrong."""
        wrong = sum(1 for index in synthetic.wrong if index < count)
        return accuracy.Top1(count - wrong, count).percent

    def graph(self, weights: Path, cache: Path, *, backend: str) -> Path:
        """The network around *weights*, with the interface of the official file."""
        return graph.cached_graph(weights, cache, backend=backend)
