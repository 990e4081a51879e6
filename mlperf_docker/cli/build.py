"""`mlperf-docker build`."""

from typing import Annotated

import typer

from mlperf_docker.cli.options import BackendName, BaseImageName, BootstrapBase, DeviceName, OptionalModelName, Registry


def build(
    model: OptionalModelName = "",
    *,
    backend: BackendName = "",
    device: DeviceName = "",
    every: Annotated[bool, typer.Option("--all", help="Every cell that the other options leave.")] = False,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Run every step again.")] = False,
    cache: Annotated[
        bool,
        typer.Option(
            "--registry-cache",
            help="Take layers from the cell's image of the registry, and let others take this one's.",
        ),
    ] = False,
    base: BaseImageName = "",
    bootstrap_base: BootstrapBase = False,
    registry: Registry = "",
) -> None:
    """Build images. Prints the exact tag of each on stdout."""
    from mlperf_docker.catalog import Catalog
    from mlperf_docker.engine.buildah import builder_of
    from mlperf_docker.engine.client import connect
    from mlperf_docker.paths import assets
    from mlperf_docker.progress import display
    from mlperf_docker.provide import Sources, provide
    from mlperf_docker.selector import choose, choose_all

    catalog = Catalog.load(assets() / "images.yaml")
    specs = choose_all(catalog, model, backend, device) if every else (choose(catalog, model, backend, device),)
    sources = Sources(registry or catalog.registry, base=base, bootstrap=bootstrap_base, rebuild=no_cache, cached=cache)
    client = connect()
    tags = []
    try:
        with display() as show:
            for spec in specs:
                tags.append(provide(client, builder_of(client), spec, sources, show).tag)  # noqa: PERF401
    finally:  # what was built before a failure is there, and is told; and only when no bar moves any more
        for tag in tags:
            typer.echo(tag)
