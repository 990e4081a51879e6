"""The bare loops, run inside the image on the arrays and the weights that the harness made.

Called as `python -m benchmarks.inside MEASURE [MODEL BACKEND [BATCH [SAMPLES TIMES]]]`; prints one JSON object.
/cache is the harness's cache.
"""

import itertools
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.overhead import measure_overhead
from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.words import ModelFormat, Scenario
from mlperf_docker.harness.api.backend import Arrays, LoadRequest
from mlperf_docker.harness.api.model import Model, Surroundings
from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.api.samples import Samples
from mlperf_docker.harness.architectures.unet3d import ROI
from mlperf_docker.harness.backends import registry as backends
from mlperf_docker.harness.loadgen.batches import cut
from mlperf_docker.harness.models import registry
from mlperf_docker.harness.models.opening import Loading, load_parts, open_model
from mlperf_docker.harness.models.unet3d.geometry import corners
from mlperf_docker.harness.models.unet3d.preprocess import Volumes
from mlperf_docker.harness.models.unet3d.windows import gather
from mlperf_docker.harness.samples.library import Library

CACHE = Path("/cache")
TRIAL_S = 1.5
TRIALS = 3
MEASURE_S = 15.0
WORKERS = 2
COPIES = 16
Pixels = NDArray[np.uint8]
Run = Callable[[Arrays], object]
Call = tuple[Arrays, float]
"""The inputs of one call, and the samples that it answers: a part of one, where a sample takes several calls."""


def silent(done: int, total: int, unit: str) -> None:
    """Report no progress."""


def opened(model: str, backend: str, limit: int | None = None) -> tuple[Model[Any, Any], Samples]:
    """The real-size network with the weights in the cache, and the first *limit* samples."""
    benchmark = registry.load(model)
    folder = full_size(model)
    found = open_model(benchmark, backends.load(backend), folder / "weights.safetensors")
    dataset = benchmark.open_dataset(folder / "data", limit=limit)
    return found, benchmark.preprocess(dataset, found.form, CACHE, workers=WORKERS, report=silent)


def calls(samples: Samples, size: int, times: int = 1) -> list[Call]:
    """A query of all samples, each so many times, cut as Offline cuts it; volumes into windows, *size* to a call."""
    if isinstance(samples, Volumes):
        return [call for volume in samples.volumes for call in _windows(volume, size)] * times
    library = Library(samples)
    library.load(range(samples.count))
    rows = np.tile(np.arange(samples.count), times)
    order = library.order(rows)
    rows = rows if order is None else rows[order]
    found = []
    for batch in cut(rows, size):
        count = batch.stop - batch.start
        if batch.first is None:
            inputs = library.gather(rows[batch.start : batch.stop], library.buffers(count))
        else:
            inputs = library.run_of(batch.first, batch.first + count)
        found.append((inputs, float(count)))
    return found


def _windows(volume: NDArray[np.float32], size: int) -> Iterator[Call]:
    depth, height, width = volume.shape
    starts = corners((depth, height, width))
    for first in range(0, len(starts), size):
        part = starts[first : first + size]
        yield (gather(volume, part, np.empty((len(part), 1, ROI, ROI, ROI), np.float32)),), len(part) / len(starts)


def bare(model: Model[Any, Any], backend: str, samples: Samples) -> Run:
    """The framework's own call on the framework's own object: no predictor, no LoadGen, no SUT, no QSL.

    What is no framework's is the harness's own: looking up in tables, and for a model of several parts the loop around
    them.
    """
    threads = len(os.sched_getaffinity(0))
    if model.beside:
        return _own_loop(model, backend, samples, threads)
    assert isinstance(model.source, Network)
    network, front = replace(model.source, front=None), model.source.front
    run = _forward(network, model, backend, threads)
    if front is None:
        return run
    prepare = front.open(threads, lambda shape, dtype: backends.load(backend).allocate(shape, dtype, Device.CPU))
    return lambda inputs: run(prepare(inputs))


def _own_loop(model: Model[Any, Any], backend: str, samples: Samples, threads: int) -> Run:
    framework = backends.load(backend)
    around = Surroundings(Device.CPU, threads, lambda shape, dtype: framework.allocate(shape, dtype, Device.CPU))
    assert model.splitting is not None
    parts = load_parts(framework, model, Loading(Device.CPU, threads))
    return model.splitting.whole((parts,), samples, around).predictors[0].predict


def _forward(network: Network, model: Model[Any, Any], backend: str, threads: int) -> Run:
    if backend == "onnxruntime":
        return _session_run(network, model, threads)
    request = LoadRequest(network, network.interface.fetching(*_outputs(model)), Device.CPU, threads)
    predictor: Any = backends.load(backend).load(request)
    if backend == "tensorflow":
        return lambda arrays: predictor.call(*arrays)
    import torch

    def run(arrays: Arrays) -> object:
        with torch.inference_mode():
            found = predictor.module(*map(torch.from_numpy, arrays))
            return [tensor.numpy() for tensor in found]

    return run


def _session_run(network: Network, model: Model[Any, Any], threads: int) -> Run:
    import onnxruntime

    from mlperf_docker.harness.ops.onnx import serialize

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(serialize(network), options, providers=["CPUExecutionProvider"])
    names = [tensor.name for tensor in network.interface.inputs]
    return lambda arrays: session.run(_outputs(model), dict(zip(names, arrays, strict=True)))


def _outputs(model: Model[Any, Any]) -> list[str]:
    return [tensor.name for tensor in model.interface.outputs]


def rate(run: Run, wanted: list[Call], seconds: float, *, whole: bool = False) -> float:
    """Samples per second of a loop over the calls *wanted*. whole: it ends only when each had its turn as often."""
    done = 0.0
    run(wanted[0][0])
    start = time.perf_counter()
    for turn, (inputs, samples) in enumerate(itertools.cycle(wanted)):
        if turn and time.perf_counter() - start >= seconds and not (whole and turn % len(wanted)):
            break
        run(inputs)
        done += samples
    return done / (time.perf_counter() - start)


def best_batch(model: str, backend: str) -> dict[str, float]:
    """The batch size at which the bare loop is fastest, every size that the harness would try several times in turn."""
    found, samples = opened(model, backend)
    run, sizes = bare(found, backend, samples), registry.load(model).batches(Device.CPU, Scenario.OFFLINE)
    trials: dict[int, list[float]] = {size: [] for size in sizes}
    for _ in range(TRIALS):
        for size in sizes:
            trials[size].append(rate(run, calls(samples, size), TRIAL_S))
    return {"batch": max(trials, key=lambda batch: statistics.median(trials[batch]))}


def loop(model: str, backend: str, batch: str, limit: str = "", times: str = "") -> dict[str, float]:
    """Samples per second of the bare loop, and the mean seconds that a call of it takes.

    limit and times: the first so many samples, each so many times, in whole rounds; for samples that differ.
    """
    found, samples = opened(model, backend, int(limit) if limit else None)
    wanted = calls(samples, int(batch), int(times or 1))
    measured = rate(bare(found, backend, samples), wanted, MEASURE_S, whole=bool(times))
    return {"samples_per_second": measured, "mean_s": int(batch) / measured}


def full_size(model: str) -> Path:
    """The real-size synthetic set of a model; the cache may still hold one of an older version."""
    return max(CACHE.glob(f"synthetic/{model}-full-*/"), key=lambda folder: folder.stat().st_mtime)


def overhead() -> dict[str, float]:
    """LoadGen and the harness around a predictor that does nothing."""
    return {
        "offline_ns": measure_overhead(Scenario.OFFLINE, batch=32, queries=400_000),
        "single_stream_ns": measure_overhead(Scenario.SINGLE_STREAM, batch=1, queries=200_000),
    }


def preprocess() -> dict[str, float]:
    """Seconds an image: a plain loop of OpenCV on one thread, and the harness with two processes, on the same JPEGs."""
    import cv2

    benchmark = registry.load("resnet50")
    fresh = Path(tempfile.mkdtemp(dir=CACHE))
    try:
        dataset = benchmark.open_dataset(many_jpegs(fresh / "data"), limit=None)
        files = [fresh / "data" / name for name in dataset.names]
        cv2.setNumThreads(1)
        start = time.perf_counter()
        plain = np.stack([plain_crop(path) for path in files])
        plain_s = time.perf_counter() - start
        start = time.perf_counter()
        benchmark.preprocess(dataset, benchmark.default_form(ModelFormat.ONNX), fresh, workers=WORKERS, report=silent)
        ours_s = time.perf_counter() - start
        ours = np.load(next(fresh.glob("preprocessed/*/data.npy")), mmap_mode="r")
        same = bool(np.array_equal(ours, plain))
    finally:
        shutil.rmtree(fresh)
    return {"plain_s": plain_s / len(files), "ours_s": ours_s / len(files), "same_bytes": same}


def many_jpegs(folder: Path) -> Path:
    """The real-size synthetic set several times over, so that starting processes does not count."""
    source = full_size("resnet50") / "data"
    lines = []
    for turn in range(COPIES):
        (folder / str(turn)).mkdir(parents=True)
        for line in (source / "val_map.txt").read_text().splitlines():
            (folder / str(turn) / line.split()[0]).hardlink_to(source / line.split()[0])
            lines.append(f"{turn}/{line}\n")
    (folder / "val_map.txt").write_text("".join(lines))
    return folder


def plain_crop(path: Path) -> Pixels:
    """Decode, resize and crop one image as the benchmark's reference does, step by step."""
    import cv2

    image = cv2.cvtColor(np.asarray(cv2.imread(str(path))), cv2.COLOR_BGR2RGB)
    height, width = image.shape[:2]
    size = (256, int(256 * height / width)) if height > width else (int(256 * width / height), 256)
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    left, top = int((size[0] - 224) / 2), int((size[1] - 224) / 2)
    return np.asarray(image[top : top + 224, left : left + 224])


if __name__ == "__main__":
    measures: dict[str, Callable[..., dict[str, float]]] = {
        "best_batch": best_batch,
        "loop": loop,
        "overhead": overhead,
        "preprocess": preprocess,
    }
    # Libraries may print; the result is the last line.
    sys.stdout.write(json.dumps(measures[sys.argv[1]](*sys.argv[2:])) + "\n")
