"""`mlperf-docker list`."""

import json
from typing import Annotated

import typer

from mlperf_docker.cli.options import JsonOutput, Registry


def list_cells(
    *,
    as_json: JsonOutput = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown table.")] = False,
    registry: Registry = "",
) -> None:
    """List the matrix: every model on every backend and device, and whether its image is here."""
    from mlperf_docker.matrix import HEADER, matrix
    from mlperf_docker.text import markdown_table, table

    rows = matrix(registry)
    if as_json:
        typer.echo(json.dumps([row.fields() for row in rows], indent=2))
        return
    layout = markdown_table if markdown else table
    typer.echo(layout(HEADER, [row.cells() for row in rows]))
