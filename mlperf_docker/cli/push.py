"""`mlperf-docker push`."""

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


def push(
    model: OptionalModelName = "",
    *,
    backend: SomeBackend = "",
    device: SomeDevice = "",
    every: EveryCell = False,
    harness: ImagesOf = HarnessName.OWN,
    jobs: Jobs = 3,
    registry: Registry = "",
    as_json: JsonOutput = False,
) -> None:
    """Push local images, each under its exact tag and its moving tag. Prints TAG@sha256:… of each."""
    from mlperf_docker.catalog.loading import Catalog
    from mlperf_docker.catalog.selector import select
    from mlperf_docker.cli.exchange import report
    from mlperf_docker.display.progress import display
    from mlperf_docker.engine.client import connect
    from mlperf_docker.images.push_pull import push_each
    from mlperf_docker.images.sources import Sources
    from mlperf_docker.recipe.reference_layer import recipes

    catalog = Catalog.load()
    chosen = recipes(select(catalog, model, backend, device, every=every), harness, every=every)
    sources = Sources(registry or catalog.registry)
    with display() as show:
        outcomes = push_each(connect(), chosen, sources, catalog.registry, show, jobs=jobs)
    report(outcomes, "pushed", as_json=as_json)
