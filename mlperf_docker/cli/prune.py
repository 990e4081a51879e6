"""`mlperf-docker prune`."""

from typing import Annotated

import typer

from mlperf_docker.cli.options import JsonOutput
from mlperf_docker.display import streams
from mlperf_docker.system import strict_json


def prune(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Remove nothing; print what would be removed.")] = False,
    keep_latest: Annotated[
        bool,
        typer.Option(
            "--keep-latest", help="Keep one image of each cell, the current one if there is one, and its base."
        ),
    ] = False,
    as_json: JsonOutput = False,
) -> None:
    """Remove what this tool left behind: images, ended containers, build cache, old logs. Prints the freed bytes.

    Only objects with this project's label that this tool made. Never a running container, an image in use, model
    files, data or results.
    """
    from mlperf_docker.catalog.loading import Catalog
    from mlperf_docker.display.progress import display
    from mlperf_docker.engine.client import connect
    from mlperf_docker.maintenance.prune import current_in
    from mlperf_docker.maintenance.prune import prune as remove

    is_current = current_in(Catalog.load()) if keep_latest else None
    with display() as show:
        done = remove(connect(), dry_run=dry_run, keep_latest=is_current, display=show)
    if as_json:
        streams.out(strict_json.dumps(done.fields()))
    else:
        for line in done.lines():
            streams.out(line)
