"""The harness's commands as the host gives them, and their replies as the host reads them, without containers."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mlperf_docker.catalog import selector
from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.contract.options import RunOptions
from mlperf_docker.contract.words import Mode, Precision, Scenario, SyntheticSize
from mlperf_docker.engine.plan import Limits
from mlperf_docker.errors import DatasetError, ModelFileError
from mlperf_docker.evidence import gather
from mlperf_docker.images.sources import Sources
from mlperf_docker.results import store
from mlperf_docker.runs import convert_models, dataset_commands, job, session
from mlperf_docker.runs.request import RunRequest
from mlperf_docker.runtimes.docker import DockerRuntime
from tests.fakes.engine import EmptyEngine, FakeDisplay
from tests.harness.process import of_model

from . import process

SOURCES = Sources("mlperf-docker")


@dataclass(frozen=True)
class Made:
    """A synthetic data set and its weights."""

    data: Path
    weights: Path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    cache = tmp_path_factory.mktemp("cache")
    done = of_model("resnet50", cache, cache, "synthesize", "--synthetic", "tiny", backend="onnxruntime")
    return Made(Path(done.result["data"]), Path(done.result["weights"]))


@pytest.fixture(autouse=True)
def places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The user's folders in *tmp_path*, and the harness as a process."""
    for kind in ("CACHE", "DATA", "STATE"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(tmp_path / kind.lower()))
    for module in (convert_models, dataset_commands, session, gather):
        monkeypatch.setattr(module, "perform", process.perform)
    for module in (convert_models, dataset_commands, session):
        monkeypatch.setattr(module, "runtime_for", lambda *_: DockerRuntime(EmptyEngine()))


def test_verify_gives_the_count_and_the_facts(catalog: Catalog, made: Made) -> None:
    dataset = selector.find_dataset(catalog, "resnet50")
    said = dataset_commands.verify(catalog, dataset, made.data, SOURCES, FakeDisplay())
    assert (said.name, said.path, said.samples) == (dataset.name, made.data, 64)


def test_a_fault_of_the_data_set_is_the_hosts_own_error(catalog: Catalog, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "val_map.txt").write_text("missing.JPEG 3\n")
    with pytest.raises(DatasetError, match="missing"):
        dataset_commands.verify(catalog, selector.find_dataset(catalog, "resnet50"), folder, SOURCES, FakeDisplay())


def test_preprocess_gives_the_count_and_where_the_cache_is(catalog: Catalog, made: Made, tmp_path: Path) -> None:
    request = dataset_commands.Preprocess(selector.find(catalog, "resnet50"), made.data, samples=5, workers=1)
    said = dataset_commands.preprocess(request, SOURCES, FakeDisplay())
    assert said.samples == 5
    assert said.cache == job.cache_mount().host
    assert list(said.cache.rglob("*.npy"))


def test_convert_gives_the_new_file(catalog: Catalog, made: Made, tmp_path: Path) -> None:
    request = convert_models.ConvertRequest(
        selector.find_model(catalog, "resnet50"), made.weights, tmp_path / "network.onnx", SOURCES
    )
    said = convert_models.convert(catalog, request, FakeDisplay())
    assert (said.model_file, said.size_bytes) == (request.output, request.output.stat().st_size)
    assert request.output.stat().st_size > made.weights.stat().st_size // 2


def test_a_fault_of_a_model_file_is_the_hosts_own_error(catalog: Catalog, tmp_path: Path) -> None:
    source = tmp_path / "no.onnx"
    source.write_bytes(b"no graph")
    request = convert_models.ConvertRequest(
        selector.find_model(catalog, "resnet50"), source, tmp_path / "a.safetensors", SOURCES
    )
    with pytest.raises(ModelFileError, match="is no ONNX"):
        convert_models.convert(catalog, request, FakeDisplay())


def test_outputs_of_two_backends_are_compared(catalog: Catalog, tmp_path: Path) -> None:
    variants = ("onnxruntime-cpu", "pytorch-cpu")
    peers = tuple(spec for spec in catalog.specs if spec.model.name == "resnet50" and spec.variant in variants)
    record = tmp_path / "evidence.json"
    (tmp_path / "cache" / "mlperf-docker").mkdir(parents=True)
    request = gather.GatherRequest(peers, peers, SyntheticSize.TINY, 0.2, SOURCES, record, samples=4)
    gathering = gather._Gathering(request, DockerRuntime(EmptyEngine()), FakeDisplay())
    gathering.compare(peers)
    assert gathering.gathered.failures == []
    found = [entry.parity for entry in gathering.gathered.entries.values()]
    assert [(each.samples, each.passed, len(each.against)) for each in found if each] == [(4, True, 1)] * 2


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    folder.mkdir()
    return folder


def request(spec: ImageSpec, root: Path, mode: Mode, **changes: Any) -> RunRequest:
    synthetic = None if "dataset" in changes else SyntheticSize.TINY
    options = RunOptions(
        scenario=Scenario.OFFLINE, mode=mode, precision=Precision.FP32, synthetic=synthetic, min_duration_s=0.2
    )
    return RunRequest(spec, options, Limits(), SOURCES, results_root=root, **changes)


@pytest.mark.parametrize("mode", Mode)
def test_a_run_is_written_where_results_are_found(resnet50: ImageSpec, root: Path, mode: Mode) -> None:
    result = session.run(request(resnet50, root, mode), FakeDisplay())
    assert (result.cell, result.mode, result.image) == (str(resnet50), mode, process.IMAGE)
    (found,) = store.read_all(root).results
    assert found == result
    assert json.loads((root / result.name / "result.json").read_text()) == result.model_dump(mode="json")


def test_a_run_reads_the_users_own_files(resnet50: ImageSpec, made: Made, root: Path, tmp_path: Path) -> None:
    conf = tmp_path / "my.conf"
    conf.write_text("*.Offline.performance_sample_count_override = 7\n")
    files: dict[str, Any] = {"dataset": made.data, "model_file": made.weights, "user_conf": conf}
    result = session.run(request(resnet50, root, Mode.ACCURACY, **files), FakeDisplay())
    assert (result.synthetic, result.samples) == (False, 64)
    assert result.accuracy is not None
    assert result.accuracy.value == 87.5
    assert result.model_file is not None
    assert result.model_file["name"] == made.weights.name
