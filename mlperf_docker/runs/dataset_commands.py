"""`data verify`, `data convert` and `data preprocess`: commands of the harness on a data set, in a container."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from mlperf_docker.catalog import selector
from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.selector import models_of
from mlperf_docker.catalog.spec import DatasetSpec, ImageSpec, ModelSpec
from mlperf_docker.contract import places
from mlperf_docker.contract.commands import (
    ConvertDataCommand,
    ConvertDataReply,
    PreprocessCommand,
    PreprocessReply,
    VerifyCommand,
)
from mlperf_docker.contract.model_options import ModelOptions
from mlperf_docker.display.progress import Display
from mlperf_docker.engine import links
from mlperf_docker.engine.plan import BindMount
from mlperf_docker.errors import UsageError
from mlperf_docker.images.sources import Sources
from mlperf_docker.inputs.datasets import location
from mlperf_docker.recipe.render import recipe_of
from mlperf_docker.runs.job import HarnessJob, cache_mount, perform, runtime_for
from mlperf_docker.system import folders, paths


@dataclass(frozen=True)
class Preprocess:
    """Request of `data preprocess`. None: chosen by the harness."""

    spec: ImageSpec
    """The cell whose container does it."""
    folder: Path | None = None
    """None for the data set's own place."""
    samples: int | None = None
    workers: int | None = None


@dataclass(frozen=True)
class Convert:
    """Request of `data convert`."""

    model: ModelSpec
    source: Path | None = None
    """Folder of the files; None for where `data fetch` puts them."""
    output: Path | None = None
    """Folder of the data set; None for its own place."""
    model_options: ModelOptions = field(default_factory=ModelOptions)


def verify(
    catalog: Catalog, dataset: DatasetSpec, folder: Path | None, sources: Sources, display: Display
) -> location.DatasetFound:
    """Read every file of the data set in *folder*, None for its place, and return what the harness says of it.

    Raises DatasetError.
    """
    path = location.check_folder(dataset, folder or location.place(dataset))
    spec = _reader(catalog, dataset)
    data = _seen(path, display)
    job = HarnessJob(recipe_of(spec), sources, VerifyCommand(data=Path(data.path)), (*data.mounts, cache_mount()))
    reply = perform(runtime_for(spec, sources), job, display).reply
    return location.DatasetFound(dataset.name, path, reply.samples, reply.facts)


def convert(catalog: Catalog, request: Convert, sources: Sources, display: Display) -> ConvertDataReply:
    """Make the data set of a model out of the files that it is offered as, and return what the harness says of it.

    Raises UsageError unless both folders exist and the second can be written.
    """
    spec = selector.find(catalog, request.model.name)
    source, output = _source(spec.model.dataset, request.source), _output(spec.model.dataset, request.output)
    data = _seen(source, display)
    mounts = (*data.mounts, BindMount(output, places.RESULTS, read_only=False), cache_mount())
    command = ConvertDataCommand(data=Path(data.path), model_options=request.model_options)
    reply = perform(runtime_for(spec, sources), HarnessJob(recipe_of(spec), sources, command, mounts), display).reply
    return replace(reply, output=output / reply.output.name)


def preprocess(request: Preprocess, sources: Sources, display: Display) -> PreprocessReply:
    """Fill the cache from the data set, and return the count of samples and where on this host the cache is."""
    spec = request.spec
    path = location.check_folder(spec.model.dataset, request.folder or location.place(spec.model.dataset))
    data, cache = _seen(path, display), cache_mount()
    command = PreprocessCommand(data=Path(data.path), samples=request.samples, workers=request.workers)
    reply = perform(
        runtime_for(spec, sources), HarnessJob(recipe_of(spec), sources, command, (*data.mounts, cache)), display
    ).reply
    below = reply.cache.relative_to(places.CACHE) if reply.cache.is_relative_to(places.CACHE) else ""
    return replace(reply, cache=cache.host / below)


def _seen(path: Path, display: Display) -> links.Seen:
    """Return how a container sees the data in *path*, and say what it will not find."""
    data = links.folder(path, places.DATA)
    for note in data.notes:
        display.say(note)
    return data


def _source(dataset: DatasetSpec, given: Path | None) -> Path:
    """Return the absolute folder with the files that *dataset* is made of. Raises UsageError."""
    if not dataset.convert:
        raise UsageError(f"{dataset.title} is used as it is offered: there is nothing to convert.")
    source = paths.resolved(given or location.fetch_place(dataset))
    where = "where the files are with --from DIR."
    fetch = "Say" if given else f"Fetch them: mlperf-docker data fetch {dataset.name}. Or say"
    folders.require(source, "folder", missing=f"{fetch} {where}", other=f"Say {where}")
    return source


def _output(dataset: DatasetSpec, given: Path | None) -> Path:
    """Return the absolute folder that *dataset* goes to; its own place is made where it is missing."""
    output = paths.resolved(given or location.place(dataset))
    if given is None:
        folders.make(output, "with --to DIR")
    folders.require_writable(output, "with --to DIR")
    return output


def _reader(catalog: Catalog, dataset: DatasetSpec) -> ImageSpec:
    """Return a cell whose harness knows the data set: the default one of a model that it is for. Any would do."""
    return selector.find(catalog, models_of(catalog, dataset)[0].name)
