"""The bare loops of `make bench`, on the tiny sets: they compute what the harness computes, on what it answers."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import inside, measures
from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.words import SyntheticSize
from mlperf_docker.harness.api.backend import Arrays
from mlperf_docker.harness.api.model import Model
from mlperf_docker.harness.api.samples import Samples
from mlperf_docker.harness.api.scores import SyntheticKind
from mlperf_docker.harness.backends import registry as backends
from mlperf_docker.harness.models import registry
from mlperf_docker.harness.models.opening import CpuAnswerer, Loading, load_parts
from mlperf_docker.harness.models.unet3d.geometry import corners
from mlperf_docker.harness.models.unet3d.preprocess import Volumes

MODELS = {"resnet50": 6, "bert": 6, "dlrm": 6, "3d-unet": 1}
"""And how many samples of each are enough."""
FRAMEWORKS = ["onnxruntime", "tensorflow", "pytorch"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def prepare(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for the sets in this cache, and for tiny ones in place of those of full size."""
    monkeypatch.setattr(inside, "CACHE", cache)
    monkeypatch.setattr(inside, "full_size", lambda model: next(cache.glob(f"synthetic/{model}-tiny-*/")))


def opened(model: str, backend: str, cache: Path, limit: int | None) -> tuple[Model[Any, Any], Samples]:
    answerer = CpuAnswerer(backends.load("onnxruntime"), 2)
    registry.load(model).synthesize(SyntheticKind(SyntheticSize.TINY), cache, answerer, inside.silent)
    return inside.opened(model, backend, limit)


@pytest.mark.usefixtures("prepare")
@pytest.mark.parametrize("backend", FRAMEWORKS)
@pytest.mark.parametrize("model", MODELS)
def test_a_bare_loop_computes_what_the_predictor_does(model: str, backend: str, cache: Path) -> None:
    found, samples = opened(model, backend, cache, MODELS[model])
    run = inside.bare(found, backend, samples)
    (predictor,) = load_parts(backends.load(backend), found, Loading(Device.CPU, 2))
    for inputs, _ in inside.calls(samples, 4)[:2]:
        result = run(inputs)
        assert isinstance(result, list | tuple)
        for ours, theirs in zip(result, predictor.predict(inputs), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("prepare")
@pytest.mark.parametrize("model", ["resnet50", "bert", "dlrm", "rnnt"])
def test_calls_have_every_sample_as_often(model: str, cache: Path) -> None:
    _, samples = opened(model, "onnxruntime", cache, 5)
    found = inside.calls(samples, 4, 3)
    assert [count for _, count in found] == [4, 4, 4, 3]
    sums = np.sum([[array.sum(dtype=np.float64) for array in inputs] for inputs, _ in found], axis=0)
    once = samples.load(range(5))
    np.testing.assert_allclose(sums, [3 * array.sum(dtype=np.float64) for array in once], rtol=1e-5)


@pytest.mark.usefixtures("prepare")
def test_utterances_of_a_batch_are_alike(cache: Path) -> None:
    _, samples = opened("rnnt", "onnxruntime", cache, 5)
    assert samples.lengths is not None
    numbers = np.concatenate([inputs[0][:, 0] for inputs, _ in inside.calls(samples, 4, 3)])
    assert Counter(numbers.tolist()) == dict.fromkeys(range(5), 3)
    assert (np.diff(samples.lengths[numbers]) <= 0).all()


@pytest.mark.usefixtures("prepare")
def test_windows_of_a_volume_are_parts_of_a_sample(cache: Path) -> None:
    _, samples = opened("3d-unet", "onnxruntime", cache, None)
    assert isinstance(samples, Volumes)
    shapes = [(depth, height, width) for depth, height, width in (volume.shape for volume in samples.volumes)]
    found = inside.calls(samples, 1, 2)
    windows = 2 * sum(len(corners(shape)) for shape in shapes)
    assert len(found) == windows > 2 * samples.count
    assert sum(share for _, share in found) == pytest.approx(2 * samples.count)
    np.testing.assert_array_equal(found[0][0][0][0, 0], samples.volumes[0][:128, :128, :128])


@pytest.mark.usefixtures("prepare")
@pytest.mark.parametrize(("model", "batch"), [("dlrm", "2"), ("rnnt", "16"), ("3d-unet", "1")])
def test_a_loop_ends_and_gives_a_rate(model: str, batch: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inside, "MEASURE_S", 0.01)
    opened(model, "onnxruntime", cache, 1)
    assert inside.loop(model, "onnxruntime", batch, "1", "2")["samples_per_second"] > 0


def test_whole_rounds_are_counted() -> None:
    counts: Counter[int] = Counter()

    def run(inputs: Arrays) -> None:
        counts[int(inputs[0][0])] += 1

    calls: list[inside.Call] = [((np.array([number]),), 0.5) for number in range(3)]
    inside.rate(run, calls, 1e-4, whole=True)
    counts[0] -= 1  # the call that warms up
    assert len(set(counts.values())) == 1
    assert counts[1] >= 1


@pytest.mark.parametrize("samples", [1, 2, 40, 257, 4999, 5000, 99_999])
def test_loadgen_makes_a_query_of_just_so_many(samples: int) -> None:
    assert int(1.1 * float(measures.qps_for(samples)) * measures.QUERY_S) == samples


@pytest.mark.parametrize(("count", "rate", "times"), [(40, 2.3, 1), (32, 16.7, 8), (2, 0.31, 3), (1024, 100.0, 2)])
def test_a_query_lasts_longer_than_it_must(count: int, rate: float, times: int) -> None:
    assert measures.rounds(count, rate) == times
    assert count * times / rate >= 1.5 * measures.QUERY_S
