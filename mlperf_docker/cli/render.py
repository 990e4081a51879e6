"""`mlperf-docker render`."""

from typing import Annotated

import typer

from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.display import streams


def render(
    *, check: Annotated[bool, typer.Option("--check", help="Write nothing; print the drift and exit 1.")] = False
) -> None:
    """Write dockerfiles/ from images.yaml and templates/."""
    from mlperf_docker.catalog.loading import Catalog
    from mlperf_docker.recipe.render import drift, write

    catalog = Catalog.load()
    if check:
        difference = drift(catalog)
        if difference:
            streams.out(difference)
            raise typer.Exit(ExitCode.INVALID)
        return
    for path in write(catalog):
        streams.out(f"wrote {path}")
