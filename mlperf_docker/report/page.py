"""Report of results as one HTML file. Needs Jinja2, so import it where a report is written."""

import datetime as dt
import functools
import re
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from mlperf_docker import __version__
from mlperf_docker.display import printable
from mlperf_docker.errors import UsageError
from mlperf_docker.report.history import histories
from mlperf_docker.report.matrix import Matrix, linked
from mlperf_docker.report.runs import Run
from mlperf_docker.results import text
from mlperf_docker.results.harnesses import side_by_side
from mlperf_docker.results.store import StoredResults
from mlperf_docker.system import atomic, folders, paths

FILE = "report.html"
_TEMPLATE = "page.html.j2"


def check_place(path: Path) -> Path:
    """Return where a report can be written. Raises UsageError unless it is in a folder that we may write to."""
    path = paths.resolved(path)
    folders.require_writable(path.parent, "with --output FILE", "folder of the report")
    if path.is_dir():
        raise UsageError(f"{path} is a folder.", hint="Name a file in it with --output FILE.")
    return path


def write(found: StoredResults, path: Path, matrices: Sequence[Matrix] = ()) -> Path:
    """Write the report of *found* to *path*, in one step, and return the path."""
    atomic.write_text(path, render(found, dt.datetime.now(dt.UTC), matrices))
    return path


def render(found: StoredResults, now: dt.datetime, matrices: Sequence[Matrix] = ()) -> str:
    """Return the report, newest runs first; *matrices* stand before all runs.

    Its text is ASCII, which is the same in any locale's encoding, with references for all other characters.
    """
    newest_first = sorted(found.results, key=lambda result: result.age_key, reverse=True)
    runs = tuple(Run(f"run-{number}", result) for number, result in enumerate(newest_first, 1))
    html = (
        _environment()
        .get_template(_TEMPLATE)
        .render(
            runs=runs,
            matrices=tuple(linked(matrices, runs)),
            histories=tuple(histories(runs)),
            harnesses=tuple(side_by_side(found.results)),
            left_out=found.left_out,
            now=now,
        )
    )
    return printable.lines(html).encode("ascii", "xmlcharrefreplace").decode()


@functools.cache
def _environment() -> Environment:
    """Return Jinja2 set up for HTML: every value is escaped, and an undefined name is an error."""
    environment = Environment(
        loader=FileSystemLoader(paths.assets() / "templates" / "report"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"version": __version__, "no_benchmark": text.NO_BENCHMARK}
    environment.filters |= {
        "date": lambda time: (f"{time:%Y-%m-%d}", f"{time:%H:%M} UTC"),
        "brief": text.brief_text,
        "compliance": text.compliance_texts,
        "fact": text.fact_text,
        "metric": text.metric_text,
        "ms": text.milliseconds,
        "levels": text.levels,
        "tag_parts": re.compile(r"[^/:]+[/:]?").findall,
        "verdict": text.verdict,
    }
    return environment
