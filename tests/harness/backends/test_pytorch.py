"""PyTorch's own affairs: the operator that stands in for torchvision's, archives of every shape, and the device."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.words import ModelFormat
from mlperf_docker.harness.api.backend import LoadRequest
from mlperf_docker.harness.api.errors import DeviceError, ModelFileError
from mlperf_docker.harness.api.interface import Interface, Tensor
from mlperf_docker.harness.backends.pytorch.backend import PyTorch
from mlperf_docker.harness.weights import nms

DETECTIONS = Interface(
    (Tensor("images", "float32", (None, 3, 8, 8)),),
    (Tensor("boxes", "float32", (None, 4)), Tensor("scores", "float32", (None,))),
    ragged=True,
)


def plain(boxes: torch.Tensor, scores: torch.Tensor, threshold: float) -> list[int]:
    """The rule, one box after the other."""
    kept: list[int] = []
    for index in scores.argsort(descending=True, stable=True).tolist():
        a = boxes[index]
        for other in kept:
            b = boxes[other]
            width = max(0.0, float(torch.minimum(a[2], b[2]) - torch.maximum(a[0], b[0])))
            height = max(0.0, float(torch.minimum(a[3], b[3]) - torch.maximum(a[1], b[1])))
            areas = [float((c[2] - c[0]) * (c[3] - c[1])) for c in (a, b)]
            shared = width * height
            if sum(areas) - shared and shared / (sum(areas) - shared) > threshold:
                break
        else:
            kept.append(index)
    return kept


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5])
@pytest.mark.parametrize("seed", range(4))
def test_suppression_is_that_of_the_plain_rule(seed: int, threshold: float) -> None:
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 40, (200, 2)).astype(np.float32)
    sizes = rng.integers(0, 20, (200, 2)).astype(np.float32)
    boxes = torch.from_numpy(np.concatenate([corners, corners + sizes], 1))
    scores = torch.from_numpy(rng.integers(0, 50, 200).astype(np.float32))
    assert nms.nms(boxes, scores, threshold).tolist() == plain(boxes, scores, threshold)


def test_suppression_of_nothing() -> None:
    assert nms.nms(torch.zeros(0, 4), torch.zeros(0), 0.5).tolist() == []


class AsDictionaries(torch.nn.Module):  # type: ignore[misc,unused-ignore]
    """A detector as torchvision scripts it: images as a list, losses first, one dictionary an image."""

    def forward(self, images: list[torch.Tensor]) -> tuple[dict[str, torch.Tensor], list[dict[str, torch.Tensor]]]:
        found: list[dict[str, torch.Tensor]] = []
        for image in images:
            scores = image.flatten()[: int(image.sum().item())]
            boxes = torch.stack([scores, scores, scores + 1.0, scores + 1.0], dim=1)
            kept = torch.ops.torchvision.nms(boxes, scores, 0.5)
            found.append({"scores": scores[kept], "boxes": boxes[kept]})
        return {}, found


class AsTensors(torch.nn.Module):  # type: ignore[misc,unused-ignore]
    """The same from a batch of one, as a tuple in the order of the interface."""

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        scores = images.flatten()[: int(images.sum().item())]
        boxes = torch.stack([scores, scores, scores + 1.0, scores + 1.0], dim=1)
        kept = torch.ops.torchvision.nms(boxes, scores, 0.5)
        return boxes[kept], scores[kept]


@pytest.mark.parametrize("kind", [AsDictionaries, AsTensors])
def test_detectors_of_both_kinds_call_the_operator_and_give_what_they_find(
    tmp_path: Path, kind: type[torch.nn.Module]
) -> None:
    nms.register()
    path = tmp_path / "detector.pth"
    torch.jit.script(kind()).save(str(path))
    predictor = PyTorch().load(LoadRequest(path, DETECTIONS, Device.CPU, 1, ModelFormat.TORCHSCRIPT))
    images = np.zeros((2, 3, 8, 8), dtype=np.float32)
    images[0].flat[:2] = (5, 0)
    images[1].flat[:3] = (0, 1, 4)
    boxes, scores = predictor.predict((images,))
    assert boxes.shape == (2, 3, 4), "padded to the longest"
    # Of the zeros of the first image only one stays: they lie on each other.
    np.testing.assert_array_equal(scores, [[5, 0, 0], [4, 1, 0]])


def test_a_detector_with_other_outputs_is_no_model_of_this_cell(tmp_path: Path) -> None:
    nms.register()
    path = tmp_path / "detector.pth"
    torch.jit.script(AsDictionaries()).save(str(path))
    other = Interface(DETECTIONS.inputs, (*DETECTIONS.outputs, Tensor("labels", "int64", (None,))), ragged=True)
    predictor = PyTorch().load(LoadRequest(path, other, Device.CPU, 1, ModelFormat.TORCHSCRIPT))
    with pytest.raises(ModelFileError, match="other outputs") as raised:
        predictor.prove((np.ones((1, 3, 8, 8), dtype=np.float32),))
    assert raised.value.details[0] == "output labels int64 [N] is missing"


@pytest.mark.parametrize("content", [b"PK\x03\x04 cut off", b"no archive at all"])
def test_a_file_that_is_no_torchscript_is_named_with_its_size(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.pt"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=rf"broken.pt \({len(content)} bytes\)"):
        PyTorch().load(LoadRequest(path, DETECTIONS, Device.CPU, 1, ModelFormat.TORCHSCRIPT))


@pytest.mark.skipif(torch.version.cuda is not None, reason="this is the build for CUDA")
def test_the_build_for_the_cpu_says_so_when_asked_for_cuda() -> None:
    with pytest.raises(DeviceError, match="build for the CPU"):
        PyTorch().check_device(Device.CUDA)
