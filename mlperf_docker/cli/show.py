"""`mlperf-docker show`."""

from typing import Annotated

import typer

from mlperf_docker.cli.options import BackendName, DeviceName, JsonOutput, ModelName


def show(
    model: ModelName,
    *,
    backend: BackendName = "",
    device: DeviceName = "cpu",
    dockerfile: Annotated[bool, typer.Option("--dockerfile", help="Print the cell's Dockerfile.")] = False,
    as_json: JsonOutput = False,
) -> None:
    """Show one cell: data set, model files, targets, base; or its Dockerfile."""
    from mlperf_docker.catalog import Catalog
    from mlperf_docker.paths import assets
    from mlperf_docker.render import render
    from mlperf_docker.selector import find, require_implemented
    from mlperf_docker.text import spec_text

    spec = find(Catalog.load(assets() / "images.yaml"), model, backend, device)
    if dockerfile:
        require_implemented(spec)
        typer.echo(render(spec), nl=False)
    else:
        typer.echo(spec.model_dump_json(indent=2) if as_json else spec_text(spec))
