"""`mlperf-docker lock`."""

import typer


def lock() -> None:
    """Resolve locks/ anew from images.yaml, with uv; prints what changed."""
    from mlperf_docker.catalog import Catalog
    from mlperf_docker.lock import refresh
    from mlperf_docker.paths import assets

    for line in refresh(Catalog.load(assets() / "images.yaml")):
        typer.echo(line)
