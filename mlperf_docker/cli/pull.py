"""`mlperf-docker pull`."""

from typing import Annotated

import typer

from mlperf_docker.cli.options import (
    EveryCell,
    ImagesOf,
    Jobs,
    JsonOutput,
    OptionalModelName,
    Registry,
    SomeBackend,
    SomeDevice,
)
from mlperf_docker.names import HarnessName


def pull(
    model: OptionalModelName = "",
    *,
    backend: SomeBackend = "",
    device: SomeDevice = "",
    every: EveryCell = False,
    harness: ImagesOf = HarnessName.OWN,
    digest: Annotated[
        str, typer.Option(metavar="sha256:…", help="For one cell: pull the image only if it has this digest.")
    ] = "",
    jobs: Jobs = 3,
    registry: Registry = "",
    as_json: JsonOutput = False,
) -> None:
    """Pull prebuilt images. Prints the exact tag and digest, TAG@sha256:…, of each.

    An image must be of this source, for this engine's architecture, and match its labels.
    """
    from mlperf_docker.catalog.loading import Catalog
    from mlperf_docker.catalog.selector import select
    from mlperf_docker.cli.exchange import report
    from mlperf_docker.display.progress import display
    from mlperf_docker.engine.client import connect
    from mlperf_docker.images.prebuilt import check_digest
    from mlperf_docker.images.push_pull import pull_each
    from mlperf_docker.images.sources import Sources
    from mlperf_docker.recipe.reference_layer import recipes

    catalog = Catalog.load()
    chosen = recipes(select(catalog, model, backend, device, every=every), harness, every=every)
    sources = Sources(registry or catalog.registry)
    if digest:
        check_digest(digest, chosen)
    with display() as show:
        outcomes = pull_each(connect(), chosen, sources, show, jobs=jobs, digest=digest or None)
    report(outcomes, "pulled", as_json=as_json)
