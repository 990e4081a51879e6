"""`mlperf-docker results`: list, show and compare earlier runs, and report on them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlperf_docker.cli.options import JsonOutput, ResultsRoot, user_path
from mlperf_docker.display import streams
from mlperf_docker.system import strict_json

if TYPE_CHECKING:
    from mlperf_docker.results.store import StoredResults
    from mlperf_docker.results.values import RunResult

_RUN = "A folder, a name from `results list` or its beginning, or `last`."


def list_results(*, results: ResultsRoot = None, as_json: JsonOutput = False) -> None:
    """List earlier results, oldest first. On a terminal, runs have the shortest names that the other commands take."""
    from mlperf_docker.display.tables import fitted
    from mlperf_docker.results.store import brief_names, read_all
    from mlperf_docker.results.text import RESULT_HEADER, RESULT_ORDER, result_line

    root = _root(results)
    found = _told(read_all(root))
    if as_json:
        streams.out(strict_json.dumps([each.model_dump(mode="json") for each in found]))
        return
    if not found:
        streams.err(f"No results in {root}.")
        return
    columns = streams.columns()
    names = brief_names(found) if columns else [each.name for each in found]
    lines = [(name, *result_line(each)[1:]) for name, each in zip(names, found, strict=True)]
    streams.out(fitted(RESULT_HEADER, lines, columns, order=RESULT_ORDER))


def show_result(
    run: Annotated[str, typer.Argument(metavar="RUN", help=_RUN)] = "last",
    *,
    results: ResultsRoot = None,
    as_json: JsonOutput = False,
) -> None:
    """Show one result in full."""
    from mlperf_docker.display.tables import folded
    from mlperf_docker.results.store import find
    from mlperf_docker.results.text import result_text

    result = find(run, _root(results))
    streams.out(result.to_json() if as_json else folded(result_text(result), streams.columns(), 13))


def compare_results(
    runs: Annotated[list[str], typer.Argument(metavar="RUN", help=f"Two or more: {_RUN[0].lower()}{_RUN[1:]}")],
    *,
    results: ResultsRoot = None,
    as_json: JsonOutput = False,
) -> None:
    """Compare results with the first of them: figures and ratios, and the facts that differ."""
    from mlperf_docker.errors import UsageError
    from mlperf_docker.results.comparison import Comparison
    from mlperf_docker.results.store import find
    from mlperf_docker.results.text import comparison_text

    if len(runs) < 2:
        raise UsageError(
            "One run has nothing to be compared with.", hint="Name two or more: mlperf-docker results list"
        )
    root = _root(results)
    comparison = Comparison(tuple(find(run, root) for run in runs))
    streams.out(strict_json.dumps(comparison.fields()) if as_json else comparison_text(comparison, streams.columns()))


def report_results(
    runs: Annotated[list[str] | None, typer.Argument(metavar="RUN", help=f"{_RUN} Default: all.")] = None,
    *,
    results: ResultsRoot = None,
    output: Annotated[
        Path | None,
        typer.Option(
            parser=user_path, metavar="FILE", help="The HTML file. Default: report.html in the results folder."
        ),
    ] = None,
) -> None:
    """Write results as one HTML file, and print its path."""
    from mlperf_docker.report import page
    from mlperf_docker.results.store import StoredResults, find, read_all, require_some

    root = _root(results)
    if runs:
        found = StoredResults(tuple(find(run, root) for run in runs))
    else:
        found = read_all(root)
        require_some(_told(found), root)
    path = page.check_place(output or root / page.FILE)
    streams.out(page.write(found, path))


def _root(results: Path | None) -> Path:
    """Return the folder with the results. The user's own need not exist; one that is named has to."""
    from mlperf_docker.results.store import check_readable
    from mlperf_docker.system.paths import results_place

    return check_readable(results) if results else results_place()


def _told(found: "StoredResults") -> "tuple[RunResult, ...]":
    """Return the results of *found*, after naming the files that are left out."""
    for problem in found.left_out:
        streams.err(f"Left out: {problem}")
    return found.results
