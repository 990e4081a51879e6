"""Synthetic KiTS19 in the official layout, with weights whose segmentation of it is known.

The network is random, so what it marks means nothing; but its marks differ from place to place, and the segmentations
are made from them, with a part on purpose wrong unless labels are whole. So accuracy mode must reach a known Dice,
which a lost, shifted or mixed-up answer changes. One case is stored at another spacing: it is really resampled.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.contract.words import SyntheticSize
from mlperf_docker.harness.api.backend import Arrays
from mlperf_docker.harness.api.benchmark import Answerer
from mlperf_docker.harness.api.errors import SampleError, UsageError
from mlperf_docker.harness.api.samples import Report
from mlperf_docker.harness.api.scores import SyntheticKind, SyntheticSet
from mlperf_docker.harness.architectures.unet3d import CLASSES, FULL, ROI, UNetConfig
from mlperf_docker.harness.models.unet3d import cases, geometry
from mlperf_docker.harness.models.unet3d import network as networks
from mlperf_docker.harness.models.unet3d.dataset import IMAGING, SEGMENTATION, KiTS19, open_kits19
from mlperf_docker.harness.models.unet3d.preprocess import MarkReader, VolumeReader
from mlperf_docker.harness.samples.synthetic import ahead, cached_set, draw_weight
from mlperf_docker.harness.system.files import write_json
from mlperf_docker.harness.weights import safetensors as weight_files

VERSION = 1
SEED = 20211018
THINGS = 60
"""Ellipsoids in a volume."""
SHARES = (0.5, 0.0, -0.3)
"""Logits, in standard deviations, that the classes get on top of a mean of 0: most voxels are background."""
LEAST_SHARE = 0.01
"""Of a case's voxels that each class must have."""

Volume = NDArray[np.float32]
Labels = NDArray[np.uint8]
Run = Callable[[Arrays], Arrays]


@dataclass(frozen=True, slots=True)
class Case:
    """A volume to make."""

    shape: geometry.Shape
    """Shape in the file."""
    spacing: tuple[float, float, float] = geometry.SPACING
    """Spacing in the file."""


@dataclass(frozen=True, slots=True)
class UNet3DRecipe:
    """Size of a synthetic set; its cases take the first official names."""

    config: UNetConfig
    cases: tuple[Case, ...]

    def first(self, count: int) -> tuple[Case, ...]:
        """*count* cases: those of the usual number, then as many of one window as there must be."""
        return (*self.cases, *[ONE_WINDOW] * count)[:count]


ONE_WINDOW = Case((ROI, ROI, ROI))
COARSE = Case((70, 140, 131), (3.0, 1.1, 1.15))
"""Becomes 128 x 128 x 128, with resampling, cutting and padding."""
RECIPES = {
    SyntheticSize.TINY: UNet3DRecipe(
        UNetConfig((4, 8, 8)), (Case((ROI, ROI, ROI)), Case((ROI + 64, ROI, ROI + 64)), COARSE)
    ),
    SyntheticSize.FULL: UNet3DRecipe(FULL, (Case((ROI, ROI, ROI)), COARSE)),
}


def synthesize(kind: SyntheticKind, cache: Path, answerer: Answerer, report: Report) -> SyntheticSet:
    """The set of this kind in *cache*, made by whoever comes first. Takes seconds (tiny) or a minute or two.

    Raises UsageError for more cases than the benchmark has.
    """
    recipe = RECIPES[kind.size]
    if kind.count(0) > len(cases.OFFICIAL):
        raise UsageError(f"--synthetic-samples {kind.samples}: 3d-unet has {len(cases.OFFICIAL)} cases, and no more")
    name = f"3d-unet-{kind.name(len(recipe.cases))}-v{VERSION}-{SEED}"
    return cached_set(cache, name, lambda folder: _make(recipe, kind, folder, answerer, report))


def draw_weights(config: UNetConfig, seed: int) -> dict[str, NDArray[np.float32]]:
    """Random weights; normalisation keeps activations at their size. The last layer is to be fitted."""
    rng = np.random.default_rng(seed)
    return {name: draw_weight(rng, name, shape) for name, shape in networks.shapes(config).items()}


def draw_volume(rng: np.random.Generator, shape: geometry.Shape) -> NDArray[np.int16]:
    """Ellipsoids of all densities in a body of soft tissue, with grain, in Hounsfield units."""
    volume = np.full(shape, 40.0, dtype=np.float32)
    axes = [np.arange(length, dtype=np.float32) for length in shape]
    for _ in range(THINGS):
        radii = [rng.uniform(length / 24, length / 5) for length in shape]
        centre = [rng.uniform(0, length) for length in shape]
        z, y, x = (((axis - at) / radius) ** 2 for axis, at, radius in zip(axes, centre, radii, strict=True))
        inside = (z[:, None, None] + y[None, :, None] + x[None, None, :]) < 1
        volume[inside] = rng.uniform(-120, 340)
    volume += rng.normal(0, 8, shape).astype(np.float32)
    return volume.round().astype(np.int16)


def write_volume(path: Path, volume: NDArray[Any], spacing: Sequence[float]) -> None:
    """Write a NIfTI file whose axes are those of the array, in millimetres, with a direction like KiTS19's."""
    import nibabel

    affine = np.zeros((4, 4))
    affine[0, 2], affine[1, 1], affine[2, 0], affine[3, 3] = -spacing[2], -spacing[1], -spacing[0], 1
    image = nibabel.Nifti1Image(volume, affine)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)


def plain_logits(volume: Volume, run: Run, starts: Sequence[geometry.Corner]) -> Volume:
    """Windows' weighted mean logits, (CLASSES, depth, height, width); it shares nothing with what answers LoadGen."""
    total = np.zeros((CLASSES, *volume.shape), dtype=np.float32)
    norm = np.zeros(volume.shape, dtype=np.float32)
    distance = (np.arange(ROI) - (ROI - 1) / 2) ** 2
    square = distance[:, None, None] + distance[None, :, None] + distance[None, None, :]
    patch = np.exp(-square / (2 * 3 * (ROI / 8) ** 2))
    patch = (patch / patch.max()).astype(np.float32)
    for z, y, x in starts:
        window = (slice(z, z + ROI), slice(y, y + ROI), slice(x, x + ROI))
        (logits,) = run((np.ascontiguousarray(volume[window])[None, None],))
        total[(slice(None), *window)] += logits[0] * patch
        norm[window] += patch
    total /= np.where(norm > 0, norm, np.float32(1))
    return total


def fit_last(arrays: dict[str, NDArray[np.float32]], logits: Sequence[Volume]) -> None:
    """Scale the last layer by what it gives now, so that each class has a mean of SHARES and a deviation of 1."""
    values = np.concatenate([each.reshape(CLASSES, -1) for each in logits], axis=1).astype(np.float64)
    mean, deviation = values.mean(axis=1), values.std(axis=1)
    weight, bias = arrays["output.conv.0.weight"], arrays["output.conv.0.bias"]
    arrays["output.conv.0.weight"] = (weight / deviation[:, None, None, None, None]).astype(np.float32)
    arrays["output.conv.0.bias"] = ((bias - mean) / deviation + SHARES).astype(np.float32)


def spoil(labels: Labels) -> Labels:
    """Marks that differ from *labels*: a part of the kidney is missing, and some of the tumour counts as kidney."""
    marks = labels.copy()
    first = marks[: len(marks) // 5]
    first[first == 1] = 0
    side = marks[:, :, : marks.shape[2] // 4]
    side[side == 2] = 1
    return marks


def at_raw(labels: Labels, case: Case) -> Labels:
    """Labels of a preprocessed volume at the voxels of the file: the nearest ones."""
    wanted = geometry.resampled(case.shape, case.spacing)
    picked = []
    for raw, length in zip(case.shape, wanted, strict=True):
        axis = geometry.fit(length)
        places = np.rint(np.arange(raw) * (length - 1) / (raw - 1)).astype(np.int64)
        places += axis.edge[0] - axis.start + axis.pad[0]
        picked.append(places.clip(0, axis.length - 1))
    found: Labels = labels[np.ix_(*picked)]
    return found


def plain_dice(found: Labels, truth: Labels) -> tuple[float, float]:
    """Dice of kidney and tumour by sums over each voxel's classes."""
    ours, theirs = (np.eye(CLASSES)[each.reshape(-1)][:, 1:] for each in (found, truth))
    values = (2 * (ours * theirs).sum(axis=0) + 1e-6) / (ours.sum(axis=0) + theirs.sum(axis=0) + 1e-6)
    return float(values[0]), float(values[1])


def _make(recipe: UNet3DRecipe, kind: SyntheticKind, folder: Path, answerer: Answerer, report: Report) -> None:
    data, wanted = folder / "data", recipe.first(kind.count(len(recipe.cases)))
    names = cases.OFFICIAL[: len(wanted)]
    _write_cases(data, names, wanted, len(recipe.cases))
    dataset = open_kits19(data)
    reader = VolumeReader(dataset.folders, dataset.headers)

    def read(index: int) -> Volume:
        volume = np.empty(dataset.shapes[index], dtype=np.float32)
        reader.read(index, volume)
        return volume

    arrays = _fitted(recipe, answerer, [read(index) for index in range(min(len(recipe.cases), len(wanted)))])
    weight_files.write(folder / "weights.safetensors", arrays)
    run = _runner(answerer, arrays, recipe.config)
    dice = []
    for index, volume in ahead(read, range(len(wanted))):
        found = plain_logits(volume, run, geometry.corners(dataset.shapes[index])).argmax(axis=0).astype(np.uint8)
        _check_shares(found, names[index])
        truth = found if kind.whole else spoil(found)
        dice.append(plain_dice(found, _mark(dataset, index, truth, wanted[index])))
        report(index + 1, len(wanted), "samples")
    facts = {**kind.facts, "version": VERSION, "seed": SEED, "count": len(names)}
    mean = float(np.mean(dice))
    write_json(folder / "synthetic.json", {**facts, "accuracy": {"mean Dice": mean}, "dice": dice})


def _write_cases(data: Path, names: Sequence[str], wanted: Sequence[Case], usual: int) -> None:
    """Draw the cases: the *usual* ones with one generator, which all sets have; each further one with its own."""
    rng = np.random.default_rng(SEED)

    def write(index: int) -> None:
        case, place = wanted[index], data / "data" / names[index]
        place.mkdir(parents=True)
        drawn = draw_volume(rng if index < usual else np.random.default_rng((SEED, index)), case.shape)
        write_volume(place / IMAGING, drawn, case.spacing)
        write_volume(place / SEGMENTATION, np.zeros(case.shape, dtype=np.uint8), case.spacing)

    for index in range(len(wanted))[:usual]:
        write(index)
    for _ in ahead(write, range(len(wanted))[usual:]):
        pass
    write_list(data, names)


def _fitted(recipe: UNet3DRecipe, answerer: Answerer, volumes: Sequence[Volume]) -> dict[str, NDArray[np.float32]]:
    arrays = draw_weights(recipe.config, SEED)
    run = _runner(answerer, arrays, recipe.config)
    # One window of each shows enough of what the last layer gives.
    fit_last(arrays, [plain_logits(volume[:ROI, :ROI, :ROI], run, [(0, 0, 0)]) for volume in volumes])
    return arrays


def _mark(dataset: KiTS19, index: int, truth: Labels, case: Case) -> Labels:
    """Write the segmentation of a case; give it as it is read, which resampling may have changed."""
    same = case.shape == truth.shape
    path = dataset.folders[index] / SEGMENTATION
    write_volume(path, truth if same else at_raw(truth, case), case.spacing)
    if same:
        return truth
    # That resampling does as upstream is tested elsewhere.
    read = np.empty_like(truth)
    MarkReader(dataset.folders, dataset.headers).read(index, read)
    return read


def write_list(data: Path, names: Sequence[str]) -> None:
    """Say which cases the set has."""
    import json

    (data / cases.LIST).write_text(json.dumps(list(names), indent=4), encoding="utf-8")


def _runner(answerer: Answerer, arrays: dict[str, NDArray[np.float32]], config: UNetConfig) -> Run:
    return answerer.predictor(networks.network(arrays, config), "output").predict


def _check_shares(found: Labels, name: str) -> None:
    shares = np.bincount(found.reshape(-1), minlength=CLASSES) / found.size
    if shares.min() < LEAST_SHARE:
        raise SampleError(f"synthetic {name} has a class that fills {shares.min():.2%} of it")
