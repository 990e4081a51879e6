"""Synthetic ImageNet in the official layout, with weights whose labels for it are known.

The network is random, so its labels mean nothing; but they are diverse, each is chosen with a margin that rounding
cannot bridge, and one in eight is written down wrong. So accuracy mode must reach exactly 87.5 % (of a multiple of
eight samples), and a lost, repeated or reordered answer shows. Whole labels reach 100 %.

A set is drawn in blocks, each from a generator of its own: so the first samples and the weights are those of every set
of the size, blocks can be drawn side by side, and a set whose process was killed is gone on with.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.contract.words import SyntheticSize
from mlperf_docker.harness.api.backend import Arrays, Predictor
from mlperf_docker.harness.api.benchmark import Answerer
from mlperf_docker.harness.api.errors import SampleError
from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.api.samples import Report
from mlperf_docker.harness.api.scores import SyntheticKind, SyntheticSet
from mlperf_docker.harness.architectures.resnet50 import FULL, ResNetConfig
from mlperf_docker.harness.models.resnet50 import network as networks
from mlperf_docker.harness.models.resnet50.dataset import MAP
from mlperf_docker.harness.models.resnet50.preprocess import SHAPE, ImageNetReader, ImageNetSamples
from mlperf_docker.harness.samples.images import opencv
from mlperf_docker.harness.samples.synthetic import Blocks, ahead, cached_set, draw_weight
from mlperf_docker.harness.system.files import write_json
from mlperf_docker.harness.system.resources import cores
from mlperf_docker.harness.weights import safetensors as weight_files

VERSION = 3
SEED = 20120630
WRONG_EVERY = 8
LOGIT_SCALE = 4.0
DIRECTIONS = 12
SAFE_MARGIN = 1e-3
"""Least difference of the two largest logits; float32 sums in another order differ by about 1e-5 at this scale."""


@dataclass(frozen=True, slots=True)
class ResNet50Recipe:
    """Size of a synthetic set."""

    count: int
    """Images of a block, and of a set of the usual number."""
    spare: int
    """Images made in excess, of which those with the smallest margins go."""
    sides: tuple[int, int]
    """Range of the images' sides in pixels."""
    config: ResNetConfig
    scaled_on: int
    """Images that the classifier is fitted to."""
    quality: int
    """Quality of the JPEGs."""


RECIPES = {
    SyntheticSize.TINY: ResNet50Recipe(64, 8, (240, 360), ResNetConfig(blocks=(1, 1, 1, 1), width=8), 32, 85),
    SyntheticSize.FULL: ResNet50Recipe(504, 16, (333, 500), FULL, 64, 95),
}


@dataclass(frozen=True, slots=True)
class Block:
    """Part of a set: images from a generator of their own, of which those with the largest margins stay."""

    number: int
    drawn: int
    kept: int

    @property
    def names(self) -> list[str]:
        """Of all files that are drawn."""
        first = self.number * self.drawn + 1
        return [f"ILSVRC2012_val_{number:08d}.JPEG" for number in range(first, first + self.drawn)]

    @property
    def rng(self) -> np.random.Generator:
        """What its images are drawn with."""
        return np.random.default_rng((SEED, self.number) if self.number else SEED)


@dataclass(frozen=True, slots=True)
class Answered:
    """Output of the plain loop for the images of a block that stay."""

    names: list[str]
    labels: list[int]
    margins: list[float]


def blocks_of(recipe: ResNet50Recipe, count: int) -> list[Block]:
    """The blocks of a set of *count* images."""
    starts = range(0, count, recipe.count)
    kept = (min(recipe.count, count - start) for start in starts)
    return [Block(number, recipe.count + recipe.spare, each) for number, each in enumerate(kept)]


def synthesize(kind: SyntheticKind, cache: Path, answerer: Answerer, report: Report) -> SyntheticSet:
    """The set of this kind in *cache*, made by whoever comes first.

    Takes about a second (tiny) or half a minute, 50,000 tiny images about two minutes.
    """
    recipe = RECIPES[kind.size]
    name = f"resnet50-{kind.name(recipe.count)}-v{VERSION}-{SEED}"
    return cached_set(cache, name, lambda folder: _make(recipe, kind, folder, answerer, report), taken_up=True)


def draw_weights(config: ResNetConfig, seed: int) -> dict[str, NDArray[np.float32]]:
    """Random weights under which activations keep their size through all layers.

    Convolutions are He-initialised, the stem divides by the spread of pixel values, and each block adds a quarter of
    the variance that it gets, so that sixteen of them multiply it by less than 40.
    """
    rng = np.random.default_rng(seed)
    arrays = {name: draw_weight(rng, name, shape) for name, shape in networks.shapes(config).items()}
    arrays["bn1.running_var"] *= 5000.0
    return arrays


def draw_image(rng: np.random.Generator, sides: tuple[int, int]) -> NDArray[np.uint8]:
    """A picture with coarse shapes, edges and grain, so that its JPEG has about the size of a photograph's."""
    cv2 = opencv()
    height, width = (int(side) for side in rng.integers(sides[0], sides[1], 2, endpoint=True))
    coarse = rng.integers(0, 256, (*rng.integers(2, 7, 2), 3), dtype=np.uint8)
    fine = rng.integers(0, 256, (*rng.integers(8, 40, 2), 3), dtype=np.uint8)
    shapes = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    edges = cv2.resize(fine, (width, height), interpolation=int(rng.integers(0, 2)))
    mix = float(rng.uniform(0.2, 0.8))
    picture = cv2.addWeighted(shapes, mix, edges, 1 - mix, 0)
    grain = rng.integers(0, 24, (height, width, 3), dtype=np.uint8)
    picture = cv2.add(cv2.convertScaleAbs(picture, alpha=float(rng.uniform(0.5, 1.0))), grain)
    return np.asarray(picture, dtype=np.uint8)


def _draw(recipe: ResNet50Recipe, block: Block, folder: Path) -> ImageNetSamples:
    """Write the images of *block*; give them as they are read."""
    cv2 = opencv()
    rng = block.rng
    for name in block.names:
        quality = [cv2.IMWRITE_JPEG_QUALITY, recipe.quality]
        if not cv2.imwrite(str(folder / name), draw_image(rng, recipe.sides), quality):
            raise SampleError(f"cannot write {folder / name}")
    return _read_images(folder, block.names)


def _read_images(folder: Path, names: list[str]) -> ImageNetSamples:
    """The images through the real preprocessing."""
    reader = ImageNetReader(folder, names)
    reader.prepare()
    images = np.empty((len(names), *SHAPE), dtype=np.uint8)
    for index, image in enumerate(images):
        reader.read(index, image)
    return ImageNetSamples(images)


def fit_classifier(arrays: dict[str, NDArray[np.float32]], pooled: NDArray[np.float32]) -> None:
    """Make a classifier over *pooled*, (images, features), that tells the images apart.

    The features of a random network are nearly the same for all images, so the classifier sees them centred, along the
    directions in which they differ most, each scaled to unit variance. The background class is put out of reach,
    because ImageNet has no label for it.
    """
    mean = pooled.mean(axis=0)
    _, spread, axes = np.linalg.svd(pooled - mean, full_matrices=False)
    axes = axes[:DIRECTIONS] * (np.sqrt(len(pooled)) / spread[:DIRECTIONS, None])
    mixing = arrays["fc.weight"][:, :DIRECTIONS]
    weight = mixing / mixing.std() @ axes * (LOGIT_SCALE / np.sqrt(DIRECTIONS))
    arrays["fc.weight"] = weight.astype(np.float32)
    arrays["fc.bias"] = -(weight @ mean).astype(np.float32)
    arrays["fc.bias"][0] -= np.float32(100 * LOGIT_SCALE)


def _make(recipe: ResNet50Recipe, kind: SyntheticKind, folder: Path, answerer: Answerer, report: Report) -> None:
    data = folder / "data"
    data.mkdir(exist_ok=True)
    blocks = blocks_of(recipe, kind.count(recipe.count))
    arrays = _fitted(recipe, _draw(recipe, blocks[0], data), answerer)
    weight_files.write(folder / "weights.safetensors", arrays)
    network = networks.network(arrays, recipe.config)
    _finish(folder, kind, _answer_all(recipe, blocks, folder, network, answerer, report))


def _fitted(recipe: ResNet50Recipe, samples: ImageNetSamples, answerer: Answerer) -> dict[str, NDArray[np.float32]]:
    """The weights of all sets of a size. samples: of the first block."""
    arrays = draw_weights(recipe.config, SEED)
    below = {name: array for name, array in arrays.items() if not name.startswith("fc.")}
    features = answerer.predictor(networks.feature_network(below, recipe.config), "features:0").predict
    fit_classifier(arrays, np.concatenate([features(samples.load([i]))[0] for i in range(recipe.scaled_on)]))
    return arrays


def _answer_all(
    recipe: ResNet50Recipe,
    blocks: Sequence[Block],
    folder: Path,
    network: Network,
    answerer: Answerer,
    report: Report,
) -> list[Answered]:
    """Draw and answer those blocks that are not made yet, side by side; give what is in all."""
    data, recorded = folder / "data", Blocks(folder)
    # The first block was just drawn anew, with its spare images, for the weights.
    found = {block.number: known for block in blocks[1:] if (known := _made(recorded, block, data))}
    threads = None if len(blocks) == 1 else 1
    idle: SimpleQueue[Predictor] = SimpleQueue()
    for _ in range(min(cores(), len(blocks))):
        idle.put(answerer.predictor(network, "ArgMax:0", "logits:0", threads=threads))

    def answer(block: Block) -> Answered:
        predictor = idle.get()
        try:
            return _answer(predictor.predict, block, _draw(recipe, block, data), data)
        finally:
            idle.put(predictor)

    report(len(found), len(blocks), "blocks")
    for block, answered in ahead(answer, [block for block in blocks if block.number not in found]):
        found[block.number] = answered
        if len(blocks) > 1:
            recorded.keep(block.number, [data / name for name in answered.names], asdict(answered))
        report(len(found), len(blocks), "blocks")
    return [found[block.number] for block in blocks]


def _made(recorded: Blocks, block: Block, data: Path) -> Answered | None:
    known = recorded.known(block.number)
    if known is None or not recorded.fits(known, [data / name for name in known["names"]]):
        return None
    return Answered(known["names"], known["labels"], known["margins"])


def _answer(run: Callable[[Arrays], Arrays], block: Block, samples: ImageNetSamples, data: Path) -> Answered:
    """Answer each sample: the plain loop, one by one, that LoadGen's answers must agree with. Spare images go."""
    labels, margins = [], []
    for index in range(samples.count):
        label, logits = run(samples.load([index]))
        second, first = np.partition(logits[0], -2)[-2:].astype(np.float64)
        labels.append(int(label[0]) - 1)
        margins.append(float(first - second))
    kept = _keep(np.array(margins), block.kept)
    names = block.names
    for index in set(range(block.drawn)) - set(kept):
        (data / names[index]).unlink()
    return Answered([names[i] for i in kept], [labels[i] for i in kept], [margins[i] for i in kept])


def _keep(margins: NDArray[np.float64], count: int) -> list[int]:
    """The *count* images with the largest margins, in order. Raises SampleError if that leaves an unsafe one."""
    kept = sorted(int(index) for index in np.argsort(-margins)[:count])
    if not np.isfinite(margins).all() or margins[kept].min() < SAFE_MARGIN:
        raise SampleError(f"the synthetic network decides too narrowly: least margin {margins[kept].min():.2g}")
    return kept


def _finish(folder: Path, kind: SyntheticKind, blocks: Sequence[Answered]) -> None:
    """Write val_map.txt and synthetic.json."""
    names = [name for block in blocks for name in block.names]
    labels = [label for block in blocks for label in block.labels]
    wrong = [] if kind.whole else list(range(WRONG_EVERY - 1, len(labels), WRONG_EVERY))
    written = _labels(labels, frozenset(wrong))
    lines = [f"{name} {label}" for name, label in zip(names, written, strict=True)]
    (folder / "data" / MAP).write_text("\n".join(lines) + "\n", encoding="utf-8")
    good, margin = len(labels) - len(wrong), min(min(block.margins) for block in blocks)
    known: Mapping[str, Any] = {"good": good, "total": len(labels), "percent": 100.0 * good / len(labels)}
    facts = {**kind.facts, "version": VERSION, "seed": SEED, "count": len(labels), "distinct": len(set(labels))}
    write_json(folder / "synthetic.json", {**facts, "least_margin": margin, "accuracy": known, "wrong": wrong})


def _labels(right: list[int], wrong: frozenset[int]) -> Iterator[int]:
    for index, label in enumerate(right):
        yield (label + 1) % 1000 if index in wrong else label
