"""`mlperf-docker data`: the data sets."""

from pathlib import Path
from typing import Annotated, Any

import typer

from mlperf_docker.catalog import selector
from mlperf_docker.cli.options import (
    BackendName,
    BaseImageName,
    BootstrapBase,
    JsonOutput,
    ModelName,
    PullChoice,
    Registry,
    user_path,
)
from mlperf_docker.display import streams
from mlperf_docker.system import strict_json


def list_datasets(*, as_json: JsonOutput = False) -> None:
    """List the data sets: what each is, how many samples, where it comes from, and under which licence."""
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
        typer.Option(
            "--url", help="Your own mirror instead: a folder, with a slash at its end, with the files as in DIR."
        ),
    ] = "",
    jobs: Annotated[int, typer.Option("--jobs", min=1, max=64, help="Files at a time, where there are many.")] = 8,
    as_json: JsonOutput = False,
) -> None:
    """Fetch a data set into a folder as `run` takes it, verify what has a checksum, and unpack archives.

    Without DIR it goes where `run` and the other commands look for it: $MLPERF_DOCKER_DATA/NAME, else
    ~/.local/share/mlperf-docker/data/NAME; what `data convert` has to work on goes into raw/ there.

    Where something is missing still, the next command is named. An interrupted fetch goes on where it stopped, and what
    is there is left alone. ImageNet needs an account, so its images are yours to get. Exits 6 where something cannot be
    had.
    """
    from mlperf_docker.catalog.loading import Catalog
    from mlperf_docker.catalog.selector import find_dataset, models_of
    from mlperf_docker.display.progress import display
    from mlperf_docker.inputs.datasets.fetch import FetchRequest, fetch_dataset
    from mlperf_docker.inputs.text import fetched_text

    catalog = Catalog.load()
    dataset = find_dataset(catalog, name)
    request = FetchRequest(dataset, models_of(catalog, dataset)[0].name, folder, file, url, jobs)
    with display() as show:
        outcome = fetch_dataset(request, show)
    streams.out(strict_json.dumps(outcome.fields()) if as_json else fetched_text(outcome))


def verify(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A data set, or the model that it is for.")],
    folder: Annotated[
        Path | None,
        typer.Argument(parser=user_path, metavar="DIR", help="Where it is. Default: where `data fetch` puts it."),
    ] = None,
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Look from outside only; needs no image.")] = False,
    pull: PullChoice = "missing",
    base: BaseImageName = "",
    bootstrap_base: BootstrapBase = False,
    registry: Registry = "",
    as_json: JsonOutput = False,
) -> None:
    """Read every file of a data set in a container, and say what is missing or damaged. Exits 6 where something is."""
    from mlperf_docker.catalog.loading import Catalog
    from mlperf_docker.display.progress import display
    from mlperf_docker.inputs.datasets import location
    from mlperf_docker.inputs.text import verified_text
    from mlperf_docker.runs import dataset_commands

    catalog = Catalog.load()
    dataset = selector.find_dataset(catalog, name)
    if quick:
        path = location.check_folder(dataset, folder or location.place(dataset))
        found: dict[str, Any] = {"name": dataset.name, "path": str(path), "samples": None, "facts": {}}
    else:
        from mlperf_docker.images.sources import sources_of

        sources = sources_of(catalog, registry, base=base, bootstrap=bootstrap_base, pull=pull)
        with display() as show:
            found = dataset_commands.verify(catalog, dataset, folder, sources, show)
    streams.out(strict_json.dumps(found) if as_json else verified_text(dataset, found))


def convert(
    model: ModelName,
    *,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            parser=user_path,
            metavar="DIR",
            help="The files that the data set is offered as. Default: where `data fetch` puts them.",
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
    max_ind_range: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Range of DLRM's ids. Default: the official weights', 40000000."),
    ] = None,
    days: Annotated[int | None, typer.Option(metavar="N", min=1, help="Only the first N days. Default: 24.")] = None,
    pull: PullChoice = "missing",
    base: BaseImageName = "",
    bootstrap_base: BootstrapBase = False,
    registry: Registry = "",
    as_json: JsonOutput = False,
) -> None:
    """Make a data set out of the files that it is offered as: for dlrm, Criteo's day_0 to day_23, also gzipped.

    Memory does not grow with the input. Goes on after the last day that is done, as far as the days are the same files.
    Exits 6 where a day or a line cannot be right.
    """
    from mlperf_docker.catalog.loading import Catalog
    from mlperf_docker.display.progress import display
    from mlperf_docker.images.sources import sources_of
    from mlperf_docker.runs import dataset_commands

    catalog = Catalog.load()
    request = dataset_commands.Convert(model, source, output, max_ind_range, days)
    sources = sources_of(catalog, registry, base=base, bootstrap=bootstrap_base, pull=pull)
    with display() as show:
        done = dataset_commands.convert(catalog, request, sources, show)
    streams.out(strict_json.dumps(done) if as_json else done["output"])


def preprocess(
    model: ModelName,
    *,
    dataset: Annotated[
        Path | None,
        typer.Option(
            parser=user_path, metavar="DIR", help="The data set's folder. Default: where `data fetch` puts it."
        ),
    ] = None,
    backend: BackendName = "",
    samples: Annotated[int | None, typer.Option(min=1, help="Only the first N samples.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes. Default: one for each processor.")] = None,
    pull: PullChoice = "missing",
    base: BaseImageName = "",
    bootstrap_base: BootstrapBase = False,
    registry: Registry = "",
    as_json: JsonOutput = False,
) -> None:
    """Preprocess a data set into the cache, as the first run would; goes on where it was interrupted."""
    from mlperf_docker.catalog.loading import Catalog
    from mlperf_docker.display.progress import display
    from mlperf_docker.images.sources import sources_of
    from mlperf_docker.runs import dataset_commands

    catalog = Catalog.load()
    request = dataset_commands.Preprocess(model, dataset, backend, samples, workers)
    sources = sources_of(catalog, registry, base=base, bootstrap=bootstrap_base, pull=pull)
    with display() as show:
        done = dataset_commands.preprocess(catalog, request, sources, show)
    streams.out(strict_json.dumps(done) if as_json else f"{done['samples']} samples in {done['cache']}")
