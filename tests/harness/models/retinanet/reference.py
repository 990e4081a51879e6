"""RetinaNet a second time, as a PyTorch module in the manner of the official one.

The harness's own must agree with it. It is slow and plain: every score is computed, sorted and suppressed.
"""

# mypy: disable-error-code="misc, no-any-return, unused-ignore"

import torch
from torch import Tensor, nn

from mlperf_docker.harness.weights import nms

nms.register()

BODY = "backbone.body"


class FrozenNorm(nn.Module):
    """Statistics that training left alone; buffers, as in torchvision."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        for name, value in {"weight": 1.0, "bias": 0.0, "running_mean": 0.0, "running_var": 1.0}.items():
            self.register_buffer(name, torch.full((channels,), value))

    def forward(self, x: Tensor) -> Tensor:
        w, b = self.weight.reshape(1, -1, 1, 1), self.bias.reshape(1, -1, 1, 1)
        variance, mean = self.running_var.reshape(1, -1, 1, 1), self.running_mean.reshape(1, -1, 1, 1)
        scale = w * (variance + 1e-5).rsqrt()
        return x * scale + (b - mean * scale)


class Bottleneck(nn.Module):
    def __init__(self, channels: int, width: int, out: int, groups: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn1 = FrozenNorm(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, groups=groups, bias=False)
        self.bn2 = FrozenNorm(width)
        self.conv3 = nn.Conv2d(width, out, 1, bias=False)
        self.bn3 = FrozenNorm(out)
        self.downsample = nn.Sequential()
        if channels != out or stride != 1:
            self.downsample = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), FrozenNorm(out))

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.bn2(self.conv2(y)))
        return torch.relu(self.bn3(self.conv3(y)) + self.downsample(x))


class Body(nn.Module):
    def __init__(self, blocks: tuple[int, ...], width: int, groups: int, inner: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = FrozenNorm(width)
        self.pool = nn.MaxPool2d(3, 2, 1)
        channels = width
        stages = []
        for stage, count in enumerate(blocks):
            out = width * 4 * 2**stage
            parts = []
            for number in range(count):
                stride = 2 if stage and not number else 1
                parts.append(Bottleneck(channels, out // 4 * inner, out, groups, stride))
                channels = out
            stages.append(nn.Sequential(*parts))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = self.layer1(self.pool(torch.relu(self.bn1(self.conv1(x)))))
        c3 = self.layer2(x)
        c4 = self.layer3(c3)
        return c3, c4, self.layer4(c4)


class Extra(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.p6, self.p7 = (nn.Conv2d(width, width, 3, 2, 1) for _ in range(2))


class Pyramid(nn.Module):
    def __init__(self, sizes: list[int], width: int) -> None:
        super().__init__()
        self.inner_blocks = nn.ModuleList([nn.Conv2d(size, width, 1) for size in sizes])
        self.layer_blocks = nn.ModuleList([nn.Conv2d(width, width, 3, padding=1) for _ in sizes])
        self.extra_blocks = Extra(width)

    def forward(self, features: tuple[Tensor, Tensor, Tensor]) -> list[Tensor]:
        c3, c4, c5 = features
        i5 = self.inner_blocks[2](c5)
        i4 = self.inner_blocks[1](c4) + nn.functional.interpolate(i5, size=c4.shape[-2:], mode="nearest")
        i3 = self.inner_blocks[0](c3) + nn.functional.interpolate(i4, size=c3.shape[-2:], mode="nearest")
        p3, p4, p5 = self.layer_blocks[0](i3), self.layer_blocks[1](i4), self.layer_blocks[2](i5)
        p6 = self.extra_blocks.p6(p5)
        return [p3, p4, p5, p6, self.extra_blocks.p7(torch.relu(p6))]


class Backbone(nn.Module):
    def __init__(self, body: Body, fpn: Pyramid) -> None:
        super().__init__()
        self.body, self.fpn = body, fpn

    def forward(self, x: Tensor) -> list[Tensor]:
        return self.fpn(self.body(x))


class Head(nn.Module):
    def __init__(self, width: int, depth: int, last: str, values: int) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        for _ in range(depth):
            parts += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU()]
        self.conv = nn.Sequential(*parts)
        self.values = values
        self.cls_logits = nn.Conv2d(width, 9 * values, 3, padding=1) if last == "cls_logits" else nn.Identity()
        self.bbox_reg = nn.Conv2d(width, 9 * values, 3, padding=1) if last == "bbox_reg" else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.bbox_reg(self.cls_logits(self.conv(x)))
        n, h, w = y.shape[0], y.shape[2], y.shape[3]
        return y.view(n, 9, self.values, h, w).permute(0, 3, 4, 1, 2).reshape(n, -1, self.values)


class Heads(nn.Module):
    def __init__(self, width: int, depth: int, classes: int) -> None:
        super().__init__()
        self.classification_head = Head(width, depth, "cls_logits", classes)
        self.regression_head = Head(width, depth, "bbox_reg", 4)


class Reference(nn.Module):
    """Boxes, scores and labels of each image, as a list of dictionaries; images (N, 3, 800, 800)."""

    def __init__(
        self, blocks: tuple[int, ...], width: int, groups: int, inner: int, channels: int, depth: int, classes: int
    ) -> None:
        super().__init__()
        sizes = [width * 8, width * 16, width * 32]
        self.backbone = Backbone(Body(blocks, width, groups, inner), Pyramid(sizes, channels))
        self.head = Heads(channels, depth, classes)
        self.classes = classes

    def forward(self, images: Tensor) -> list[dict[str, Tensor]]:
        mean = torch.tensor([0.485, 0.456, 0.406], device=images.device).view(1, 3, 1, 1)
        deviation = torch.tensor([0.229, 0.224, 0.225], device=images.device).view(1, 3, 1, 1)
        levels = self.backbone((images - mean) / deviation)
        found: list[dict[str, Tensor]] = []
        for image in range(images.shape[0]):
            found.append(self.detect([level[image : image + 1] for level in levels]))  # noqa: PERF401 (scripted)
        return found

    def detect(self, levels: list[Tensor]) -> dict[str, Tensor]:
        boxes: list[Tensor] = []
        scores: list[Tensor] = []
        labels: list[Tensor] = []
        for number, level in enumerate(levels):
            anchors = self.anchors(level.shape[2], 32.0 * 2**number)
            flat = torch.sigmoid(self.head.classification_head(level)[0]).flatten()
            likely = torch.where(flat > 0.05)[0]
            values, order = flat[likely].topk(min(1000, likely.numel()))
            chosen = likely[order]
            anchor = torch.div(chosen, self.classes, rounding_mode="floor")
            boxes.append(self.decode(self.head.regression_head(level)[0][anchor], anchors[anchor]).clamp(0.0, 800.0))
            scores.append(values)
            labels.append(chosen % self.classes)
        return self.limit(torch.cat(boxes), torch.cat(scores), torch.cat(labels))

    def anchors(self, grid: int, size: float) -> Tensor:
        rows: list[list[float]] = []
        third, two_thirds = float(int(size * 2 ** (1.0 / 3))), float(int(size * 2 ** (2.0 / 3)))
        for ratio in [0.5, 1.0, 2.0]:
            for side in [size, third, two_thirds]:
                height = torch.tensor(ratio).sqrt() * side
                width = 1 / torch.tensor(ratio).sqrt() * side
                rows.append([float(-width / 2), float(-height / 2), float(width / 2), float(height / 2)])
        base = torch.tensor(rows).round()
        steps = torch.arange(grid) * (800 // grid)
        y, x = torch.meshgrid(steps, steps, indexing="ij")
        x, y = x.reshape(-1), y.reshape(-1)
        return (torch.stack([x, y, x, y], dim=1).view(-1, 1, 4) + base.view(1, -1, 4)).reshape(-1, 4)

    def decode(self, deltas: Tensor, anchors: Tensor) -> Tensor:
        widths, heights = anchors[:, 2] - anchors[:, 0], anchors[:, 3] - anchors[:, 1]
        x = deltas[:, 0] * widths + anchors[:, 0] + 0.5 * widths
        y = deltas[:, 1] * heights + anchors[:, 1] + 0.5 * heights
        largest = 4.135166556742356
        w = torch.exp(deltas[:, 2].clamp(max=largest)) * widths
        h = torch.exp(deltas[:, 3].clamp(max=largest)) * heights
        return torch.stack([x - 0.5 * w, y - 0.5 * h, x + 0.5 * w, y + 0.5 * h], dim=1)

    def limit(self, boxes: Tensor, scores: Tensor, labels: Tensor) -> dict[str, Tensor]:
        kept: list[Tensor] = []
        for label in range(self.classes):
            own = torch.where(labels == label)[0]
            kept.append(own[torch.ops.torchvision.nms(boxes[own], scores[own], 0.5)])
        every = torch.cat(kept)
        best = every[scores[every].argsort(descending=True)][:300]
        return {"boxes": boxes[best], "scores": scores[best], "labels": labels[best]}
