"""`mlperf-docker rounds`: the rounds of MLPerf Inference, and what each asks for."""

from typing import Annotated

import typer

from mlperf_docker.cli.options import JsonOutput
from mlperf_docker.display import streams
from mlperf_docker.system import strict_json


def list_rounds(*, as_json: JsonOutput = False) -> None:
    """List the rounds, oldest first, with the models that they take."""
    from mlperf_docker.display.tables import fitted
    from mlperf_docker.rounds.loading import load
    from mlperf_docker.rounds.text import ROUNDS_HEADER, round_line

    rounds = load()
    if as_json:
        streams.out(strict_json.dumps([each.model_dump(mode="json") for each in rounds.all]))
        return
    streams.out(fitted(ROUNDS_HEADER, map(round_line, rounds.all), streams.columns()))


def show_round(
    name: Annotated[str, typer.Argument(metavar="[ROUND]", help="Such as v6.1. Default: the newest.")] = "",
    *,
    as_json: JsonOutput = False,
) -> None:
    """Show a round in full: seeds, files, and the benchmarks with scenarios, targets and counts."""
    from mlperf_docker.display.tables import fitted, folded
    from mlperf_docker.rounds import text
    from mlperf_docker.rounds.loading import load

    rounds = load()
    found = rounds.find(name) if name else rounds.newest
    if as_json:
        streams.out(found.model_dump_json(indent=2))
        return
    columns = streams.columns()
    lines = map(text.benchmark_line, found.benchmarks)
    benchmarks = fitted(text.BENCHMARKS_HEADER, lines, columns, order=text.BENCHMARKS_ORDER)
    streams.out(f"{folded(text.round_text(found), columns, text.WIDTH)}\n\n{benchmarks}")
