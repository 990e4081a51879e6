"""TorchScript archive of a detection network: its candidates traced, the suppression of overlapping boxes scripted."""

import warnings
from pathlib import Path

import torch

from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.models.retinanet.detections import LEAST_SCORE, LIMIT, OVERLAP
from mlperf_docker.harness.weights import nms
from mlperf_docker.reference_harness.forms import torchscript


class _Detector(torch.nn.Module):  # type: ignore[misc,unused-ignore]
    """A network of candidates as the official archive is called: images in, a dictionary for each out."""

    least: torch.jit.Final[float]  # type: ignore[valid-type,unused-ignore]
    overlap: torch.jit.Final[float]  # type: ignore[valid-type,unused-ignore]
    limit: torch.jit.Final[int]  # type: ignore[valid-type,unused-ignore]

    def __init__(self, candidates: torch.jit.ScriptModule) -> None:
        super().__init__()
        self.candidates = candidates
        self.least, self.overlap, self.limit = float(LEAST_SCORE), float(OVERLAP), LIMIT

    def forward(self, images: torch.Tensor) -> list[dict[str, torch.Tensor]]:
        boxes, scores, labels = self.candidates(images)
        return [self.detections(boxes[image], scores[image], labels[image]) for image in range(len(images))]

    def detections(self, boxes: torch.Tensor, scores: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """The candidates of an image that no better one of their label overlaps, by falling score."""
        stays = torch.zeros_like(labels, dtype=torch.bool)
        for label in torch.unique(labels):
            own = torch.where((labels == label) & (scores > self.least))[0]
            stays[own[torch.ops.torchvision.nms(boxes[own], scores[own], self.overlap)]] = True
        kept = torch.where(stays)[0]
        order = torch.argsort(scores[kept], stable=True, descending=True)
        kept = kept[order[: self.limit]]
        return {"boxes": boxes[kept], "labels": labels[kept], "scores": scores[kept]}


def write(network: Network, path: Path) -> None:
    """Write *network*, which gives candidates, as *path*, which gives detections of any number of images."""
    nms.register()
    detector = _Detector(torchscript.traced(network, torchscript.EXAMPLES)).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(detector).save(str(path))
