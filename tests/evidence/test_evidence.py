"""The record of evidence: its schema, how it is changed, what is shown of it, and the README's table out of it."""

import datetime as dt
import itertools
import json
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.spec import AbsentCell, ImageSpec
from mlperf_docker.contract.commands import OutputsCommand, OutputsReply, Pair, ParityReply
from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.words import Mode, SyntheticSize
from mlperf_docker.errors import BuildError, ContainerError, DeviceError, EngineError, Interrupted, UsageError
from mlperf_docker.evidence import gather, records
from mlperf_docker.evidence.coverage import coverage
from mlperf_docker.evidence.records import AccuracyFinding, Entry, Record
from mlperf_docker.images.sources import Sources
from mlperf_docker.recipe.recipe import Recipe
from mlperf_docker.results import values
from mlperf_docker.runs.job import HarnessJob, Performed
from mlperf_docker.runs.request import RunRequest
from mlperf_docker.runtimes.runtime import ProvidedImage
from mlperf_docker.system.paths import assets
from tests.cli.test_cli import tool

STAMP: dict[str, Any] = {"source": "0123456789ab", "date": "2026-01-02T03:04:05Z"}
RAN: dict[str, Any] = {**STAMP, "data": "full", "samples": 64, "versions": {"loadgen": "6.0.17"}}
BUILT: dict[str, Any] = {**STAMP, "image": "resnet50:onnxruntime-cpu-0123456789ab", "size_bytes": 5, "base": "debian"}
SPEED: dict[str, Any] = {
    **RAN, "scenario": "Offline", "metric": "samples_per_second", "value": 9.5, "unit": "samples/s", "valid": True
}  # fmt: skip
SCORE: dict[str, Any] = {**RAN, "metric": "top-1", "value": 75.0, "target": 75.0, "passed": True}
PEER = {"cell": "pytorch-cpu", "largest_difference": 2.5e-7, "agreement": 1.0}
PARITY: dict[str, Any] = {**RAN, "against": [PEER]}


def entry(model: str = "resnet50", backend: str = "onnxruntime", device: str = "cpu", **findings: Any) -> Entry:
    cell = {"model": model, "backend": backend, "device": device, "precision": "fp32"}
    return Entry.model_validate({**cell, **findings})


def whole(**changes: Any) -> Entry:
    return entry(**{"built": BUILT, "performance": SPEED, "accuracy": SCORE, "parity": PARITY, **changes})


def cell(catalog: Catalog, name: str) -> ImageSpec:
    return next(spec for spec in catalog.specs if str(spec) == name)


class TestRecord:
    def test_a_record_comes_back_as_it_was_written(self, tmp_path: Path) -> None:
        path = tmp_path / "new/evidence.json"
        records.write(lambda record: record.updated([whole()]), path)
        assert records.read(path).entries == (whole(),)
        assert [each.name for each in path.parent.iterdir()] == ["evidence.json"]

    def test_entries_of_other_cells_stay_and_empty_ones_go(self) -> None:
        record = Record().updated([whole(), entry(backend="pytorch", built=BUILT)])
        record = record.updated([entry(performance={**SPEED, "value": 1.0})])
        assert [each.backend for each in record.entries] == ["onnxruntime", "pytorch"]
        changed = record.entries[0].performance
        assert changed is not None
        assert changed.value == 1.0
        assert [each.backend for each in record.updated([entry()]).entries] == ["pytorch"]

    def test_writers_wait_for_each_other(self, tmp_path: Path) -> None:
        path = tmp_path / "evidence.json"
        names = [f"model-{number}" for number in range(12)]

        def add(name: str) -> None:
            records.write(lambda record: record.updated([entry(model=name, built=BUILT)]), path)

        threads = [threading.Thread(target=add, args=(name,)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {each.model for each in records.read(path).entries} == set(names)

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"performance": {**SPEED, "value": "fast"}}, "entries.0.performance.value"),
            ({"performance": {**SPEED, "source": "123"}}, "entries.0.performance.source"),
            ({"accuracy": {**SCORE, "data": "huge"}}, "entries.0.accuracy.data"),
            ({"parity": {**RAN, "against": []}}, "entries.0.parity.against"),
            ({"built": {**BUILT, "size_bytes": 0}}, "entries.0.built.size_bytes"),
            ({"ticked": True}, "entries.0.ticked"),
            ({"device": "tpu"}, "entries.0.device"),
        ],
    )
    def test_a_wrong_field_of_a_record_is_named(self, tmp_path: Path, change: dict[str, Any], said: str) -> None:
        raw = {"model": "resnet50", "backend": "pytorch", "device": "cpu", "precision": "fp32", **change}
        (tmp_path / "evidence.json").write_text(json.dumps({"format": 1, "entries": [raw]}))
        with pytest.raises(UsageError, match=re.escape(said)) as caught:
            records.read(tmp_path / "evidence.json")
        assert str(tmp_path / "evidence.json") in str(caught.value)

    @pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 2, "entries": []}'])
    def test_a_file_that_is_no_record_is_refused(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "evidence.json").write_text(text)
        with pytest.raises(UsageError, match="no record of evidence"):
            records.read(tmp_path / "evidence.json")

    def test_a_score_is_read_from_before_there_was_a_list(self) -> None:
        accuracy = whole().accuracy
        assert accuracy is not None
        assert [(score.metric, score.value, score.passed) for score in accuracy.scores] == [("top-1", 75.0, True)]
        assert not {"metric", "value", "target"} & accuracy.model_dump().keys()
        assert AccuracyFinding.model_validate(accuracy.model_dump(mode="json")) == accuracy

    def test_one_score_that_failed_fails_all(self) -> None:
        scores = [{"metric": str(each), "value": 1.0, "target": 2.0, "passed": each > 1} for each in (1, 2)]
        assert not AccuracyFinding.model_validate({**RAN, "scores": scores}).passed

    def test_a_cell_cannot_be_there_twice(self, tmp_path: Path) -> None:
        twice = [whole().model_dump(mode="json")] * 2
        (tmp_path / "evidence.json").write_text(json.dumps({"format": 1, "entries": twice}))
        with pytest.raises(UsageError, match="resnet50 onnxruntime cpu fp32 is there 2 times"):
            records.read(tmp_path / "evidence.json")

    def test_no_record_is_an_empty_one(self, tmp_path: Path) -> None:
        assert records.read(tmp_path / "none.json") == Record()

    def test_a_record_that_cannot_be_written_is_an_error(self) -> None:
        with pytest.raises(OSError, match=r"/proc/sys/evidence.json"):
            records.write(lambda record: record, Path("/proc/sys/evidence.json"))


class TestShown:
    def test_words_for_what_passed_and_what_did_not(self) -> None:
        far = {**RAN, "against": [PEER, {**PEER, "largest_difference": 0.2}]}
        found = whole(performance={**SPEED, "valid": False}, parity=far)
        assert records.shown([found], "0123456789ab") == "built, performance failed, accuracy, parity failed"
        assert records.fields([found], None)["shown"] == ["accuracy", "built"]

    def test_an_older_source_is_said(self) -> None:
        assert records.shown([whole()], "0123456789ab") == "built, performance, accuracy, parity"
        assert records.shown([whole()], "ffffffffffff").endswith(" (older)")
        assert records.is_current([whole(built={**BUILT, "source": "f" * 12})], "0123456789ab") is False
        assert records.is_current([], "0123456789ab") is None
        assert records.shown([], "0123456789ab") == ""

    def test_the_coverage_table_has_the_best_of_each_cell(self, catalog: Catalog) -> None:
        record = Record(
            entries=(
                whole(),
                whole(backend="tensorflow", accuracy={**SCORE, "data": "tiny", "passed": False}),
                whole(backend="pytorch", device="cuda", performance={**SPEED, "data": "real", "gpu": "NVIDIA H100"}),
            )
        )
        text = coverage(catalog.specs, record)
        shown = {(model, variant): letters for model, row in rows(text).items() for variant, letters in row.items()}
        assert set(shown) == {(spec.model.name, f"{spec.backend} {spec.device}") for spec in catalog.specs}
        assert {place: letters for place, letters in shown.items() if letters != "not run"} == {
            ("resnet50", "onnxruntime cpu"): "B P A X",
            ("resnet50", "tensorflow cpu"): "B P a✗ X",
            ("resnet50", "pytorch cuda"): "B **P** A X G",
        }
        assert "G: it ran on a GPU (NVIDIA H100)." in text
        assert "(largest of all: 2.5e-07)" in text

    def test_the_table_says_what_is_not_offered(self, catalog: Catalog) -> None:
        cells = [
            AbsentCell(model=cell.model, backend=cell.backend, device=cell.device, reason="no wheels")
            if cell.variant == "tensorflow-cuda"
            else cell
            for cell in catalog.specs
        ]
        text = coverage(cells, Record(entries=()))
        left_out = {variant for row in rows(text).values() for variant, shown in row.items() if shown == "not offered"}
        assert left_out == {"tensorflow cuda"}
        assert text.splitlines()[-1] == "not offered (tensorflow cuda): no wheels"

    def test_every_precision_is_told(self, catalog: Catalog) -> None:
        both = [whole(model="bert"), replace_precision(entry(model="bert", built=BUILT))]
        assert records.shown(both, None) == "fp32: built, performance, accuracy, parity; int8: built (older)"


def replace_precision(found: Entry) -> Entry:
    return Entry.model_validate({**found.model_dump(), "precision": "int8"})


def rows(table: str) -> dict[str, dict[str, str]]:
    """Model → column → cell of the coverage table."""
    header, _, *lines = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("|")]
    return {line[0]: dict(zip(header[1:], line[1:], strict=True)) for line in lines}


class TestCommitted:
    def test_the_committed_record_is_valid_and_of_existing_cells(self, catalog: Catalog) -> None:
        cells = {str(spec) for spec in catalog.specs}
        record = records.read(assets() / "evidence.json")
        assert {each.cell for each in record.entries} <= cells

    def test_the_readme_has_the_table_of_the_record(self) -> None:
        text = (assets() / "README.md").read_text()
        found = re.search(r"<!-- coverage -->\n(.*)<!-- /coverage -->", text, re.DOTALL)
        assert found, "README.md has no table between <!-- coverage --> and <!-- /coverage -->"
        assert found[1].strip() == tool("list", "--markdown").stdout.strip(), "put `list --markdown` there"

    def test_list_shows_the_committed_record(self, catalog: Catalog) -> None:
        record = records.read(assets() / "evidence.json")
        for row in (row for row in json.loads(tool("list", "--json").stdout) if row["offered"]):
            spec = cell(catalog, f"{row['model']}:{row['backend']}-{row['device']}")
            assert len(row["evidence"]["entries"]) == len(record.of(spec))
            assert row.keys() >= {"model", "backend", "device", "precisions", "image", "present", "pullable"}


class Quiet:
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def phase(self, name: str) -> None:
        pass

    def progress(self, done: int, total: int | None, unit: str) -> None:
        pass

    def part(self, name: str, done: int, total: int | None) -> None:
        pass

    def part_over(self, name: str) -> None:
        pass


class Host:
    """Stands for engine and containers: what each step of each cell gives, or the error that it raises."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.errors: dict[tuple[str, str], Exception] = {}
        self.invalid: set[str] = set()
        self.steps: list[tuple[str, str]] = []
        self.has_gpu = True
        monkeypatch.setattr(gather, "DockerRuntime", lambda: self)
        monkeypatch.setattr(gather, "perform", self.perform)
        monkeypatch.setattr(gather, "run_request", self.run)

    def step(self, spec: ImageSpec, name: str) -> None:
        self.steps.append((str(spec), name))
        if (str(spec), name) in self.errors:
            raise self.errors[str(spec), name]

    def require(self, device: Device, *_: object) -> None:
        if device.profile.is_accelerator and not self.has_gpu:
            raise DeviceError("this host has no GPU")

    def provide(self, recipe: Recipe, *_: object) -> ProvidedImage:
        self.step(recipe.spec, "built")
        tag = f"host.example/private/{recipe}-0123456789ab"
        return ProvidedImage(values.ImageUsed(tag=tag, id="sha256:1", base="debian (local)"), tag)

    def size_bytes(self, _image: str) -> int:
        return 525_000_000

    def perform(self, _client: object, job: HarnessJob[Any], _display: object) -> Performed[Any]:
        self.step(job.recipe.spec, job.command.name)
        image = values.ImageUsed(tag="t", id="i", base="b")
        if isinstance(job.command, OutputsCommand):
            (folder,) = (mount.host for mount in job.mounts if mount.container == "/results")
            assert folder.is_dir()
            proof = {"gpu": "NVIDIA H100"} if job.recipe.spec.device is Device.CUDA else {}
            spec, output = job.recipe.spec, job.command.output
            outputs = OutputsReply(spec.backend, spec.device, 8, output, {"numpy": "2"}, proof)
            return Performed(outputs, image, 1.0)
        pairs = tuple(self.pair(*files) for files in itertools.combinations(job.command.argv()[1:], 2))
        return Performed(ParityReply(pairs, 0.5, 0.5), image, 1.0)

    @staticmethod
    def pair(a: str, b: str) -> Pair:
        return Pair(Path(a), Path(b), largest_difference=1e-6 if "tensorflow" in a + b else 1e-7, agreement=1.0)

    def run(self, request: RunRequest, _display: object) -> values.RunResult:
        spec, mode = request.spec, request.options.mode
        self.step(spec, mode)
        assert request.options.synthetic is SyntheticSize.TINY
        speed = {"name": "samples_per_second", "value": 240.0, "unit": "samples/s"}
        score = {"metric": "top-1", "value": 75.0, "target": 75.0, "passed": True}
        cuda = spec.device is Device.CUDA
        return values.RunResult.model_validate(
            {
                "model": spec.model.name, "backend": spec.backend, "device": spec.device, "precision": "fp32",
                "scenario": request.options.scenario, "mode": mode, "synthetic": True, "synthetic_size": "tiny",
                "valid": str(spec) not in self.invalid, "metric": speed if mode is Mode.PERFORMANCE else None,
                "latency_ns": None, "samples": 64, "accuracy": score if mode is Mode.ACCURACY else None,
                "image": {"tag": "t", "id": "i", "base": "b"}, "versions": {"loadgen": "6"},
                "device_proof": {"gpu": "NVIDIA H100"} if cuda else {},
            }
        )  # fmt: skip


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Host:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Host(monkeypatch)


def specs(catalog: Catalog, device: Device = Device.CPU) -> tuple[ImageSpec, ...]:
    """ResNet50 on every backend."""
    return tuple(spec for spec in catalog.specs if spec.model.name == "resnet50" and spec.device is device)


def request(chosen: Sequence[ImageSpec], peers: Sequence[ImageSpec], record: Path) -> gather.GatherRequest:
    return gather.GatherRequest(
        specs=tuple(chosen),
        peers=tuple(peers),
        size=SyntheticSize.TINY,
        min_duration_s=1.0,
        sources=Sources("r"),
        record=record,
    )


def by_backend(path: Path) -> Mapping[str, Entry]:
    return {each.backend: each for each in records.read(path).entries}


class TestGather:
    def test_everything_of_every_backend(self, host: Host, catalog: Catalog, tmp_path: Path) -> None:
        cells = specs(catalog)
        gathered = gather.gather(request(cells, cells, tmp_path / "e.json"), Quiet())
        assert gathered.all_passed
        found = by_backend(tmp_path / "e.json")
        assert found.keys() == {spec.backend for spec in cells}
        onnx = found["onnxruntime"]
        assert onnx.built is not None
        assert onnx.built.image == "resnet50:onnxruntime-cpu-0123456789ab", "the registry's name is the user's own"
        assert onnx.built.size_bytes == 525_000_000
        assert onnx.performance is not None
        assert (onnx.performance.value, onnx.performance.data, onnx.performance.gpu) == (240.0, "tiny", None)
        assert onnx.accuracy is not None
        assert onnx.accuracy.passed
        assert onnx.parity is not None
        near = {peer.cell: peer.largest_difference for peer in onnx.parity.against}
        assert near == {spec.variant: 1e-6 if spec.backend == "tensorflow" else 1e-7 for spec in cells[1:]}
        assert not list((tmp_path / "cache/mlperf-docker").glob("parity-*"))

    def test_one_backend_is_compared_with_the_others_and_they_keep_their_entries(
        self, host: Host, catalog: Catalog, tmp_path: Path
    ) -> None:
        cells = specs(catalog)
        before = whole(backend="pytorch")
        records.write(lambda record: record.updated([before]), tmp_path / "e.json")
        gather.gather(request(cells[:1], cells, tmp_path / "e.json"), Quiet())
        found = by_backend(tmp_path / "e.json")
        assert found["pytorch"] == before
        assert found.keys() == {"onnxruntime", "pytorch"}
        parity = found["onnxruntime"].parity
        assert parity is not None
        assert len(parity.against) == len(cells) - 1
        assert ("resnet50:pytorch-cpu", "performance") not in host.steps

    def test_a_finding_that_was_disproved_goes_and_the_rest_is_run(
        self, host: Host, catalog: Catalog, tmp_path: Path
    ) -> None:
        cells = specs(catalog)
        records.write(lambda record: record.updated([whole()]), tmp_path / "e.json")
        host.errors["resnet50:onnxruntime-cpu", "accuracy"] = ContainerError("it died", log=tmp_path / "log")
        host.errors["resnet50:tensorflow-cpu", "built"] = BuildError("no such package")
        gathered = gather.gather(request(cells, cells, tmp_path / "e.json"), Quiet())
        found = by_backend(tmp_path / "e.json")
        assert found["onnxruntime"].accuracy is None
        assert found["onnxruntime"].performance is not None
        assert found["pytorch"].accuracy is not None
        assert ("resnet50:tensorflow-cpu", "performance") not in host.steps
        with pytest.raises(ContainerError, match=r"2 steps failed(.|\n)*accuracy: it died(.|\n)*no such package"):
            gathered.raise_failure()

    @pytest.mark.parametrize("error", [EngineError("gone"), Interrupted("Interrupted."), UsageError("in use")])
    def test_faults_of_the_host_end_gathering_and_change_nothing(
        self, host: Host, catalog: Catalog, tmp_path: Path, error: Exception
    ) -> None:
        records.write(lambda record: record.updated([whole()]), tmp_path / "e.json")
        host.errors["resnet50:onnxruntime-cpu", "performance"] = error
        with pytest.raises(type(error)):
            gather.gather(request(specs(catalog)[:1], specs(catalog), tmp_path / "e.json"), Quiet())
        found = by_backend(tmp_path / "e.json")["onnxruntime"]
        assert found.performance == whole().performance
        assert found.accuracy == whole().accuracy

    def test_an_invalid_run_is_on_record_as_such(self, host: Host, catalog: Catalog, tmp_path: Path) -> None:
        host.invalid.add("resnet50:onnxruntime-cpu")
        gathered = gather.gather(request(specs(catalog)[:1], specs(catalog), tmp_path / "e.json"), Quiet())
        assert not gathered.all_passed
        performance = by_backend(tmp_path / "e.json")["onnxruntime"].performance
        assert performance is not None
        assert not performance.passed

    def test_without_a_gpu_cuda_is_only_built(self, host: Host, catalog: Catalog, tmp_path: Path) -> None:
        host.has_gpu = False
        cells = specs(catalog, Device.CUDA)
        display = Quiet()
        gathered = gather.gather(request(cells, cells, tmp_path / "e.json"), display)
        gathered.raise_failure()
        assert {name for _, name in host.steps} == {"built"}
        assert all(set(each.findings()) == {"built"} for each in by_backend(tmp_path / "e.json").values())
        assert any("no GPU" in line for line in display.said)

    def test_with_a_gpu_its_name_is_on_record(self, host: Host, catalog: Catalog, tmp_path: Path) -> None:
        cells = specs(catalog, Device.CUDA)
        gather.gather(request(cells, cells, tmp_path / "e.json"), Quiet())
        assert {each.gpu for each in by_backend(tmp_path / "e.json").values()} == {"NVIDIA H100"}

    def test_a_result_of_another_machine(self, host: Host, catalog: Catalog, tmp_path: Path) -> None:
        (spec, *_) = specs(catalog, Device.CUDA)
        made = host.run(RunRequest(spec, options(Mode.PERFORMANCE), limits(), Sources("r")), None)
        file = tmp_path / "result.json"
        file.write_text(made.model_copy(update={"image": None}).to_json())
        gather.from_results([file], [spec], tmp_path / "e.json")
        performance = by_backend(tmp_path / "e.json")["onnxruntime"].performance
        assert performance is not None
        assert (performance.gpu, performance.in_container) == ("NVIDIA H100", False)
        with pytest.raises(UsageError, match="no cell of images"):
            gather.from_results([file], [], tmp_path / "e.json")
        with pytest.raises(UsageError, match="not a result"):
            gather.from_results([Path(__file__)], [spec], tmp_path / "e.json")


def options(mode: Mode) -> Any:
    from mlperf_docker.contract.options import RunOptions
    from mlperf_docker.contract.words import Precision, Scenario

    return RunOptions(scenario=Scenario.OFFLINE, mode=mode, precision=Precision.FP32, synthetic=SyntheticSize.TINY)


def limits() -> Any:
    from mlperf_docker.engine.plan import Limits

    return replace(Limits(), gpus="all")


def test_the_date_is_in_utc_and_to_the_second() -> None:
    now = records.now()
    assert now.tzinfo is dt.UTC
    assert now.microsecond == 0
