"""`mlperf-docker models`: the official model files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlperf_docker.cli.model_options import GivenOptions, taking_model_options
from mlperf_docker.cli.options import (
    BackendName,
    JsonOutput,
    ModelName,
    OnlyBackend,
    OptionalModel,
    user_path,
)
from mlperf_docker.cli.sources import GivenSources, taking_sources
from mlperf_docker.contract import json_values
from mlperf_docker.display import streams
from mlperf_docker.system import strict_json

if TYPE_CHECKING:
    from mlperf_docker.catalog.loading import Catalog
    from mlperf_docker.catalog.spec import ModelSpec


def list_files(model: OptionalModel = "", *, as_json: JsonOutput = False) -> None:
    """List the official model files: where each belongs, and its state.

    State: absent, partial (fetching resumes), present (not verified yet, or no checksum was published), verified,
    or wrong.
    """
    from mlperf_docker.catalog.loading import Catalog
    from mlperf_docker.display.tables import fitted
    from mlperf_docker.inputs.models.official_files import officials
    from mlperf_docker.inputs.text import OFFICIAL_HEADER, OFFICIAL_ORDER, official_fields, official_line

    found = [each for one in _models(Catalog.load(), model) for each in officials(one)]
    if as_json:
        streams.out(strict_json.dumps([official_fields(each) for each in found]))
    else:
        lines = [official_line(each) for each in found]
        streams.out(fitted(OFFICIAL_HEADER, lines, streams.columns(), order=OFFICIAL_ORDER))


def fetch(
    model: ModelName,
    *,
    backend: BackendName = "",
    precision: Annotated[str, typer.Option("--precision", "-p", help="fp32 or int8. Default: fp32.")] = "",
    file: Annotated[
        str, typer.Option("--file", metavar="NAME", help="Another file than the first: its name, or its checksum.")
    ] = "",
    every: Annotated[bool, typer.Option("--all", help="Every file that the other options leave.")] = False,
    to: Annotated[
        Path | None,
        typer.Option("--to", parser=user_path, metavar="DIR", help="An existing folder. Default: the cache."),
    ] = None,
    url: Annotated[
        str,
        typer.Option("--url", help="Your own mirror: the file's address, or a folder's with a slash at its end."),
    ] = "",
    as_json: JsonOutput = False,
) -> None:
    """Download the official model file that a run takes, and verify it. Prints its path.

    An interrupted download resumes. Proxies and certificates are those of the environment (HTTPS_PROXY, NO_PROXY,
    REQUESTS_CA_BUNDLE, SSL_CERT_FILE). Exits 7 if the file cannot be had.
    """
    from mlperf_docker.catalog.loading import Catalog
    from mlperf_docker.catalog.selector import find_backend, find_model, parse_choice
    from mlperf_docker.contract.words import Precision
    from mlperf_docker.display.progress import display
    from mlperf_docker.inputs.models.fetch import ModelRequest, choose, fetch_all

    catalog = Catalog.load()
    request = ModelRequest(
        model=find_model(catalog, model),
        backend=find_backend(catalog, backend) if backend else None,
        precision=parse_choice("precision", precision, Precision) if precision else None,
        file=file or None,
        every=every,
        to=to,
        url=url or None,
    )
    with display() as show:
        outcome = fetch_all(choose(request), request, show)
    found = [each.fields() for each in outcome.fetched]
    if as_json:
        streams.out(strict_json.dumps(found))
    else:
        for each in found:
            streams.out(each["path"])
    outcome.raise_failure()


def verify(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[MODEL] [FILE]…", help="A model, and files of your own.")
    ] = None,
    *,
    backend: OnlyBackend = "",
    as_json: JsonOutput = False,
) -> None:
    """Verify the checksums of the local model files, or find the official file that a FILE is.

    Exits 7 if one is wrong.
    """
    from mlperf_docker.catalog.loading import Catalog
    from mlperf_docker.catalog.selector import find_backend
    from mlperf_docker.display.progress import display
    from mlperf_docker.inputs.models.verify import VERDICT_HEADER, VERDICT_ORDER, read_request, verify_all

    catalog = Catalog.load()
    request = read_request(catalog, names or [], find_backend(catalog, backend) if backend else None)
    with display() as show:
        verdicts = verify_all(request, show)
    if as_json:
        streams.out(strict_json.dumps([each.fields() for each in verdicts]))
    elif verdicts:
        from mlperf_docker.display.tables import fitted

        lines = [each.line() for each in verdicts]
        streams.out(fitted(VERDICT_HEADER, lines, streams.columns(), order=VERDICT_ORDER))
    request.raise_failure(verdicts)


@taking_model_options("convert")
@taking_sources
def convert(
    model: ModelName,
    *,
    model_file: Annotated[
        Path, typer.Option(parser=user_path, metavar="FILE", help="An official file, or weights in safetensors.")
    ],
    to: Annotated[
        Path, typer.Option("--to", parser=user_path, metavar="FILE", help="The new file: .safetensors or .onnx.")
    ],
    backend: Annotated[
        str,
        typer.Option(
            "--backend", "-b", help="The backend whose container reads the file. Default: by the file's format."
        ),
    ] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace a file of that name.")] = False,
    given: GivenOptions,
    sources: GivenSources,
    as_json: JsonOutput = False,
) -> None:
    """Convert a model file into weights that every backend runs (.safetensors), or into a graph (.onnx).

    Runs in a container of the backend that reads the file, found by its suffix or its checksum. Prints the path of
    the new file.
    """
    from mlperf_docker.catalog.loading import Catalog
    from mlperf_docker.catalog.selector import find_backend, find_model
    from mlperf_docker.display.progress import display
    from mlperf_docker.runs.convert_models import ConvertRequest
    from mlperf_docker.runs.convert_models import convert as convert_file

    catalog = Catalog.load()
    spec = find_model(catalog, model)
    request = ConvertRequest(
        model=spec,
        source=model_file,
        output=to,
        sources=sources.of(catalog),
        backend=find_backend(catalog, backend) if backend else None,
        force=force,
        model_options=given.of(spec),
    )
    with display() as show:
        done = convert_file(catalog, request, show)
    streams.out(strict_json.dumps(json_values.fields(done)) if as_json else str(done.model_file))


def _models(catalog: "Catalog", name: str) -> "tuple[ModelSpec, ...]":
    from mlperf_docker.catalog.selector import find_model

    return (find_model(catalog, name),) if name else catalog.models
