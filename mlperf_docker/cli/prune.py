"""`mlperf-docker prune`."""

from collections.abc import Mapping
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
    from mlperf_docker.display.progress import display
    from mlperf_docker.engine.client import connect
    from mlperf_docker.maintenance.prune import prune as remove

    with display() as show:
        done = remove(connect(), dry_run=dry_run, keep_latest=_is_current if keep_latest else None, display=show)
    if as_json:
        streams.out(strict_json.dumps(done.fields()))
    else:
        for line in done.lines():
            streams.out(line)


def _is_current(labels: Mapping[str, str]) -> bool:
    """Tell whether an image with *labels* is what today's sources give on its own base."""
    from mlperf_docker.catalog.loading import Catalog
    from mlperf_docker.names import LABEL
    from mlperf_docker.recipe.build_inputs import content_hash
    from mlperf_docker.recipe.render import build_inputs

    cells = {str(spec): spec for spec in Catalog.load().specs}
    spec = cells.get(labels.get(f"{LABEL}.cell", ""))
    if spec is None:
        return False
    today = content_hash(build_inputs(spec), labels.get(f"{LABEL}.base.identity", ""))
    return labels.get(f"{LABEL}.hash") == today
