"""Synthetic ImageNet in the official layout, with weights whose labels for it are known.

The network is random, so its labels mean nothing; but they are diverse, each is chosen with a margin that rounding
cannot bridge, and one in eight is written down wrong. So accuracy mode must reach exactly 87.5 % (of a multiple of
eight samples), and a lost, repeated or reordered answer shows.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.contract.words import SyntheticSize
from mlperf_docker.harness.api.backend import Arrays
from mlperf_docker.harness.api.benchmark import Answerer
from mlperf_docker.harness.api.errors import SampleError
from mlperf_docker.harness.api.samples import Report
from mlperf_docker.harness.api.scores import SyntheticSet
from mlperf_docker.harness.architectures.resnet50 import FULL, ResNetConfig
from mlperf_docker.harness.models.resnet50 import network as networks
from mlperf_docker.harness.models.resnet50.dataset import MAP
from mlperf_docker.harness.models.resnet50.preprocess import SHAPE, ImageNetReader, ImageNetSamples
from mlperf_docker.harness.samples.images import opencv
from mlperf_docker.harness.samples.synthetic import cached_set, draw_weight
from mlperf_docker.harness.system.files import write_json
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


def synthesize(size: SyntheticSize, cache: Path, answerer: Answerer, report: Report) -> SyntheticSet:
    """The set of this size in *cache*, made by whoever comes first. Takes about a second (tiny) or half a minute."""
    name = f"resnet50-{size}-v{VERSION}-{SEED}"
    return cached_set(cache, name, lambda folder: _make(RECIPES[size], size, folder, answerer, report))


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


def _write_images(recipe: ResNet50Recipe, folder: Path) -> list[str]:
    cv2 = opencv()
    rng = np.random.default_rng(SEED)
    names = [f"ILSVRC2012_val_{number:08d}.JPEG" for number in range(1, recipe.count + recipe.spare + 1)]
    for name in names:
        quality = [cv2.IMWRITE_JPEG_QUALITY, recipe.quality]
        if not cv2.imwrite(str(folder / name), draw_image(rng, recipe.sides), quality):
            raise SampleError(f"cannot write {folder / name}")
    return names


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


def _make(recipe: ResNet50Recipe, size: SyntheticSize, folder: Path, answerer: Answerer, report: Report) -> None:
    data = folder / "data"
    data.mkdir()
    names = _write_images(recipe, data)
    samples = _read_images(data, names)
    arrays = draw_weights(recipe.config, SEED)
    below = {name: array for name, array in arrays.items() if not name.startswith("fc.")}
    features = answerer.predictor(networks.feature_network(below, recipe.config), "features:0").predict
    fit_classifier(arrays, np.concatenate([features(samples.load([i]))[0] for i in range(recipe.scaled_on)]))
    weight_files.write(folder / "weights.safetensors", arrays)
    run = answerer.predictor(networks.network(arrays, recipe.config), "ArgMax:0", "logits:0").predict
    answers, margins = _answer(run, samples, report)
    kept = _keep(margins, recipe.count)
    _finish(folder, size, names, answers, kept, float(margins[kept].min()))


def _answer(
    run: Callable[[Arrays], Arrays], samples: ImageNetSamples, report: Report
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Label and margin of each sample: the plain loop, one by one, that LoadGen's answers must agree with."""
    answers, margins = [], []
    for index in range(samples.count):
        label, logits = run(samples.load([index]))
        second, first = np.partition(logits[0], -2)[-2:].astype(np.float64)
        answers.append(int(label[0]) - 1)
        margins.append(float(first - second))
        report(index + 1, samples.count, "samples")
    return np.array(answers), np.array(margins)


def _keep(margins: NDArray[np.float64], count: int) -> list[int]:
    """The *count* images with the largest margins, in order. Raises SampleError if that leaves an unsafe one."""
    kept = sorted(int(index) for index in np.argsort(-margins)[:count])
    if not np.isfinite(margins).all() or margins[kept].min() < SAFE_MARGIN:
        raise SampleError(f"the synthetic network decides too narrowly: least margin {margins[kept].min():.2g}")
    return kept


def _finish(
    folder: Path, size: SyntheticSize, names: list[str], answers: NDArray[np.int64], kept: list[int], margin: float
) -> None:
    """Remove the spare images, and write val_map.txt and synthetic.json."""
    for index in set(range(len(names))) - set(kept):
        (folder / "data" / names[index]).unlink()
    wrong = list(range(WRONG_EVERY - 1, len(kept), WRONG_EVERY))
    labels = [int(answers[index]) for index in kept]
    written = list(_labels(labels, frozenset(wrong)))
    lines = [f"{names[index]} {label}" for index, label in zip(kept, written, strict=True)]
    (folder / "data" / MAP).write_text("\n".join(lines) + "\n", encoding="utf-8")
    good = len(kept) - len(wrong)
    known: Mapping[str, Any] = {"good": good, "total": len(kept), "percent": 100.0 * good / len(kept)}
    facts = {"size": size.value, "version": VERSION, "seed": SEED, "count": len(kept), "distinct": len(set(labels))}
    write_json(folder / "synthetic.json", {**facts, "least_margin": margin, "accuracy": known, "wrong": wrong})


def _labels(right: list[int], wrong: frozenset[int]) -> Iterator[int]:
    for index, label in enumerate(right):
        yield (label + 1) % 1000 if index in wrong else label
