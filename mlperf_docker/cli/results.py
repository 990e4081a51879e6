"""`mlperf-docker results`: what earlier runs gave."""

import json
from typing import Annotated

import typer

from mlperf_docker.cli.options import JsonOutput, ResultsRoot


def list_results(*, results: ResultsRoot = None, as_json: JsonOutput = False) -> None:
    """List earlier results, oldest first."""
    from mlperf_docker.paths import results_dir
    from mlperf_docker.results import check_readable, read_all
    from mlperf_docker.text import result_line, table

    root = check_readable(results or results_dir())
    found = read_all(root)
    if as_json:
        typer.echo(json.dumps([each.model_dump(mode="json") for each in found], indent=2))
        return
    if not found:
        typer.echo(f"No results in {root}.", err=True)
        return
    header = ("run", "cell", "precision", "scenario", "mode", "data", "verdict", "figure")
    typer.echo(table(header, [result_line(each) for each in found]))


def show_result(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A folder, a name from `results list`, or `last`.")
    ] = "last",
    *,
    results: ResultsRoot = None,
    as_json: JsonOutput = False,
) -> None:
    """Show one result in full."""
    from mlperf_docker.paths import results_dir
    from mlperf_docker.results import find
    from mlperf_docker.text import result_text

    result = find(run, results or results_dir())
    typer.echo(result.to_json() if as_json else result_text(result))
