"""`mlperf-docker build`."""

from typing import Annotated

import typer

from mlperf_docker.cli.options import (
    BaseImageName,
    BootstrapBase,
    EveryCell,
    ImagesOf,
    OptionalModelName,
    Registry,
    SomeBackend,
    SomeDevice,
)
from mlperf_docker.display import streams
from mlperf_docker.names import HarnessName


def build(
    model: OptionalModelName = "",
    *,
    backend: SomeBackend = "",
    device: SomeDevice = "",
    every: EveryCell = False,
    harness: ImagesOf = HarnessName.OWN,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Run every step again.")] = False,
    cache: Annotated[
        bool,
        typer.Option(
            "--registry-cache",
            help="Use layers of the cell's image in the registry, and let others use this one's.",
        ),
    ] = False,
    base: BaseImageName = "",
    unpinned_base: Annotated[
        bool,
        typer.Option(
            "--unpinned-base",
            help="Use the base with its tag even if its digest is not the one in images.yaml. A run finds such an image"
            " when it is given the same base: --base IMAGE.",
        ),
    ] = False,
    bootstrap_base: BootstrapBase = False,
    push: Annotated[bool, typer.Option("--push", help="Push each image after its build, as `push` does.")] = False,
    registry: Registry = "",
) -> None:
    """Build images. Prints the exact tag of each on stdout; with --push, TAG@sha256:… of each."""
    from mlperf_docker.catalog.loading import Catalog
    from mlperf_docker.catalog.selector import select
    from mlperf_docker.display.progress import display
    from mlperf_docker.engine.client import connect
    from mlperf_docker.images.building.builders import builder_of
    from mlperf_docker.images.prebuilt import require_host
    from mlperf_docker.images.provide import provide
    from mlperf_docker.images.push_pull import push_built
    from mlperf_docker.images.sources import Sources
    from mlperf_docker.recipe.reference_layer import recipes

    catalog = Catalog.load()
    chosen = recipes(select(catalog, model, backend, device, every=every), harness, every=every)
    sources = Sources(
        registry or catalog.registry,
        base=base or None,
        bootstrap=bootstrap_base,
        rebuild=no_cache,
        cached=cache,
        unpinned=unpinned_base,
    )
    if push:
        require_host(sources.registry, "pushed")
    if cache:
        require_host(sources.registry, "taken as a cache")
    client = connect()
    tags = []
    try:
        with display() as show:
            for recipe in chosen:
                tags.append(provide(client, builder_of(client), recipe, sources, show).tag)
                if push:
                    tags[-1] += f"@{push_built(client, recipe, sources, show).digest}"
    finally:  # what was built before a failure is there, and is told; and only when no bar moves any more
        for tag in tags:
            streams.out(tag)
