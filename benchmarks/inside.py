"""The bare loops, run inside the image on the arrays and the graph that the harness made: no LoadGen, no SUT, no QSL.

Called as `python inside.py MEASURE [BATCH]`; prints one JSON object. /cache is the harness's cache.
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

CACHE = Path("/cache")
BATCHES = (1, 2, 4, 8, 16, 32)
TRIAL_S = 1.5
TRIALS = 3
MEASURE_S = 15.0
WORKERS = 2
COPIES = 16
Pixels = NDArray[np.uint8]


def full_size_graph() -> Path:
    """The largest graph in the cache is the real-size network's."""
    return max(CACHE.glob("graphs/*/model.onnx"), key=lambda path: path.stat().st_size)


def full_size_inputs() -> NDArray[np.float32]:
    """The same float32 arrays that the harness feeds, (count, 3, 224, 224)."""
    from mlperf_docker.harness.models import registry

    benchmark = registry.load("resnet50")
    dataset = benchmark.open_dataset(full_size_data(), limit=None)
    samples = benchmark.preprocess(dataset, CACHE, workers=WORKERS, report=lambda *_: None)
    (inputs,) = samples.load(list(range(samples.count)))
    return np.asarray(inputs)


def full_size_data() -> Path:
    """The real-size synthetic data set, in ImageNet's layout."""
    (root,) = CACHE.glob("synthetic/resnet50-full-*/data")
    return root


def session() -> Any:  # noqa: ANN401  # the library has no types
    """A session as anybody would open it, with as many threads as there are processors."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    return onnxruntime.InferenceSession(str(full_size_graph()), options, providers=["CPUExecutionProvider"])


def rate(run: Any, inputs: NDArray[np.float32], batch: int, seconds: float) -> float:  # noqa: ANN401
    """Samples per second of a loop over *inputs* in batches."""
    name, done, at = run.get_inputs()[0].name, 0, 0
    run.run(["ArgMax:0"], {name: inputs[:batch]})
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        run.run(["ArgMax:0"], {name: inputs[at : at + batch]})
        done, at = done + batch, (at + batch) % (len(inputs) - batch)
    return done / (time.perf_counter() - start)


def best_batch() -> dict[str, float]:
    """The batch size at which the bare loop is fastest, every size tried several times in turn."""
    run, inputs = session(), full_size_inputs()
    trials: dict[int, list[float]] = {batch: [] for batch in BATCHES}
    for _ in range(TRIALS):
        for batch in BATCHES:
            trials[batch].append(rate(run, inputs, batch, TRIAL_S))
    return {"batch": max(trials, key=lambda batch: statistics.median(trials[batch]))}


def loop(batch: int) -> dict[str, float]:
    """Samples per second of the bare loop, and the mean seconds that a call of it takes."""
    found = rate(session(), full_size_inputs(), batch, MEASURE_S)
    return {"samples_per_second": found, "mean_s": batch / found}


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

    from mlperf_docker.harness.models import registry

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
        benchmark.preprocess(dataset, fresh, workers=WORKERS, report=lambda *_: None)
        ours_s = time.perf_counter() - start
        ours = np.load(next(fresh.glob("preprocessed/*/data.npy")), mmap_mode="r")
        same = bool(np.array_equal(ours, plain))
    finally:
        shutil.rmtree(fresh)
    return {"plain_s": plain_s / len(files), "ours_s": ours_s / len(files), "same_bytes": same}


def many_jpegs(folder: Path) -> Path:
    """The real-size synthetic set several times over, so that starting processes does not count."""
    source = full_size_data()
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
    sys.stdout.write(json.dumps(measures[sys.argv[1]](*map(int, sys.argv[2:]))) + "\n")
