"""`mlperf-docker lock`."""

from pathlib import Path
from typing import Annotated

import typer

from mlperf_docker.display import streams


def lock(
    *,
    bases: Annotated[bool, typer.Option("--bases", help="Only the digests of the base images.")] = False,
    requirements: Annotated[bool, typer.Option("--requirements", help="Only locks/.")] = False,
) -> None:
    """Resolve locks/ from images.yaml with uv, and record the base images' digests in it; prints the changes.

    Digests come from the registries, with docker's own logins. If no registry answers they stay, and a line says
    so; with --bases that is an error.
    """
    from mlperf_docker.catalog.loading import Catalog
    from mlperf_docker.recipe import reference_lock
    from mlperf_docker.recipe.lock import refresh
    from mlperf_docker.system.paths import require_checkout

    path = require_checkout("lock") / "images.yaml"
    every = bases == requirements
    if requirements or every:
        catalog = Catalog.load(path)
        for line in (*refresh(catalog), *reference_lock.refresh(catalog)):
            streams.out(line)
    if bases or every:
        _refresh_bases(path, needed=not every)


def _refresh_bases(path: Path, *, needed: bool) -> None:
    import datetime as dt

    from mlperf_docker.engine.client import connect
    from mlperf_docker.errors import EngineError
    from mlperf_docker.images import base_lock

    try:
        client = connect()
    except EngineError as error:
        if needed:
            raise
        streams.err(f"Digests of bases stay as they are: {error}")
        return
    registries = client.registries(lambda line: streams.err(line))
    done = base_lock.refresh(path, registries.describe, dt.datetime.now(dt.UTC).date())
    for change in done.changes:
        streams.out(str(change))
    if any(change.digest != change.base.digest for change in done.changes):
        streams.err("Bring the Dockerfiles up to date with: mlperf-docker render")
    done.raise_failure(needed=needed)
    if done.failures:
        streams.err(str(done))
