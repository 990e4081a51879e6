"""Sliding windows over a volume: batches of them through the network, their logits weighted, summed and compared.

The same sums as upstream's base_SUT.py, in the same order. Three things are left out, because nothing comes of them:
the sum of the weights is the same for all classes of a voxel, so dividing by it does not change which is the largest;
planes that no later window reaches are decided at once, so that sums are kept of 128 planes and not of all; and the
largest of three numbers takes two comparisons.
"""

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.api.backend import Arrays, Predictor
from mlperf_docker.harness.api.errors import NotFiniteError
from mlperf_docker.harness.api.model import Surroundings, Tuned
from mlperf_docker.harness.architectures.unet3d import CLASSES, ROI
from mlperf_docker.harness.backends.batches import stack
from mlperf_docker.harness.calibration import batch_speeds
from mlperf_docker.harness.models.unet3d.geometry import STEP, Corner, Shape, corners
from mlperf_docker.harness.models.unet3d.preprocess import Volumes

SLAB = 8
"""Planes that a thread weights at once; so many values stay in its processor's cache."""
BATCHES, ACCELERATOR_BATCHES = (1,), (1, 2, 4, 8)
"""Windows in a call that are tried. One fills a CPU: two at once take twice as long, and twice the memory."""


@cache
def weights() -> NDArray[np.float32]:
    """How much each voxel of a window counts, (ROI, ROI, ROI): least at the corners, 1 in the middle.

    The cube root of the outer product of a Gaussian whose deviation is an eighth of the window.
    """
    places = np.arange(ROI) - (ROI - 1) / 2
    gaussian = np.exp(-(places**2) / (2 * (ROI / 8) ** 2))
    plane = np.outer(gaussian, gaussian)
    product = np.cbrt(np.outer(plane, gaussian).reshape(ROI, ROI, ROI))
    scaled: NDArray[np.float32] = (product / product.max()).astype(np.float32)
    return scaled


class Blend:
    """Sums of the planes that windows still reach, and labels of the others. Windows come in the order of `corners`.

    space: float32 for `space_of` sums, of any content: a voxel's first window is written there, the others are added.
    Each thread has planes of its own, in which it adds every window in turn: none waits for another, and sums do not
    depend on their number.
    """

    def __init__(self, shape: Shape, space: NDArray[np.float32], pool: ThreadPoolExecutor, threads: int) -> None:
        self._sums = space[: space_of(shape)].reshape(CLASSES, ROI, *shape[1:])
        self.labels: NDArray[np.uint8] = np.empty(shape, dtype=np.uint8)
        self._pool = pool
        self._threads = min(threads, ROI // SLAB)
        self._bottom = 0

    def add(self, logits: NDArray[np.float32], starts: Sequence[Corner]) -> None:
        """Add windows: logits (windows, CLASSES, ROI, ROI, ROI) and their first voxels. Raises NotFiniteError."""
        steps: list[tuple[NDArray[np.float32] | None, Corner]] = []
        for window, start in zip(logits, starts, strict=True):
            if start[0] > self._bottom:
                steps.append((None, (self._bottom, 0, 0)))
                self._bottom = start[0]
            steps.append((window, start))
        self._run(steps)

    def finish(self) -> NDArray[np.uint8]:
        """The labels (depth, height, width), once all windows are added. Raises NotFiniteError."""
        self._run([(None, (bottom, 0, 0)) for bottom in range(self._bottom, self.labels.shape[0], STEP)])
        return self.labels

    def _run(self, steps: Sequence[tuple[NDArray[np.float32] | None, Corner]]) -> None:
        list(self._pool.map(lambda thread: self._work(steps, thread), range(self._threads)))

    def _work(self, steps: Sequence[tuple[NDArray[np.float32] | None, Corner]], thread: int) -> None:
        weighted = np.empty((SLAB, ROI, ROI), dtype=np.float32)
        for window, start in steps:
            for place in range(thread * SLAB, ROI, self._threads * SLAB):
                # Plane z of the volume lies at z % ROI among the sums.
                plane = (place - start[0]) % ROI
                if window is not None:
                    self._add(window, start, plane, place, weighted)
                elif plane < STEP:
                    self._decide(start[0] + plane, place)

    def _add(
        self, window: NDArray[np.float32], start: Corner, plane: int, place: int, weighted: NDArray[np.float32]
    ) -> None:
        z, y, x = start
        factors = weights()[plane : plane + SLAB]
        # Rows and columns from which on, in these planes, no window has been yet.
        row, column = (ROI, ROI) if z and plane < STEP else (min(y, STEP), min(x, STEP))
        for logits, sums in zip(window[:, plane : plane + SLAB], self._sums, strict=True):
            part = sums[place : place + SLAB, y : y + ROI, x : x + ROI]
            np.multiply(logits[:, row:, column:], factors[:, row:, column:], out=part[:, row:, column:])
            for old in ((slice(None), slice(0, row)), (slice(None), slice(row, ROI), slice(0, column))):
                product = np.multiply(logits[old], factors[old], out=weighted[old])
                np.add(part[old], product, out=part[old])

    def _decide(self, first: int, place: int) -> None:
        """Label SLAB planes by the class with the largest sum, of equals the first."""
        for plane in range(SLAB):
            background, kidney, tumour = self._sums[:, place + plane]
            labels = self.labels[first + plane]
            np.greater(kidney, background, out=labels.view(np.bool_))
            largest = np.maximum(kidney, background)
            np.copyto(labels, 2, where=tumour > largest)
            # A sum, not the largest: that would hide a class whose logits are minus infinity.
            if not np.isfinite(self._sums[:, place + plane].sum()):
                raise NotFiniteError("the network's output for a window")


def space_of(shape: Shape) -> int:
    """Sums that are kept at once for a volume of this shape."""
    return CLASSES * ROI * shape[1] * shape[2]


class WindowPredictor:
    """Volumes to labels. batch: windows in one call of the network.

    While it works on some, the next windows are gathered and the last logits are added.
    """

    def __init__(self, network: Predictor, volumes: Volumes, surroundings: Surroundings) -> None:
        self._network = network
        self._volumes = volumes
        self._allocate = surroundings.allocate
        self._threads = surroundings.threads
        self._pool = ThreadPoolExecutor(surroundings.threads, "blend")
        self._aside = ThreadPoolExecutor(2, "windows")
        self._sums = np.empty(max(map(space_of, volumes.shapes)), dtype=np.float32)
        self._spaces: list[NDArray[np.float32]] = []
        self.batch = 1

    def predict(self, inputs: Arrays) -> Arrays:
        """Labels of the samples in inputs[0], (n, 1): (n, longest) uint8, each filled up, and their lengths (n,).

        Raises NotFiniteError.
        """
        found = [self._labels(int(index), row) for row, index in enumerate(inputs[0][:, 0])]
        labels = found[0][None] if len(found) == 1 else stack(found)
        return labels, np.array([len(each) for each in found], dtype=np.int64)

    def _labels(self, index: int, row: int) -> NDArray[np.uint8]:
        try:
            return self.segment(self._volumes.volumes[index]).reshape(-1)
        except NotFiniteError as error:
            raise NotFiniteError(error.what, row=row) from error

    def segment(self, volume: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Label each voxel of *volume*, of any shape that the windows cover."""
        shape = _shape(volume)
        starts = corners(shape)
        parts = [starts[first : first + self.batch] for first in range(0, len(starts), self.batch)]
        blend = Blend(shape, self._sums, self._pool, self._threads)
        spaces = self._buffers()
        adding: Future[None] | None = None
        coming = self._aside.submit(gather, volume, parts[0], spaces[0])
        for number, part in enumerate(parts):
            windows = coming.result()
            if number + 1 < len(parts):
                coming = self._aside.submit(gather, volume, parts[number + 1], spaces[(number + 1) % 2])
            (logits,) = self._network.predict((windows,))
            if adding is not None:
                adding.result()
            adding = self._aside.submit(blend.add, logits, part)
        if adding is not None:
            adding.result()
        return blend.finish()

    def _buffers(self) -> list[NDArray[np.float32]]:
        if not self._spaces or len(self._spaces[0]) != self.batch:
            self._spaces = [self._allocate((self.batch, 1, ROI, ROI, ROI), np.float32) for _ in range(2)]
        return self._spaces

    def own_cost_s(self) -> float:
        """Seconds that a window takes beside the network: the quickest of three."""
        logits = np.zeros((1, CLASSES, ROI, ROI, ROI), dtype=np.float32)
        times = []
        for _ in range(3):
            start = perf_counter()
            blend = Blend((ROI, ROI, ROI), self._sums, self._pool, self._threads)
            blend.add(logits, [(0, 0, 0)])
            blend.finish()
            times.append(perf_counter() - start)
        return min(times)

    def prove(self, inputs: Arrays) -> Mapping[str, Any]:
        """Prove the network on the first window of the first sample."""
        return self._network.prove((self.example(int(inputs[0][0, 0]), 1),))

    def example(self, index: int, count: int) -> NDArray[np.float32]:
        """The first *count* windows of a sample, repeated if it has fewer: (count, 1, ROI, ROI, ROI)."""
        volume = self._volumes.volumes[index]
        starts = corners(_shape(volume))
        chosen = [starts[number % len(starts)] for number in range(count)]
        return gather(volume, chosen, self._allocate((count, 1, ROI, ROI, ROI), np.float32))


def _shape(volume: NDArray[Any]) -> Shape:
    depth, height, width = volume.shape
    return depth, height, width


def gather(volume: NDArray[np.float32], starts: Sequence[Corner], space: NDArray[np.float32]) -> NDArray[np.float32]:
    """Copy the windows at *starts* into the first rows of *space*, and give these."""
    for row, (z, y, x) in zip(space, starts, strict=False):
        row[0] = volume[z : z + ROI, y : y + ROI, x : x + ROI]
    return space[: len(starts)]


class Windows:
    """The window predictors of all instances, each of one network."""

    def __init__(self, instances: Sequence[Sequence[Predictor]], volumes: Volumes, surroundings: Surroundings) -> None:
        self._networks = networks = [network for (network,) in instances]
        self._volumes = volumes
        self._device = surroundings.device
        self._windows = tuple(WindowPredictor(network, volumes, surroundings) for network in networks)
        self.predictors: tuple[Predictor, ...] = self._windows

    def tune(self, batch: int | None) -> Tuned:
        """Measure the first instance on windows of the first volume: no whole volume has to be run for the hints."""
        worth = ACCELERATOR_BATCHES if self._device.profile.is_accelerator else BATCHES
        sizes = (batch,) if batch else worth
        example = self._windows[0].example(0, max(sizes))
        best = batch_speeds.fastest(batch_speeds.calibrate(self._networks[0], (example,), sizes))
        counts = [len(corners(shape)) for shape in self._volumes.shapes]
        for window in self._windows:
            window.batch = best.batch
        if self._device.profile.is_accelerator:
            self._warm_up({count % best.batch for count in counts} - {0}, example)
        # The two go on side by side.
        window_s = max(best.mean_s / best.batch, self._windows[0].own_cost_s())
        return Tuned(best.batch, window_s * sum(counts) / len(counts))

    def _warm_up(self, sizes: set[int], example: NDArray[np.float32]) -> None:
        """Run the sizes that the last windows of a volume come to: a GPU looks for its kernels anew for each."""
        for network in self._networks:
            for size in sorted(sizes):
                network.predict((example[:size],))


class SlidingWindows:
    """Volumes as windows that slide over them."""

    def whole(self, instances: Sequence[Sequence[Predictor]], samples: Volumes, surroundings: Surroundings) -> Windows:
        """Predictors of volumes."""
        return Windows(instances, samples, surroundings)

    def batch_bytes(self, samples: Volumes) -> int:  # noqa: ARG002
        """Bytes that a window takes in a batch: in the measurement, gathered twice, and as logits."""
        return 4 * ROI**3 * (1 + 2 + CLASSES)

    def memory(self, samples: Volumes, instances: int) -> tuple[int, str]:
        """Bytes that segmenting needs beside the network and its windows, and the sentence that says what for."""
        shapes = samples.shapes
        largest = 4 * max(map(math.prod, shapes))
        labels = largest // 4
        each = 4 * max(map(space_of, shapes)) + 2 * labels
        text = (
            f"{len(shapes)} volumes of {samples.bytes / 1e9:.2f} GB, the largest of {largest / 1e9:.2f} GB, and for "
            f"each instance {each / 1e9:.2f} GB for sums, labels and answers"
        )
        return largest + instances * each, text
