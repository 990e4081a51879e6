"""Jobs of `data convert`, without a container."""

from pathlib import Path

import pytest

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.selector import find_model
from mlperf_docker.contract.commands import ConvertDataReply
from mlperf_docker.contract.model_options import ModelOptions, of_values
from mlperf_docker.engine.plan import BindMount
from mlperf_docker.errors import UsageError
from mlperf_docker.images.sources import Sources
from mlperf_docker.results.values import ImageUsed
from mlperf_docker.runs import dataset_commands
from mlperf_docker.runs.job import HarnessJob, Performed
from tests.evidence.test_evidence import Quiet

Jobs = list[HarnessJob[ConvertDataReply]]
IMAGE = ImageUsed(tag="tag", id="sha256:0", base="base")


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Jobs:
    """The jobs that were started; the harness says where in the container the file is."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found: Jobs = []

    def perform(client: object, job: HarnessJob[ConvertDataReply], display: object) -> Performed[ConvertDataReply]:
        found.append(job)
        reply = job.command.read({"rows": 7, "output": "/results/terabyte_processed_test.bin"})
        return Performed(reply, IMAGE, 1.0)

    monkeypatch.setattr(dataset_commands, "perform", perform)
    monkeypatch.setattr(dataset_commands, "runtime_for", lambda spec, sources: None)
    return found


def convert(
    catalog: Catalog,
    source: Path | None,
    output: Path | None,
    *,
    model: str = "dlrm",
    options: ModelOptions | None = None,
) -> ConvertDataReply:
    request = dataset_commands.Convert(find_model(catalog, model), source, output, options or ModelOptions())
    return dataset_commands.convert(catalog, request, Sources(catalog.registry), Quiet())


def test_folders_and_options_reach_the_container(catalog: Catalog, jobs: Jobs, tmp_path: Path) -> None:
    source, output = tmp_path / "raw", tmp_path / "out"
    source.mkdir()
    output.mkdir()
    done = convert(catalog, source, output, options=of_values({"max-ind-range": 10_000_000, "days": 2}))
    assert done == ConvertDataReply(output / "terabyte_processed_test.bin", {"rows": 7})
    (job,) = jobs
    assert str(job.recipe.spec) == "dlrm:pytorch-cpu"
    assert job.command.argv() == (
        "convert-data",
        "--max-ind-range=10000000",
        "--days=2",
    )
    assert BindMount(source, "/data", read_only=True) in job.mounts
    assert BindMount(output, "/results", read_only=False) in job.mounts


def test_without_folders_it_works_within_the_data_sets_place(
    catalog: Catalog, jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLPERF_DOCKER_DATA", str(tmp_path))
    place = tmp_path / "criteo-terabyte"
    with pytest.raises(UsageError, match="does not exist") as caught:
        convert(catalog, None, None)
    assert "mlperf-docker data fetch criteo-terabyte" in (caught.value.hint or "")
    (place / "raw").mkdir(parents=True)
    assert convert(catalog, None, None).output == place / "terabyte_processed_test.bin"
    (job,) = jobs
    assert BindMount(place / "raw", "/data", read_only=True) in job.mounts
    assert BindMount(place, "/results", read_only=False) in job.mounts
    with pytest.raises(UsageError, match="nothing to convert"):
        convert(catalog, None, None, model="bert")


@pytest.mark.parametrize(("missing", "remedy"), [("raw", "--from DIR"), ("out", "mkdir -p ")])
def test_both_folders_must_exist(catalog: Catalog, jobs: Jobs, tmp_path: Path, missing: str, remedy: str) -> None:
    for name in {"raw", "out"} - {missing}:
        (tmp_path / name).mkdir()
    with pytest.raises(UsageError, match=f"{missing} does not exist") as caught:
        convert(catalog, tmp_path / "raw", tmp_path / "out")
    assert remedy in (caught.value.hint or "")
    assert not jobs
