"""Preparation of a run: the data set, the model file, and the values of all placeholders."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlperf_docker.contract.cell import OfficialFile
from mlperf_docker.contract.events import Phase
from mlperf_docker.harness.api.backend import FP32, Backend
from mlperf_docker.harness.api.events import Events
from mlperf_docker.harness.api.scores import SyntheticSet
from mlperf_docker.harness.commands import run as own
from mlperf_docker.harness.commands.folders import cache_folder
from mlperf_docker.harness.commands.options import LoadgenRun
from mlperf_docker.harness.models.registry import AnyBenchmark
from mlperf_docker.harness.samples import accuracy_log
from mlperf_docker.harness.system import data_files
from mlperf_docker.harness.system.resources import cores
from mlperf_docker.harness.weights import model_files as official_files
from mlperf_docker.harness.weights.model_files import UsedModelFile
from mlperf_docker.reference_contract.commands import ReferenceRunCommand
from mlperf_docker.reference_contract.reference import ReferenceImplementation
from mlperf_docker.reference_harness.forms import model_files
from mlperf_docker.reference_harness.models import files
from mlperf_docker.reference_harness.models.files import Given

USER_CONF = "user.conf"


@dataclass(frozen=True)
class PreparedFiles:
    """Run whose files are made: what there is, the model file that was taken, and the values of all placeholders."""

    given: Given
    file: UsedModelFile | None
    values: Mapping[str, object]


def prepare(
    options: LoadgenRun,
    reference: ReferenceImplementation,
    benchmark: AnyBenchmark,
    backend: Backend,
    command: ReferenceRunCommand,
    work: Path,
    events: Events,
) -> PreparedFiles:
    """The data set, the model file and what else the reference reads. Raises HarnessError."""
    synthetic = own.synthesize(options, benchmark, backend, events)
    data = synthetic.data if synthetic else options.folders.data
    with data_files.reading(data):
        dataset = benchmark.open_dataset(data, limit=options.samples)
    events.phase(Phase.PREPROCESS)
    cache = _own_cache(options, data)
    file, model = choose_model(options, reference, benchmark, synthetic, cache)
    given = Given(
        options=options,
        reference=reference,
        benchmark=benchmark,
        checkout=command.checkout,
        code=command.model_code if reference.code_files else None,
        data=data,
        dataset=dataset,
        count=dataset.count,
        synthetic=synthetic,
        model=model,
        work=work,
        cache=cache,
    )
    values = {**_values(given), **files.of_model(options.cell.model)(given)}
    return PreparedFiles(given, file, values)


def _own_cache(options: LoadgenRun, data: Path) -> Path:
    """The folder for what the reference makes of *data*: beside a synthetic set, or by the name of the data set."""
    name = data.parent.name if options.synthetic else options.cell.model
    folder = cache_folder(options.folders.cache) / "reference" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def choose_model(
    options: LoadgenRun,
    reference: ReferenceImplementation,
    benchmark: AnyBenchmark,
    synthetic: SyntheticSet | None,
    cache: Path,
) -> tuple[UsedModelFile | None, Path | None]:
    """The model file on record, and the path that the reference is given. Raises ModelFileError."""
    if synthetic and options.model_file is None:
        form = reference.model_format if options.precision == FP32 else None  # others are the model's module's
        path = model_files.written(benchmark, synthetic, form, reference.model_name, cache) if form else None
        recorded = path if path and path.is_file() else synthetic.weights  # a SavedModel is a folder
        return official_files.identify(recorded, None), path
    official = _official(options, reference)
    path = official_files.locate(options.folders.models, options.model_file, official)
    return official_files.read(path, official, must_be=options.model_file is None), path


def _official(options: LoadgenRun, reference: ReferenceImplementation) -> OfficialFile | None:
    """The official file that the reference reads, which need not be the one that our harness takes."""
    fitting = (file for file in options.cell.files if file.format is reference.model_format)
    there = (file for file in fitting if file.precision == options.precision)
    return next(there, options.cell.official(options.precision))


def _values(given: Given) -> dict[str, object]:
    """The placeholders that are always known; see reference_contract/reference.py."""
    options = given.options
    return {
        "accuracy_log": options.folders.results / accuracy_log.NAME,
        "batch_size": options.batch_size,
        "cache": given.cache,
        "checkout": given.checkout,
        "code": given.code,
        "data": given.data,
        "device": options.cell.device.value,
        "mode": options.mode.value,
        "model": given.model,
        "output": options.folders.results,
        "performance_samples": given.count,
        "samples": given.count,
        "scenario": options.scenario.value,
        "threads": cores(),
        "user_conf": options.folders.results / USER_CONF,
        "work": given.work,
    }
