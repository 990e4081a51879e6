"""The bare loops, run inside the image on the arrays and the weights that the harness made.

Called as `python inside.py MEASURE [MODEL BACKEND [BATCH]]`; prints one JSON object. /cache is the harness's cache.
"""

import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.backends import registry as backends
from mlperf_docker.harness.backends.base import LoadRequest
from mlperf_docker.harness.models import registry
from mlperf_docker.harness.models.base import Model
from mlperf_docker.harness.names import Device
from mlperf_docker.harness.network import Network
from mlperf_docker.harness.opening import open_model

CACHE = Path("/cache")
BATCHES = (1, 2, 4, 8, 16, 32)
TRIAL_S = 1.5
TRIALS = 3
MEASURE_S = 15.0
WORKERS = 2
COPIES = 16
Pixels = NDArray[np.uint8]


def silent(done: int, total: int, unit: str) -> None:
    """Report no progress."""


def opened(model: str, backend: str) -> tuple[Model, tuple[Pixels, ...]]:
    """The real-size network with the weights in the cache, and the arrays that the harness would feed."""
    benchmark = registry.load(model)
    folder = full_size(model)
    found = open_model(benchmark, backends.load(backend), folder / "weights.safetensors")
    dataset = benchmark.open_dataset(folder / "data", limit=None)
    samples = benchmark.preprocess(dataset, found.form, CACHE, workers=WORKERS, report=silent)
    return found, samples.load([index % samples.count for index in range(max(samples.count, 2 * max(BATCHES)))])


def bare(model: Model, backend: str) -> Callable[[tuple[Any, ...]], object]:
    """The framework's own call on the framework's own object: no predictor, no LoadGen, no SUT, no QSL."""
    threads = len(os.sched_getaffinity(0))
    if backend == "onnxruntime":
        return _session_run(model, threads)
    request = LoadRequest(model.source, model.interface, Device.CPU, threads)
    predictor: Any = backends.load(backend).load(request)
    if backend == "tensorflow":
        return lambda arrays: predictor.call(*arrays)
    import torch

    def run(arrays: tuple[Any, ...]) -> object:
        with torch.inference_mode():
            found = predictor.module(*map(torch.from_numpy, arrays))
            return [tensor.numpy() for tensor in found]

    return run


def _session_run(model: Model, threads: int) -> Callable[[tuple[Any, ...]], object]:
    import onnxruntime

    from mlperf_docker.harness.ops.onnx import serialize

    assert isinstance(model.source, Network)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(serialize(model.source), options, providers=["CPUExecutionProvider"])
    names = [tensor.name for tensor in model.interface.inputs]
    outputs = [tensor.name for tensor in model.interface.outputs]
    return lambda arrays: session.run(outputs, dict(zip(names, arrays, strict=True)))


def rate(run: Callable[[tuple[Any, ...]], object], inputs: tuple[Any, ...], batch: int, seconds: float) -> float:
    """Samples per second of a loop over *inputs* in batches."""
    done, at = 0, 0
    run(tuple(array[:batch] for array in inputs))
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        run(tuple(array[at : at + batch] for array in inputs))
        done, at = done + batch, (at + batch) % (len(inputs[0]) - batch)
    return done / (time.perf_counter() - start)


def best_batch(model: str, backend: str) -> dict[str, float]:
    """The batch size at which the bare loop is fastest, every size that the harness would try several times in turn."""
    found, inputs = opened(model, backend)
    run, sizes = bare(found, backend), registry.load(model).batches(Device.CPU)
    trials: dict[int, list[float]] = {batch: [] for batch in sizes}
    for _ in range(TRIALS):
        for batch in sizes:
            trials[batch].append(rate(run, inputs, batch, TRIAL_S))
    return {"batch": max(trials, key=lambda batch: statistics.median(trials[batch]))}


def loop(model: str, backend: str, batch: str) -> dict[str, float]:
    """Samples per second of the bare loop, and the mean seconds that a call of it takes."""
    found, inputs = opened(model, backend)
    measured = rate(bare(found, backend), inputs, int(batch), MEASURE_S)
    return {"samples_per_second": measured, "mean_s": int(batch) / measured}


def full_size(model: str) -> Path:
    """The real-size synthetic set of a model; the cache may still hold one of an older version."""
    return max(CACHE.glob(f"synthetic/{model}-full-*/"), key=lambda folder: folder.stat().st_mtime)


def overhead() -> dict[str, float]:
    """LoadGen and the harness around a predictor that does nothing."""
    from mlperf_docker.harness.names import Scenario
    from mlperf_docker.harness.overhead import measure_overhead

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
        benchmark.preprocess(dataset, benchmark.default_form("onnxruntime"), fresh, workers=WORKERS, report=silent)
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
