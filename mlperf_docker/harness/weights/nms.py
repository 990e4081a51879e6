"""Non-maximum suppression, the one operator of torchvision that official TorchScript archives call.

torchvision's build on the package index needs torch's build for CUDA; for one operator that would be 3 GB.
"""

import torch

_kept: list[torch.library.Library] = []
"""A library's operators live as long as it does."""


def nms(boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    """Indices of the boxes that stay, by descending score: each removes those it overlaps by more than the threshold.

    boxes: (n, 4) corners; scores: (n,). Instead of going through the boxes one by one, all are decided together again
    and again until nothing changes: a box goes if one that stays, and is better, overlaps it.
    """
    order = scores.argsort(descending=True, stable=True)
    left, top, right, bottom = boxes[order].unbind(1)
    area = (right - left) * (bottom - top)
    width = (torch.minimum(right[:, None], right) - torch.maximum(left[:, None], left)).clamp(min=0)
    height = (torch.minimum(bottom[:, None], bottom) - torch.maximum(top[:, None], top)).clamp(min=0)
    shared = width * height
    overlaps = (shared / (area[:, None] + area - shared) > iou_threshold).triu(diagonal=1)
    stays = torch.ones_like(scores, dtype=torch.bool)
    while True:
        after = ~(overlaps & stays[:, None]).any(dim=0)
        if torch.equal(after, stays):
            return order[stays]
        stays = after


def register() -> None:
    """Make `torchvision::nms` known to TorchScript, unless something else has."""
    if _kept or hasattr(torch.ops.torchvision, "nms"):
        return
    library = torch.library.Library("torchvision", "FRAGMENT")
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.impl("nms", nms, "CompositeExplicitAutograd")
    _kept.append(library)
