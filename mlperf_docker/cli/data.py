"""`mlperf-docker data`: the data sets."""

from pathlib import Path
from typing import Annotated

import typer

from mlperf_docker.cli.model_options import GivenOptions, taking_model_options
from mlperf_docker.cli.options import (
    BackendName,
    JsonOutput,
    ModelName,
    user_path,
)
from mlperf_docker.cli.sources import GivenSources, taking_sources
from mlperf_docker.contract import json_values
from mlperf_docker.display import streams
from mlperf_docker.system import strict_json


def list_datasets(*, as_json: JsonOutput = False) -> None:
    """List the data sets: title, number of samples, source and licence."""
    from mlperf_docker.catalog.loading import Catalog
    from mlperf_docker.catalog.selector import catalog_datasets, models_of
    from mlperf_docker.display.tables import folded
    from mlperf_docker.inputs.text import dataset_fields, dataset_text

    catalog = Catalog.load()
    found = [(each, [model.name for model in models_of(catalog, each)]) for each in catalog_datasets(catalog)]
    if as_json:
        streams.out(strict_json.dumps([dataset_fields(*each) for each in found]))
    else:
        text = "\n\n".join(dataset_text(*each) for each in found)
        streams.out(folded(text, streams.columns(), 10))


def fetch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A data set, or the model that it is for.")],
    folder: Annotated[
        Path | None,
        typer.Argument(
            parser=user_path, metavar="DIR", help="An existing folder for it. Default: where `run` looks for it."
        ),
    ] = None,
    *,
    file: Annotated[
        str, typer.Option("--file", metavar="NAME", help="Only this file or series, as `data list` names it.")
    ] = "",
    url: Annotated[
        str,
        typer.Option("--url", help="Your own mirror: a folder, with a slash at its end, with the files as in DIR."),
    ] = "",
    jobs: Annotated[int, typer.Option("--jobs", min=1, max=64, help="Files at a time.")] = 8,
    as_json: JsonOutput = False,
) -> None:
    """Download a data set into a folder in the layout that `run` reads; verify checksums and unpack archives.

    Default folder: $MLPERF_DOCKER_DATA/NAME, else ~/.local/share/mlperf-docker/data/NAME, where the other commands
    look for it, too. The input of `data convert` goes into raw/ there.

    An interrupted download resumes, and existing files are left alone. If a step is missing, the last line names
    its command. ImageNet needs an account, so you get its images yourself. Exits 6 if a file cannot be had.
    """
    from mlperf_docker.catalog.loading import Catalog
    from mlperf_docker.catalog.selector import find_dataset, models_of
    from mlperf_docker.display.progress import display
    from mlperf_docker.inputs.datasets.fetch import DatasetRequest, fetch_dataset
    from mlperf_docker.inputs.text import fetched_text

    catalog = Catalog.load()
    dataset = find_dataset(catalog, name)
    request = DatasetRequest(dataset, models_of(catalog, dataset)[0].name, folder, file or None, url or None, jobs)
    with display() as show:
        outcome = fetch_dataset(request, show)
    streams.out(strict_json.dumps(outcome.fields()) if as_json else fetched_text(outcome))


@taking_sources
def verify(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A data set, or the model that it is for.")],
    folder: Annotated[
        Path | None,
        typer.Argument(parser=user_path, metavar="DIR", help="Its folder. Default: the one that `data fetch` fills."),
    ] = None,
    *,
    quick: Annotated[
        bool, typer.Option("--quick", help="Check the folder from the host only; needs no image.")
    ] = False,
    sources: GivenSources,
    as_json: JsonOutput = False,
) -> None:
    """Read every file of a data set in a container, and name missing and damaged ones. Exits 6 if there are any."""
    from mlperf_docker.catalog.loading import Catalog
    from mlperf_docker.catalog.selector import find_dataset
    from mlperf_docker.display.progress import display
    from mlperf_docker.inputs.datasets import location
    from mlperf_docker.inputs.text import verified_text
    from mlperf_docker.runs import dataset_commands

    catalog = Catalog.load()
    dataset = find_dataset(catalog, name)
    if quick:
        path = location.check_folder(dataset, folder or location.place(dataset))
        found = location.DatasetFound(dataset.name, path)
    else:
        with display() as show:
            found = dataset_commands.verify(catalog, dataset, folder, sources.of(catalog), show)
    streams.out(strict_json.dumps(json_values.fields(found)) if as_json else verified_text(dataset, found))


@taking_model_options("convert-data")
@taking_sources
def convert(
    model: ModelName,
    *,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            parser=user_path,
            metavar="DIR",
            help="The downloaded files. Default: the folder that `data fetch` fills.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--to",
            parser=user_path,
            metavar="DIR",
            help="An existing folder for the data set. Default: where `run` looks for it.",
        ),
    ] = None,
    given: GivenOptions,
    sources: GivenSources,
    as_json: JsonOutput = False,
) -> None:
    """Convert the downloaded files of a data set that is not used as it is offered.

    Resumes if it was interrupted, as long as the files are the same. Exits 6 if one is invalid.
    """
    from mlperf_docker.catalog.loading import Catalog
    from mlperf_docker.catalog.selector import find_model
    from mlperf_docker.display.progress import display
    from mlperf_docker.runs import dataset_commands

    catalog = Catalog.load()
    spec = find_model(catalog, model)
    request = dataset_commands.Convert(spec, source, output, given.of(spec))
    with display() as show:
        done = dataset_commands.convert(catalog, request, sources.of(catalog), show)
    streams.out(strict_json.dumps(json_values.fields(done)) if as_json else str(done.output))


@taking_sources
def preprocess(
    model: ModelName,
    *,
    dataset: Annotated[
        Path | None,
        typer.Option(
            parser=user_path, metavar="DIR", help="The data set's folder. Default: the one that `data fetch` fills."
        ),
    ] = None,
    backend: BackendName = "",
    samples: Annotated[int | None, typer.Option(min=1, help="Only the first N samples.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes. Default: one for each processor.")] = None,
    sources: GivenSources,
    as_json: JsonOutput = False,
) -> None:
    """Preprocess a data set into the cache, as the first run would; resumes if it was interrupted."""
    from mlperf_docker.catalog.loading import Catalog
    from mlperf_docker.catalog.selector import find
    from mlperf_docker.display.progress import display
    from mlperf_docker.runs import dataset_commands

    catalog = Catalog.load()
    request = dataset_commands.Preprocess(find(catalog, model, backend), dataset, samples, workers)
    with display() as show:
        done = dataset_commands.preprocess(request, sources.of(catalog), show)
    streams.out(strict_json.dumps(json_values.fields(done)) if as_json else f"{done.samples} samples in {done.cache}")
