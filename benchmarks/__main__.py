"""`make bench`: a table of ratios with their spread and the versions, also as JSON and as Markdown."""

import argparse
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.measures import MEASURES, ROOT, Bench, Figure
from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.selector import find_all
from mlperf_docker.display.tables import markdown_table, table
from mlperf_docker.engine.facts import facts
from mlperf_docker.engine.local_images import find

IMAGES = ROOT / "images.yaml"
HEADER = ("figure", "median", "least", "most", "bound", "")
_PREFIX = "org.mlperf-docker.versions."


def row(figure: Figure) -> tuple[str, ...]:
    """A line of the table; the last column tells whether the bound is reached, and asserts nothing."""
    values = (figure.median, min(figure.values), max(figure.values))
    bound = f"{'≥' if figure.at_least else '≤'} {figure.bound:g} {figure.unit}".strip()
    return (figure.name, *(f"{value:.3f}" for value in values), bound, "" if figure.reached else "MISSED")


def versions(bench: Bench) -> dict[str, str]:
    """What the figures were measured with."""
    image = find(bench.client, bench.image)
    labels = {} if image is None else image.labels
    return {
        "image": bench.image,
        **{key.removeprefix(_PREFIX): value for key, value in labels.items() if key.startswith(_PREFIX)},
        "engine": facts(bench.client).version,
        "python": platform.python_version(),
        "processors": str(len(os.sched_getaffinity(0))),
    }


def markdown(figures: Sequence[Figure], used: Mapping[str, str]) -> str:
    """The table and the versions below it, as docs/performance.md has them."""
    return f"{markdown_table(HEADER, map(row, figures))}\n\n{_listed(used)}\n"


def _listed(used: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in used.items())


def main() -> None:
    """Measure what is asked for, and print as it comes."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = [measure.__name__ for measure in MEASURES]
    parser.add_argument("measures", nargs="*", metavar="MEASURE", help=f"of {', '.join(names)}; default: all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, default=Path("bench.json"))
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table as Markdown too")
    parser.add_argument(
        "--cell", action="append", metavar="MODEL:BACKEND", help="whose throughput is measured; default: every cell's"
    )
    options = parser.parse_args()
    unknown = set(options.measures) - set(names)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(names)}")
    cells = {f"{spec.model.name}:{spec.backend}": spec for spec in find_all(Catalog.load(IMAGES), None, None, "cpu")}
    wanted = options.cell or list(cells)
    if not set(wanted) <= set(cells):
        parser.error(f"cells are {', '.join(cells)}")
    bench = Bench.prepare(options.rounds, tuple(cells[name] for name in wanted))
    figures: list[Figure] = []
    for measure in MEASURES:
        if not options.measures or measure.__name__ in options.measures:
            print(f"measuring {measure.__name__} …", flush=True)
            figures += measure(bench)
    print(table(HEADER, [row(figure) for figure in figures]))
    used = versions(bench)
    print(_listed(used))
    if options.markdown:
        options.markdown.write_text(markdown(figures, used))
    fields = [{**asdict(figure), "median": figure.median, "reached": figure.reached} for figure in figures]
    options.json.write_text(json.dumps({"figures": fields, "versions": used}, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
