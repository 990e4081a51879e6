"""Synthetic OpenImages in the official layout, with weights whose detections in it are known.

The network is random, so what it detects means nothing; but its detections differ from image to image, and the
annotations are made from them: some are drawn where a detection is, some beside it, some where none is, and some
detections get none; whole labels are all that is detected. So accuracy mode must reach a known mAP, which a lost,
repeated or mixed-up answer changes. Only classes are drawn whose detections rounding cannot change: see `stable`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.contract.words import SyntheticSize
from mlperf_docker.harness.api.backend import Arrays
from mlperf_docker.harness.api.benchmark import Answerer
from mlperf_docker.harness.api.errors import SampleError
from mlperf_docker.harness.api.samples import Report
from mlperf_docker.harness.api.scores import SyntheticKind, SyntheticSet
from mlperf_docker.harness.architectures.resnet50 import POOL_AS_TORCH, ResNetConfig
from mlperf_docker.harness.architectures.retinanet import ANCHORS, FULL, SIDE, SIZES, RetinaNetConfig
from mlperf_docker.harness.models.retinanet import accuracy, detections
from mlperf_docker.harness.models.retinanet import network as networks
from mlperf_docker.harness.models.retinanet.dataset import ANNOTATIONS, FOLDERS, open_openimages
from mlperf_docker.harness.models.retinanet.network import CLASSES, SYNTHETIC_CLASSES
from mlperf_docker.harness.models.retinanet.preprocess import SHAPE, OpenImagesReader
from mlperf_docker.harness.samples.images import opencv
from mlperf_docker.harness.samples.synthetic import cached_set, draw_weight
from mlperf_docker.harness.system.files import write_json
from mlperf_docker.harness.weights import safetensors as weight_files

VERSION = 1
SEED = 20220601
SIDES = (640, 1024)
"""Range of the images' sides in pixels."""
THINGS = 200
LIKELY = 60
"""Candidates that an image has above the least score, before suppression, by the fit."""
BEST_LOGIT = 2.5
DELTA_SPREAD = 0.15
WHOLE_SPARE = 1
"""Spare images for each one with whole labels: a third have a class in which rounding could decide."""
FEWEST, MOST = 8, 250
"""Detections of an image that may stay in the set."""
DRAWN = 8
"""Detections of an image that annotations are made from: its best ones."""
BESIDE = 0.16
"""Shift of a displaced box as a share of its width: an overlap of 0.724, between two of COCO's thresholds."""
SAFE_LOGIT = 1e-3
SAFE_OVERLAP = 3e-3
"""Differences in logits and overlaps that decide nothing. Backends differ by less than a hundredth of these."""
THRESHOLDS = np.arange(0.5, 1.0, 0.05)

Box = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class RetinaNetRecipe:
    """Size of a synthetic set."""

    count: int
    spare: int
    """Images made in excess, for those in which the network finds nearly nothing or more than an image may have."""
    fitted_on: int
    """Images that the heads are scaled on."""
    config: RetinaNetConfig

    def of(self, kind: SyntheticKind) -> "RetinaNetRecipe":
        """The recipe of a kind of set: as large a share of spare images, or WHOLE_SPARE."""
        count = kind.count(self.count)
        spare = count * WHOLE_SPARE + self.spare if kind.whole else -(-self.spare * count // self.count)
        return replace(self, count=count, spare=max(spare, self.fitted_on - count))


TINY = RetinaNetConfig(
    body=ResNetConfig(blocks=(1, 1, 1, 1), width=4, pool=POOL_AS_TORCH, groups=2, inner=2),
    channels=8,
    depth=1,
    classes=SYNTHETIC_CLASSES,
)
RECIPES = {SyntheticSize.TINY: RetinaNetRecipe(24, 12, 8, TINY), SyntheticSize.FULL: RetinaNetRecipe(16, 4, 4, FULL)}


@dataclass(frozen=True, slots=True)
class Candidates:
    """An image's candidates that could come near being detected, by falling score."""

    boxes: Box
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]
    kept: NDArray[np.bool_]
    """True for those that are its detections."""

    @property
    def logits(self) -> NDArray[np.float64]:
        """What the scores were made from; those of scores that rounding made 1 are equal."""
        scores = self.scores.astype(np.float64).clip(max=1 - 1e-7)
        logits: NDArray[np.float64] = np.log(scores / (1 - scores))
        return logits

    def of(self, chosen: NDArray[Any]) -> "Candidates":
        """The rows *chosen*."""
        return Candidates(self.boxes[chosen], self.scores[chosen], self.labels[chosen], self.kept[chosen])


@dataclass(frozen=True, slots=True)
class Drawing:
    """An annotation."""

    image: int
    label: int
    box: NDArray[np.float64]
    """Left, top, right, bottom on the 800 x 800 image."""


def synthesize(kind: SyntheticKind, cache: Path, answerer: Answerer, report: Report) -> SyntheticSet:
    """The set of this kind in *cache*, made by whoever comes first. Takes seconds (tiny) or a minute or two."""
    usual = RECIPES[kind.size]
    name = f"retinanet-{kind.name(usual.count)}-v{VERSION}-{SEED}"
    return cached_set(cache, name, lambda folder: _make(usual, kind, folder, answerer, report))


def draw_weights(config: RetinaNetConfig, seed: int) -> dict[str, NDArray[np.float32]]:
    """Random weights under which activations keep about their size; the last layers of the heads are to be fitted."""
    rng = np.random.default_rng(seed)
    return {name: draw_weight(rng, name, shape) for name, shape in networks.shapes(config).items()}


def draw_scene(rng: np.random.Generator) -> NDArray[np.uint8]:
    """A picture of many things before a soft background, with grain.

    All have the same mean and contrast in every colour: what a random network finds depends on that more than on the
    things, and every picture must have something.
    """
    cv2 = opencv()
    height, width = (int(side) for side in rng.integers(SIDES[0], SIDES[1], 2, endpoint=True))
    background = rng.integers(60, 196, (4, 5, 3), dtype=np.uint8)
    picture = cv2.resize(background, (width, height), interpolation=cv2.INTER_CUBIC)
    for _ in range(THINGS):
        center = (int(rng.integers(width)), int(rng.integers(height)))
        axes = (int(rng.integers(width // 80, width // 12)), int(rng.integers(height // 80, height // 12)))
        color = tuple(int(value) for value in rng.integers(0, 256, 3))
        cv2.ellipse(picture, center, axes, float(rng.uniform(0, 180)), 0, 360, color, thickness=-1)
    pixels = picture + rng.normal(0, 5, picture.shape)
    pixels = (pixels - pixels.mean(axis=(0, 1))) / pixels.std(axis=(0, 1)) * 50 + 128
    return np.asarray(pixels.clip(0, 255), dtype=np.uint8)


def _write_images(count: int, folder: Path) -> tuple[list[str], list[tuple[int, int]]]:
    """Names, and heights and widths, of the JPEGs written."""
    cv2 = opencv()
    rng = np.random.default_rng(SEED)
    names = [f"{number:016x}.jpg" for number in sorted(rng.integers(1, 1 << 62, count).tolist())]
    extents = []
    for name in names:
        picture = draw_scene(rng)
        if not cv2.imwrite(str(folder / name), picture, [cv2.IMWRITE_JPEG_QUALITY, 90]):
            raise SampleError(f"cannot write {folder / name}")
        extents.append((int(picture.shape[0]), int(picture.shape[1])))
    return names, extents


def _read_images(folder: Path, names: list[str]) -> Callable[[int], Arrays]:
    """The images through the real preprocessing, one by one."""
    reader = OpenImagesReader(folder, names)
    reader.prepare()

    def read(index: int) -> Arrays:
        tensor = np.empty((1, *SHAPE), dtype=np.float32)
        reader.read(index, tensor[0])
        return (tensor,)

    return read


def fit_heads(arrays: dict[str, NDArray[np.float32]], outputs: Sequence[Arrays]) -> None:
    """Scale the last layers of the heads by what they give now, so that each image has some tens of detections.

    outputs: of `level_network`, an image each. Every class of every anchor gets the same mean and spread, each level
    counting the same, so that none wins everywhere; then the logits are stretched and shifted as a whole until the
    LIKELY best of the middle image exceed the least score and its very best is BEST_LOGIT.
    """
    logits = [[_cells(output[2 * level]) for level in range(len(SIZES))] for output in outputs]
    deltas = [[_cells(output[2 * level + 1]) for level in range(len(SIZES))] for output in outputs]
    mean, spread = _spread(logits)
    heights = [_highest(levels, mean, spread) for levels in logits]
    best, least = (float(np.median([height[at] for height in heights])) for at in (0, -1))
    low = float(np.log(detections.LEAST_SCORE / (1 - detections.LEAST_SCORE)))
    stretch = (BEST_LOGIT - low) / (best - least)
    _rescale(arrays, "head.classification_head.cls_logits", mean, stretch / spread, low - stretch * least)
    mean, spread = _spread(deltas)
    _rescale(arrays, "head.regression_head.bbox_reg", mean, DELTA_SPREAD / spread, 0.0)


def _cells(output: NDArray[np.float32]) -> NDArray[np.float32]:
    """(1, cells · anchors, values) as (cells, channels of the convolution)."""
    return output.reshape(-1, ANCHORS * output.shape[-1])


def _spread(images: list[list[NDArray[np.float32]]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of each channel over everything, levels counting the same."""
    means = np.mean([[level.mean(axis=0, dtype=np.float64) for level in levels] for levels in images], axis=(0, 1))
    squares = [[np.square(level - means).mean(axis=0, dtype=np.float64) for level in levels] for levels in images]
    return means, np.sqrt(np.mean(squares, axis=(0, 1)))


def _highest(
    levels: list[NDArray[np.float32]], mean: NDArray[np.float64], spread: NDArray[np.float64]
) -> NDArray[np.float32]:
    """The LIKELY largest values of an image after *mean* and *spread* are taken out, falling."""
    parts: list[NDArray[np.float32]] = []
    for level in levels:
        values: NDArray[np.float32] = ((level - mean) / spread).astype(np.float32).reshape(-1)
        parts.append(np.partition(values, -LIKELY)[-LIKELY:])
    highest: NDArray[np.float32] = -np.sort(-np.concatenate(parts))[:LIKELY]
    return highest


def _rescale(
    arrays: dict[str, NDArray[np.float32]], name: str, mean: NDArray[np.float64], scale: NDArray[np.float64], to: float
) -> None:
    """Make a convolution give (what it gave - mean) · scale + to, channel by channel."""
    weight, bias = arrays[f"{name}.weight"], arrays[f"{name}.bias"]
    arrays[f"{name}.weight"] = (weight * scale[:, None, None, None]).astype(np.float32)
    arrays[f"{name}.bias"] = ((bias - mean) * scale + to).astype(np.float32)


def plain_detections(boxes: Box, scores: NDArray[np.float32], labels: NDArray[np.int64]) -> Candidates:
    """What a plain loop keeps of an image's candidates; it shares nothing with the one that answers LoadGen."""
    order = [
        int(number) for number in np.argsort(-scores, kind="stable") if scores[number] > 0.8 * detections.LEAST_SCORE
    ]
    kept: list[int] = []
    for number in order:
        if scores[number] > detections.LEAST_SCORE and not any(
            labels[number] == labels[other] and _overlap(boxes[number], boxes[other]) > detections.OVERLAP
            for other in kept
        ):
            kept.append(number)
    return Candidates(boxes[order], scores[order], labels[order], np.isin(order, kept))


def _overlap(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Intersection over union of two boxes."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    common = max(width, 0) * max(height, 0)
    both = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common
    return float(common / both) if both > 0 else 0.0


def stable(found: Sequence[Candidates]) -> set[int]:
    """Classes whose detections and ranks in all images are the same for any small change of scores and boxes.

    Suppression and evaluation go class by class, so an unsafe decision spoils its class and no other.
    """
    unsafe = {label for image in found for label in np.unique(image.labels).tolist() if not _decided(image, label)}
    labels = np.concatenate([image.labels[image.kept] for image in found])
    logits = np.concatenate([image.logits[image.kept] for image in found])
    for label in np.unique(labels).tolist():
        if np.diff(np.sort(logits[labels == label])).min(initial=1.0) < SAFE_LOGIT:
            unsafe.add(label)
    return set(labels.tolist()) - unsafe


def _decided(image: Candidates, label: int) -> bool:
    """Whether threshold and suppression are clear for one class of an image.

    A candidate that something kept clearly suppresses is out, however its other overlaps come out.
    """
    own = image.of(image.labels == label)
    low = np.log(detections.LEAST_SCORE / (1 - detections.LEAST_SCORE))
    if np.abs(own.logits - low).min() < SAFE_LOGIT:
        return False
    own = own.of(own.scores > detections.LEAST_SCORE)
    for number in range(len(own.boxes)):
        ahead = [other for other in range(number) if own.kept[other]]
        overlaps = np.array([_overlap(own.boxes[number], own.boxes[other]) for other in ahead])
        gaps = own.logits[ahead] - own.logits[number]
        if (overlaps[gaps > SAFE_LOGIT] > detections.OVERLAP + SAFE_OVERLAP).any():
            continue
        if (overlaps > detections.OVERLAP - SAFE_OVERLAP).any():
            return False
    return True


def draw(found: Sequence[Candidates]) -> list[Drawing]:
    """Annotations made from the best detections of each image: on them, beside them, elsewhere, or none."""
    classes = stable(found)
    drawings = []
    for image, candidates in enumerate(found):
        own = candidates.of(candidates.kept & np.isin(candidates.labels, list(classes)))
        for rank, (box, label) in enumerate(zip(own.boxes[:DRAWN], own.labels[:DRAWN], strict=True)):
            drawings += [Drawing(image, int(label), each) for each in _drawn(box.astype(np.float64), rank + image)]
    risky = {drawing.label for drawing in drawings if not _clear(drawing, found[drawing.image])}
    return [drawing for drawing in drawings if drawing.label not in risky]


def _drawn(box: NDArray[np.float64], turn: int) -> list[NDArray[np.float64]]:
    """What is drawn for a detection, by turns: itself; itself and one opposite; one beside it; nothing; itself."""
    shift = BESIDE * (box[2] - box[0]) * np.array([1, 0, 1, 0])
    beside = box + shift if box[2] + shift[0] <= SIDE else box - shift
    opposite = SIDE - box[[2, 3, 0, 1]]
    return [[box], [box, opposite], [beside], [], [box]][turn % 5]


def _clear(drawing: Drawing, image: Candidates) -> bool:
    """Whether the overlap of an annotation with every detection is away from COCO's thresholds."""
    boxes = image.boxes[image.kept & (image.labels == drawing.label)]
    overlaps = np.array([_overlap(drawing.box, box) for box in boxes])
    return bool((np.abs(overlaps[:, None] - THRESHOLDS) > SAFE_OVERLAP).all())


def choose(found: Sequence[Candidates], count: int) -> tuple[list[int], list[Drawing]]:
    """Numbers of the first *count* images that can be used, and their annotations, whose images are counted anew.

    Raises SampleError if there are too few images with something in them that is safe to draw.
    """
    usable = [number for number, image in enumerate(found) if FEWEST <= image.kept.sum() <= MOST]
    while len(usable) >= count:
        chosen = usable[:count]
        drawings = draw([found[number] for number in chosen])
        bare = set(range(count)) - {drawing.image for drawing in drawings}
        if not bare:
            return chosen, drawings
        usable = [number for at, number in enumerate(usable) if at not in bare]
    raise _too_few(len(usable), len(found))


def choose_whole(found: Sequence[Candidates], count: int) -> tuple[list[int], list[Drawing]]:
    """The same, with an annotation on each detection.

    All detections are right then, in whatever order; so only images are taken that are decided in all their classes.
    """
    usable = [
        number for number, image in enumerate(found) if FEWEST <= image.kept.sum() <= MOST and _all_decided(image)
    ]
    if len(usable) < count:
        raise _too_few(len(usable), len(found))
    chosen = usable[:count]
    kept = [found[number].of(found[number].kept) for number in chosen]
    drawings = [
        Drawing(at, int(label), box.astype(np.float64))
        for at, image in enumerate(kept)
        for box, label in zip(image.boxes, image.labels, strict=True)
    ]
    return chosen, drawings


def _all_decided(image: Candidates) -> bool:
    return all(_decided(image, label) for label in np.unique(image.labels).tolist())


def _too_few(usable: int, drawn: int) -> SampleError:
    return SampleError(
        f"only {usable} of {drawn} synthetic images show something that is safe to draw",
        hint="Take fewer --synthetic-samples, or --synthetic-labels whole, which has safe ones of any number.",
    )


def _make(usual: RetinaNetRecipe, kind: SyntheticKind, folder: Path, answerer: Answerer, report: Report) -> None:
    data, recipe = folder / "data", usual.of(kind)
    images = data / FOLDERS[0]
    images.mkdir(parents=True)
    total = recipe.count + recipe.spare
    names, extents = _write_images(total, images)
    read = _read_images(images, names)
    arrays = draw_weights(recipe.config, SEED)
    levels = networks.level_network(arrays, recipe.config)
    run = answerer.predictor(levels, *(tensor.name for tensor in levels.interface.outputs)).predict
    fit_heads(arrays, [run(read(index)) for index in range(recipe.fitted_on)])
    weight_files.write(folder / "weights.safetensors", arrays)
    run = answerer.predictor(networks.network(arrays, recipe.config), "boxes", "scores", "labels").predict
    found = []
    for index in range(total):
        boxes, scores, labels = (output[0] for output in run(read(index)))
        found.append(plain_detections(boxes, scores, labels))
        report(index + 1, total, "samples")
    chosen, drawings = (choose_whole if kind.whole else choose)(found, recipe.count)
    for index in set(range(total)) - set(chosen):
        (images / names[index]).unlink()
    (data / ANNOTATIONS).parent.mkdir()
    written = annotations([names[index] for index in chosen], [extents[index] for index in chosen], drawings)
    write_json(data / ANNOTATIONS, written)
    facts = {**kind.facts, "version": VERSION, "seed": SEED, "count": recipe.count}
    known = _known(data, [found[index] for index in chosen], drawings, kind.known_counts(usual.count))
    write_json(folder / "synthetic.json", {**facts, **known})


def annotations(names: list[str], extents: list[tuple[int, int]], drawings: Sequence[Drawing]) -> dict[str, Any]:
    """The annotation file, with all the fields that the official one has."""
    images = [
        {"id": number, "license": None, "coco_url": None, "file_name": name, "height": height, "width": width}
        for number, (name, (height, width)) in enumerate(zip(names, extents, strict=True), start=1)
    ]
    entries = [_entry(number, drawing, extents[drawing.image]) for number, drawing in enumerate(drawings, start=1)]
    categories = [{"id": number, "name": f"Class {number}", "supercategory": None} for number in range(CLASSES)]
    info = {"description": "synthetic images in the layout of openimages-mlperf.json"}
    return {"info": info, "licenses": [], "categories": categories, "images": images, "annotations": entries}


def _entry(number: int, drawing: Drawing, extent: tuple[int, int]) -> dict[str, Any]:
    height, width = extent
    left, top, right, bottom = (drawing.box * np.array([width, height, width, height]) / SIDE).tolist()
    box = [left, top, right - left, bottom - top]
    kinds = ("IsOccluded", "IsTruncated", "IsDepiction", "IsInside")
    place = {"id": number, "image_id": drawing.image + 1, "category_id": drawing.label, "bbox": box}
    return {**place, "area": box[2] * box[3], "iscrowd": 0, **dict.fromkeys(kinds, 0)}


def _known(
    data: Path, found: Sequence[Candidates], drawings: Sequence[Drawing], counts: Sequence[int]
) -> dict[str, Any]:
    """The mAP of the plain loop's detections on the first *counts* images."""
    percents = []
    for count in counts:
        dataset = open_openimages(data, limit=count)
        kept = [image.of(image.kept) for image in found[:count]]
        payloads = [np.zeros(detections.WIDTH, dtype=np.float32) for _ in kept]
        lengths = [
            detections.write(image.boxes, image.scores, image.labels, index, payload)
            for index, (image, payload) in enumerate(zip(kept, payloads, strict=True))
        ]
        values = [payload[:length] for payload, length in zip(payloads, lengths, strict=True)]
        percents.append(accuracy.evaluate(accuracy.found(np.arange(count), values, dataset), dataset).percent)
    per_image = [int(image.kept.sum()) for image in found]
    labels = {drawing.label for drawing in drawings}
    drawn = {"annotations": len(drawings), "classes": len(labels), "detections": per_image}
    return {"accuracy": {"mAP": percents[-1]}, "mAP": percents, **drawn}
