"""`mlperf-docker show`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from mlperf_docker.cli.options import BackendName, DeviceName, JsonOutput, ModelName, Registry, user_path
from mlperf_docker.display import streams


def show(
    model: ModelName,
    *,
    backend: BackendName = "",
    device: DeviceName = "cpu",
    dockerfile: Annotated[bool, typer.Option("--dockerfile", help="Print the cell's Dockerfile.")] = False,
    sbom: Annotated[
        bool, typer.Option("--sbom", help="Print the bill of materials (CycloneDX JSON) in the cell's image.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", parser=user_path, metavar="FILE", help="Write the output to a file."),
    ] = None,
    registry: Registry = "",
    as_json: JsonOutput = False,
) -> None:
    """Show one cell: data set, model files, targets, base; or its Dockerfile, or its bill of materials."""
    from mlperf_docker.catalog.loading import Catalog
    from mlperf_docker.catalog.selector import find
    from mlperf_docker.catalog.text import spec_text
    from mlperf_docker.display.tables import folded
    from mlperf_docker.errors import UsageError
    from mlperf_docker.recipe.render import recipe_of, render
    from mlperf_docker.system import atomic

    if dockerfile and sbom:
        raise UsageError("--dockerfile and --sbom are two different things: ask for one of them.")
    catalog = Catalog.load()
    spec = find(catalog, model, backend, device)
    if dockerfile:
        text = render(spec)
    elif sbom:
        from mlperf_docker.engine.client import connect
        from mlperf_docker.images.examining.verify import locate
        from mlperf_docker.images.examining.verify import sbom as sbom_of
        from mlperf_docker.images.sources import Sources

        client = connect()
        text = sbom_of(client, spec, locate(client, recipe_of(spec), Sources(registry or catalog.registry))).decode()
    else:
        columns = None if output else streams.columns()
        text = (spec.model_dump_json(indent=2) if as_json else folded(spec_text(spec), columns, 13)) + "\n"
    if output is None:
        sys.stdout.write(text)
        return
    atomic.write_text(output, text)
