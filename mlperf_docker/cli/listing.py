"""`mlperf-docker list`."""

from typing import Annotated

import typer

from mlperf_docker.cli.options import JsonOutput, Registry
from mlperf_docker.display import streams
from mlperf_docker.system import strict_json


def list_cells(
    *,
    as_json: JsonOutput = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the README's coverage table, as Markdown.")
    ] = False,
    remote: Annotated[
        bool, typer.Option("--remote", help="Ask the registry which images can be pulled; needs an engine.")
    ] = False,
    registry: Registry = "",
) -> None:
    """List the matrix: every model on every backend and device, its image, and the evidence for it.

    Evidence: what `mlperf-docker evidence` found; (older) means an earlier source of the image.
    """
    if markdown:
        from mlperf_docker.catalog.loading import Catalog
        from mlperf_docker.evidence import records
        from mlperf_docker.evidence.coverage import coverage

        streams.out(coverage(Catalog.load().cells, records.known()))
        return
    from mlperf_docker.display.tables import fitted
    from mlperf_docker.evidence.matrix import HEADER, ORDER, matrix

    rows = matrix(registry, remote=remote)
    if as_json:
        streams.out(strict_json.dumps([row.fields() for row in rows]))
    else:
        streams.out(fitted(HEADER, [row.cells() for row in rows], streams.columns(), order=ORDER))
